"""What planning found and nothing changes later, packed by the chunk; read back by the row or by the chunk.

This module owns the form of these blobs, and the way from a row's id to its piece of them. What changes or is searched
(states, keys) lies in rows of its own, which is `ledger.planning`'s and its neighbours' business. Packing by the chunk
is what makes planning cheap: a row of a table costs SQLite a microsecond, wherever its bytes go.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from importer.ledger.database import Database
    from importer.model import ArrowArray, ArrowTable, Int64s

GROUP = 256
"""Rows whose bodies are packed together: few enough for rows that are claimed in another order."""

_BODY_GROUPS, _LANE_CHUNKS, _FACT_CHUNKS = 64, 8, 2
"""Unpacked pieces kept at hand: some 20 kB, 500 kB and 10 MB each."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)  # handing small pieces to threads costs more
_READ_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)


def pack(table: ArrowTable) -> bytes:
    """A table as a compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack(blob: bytes) -> ArrowTable:
    """What `pack` packed."""
    return pa.ipc.open_stream(blob, options=_READ_OPTIONS).read_all()


def pack_bodies(bodies: ArrowArray, first: int) -> Iterator[tuple[int, bytes]]:
    """The bodies of consecutive rows from id ``first`` on, in groups: (first id, blob); groups without any left out."""
    table = pa.table({"body": bodies})
    for at in range(0, len(bodies), GROUP):
        group = table.slice(at, GROUP)
        if group.column("body").null_count < group.num_rows:
            yield first + at, pack(group)


def unpack_bodies(blob: bytes) -> ArrowArray:
    """What `pack_bodies` packed of one group."""
    return unpack(blob).column("body").combine_chunks()


class Packed:
    """The packed pieces of a ledger, found by row id; keeps some of them unpacked.

    Good for sealed runs only, whose lanes, facts and bodies do not change (`drop_bodies` forgets what nobody claims).
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._bodies = functools.lru_cache(_BODY_GROUPS)(self._read_bodies)
        self._last: tuple[int, list[bytes]] = 0, []
        """The group of bodies that was looked into last, and its first row's id."""
        self._lanes = functools.lru_cache(_LANE_CHUNKS)(self._read_lanes)
        self._facts = functools.lru_cache(_FACT_CHUNKS)(self._read_facts)

    def bodies(self, row_ids: Sequence[int]) -> dict[int, bytes]:
        """The body of each row, by its id; quick where neighbours follow each other."""
        found: dict[int, bytes] = {}
        first, group = self._last
        for row_id in sorted(row_ids):
            if not 0 <= row_id - first < len(group):
                first = self._start("body", row_id)
                group = self._bodies(first)
            found[row_id] = group[row_id - first]
        self._last = first, group
        return found

    def lanes(self, row_ids: Sequence[int]) -> list[int]:
        """The lane of each row; ``row_ids`` ascend."""
        lanes: list[int] = []
        for first, here in self._by_chunk(row_ids):
            lanes += self._lanes(first)[np.asarray(here) - first].tolist()
        return lanes

    def facts(self, row_ids: Sequence[int], names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The named facts (``planning.FACTS``) of each row; ``row_ids`` ascend."""
        for first, here in self._by_chunk(row_ids):
            taken = self._facts(first).select(names).take(pa.array(np.asarray(here) - first))
            yield from zip(*(taken.column(name).to_pylist() for name in names), strict=True)

    def _by_chunk(self, row_ids: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
        at = 0
        while at < len(row_ids):
            first = self._start("chunk", row_ids[at])
            end = bisect_left(row_ids, first + len(self._lanes(first)), lo=at)
            yield first, row_ids[at:end]
            at = end

    def _start(self, table: str, row_id: int) -> int:
        """The first id of the piece that holds the row."""
        (first,) = self._db.connection.execute(
            f"SELECT MAX(first_id) FROM {table} WHERE first_id <= ?", (row_id,)
        ).fetchone()
        return int(first)

    def _blob(self, table: str, column: str, first: int) -> bytes:
        (blob,) = self._db.connection.execute(f"SELECT {column} FROM {table} WHERE first_id = ?", (first,)).fetchone()
        return bytes(blob)

    def _read_bodies(self, first: int) -> list[bytes]:
        bodies: list[bytes] = unpack_bodies(self._blob("body", "packed", first)).to_pylist()
        return bodies

    def _read_lanes(self, first: int) -> Int64s:
        return np.frombuffer(self._blob("chunk", "lanes", first), dtype=np.int64)

    def _read_facts(self, first: int) -> ArrowTable:
        return unpack(self._blob("chunk", "facts", first))
