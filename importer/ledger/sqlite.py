"""What is SQLite's own: its file, its pragmas, the write lock, checkpoints, and the words of its errors.

Definitions in this room are written with SQLite's types: INTEGER has 64 bits, BLOB holds bytes. Source: SQLite's
documentation ("Write-Ahead Logging", "PRAGMA synchronous", "PRAGMA secure_delete"), ADBC's ("SQLite Driver").
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import adbc_driver_sqlite
from filelock import Timeout

from importer.errors import DiskFullError, LedgerError
from importer.ledger.database import Database, Dialect, file_lock

if TYPE_CHECKING:
    import adbc_driver_manager


BUSY_SECONDS = 60.0
"""How long to wait for another importer's transaction; each is short."""
FILES = ("", "-wal", "-shm")
"""What is behind the path of each of a ledger's files."""
RESTORE = "restore it from a backup; a new ledger would know nothing of earlier deliveries"
"""What to do about a ledger that cannot be read at all."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DURABLE = "PRAGMA synchronous = FULL"
_CARELESS = "PRAGMA synchronous = NORMAL"
"""A commit does not wait for the disk."""


class SqliteDialect(Dialect):
    """A SQLite file."""

    now = "unixepoch('subsec')"
    json = "$1"
    # Rows by whose values ADBC infers a result column's type, and rows in one batch of a result.
    statement_options: Mapping[str, str] = {"adbc.sqlite.query.batch_rows": "65536"}
    # A plan is written a fifth faster than by pages of 4096; with WAL, readers read while another writes.
    prepare = ("PRAGMA page_size = 16384", "PRAGMA journal_mode = WAL")
    checkpoints = ("PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(TRUNCATE)")
    shrink = ("VACUUM", checkpoints[1])  # no other connection may use the database

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), path)
        self._wal: bool | None = None
        self._synchronous = ""

    def connect(self) -> adbc_driver_manager.AdbcDatabase:
        """The database in the file, which is made if it is missing, and made private if others could read it."""
        if make_private(self.beside):
            self.notes.append(f"the ledger {self.beside} was readable by others; it is private now")
        return adbc_driver_sqlite.connect(self.beside.absolute().as_uri())

    def at_opening(self) -> tuple[str, ...]:
        self._synchronous = _DURABLE
        return (
            f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}",
            _DURABLE,
            "PRAGMA temp_store = FILE",
            "PRAGMA cache_size = -8192",  # KiB
            "PRAGMA temp.cache_size = -16384",
            "PRAGMA secure_delete = ON",
        )

    def begin(self, database: Database, *, private: bool) -> tuple[str, ...]:
        """Takes the write lock at once, so that no upgrade of a reader can fail.

        WAL is refused on some network file systems, and without it a commit that does not wait can damage the file.
        """
        if private and self._wal is None:
            self._wal = bool(database.value("SELECT journal_mode = 'wal' FROM pragma_journal_mode"))
        before, self._synchronous = self._synchronous, _CARELESS if private and self._wal else _DURABLE
        return ("BEGIN IMMEDIATE",) if before == self._synchronous else (self._synchronous, "BEGIN IMMEDIATE")

    def translate(self, definition: str) -> str:
        """As it is; a temporary table whose key is bytes is ordered by it."""
        own_order = definition.startswith("CREATE TEMP") and "BLOB" in definition
        return definition + " WITHOUT ROWID" if own_order else definition

    def version(self, database: Database) -> int:
        version = int(database.value("PRAGMA user_version"))
        return version or -int(database.value("SELECT COUNT(*) > 0 FROM sqlite_schema"))

    def note_version(self, version: int) -> str:
        return f"PRAGMA user_version = {version}"

    def size(self, database: Database) -> int:  # noqa: ARG002  # the files tell
        return size_of(self.beside)

    def damage(self, database: Database) -> str:
        verdict = str(database.value("PRAGMA quick_check(1)"))
        return "" if verdict == "ok" else verdict

    @contextlib.contextmanager
    def exclusive(self, database: Database, name: str, seconds: float) -> Iterator[None]:  # noqa: ARG002  # a file's lock
        lock = file_lock(self.beside, name)
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            raise TimeoutError from None
        try:
            yield
        finally:
            lock.release()

    def explain(self, error: Exception) -> LedgerError:
        """Our error for the words of SQLite's, as ADBC hands on no code; Arrow's in the midst of a result likewise."""
        problem = str(error)
        if isinstance(error, OSError) and error.errno is not None:
            problem = "disk is full" if error.errno in _NO_ROOM else error.strerror or problem
        problem = problem.partition("\n")[0]  # the query follows
        words = problem.rsplit(": ", 1)[-1].strip()
        path = self.beside
        if "disk is full" in problem or "disk I/O error" in problem:
            trouble = "no room left on the disk of" if "disk is full" in problem else f"the disk refuses ({words})"
            return DiskFullError(
                f"{trouble} the ledger {path}; what was acknowledged before is safe",
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


def make_private(path: Path) -> bool:
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
        for end in FILES:
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + end).chmod(0o600)
    return open_to_others


def size_of(path: Path) -> int:
    """Bytes of a ledger's files."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
