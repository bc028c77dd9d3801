"""Which rows belong to which group, as arrays; and what that answers without looking at values.

This module owns positions only.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from importer.model import Bools, Int64s

NONE = np.int64(-1)
"""Stands for no position."""


class Layout:
    """``codes[i]`` is the group of row i, from 0; the groups are numbered in the order of their first rows."""

    def __init__(self, codes: Int64s, count: int) -> None:
        self.codes = codes
        self.count = count

    def first(self, candidates: Bools) -> Int64s:
        """The position of each group's first candidate, shape (count,); -1 if it has none."""
        return self._assigned(np.flatnonzero(candidates)[::-1])

    def last(self, candidates: Bools) -> Int64s:
        """The position of each group's last candidate, shape (count,); -1 if it has none."""
        return self._assigned(np.flatnonzero(candidates))

    def least(self, candidates: Bools, ranks: Int64s) -> Int64s:
        """The position of each group's candidate with the least rank, the first of several; -1 if it has none."""
        positions = np.flatnonzero(candidates)
        by_rank = np.argsort(ranks[positions], kind="stable")
        return self._assigned(positions[by_rank][::-1])

    def any(self, flags: Bools) -> Bools:
        """Whether the flag is set in any row of each group, shape (count,)."""
        found = np.zeros(self.count, np.bool_)
        found[self.codes[flags]] = True
        return found

    def counts(self, flags: Bools) -> Int64s:
        """In how many rows of each group the flag is set, shape (count,)."""
        return np.bincount(self.codes[flags], minlength=self.count).astype(np.int64)

    @cached_property
    def order(self) -> Int64s:
        """Positions of the rows, group by group, in their order within each."""
        return np.argsort(self.codes, kind="stable").astype(np.int64)

    def ordered(self, candidates: Bools) -> tuple[Int64s, Int64s, Int64s]:
        """The candidates' positions group by group; the groups that have any; where each of these begins."""
        positions = self.order[candidates[self.order]]
        groups = self.codes[positions]
        starts = np.flatnonzero(np.diff(groups, prepend=NONE))
        return positions, groups[starts], starts.astype(np.int64)

    def _assigned(self, positions: Int64s) -> Int64s:
        """The last of the positions that each group has: of several assignments to one place, numpy keeps the last."""
        chosen = np.full(self.count, NONE)
        chosen[self.codes[positions]] = positions
        return chosen
