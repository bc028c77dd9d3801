"""What is wrong with rows: by the ledger, from which they are loaded, and by the stages, once they are corrected.

Corrected rows are written as a file and read, converted, validated and encoded by the run's own mapping, as the ledger
keeps it. Nothing is planned: whether a row was sent before, the ledger says when the corrected rows are planned.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from importer.errors import ImporterError, SourceError, UsageError
from importer.ledger.ledger import Ledger
from importer.mapping.load import LoadedMapping, loads
from importer.mapping.model import ImportMapping
from importer.model import Int64s, Run, RunState, State
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_sources
from importer.read import Input
from importer.reasons import REASONS
from importer.report.rows import STATES, ExplainedBatch, explain
from importer.report.words import message_of
from importer.review.cells import RECORD, Content, Form, contents, how_to_read, write
from importer.review.desk import Desk, Line, Problem

_UNDELIVERED = [STATES.index(State.INVALID), STATES.index(State.REFUSED)]
_IN_DOUBT = STATES.index(State.IN_DOUBT)
_NEAREST_FIELD = {"email": "subscriber.email", "phone": "subscriber.phone", "id": "subscriber.id",
                  "currency": "value_currency", "group": "group_by"}  # fmt: skip
"""The target of codes that name none, by how they begin; of others the beginning is the target's own name."""

Reason = tuple[str, str, str, str]
"""Code, field, value and message."""
Verdict = tuple[int, str, tuple[Problem, ...] | None]
"""A line's number, its status, and what is wrong with it now (None: what the ledger says)."""
_Written = tuple[list[Input], list[tuple[int, list[tuple[Line, Content]]]], LoadedMapping]
"""A file of each source that the rows come from; of each its form's number and its rows; and how they are read."""


class Targets(msgspec.Struct, frozen=True):
    """Which columns a mapping's targets are made from."""

    columns: Mapping[str, tuple[str, ...]]
    mapped: tuple[str, ...]
    """All of them."""

    @classmethod
    def of(cls, mapping: ImportMapping) -> Targets:
        """Those of a mapping; tests of ``where`` under their columns."""
        found = {name: value.columns() for name, value in mapping.fields()}
        if mapping.group_by is not None:
            found["group_by"] = mapping.group_by.columns()
        names = ("subscriber.email", "subscriber.phone", "subscriber.id")
        found["subscriber"] = tuple(dict.fromkeys(column for name in names for column in found.get(name, ())))
        for test in mapping.where:
            found |= {f"where {column}": (column,) for column in test.columns()}
        return cls(found, mapping.columns())

    def of_reason(self, code: str, target: str) -> tuple[str, ...]:
        """The columns behind a reason; none where another row of the event is at fault."""
        if code == "group.invalid_row":
            return ()
        if target in self.columns:
            return self.columns[target]
        if code.startswith("where."):
            return next((names for name, names in self.columns.items() if f"where {target}".startswith(name)), ())
        start = code.partition(".")[0]
        return self.columns.get(_NEAREST_FIELD.get(start, start), ())


def problem_of(targets: Targets, form: Form, content: Content, reason: Reason) -> Problem:
    """What is wrong with a row, with the columns that it has of those behind the reason."""
    code, name, value, message = reason
    if content.shape == "record":
        columns: tuple[str, ...] = (RECORD,)
    else:
        cells = {column: content.cell(form, column) for column in targets.of_reason(code, name)}
        there = {column: text for column, text in cells.items() if text is not None}
        heads = {column.partition(".")[0] for column in cells if column not in there}
        there |= {head: text for head in heads if (text := content.cell(form, head)) is not None}
        at_fault = [column for column, text in there.items() if value and text.strip()[:40] == value.strip()[:40]]
        columns = tuple(at_fault or there or (cells if content.shape == "object" else ()))
    known = REASONS.get(code)
    return Problem(code, name, message, columns, is_error=known is None or known.severity == "error")


def load(desk: Desk, ledger: Ledger, runs: Sequence[Run], mapping: ImportMapping) -> int:
    """Fill the desk with the rows of these runs that count; returns how many have no original cells any more."""
    loader = _Loader(desk, mapping)
    desk.fill(loader.lines(ledger, runs))
    return loader.lost


class _Loader:
    def __init__(self, desk: Desk, mapping: ImportMapping) -> None:
        self._forms = desk.forms
        self._targets = Targets.of(mapping)
        self._pads = mapping.source.ragged == "pad"
        self._numbers: dict[tuple[str, int], int] = {}
        """The number of each line, by run and place."""
        self.lost = 0

    def lines(self, ledger: Ledger, runs: Sequence[Run]) -> Iterator[Line]:
        for run in runs:
            if run.state is RunState.PRUNED:
                continue
            older = np.array(ledger.places_of_older(run), np.int64)
            at = 0  # rows of the run before the batch
            starts: dict[str | None, int] = {}
            for batch in ledger.batches(run, raw_rows=True):
                count = batch.table.num_rows
                if count and batch.table.column("row")[0].as_py() == 1:
                    starts.setdefault(batch.source.name, at)
                    starts[None] = at
                    self._forms.append(Form(run.id, batch.source, self._pads))
                explained = explain(batch)
                undelivered = np.isin(explained.event_states, _UNDELIVERED) & ~np.isin(at + np.arange(count), older)
                chosen = np.flatnonzero(undelivered | (explained.states == _IN_DOUBT))
                if len(chosen):
                    yield from self._lines_of(run.id, explained, chosen, at, starts)
                at += count

    def _lines_of(
        self, run: str, explained: ExplainedBatch, chosen: Int64s, before: int, starts: Mapping[str | None, int]
    ) -> Iterator[Line]:
        """The batch's lines; ``starts``: rows of the run before each source, and before this one under None."""
        batch, form, rows = explained.batch, self._forms[-1], pa.array(chosen)
        reasons: dict[int, list[Reason]] = {}
        said = (explained.reasons.column(name).to_pylist() for name in ("at", "code", "field", "value", "message"))
        for at, *reason in zip(*said, strict=True):
            reasons.setdefault(at, []).append(tuple(reason))
        if batch.raw_rows is None:
            self.lost += len(chosen)
            found: Iterator[Content] = (Content("record", "") for _ in chosen)
        else:
            codes = [code or "" for code in explained.codes.take(rows).to_pylist()]
            found = contents(form, batch.raw_rows.take(rows), codes)
        for at, facts, content in zip(chosen.tolist(), batch.table.take(rows).to_pylist(), found, strict=True):
            number, place = len(self._numbers) + 1, before + at
            self._numbers[run, place] = number
            leader = facts["leader"]
            head = place if leader is None else starts.get(facts["leader_source"], 0) + leader - 1
            problems = tuple(problem_of(self._targets, form, content, one) for one in reasons.get(at, ()))
            doubt = facts["state"] == State.IN_DOUBT.value
            own: dict[str, Any] = {name: facts[name] for name in ("row", "line", "state", "sent_at")}
            own |= {name: facts[name] or "" for name in ("key", "subscriber", "value", "currency")}
            yield Line(
                no=number,
                run=run,
                place=place,
                form=len(self._forms) - 1,
                head=number if doubt else self._numbers.get((run, head), number),
                code=next((one.code for one in problems if one.is_error), problems[0].code if problems else ""),
                content=content,
                problems=problems,
                status="doubt" if doubt else "open",
                **own,
            )


class Checker:
    """Checks rows by one run's mapping."""

    def __init__(self, run: Run) -> None:
        """Raises `UsageError` or `MappingError` where the run's mapping can no longer be used."""
        if not run.mapping_text:
            raise UsageError(
                f"run {run.id} has no mapping that can be read again",
                hint="correct rejects.csv, and give it to the program that made the run",
            )
        self.loaded = loads(run.mapping_text, run.mapping_name)
        self.targets = Targets.of(self.loaded.mapping)
        self._options = ReadOptions.of_run(run)

    def check(self, lines: Sequence[Line], forms: Sequence[Form]) -> Iterator[Verdict]:
        """The verdict on each row. All rows of an event are to be given; it is ready only if all of them are."""
        touched = {line.head for line in lines if line.edits or line.word == "as_is"}
        corrected = [(line, line.corrected(forms)) for line in lines]
        readable = [one for one in corrected if one[0].head in touched and one[1].shape != "record"]
        found: dict[int, tuple[bool, tuple[Problem, ...]]] = {}
        try:
            found = self._checked(readable, forms) if readable else {}
        except ImporterError as error:
            problem = Problem("row.unreadable", "", error.message)
            found = {line.no: (False, (problem,)) for line, _ in readable}
        broken = {line.head for line, _ in corrected if not found.get(line.no, (False, ()))[0]}
        for line, content in corrected:
            problems = found[line.no][1] if line.no in found else None
            if line.word == "given_up":
                yield line.no, "given_up", problems
            elif line.head not in touched:
                yield line.no, "open", None
            elif content.shape == "record" and line.edits:
                unread = Problem("row.ragged", "", "these are still not the cells of the header", ("",))
                yield line.no, "open", (unread,)
            else:
                yield line.no, "open" if line.head in broken else "ready", problems

    def _checked(
        self, rows: Sequence[tuple[Line, Content]], forms: Sequence[Form]
    ) -> dict[int, tuple[bool, tuple[Problem, ...]]]:
        """Whether each row would be sent, or left out by the filter, and what is wrong with it."""
        found: dict[int, tuple[bool, tuple[Problem, ...]]] = {}
        with (
            self.written(rows, forms) as (inputs, members, loaded),
            closing(prepare_sources(inputs, loaded.mapping, self._options, lambda _: None)) as sources,
        ):
            for (number, those), source in zip(members, sources, strict=True):
                if source.error:
                    raise SourceError(source.source.name, source.error)
                for chunk in source.chunks:
                    here = those[chunk.first_row - 1 : chunk.first_row - 1 + chunk.count]
                    for (line, _), state in zip(here, chunk.rows["state"].to_pylist(), strict=True):
                        found[line.no] = (state != State.INVALID.value, ())
                    for one in chunk.reasons.to_pylist():
                        line, content = here[one["row"] - chunk.first_row]
                        reason = (one["code"], one["field"], one["value"])
                        problem = problem_of(self.targets, forms[number], content, (*reason, message_of(*reason)))
                        found[line.no] = (found[line.no][0], (*found[line.no][1], problem))
        return found

    @contextmanager
    def written(self, rows: Sequence[tuple[Line, Content]], forms: Sequence[Form]) -> Iterator[_Written]:
        """Rows as files, for as long as they are needed."""
        by_form: dict[int, list[tuple[Line, Content]]] = {}
        for line, content in rows:
            by_form.setdefault(line.form, []).append((line, content))
        source = how_to_read([forms[number] for number in by_form])
        loaded = replace(self.loaded, mapping=self.loaded.mapping.model_copy(update={"source": source}))
        with tempfile.TemporaryDirectory(prefix="importer-review-") as scratch:
            inputs = [
                write(
                    forms[number], [(content, one.row, one.line) for one, content in those], Path(scratch, str(number))
                )
                for number, those in by_form.items()
            ]
            yield inputs, list(by_form.items()), loaded
