"""One SQLite connection, opened so that what is committed survives a power cut.

This module owns pragmas, permissions, transactions and the translation of SQLite's errors into the user's words;
it knows no table but the version's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from importer.errors import DiskFullError, LedgerError
from importer.ledger.schema import ADDED, TABLES, VERSION

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_SQLITE = (3, 35)
"""RETURNING came with it, and UPDATE … FROM with 3.33."""

BUSY_SECONDS = 60.0
"""How long to wait for another importer's transaction; planning a large file can hold one for some seconds."""


class Database:
    """A connection in autocommit mode; writes go through `transaction`.

    May be used from any one thread at a time. WAL lets reports read while delivery writes; ``synchronous=FULL``
    makes each commit wait for the disk (SQLite documentation, "PRAGMA synchronous").
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._in_use = threading.RLock()
        """Held while the connection is in use: delivery's journal has a thread of its own."""
        with self.explained():
            _create_private(path)
            self.connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise

    def __repr__(self) -> str:
        return f"<Database {self.path}>"

    def _prepare(self) -> None:
        """Set the connection up; a ledger that is in use already is not locked for it."""
        if sqlite3.sqlite_version_info < _SQLITE:
            raise LedgerError(
                f"this Python brings SQLite {sqlite3.sqlite_version}, and the ledger needs "
                f"{'.'.join(map(str, _SQLITE))} or newer",
                hint="run importer with a newer Python, or one that is linked with a newer SQLite",
            )
        execute = self.connection.execute
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA temp_store = FILE")
        execute("PRAGMA cache_size = -8192")  # KiB; four times as much would not save a tenth of planning
        execute("PRAGMA secure_delete = FAST")
        (version,) = execute("PRAGMA user_version").fetchone()
        if version == 0:
            # Two processes that turn a new file to WAL at once get "database is locked" without any waiting.
            with FileLock(lock_file(self.path, "new"), mode=0o600):
                execute("PRAGMA page_size = 8192")  # a plan is written a tenth faster than by pages of 4096
                execute("PRAGMA journal_mode = WAL")
                version = self._create_tables()
        if version != VERSION:
            raise LedgerError(
                f"{self.path} was written by another version of importer (ledger version {version}, not {VERSION})",
                hint="use the importer that wrote it, or start a new ledger with --ledger FILE",
            )
        if not execute("SELECT 1 FROM sqlite_schema WHERE name = 'halt'").fetchone():
            with self.transaction() as connection:
                connection.execute(ADDED)

    def _create_tables(self) -> int:
        with self.transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version:
                return int(version)
            (strangers,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
            if strangers:
                raise LedgerError(
                    f"{self.path} is a database of another program", hint="name another file with --ledger FILE"
                )
            for statement in TABLES.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        return VERSION

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block wrote, all or nothing; the write lock is taken at once, so that no upgrade can fail.

        Raises `DiskFullError` or `LedgerError`; then nothing of the block is kept.
        """
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextlib.contextmanager
    def draft(self) -> Iterator[sqlite3.Connection]:
        """Like `transaction`, for what a power cut may take as long as no `transaction` followed.

        The commit does not wait for the disk. That of the next `transaction` waits for all that was written before it.
        """
        with self.explained():
            (journal,) = self.connection.execute("PRAGMA journal_mode").fetchone()
            if journal == "wal":  # refused on some network file systems, and without it NORMAL is not safe
                self.connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with self.transaction() as connection:
                    yield connection
            finally:
                if not self.connection.in_transaction:  # else even the rollback failed, and the first error matters
                    self.connection.execute("PRAGMA synchronous = FULL")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[sqlite3.Connection]:
        """Like `transaction`, for temporary tables alone: nobody else has to wait."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self.explained():
            try:
                self.connection.execute(begin)  # inside the try: Ctrl-C may come while it waits for the lock
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Have the connection alone, and turn SQLite's and the disk's errors into ours."""
        with self._in_use:
            try:
                yield
            except sqlite3.Error as error:
                raise _explain(self.path, getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)) from error
            except OSError as error:
                code = sqlite3.SQLITE_FULL if error.errno in _NO_ROOM else sqlite3.SQLITE_CANTOPEN
                raise _explain(self.path, code, error.strerror or str(error)) from error

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self.connection.close()


def lock_file(path: Path, name: str) -> Path:
    """A lock file beside the ledger, in a directory that only its owner can look into."""
    directory = path.with_name(path.name + ".locks")
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / f"{name}.lock"


def _create_private(path: Path) -> None:
    """Make the file and its directory readable by their owner alone; SQLite gives its side files the same mode."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _explain(path: Path, code: int, problem: str) -> LedgerError:
    """``code`` is one of SQLite's primary result codes."""
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        what = "no room left on the disk of" if code == sqlite3.SQLITE_FULL else f"the disk refuses ({problem})"
        return DiskFullError(
            f"{what} the ledger {path}; what was acknowledged before is safe",
            hint="make room, or see to the disk, then `importer resume`",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerError(
            f"the ledger {path} is locked by another process for more than {BUSY_SECONDS:.0f} seconds",
            hint="wait until the other importer has finished, or give this one its own with --ledger FILE",
        )
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return LedgerError(
            f"{path} is not a readable ledger ({problem})",
            hint="restore it from a backup; with a new ledger (--ledger FILE) nothing is known of earlier deliveries",
        )
    return LedgerError(f"the ledger {path} cannot be used: {problem}", hint="check the path, its owner and the disk")
