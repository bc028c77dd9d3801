"""What users decide about rows after the fact: retry what was not delivered, resolve what is in doubt, prune.

This module owns these changes of state and their safety: a row whose twin or key was delivered by another run in the
meantime is not sent again.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.errors import UsageError
from importer.ledger.database import Database
from importer.ledger.memory import SPOKEN_FOR
from importer.ledger.packing import Packed, pack, unpack_bodies
from importer.ledger.schema import CODES, ids
from importer.model import Run, RunState, State

_PENDING = CODES[State.PENDING]
_KEPT = (State.PENDING, State.REFUSED, State.FAILED, State.IN_DOUBT)
"""Rows that may still have to be sent."""
_MENDED = (State.SENT, State.FILTERED, State.GROUPED, State.DUPLICATE)
"""Rows that no file of rejects will ever hold, if their event's row is none of the others."""


def resolve(database: Database, run: Run, state: State, rows: Sequence[int] | None) -> int:
    """Settle rows in doubt as SENT, or as PENDING to be sent again; returns how many.

    ``rows`` are ledger ids as `doubtful` lists them; None means all. Raises `UsageError` for a row not in doubt.
    """
    message = "taken as sent at the user's word" if state is State.SENT else "sent again at the user's word"
    with database.transaction() as connection:
        in_doubt = "SELECT id FROM row WHERE id BETWEEN ? AND ? AND state = ? ORDER BY id"
        found = [row_id for (row_id,) in connection.execute(in_doubt, (*ids(run.no), CODES[State.IN_DOUBT]))]
        chosen = found if rows is None else sorted(set(rows))
        if strangers := set(chosen).difference(found):
            raise UsageError(
                f"{len(strangers)} of the rows named are not in doubt in run {run.id}",
                hint=f"`importer runs {run.id}` lists the rows in doubt",
            )
        connection.executemany(
            "UPDATE row SET state = ?, code = NULL, message = ? WHERE id = ?",
            ((CODES[state], message, row_id) for row_id in chosen),
        )
        _reopen(connection, run)
    return len(chosen)


def release(database: Database, run: Run) -> int:
    """Put what is in doubt back into the queue, for as long as ``--on-doubt resend`` holds; returns how many rows."""
    with database.transaction() as connection:
        count = connection.execute(
            "UPDATE row SET state = ? WHERE id BETWEEN ? AND ? AND state = ?",
            (_PENDING, *ids(run.no), CODES[State.IN_DOUBT]),
        ).rowcount
        if count:
            _reopen(connection, run)
    return count


def take_back(database: Database, run: Run, *, doubts: bool) -> int:
    """Undo `release` and `retry` for the rows that still wait: they stand again as their codes say; returns how many.

    With ``doubts``, only what may have been accepted.
    """
    was = {"api.refused": State.REFUSED, "failed.attempts": State.FAILED, "failed.refused": State.FAILED}
    cases = " ".join(f"WHEN '{code}' THEN {CODES[state]}" for code, state in was.items())
    only = "code LIKE 'doubt.%'" if doubts else "code IS NOT NULL"
    with database.transaction() as connection:
        return connection.execute(
            f"UPDATE row SET state = CASE code {cases} ELSE ? END WHERE id BETWEEN ? AND ? AND state = ? AND {only}",
            (CODES[State.IN_DOUBT], *ids(run.no), _PENDING),
        ).rowcount


def doubtful(database: Database, packed: Packed, run: Run) -> list[tuple[int, str, int, int, str, str]]:
    """The rows in doubt: (ledger id, source name, row, line, subscriber, code), in source order."""
    with database.explained():
        found = database.connection.execute(
            "SELECT r.id, s.name, r.id - s.first_id + 1, COALESCE(r.code, '')"
            " FROM row r JOIN source s ON s.run = ? AND r.id BETWEEN s.first_id AND s.first_id + s.rows - 1"
            " WHERE r.id BETWEEN ? AND ? AND r.state = ? ORDER BY r.id",
            (run.no, *ids(run.no), CODES[State.IN_DOUBT]),
        ).fetchall()
        facts = packed.facts([row_id for row_id, *_ in found], ("line", "subscriber"))
        return [
            (row_id, name, row, line, subscriber or "", code)
            for (row_id, name, row, code), (line, subscriber) in zip(found, facts, strict=True)
        ]


def retry(database: Database, run: Run) -> tuple[int, int]:
    """Put refused and failed rows back into the queue.

    Returns how many go out again, and how many do not, since another run has delivered the same row or key, or will.
    """
    with database.transaction() as connection:
        execute = connection.execute
        repeated = 0
        for code, elsewhere in (("duplicate.row", _TWIN_ELSEWHERE), ("duplicate.key", _KEY_ELSEWHERE)):
            repeated += execute(
                f"UPDATE row SET state = :duplicate, code = :code, message = 'taken care of by another run'"
                f" WHERE {_UNDELIVERED} AND EXISTS ({elsewhere})",
                {**_named(run), "code": code},
            ).rowcount
        again = execute(f"UPDATE row SET state = :pending WHERE {_UNDELIVERED}", _named(run)).rowcount
        _reopen(connection, run)
    return again, repeated


_UNDELIVERED = "id BETWEEN :first AND :last AND state IN (:refused, :failed)"
_TWIN_ELSEWHERE = (
    "SELECT 1 FROM source s JOIN run own ON own.no = s.run"
    " JOIN source t ON t.digest = s.digest AND t.digest <> '' AND t.no <> s.no"
    " JOIN run other ON other.no = t.run AND other.scope = own.scope"
    " JOIN row twin ON twin.id = row.id - s.first_id + t.first_id AND twin.id < t.first_id + t.rows"
    " LEFT JOIN member m ON m.id = twin.id LEFT JOIN row leader ON leader.id = m.leader"
    " WHERE s.run = :run AND row.id BETWEEN s.first_id AND s.first_id + s.rows - 1"
    f" AND COALESCE(leader.state, twin.state) IN {SPOKEN_FOR}"
)
_KEY_ELSEWHERE = (
    "SELECT 1 FROM run own JOIN delivered_key d ON d.scope = own.scope AND d.key = row.key AND d.id <> row.id"
    f" JOIN row o ON o.id = d.id WHERE own.no = :run AND o.state IN {SPOKEN_FOR}"
)


def _named(run: Run) -> dict[str, int]:
    first, last = ids(run.no)
    states = {state.value: CODES[state] for state in (State.PENDING, State.REFUSED, State.FAILED, State.DUPLICATE)}
    return {"run": run.no, "first": first, "last": last, **states}


def _reopen(connection: sqlite3.Connection, run: Run) -> None:
    """In the transaction that settles rows: a run with pending rows can be resumed, one without is finished."""
    connection.execute(
        "UPDATE run SET state = CASE WHEN EXISTS (SELECT 1 FROM row WHERE id BETWEEN ? AND ? AND row.state = ?)"
        " THEN ? ELSE ? END, finished_at = COALESCE(finished_at, ?) WHERE no = ?",
        (*ids(run.no), _PENDING, RunState.STOPPED, RunState.FINISHED, time.time(), run.no),
    )


def drop_bodies(database: Database, run: Run) -> None:
    """Forget the bodies of rows that are done with, and the originals of chunks in which nothing is left to mend.

    A chunk at a time, so that other importers need not wait; whatever interrupts it, a second call does the rest.
    """
    execute = database.connection.execute
    with database.explained():
        chunks = execute(
            "SELECT first_id, first_id + count - 1 FROM chunk WHERE first_id BETWEEN ? AND ?", ids(run.no)
        ).fetchall()
    for first, last in chunks:
        with database.transaction():
            kept = _rows_in(database, first, last, _KEPT)
            _thin_bodies(database, first, last, kept)
            mended = _rows_in(database, first, last, _MENDED)
            if len(mended) == last - first + 1 and not _wait_for_leaders(database, first, last):
                execute("UPDATE chunk SET originals = NULL WHERE first_id = ? AND originals IS NOT NULL", (first,))


def _rows_in(database: Database, first: int, last: int, states: Sequence[State]) -> list[int]:
    chosen = ",".join(str(CODES[state]) for state in states)
    found = database.connection.execute(
        f"SELECT id FROM row WHERE id BETWEEN ? AND ? AND state IN ({chosen}) ORDER BY id", (first, last)
    )
    return [row_id for (row_id,) in found]


def _wait_for_leaders(database: Database, first: int, last: int) -> bool:
    """Whether a row is part of an event that may be among the rejects."""
    done = ",".join(str(CODES[state]) for state in _MENDED)
    found = database.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM member m JOIN row l ON l.id = m.leader"
        f" WHERE m.id BETWEEN ? AND ? AND l.state NOT IN ({done}))",
        (first, last),
    ).fetchone()
    return bool(found == (1,))


def _thin_bodies(database: Database, first: int, last: int, kept: list[int]) -> None:
    """Leave the bodies of the rows ``kept``, of a chunk's, and of no others."""
    execute = database.connection.execute
    if not kept:
        execute("DELETE FROM body WHERE first_id BETWEEN ? AND ?", (first, last))
        return
    groups = execute("SELECT first_id, packed FROM body WHERE first_id BETWEEN ? AND ?", (first, last)).fetchall()
    for start, packed in groups:
        bodies = unpack_bodies(packed)
        inside = kept[bisect_left(kept, start) : bisect_left(kept, start + len(bodies))]
        if not inside:
            execute("DELETE FROM body WHERE first_id = ?", (start,))
        elif len(inside) < len(bodies) - bodies.null_count:
            wanted = np.zeros(len(bodies), dtype=bool)
            wanted[np.asarray(inside) - start] = True
            thinned = pc.if_else(pa.array(wanted), bodies, pa.scalar(None, bodies.type))
            execute("UPDATE body SET packed = ? WHERE first_id = ?", (pack(pa.table({"body": thinned})), start))
