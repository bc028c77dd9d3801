"""A temporary database: Arrow tables in, Arrow tables out, on the disk, in a file without a name."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator, Iterator

import adbc_driver_manager
import adbc_driver_sqlite
import pyarrow as pa

from importer.errors import SpaceError
from importer.model import ArrowTable

_CACHE_KIB = 32 << 10
"""Memory for SQLite's pages and for sorting."""
_AT_ONCE = 65_536
"""Rows by which ADBC tells the type of a result's column; one that is empty in all of them counts as whole numbers."""


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
        with self._reader(sql) as reader:
            return reader.read_all()

    def batches(self, sql: str) -> Generator[pa.RecordBatch, None, None]:
        """What a query answers, batch by batch; meanwhile the database does nothing else."""
        with self._reader(sql) as reader:
            yield from reader

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
        self._database.close()

    @contextlib.contextmanager
    def _reader(self, sql: str) -> Iterator[pa.RecordBatchReader]:
        with self._statement() as statement:
            statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_AT_ONCE)})
            statement.set_sql_query(sql)
            handle, _ = statement.execute_query()
            with pa.RecordBatchReader.from_stream(handle) as reader:
                yield reader

    @contextlib.contextmanager
    def _statement(self) -> Iterator[adbc_driver_manager.AdbcStatement]:
        with self._in_use:
            try:
                with adbc_driver_manager.AdbcStatement(self._connection) as statement:
                    yield statement
            except (adbc_driver_manager.Error, pa.ArrowException) as error:
                if "full" not in str(error) and "disk I/O" not in str(error) and "unable to open" not in str(error):
                    raise
                raise SpaceError(
                    f"{self._content} cannot be kept in {_directory()}: {error}",
                    hint="make room there, or name a directory with room for three copies of the files: "
                    "TMPDIR=/that/directory",
                ) from error


def _directory() -> str:
    """Where SQLite puts its temporary files; its own order is in https://www.sqlite.org/tempfiles.html."""
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108
    return next((one for one in named if one and os.access(one, os.W_OK | os.X_OK)), "a temporary file")
