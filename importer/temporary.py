"""What waits on the disk while a command runs, in files without a name: tables and bytes, or a database."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from typing import TypeAlias

import adbc_driver_manager
import adbc_driver_sqlite
import pyarrow as pa

from importer.errors import SpaceError
from importer.model import ArrowTable

Extent: TypeAlias = tuple[int, int]
"""Where in a file something is, and how many bytes."""

_WRITE, _READ = pa.ipc.IpcWriteOptions(use_threads=False), pa.ipc.IpcReadOptions(use_threads=False)
"""The tables are small: threads cost more than they save."""
_CACHE_KIB = 32 << 10
"""Memory for SQLite's pages and for sorting."""
_AT_ONCE = 65_536
"""Rows by which ADBC tells the type of a result's column; one that is empty in all of them counts as whole numbers."""


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

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _no_room(self._content, error) from error


class TemporaryDatabase:
    """A SQLite database that goes with this object. Any thread may use it, one at a time.

    Raises `SpaceError` where the disk has no room.
    """

    def __init__(self, content: str) -> None:
        """``content`` is what messages call what is kept in it."""
        self._content = content
        self._in_use = threading.Lock()
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

    @contextlib.contextmanager
    def _statement(self) -> Iterator[adbc_driver_manager.AdbcStatement]:
        with self._in_use:
            try:
                with adbc_driver_manager.AdbcStatement(self._connection) as statement:
                    yield statement
            except (adbc_driver_manager.Error, pa.ArrowException) as error:
                if "full" not in str(error) and "disk I/O" not in str(error) and "unable to open" not in str(error):
                    raise
                raise _no_room(self._content, error) from error


def _no_room(content: str, error: Exception) -> SpaceError:
    hint = "make room there, or name a directory with room for three copies of the files: TMPDIR=/that/directory"
    return SpaceError(f"{content} cannot be kept in {_directory() or tempfile.gettempdir()}: {error}", hint=hint)


def _directory() -> str | None:
    """Where temporary files are put, by SQLite's order (https://www.sqlite.org/tempfiles.html): /tmp may be memory."""
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108
    return next((one for one in named if one and os.access(one, os.W_OK | os.X_OK)), None)
