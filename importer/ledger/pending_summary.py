"""What delivery is about to do, for the guard before a live run.

This module owns counting what is pending by subscriber, type and currency, from what planning packed; it changes
nothing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.ledger.database import Database
from importer.ledger.packing import unpack
from importer.ledger.schema import CODES, ids
from importer.ledger.spill import Spill
from importer.model import ArrowArray, ArrowTable, PendingSummary, Run, State

if TYPE_CHECKING:
    from importer.model import Int64s

IN_MEMORY = 500_000
"""Lanes counted in memory (16 bytes each) before they move to a temporary file."""

_TOGETHER = 250_000
"""Rows counted by lane at a time, for each time goes through all lanes there are."""
_TYPES = 20

_ORDINARY = r"^-?[0-9]{1,20}(\.[0-9]{1,12})?$"
_EXACT = Context(prec=1_000)
"""More digits than a sum of JSON numbers can have within a float's range."""


def pending_summary(database: Database, run: Run, *, in_memory: int = IN_MEMORY) -> PendingSummary:
    """See `Ledger.outlook`."""
    with database.explained(), contextlib.closing(Spill()) as spill:
        sums = _Sums()
        tally = _LaneTally(spill, in_memory)
        for facts, lanes in _pending(database, run):
            sums.add(facts)
            tally.add(lanes)
        subscribers, lane, most = tally.total()
        return PendingSummary(
            events=sums.events,
            subscribers=subscribers,
            most_for_one=most,
            most_subscriber=_name(database, run, lane) if most else "",
            types=tuple(sorted(sums.types.items(), key=lambda one: (-one[1], one[0]))[:_TYPES]),
            totals=sums.totals(),
            oldest=sums.oldest,
            newest=sums.newest,
        )


def _pending(database: Database, run: Run) -> Iterator[tuple[ArrowTable, Int64s]]:
    """The facts and the lanes of the pending rows, chunk by chunk."""
    execute = database.connection.execute
    bounds = ids(run.no)
    chunks = execute("SELECT first_id, count FROM chunk WHERE first_id BETWEEN ? AND ? ORDER BY first_id", bounds)
    for first, count in chunks.fetchall():
        found = execute(
            "SELECT id FROM row WHERE id BETWEEN ? AND ? AND state = ?",
            (first, first + count - 1, CODES[State.PENDING]),
        ).fetchall()
        if found:
            at = np.fromiter((row_id for (row_id,) in found), dtype=np.int64, count=len(found)) - first
            lanes, facts = execute("SELECT lanes, facts FROM chunk WHERE first_id = ?", (first,)).fetchone()
            yield unpack(facts).take(pa.array(at)), np.frombuffer(lanes, dtype=np.int64)[at]


@dataclass(slots=True)
class _Sums:
    """What can be added up chunk by chunk."""

    events: int = 0
    types: Counter[str] = field(default_factory=Counter)
    oldest: float | None = None
    newest: float | None = None
    _counts: Counter[str] = field(default_factory=Counter)
    _sums: dict[str, Decimal] = field(default_factory=dict)

    def add(self, facts: ArrowTable) -> None:
        self.events += facts.num_rows
        for found in pc.value_counts(facts.column("type").cast(pa.string())).to_pylist():
            self.types[found["values"]] += found["counts"]
        self._add_values(facts)
        extremes = pc.min_max(facts.column("event_time")).as_py()
        if extremes["min"] is not None:
            oldest, newest = extremes["min"] / 1e6, extremes["max"] / 1e6
            self.oldest = oldest if self.oldest is None else min(self.oldest, oldest)
            self.newest = newest if self.newest is None else max(self.newest, newest)

    def _add_values(self, facts: ArrowTable) -> None:
        chosen = facts.select(["currency", "value"]).filter(pc.is_valid(facts.column("value")))
        currencies = pc.fill_null(chosen.column("currency").cast(pa.string()), "")
        for currency, total, count in _sums_of(currencies, chosen.column("value")):
            self._sums[currency] = _EXACT.add(self._sums.get(currency, Decimal(0)), total)
            self._counts[currency] += count

    def totals(self) -> tuple[tuple[str, int, str], ...]:
        ranked = sorted(self._counts, key=lambda name: (-self._counts[name], name))
        return tuple((name, self._counts[name], f"{self._sums[name].normalize(_EXACT):f}") for name in ranked)


def _sums_of(currencies: ArrowArray, values: ArrowArray) -> Iterator[tuple[str, Decimal, int]]:
    """Currency, exact sum and number of values: by Arrow where all are ordinary, else one by one."""
    # Arrow would let longer texts, or exponents, overflow in silence; shorter ones leave room for a chunk's sum.
    ordinary = pc.match_substring_regex(values, _ORDINARY)
    if not pc.all(ordinary, min_count=0).as_py():
        for currency, value in zip(currencies.to_pylist(), values.to_pylist(), strict=True):
            yield currency, Decimal(value), 1
        return
    wide = values.cast(pa.decimal128(38, 12)).cast(pa.decimal256(76, 12))
    grouped = pa.table({"currency": currencies, "value": wide}).group_by("currency")
    for one in grouped.aggregate([("value", "sum"), ("value", "count")]).to_pylist():
        yield one["currency"], one["value_sum"], one["value_count"]


class _LaneTally:
    """Counts rows by lane; beyond a number of lanes, in a temporary file."""

    def __init__(self, spill: Spill, in_memory: int) -> None:
        self._spill = spill
        self._in_memory = in_memory
        self._lanes = np.empty(0, dtype=np.int64)
        self._counts = np.empty(0, dtype=np.int64)
        self._waiting: list[Int64s] = []
        self._size = 0
        """Rows that wait to be counted."""
        self._spilled = 0
        """Pairs of a lane and a count, in the file."""

    def add(self, lanes: Int64s) -> None:
        """Count so many rows more."""
        self._waiting.append(lanes)
        self._size += len(lanes)
        if self._size >= _TOGETHER:
            self._settle()

    def _settle(self) -> None:
        together = np.concatenate([self._lanes, *self._waiting])
        weights = np.concatenate([self._counts, np.ones(self._size, dtype=np.int64)])
        self._waiting, self._size = [], 0
        self._lanes, self._counts = _summed(together, weights)
        if len(self._lanes) > self._in_memory:
            self._spill.add(self._lanes, self._counts)
            self._spilled += len(self._lanes)
            self._lanes, self._counts = self._lanes[:0], self._counts[:0]

    def total(self) -> tuple[int, int, int]:
        """The number of lanes, the longest one, and its length."""
        self._settle()
        if not self._spill:
            return _longest(self._lanes, self._counts)
        self._spill.add(self._lanes, self._counts)
        # Lanes are hashes, so that equal ranges of them hold about as many each.
        parts = 1 + (self._spilled + len(self._lanes)) // self._in_memory
        found = [_longest(*_summed(*pairs)) for pairs in self._spill.in_ranges(parts)]
        _, lane, most = max(found, key=lambda one: one[2])
        return sum(lanes for lanes, _, _ in found), lane, most


def _summed(lanes: Int64s, counts: Int64s) -> tuple[Int64s, Int64s]:
    """The lanes, ascending, each once, and the sum of its counts."""
    distinct, inverse = np.unique(lanes, return_inverse=True)
    return distinct, np.bincount(inverse, weights=counts, minlength=len(distinct)).astype(np.int64)


def _longest(lanes: Int64s, counts: Int64s) -> tuple[int, int, int]:
    """How many lanes there are, the longest of them, and its length."""
    if not len(lanes):
        return 0, 0, 0
    most = int(counts.argmax())
    return len(lanes), int(lanes[most]), int(counts[most])


def _name(database: Database, run: Run, lane: int) -> str:
    """How the first pending row of a lane names its subscriber."""
    for facts, lanes in _pending(database, run):
        at = np.flatnonzero(lanes == lane)
        if len(at):
            return facts.column("subscriber")[int(at[0])].as_py() or ""
    return ""
