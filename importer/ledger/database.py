"""One SQLite database through ADBC, opened so that what is committed survives a power cut.

SQL and Arrow tables go in, Arrow tables come out; PostgreSQL's driver takes the same calls. Only this module knows
pragmas, files and SQLite's errors. Source: SQLite's documentation ("Write-Ahead Logging", "PRAGMA synchronous",
"PRAGMA secure_delete"), ADBC's documentation ("SQLite Driver").
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_manager
import adbc_driver_sqlite
import pyarrow as pa
from filelock import FileLock

from importer.errors import DiskFullError, LedgerError
from importer.model import ArrowTable

BUSY_SECONDS = 60.0
"""How long to wait for another importer's transaction; each is short."""

CHECKPOINT_SECONDS = 5.0
"""How often what delivery committed moves from the write-ahead log into the database itself."""

_AT_ONCE = 65_536
"""Rows by whose values ADBC tells a result column's type, and rows in one batch of a result."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Database:
    """A connection in autocommit mode; writes go through `transaction`. One thread at a time uses it.

    Raises `LedgerError`, or `DiskFullError`, wherever SQLite or the disk refuses.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self.made_private = False
        """Others could read the file until now."""
        self._in_use = threading.RLock()
        self._checkpointed_at = time.monotonic()
        with self._explained():
            if create:
                self.made_private = _make_private(path)
            self._database = adbc_driver_sqlite.connect(path.absolute().as_uri() + ("" if create else "?mode=ro"))
            try:
                self._connection = adbc_driver_manager.AdbcConnection(self._database)
            except BaseException:
                self._database.close()
                raise
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Database {self.path}>"

    def _prepare(self) -> None:
        for pragma in (
            f"busy_timeout = {round(BUSY_SECONDS * 1000)}",
            "synchronous = FULL",
            "temp_store = FILE",
            "cache_size = -8192",  # KiB
            "temp.cache_size = -16384",
            "secure_delete = ON",
        ):
            self.query(f"PRAGMA {pragma}")

    def make_wal(self) -> None:
        """Let readers read while another process writes; kept in the file."""
        self.query("PRAGMA page_size = 8192")  # a plan is written a tenth faster than by pages of 4096
        self.query("PRAGMA journal_mode = WAL")

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
        """Make a table that this connection alone sees; a primary key of several columns orders its rows."""
        clustered = " WITHOUT ROWID" if "BLOB" in columns else ""
        self.execute(f"CREATE TEMP TABLE {name} ({columns}){clustered}")

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
            # WAL is refused on some network file systems, and without it NORMAL is not safe.
            careless = not durable and self.value("PRAGMA journal_mode") == "wal"
            if careless:
                self.query("PRAGMA synchronous = NORMAL")
            try:
                self.execute("BEGIN IMMEDIATE")
                yield
                self.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has rolled back by itself; the first error is the one that matters.
                with contextlib.suppress(LedgerError, adbc_driver_manager.Error):
                    self.execute("ROLLBACK")
                raise
            finally:
                if careless:
                    with contextlib.suppress(LedgerError, adbc_driver_manager.Error):
                        self.query("PRAGMA synchronous = FULL")

    def checkpoint(self, *, every: float = 0.0) -> bool:
        """Move the write-ahead log into the database, unless that was done in the last ``every`` seconds.

        Readers keep part of it from being moved, until the next time. Returns whether it was tried.
        """
        if time.monotonic() - self._checkpointed_at < every:
            return False
        self._checkpointed_at = time.monotonic()
        self.query("PRAGMA wal_checkpoint(TRUNCATE)" if not every else "PRAGMA wal_checkpoint(PASSIVE)")
        return True

    def damage(self) -> str:
        """What SQLite's own check of all pages finds first; empty where it finds nothing."""
        verdict = str(self.value("PRAGMA quick_check(1)"))
        return "" if verdict == "ok" else verdict

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Have the connection alone, and turn SQLite's and the disk's errors into ours."""
        with self._in_use:
            try:
                yield
            except (adbc_driver_manager.Error, pa.ArrowException) as error:
                raise _explain(self.path, str(error)) from error
            except OSError as error:
                if error.errno is None:  # Arrow's, for an error in the midst of a result
                    raise _explain(self.path, str(error)) from error
                words = error.strerror or str(error)
                raise _explain(self.path, "disk is full" if error.errno in _NO_ROOM else words) from error

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self._in_use:
            connection = getattr(self, "_connection", None)
            if connection is not None:
                connection.close()
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


def _make_private(path: Path) -> bool:
    """Make the file readable by its owner alone, its directory too if it has to be made.

    SQLite gives its side files the same mode. Returns whether others could read an existing file.
    """
    if not path.parent.exists():
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        open_to_others = bool(stat.S_IMODE(os.fstat(handle).st_mode) & 0o077)
    finally:
        os.close(handle)
    if open_to_others:
        for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            with contextlib.suppress(FileNotFoundError):
                each.chmod(0o600)
    return open_to_others


def _explain(path: Path, problem: str) -> LedgerError:
    """Our error for the words of SQLite's; ADBC hands on no code."""
    problem = problem.partition("\n")[0]  # the query follows
    words = problem.rsplit(": ", 1)[-1].strip()
    if "disk is full" in problem:
        return DiskFullError(
            f"no room left on the disk of the ledger {path}; what was acknowledged before is safe",
            hint="make room, or see to the disk, then `importer resume`",
        )
    if "disk I/O error" in problem:
        return DiskFullError(
            f"the disk refuses ({words}) the ledger {path}; what was acknowledged before is safe",
            hint="make room, or see to the disk, then `importer resume`",
        )
    if "is locked" in problem:
        return LedgerError(
            f"the ledger {path} is locked by another process for more than {BUSY_SECONDS:.0f} seconds",
            hint="wait until the other importer has finished, then run the same command again",
        )
    if "not a database" in problem:
        return LedgerError(f"{path} is not a readable ledger ({words})", hint=RESTORE)
    if "malformed" in problem or "corrupt" in problem:
        return LedgerError(
            f"the ledger {path} is damaged ({words})",
            hint="`importer doctor --repair` keeps what can be read; a copy of the file first is wise",
        )
    return LedgerError(f"the ledger {path} cannot be used: {words}", hint="check the path, its owner and the disk")


RESTORE = "restore it from a backup; a new ledger would know nothing of earlier deliveries"
"""What to do about a ledger that cannot be read at all."""
