"""Copying a ledger to another database; whether one is whole, and what can be kept of one that is not."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from importer.errors import LedgerError, UsageError
from importer.ledger import counter
from importer.ledger.database import Database
from importer.ledger.ledger import Ledger, create, dialect_of, prepare
from importer.ledger.location import LedgerLocation
from importer.ledger.sqlite import FILES, SqliteDialect
from importer.ledger.tables import CLAIMED, RUN_BITS, STEP, TABLES
from importer.model import ArrowTable, RunState, State

_MAX_FAILURES = {"row": 5_000, "chunk": 1_000}
_FEW_FAILURES = 200
"""Reads of a damaged table that fail before the rest of it is given up: a dead inner page hides what is behind it."""
_KEPT_EMPTY = "order_value"
"""A column that only a plan in the making needs."""


NAMES = tuple(definition.split()[2] for definition in TABLES if definition.startswith("CREATE TABLE"))
"""Of the tables, each after those that it refers to."""


def copy_ledger(source: LedgerLocation, target: LedgerLocation) -> tuple[int, int]:
    """Copy a whole ledger into an empty one, all or nothing; returns how many runs and rows there are.

    Raises `UsageError` where the target is not empty, or a process works on the source; `LedgerError` where either
    cannot be used, or the source is damaged.
    """
    if not source.exists():
        raise UsageError(f"there is no ledger {source}", hint="name an existing one first, then where it goes")
    with Ledger(source, account="", endpoint="") as old:
        if trouble := old.database.dialect.damage(old.database):
            raise LedgerError(f"the ledger {source} is damaged: {trouble}", hint="see `importer doctor` first")
        _refuse_used(old)
        generation = counter.generation(old.database)
        new = Database(dialect_of(target))
        try:
            prepare(new)
            if new.value("SELECT COUNT(*) FROM run"):
                raise UsageError(f"{target} is not empty", hint="copy into a new file or database")
            with new.transaction():
                new.execute("DELETE FROM ledger")
                for table in NAMES:
                    if copy_table(old.database, new, table):
                        raise LedgerError(
                            f"the ledger {source} cannot be read to its end", hint="see `importer doctor`"
                        )
                    if statement := new.dialect.after_copy(table):
                        new.query(statement)
                _refuse_used(old)
                if counter.generation(old.database) != generation:
                    raise UsageError(
                        f"the ledger {source} was used during the copy", hint="copy it while no importer runs"
                    )
            new.checkpoint()
            counter.note(new, generation)
            runs, rows = (int(new.value(f"SELECT COUNT(*) FROM {table}")) for table in ("run", "row"))
        finally:
            new.close()
    return runs, rows


def _refuse_used(ledger: Ledger) -> None:
    for run in ledger.runs(everywhere=True):
        if run.state not in (RunState.FINISHED, RunState.PRUNED) and ledger.is_alive(run):
            raise UsageError(f"run {run.id} is being worked on", hint="wait for it, or stop it, then copy the ledger")


def copy_table(old: Database, new: Database, table: str, ranges: list[tuple[int, int]] | None = None) -> int:
    """Copy a table past what cannot be read; returns how many stretches of it were lost. Leases stay where they are.

    ``ranges`` are those of its first column that can hold anything; None: they are not known.
    """
    if table == "lease":
        return 0
    if key := {"scope": "no", "run": "no", "source": "no", "row": "id", "chunk": "first_id"}.get(table):
        return _copy_by(key, old, new, table, ranges or [(-(1 << 62), 1 << 62)])
    try:
        for batch in old.batches(f"SELECT * FROM {table}"):
            _paste(new, table, pa.Table.from_batches([batch]))
    except LedgerError:
        return 1
    return 0


def _copy_by(key: str, old: Database, new: Database, table: str, ranges: list[tuple[int, int]]) -> int:
    """Copy by ranges of a column, halving those that cannot be read."""
    lost = failures = 0
    while ranges:
        if failures > _MAX_FAILURES.get(table, _FEW_FAILURES):
            return lost + len(ranges)
        first, last = ranges.pop()
        try:
            bounds = old.rows(f"SELECT MIN({key}), MAX({key}) FROM {table} WHERE {key} BETWEEN $1 AND $2", first, last)
            if bounds[0][0] is None:
                continue
            low, high = bounds[0]
            if high - low < STEP:
                _paste(new, table, old.query(f"SELECT * FROM {table} WHERE {key} BETWEEN $1 AND $2", low, high))
                continue
            first, last = low, high
        except LedgerError:
            failures += 1
            if first == last:
                lost += 1
                continue
        middle = (first + last) // 2
        ranges += [(first, middle), (middle + 1, last)]
    return lost


def _paste(new: Database, table: str, rows: ArrowTable) -> None:
    if rows.num_rows:
        columns = {name: rows.column(name) for name in rows.column_names if name != _KEPT_EMPTY}
        # SQLite names no type for a column that is empty throughout.
        new.insert(table, {name: one for name, one in columns.items() if one.null_count < len(one)})


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
_RANGES = "SELECT first_id, first_id + rows - 1 FROM source"
"""The first and the last id of each source's rows, in SQL."""


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
                    lost[table] = copy_table(old, new, table, new.rows(_RANGES) if known else None)
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


def _fill_gaps(database: Database) -> int:
    """Put a row in doubt in each place of a known source that has none; returns how many.

    Where rows are lost of a source that has rows of other accounts, theirs cannot be distinguished from the lost ones.
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
