"""Whether a ledger is whole, and what can be kept of one that is not."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from importer.errors import LedgerError
from importer.ledger import counter
from importer.ledger.copy import NAMES, copy_table
from importer.ledger.database import Database
from importer.ledger.ledger import create, dialect_of, prepare
from importer.ledger.location import LedgerLocation
from importer.ledger.sqlite import FILES, SqliteDialect
from importer.ledger.tables import CLAIMED, RUN_BITS, STEP
from importer.model import State


class Health(msgspec.Struct, frozen=True):
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
            found, unknown = _salvage(location)
            done += found
            database = Database(dialect_of(location))
            if unknown:
                counter.note(database, 1 + counter.generation(database))
                return done
        if done or counter.behind(database):
            done.append(_doubt_pending(database))
            number = 1 + max(counter.read(database.dialect.beside) or 0, counter.generation(database))
            with database.transaction():
                database.execute("UPDATE ledger SET generation = $1", number)
            counter.note(database, number)
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
        " check in Sender, then `importer resolve RUN --assume-sent` or `--resend`"
    )


_REMEMBERED = ("ledger", "scope", "run", "source")
"""Tables without which the rows of others have no meaning."""


def _salvage(path: Path) -> tuple[list[str], bool]:
    """Copy table by table into a new file, in steps, past the pages that cannot be read.

    Rows whose place in a source is known are in doubt, where they cannot be read themselves: they are not sent again by
    themselves when that file comes again. Returns sentences, and whether something may have been sent of which nothing
    is known any more. The damaged file stays where it is until all is copied: half a ledger in its place would be taken
    for a whole one.
    """
    damaged, fresh = path.with_name(path.name + ".damaged"), path.with_name(path.name + ".repaired")
    for end in FILES:
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    old, new = Database(SqliteDialect(path)), Database(SqliteDialect(fresh))
    lost: dict[str, int] = {}
    try:
        secret, generation = _identity(old)
        create(new, secret=secret)
        new.execute("UPDATE ledger SET generation = $1", generation)
        lost["ledger"] = int(secret is None)
        with new.transaction():
            for table in NAMES:
                if table != "ledger":
                    known = table in {"row", "chunk"} and not lost["source"]
                    lost[table] = copy_table(old, new, table, _ranges(new) if known else None)
        doubtful = _fill_gaps(new)
        new.execute(
            "INSERT INTO delivered_key SELECT r.scope, w.key_hash, w.id FROM row w"
            f" JOIN run r ON r.no = w.id >> {RUN_BITS} WHERE w.key_hash IS NOT NULL ON CONFLICT DO NOTHING"
        )
        new.checkpoint()
    finally:
        old.close()
        new.close()
    for source, target in ((path, damaged), (fresh, path)):
        for end in FILES:
            with contextlib.suppress(FileNotFoundError):
                source.with_name(source.name + end).rename(target.with_name(target.name + end))
    unknown = any(lost[table] for table in _REMEMBERED) or bool(doubtful and lost["delivered_key"])
    stretches = f"{sum(lost.values()):,} stretches could not"
    said = [f"what could be read is in {path}, {stretches}; the damaged file is kept as {damaged}"]
    if doubtful:
        said.append(f"{doubtful:,} rows could not be read and are in doubt, as their outcome is unknown")
    if unknown:
        said.append(
            "warning: what was sent and is in the lost stretches is not known any more, and would be sent again; the"
            " ledger is not used before you decide: restore a backup, or take out of the files that you import again"
            " the rows that the reports of earlier runs show as sent, and run `importer doctor --repair` again"
        )
    return said, unknown


def _identity(database: Database) -> tuple[bytes | None, int]:
    """The ledger's secret, without which its hashes mean nothing, and its generation."""
    with contextlib.suppress(LedgerError):
        for secret, generation in database.rows("SELECT secret, generation FROM ledger"):
            return secret, generation
    return None, 0


def _ranges(database: Database) -> list[tuple[int, int]]:
    """The first and the last id of each source's rows."""
    return [(first, last) for first, last in database.rows("SELECT first_id, first_id + rows - 1 FROM source")]


def _fill_gaps(database: Database) -> int:
    """Put a row in doubt in each place of a known source that has none; returns how many.

    Where rows are lost of a source that has rows of other accounts, theirs cannot be told apart from the lost ones.
    """
    filled = 0
    for first, count, others in database.rows(
        "SELECT s.first_id, s.rows, s.others FROM source s JOIN run r ON r.no = s.run WHERE r.state <> 'planning'"
    ):
        there = "SELECT COUNT(*) FROM row WHERE id >= $1 AND id < $2"
        if others and database.value(there, first, first + count) == count - others:
            continue
        for start in range(first, first + count, STEP):
            places = np.arange(start, min(start + STEP, first + count))
            found = database.query("SELECT id FROM row WHERE id BETWEEN $1 AND $2", int(places[0]), int(places[-1]))
            missing = np.setdiff1d(places, found.column(0).to_numpy())
            if not len(missing):
                continue
            columns = {"id": pa.array(missing), "lane": pa.array(np.zeros(len(missing), np.int64))}
            words = {"state": State.IN_DOUBT.value, "code": "doubt.ledger"}
            columns |= {name: pa.array([word] * len(missing)) for name, word in words.items()}
            columns["maybe_sent"] = pa.array(np.ones(len(missing), np.int64))
            with database.transaction():
                database.insert("row", columns)
            filled += len(missing)
    return filled
