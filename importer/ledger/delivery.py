"""The queue's side that delivery sees: what is next, what was claimed, what became of it.

This module owns the durable order of things: a row is CLAIMED, committed, before its request leaves, and its outcome
is committed before the row counts as done. Scheduling is ``send.lanes``'; the meaning of answers is ``send.fate``'s.

Many rows go through one step of SQLite, in and out: at each step Python's lock changes hands between the journal's
thread and the event loop, which costs both more than the step itself.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from importer.ledger.database import Database
from importer.ledger.packing import Packed
from importer.ledger.schema import CLAIMED, CODES, MAYBE_BEFORE, ids
from importer.model import Claim, Outcome, Run, RunState, State

_PENDING = CODES[State.PENDING]
_IN_DOUBT = CODES[State.IN_DOUBT]

_SCAN = 10_000
"""Rows read at a time in search of one lane's."""

Position = tuple[Any, int]
"""A place in the order of delivery: (place, row id)."""

_AT_ONCE = 512
"""Outcomes in one statement, at the most; a power of two."""

_ORDERED = (
    "SELECT p.place, p.id, p.lane FROM place p CROSS JOIN row r ON r.id = p.id"
    " WHERE p.run = ?{where} AND r.state = ? ORDER BY p.place, p.id LIMIT ?"
)


class Queue:
    """The pending rows of any run, in order of delivery, and what becomes of them."""

    def __init__(self, database: Database, packed: Packed) -> None:
        self._db = database
        self._packed = packed
        self._ordered: dict[int, bool] = {}
        """Whether a run's rows have places, by its number."""

    def page(self, run: Run, after: Position | None, count: int, lane: int | None) -> list[tuple[Any, int, int]]:
        """See `Ledger.queue`. Rows with a place come in its order; without ``order_by`` the place is always None.

        With ``lane``, only that lane's rows, which reads every row in between: meant for the few lanes that are too
        long to be kept in memory.
        """
        with self._db.explained():
            if self._has_places(run):
                return self._by_place(run, after, count, lane)
            return self._by_id(run, after, count, lane)

    def _has_places(self, run: Run) -> bool:
        if run.no not in self._ordered:
            found = self._db.connection.execute("SELECT 1 FROM place WHERE run = ? LIMIT 1", (run.no,)).fetchone()
            self._ordered[run.no] = found is not None
        return self._ordered[run.no]

    def _by_place(self, run: Run, after: Position | None, count: int, lane: int | None) -> list[tuple[Any, int, int]]:
        execute = self._db.connection.execute
        only = "" if lane is None else f" AND p.lane = {int(lane)}"
        if after is None:
            return execute(_ORDERED.format(where=only), (run.no, _PENDING, count)).fetchall()
        # Two steps, each a range of the index: one comparison of (place, id) would read all rows of an equal place.
        place, row_id = after
        where = f" AND p.place = ? AND p.id > ?{only}"
        found = execute(_ORDERED.format(where=where), (run.no, place, row_id, _PENDING, count)).fetchall()
        if len(found) < count:
            where = f" AND p.place > ?{only}"
            found += execute(_ORDERED.format(where=where), (run.no, place, _PENDING, count - len(found))).fetchall()
        return found

    def _by_id(self, run: Run, after: Position | None, count: int, lane: int | None) -> list[tuple[Any, int, int]]:
        begin, last = ids(run.no)
        if after is not None:
            begin = after[1] + 1
        found: list[tuple[Any, int, int]] = []
        while len(found) < count:
            size = count if lane is None else max(count, _SCAN)
            (text,) = self._db.connection.execute(
                "SELECT json_group_array(id) FROM"
                " (SELECT id FROM row WHERE id BETWEEN ? AND ? AND state = ? ORDER BY id LIMIT ?)",
                (begin, last, _PENDING, size),
            ).fetchone()
            row_ids = sorted(json.loads(text))
            rows = zip(row_ids, self._packed.lanes(row_ids), strict=True)
            found += [(None, row_id, own) for row_id, own in rows if lane is None or own == lane]
            if len(row_ids) < size:
                break
            begin = row_ids[-1] + 1
        return found[:count]

    def commit(self, outcomes: Sequence[Outcome], claims: Sequence[int]) -> list[Claim]:
        """See `Ledger.commit`. A row that is no longer pending (another run took it over) is not claimed."""
        with self._db.transaction() as connection:
            for at in range(0, len(outcomes), _AT_ONCE):
                some = outcomes[at : at + _AT_ONCE]
                size = 1 << (len(some) - 1).bit_length()
                values = [*map(_outcome, some), *repeat(_NOTHING, size - len(some))]
                connection.execute(_update(size), list(chain.from_iterable(values)))
            return self._claim(claims)

    def _claim(self, claims: Sequence[int]) -> list[Claim]:
        if not claims:
            return []
        execute, wanted = self._db.connection.execute, json.dumps(claims)
        pending = "id IN (SELECT value FROM json_each(?)) AND state = ?"
        (text,) = execute(
            f"SELECT json_group_array(json_array(id, attempts, {MAYBE_BEFORE.format('row')})) FROM row WHERE {pending}",
            (wanted, _PENDING),
        ).fetchone()
        found = {row_id: (attempts, bool(doubtful)) for row_id, attempts, doubtful in json.loads(text)}
        execute(f"UPDATE row SET state = ? WHERE {pending}", (CLAIMED, wanted, _PENDING))
        mine = [row_id for row_id in claims if row_id in found]
        bodies = self._packed.bodies(mine)
        return [Claim(row_id, bodies[row_id], *found[row_id]) for row_id in mine]

    def doubtful_lanes(self, run: Run) -> set[int]:
        """The lanes that hold a row in doubt: with ``--strict-order`` they wait for the user."""
        with self._db.explained():
            found = self._db.connection.execute(
                "SELECT id FROM row WHERE id BETWEEN ? AND ? AND state = ? ORDER BY id", (*ids(run.no), _IN_DOUBT)
            ).fetchall()
            return set(self._packed.lanes([row_id for (row_id,) in found]))


_NOTHING = (None,) * 8
"""An outcome of no row: there are statements for powers of two only, for SQLite to keep them prepared."""


@functools.lru_cache
def _update(count: int) -> str:
    """The statement that writes so many outcomes.

    A row that goes back to the queue, unsent or not accepted this time, is no less in doubt, or refused, than before:
    its code stays, for `settling.take_back`.
    """
    values = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * count)
    back = f"new.column1 = {_PENDING}"
    return (
        "UPDATE row SET state = new.column1, attempts = new.column2, http_status = new.column3, at = new.column4,"
        " latency_ms = new.column5,"
        f" code = CASE WHEN {back} THEN COALESCE(new.column6, code) ELSE new.column6 END,"
        f" message = CASE WHEN {back} AND new.column6 IS NULL AND code IS NOT NULL THEN message ELSE new.column7 END"
        f" FROM (VALUES {values}) AS new WHERE row.id = new.column8"
    )


def _outcome(outcome: Outcome) -> tuple[Any, ...]:
    return (
        CODES[outcome.state],
        outcome.attempts,
        outcome.http_status,
        outcome.at,
        None if outcome.latency is None else outcome.latency * 1000,
        outcome.code or None,
        outcome.message or None,
        outcome.id,
    )


def recover(database: Database, run: Run) -> int:
    """Put the rows that a killed importer had claimed in doubt; returns how many. A run it left behind is STOPPED.

    Only to be called by the process that holds the run's lock.
    """
    with database.explained():
        claimed = database.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM row WHERE id BETWEEN ? AND ? AND state = ?)"
            " OR EXISTS (SELECT 1 FROM run WHERE no = ? AND state = ?)",
            (*ids(run.no), CLAIMED, run.no, RunState.DELIVERING),
        ).fetchone()
    if claimed == (0,):
        return 0
    with database.transaction() as connection:
        connection.execute(
            "UPDATE run SET state = ?, stop_reason = 'the importer ended before it could say why'"
            " WHERE no = ? AND state = ?",
            (RunState.STOPPED, run.no, RunState.DELIVERING),
        )
        return connection.execute(
            "UPDATE row SET state = ?, code = 'doubt.crash', attempts = attempts + 1"
            " WHERE id BETWEEN ? AND ? AND state = ?",
            (_IN_DOUBT, *ids(run.no), CLAIMED),
        ).rowcount
