"""What is SQLite's own: how its file is opened, its pragmas, the write lock, checkpoints, and the words of its errors.

Everything else in this room is SQL that PostgreSQL shares, or `Database`, which asks here. In the tables' definitions
(`importer.ledger.tables`, temporary ones) the types are SQLite's, too: INTEGER has 64 bits, BLOB holds bytes; row ids
are given by the room itself, never by the database. Source: SQLite's documentation ("Write-Ahead Logging", "PRAGMA
synchronous", "PRAGMA secure_delete"), ADBC's documentation ("SQLite Driver").
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

import adbc_driver_manager
import adbc_driver_sqlite

from importer.errors import DiskFullError, LedgerError

BUSY_SECONDS = 60.0
"""How long to wait for another importer's transaction; each is short."""

AT_CREATION = (
    "PRAGMA page_size = 8192",  # a plan is written a tenth faster than by pages of 4096
    "PRAGMA journal_mode = WAL",  # readers read while another process writes; kept in the file
)
BEGIN = "BEGIN IMMEDIATE"
"""Takes the write lock at once, so that no upgrade of a reader can fail."""
DURABLE = "PRAGMA synchronous = FULL"
CARELESS = "PRAGMA synchronous = NORMAL"
"""A commit does not wait for the disk."""
MAY_BE_CARELESS = "SELECT journal_mode = 'wal' FROM pragma_journal_mode"
"""WAL is refused on some network file systems, and without it a careless commit can damage the file."""
CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"
CHECKPOINT_BESIDE_OTHERS = "PRAGMA wal_checkpoint(PASSIVE)"
DAMAGE = "PRAGMA quick_check(1)"
"""``ok``, or what a check of all pages finds first."""
IS_EMPTY = "SELECT COUNT(*) = 0 FROM sqlite_schema"
VERSION = "PRAGMA user_version"
"""Of the tables; 0 in a new file."""
SHRINK = "VACUUM"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

RESTORE = "restore it from a backup; a new ledger would know nothing of earlier deliveries"
"""What to do about a ledger that cannot be read at all."""


def connect(path: Path) -> adbc_driver_manager.AdbcDatabase:
    """The database in a file, which is made if it is missing."""
    return adbc_driver_sqlite.connect(path.absolute().as_uri())


def at_opening() -> tuple[str, ...]:
    """The statements that each new connection begins with."""
    return (
        f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}",
        DURABLE,
        "PRAGMA temp_store = FILE",
        "PRAGMA cache_size = -8192",  # KiB
        "PRAGMA temp.cache_size = -16384",
        "PRAGMA secure_delete = ON",
    )


def temporary(name: str, columns: str) -> str:
    """The statement that makes a table which its connection alone sees; a primary key of several columns orders it."""
    return f"CREATE TEMP TABLE {name} ({columns})" + (" WITHOUT ROWID" if "BLOB" in columns else "")


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
        for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            with contextlib.suppress(FileNotFoundError):
                each.chmod(0o600)
    return open_to_others


def explain_os(path: Path, error: OSError) -> LedgerError:
    """Our error for one of the operating system's, or of Arrow's in the midst of a result, which has no number."""
    if error.errno is None:
        return explain(path, str(error))
    return explain(path, "disk is full" if error.errno in _NO_ROOM else error.strerror or str(error))


def explain(path: Path, problem: str) -> LedgerError:
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
