"""A database through ADBC, opened so that what is committed survives a power cut.

SQL and Arrow tables go in, Arrow tables come out; what is special about SQLite is in `importer.ledger.dialect`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
from filelock import FileLock

from importer.errors import LedgerError
from importer.ledger import dialect
from importer.model import ArrowTable

CHECKPOINT_SECONDS = 5.0
"""How often what delivery committed moves from the write-ahead log into the database itself."""

_AT_ONCE = 65_536
"""Rows by whose values ADBC tells a result column's type, and rows in one batch of a result."""


class Database:
    """A connection in autocommit mode; writes go through `transaction`. One thread at a time uses it.

    Raises `LedgerError`, or `DiskFullError`, wherever the database or the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._in_use = threading.RLock()
        self._checkpointed_at = time.monotonic()
        self._connection: adbc_driver_manager.AdbcConnection | None = None
        with self._explained():
            self.made_private = dialect.make_private(path)
            """Others could read the file until now."""
            self._database = dialect.connect(path)
        try:
            with self._explained():
                self._connection = adbc_driver_manager.AdbcConnection(self._database)
            for statement in dialect.at_opening():
                self.query(statement)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Database {self.path}>"

    # Statements. Values are bound as $1, $2 …, first used in this order.

    def query(self, sql: str, *values: Any, table: ArrowTable | None = None) -> ArrowTable:
        """What a query answers; with ``table``, one answer after the other for each of its rows as values."""
        if table is not None and not table.num_rows:
            # The driver crashes on a table without rows; a row of nulls equals nothing.
            nothing = pa.table({field.name: pa.nulls(1, field.type) for field in table.schema})
            return self.query(sql, table=nothing).slice(0, 0)
        with self._explained():
            return self._read(sql, values, table).read_all()

    def batches(self, sql: str, *values: Any) -> Iterator[pa.RecordBatch]:
        """What a query answers, batch by batch; no column may be empty throughout the first batch only."""
        with self._explained(), self._reader(sql, values, None) as reader:
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
                yield batch

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query answers, as tuples."""
        found = self.query(sql, *values)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def value(self, sql: str, *values: Any) -> Any:
        """The first value that a query answers; None where it answers nothing."""
        found = self.query(sql, *values)
        return found.column(0)[0].as_py() if found.num_rows else None

    def execute(self, sql: str, *values: Any, table: ArrowTable | None = None) -> int:
        """Run a statement, with ``table`` once for each of its rows; returns how many rows it has changed."""
        if table is not None and not table.num_rows:
            return 0
        with self._explained(), adbc_driver_manager.AdbcStatement(self._connection) as statement:
            _bind(statement, sql, values, table)
            changed: int = statement.execute_update()
            return changed

    def make_temporary(self, name: str, columns: str) -> None:
        """Make a table that this connection alone sees."""
        self.execute(dialect.temporary(name, columns))

    def create(self, tables: Iterable[str], version: int) -> None:
        """Make the tables of an empty database."""
        for statement in dialect.AT_CREATION:
            self.query(statement)
        with self.transaction():
            for statement in tables:
                self.execute(statement)
            self.set_version(version)

    def is_empty(self) -> bool:
        """Whether there is no table in it."""
        return bool(self.value(dialect.IS_EMPTY))

    def version(self) -> int:
        """The version of its tables; 0 in an empty database."""
        return int(self.value(dialect.VERSION))

    def set_version(self, version: int) -> None:
        """Note the version of its tables, in the transaction that makes them."""
        self.query(f"{dialect.VERSION} = {version}")

    def shrink(self) -> None:
        """Give freed space back to the disk; nobody else may use the database."""
        self.execute(dialect.SHRINK)
        self.checkpoint()

    def _read(self, sql: str, values: tuple[Any, ...], table: ArrowTable | None) -> pa.RecordBatchReader:
        with self._reader(sql, values, table) as reader:
            return pa.RecordBatchReader.from_batches(reader.schema, list(reader))

    @contextlib.contextmanager
    def _reader(self, sql: str, values: tuple[Any, ...], table: ArrowTable | None) -> Iterator[pa.RecordBatchReader]:
        with adbc_driver_manager.AdbcStatement(self._connection) as statement:
            statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_AT_ONCE)})
            _bind(statement, sql, values, table)
            handle, _ = statement.execute_query()
            with pa.RecordBatchReader.from_stream(handle) as reader:
                yield reader

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """Commit what the block wrote, all or nothing; the write lock is taken at once, so that no upgrade can fail.

        Not ``durable``: the commit does not wait for the disk, and a power cut may take it, as long as no durable
        transaction followed; for what is worth nothing until then.
        """
        with self._explained():
            careless = not durable and bool(self.value(dialect.MAY_BE_CARELESS))
            if careless:
                self.query(dialect.CARELESS)
            try:
                self.execute(dialect.BEGIN)
                yield
                self.execute("COMMIT")
            except BaseException:
                # After some errors it has been rolled back already; the first error is the one that matters.
                with contextlib.suppress(LedgerError, adbc_driver_manager.Error):
                    self.execute("ROLLBACK")
                raise
            finally:
                if careless:
                    with contextlib.suppress(LedgerError, adbc_driver_manager.Error):
                        self.query(dialect.DURABLE)

    def checkpoint(self, *, every: float = 0.0) -> bool:
        """Move the write-ahead log into the database, unless that was done in the last ``every`` seconds.

        Readers keep part of it from being moved, until the next time. Returns whether it was tried.
        """
        if time.monotonic() - self._checkpointed_at < every:
            return False
        self._checkpointed_at = time.monotonic()
        self.query(dialect.CHECKPOINT_BESIDE_OTHERS if every else dialect.CHECKPOINT)
        return True

    def damage(self) -> str:
        """What the database's own check finds first; empty where it finds nothing."""
        verdict = str(self.value(dialect.DAMAGE))
        return "" if verdict == "ok" else verdict

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Have the connection alone, and turn the database's and the disk's errors into ours."""
        with self._in_use:
            try:
                yield
            except (adbc_driver_manager.Error, pa.ArrowException) as error:
                raise dialect.explain(self.path, str(error)) from error
            except OSError as error:
                raise dialect.explain_os(self.path, error) from error

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self._in_use:
            if self._connection is not None:
                self._connection.close()
            self._database.close()


def _bind(
    statement: adbc_driver_manager.AdbcStatement, sql: str, values: tuple[Any, ...], table: ArrowTable | None
) -> None:
    statement.set_sql_query(sql)
    if table is not None:
        statement.prepare()
        statement.bind_stream(table.to_reader())
    elif values:
        statement.prepare()
        columns = [pa.array([value]) for value in values]
        statement.bind(pa.record_batch(columns, names=[f"${number}" for number in range(1, len(values) + 1)]))


def lock_file(path: Path, name: str) -> Path:
    """A lock file beside the ledger, in a directory that only its owner can look into."""
    directory = path.with_name(path.name + ".locks")
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / f"{name}.lock"


def file_lock(path: Path, name: str) -> FileLock:
    """The lock of that name beside the ledger; freed however its process ends."""
    return FileLock(lock_file(path, name), mode=0o600, thread_local=False)


def size_of(path: Path) -> int:
    """Bytes of a ledger's files."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
