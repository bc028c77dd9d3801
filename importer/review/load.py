"""From the ledger to the desk: the rows of an import that are not delivered, and those in doubt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa

from importer.ledger.ledger import Ledger
from importer.mapping.model import ImportMapping
from importer.model import Int64s, Run, RunState, State
from importer.reasons import REASONS
from importer.report.rows import STATES, ExplainedBatch, explain
from importer.review.cells import RECORD, Content, Form, contents
from importer.review.desk import Desk, Line, Problem

_UNDELIVERED = [STATES.index(State.INVALID), STATES.index(State.REFUSED)]
_IN_DOUBT = STATES.index(State.IN_DOUBT)
_NEAREST_FIELD = {"email": "subscriber.email", "phone": "subscriber.phone", "id": "subscriber.id",
                  "currency": "value_currency", "group": "group_by"}  # fmt: skip
"""The target of codes that name none, by how they begin; of others the beginning is the target's own name."""

Reason = tuple[str, str, str, str]
"""Code, field, value and message."""


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


def load(desk: Desk, ledger: Ledger, runs: Sequence[Run], mapping: ImportMapping) -> int:
    """Fill the desk with the rows of these runs that count; returns how many have no original cells any more."""
    loader = _Loader(mapping)
    desk.fill(loader.forms, loader.lines(ledger, runs), (cell for cell in loader.cells))
    return loader.lost


class _Loader:
    def __init__(self, mapping: ImportMapping) -> None:
        self._targets = Targets.of(mapping)
        self._pads = mapping.source.ragged == "pad"
        self._numbers: dict[tuple[str, int], int] = {}
        """The number of each line, by run and place."""
        self.forms: list[Form] = []
        self.cells: list[tuple[int, str, str]] = []
        """The bad ones: number of the line, column and text."""
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
                    self.forms.append(Form(run.id, batch.source, self._pads))
                explained = explain(batch)
                doubtful = explained.states == _IN_DOUBT
                wanted = np.isin(explained.event_states, _UNDELIVERED) & ~np.isin(at + np.arange(count), older)
                if (wanted | doubtful).any():
                    chosen = np.flatnonzero(wanted | doubtful)
                    yield from self._lines_of(run.id, explained, chosen, at, starts)
                at += count

    def _lines_of(
        self, run: str, explained: ExplainedBatch, chosen: Int64s, before: int, starts: Mapping[str | None, int]
    ) -> Iterator[Line]:
        """The batch's lines; ``starts``: rows of the run before each source, and before this one under None."""
        batch, form, rows = explained.batch, self.forms[-1], pa.array(chosen)
        codes = [code or "" for code in explained.codes.take(rows).to_pylist()]
        reasons: dict[int, list[Reason]] = {}
        said = (explained.reasons.column(name).to_pylist() for name in ("at", "code", "field", "value", "message"))
        for at, *reason in zip(*said, strict=True):
            reasons.setdefault(at, []).append(tuple(reason))
        if batch.raw_rows is None:
            self.lost += len(chosen)
            found: Iterator[Content] = (Content("record", "") for _ in chosen)
        else:
            found = contents(form, batch.raw_rows.take(rows), codes)
        for at, facts, content in zip(chosen.tolist(), batch.table.take(rows).to_pylist(), found, strict=True):
            number, place = len(self._numbers) + 1, before + at
            self._numbers[run, place] = number
            leader = facts["leader"]
            head = place if leader is None else starts.get(facts["leader_source"], 0) + leader - 1
            problems = tuple(problem_of(self._targets, form, content, one) for one in reasons.get(at, ()))
            bad = dict.fromkeys(column for one in problems if one.is_error for column in one.columns)
            self.cells += [(number, column, content.cell(form, column) or "") for column in bad]
            doubt = facts["state"] == State.IN_DOUBT.value
            yield Line(
                number, run, place, len(self.forms) - 1, facts["row"], facts["line"],
                number if doubt else self._numbers.get((run, head), number), facts["state"],
                next((one.code for one in problems if one.is_error), problems[0].code if problems else ""),
                facts["key"] or "", facts["subscriber"] or "", facts["type"] or "", facts["value"] or "",
                facts["currency"] or "", facts["sent_at"], content, problems, "doubt" if doubt else "open", {}, "", "",
            )  # fmt: skip


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
