"""Tables that wait on named shelves: in memory while they are few, else in a temporary file without a name.

This module owns that file. It has no name from the start (``TMPDIR`` says on which disk), so that whatever ends the
program, nothing of the customers' data is left behind; its owner alone can read it. It knows nothing of groups.
"""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from typing import IO, Self

import pyarrow as pa

from importer.errors import SpaceError
from importer.model import ArrowTable
from importer.temporary import room_for

IN_MEMORY = 32 << 20
"""Bytes that all shelves together hold in memory."""


class Store:
    """Shelves of tables; all tables of one shelf have one schema. Use it as a context manager."""

    def __init__(self, *, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._held: dict[Hashable, list[ArrowTable]] = {}
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self._segments: dict[Hashable, list[tuple[int, int]]] = {}
        """Where in the file a shelf's tables are: (offset, length), in order."""
        self._sizes: dict[Hashable, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, shelf: Hashable, table: ArrowTable) -> None:
        """Add a table to a shelf; one without rows is nothing. Raises `SpaceError` where the disk has no room."""
        if not table.num_rows:
            return
        self._held.setdefault(shelf, []).append(table)
        self._held_bytes += table.nbytes
        self._sizes[shelf] = self._sizes.get(shelf, 0) + table.nbytes
        if self._held_bytes > self._in_memory:
            with _room():
                self._spill()

    def size(self, shelf: Hashable) -> int:
        """Bytes that the shelf's tables take in memory."""
        return self._sizes.get(shelf, 0)

    def take(self, shelf: Hashable) -> Iterator[ArrowTable]:
        """The shelf's tables, in the order in which they came, in pieces; the shelf is empty afterwards."""
        self._sizes.pop(shelf, None)
        # Whatever is put on a shelf while this one is read may move all that is held to the file.
        held = self._held.pop(shelf, [])
        self._held_bytes -= sum(table.nbytes for table in held)
        for offset, length in self._segments.pop(shelf, ()):
            assert self._file is not None, "segments lie in the file"
            with _room():
                self._file.seek(offset)
                yield pa.ipc.open_stream(self._file.read(length)).read_all()
        yield from held

    def take_all(self, shelf: Hashable) -> ArrowTable | None:
        """The shelf's tables as one, or None if it is empty."""
        tables = list(self.take(shelf))
        return pa.concat_tables(tables).combine_chunks() if tables else None

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by the context manager
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._file.seek(0, 2)
        for shelf, tables in self._held.items():
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, tables[0].schema, options=options) as writer:
                writer.write_table(pa.concat_tables(tables).combine_chunks())
            data = sink.getvalue()
            self._segments.setdefault(shelf, []).append((self._file.tell(), len(data)))
            self._file.write(data)
        self._held = {}
        self._held_bytes = 0


def _room() -> AbstractContextManager[None]:
    return room_for("the rows that wait for their groups", SpaceError, size="room for a copy of the files")
