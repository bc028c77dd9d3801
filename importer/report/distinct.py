"""How many different texts came by, at flat memory.

Exact up to a bound, by 64-bit hashes; beyond it an estimate from the smallest hashes (Bar-Yossef and others, "Counting
distinct elements in a data stream", 2002), whose error is about two in a thousand.
"""

from __future__ import annotations

import numpy as np

from importer.model import ArrowArray
from importer.texts import Hashes, hashes

EXACT = 250_000
"""Distinct texts that are counted exactly: 8 bytes each, and five times that while they are sorted."""


class Distinct:
    """A count of distinct texts; nulls are none."""

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
        # The k-th smallest of n hashes lies at about k/n of their range.
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
