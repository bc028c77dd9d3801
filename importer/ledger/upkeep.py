"""Forgetting and repairing: bodies, old runs, a person; the check of the file, and what its counter file tells.

The counter file lies beside the ledger and repeats its ``generation``. The ledger counts up with the first commit after
each checkpoint, and the file follows: whoever finds the ledger behind its file knows that commits are missing, since
the write-ahead log was lost or an older copy was put in the ledger's place.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from importer.errors import LedgerError, UsageError
from importer.ledger import planning
from importer.ledger.books import is_open
from importer.ledger.database import Database, size_of
from importer.ledger.hashing import Hasher
from importer.ledger.packing import pack, unpack
from importer.ledger.tables import CLAIMED, STEP, TABLES, VERSION, ids
from importer.model import Run, RunState, State

_KEPT = f"('{State.PENDING}', '{CLAIMED}', '{State.REFUSED}', '{State.FAILED}', '{State.IN_DOUBT}')"
"""Rows that may still have to be sent, in SQL."""
_DONE = f"('{State.SENT}', '{State.FILTERED}', '{State.GROUPED}', '{State.DUPLICATE}')"
"""Rows that no file of rejects will ever hold, if their group's head is one of these too."""


# A person


# The file

_FILES = ("", "-wal", "-shm")
_MAX_FAILURES = 5_000
"""Reads of a damaged table that fail before the rest of it is given up: a dead inner page hides what is behind it."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a ledger is."""

    size: int
    """Bytes on the disk, the write-ahead log included."""
    rows: int
    """Of all accounts."""
    trouble: str
    """What is wrong first; empty if all is well."""


def health(path: Path) -> Health:
    """Check an existing ledger; reads all of it. Raises `LedgerError` where it cannot even be opened."""
    database = Database(path)
    try:
        trouble = database.damage()
        rows = 0 if trouble else int(database.value("SELECT COUNT(*) FROM row"))
        if not trouble and (lost := behind(database)):
            trouble = lost
    finally:
        database.close()
    return Health(size_of(path), rows, trouble)


def counter_file(path: Path) -> Path:
    """Where the generation is repeated."""
    return path.with_name(path.name + ".counter")


def behind(database: Database) -> str:
    """Why commits are missing, in words; empty if none are, or where there is no counter file to tell."""
    noted = _noted(counter_file(database.path))
    if noted is None or noted <= database.value("SELECT generation FROM ledger"):
        return ""
    return "it is older than when it was last used: its write-ahead log is lost, or an older copy is in its place"


def note(path: Path, generation: int) -> None:
    """Write the counter file, whole or not at all."""
    file = counter_file(path)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, f"{generation}\n".encode())
    finally:
        os.close(handle)
    fresh.replace(file)


def _noted(file: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(file.read_text(encoding="ascii"))
    return None


def repair(path: Path) -> list[str]:
    """Keep what can be kept of a ledger that is damaged or has lost commits; sentences on what was done.

    Damaged: every row that can be read moves to a new file, and the old one stays beside it as ``….damaged``. Commits
    lost: what is still to be sent may have been sent since, and is put in doubt. Raises `LedgerError` where nothing
    can be read.
    """
    done = []
    database = Database(path)
    try:
        if database.damage():
            database.close()
            done.append(_salvage(path))
            database = Database(path)
        if done or behind(database):
            done.append(_doubt_pending(database))
            with database.transaction():
                database.execute(
                    "UPDATE ledger SET generation = $1", 1 + max(_noted(counter_file(path)) or 0, _generation(database))
                )
            note(path, _generation(database))
    finally:
        database.close()
    return done


def _generation(database: Database) -> int:
    return int(database.value("SELECT generation FROM ledger"))


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
    for end in _FILES:
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    old, new = Database(path), Database(fresh)
    lost = 0
    try:
        new.create(TABLES, VERSION)
        for statement in TABLES:
            if statement.startswith("CREATE TABLE"):
                lost += _copy(old, new, statement.split()[2])
        new.checkpoint()
    finally:
        old.close()
        new.close()
    for source, target in ((path, damaged), (fresh, path)):
        for end in _FILES:
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


def _copy(old: Database, new: Database, table: str) -> int:
    """Copy a table by ranges of its first column, halving those that cannot be read; returns how many were lost."""
    key = {"ledger": "version", "place": "run", "delivered_key": "scope", "pause": "run"}.get(table)
    if key is not None:
        try:
            _paste(new, table, old.query(f"SELECT * FROM {table}"))
        except LedgerError:
            return 1
        return 0
    key = {"row": "id", "chunk": "first_id"}.get(table, "no")
    lost = failures = 0
    ranges = [(-(1 << 62), 1 << 62)]
    while ranges:
        if failures > _MAX_FAILURES:
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


def _paste(new: Database, table: str, rows: pa.Table) -> None:
    if rows.num_rows:
        with new.transaction():
            planning.insert(new, table, {name: rows.column(name) for name in rows.column_names})


class Upkeep(Part):
    """Forgetting: bodies, old runs, a person."""

    def drop_bodies(self, run: Run) -> None:
        """Forget the bodies of rows that are done with, and raw records that no rejects file will need."""
        found = planning.chunks(database, run)
        chunks = list(zip(found.column("first_id").to_pylist(), found.column("count").to_pylist(), strict=True))
        for first, count in chunks:
            last = first + count - 1
            with self._db.transaction():
                self._db.execute(
                    f"UPDATE row SET body = NULL WHERE id BETWEEN $1 AND $2 AND body IS NOT NULL AND state NOT IN {_KEPT}",
                    first,
                    last,
                )
                open_rows = self._db.value(
                    "SELECT EXISTS (SELECT 1 FROM row r LEFT JOIN row h ON h.id = r.group_head"
                    f" WHERE r.id BETWEEN $1 AND $2 AND (r.state NOT IN {_DONE} OR h.state NOT IN {_DONE}))",
                    first,
                    last,
                )
                if not open_rows:
                    self._db.execute("UPDATE chunk SET raw_rows = NULL WHERE first_id = $1", first)
        self._db.checkpoint()

    def prune(self, run: Run) -> None:
        """Forget the details of an old run; what "never twice" needs stays. Raises `UsageError` for an open run."""
        if is_open(database, run):
            raise UsageError(
                f"run {run.id} has rows that are still to be sent or resolved",
                hint=f"`importer runs {run.id}` shows them",
            )
        bounds = ids(run)
        with self._db.transaction():
            self._db.execute("DELETE FROM chunk WHERE first_id BETWEEN $1 AND $2", *bounds)
            self._db.execute("DELETE FROM place WHERE run = $1", run.no)
            self._db.execute("DELETE FROM pause WHERE run = $1", run.no)
            self._db.execute(
                "UPDATE row SET line = NULL, lane = NULL, key = NULL, subscriber = NULL, value = NULL, currency = NULL,"
                " event_time = NULL, order_value = NULL, attempts = 0, http_status = NULL, sent_at = NULL,"
                " latency_ms = NULL, code = NULL, message = NULL, body = NULL WHERE id BETWEEN $1 AND $2",
                *bounds,
            )
            self._db.execute("UPDATE run SET state = $1 WHERE no = $2", RunState.PRUNED, run.no)

    def forget(self, hasher: Hasher, scope: int, subscriber: str) -> int:
        """Remove a person from all runs of this account; what was sent to them is still never sent again.

        Returns how many rows. Raises `UsageError` while another process works on a run of the account.
        """
        rows = self._rows_of(hasher, scope, subscriber)
        by_chunk: dict[int, list[int]] = {}
        for row_id in rows:
            first = self._db.value("SELECT MAX(first_id) FROM chunk WHERE first_id <= $1", row_id)
            if first is not None:
                by_chunk.setdefault(int(first), []).append(row_id)
        for at in range(0, len(rows), STEP):
            table = pa.table({"$1": pa.array(rows[at : at + STEP], pa.int64())})
            with self._db.transaction():
                self._db.execute(
                    f"UPDATE row SET state = '{State.INVALID}', code = 'subscriber.forgotten'"
                    f" WHERE id = $1 AND state = '{State.PENDING}'",
                    table=table,
                )
                self._db.execute(
                    "UPDATE row SET subscriber = NULL, key = NULL, value = NULL, currency = NULL, event_time = NULL,"
                    " order_value = NULL, lane = 0, message = NULL, body = NULL WHERE id = $1",
                    table=table,
                )
        for first, chosen in by_chunk.items():
            self._clean_chunk(first, chosen)
        self._db.checkpoint()
        return len(rows)

    def _rows_of(self, hasher: Hasher, scope: int, subscriber: str) -> list[int]:
        """The rows that name the subscriber, those in one lane with them, and the parts of their groups."""
        name = subscriber.strip()
        lanes = [int(hasher.identifiers(pa.array([text]), kind)[0]) for kind, text in enumerate((name, name.lower(), name))]
        found: set[int] = set()
        for (run,) in self._db.rows("SELECT no FROM run WHERE scope = $1", scope):
            chosen = "lower(subscriber) = lower($1) OR lane IN ($2, $3, $4) OR subscriber_hash IN ($2, $3, $4)"
            here = f"SELECT DISTINCT lane FROM row WHERE id BETWEEN $5 AND $6 AND ({chosen}) AND lane <> 0"
            found.update(
                row_id
                for (row_id,) in self._db.rows(
                    f"SELECT id FROM row WHERE ({chosen} OR lane IN ({here})) AND id BETWEEN $5 AND $6",
                    name,
                    *lanes,
                    *ids(run),
                )
            )
        parts = pa.table({"$1": pa.array(sorted(found), pa.int64())})
        if found:
            found.update(self._db.query("SELECT id FROM row WHERE group_head = $1", table=parts).column(0).to_pylist())
        return sorted(found)

    def _clean_chunk(self, first: int, chosen: list[int]) -> None:
        """Take rows' raw records and reasons out of their chunk."""
        ((first_row, reasons, raw_rows),) = self._db.rows(
            "SELECT first_row, reasons, raw_rows FROM chunk WHERE first_id = $1", first
        )
        positions = {row_id - first for row_id in chosen}
        if raw_rows is not None:
            table = unpack(raw_rows)
            gone = pa.array([None if at in positions else at for at in range(table.num_rows)], pa.int64())
            raw_rows = pack(table.take(gone))
        if reasons is not None:
            table = unpack(reasons)
            keep = [row - first_row not in positions for row in table.column("row").to_pylist()]
            reasons = pack(table.filter(pa.array(keep)))
        with self._db.transaction():
            self._db.execute("UPDATE chunk SET reasons = $1, raw_rows = $2 WHERE first_id = $3", reasons, raw_rows, first)

    def refuse_older(self) -> None:
        """Raise `LedgerError` for a ledger that has lost commits."""
        if lost := behind(database):
            raise LedgerError(
                f"the ledger {self._db.path} cannot be relied on: {lost}; events that were sent since then are not in it,"
                " and would be sent again",
                hint="put the newest copy back; or `importer doctor --repair` goes on with this one and puts whatever it"
                " still has to send in doubt, for you to decide",
            )

    def count_up(self) -> int:
        """In a transaction: the next generation, to be noted once it is committed."""
        self._db.execute("UPDATE ledger SET generation = generation + 1")
        return int(self._db.value("SELECT generation FROM ledger"))
