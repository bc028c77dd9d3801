"""Several runs that are one import: a run, and the runs of its corrected rows.

A corrected row carries its ``origin``, the row of the first run that it goes back to. The *version* of an original row
that counts is the one that was sent; else the newest that is more than a repeat of another version.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from importer.ledger.planning import PlanWriter
from importer.ledger.tables import CLAIMED, RUN_BITS, ids
from importer.model import Counts, Run, RunState, State

_REPEAT = (
    f"v.state = '{State.DUPLICATE}' AND EXISTS (SELECT 1 FROM row w WHERE w.id = v.other"
    " AND COALESCE(w.origin, w.id) = v.origin)"
)
"""In SQL, whether the correction ``v`` was left alone as another version of its row had been planned or sent."""
_NEWEST = f"ORDER BY CASE WHEN v.state = '{State.SENT}' THEN 0 ELSE 1 END, v.id DESC LIMIT 1"
_PLANNED = f"(SELECT p.state FROM run p WHERE p.no = v.id >> {RUN_BITS}) <> 'planning'"


class Imports(PlanWriter):
    """Several runs as one import, and what its user gives up."""

    def import_of(self, run: Run) -> list[Run]:
        """The run, and the runs of its corrected rows or of the rows that it corrects: one import, oldest first."""
        found, left = {run.no}, [run.no]
        while left:
            bounds = ids(left.pop())
            related = self._db.rows(
                f"SELECT id >> {RUN_BITS} FROM row WHERE origin BETWEEN $1 AND $2"
                f" UNION SELECT origin >> {RUN_BITS} FROM row WHERE id BETWEEN $1 AND $2 AND origin IS NOT NULL",
                *bounds,
            )
            fresh = {number for (number,) in related} - found
            found |= fresh
            left += fresh
        planned = {no for (no,) in self._db.rows("SELECT no FROM run WHERE state <> 'planning'")}
        known = {one.no: one for one in self.runs(everywhere=True)}
        return [known[number] for number in sorted(found & planned | {run.no})]

    def import_counts(self, runs: Sequence[Run]) -> Counts:
        """Every original row of an import's runs once, in the state of the version that counts: sent, or the newest."""
        read, by_state = 0, dict.fromkeys(State, 0)
        for run in runs:
            for state, number in self._db.rows(
                "SELECT state, COUNT(*) FROM row WHERE id BETWEEN $1 AND $2 AND origin IS NULL GROUP BY state",
                *ids(run),
            ):
                read += number
                by_state[_outside(state)] += number
            for before, now, number in self._db.rows(
                "SELECT o.state, (SELECT v.state FROM row v"
                f" WHERE v.origin = o.id AND {_PLANNED} AND NOT ({_REPEAT}) {_NEWEST}) AS now, COUNT(*)"
                " FROM row o WHERE o.id IN (SELECT origin FROM row WHERE origin BETWEEN $1 AND $2)"
                " GROUP BY o.state, now",
                *ids(run),
            ):
                if now is not None and before != State.SENT:
                    by_state[_outside(before)] -= number
                    by_state[_outside(now)] += number
        return Counts(read, by_state)

    def places_of_older(self, run: Run) -> list[int]:
        """The places (0-based, over all sources) of the run's rows of which another run has the version that counts."""
        first = ids(run)[0]
        newer = (
            "SELECT 1 FROM row v WHERE v.id <> r.id AND (v.origin = COALESCE(r.origin, r.id) OR v.id = r.origin)"
            f" AND (v.state = '{State.SENT}' OR v.id > r.id AND {_PLANNED} AND NOT ({_REPEAT}))"
        )
        corrected = (
            "SELECT origin FROM row WHERE origin BETWEEN $1 AND $2"
            " UNION SELECT id FROM row WHERE id BETWEEN $1 AND $2 AND origin IS NOT NULL"
        )
        found = self._db.rows(
            f"SELECT r.id FROM row r WHERE r.id IN ({corrected}) AND r.state <> '{State.SENT}' AND EXISTS ({newer})"
            " ORDER BY r.id",
            *ids(run),
        )
        return [row_id - first for (row_id,) in found]

    def give_up(self, run: Run, places: Sequence[int], note: str) -> int:
        """Leave invalid and refused rows out at the user's word (FILTERED, ``filtered.given_up``); returns how many.

        ``places`` are 0-based over the run's sources; ``note`` is the user's reason.
        """
        first = ids(run)[0]
        chosen = [first + place for place in places]
        columns = {"$1": pa.array([note or None] * len(chosen), pa.string()), "$2": pa.array(chosen, pa.int64())}
        with self._db.transaction():
            return self._db.execute(
                f"UPDATE row SET state = '{State.FILTERED}', code = 'filtered.given_up', message = $1, body = NULL"
                f" WHERE id = $2 AND state IN ('{State.INVALID}', '{State.REFUSED}')",
                table=pa.table(columns),
            )

    def withdraw(self, run: Run) -> bool:
        """Forget a planned run for which no request was made and which took no rows over; whether it is forgotten."""
        first, last = ids(run)
        began = self._db.value("SELECT started_at FROM run WHERE no = $1", run.no) is not None
        took = "SELECT COUNT(*) FROM row WHERE other BETWEEN $1 AND $2 AND NOT id BETWEEN $1 AND $2"
        if began or self._db.value(took, first, last):
            return False
        self.discard(run, RunState.READY, RunState.STOPPED)
        return True


def _outside(state: str) -> State:
    return State.PENDING if state == CLAIMED else State(state)
