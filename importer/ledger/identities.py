"""Which rows belong to one subscriber, as far as the rows show it.

This module owns the lanes of a run while it is planned: identifiers (id, e-mail, phone) that ever stood in one row
name one subscriber, and rows that share an identifier, directly or through others, share a lane. What no row shows
(that a@example.com and +370… are one person) it cannot know. Nothing is remembered beyond the run.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from importer.ledger.spill import Spill
from importer.texts import hashes

if TYPE_CHECKING:
    from importer.model import ArrowArray, Bools, Int64s

IN_MEMORY = 500_000
"""Identifiers kept in memory (16 bytes each) before they move to a temporary file, so that memory stays flat."""

NO_LANE = 0
"""The lane of rows that show no identifier."""


class Identities:
    """Identifier → lane, growing as chunks come in; raises `DiskFullError` where no room is left for it.

    Lanes are 64-bit hashes of identifiers: a collision merges two lanes, which costs time but never order.
    """

    def __init__(self, *, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._hashes = np.empty(0, dtype=np.int64)
        self._lanes = np.empty(0, dtype=np.int64)
        self._spill = Spill()
        self._merged: dict[int, int] = {}
        """Lanes that turned out to be another's."""

    def lanes(self, identities: tuple[ArrowArray, ...]) -> Int64s:
        """The lane of each row, shape (n,); `NO_LANE` for rows that show no identifier."""
        hashes, codes = _identifiers(identities)
        known, labels = self._lookup(hashes)
        settled = _tied(codes, known, labels)
        self._remember(hashes, labels, settled, known)
        lanes = np.append(settled, NO_LANE)  # the last one is for code -1
        rows: Int64s = lanes[codes[0]]
        for column in codes[1:]:
            rows = np.where(rows == NO_LANE, lanes[column], rows)
        return rows

    def renamed(self) -> tuple[Int64s, Int64s]:
        """Lanes given out before they turned out to be another's, ascending, and what they are to be called."""
        old = np.array(sorted(self._merged), dtype=np.int64)
        return old, np.array([self._resolve(lane) for lane in old.tolist()], dtype=np.int64)

    def close(self) -> None:
        """Drop what was spilled."""
        self._spill.close()

    def _resolve(self, lane: int) -> int:
        """The lane that ``lane`` was merged into, at the end of the chain."""
        path = []
        while lane in self._merged:
            path.append(lane)
            lane = self._merged[lane]
        for step in path[:-1]:
            self._merged[step] = lane
        return lane

    def _lookup(self, hashes: Int64s) -> tuple[Bools, Int64s]:
        """Whether each identifier is known, and its lane (its own hash if it is not)."""
        labels = hashes.copy()
        known = np.zeros(len(hashes), dtype=bool)
        if len(self._hashes):
            at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
            known = self._hashes[at] == hashes
            labels[known] = self._lanes[at[known]]
        if self._spill:
            missing = np.flatnonzero(~known)
            places, lanes = self._spill.find(hashes[missing])
            known[missing[places]] = True
            labels[missing[places]] = lanes
        if self._merged and known.any():
            where = np.flatnonzero(known)
            labels[where] = [self._resolve(lane) for lane in labels[where].tolist()]
        return known, labels

    def _remember(self, hashes: Int64s, labels: Int64s, settled: Int64s, known: Bools) -> None:
        moved = np.flatnonzero(known & (settled != labels))
        for old, into in zip(labels[moved].tolist(), settled[moved].tolist(), strict=True):
            self._merged[old] = into
        new = np.flatnonzero(~known)
        at = np.searchsorted(self._hashes, hashes[new])
        self._hashes = np.insert(self._hashes, at, hashes[new])
        self._lanes = np.insert(self._lanes, at, settled[new])
        if len(self._hashes) > self._in_memory:
            self._spill.add(self._hashes, self._lanes)
            self._hashes = np.empty(0, dtype=np.int64)
            self._lanes = np.empty(0, dtype=np.int64)


def _identifiers(identities: tuple[ArrowArray, ...]) -> tuple[Int64s, Int64s]:
    """Ascending 64-bit hashes of all identifiers, and which of them stands where, shape (kinds, n); -1 for none.

    The kind of an identifier goes into its hash, so that id 5 and phone 5 stay apart. A kind that no row shows is left
    out.
    """
    shown = [_hashed(column, kind) for kind, column in enumerate(identities) if column.null_count < len(column)]
    if not shown:
        return np.empty(0, dtype=np.int64), np.full((1, len(identities[0])), -1, dtype=np.int64)
    together = np.stack(shown)
    found, codes = np.unique(together, return_inverse=True)
    codes = codes.reshape(together.shape)
    none = int(np.searchsorted(found, NO_LANE))
    if none < len(found) and found[none] == NO_LANE:
        found = np.delete(found, none)
        codes = np.where(codes == none, -1, codes - (codes > none))
    return found, codes


def _hashed(column: ArrowArray, kind: int) -> Int64s:
    """The hash of each identifier; `NO_LANE` for none."""
    found = hashes(column.drop_null(), seed=kind).view(np.int64)
    found[found == NO_LANE] = 1
    if not column.null_count:
        return found
    rows = np.full(len(column), NO_LANE, dtype=np.int64)
    rows[column.is_valid().to_numpy(zero_copy_only=False)] = found
    return rows


def _tied(codes: Int64s, known: Bools, labels: Int64s) -> Int64s:
    """Give all lanes that are tied by a row one label; that of a known lane, where there is one.

    ``codes`` has shape (kinds, n): which identifier stands in which row. Converges in as many rounds as the longest
    chain of ties, halved each time, which in real exports is one or two.
    """
    here, there = _ties(codes, labels)
    if not len(here):
        return labels
    old = _distinct(labels[known])
    roots = np.concatenate([old, labels[~known]])
    at = np.empty(len(labels), dtype=np.int64)
    at[known] = np.searchsorted(old, labels[known])
    at[~known] = np.arange(len(old), len(roots))
    here, there = at[here], at[there]
    lowest = np.arange(len(roots))
    while True:
        low = np.minimum(lowest[here], lowest[there])
        after = lowest.copy()
        np.minimum.at(after, lowest[here], low)
        np.minimum.at(after, lowest[there], low)
        after = after[after]
        if np.array_equal(after, lowest):
            return np.asarray(roots[lowest[at]])
        lowest = after


def _ties(codes: Int64s, labels: Int64s) -> tuple[Int64s, Int64s]:
    """Pairs of identifiers that stand in one row and have different lanes, each pair once."""
    count = len(labels)
    pairs = [np.empty(0, dtype=np.int64)]
    for one, other in combinations(codes, 2):
        both = (one >= 0) & (other >= 0)
        both[both] = labels[one[both]] != labels[other[both]]
        pairs.append(_distinct(one[both] * count + other[both]))
    together = np.concatenate(pairs)
    return together // max(count, 1), together % max(count, 1)


def _distinct(values: Int64s) -> Int64s:
    """The values, ascending, each once; sorting is much faster than `np.unique`, which goes by a table of hashes."""
    ascending = np.sort(values)
    return ascending[np.append(True, ascending[1:] != ascending[:-1])] if len(ascending) else ascending
