"""What the summary says of a run's rows, counted while they stream by.

This module owns counting and nothing else; memory grows with the number of distinct reasons, never with rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from importer.model import Counts, RowBatch, State
from importer.reasons import REASONS
from importer.report.explain import column
from importer.report.model import Example, ReasonSummary
from importer.report.wording import delivery_message, fix_of, message_of, severity_of, shown


@dataclass(slots=True)
class _Seen:
    """One code at one field."""

    count: int
    message: str
    example: Example


class Tally:
    """Counts rows by state, and by reason, and when the first and last answers came."""

    def __init__(self) -> None:
        self._states: Counter[State] = Counter()
        self._seen: dict[tuple[str, str], _Seen] = {}
        self.answers = 0
        self.first_answer: float | None = None
        self.last_answer: float | None = None

    def add(self, batch: RowBatch) -> None:
        """Count a batch's rows."""
        for found in pc.value_counts(column(batch, "state")).to_pylist():
            self._states[State(found["values"])] += found["counts"]
        self._add_times(batch)
        self._add_reasons(batch)
        self._add_delivery(batch)

    @property
    def counts(self) -> Counts:
        """The rows that came by."""
        return Counts(read=self._states.total(), by_state={state: self._states[state] for state in State})

    def reasons(self) -> tuple[ReasonSummary, ...]:
        """Every code and field that was found, most frequent first."""
        return tuple(
            ReasonSummary(code, severity_of(code), field, seen.count, seen.message, fix_of(code), seen.example)
            for (code, field), seen in sorted(self._seen.items(), key=lambda item: (-item[1].count, item[0]))
        )

    def _add_times(self, batch: RowBatch) -> None:
        times = column(batch, "sent_at")
        answers = len(times) - times.null_count
        if not answers:
            return
        self.answers += answers
        extremes = pc.min_max(times).as_py()
        self.first_answer = min(self.first_answer or extremes["min"], extremes["min"])
        self.last_answer = max(self.last_answer or extremes["max"], extremes["max"])

    def _add_reasons(self, batch: RowBatch) -> None:
        for reason in batch.reasons:
            seen = self._seen.get((reason.code, reason.field))
            if seen is not None:
                seen.count += 1
                continue
            example = self._example(batch, reason.row, reason.value)
            text = message_of(reason.code, reason.field, reason.value)
            self._seen[reason.code, reason.field] = _Seen(1, text, example)

    def _add_delivery(self, batch: RowBatch) -> None:
        codes = column(batch, "code")
        if codes.null_count == len(codes):
            return
        for found in pc.value_counts(codes.drop_null()).to_pylist():
            code = found["values"]
            seen = self._seen.get((code, ""))
            if seen is not None:
                seen.count += found["counts"]
                continue
            at = pc.index(codes, pa.scalar(code, codes.type)).as_py()
            row, words, key = (column(batch, name)[at].as_py() for name in ("row", "message", "key"))
            value = (key or "") if "{value}" in getattr(REASONS.get(code), "message", "") else (words or "")
            text = delivery_message(code, words or "", key or "")
            self._seen[code, ""] = _Seen(found["counts"], text, self._example(batch, row, value))

    def _example(self, batch: RowBatch, row: int, value: str) -> Example:
        rows = column(batch, "row")
        at = pc.index(rows, pa.scalar(row, rows.type)).as_py()
        line = column(batch, "line")[at].as_py()
        return Example(batch.source.name, row, line, shown(value))
