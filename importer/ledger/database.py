"""A database through ADBC, opened so that what is committed survives a power cut.

SQL and Arrow tables go in, Arrow tables come out. All SQL of this room is shared; what a database has of its own is in
its `Dialect` (`importer.ledger.sqlite`, `importer.ledger.postgres`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
from filelock import FileLock

from importer.errors import LedgerError
from importer.model import ArrowTable

EXCLUSIVE_SECONDS = 900.0
"""How long to wait for another importer that seals a plan."""
CHECKPOINT_SECONDS = 5.0
"""How often what delivery committed moves from the write-ahead log into the database itself."""


class Dialect(ABC):
    """What one kind of database has of its own; the defaults are for one where nothing special has to be done."""

    shared = False
    """Other machines may use it: locks are leases, in the database."""
    now: str
    """In SQL, the database's own time in seconds since the epoch."""
    json: str
    """In SQL, the first value of a statement as JSON."""
    statement_options: Mapping[str, str] = {}
    prepare: tuple[str, ...]
    """The statements before the first tables of an empty database are made."""
    shrink: tuple[str, ...]
    """The statements that give freed space back to the disk."""
    checkpoints: tuple[str, ...] = ()
    """The statements that move what is committed into the database itself: beside others, and alone."""
    for_share = ""
    """In SQL, the end of a query whose rows no one else may change before the transaction ends."""
    analyze = ""
    """The statement, without a table's name, after which that table is used well when it was filled just now."""

    def __init__(self, name: str, beside: Path) -> None:
        self.name = name
        """Where the ledger is, as it may be shown."""
        self.beside = beside
        """Locks of this machine lie beside this path, and so does its counter."""
        self.notes: list[str] = []
        """Sentences for the user, on what opening has changed."""

    @abstractmethod
    def connect(self) -> adbc_driver_manager.AdbcDatabase:
        """The database, not connected yet."""

    @abstractmethod
    def at_opening(self) -> tuple[str, ...]:
        """The statements that each new connection begins with."""

    @abstractmethod
    def begin(self, database: Database, *, private: bool) -> tuple[str, ...]:
        """The statements that begin a transaction; see `Database.transaction`."""

    @abstractmethod
    def translate(self, definition: str) -> str:
        """A table's or an index's definition, written for SQLite, as this database knows it."""

    def bindable(self, table: ArrowTable) -> ArrowTable:
        """The values of a table as they can be stored."""
        return table

    def inserts_by_temporary(self, database: Database) -> bool:  # noqa: ARG002  # for those that must
        """Whether bulk inserts must go through a temporary table."""
        return False

    @abstractmethod
    def version(self, database: Database) -> int:
        """The version of its tables; 0 in an empty database; -1 in one of another program."""

    def note_version(self, version: int) -> str:
        """The statement that notes the version of the tables."""
        return f"UPDATE ledger SET version = {version}"

    def after_copy(self, table: str) -> str:  # noqa: ARG002  # for those that need it
        """The statement after rows were copied with their numbers, so that new ones get others; empty if no need."""
        return ""

    @abstractmethod
    def size(self, database: Database) -> int:
        """Bytes that the ledger takes on its disk."""

    def damage(self, database: Database) -> str:  # noqa: ARG002  # for those that can tell
        """What a check of all pages finds first; empty where it finds nothing."""
        return ""

    @abstractmethod
    def exclusive(self, database: Database, name: str, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Be the only importer that does what the name says. Raises `TimeoutError` after so many seconds."""

    @abstractmethod
    def explain(self, error: Exception) -> LedgerError:
        """Our error for one of the driver's or the operating system's."""


class ConnectionLostError(LedgerError):
    """The server went away; the transaction may or may not have been committed."""


class Database:
    """A connection in autocommit mode; writes go through `transaction`. One thread at a time uses it.

    Raises `LedgerError`, or `DiskFullError`, wherever the database or the disk refuses.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._in_use = threading.RLock()
        self._checkpointed_at = time.monotonic()
        self._connection: adbc_driver_manager.AdbcConnection | None = None
        self.counted = False
        """The ledger's generation was counted up since the last checkpoint."""
        self.changes = 0
        """Transactions that were not private."""
        self.writer = 0
        """Of transactions that bear the same number, one is at work at a time."""
        with self._explained():
            self._database = dialect.connect()
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        with self._explained():
            self._connection = adbc_driver_manager.AdbcConnection(self._database)
        for statement in self.dialect.at_opening():
            self.run(statement)

    @contextlib.contextmanager
    def _statement(self) -> Iterator[adbc_driver_manager.AdbcStatement]:
        """A statement; where the connection was lost, of a new one, without the temporary tables of the old."""
        with self._explained():
            if self._connection is None:
                self._connect()
            with adbc_driver_manager.AdbcStatement(self._connection) as statement:
                yield statement

    # Statements. Values are bound as $1, $2 …, first used in this order.

    def query(self, sql: str, *values: Any, table: ArrowTable | None = None) -> ArrowTable:
        """What a query answers; with ``table``, one answer after the other for each of its rows as values."""
        if table is not None and not table.num_rows:
            # A driver crashes on a table without rows; a row of nulls equals nothing.
            nothing = pa.table({field.name: pa.nulls(1, field.type) for field in table.schema})
            return self.query(sql, table=nothing).slice(0, 0)
        with self._reader(sql, values, table) as reader:
            return pa.Table.from_batches(list(reader), reader.schema)

    def batches(self, sql: str, *values: Any) -> Iterator[pa.RecordBatch]:
        """What a query answers, batch by batch; no column may be empty throughout the first batch only."""
        with self._reader(sql, values, None) as reader:
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
        with self._statement() as statement:
            self._bind(statement, sql, values, table)
            changed: int = statement.execute_update()
            return changed

    def run(self, statement: str) -> None:
        """Run a statement without a result, or whose result is not needed."""
        if statement.startswith("PRAGMA"):
            self.query(statement)
        else:
            self.execute(statement)

    def insert(self, table: str, columns: Mapping[str, Any], *, temporary: bool = False) -> None:
        """Add rows in bulk, in the transaction that is open if one is; ``columns`` are Arrow arrays by name."""
        rows = pa.table(dict(columns))
        if not rows.num_rows:
            return
        if not temporary and self.dialect.inserts_by_temporary(self):
            names = ", ".join(rows.column_names)
            self.execute(f"CREATE TEMP TABLE incoming AS SELECT {names} FROM {table} WITH NO DATA")
            self.insert("incoming", columns, temporary=True)
            self.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM incoming")
            self.execute("DROP TABLE incoming")
            return
        options = {"adbc.ingest.target_table": table, "adbc.ingest.mode": "adbc.ingest.mode.append"}
        if temporary:
            options["adbc.ingest.temporary"] = "true"
        with self._statement() as statement:
            statement.set_options(**options)
            statement.bind_stream(self.dialect.bindable(rows).to_reader())
            statement.execute_update()

    def make_temporary(self, name: str, columns: str) -> None:
        """Make a table that this connection alone sees; a primary key orders it."""
        self.execute(self.dialect.translate(f"CREATE TEMP TABLE {name} ({columns})"))

    @contextlib.contextmanager
    def temporary(self, **tables: str) -> Iterator[None]:
        """Tables (their columns by name) as `make_temporary` makes them, for as long as the context."""
        for name, columns in tables.items():
            self.make_temporary(name, columns)
        try:
            yield
        finally:
            for name in tables:
                self.execute(f"DROP TABLE IF EXISTS {name}")

    def analyze(self, table: str) -> None:
        """Let the database know what is in a table that was filled just now."""
        if self.dialect.analyze:
            self.execute(f"{self.dialect.analyze} {table}")

    def create(self, tables: Iterable[str]) -> None:
        """Make tables and indexes, in the transaction that is open."""
        for definition in tables:
            self.execute(self.dialect.translate(definition))

    @contextlib.contextmanager
    def _reader(self, sql: str, values: tuple[Any, ...], table: ArrowTable | None) -> Iterator[pa.RecordBatchReader]:
        with self._statement() as statement:
            statement.set_options(**self.dialect.statement_options)
            self._bind(statement, sql, values, table)
            handle, _ = statement.execute_query()
            with pa.RecordBatchReader.from_stream(handle) as reader:
                yield reader

    def _bind(
        self, statement: adbc_driver_manager.AdbcStatement, sql: str, values: tuple[Any, ...], table: ArrowTable | None
    ) -> None:
        statement.set_sql_query(sql)
        if table is None and values:
            table = pa.table({f"${number}": pa.array([value]) for number, value in enumerate(values, 1)})
        if table is not None:
            statement.prepare()
            statement.bind_stream(self.dialect.bindable(table).to_reader())

    @contextlib.contextmanager
    def transaction(self, *, private: bool = False) -> Iterator[None]:
        """Commit what the block wrote, all or nothing; the account's writers take turns from its beginning.

        ``private``: it writes what no other run reads before a later transaction that is not private. It need not wait
        for the disk, nor, where the database can tell rows apart, for other writers.
        """
        self.changes += not private
        with self._explained():
            for statement in self.dialect.begin(self, private=private):
                self.run(statement)
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                # After some errors it has been rolled back already; the first error is the one that matters.
                if self._connection is not None:
                    with contextlib.suppress(LedgerError, adbc_driver_manager.Error):
                        self.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def exclusive(self, name: str, doing: str) -> Iterator[None]:
        """Be the only importer of the account that does what the name says, and ``doing`` says in words."""
        try:
            with self.dialect.exclusive(self, name, EXCLUSIVE_SECONDS):
                yield
        except TimeoutError:
            raise LedgerError(
                f"another importer has been {doing} in {self.dialect.name} for more than"
                f" {EXCLUSIVE_SECONDS / 60:.0f} minutes",
                hint="run the same command again when it has finished",
            ) from None

    def checkpoint(self, *, every: float = 0.0) -> None:
        """Move the write-ahead log into the database, unless that was done in the last ``every`` seconds.

        Readers keep part of it from being moved, until the next time.
        """
        if time.monotonic() - self._checkpointed_at < every:
            return
        self._checkpointed_at, self.counted = time.monotonic(), False
        if self.dialect.checkpoints:
            self.run(self.dialect.checkpoints[0 if every else 1])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Have the connection alone, and turn the database's and the disk's errors into ours."""
        with self._in_use:
            try:
                yield
            except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
                explained = self.dialect.explain(error)
                if isinstance(explained, ConnectionLostError):
                    self._disconnect()
                raise explained from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(adbc_driver_manager.Error):
                connection.close()

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self._in_use:
            self._disconnect()
            if not self.dialect.shared:  # others of this process may have connections of it
                self._database.close()


def file_lock(beside: Path, name: str) -> FileLock:
    """The lock of that name on this machine, in a directory of its owner alone; freed however its process ends."""
    directory = beside.with_name(beside.name + ".locks")
    directory.mkdir(mode=0o700, exist_ok=True)
    return FileLock(directory / f"{name}.lock", mode=0o600, thread_local=False)
