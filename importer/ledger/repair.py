"""Whether a ledger is whole, and what can be kept of one that is not."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from importer.ledger import counter
from importer.ledger.copy import NAMES, copy_table
from importer.ledger.database import Database
from importer.ledger.ledger import create, dialect_of, prepare
from importer.ledger.location import LedgerLocation
from importer.ledger.sqlite import FILES, SqliteDialect
from importer.ledger.tables import CLAIMED
from importer.model import State


@dataclass(frozen=True, slots=True)
class Health:
    """How a ledger is."""

    size: int
    """Bytes on the disk, the write-ahead log included."""
    rows: int
    """Of all accounts."""
    trouble: str
    """What is wrong first; empty if all is well."""


def health(location: LedgerLocation) -> Health:
    """Check an existing ledger; reads all of a file. Raises `LedgerError` where it cannot even be opened."""
    database = Database(dialect_of(location))
    try:
        prepare(database)
        trouble = database.dialect.damage(database)
        rows = 0 if trouble else int(database.value("SELECT COUNT(*) FROM row"))
        size = database.dialect.size(database)
        if not trouble and (lost := counter.behind(database)):
            trouble = lost
    finally:
        database.close()
    return Health(size, rows, trouble)


def repair(location: LedgerLocation) -> list[str]:
    """Keep what can be kept of a ledger that is damaged or has lost commits; sentences on what was done.

    Damaged: every row that can be read moves to a new file, and the old one stays beside it as ``….damaged``. Commits
    lost: what is still to be sent may have been sent since, and is put in doubt. Raises `LedgerError` where nothing
    can be read.
    """
    done = []
    database = Database(dialect_of(location))
    try:
        if isinstance(location, Path) and database.dialect.damage(database):
            database.close()
            done.append(_salvage(location))
            database = Database(dialect_of(location))
        if done or counter.behind(database):
            done.append(_doubt_pending(database))
            beside = database.dialect.beside
            number = 1 + max(counter.read(beside) or 0, counter.generation(database))
            with database.transaction():
                database.execute("UPDATE ledger SET generation = $1", number)
            counter.note(beside, number)
    finally:
        database.close()
    return done


def _doubt_pending(database: Database) -> str:
    with database.transaction():
        count = database.execute(
            "UPDATE row SET state = $1, code = 'doubt.ledger', maybe_sent = 1, requeued_from = NULL"
            " WHERE state IN ($2, $3)",
            State.IN_DOUBT,
            State.PENDING,
            CLAIMED,
        )
        database.execute("UPDATE run SET state = 'finished' WHERE state IN ('ready', 'delivering', 'stopped')")
    return (
        f"{count:,} rows that were still to be sent are in doubt now, for they may have been sent since;"
        " look in Sender, then `importer resolve RUN --assume-sent` or `--resend`"
    )


def _salvage(path: Path) -> str:
    """Copy table by table into a new file, in steps, past the pages that cannot be read.

    The damaged file stays where it is until all is copied: half a ledger in its place would be taken for a whole one.
    """
    damaged, fresh = path.with_name(path.name + ".damaged"), path.with_name(path.name + ".repaired")
    for end in FILES:
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    old, new = Database(SqliteDialect(path)), Database(SqliteDialect(fresh))
    try:
        create(new)
        with new.transaction():
            new.execute("DELETE FROM ledger")
            lost = sum(copy_table(old, new, table) for table in NAMES)
        new.checkpoint()
    finally:
        old.close()
        new.close()
    for source, target in ((path, damaged), (fresh, path)):
        for end in FILES:
            with contextlib.suppress(FileNotFoundError):
                source.with_name(source.name + end).rename(target.with_name(target.name + end))
    words = f"what could be read is in {path}, {lost:,} stretches could not; the damaged file is kept as {damaged}"
    if lost:
        words += (
            "\nwarning: what was sent and is in the lost stretches is not known any more, and would be sent again:"
            " before the same files are imported again, restore a backup, or take out the rows that the reports of"
            " their runs show as sent"
        )
    return words
