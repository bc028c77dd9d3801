"""What a run, or a check, comes to, added up while its rows stream by; memory does not grow with the rows.

Counts by state and by reason, the rows that each test of the mapping leaves out, exact sums of values per type and
currency, how many subscribers there are, the source's first and last time, and answers over time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import Distinct
from importer.exact import OTHER, Sums, token
from importer.model import ArrowArray, ArrowTable, Counts, Int64s, State
from importer.report.model import (
    CurrencyTotal,
    Example,
    FilterSummary,
    Forecast,
    ReasonSummary,
    TypeCount,
    TypeTotals,
)
from importer.report.rows import SEPARATOR, STATES, ExplainedBatch
from importer.report.words import fix_of, severity_of
from importer.wording import iso, shown

FILTERED = ("filtered.where", "filtered.transform", "filtered.given_up")
"""Codes of rows that the mapping, the user's function or the user leaves out: neither errors nor warnings."""
UNSURE = ("doubt.", "failed.")
"""How codes of rows begin that may have been accepted: the user decides, so they are always shown."""
_SHOWN_ROWS = 50
"""Rows kept of each reason, to be shown."""
_SHOWN_REASONS = 20
"""Reasons of which rows are kept."""
_SEEN_VALUES = 5
_EXACT_SUBSCRIBERS = 250_000
"""Above so many they are estimated."""
_KINDS = 1_000
"""Tests counted one by one; the rest is counted as others."""
_MOST_TYPES = 20

OUTCOMES = ("sent", "unconfirmed", "not_sent", "pending")
"""What money and the timeline distinguish."""
_OUTCOME_OF = {
    State.SENT: 0,
    State.IN_DOUBT: 1,
    State.FAILED: 1,
    State.INVALID: 2,
    State.REFUSED: 2,
    State.PENDING: 3,
}
"""Of rows that carry an event of their own; the others are left out, part of another event, or sent before."""
_OUTCOMES = np.array([_OUTCOME_OF.get(state, -1) for state in STATES])
_SENT, _GROUPED, _FILTERED, _INVALID, _PENDING = (
    STATES.index(state) for state in (State.SENT, State.GROUPED, State.FILTERED, State.INVALID, State.PENDING)
)

WIDTHS = (1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800, 2_419_200)
"""Of a step, in seconds: each a multiple of the one before."""
MOST_STEPS = 120
"""Steps of a chart."""
_KEPT_STEPS = 4_096
"""Steps kept while counting."""


class Series(msgspec.Struct, frozen=True):
    """What happened, step by step, without holes."""

    begin: float
    """Seconds since the epoch."""
    width: int
    """Seconds."""
    counts: tuple[tuple[int, ...], ...]
    """Per step the count of each kind; of a longer time than the widest steps reach, the end."""

    @property
    def end(self) -> float:
        """When the last step is over."""
        return self.begin + self.width * len(self.counts)


class Timeline:
    """Counts moments by kind; steps grow where there would be too many."""

    def __init__(self, kinds: int) -> None:
        self._kinds = kinds
        self._level = 0
        self._found: Counter[tuple[int, int]] = Counter()
        """By step and kind."""

    def add(self, seconds: np.ndarray[tuple[int], np.dtype[np.float64]], kinds: Int64s) -> None:
        """Count moments (seconds since the epoch) of kinds (0 to ``kinds`` - 1), shapes (n,)."""
        steps = np.floor(seconds / WIDTHS[self._level]).astype(np.int64)
        found, counts = np.unique(steps * self._kinds + kinds, return_counts=True)
        for key, count in zip(found.tolist(), counts.tolist(), strict=True):
            self._found[divmod(key, self._kinds)] += count
        while len(self._found) > _KEPT_STEPS and self._level + 1 < len(WIDTHS):
            self._widen()

    def series(self) -> Series | None:
        """Everything counted; None if nothing was."""
        if not self._found:
            return None
        while max(self._found)[0] - min(self._found)[0] >= MOST_STEPS and self._level + 1 < len(WIDTHS):
            self._widen()
        last = max(self._found)[0]
        first = max(min(self._found)[0], last - MOST_STEPS + 1)
        width = WIDTHS[self._level]
        kinds = range(self._kinds)
        counts = tuple(tuple(self._found[step, kind] for kind in kinds) for step in range(first, last + 1))
        return Series(float(first * width), width, counts)

    def _widen(self) -> None:
        factor = WIDTHS[self._level + 1] // WIDTHS[self._level]
        self._level += 1
        narrow, self._found = self._found, Counter()
        for (step, kind), count in narrow.items():
            self._found[step // factor, kind] += count


class ShownRow(msgspec.Struct, frozen=True):
    """A row that is shown with its reason."""

    source: str
    row: int
    line: int
    key: str
    subscriber: str
    value: str
    """The offending cell, or the API's words."""
    message: str


class _Reason(msgspec.Struct):
    """One code at one field."""

    message: str
    example: Example
    severity: str
    count: int = 0
    rows: list[ShownRow] = []


class Totals:
    """Counts a run's rows; subscribers and the source's times only where there is to be a `forecast`."""

    def __init__(self, *, foresees: bool = False) -> None:
        self._foresees = foresees
        self._states = np.zeros(len(STATES), np.int64)
        self._reasons: dict[tuple[str, str], _Reason] = {}
        self._filtered: Counter[str] = Counter()
        """Rows by the test that leaves them out."""
        self._seen: dict[str, dict[str, None]] = {}
        """Cells that each test saw."""
        self._filter_sums = Sums()
        self._sums = Sums()
        """By type, currency and outcome."""
        self._subscribers = Distinct(bound=_EXACT_SUBSCRIBERS)
        self._event_times: list[int] = []
        """The first and the last time of events still to be sent, in microseconds since the epoch."""
        self.answers = 0
        self.first_answer: float | None = None
        self.last_answer: float | None = None
        self.timeline = Timeline(len(OUTCOMES))
        """Answers, by the time of each row's last one and its outcome."""
        self.grouped_sent = 0
        """Rows that are part of an event that was sent."""

    def add(self, explained: ExplainedBatch) -> None:
        """Count a batch's rows."""
        states, outcomes = explained.states, _OUTCOMES[explained.states]
        self._states += np.bincount(states, minlength=len(STATES))
        self.grouped_sent += int(np.sum((states == _GROUPED) & (explained.event_states == _SENT)))
        self._add_answers(explained.column("sent_at"), outcomes)
        self._add_events(explained, outcomes)
        if explained.reasons.num_rows:
            self._add_reasons(explained)

    @property
    def counts(self) -> Counts:
        """The rows that came by."""
        return Counts(int(self._states.sum()), dict(zip(STATES, self._states.tolist(), strict=True)))

    def reasons(self) -> tuple[ReasonSummary, ...]:
        """Every code and field that was found, most frequent first."""
        return tuple(
            ReasonSummary(code, one.severity, name, one.count, one.message, fix_of(code), one.example)
            for (code, name), one in sorted(self._reasons.items(), key=lambda item: (-item[1].count, item[0]))
        )

    def rows_of(self, code: str, name: str) -> Sequence[ShownRow]:
        """The first rows of a code at a field."""
        return self._reasons[code, name].rows

    def filters(self) -> tuple[FilterSummary, ...]:
        """What was left out, per test, most rows first."""
        return tuple(
            FilterSummary(test, rows, _totals(self._filter_sums, test), tuple(self._seen[test]))
            for test, rows in sorted(self._filtered.items(), key=lambda item: (-item[1], item[0]))
        )

    def money(self) -> tuple[TypeTotals, ...]:
        """Events and sums per type and currency, most events first."""
        kinds: dict[tuple[str, str], dict[str, object]] = {}
        for (kind, currency, outcome), (count, _, total) in self._sums.found.items():
            kinds.setdefault((kind, currency), {}).update({outcome: count, f"{outcome}_total": token(total)})
        made = [TypeTotals(kind, currency, **found) for (kind, currency), found in kinds.items()]  # type: ignore[arg-type]  # counts and their sums, by name
        return tuple(
            sorted(made, key=lambda m: (-(m.sent + m.unconfirmed + m.not_sent + m.pending), m.type, m.currency))
        )

    def forecast(self, rate: int) -> Forecast:
        """The events that are still to be sent: for a check, those that would be. ``rate`` is events a minute."""
        types: Counter[str] = Counter()
        for (kind, _, outcome), (events, _, _) in self._sums.found.items():
            if outcome == "pending" and events:
                types[kind] += events
        listed = sorted(types.items(), key=lambda one: (-one[1], one[0]))[:_MOST_TYPES]
        oldest, newest = map(_moment, self._event_times or (None, None))
        return Forecast(
            events=types.total(),
            subscribers=self._subscribers.count(),
            subscribers_exact=self._subscribers.is_exact,
            types=tuple(TypeCount(name, count) for name, count in listed),
            other_types=types.total() - sum(count for _, count in listed),
            totals=_totals(self._sums, "", "pending"),
            oldest=oldest,
            newest=newest,
            rate=rate,
            seconds=round(60 * types.total() / rate),
        )

    def _add_answers(self, times: ArrowArray, outcomes: Int64s) -> None:
        answers = len(times) - times.null_count
        if not answers:
            return
        self.answers += answers
        extremes = pc.min_max(times).as_py()
        self.first_answer = min(self.first_answer or extremes["min"], extremes["min"])
        self.last_answer = max(self.last_answer or extremes["max"], extremes["max"])
        counted = times.is_valid().to_numpy(zero_copy_only=False) & (outcomes >= 0)
        self.timeline.add(times.to_numpy(zero_copy_only=False)[counted], outcomes[counted])

    def _add_events(self, explained: ExplainedBatch, outcomes: Int64s) -> None:
        kind, currency, value = (explained.column(name) for name in ("type", "currency", "value"))
        kinds = pa.array(OUTCOMES).take(pa.array(outcomes, mask=outcomes < 0))
        if kinds.null_count:
            kind, currency, value, kinds = (array.filter(kinds.is_valid()) for array in (kind, currency, value, kinds))
        self._sums.add((kind, currency, kinds), value)
        pending = pa.array(explained.states == _PENDING)
        if self._foresees and pending.true_count:
            self._subscribers.add(pc.utf8_lower(explained.column("subscriber").filter(pending)))
            extremes = pc.min_max(explained.column("event_time").filter(pending)).as_py()
            if extremes["min"] is not None:
                known = [*self._event_times, extremes["min"], extremes["max"]]
                self._event_times = [min(known), max(known)]

    def _add_reasons(self, explained: ExplainedBatch) -> None:
        # A row that is still to be sent may have the API's words without a code.
        reasons = explained.reasons.filter(pc.not_equal(explained.reasons.column("code"), ""))
        left_out = pc.is_in(reasons.column("code"), value_set=pa.array(FILTERED)).combine_chunks()
        if left_out.true_count:
            self._add_filtered(explained, reasons.filter(left_out))
            # Of a row that is given up, nothing else is left to be said.
            reasons = reasons.filter(pa.array(explained.states[reasons.column("at").to_numpy()] != _FILTERED))
        found = reasons.group_by(["code", "field"], use_threads=False).aggregate(
            [([], "count_all"), ("at", "first"), ("value", "first"), ("message", "first")]
        )
        for one in found.to_pylist():
            code, name, at = one["code"], one["field"], one["at_first"]
            reason = self._reasons.get((code, name))
            if reason is None:
                row, line = (explained.column(column)[at].as_py() for column in ("row", "line"))
                example = Example(explained.batch.source.name, row, line, shown(one["value_first"]))
                reason = _Reason(one["message_first"], example, _severity(explained, at, code))
                self._reasons[code, name] = reason
            reason.count += one["count_all"]
            room = _SHOWN_ROWS - len(reason.rows) if reason.severity == "error" else 0
            listed = sum(bool(other.rows) for other in self._reasons.values())
            if room > 0 and (reason.rows or code.startswith(UNSURE) or listed < _SHOWN_REASONS):
                here = pc.and_(pc.equal(reasons.column("code"), code), pc.equal(reasons.column("field"), name))
                reason.rows += _shown_rows(explained, reasons.filter(here).slice(0, room))

    def _add_filtered(self, explained: ExplainedBatch, reasons: ArrowTable) -> None:
        code = reasons.column("code")
        tests = pc.if_else(pc.equal(code, "filtered.where"), reasons.column("field"), code)
        tests = tests.combine_chunks()
        for found in pc.value_counts(tests).to_pylist():
            test = found["values"] if found["values"] in self._filtered or len(self._filtered) < _KINDS else OTHER
            self._filtered[test] += found["counts"]
            values = self._seen.setdefault(test, {})
            if len(values) < _SEEN_VALUES and test != "filtered.transform":  # which sees whole rows
                seen = reasons.column("value").filter(pc.equal(tests, found["values"])).combine_chunks()
                counts = pc.value_counts(seen.slice(0, 10_000)).to_pylist()
                for value in sorted(counts, key=lambda each: -each["counts"])[: _SEEN_VALUES - len(values)]:
                    values[shown(value["values"])] = None
        rows = reasons.column("at").combine_chunks()
        currency, value = (explained.column(name).take(rows) for name in ("currency", "value"))
        self._filter_sums.add((tests, currency, pa.repeat("", len(tests))), value)


def _severity(explained: ExplainedBatch, at: int, code: str) -> str:
    """A warning is an error where it alone keeps its row from being sent, as `--strict` asks."""
    codes = explained.codes[at].as_py().split(SEPARATOR)
    invalid = explained.states[at] == _INVALID
    return "error" if invalid and all(severity_of(one) == "warning" for one in codes) else severity_of(code)


def _shown_rows(explained: ExplainedBatch, reasons: ArrowTable) -> Iterator[ShownRow]:
    at = reasons.column("at").combine_chunks()
    columns = [explained.column(name).take(at).to_pylist() for name in ("row", "line", "key", "subscriber")]
    said = [reasons.column(name).to_pylist() for name in ("value", "message")]
    for row, line, key, subscriber, value, message in zip(*columns, *said, strict=True):
        yield ShownRow(explained.batch.source.name, row, line, key or "", subscriber or "", value, message)


def _totals(sums: Sums, first: str, third: str = "") -> tuple[CurrencyTotal, ...]:
    return tuple(CurrencyTotal(*one) for one in sums.by_currency(first, third))


def _moment(micros: int | None) -> str | None:
    try:
        return None if micros is None else iso(micros / 1e6)
    except (ValueError, OverflowError):  # a year that Python's calendar does not have
        return None
