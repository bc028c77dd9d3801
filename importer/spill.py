"""What waits on the disk until all rows are read, in files without a name: tables, bytes, hashes, and a database."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from importer.errors import SpaceError
from importer.model import ArrowTable

if TYPE_CHECKING:
    import adbc_driver_manager
    import numpy.typing as npt

Extent: TypeAlias = tuple[int, int]
"""Where in a file something is, and how many bytes."""

_WRITE, _READ = pa.ipc.IpcWriteOptions(use_threads=False), pa.ipc.IpcReadOptions(use_threads=False)
"""The tables are small: threads cost more than they save."""
_PARTS = 256
_CACHE_KIB = 32 << 10
"""Memory for SQLite's pages and for sorting."""
_AT_ONCE = 65_536
"""ADBC infers a result column's type from so many rows; one that is empty in all of them counts as whole numbers."""


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


class SortedSpill:
    """Numbers of many rows, to be looked through in the order of a hash, at flat memory."""

    def __init__(self, content: str, **columns: str) -> None:
        """``columns`` are numpy's types by name; the first is the hash, uint64, spread evenly."""
        self._file = SpillFile(content)
        self._dtype = np.dtype(list(columns.items()))
        self._counts = np.zeros(_PARTS, np.int64)
        self._blocks: list[npt.NDArray[np.int64]] = []
        """Of each call of `add` where in the file its parts begin, and where the last ends."""
        self.close = self._file.close

    def add(self, *columns: npt.NDArray[Any]) -> None:
        """Keep rows, given by column."""
        part = (columns[0] >> np.uint64(64 - 8)).astype(np.uint8)
        order = np.argsort(part, kind="stable")
        rows = np.empty(len(order), self._dtype)
        for name, column in zip(self._dtype.names or (), columns, strict=True):
            rows[name] = column[order]
        counts = np.bincount(part, minlength=_PARTS)
        at, _ = self._file.write(rows.tobytes())
        self._blocks.append(at + np.append(0, np.cumsum(counts)) * self._dtype.itemsize)
        self._counts += counts

    def parts(self, most: int) -> Iterator[npt.NDArray[Any]]:
        """All rows, ascending by hash; no hash is in two parts.

        A part has ``most`` rows at most, unless a 256th of all rows are more.
        """
        first = 0
        while first < _PARTS:
            last = first + 1
            while last < _PARTS and self._counts[first : last + 1].sum() <= most:
                last += 1
            data = b"".join(
                self._file.read((int(block[first]), int(block[last] - block[first]))) for block in self._blocks
            )
            rows = np.frombuffer(data, self._dtype)
            if len(rows):
                yield rows.take(np.argsort(rows[self._dtype.names[0]]))  # type: ignore[index]  # it has names
            first = last


class TemporaryDatabase:
    """A SQLite database, Arrow tables in and out, that goes with this object. Any thread may use it, one at a time.

    Raises `SpaceError` where the disk has no room.
    """

    def __init__(self, content: str) -> None:
        """``content`` is what messages call what is kept in it."""
        self._content = content
        import adbc_driver_manager  # which few runs need
        import adbc_driver_sqlite

        self._in_use = threading.Lock()
        self._adbc = adbc_driver_manager
        self._database = adbc_driver_sqlite.connect("")
        self._connection = adbc_driver_manager.AdbcConnection(self._database)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self.query(f"PRAGMA {pragma}")

    def execute(self, sql: str) -> None:
        """Run a statement."""
        with self._statement() as statement:
            statement.set_sql_query(sql)
            statement.execute_update()

    def insert(self, name: str, table: ArrowTable) -> None:
        """Add rows to a table that has these columns; it is made for the first ones."""
        if not table.num_rows:
            return
        with self._statement() as statement:
            options = {"adbc.ingest.target_table": name, "adbc.ingest.mode": "adbc.ingest.mode.create_append"}
            statement.set_options(**options)
            statement.bind_stream(table.to_reader())
            statement.execute_update()

    def query(self, sql: str) -> ArrowTable:
        """What a query answers."""
        with self._statement() as statement:
            statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_AT_ONCE)})
            statement.set_sql_query(sql)
            handle, _ = statement.execute_query()
            with pa.RecordBatchReader.from_stream(handle) as reader:
                return reader.read_all()

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
        self._database.close()

    @contextmanager
    def _statement(self) -> Iterator[adbc_driver_manager.AdbcStatement]:
        with self._in_use:
            try:
                with self._adbc.AdbcStatement(self._connection) as statement:
                    yield statement
            except (self._adbc.Error, pa.ArrowException) as error:
                if "full" not in str(error) and "disk I/O" not in str(error) and "unable to open" not in str(error):
                    raise
                raise no_room(self._content, error) from error


def no_room(content: str, error: Exception) -> SpaceError:
    """The error of a temporary file that does not fit on its disk; ``content`` is what messages call what is in it."""
    hint = "make room there, or name a directory with room for three copies of the files: TMPDIR=/that/directory"
    return SpaceError(f"{content} cannot be kept in {_directory() or tempfile.gettempdir()}: {error}", hint=hint)


def _directory() -> str | None:
    """Where temporary files are put, by SQLite's order (https://www.sqlite.org/tempfiles.html): /tmp may be memory."""
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108
    return next((one for one in named if one and os.access(one, os.W_OK | os.X_OK)), None)
