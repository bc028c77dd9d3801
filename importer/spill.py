"""A temporary file for what waits until all rows are read: tables and bytes, on the disk, without a name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import pyarrow as pa

from importer.errors import SpaceError
from importer.model import ArrowTable

Extent: TypeAlias = tuple[int, int]
"""Where in a file something is, and how many bytes."""

_WRITE, _READ = pa.ipc.IpcWriteOptions(use_threads=False), pa.ipc.IpcReadOptions(use_threads=False)
"""The tables are small: threads cost more than they save."""


class SpillFile:
    """A temporary file that goes with this object. Raises `SpaceError` where the disk has no room."""

    def __init__(self, content: str) -> None:
        """``content`` is what messages call what is kept in it."""
        self._content = content
        with self._room():
            self._file = tempfile.TemporaryFile(dir=_directory(), buffering=0)  # noqa: SIM115  # `close` closes it
        self._size = 0

    def write(self, data: bytes) -> Extent:
        """Keep bytes."""
        at, view = self._size, memoryview(data)
        with self._room():
            while view.nbytes:
                view = view[self._file.write(view) :]
        self._size += len(data)
        return at, len(data)

    def read(self, extent: Extent) -> bytes:
        """The bytes that were kept there."""
        at, size = extent
        return os.pread(self._file.fileno(), size, at)

    def write_table(self, table: ArrowTable) -> Extent:
        """Keep a table."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=_WRITE) as stream:
            stream.write_table(table)
        return self.write(sink.getvalue())

    def read_table(self, extent: Extent) -> ArrowTable:
        """The table that was kept there."""
        return pa.ipc.open_stream(self.read(extent), options=_READ).read_all()

    def close(self) -> None:
        """Forget everything."""
        self._file.close()

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise no_room(self._content, error) from error


def no_room(content: str, error: Exception) -> SpaceError:
    """The error of a temporary file that does not fit on its disk; ``content`` is what messages call what is in it."""
    hint = "make room there, or name a directory with room for three copies of the files: TMPDIR=/that/directory"
    return SpaceError(f"{content} cannot be kept in {_directory() or tempfile.gettempdir()}: {error}", hint=hint)


def _directory() -> str | None:
    """Where temporary files are put, by SQLite's order (https://www.sqlite.org/tempfiles.html): /tmp may be memory."""
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108
    return next((one for one in named if one and os.access(one, os.W_OK | os.X_OK)), None)
