"""Times in which a run sent nothing, and why.

This module owns the table ``halt``, which a ledger from before it gets when it is opened. What a halt is, delivery
finds.
"""

from __future__ import annotations

from importer.ledger.database import Database
from importer.model import Pause, PauseKind, Run


def note(database: Database, run: Run, halt: Pause) -> None:
    """Remember a halt of a run."""
    with database.transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO halt (run, begun, kind, ended) VALUES (?, ?, ?, ?)",
            (run.no, halt.begun, halt.kind, halt.ended),
        )


def halts(database: Database, run: Run) -> list[Pause]:
    """A run's halts, in their order."""
    with database.explained():
        found = database.connection.execute(
            "SELECT kind, begun, ended FROM halt WHERE run = ? ORDER BY begun, kind", (run.no,)
        ).fetchall()
    return [Pause(PauseKind(kind), begun, ended) for kind, begun, ended in found]
