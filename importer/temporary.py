"""A temporary database: Arrow tables in, Arrow tables out, on the disk, in a file without a name."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import adbc_driver_manager
import adbc_driver_sqlite
import pyarrow as pa

from importer.model import ArrowTable
from importer.spill import no_room

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
                raise no_room(self._content, error) from error
