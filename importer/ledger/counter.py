"""The counter: a file of this machine that repeats the ledger's ``generation``.

The ledger counts up with the first commit after each checkpoint, and the file follows: an importer that finds the
ledger behind its file knows that commits are missing, since the write-ahead log was lost or an older copy was put in
its place.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from importer.errors import LedgerError
from importer.ledger.database import Database


def counter_file(beside: Path) -> Path:
    """Where the generation is repeated."""
    return beside.with_name(beside.name + ".counter")


def behind(database: Database) -> str:
    """Why commits are missing, in words; empty if none are, or where there is no counter file."""
    noted = read(database.dialect.beside)
    if noted is None or noted <= generation(database):
        return ""
    cause = "" if database.dialect.shared else "its write-ahead log, or a part of it, is lost, or "
    return f"it is older than when it was last used: {cause}an older copy is in its place"


def refuse_older(database: Database) -> None:
    """Raise `LedgerError` for a ledger that has lost commits."""
    if lost := behind(database):
        raise LedgerError(
            f"the ledger {database.dialect.name} cannot be relied on: {lost}; events that were sent since then are not"
            " in it, and would be sent again",
            hint="put the newest copy back; or `importer doctor --repair` goes on with this one and puts the rows"
            " that it still has to send in doubt, for you to decide",
        )


def generation(database: Database) -> int:
    """The number that the ledger has counted to."""
    return int(database.value("SELECT generation FROM ledger"))


def count_up(database: Database) -> int:
    """In a transaction: the next generation, to be noted once it is committed."""
    database.execute("UPDATE ledger SET generation = generation + 1")
    return generation(database)


def note(database: Database, number: int) -> None:
    """Write the counter file, whole or not at all; any thread may. Raises `LedgerError` where it cannot be written."""
    file = counter_file(database.dialect.beside)
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, f"{number}\n".encode())
        finally:
            os.close(handle)
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise database.dialect.explain(error) from error


def read(beside: Path) -> int | None:
    """What the file says; None where there is none."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(counter_file(beside).read_text(encoding="ascii"))
    return None
