"""What a check foresees: the events by subscriber, type, currency and time, and how long their delivery will take.

This module owns counting them while they stream by, and the offending values from which advice is made. Memory grows
with the number of types and of reasons, up to a bound each, never with rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from importer.exact import DecimalColumn, sums
from importer.model import ArrowArray, ArrowTable, EncodedChunk, State
from importer.report.check_model import CurrencyTotal, ForeseenEvents, TypeCount
from importer.report.distinct import Distinct
from importer.report.model import ReasonSummary
from importer.report.wording import iso

if TYPE_CHECKING:
    from importer.suggest.advice import Context, Finding

_MOST_TYPES = 1_000
"""Types counted by name; the rest of them together."""
_TOLD_TYPES = 20
_MOST_VALUES = 200
"""Offending values kept of one reason."""
_MOST_PHONES = 500


class Foresight:
    """Counts the events of a check's chunks."""

    def __init__(self) -> None:
        self._events = 0
        self._subscribers = Distinct()
        self._types: Counter[str] = Counter()
        self._other = 0
        self._totals: dict[str, DecimalColumn] = {}
        self._valued: Counter[str] = Counter()
        self._oldest: int | None = None
        self._newest: int | None = None
        self._values: dict[tuple[str, str], dict[str, None]] = {}
        self._phones: dict[str, None] = {}

    def add(self, prepared: EncodedChunk) -> None:
        """Count a chunk's events, and look at what its other rows offend with."""
        self._look(prepared.reasons)
        phones = prepared.identities[2]
        if len(self._phones) < _MOST_PHONES and phones.null_count < len(phones):
            self._phones |= dict.fromkeys(phones.drop_null().slice(0, _MOST_PHONES).to_pylist())
        here = pc.equal(prepared.states, State.PENDING.value)
        events = here.true_count
        if not events:
            return
        self._events += events

        def chosen(column: ArrowArray) -> ArrowArray:
            return column if events == prepared.count else column.filter(here)

        id_, email, phone = map(chosen, prepared.identities)
        self._subscribers.add(pc.coalesce(email, phone, id_) if email.null_count else email)
        self._add_types(chosen(prepared.types))
        self._add_values(chosen(prepared.values), chosen(prepared.currencies))
        if prepared.event_time is not None:
            self._add_times(chosen(prepared.event_time))

    def events(self, rate: int) -> ForeseenEvents:
        """What was counted; ``rate`` is the events a minute that delivery is assumed to make."""
        told = self._types.most_common(_TOLD_TYPES)
        return ForeseenEvents(
            events=self._events,
            subscribers=self._subscribers.count(),
            subscribers_exact=self._subscribers.is_exact,
            types=tuple(TypeCount(name, count) for name, count in told),
            other_types=self._other + self._types.total() - sum(count for _, count in told),
            totals=tuple(
                CurrencyTotal(name, count, self._totals[name].tokens()[0].as_py())
                for name, count in sorted(self._valued.items(), key=lambda one: (-one[1], one[0]))
            ),
            oldest=_moment(self._oldest),
            newest=_moment(self._newest),
            rate=rate,
            seconds=round(60 * self._events / rate),
        )

    def findings(self, reasons: Sequence[ReasonSummary], rows: int) -> tuple[Finding, ...]:
        """What each reason's rows offend with, one for one."""
        from importer.suggest.advice import Finding

        return tuple(
            Finding(one.code, one.field, tuple(self._values.get((one.code, one.field), ())), one.count * 2 >= rows)
            for one in reasons
        )

    def context(self, unmapped: tuple[str, ...]) -> Context:
        """What else advice is made from."""
        from importer.suggest.advice import Context

        return Context(tuple(one for one in self._phones if one.startswith("+")), unmapped)

    def _look(self, reasons: ArrowTable) -> None:
        if not reasons.num_rows:
            return
        distinct = reasons.select(["code", "field", "value"]).slice(0, 50 * _MOST_VALUES)
        for one in distinct.group_by(["code", "field", "value"]).aggregate([]).to_pylist():
            values = self._values.setdefault((one["code"], one["field"]), {})
            if len(values) < _MOST_VALUES:
                values[one["value"]] = None

    def _add_types(self, types: ArrowArray) -> None:
        for found in pc.value_counts(types).to_pylist():
            if found["values"] in self._types or len(self._types) < _MOST_TYPES:
                self._types[found["values"]] += found["counts"]
            else:
                self._other += found["counts"]

    def _add_values(self, values: ArrowArray, currencies: ArrowArray) -> None:
        there = pc.is_valid(values)
        if not there.true_count:
            return
        if values.null_count:
            values, currencies = values.filter(there), currencies.filter(there)
        currencies = pc.fill_null(currencies, "")
        names = pc.unique(currencies).to_pylist()
        for name in names:
            chosen = values if len(names) == 1 else values.filter(pc.equal(currencies, name))
            had = [] if name not in self._totals else [self._totals[name].tokens()]
            tokens = pa.chunked_array([chosen, *had]).combine_chunks()
            self._totals[name] = sums(DecimalColumn.of(tokens), _FROM_START)
            self._valued[name] += len(chosen)

    def _add_times(self, times: ArrowArray) -> None:
        extremes = pc.min_max(times).as_py()
        if extremes["min"] is not None:
            self._oldest = min(extremes["min"], extremes["min"] if self._oldest is None else self._oldest)
            self._newest = max(extremes["max"], extremes["max"] if self._newest is None else self._newest)


_FROM_START = pa.array([0], pa.int64()).to_numpy()


def _moment(micros: int | None) -> str | None:
    try:
        return None if micros is None else iso(micros / 1e6)
    except (ValueError, OverflowError):  # a year that Python's calendar does not have
        return None
