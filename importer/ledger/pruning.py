"""Forgetting what an old run told, and keeping what "never twice" needs of it.

This module owns what is dropped: bodies, originals, reasons, the rows' answers and their order. What stays is the run,
its sources with their digests, every row's state, and the delivered keys: so its books can still be read, and neither
the same content nor the same key is ever sent again.
"""

from __future__ import annotations

from importer.errors import UsageError
from importer.ledger.database import Database
from importer.ledger.schema import CLAIMED, CODES, ids
from importer.model import Run, RunState, State

_OPEN = ", ".join(map(str, (CODES[State.PENDING], CODES[State.IN_DOUBT], CLAIMED)))
"""Rows on which somebody's word, or a request, is still to come."""


def is_open(database: Database, run: Run) -> bool:
    """Whether the run still has rows to send or to settle."""
    with database.explained():
        (found,) = database.connection.execute(
            f"SELECT EXISTS (SELECT 1 FROM row WHERE id BETWEEN ? AND ? AND state IN ({_OPEN}))", ids(run.no)
        ).fetchone()
    return bool(found)


def prune(database: Database, run: Run) -> None:
    """Forget what a finished run told, all or nothing; raises `UsageError` if rows of it are still open."""
    if is_open(database, run):
        raise UsageError(
            f"run {run.id} has rows that are still to be sent or settled",
            hint=f"`importer runs {run.id}` shows them",
        )
    bounds = ids(run.no)
    with database.transaction() as connection:
        for table in ("body", "chunk"):
            connection.execute(f"DELETE FROM {table} WHERE first_id BETWEEN ? AND ?", bounds)
        for table in ("place", "halt"):
            connection.execute(f"DELETE FROM {table} WHERE run = ?", (run.no,))
        connection.execute(
            "UPDATE row SET key = NULL, attempts = 0, http_status = NULL, at = NULL, latency_ms = NULL, code = NULL,"
            " message = NULL WHERE id BETWEEN ? AND ?",
            bounds,
        )
        connection.execute("UPDATE run SET state = ? WHERE no = ?", (RunState.PRUNED, run.no))


def shrink(database: Database) -> None:
    """Give the space that was freed back to the disk; raises `LedgerError` while others use the ledger."""
    with database.explained():
        database.connection.execute("VACUUM")
        database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
