"""Pairs of 64-bit integers that would fill the memory: in sorted stretches of a temporary file without a name.

This module owns that file and how pairs are found in it again. A chunk's identifiers, being hashes, lie anywhere among
millions, so a table with an index would read nearly all of its pages for each chunk, one by one; here they are read
from end to end, at the speed of memory while the system keeps the file there. `TMPDIR` says on which disk it is.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from importer.errors import DiskFullError
from importer.temporary import room_for

if TYPE_CHECKING:
    from importer.model import Int64s

BLOCK = 65_536
"""Pairs read at a time: a megabyte."""


class _Block(NamedTuple):
    """A stretch of the file: so many keys, ascending, and then their values."""

    least: int
    most: int
    pairs: int
    offset: int


class Spill:
    """Pairs of a key and a value; what can be added is found again until `close`. Raises `DiskFullError`."""

    def __init__(self, *, block: int = BLOCK) -> None:
        self._size = block
        self._file: IO[bytes] | None = None
        self._blocks: list[_Block] = []

    def __bool__(self) -> bool:
        """Whether it holds anything."""
        return bool(self._blocks)

    def add(self, keys: Int64s, values: Int64s) -> None:
        """Keep pairs; ``keys`` ascend."""
        with _room():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
            offset = self._file.seek(0, os.SEEK_END)
            for at in range(0, len(keys), self._size):
                some = keys[at : at + self._size]
                self._file.write(some.tobytes() + values[at : at + self._size].tobytes())
                self._blocks.append(_Block(int(some[0]), int(some[-1]), len(some), offset))
                offset += 2 * some.nbytes
            self._file.flush()

    def find(self, wanted: Int64s) -> tuple[Int64s, Int64s]:
        """Which of the keys ``wanted``, ascending, are there: their places in ``wanted``, and their values."""
        places, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for block in self._blocks:
            begin = int(np.searchsorted(wanted, block.least))
            end = int(np.searchsorted(wanted, block.most, side="right"))
            if begin == end:
                continue
            keys, held = self._read(block)
            at = np.searchsorted(keys, wanted[begin:end])  # never behind the last one, which is no less than any wanted
            there = np.flatnonzero(keys[at] == wanted[begin:end])
            places.append(there + begin)
            values.append(held[at[there]])
        return np.concatenate(places), np.concatenate(values)

    def in_ranges(self, parts: int) -> Iterator[tuple[Int64s, Int64s]]:
        """All pairs, in ``parts`` equal ranges of keys: those of one key come together, in no order within a range."""
        inner = [-(1 << 63) + (1 << 64) * part // parts for part in range(1, parts)]
        for least, end in pairwise([None, *inner, None]):
            found = [
                self._between(block, least, end)
                for block in self._blocks
                if (least is None or block.most >= least) and (end is None or block.least < end)
            ]
            if found:
                keys, values = zip(*found, strict=True)
                yield np.concatenate(keys), np.concatenate(values)

    def close(self) -> None:
        """Forget all."""
        file, self._file, self._blocks = self._file, None, []
        if file is not None:
            with contextlib.suppress(OSError):  # of what was still to be written, and nobody wants any more
                file.close()

    def _between(self, block: _Block, least: int | None, end: int | None) -> tuple[Int64s, Int64s]:
        """The block's pairs from the key ``least`` on and before ``end``; None: no bound."""
        keys, values = self._read(block)
        begin = 0 if least is None else int(np.searchsorted(keys, least))
        stop = len(keys) if end is None else int(np.searchsorted(keys, end))
        return keys[begin:stop], values[begin:stop]

    def _read(self, block: _Block) -> tuple[Int64s, Int64s]:
        assert self._file is not None, "blocks lie in the file"
        with _room():
            pairs = np.frombuffer(os.pread(self._file.fileno(), 16 * block.pairs, block.offset), np.int64)
        return pairs[: block.pairs], pairs[block.pairs :]


def _room() -> AbstractContextManager[None]:
    return room_for(
        "the subscribers beyond memory's share",
        DiskFullError,
        size="room",
        safe="; what was acknowledged before is safe",
        then="; then the same command again",
    )
