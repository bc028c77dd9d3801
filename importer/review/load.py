"""From the ledger to the desk: the rows of an import that are not delivered, and those in doubt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.ledger.ledger import Ledger
from importer.mapping.model import ImportMapping
from importer.model import RowBatch, Run, RunState, State
from importer.reasons import REASONS
from importer.report.rows import explain
from importer.review.cells import RECORD, Content, Form, contents
from importer.review.desk import Desk, Line, Problem

_UNDELIVERED = pa.array([State.INVALID.value, State.REFUSED.value])
_NEAREST_FIELD = {"email": "subscriber.email", "phone": "subscriber.phone", "id": "subscriber.id",
                  "currency": "value_currency", "group": "group_by"}  # fmt: skip
"""The target of codes that name none, by how they begin; of others the beginning is the target's own name."""

_FACTS = ("row", "line", "state", "key", "subscriber", "type", "value", "currency", "sent_at", "leader",
          "leader_source")  # fmt: skip

Reason = tuple[str, str, str, str]
"""Code, field, value and message."""


@dataclass(frozen=True, slots=True)
class Targets:
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


@dataclass(slots=True)
class _Loading:
    targets: Targets
    forms: list[Form] = field(default_factory=list)
    cells: list[tuple[int, str, str]] = field(default_factory=list)
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    """The number of each line, by run and place."""
    lost: int = 0
    run: str = ""
    at: int = 0
    """Rows of the run before the batch."""
    start: int = 0
    """Rows of the run before its source."""
    starts: dict[str, int] = field(default_factory=dict)
    """Rows of the run before each of its sources."""


def load(desk: Desk, ledger: Ledger, runs: Sequence[Run], mapping: ImportMapping) -> int:
    """Fill the desk with the rows of these runs that count; returns how many have no original cells any more."""
    loading = _Loading(Targets.of(mapping))
    pads = mapping.source.ragged == "pad"

    def lines() -> Iterator[Line]:
        for run in runs:
            if run.state is not RunState.PRUNED:
                yield from _lines(loading, ledger, run, pads=pads)

    desk.fill(loading.forms, lines(), (cell for cell in loading.cells))
    return loading.lost


def _lines(loading: _Loading, ledger: Ledger, run: Run, *, pads: bool) -> Iterator[Line]:
    older = np.array(ledger.places_of_older(run), np.int64)
    loading.run, loading.at, loading.starts = run.id, 0, {}
    for batch in ledger.batches(run, raw_rows=True):
        count = batch.table.num_rows
        if count and batch.table.column("row")[0].as_py() == 1:
            loading.start = loading.at
            loading.starts.setdefault(batch.source.name, loading.at)
            loading.forms.append(Form(run.id, batch.source, pads))
        states, heads = (batch.table.column(name).combine_chunks() for name in ("state", "leader_state"))
        undelivered = pc.or_(
            pc.is_in(states, _UNDELIVERED),
            pc.and_(pc.equal(states, State.GROUPED.value), pc.is_in(heads, _UNDELIVERED)),
        )
        doubtful = pc.equal(states, State.IN_DOUBT.value).to_numpy(zero_copy_only=False)
        wanted = undelivered.to_numpy(zero_copy_only=False) & ~np.isin(loading.at + np.arange(count), older) | doubtful
        if wanted.any():
            yield from _lines_of(loading, batch, np.flatnonzero(wanted))
        loading.at += count


def _lines_of(loading: _Loading, batch: RowBatch, chosen: Any) -> Iterator[Line]:
    run, explained = loading.run, explain(batch)
    table = batch.table.take(pa.array(chosen))
    codes = [code or "" for code in explained.codes.take(pa.array(chosen)).to_pylist()]
    reasons: dict[int, list[Reason]] = {}
    said = (explained.reasons.column(name).to_pylist() for name in ("at", "code", "field", "value", "message"))
    for at, *reason in zip(*said, strict=True):
        reasons.setdefault(at, []).append(tuple(reason))
    form = loading.forms[-1]
    if batch.raw_rows is None:
        loading.lost += len(chosen)
        found: Iterator[Content] = (Content("record", "") for _ in chosen)
    else:
        found = contents(form, batch.raw_rows.take(pa.array(chosen)), codes)
    columns = [table.column(name).to_pylist() for name in _FACTS]
    for at, *values, content in zip(chosen.tolist(), *columns, found, strict=True):
        facts = dict(zip(_FACTS, values, strict=True))
        number, place = len(loading.numbers) + 1, loading.at + at
        loading.numbers[run, place] = number
        source = facts["leader_source"]
        start = loading.start if source is None else loading.starts.get(source, 0)
        head = place if facts["leader"] is None else start + facts["leader"] - 1
        problems = tuple(problem_of(loading.targets, form, content, one) for one in reasons.get(at, ()))
        bad = dict.fromkeys(column for one in problems if one.is_error for column in one.columns)
        loading.cells += [(number, column, content.cell(form, column) or "") for column in bad]
        doubt = facts["state"] == State.IN_DOUBT.value
        yield Line(
            number, run, place, len(loading.forms) - 1, facts["row"], facts["line"],
            number if doubt else loading.numbers.get((run, head), number), facts["state"],
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
        guilty = [column for column, text in there.items() if value and text.strip()[:40] == value.strip()[:40]]
        columns = tuple(guilty or there or (cells if content.shape == "object" else ()))
    known = REASONS.get(code)
    return Problem(code, name, message, columns, is_error=known is None or known.severity == "error")
