"""What a run, or a check, comes to, added up while its rows stream by; memory does not grow with the rows.

Counts by state and by reason, the rows that each test of the mapping leaves out, exact sums of values per type and
currency, how many subscribers there are, the source's first and last time, and answers over time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import Hashes, hashes
from importer.exact import OTHER, Sums, token
from importer.model import ArrowArray, ArrowTable, Counts, Int64s, State
from importer.report.messages import fix_of, severity_of
from importer.report.model import CurrencyTotal, Example, FilterSummary, ReasonSummary, TypeTotals
from importer.report.rows import SEPARATOR, ExplainedBatch
from importer.wording import shown

FILTERED = ("filtered.where", "filtered.transform", "filtered.given_up")
"""Codes of rows that the mapping, the user's function or the user leaves out: neither errors nor warnings."""
UNSURE = ("doubt.", "failed.")
"""How codes of rows begin that may have been accepted: the user decides, so they are always shown."""
SHOWN_ROWS = 50
"""Rows kept of each reason, to be shown."""
_SHOWN_REASONS = 20
"""Reasons of which rows are kept."""
_SEEN_VALUES = 5
_KINDS = 1_000
"""Tests counted one by one; the rest is counted as others."""

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
_STATES = pa.array([state.value for state in _OUTCOME_OF])
_OUTCOMES = np.array([*_OUTCOME_OF.values()], np.int64)

EXACT = 250_000
"""Distinct texts that are counted exactly: 8 bytes each, and five times that while they are sorted."""
WIDTHS = (1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800, 2_419_200)
"""Of a step, in seconds: each a multiple of the one before."""
MOST_STEPS = 120
"""Steps of a chart."""
_KEPT_STEPS = 1_024
"""Steps kept while counting."""


class Distinct:
    """A count of distinct texts at flat memory; nulls are none.

    Exact up to a bound, by 64-bit hashes; above it an estimate from the smallest hashes (Bar-Yossef and others,
    "Counting distinct elements in a data stream", 2002), whose error is about two in a thousand.
    """

    def __init__(self, *, exact: int = EXACT) -> None:
        self._bound = exact
        self._known = np.empty(0, np.uint64)
        """The smallest hashes, ascending, each once; all of them while they are no more than the bound."""
        self._waiting: list[Hashes] = []
        self._size = 0
        self.is_exact = True

    def add(self, texts: ArrowArray) -> None:
        """Count a column's texts."""
        texts = texts.drop_null()
        if not len(texts):
            return
        found = hashes(texts)
        if not self.is_exact:
            found = found[found < self._known[-1]]
        self._waiting.append(found)
        self._size += len(found)
        if self._size > self._bound:
            self._merge()

    def count(self) -> int:
        """How many there are; about that many unless ``is_exact``."""
        self._merge()
        if self.is_exact:
            return len(self._known)
        # The k-th smallest of n hashes is at about k/n of their range.
        return round((len(self._known) - 1) / ((int(self._known[-1]) + 1) / 2**64))

    def _merge(self) -> None:
        # Sorting is ten times faster than `np.unique`, which builds a table of hashes first.
        together = np.concatenate([self._known, *self._waiting])
        self._known, self._waiting, self._size = together[:0], [], 0
        together.sort()
        self._known = together[np.append(True, together[1:] != together[:-1])] if len(together) else together
        if len(self._known) > self._bound:
            self._known = self._known[: self._bound].copy()
            self.is_exact = False


@dataclass(frozen=True, slots=True)
class Series:
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
    """Counts moments by kind; where they lie too far apart for the memory, steps grow."""

    def __init__(self, kinds: int, widths: Sequence[int] = WIDTHS) -> None:
        self._kinds = kinds
        self._widths = widths
        self._level = 0
        self._steps: dict[int, Int64s] = {}

    def add(self, seconds: np.ndarray[tuple[int], np.dtype[np.float64]], kinds: Int64s) -> None:
        """Count moments (seconds since the epoch) of kinds (0 to ``kinds`` - 1), shapes (n,)."""
        if not len(seconds):
            return
        span = float(seconds.max() - seconds.min())
        while span / self._widths[self._level] > _KEPT_STEPS and self._level + 1 < len(self._widths):
            self._widen()
        numbers = np.floor(seconds / self._widths[self._level]).astype(np.int64)
        distinct, inverse = np.unique(numbers, return_inverse=True)
        size = len(distinct) * self._kinds
        counts = np.bincount(inverse * self._kinds + kinds, minlength=size).reshape(-1, self._kinds)
        for number, found in zip(distinct.tolist(), counts, strict=True):
            self._steps[number] = self._steps.get(number, 0) + found
        while len(self._steps) > _KEPT_STEPS and self._level + 1 < len(self._widths):
            self._widen()

    def series(self) -> Series | None:
        """Everything counted; None if nothing was."""
        if not self._steps:
            return None
        while max(self._steps) - min(self._steps) >= MOST_STEPS and self._level + 1 < len(self._widths):
            self._widen()
        last = max(self._steps)
        first = max(min(self._steps), last - MOST_STEPS + 1)
        nothing = np.zeros(self._kinds, np.int64)
        width = self._widths[self._level]
        counts = tuple(tuple(self._steps.get(at, nothing).tolist()) for at in range(first, last + 1))
        return Series(float(first * width), width, counts)

    def _widen(self) -> None:
        factor = self._widths[self._level + 1] // self._widths[self._level]
        self._level += 1
        steps, self._steps = self._steps, {}
        for number, found in steps.items():
            self._steps[number // factor] = self._steps.get(number // factor, 0) + found


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row that is shown with its reason."""

    source: str
    row: int
    line: int
    key: str
    subscriber: str
    value: str
    """The offending cell, or the API's words."""
    message: str


@dataclass(slots=True)
class _Reason:
    """One code at one field."""

    message: str
    example: Example
    severity: str
    count: int = 0
    rows: list[ShownRow] = field(default_factory=list)


@dataclass(slots=True)
class _Filter:
    """One test of the mapping."""

    rows: int = 0
    values: dict[str, None] = field(default_factory=dict)


class Totals:
    """Counts a run's rows."""

    def __init__(self) -> None:
        self._states: Counter[State] = Counter()
        self._reasons: dict[tuple[str, str], _Reason] = {}
        self._filters: dict[str, _Filter] = {}
        self._filter_sums = Sums()
        self._sums = Sums()
        self._subscribers = Distinct()
        self._event_times: list[int] = []
        self.answers = 0
        self.first_answer: float | None = None
        self.last_answer: float | None = None
        self.timeline = Timeline(len(OUTCOMES))
        """Answers, by the time of each row's last one and its outcome."""
        self.grouped_sent = 0
        """Rows that are part of an event that was sent."""

    def add(self, explained: ExplainedBatch) -> None:
        """Count a batch's rows."""
        states = explained.column("state")
        for found in pc.value_counts(states).to_pylist():
            self._states[State(found["values"])] += found["counts"]
        grouped = pc.equal(states, State.GROUPED.value)
        if grouped.true_count:
            heads = pc.equal(explained.column("leader_state"), State.SENT.value)
            self.grouped_sent += pc.and_(grouped, heads).true_count
        outcome = pc.index_in(states, value_set=_STATES)
        self._add_answers(explained, outcome)
        self._add_events(explained, outcome)
        if explained.reasons.num_rows:
            self._add_reasons(explained)

    @property
    def counts(self) -> Counts:
        """The rows that came by."""
        return Counts(read=self._states.total(), by_state={state: self._states[state] for state in State})

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
        found = {test: FilterSummary(test, one.rows, (), tuple(one.values)) for test, one in self._filters.items()}
        return tuple(
            FilterSummary(test, one.rows, _totals(self._filter_sums, test), one.values)
            for test, one in sorted(found.items(), key=lambda item: (-item[1].rows, item[0]))
        )

    def money(self) -> tuple[TypeTotals, ...]:
        """Events and sums per type and currency, most events first."""
        kinds: dict[tuple[str, str], dict[str, object]] = {}
        for (kind, currency, outcome), (count, _, total) in self._sums.found.items():
            one = kinds.setdefault((kind, currency), {})
            one[OUTCOMES[int(outcome)]] = count
            one[f"{OUTCOMES[int(outcome)]}_total"] = token(total)
        made = [TypeTotals(kind, currency, **found) for (kind, currency), found in kinds.items()]  # type: ignore[arg-type]  # counts and their sums, by name
        return tuple(
            sorted(made, key=lambda m: (-(m.sent + m.unconfirmed + m.not_sent + m.pending), m.type, m.currency))
        )

    def pending(self) -> _Pending:
        """What is still to be sent: for a check, what would be."""
        return _Pending(self._sums, self._subscribers, self._event_times)

    def _add_answers(self, explained: ExplainedBatch, outcome: ArrowArray) -> None:
        times = explained.column("sent_at")
        answers = len(times) - times.null_count
        if not answers:
            return
        self.answers += answers
        extremes = pc.min_max(times).as_py()
        self.first_answer = min(self.first_answer or extremes["min"], extremes["min"])
        self.last_answer = max(self.last_answer or extremes["max"], extremes["max"])
        counted = pc.and_(times.is_valid(), outcome.is_valid())
        kinds = _OUTCOMES[outcome.filter(counted).to_numpy(zero_copy_only=False)]
        self.timeline.add(times.filter(counted).to_numpy(zero_copy_only=False), kinds)

    def _add_events(self, explained: ExplainedBatch, outcome: ArrowArray) -> None:
        here = outcome.is_valid()
        if not here.true_count:
            return
        kinds = pa.array(_OUTCOMES[outcome.filter(here).to_numpy(zero_copy_only=False)]).cast(pa.string())
        names = ("type", "currency", "value")
        kind, currency, value = (explained.column(name).filter(here) for name in names)
        self._sums.add((kind, currency, kinds), value)
        pending = pc.equal(explained.column("state"), State.PENDING.value)
        if pending.true_count:
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
            states = explained.column("state").take(reasons.column("at").combine_chunks())
            reasons = reasons.filter(pc.not_equal(states, State.FILTERED.value))
        found = reasons.group_by(["code", "field"], use_threads=False).aggregate(
            [([], "count_all"), ("at", "first"), ("value", "first"), ("message", "first")]
        )
        for one in found.to_pylist():
            code, name = one["code"], one["field"]
            if (code, name) not in self._reasons:
                row, line = (explained.column(column)[one["at_first"]].as_py() for column in ("row", "line"))
                example = Example(explained.batch.source.name, row, line, shown(one["value_first"]))
                severity = _severity(explained, one["at_first"], code)
                self._reasons[code, name] = _Reason(one["message_first"], example, severity)
            reason = self._reasons[code, name]
            reason.count += one["count_all"]
            room = SHOWN_ROWS - len(reason.rows) if reason.severity == "error" else 0
            if room > 0 and (reason.rows or code.startswith(UNSURE) or self._shows_another()):
                here = pc.and_(pc.equal(reasons.column("code"), code), pc.equal(reasons.column("field"), name))
                reason.rows += _shown_rows(explained, reasons.filter(here).slice(0, room))

    def _shows_another(self) -> bool:
        return sum(bool(one.rows) for one in self._reasons.values()) < _SHOWN_REASONS

    def _add_filtered(self, explained: ExplainedBatch, reasons: ArrowTable) -> None:
        tests = pc.if_else(pc.equal(reasons.column("field"), ""), reasons.column("code"), reasons.column("field"))
        tests = tests.combine_chunks()
        rows = reasons.column("at").combine_chunks()
        for found in pc.value_counts(tests).to_pylist():
            room = found["values"] in self._filters or len(self._filters) < _KINDS
            one = self._filters.setdefault(found["values"] if room else OTHER, _Filter())
            one.rows += found["counts"]
            if len(one.values) < _SEEN_VALUES:
                seen = reasons.column("value").filter(pc.equal(tests, found["values"])).combine_chunks()
                counts = pc.value_counts(seen.slice(0, 10_000)).to_pylist()
                for value in sorted(counts, key=lambda each: -each["counts"])[: _SEEN_VALUES - len(one.values)]:
                    one.values[shown(value["values"])] = None
        currency, value = (explained.column(name).take(rows) for name in ("currency", "value"))
        self._filter_sums.add((tests, currency, pa.repeat("", len(tests))), value)


def _severity(explained: ExplainedBatch, at: int, code: str) -> str:
    """A warning is an error where it alone keeps its row from being sent, as `--strict` asks."""
    codes = explained.codes[at].as_py().split(SEPARATOR)
    strict = explained.column("state")[at].as_py() == State.INVALID.value and all(
        severity_of(one) == "warning" for one in codes
    )
    return "error" if strict else severity_of(code)


def _shown_rows(explained: ExplainedBatch, reasons: ArrowTable) -> Iterable[ShownRow]:
    at = reasons.column("at").combine_chunks()
    names = ("row", "line", "key", "subscriber")
    columns = [explained.column(name).take(at).to_pylist() for name in names]
    said = [reasons.column(name).to_pylist() for name in ("value", "message")]
    for row, line, key, subscriber, value, message in zip(*columns, *said, strict=True):
        yield ShownRow(explained.batch.source.name, row, line, key or "", subscriber or "", value, message)


@dataclass(frozen=True, slots=True)
class _Pending:
    """The events that are still to be sent."""

    _sums: Sums
    subscribers: Distinct
    times: Sequence[int]
    """The source's first and last time, in microseconds since the epoch; empty if none is known."""

    @property
    def types(self) -> Counter[str]:
        """Events by type."""
        found: Counter[str] = Counter()
        for (kind, _, outcome), (events, _, _) in self._sums.found.items():
            if OUTCOMES[int(outcome)] == "pending" and events:
                found[kind] += events
        return found

    @property
    def totals(self) -> tuple[CurrencyTotal, ...]:
        """Values by currency."""
        return _totals(self._sums, "", str(OUTCOMES.index("pending")))


def _totals(sums: Sums, first: str, third: str = "") -> tuple[CurrencyTotal, ...]:
    return tuple(CurrencyTotal(*one) for one in sums.by_currency(first, third))
