"""How many different texts came by, at flat memory.

This module owns the count: exact up to a bound, by 64-bit hashes; beyond it an estimate from the smallest hashes
(Bar-Yossef and others, "Counting distinct elements in a data stream", 2002), whose error is about one in a thousand.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from importer.model import ArrowArray

EXACT = 1_000_000
"""Distinct texts that are counted exactly: 8 bytes each."""
_WORD = 8
_LONGEST = 512
"""Bytes of a text that are looked at, besides its length; no address is longer."""
_OFFSET, _PRIME, _MIX = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(_WORD + 1)], np.uint64)
"""By how many bytes of a word belong to the text."""

Hashes: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.uint64]]"


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
        self._waiting.append(_hashes(texts))
        self._size += len(texts)
        if self._size > self._bound:
            self._settle()

    def count(self) -> int:
        """How many there are; about that many unless ``is_exact``."""
        self._settle()
        if self.is_exact:
            return len(self._known)
        # The k-th smallest of n hashes lies at about k/n of their range.
        return round((len(self._known) - 1) / ((int(self._known[-1]) + 1) / 2**64))

    def _settle(self) -> None:
        self._known = np.unique(np.concatenate([self._known, *self._waiting]))
        self._waiting, self._size = [], 0
        if len(self._known) > self._bound:
            self._known = self._known[: self._bound].copy()
            self.is_exact = False


def _hashes(texts: ArrowArray) -> Hashes:
    """FNV-1a over words of eight bytes instead of bytes, its bits mixed so that hashes are spread evenly."""
    starts = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    data = memoryview(texts.buffers()[2] or b"")[starts[0] : starts[-1]].tobytes() + bytes(_WORD)
    # The eight bytes from each byte on.
    words = np.ndarray((len(data) - _WORD + 1,), "<u8", data, strides=(1,))
    lengths = np.diff(starts)
    places = starts[:-1] - starts[0]
    hashes = (_OFFSET ^ lengths.astype(np.uint64)) * _MIX
    left: slice | np.ndarray[tuple[int], np.dtype[np.int64]] = slice(None)
    for done in range(0, min(max(_WORD, int(lengths.max())), _LONGEST), _WORD):
        if done:
            left = np.flatnonzero(lengths > done)
        rest = np.minimum(lengths[left] - done, _WORD)
        hashes[left] = (hashes[left] ^ (words[places[left] + done] & _MASKS[rest])) * _PRIME
        hashes[left] ^= hashes[left] >> np.uint64(32)
    hashes *= _MIX
    return hashes ^ (hashes >> np.uint64(29))
