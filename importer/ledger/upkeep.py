"""The ledger as a file: how big it is, and whether it is sound.

This module owns what `importer doctor` asks of it. It reads, and never makes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from importer.ledger.database import Database


@dataclass(frozen=True, slots=True)
class Health:
    """How a ledger is."""

    size: int
    """Bytes on the disk, what is not yet merged included."""
    rows: int
    """Of all accounts."""
    trouble: str
    """What SQLite's own check found first; empty if all is well."""


def health(path: Path) -> Health:
    """Check an existing ledger; reads all of it. Raises `LedgerError` where it cannot even be opened."""
    database = Database(path)
    try:
        with database.explained():
            (verdict,) = database.connection.execute("PRAGMA quick_check(1)").fetchone()
            (rows,) = database.connection.execute("SELECT COUNT(*) FROM row").fetchone()
    finally:
        database.close()
    return Health(size_of(path), int(rows), "" if verdict == "ok" else str(verdict))


def size_of(path: Path) -> int:
    """Bytes of a ledger's files."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
