"""What users decide about rows after the fact, over all runs of one import: a run, and those of its corrected rows.

They resolve what is in doubt, send again what was refused or failed, and give up the rest. A row whose content, key or
correction another run has delivered in the meantime is not sent again.

A corrected row carries its ``origin``, the row of the first run that it goes back to. The *version* of an original row
that counts is the one that was sent; else the newest that is more than a repeat of another version.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import pyarrow as pa

from importer.errors import UsageError
from importer.ledger.planning import PlanWriter
from importer.ledger.tables import CLAIMED, RUN_BITS, SPOKEN_FOR, ids, of_run
from importer.model import Counts, Run, RunState, State

_WORDS = {
    State.SENT: ("taken as sent at the user's word", None, 0),
    # At the user's word it did not arrive: it is a row like any other that waits.
    State.PENDING: ("sent again at the user's word", None, 0),
    State.FAILED: (None, "failed.given_up", 1),
}
"""By what the user says of a row in doubt: message, code, and whether the API may have it."""

_TWIN_ELSEWHERE = (
    "SELECT e.id FROM source s JOIN run own ON own.no = s.run"
    " JOIN source t ON t.digest = s.digest AND t.digest <> '' AND t.no <> s.no"
    " JOIN run other ON other.no = t.run AND other.scope = own.scope AND other.state <> 'planning'"
    " JOIN row twin ON twin.id = row.id - s.first_id + t.first_id AND twin.id < t.first_id + t.rows"
    " JOIN row e ON e.id = COALESCE(twin.group_head, twin.id)"
    f" WHERE s.run = $1 AND row.id BETWEEN s.first_id AND s.first_id + s.rows - 1 AND e.state IN {SPOKEN_FOR}"
    " AND COALESCE(row.type = e.type, 1 = 1)"
    " AND (row.key_hash IS NULL OR e.key_hash IS NULL OR row.key_hash = e.key_hash)"
)
_KEY_ELSEWHERE = (
    "SELECT o.id FROM run own JOIN delivered_key d ON d.scope = own.scope AND d.key = row.key_hash AND d.id <> row.id"
    f" JOIN row o ON o.id = d.id JOIN run other ON other.no = o.id >> {RUN_BITS}"
    f" WHERE own.no = $1 AND o.state IN {SPOKEN_FOR} AND other.state <> 'planning'"
)
_CORRECTED_ELSEWHERE = (
    f"SELECT x.id FROM row x JOIN run other ON other.no = x.id >> {RUN_BITS}"
    " WHERE (x.origin = COALESCE(row.origin, row.id) OR x.id = row.origin)"
    f" AND other.no <> $1 AND x.state IN {SPOKEN_FOR} AND other.state <> 'planning'"
)
_DELIVERED_ELSEWHERE = (
    ("duplicate.row", _TWIN_ELSEWHERE),
    ("duplicate.key", _KEY_ELSEWHERE),
    ("duplicate.row", _CORRECTED_ELSEWHERE),
)
"""A code, and in SQL the row of another run that has taken care of a row: its twin, its key, its correction."""

_REPEAT = (
    f"v.state = '{State.DUPLICATE}' AND EXISTS (SELECT 1 FROM row w WHERE w.id = v.other"
    " AND COALESCE(w.origin, w.id) = v.origin)"
)
"""In SQL, whether the correction ``v`` was left alone as another version of its row had been planned or sent."""
_NEWEST = f"ORDER BY CASE WHEN v.state = '{State.SENT}' THEN 0 ELSE 1 END, v.id DESC LIMIT 1"
_PLANNED = f"(SELECT p.state FROM run p WHERE p.no = v.id >> {RUN_BITS}) <> 'planning'"


class Resolver(PlanWriter):
    """What users decide about rows after the fact, and several runs as one import."""

    def doubtful(self, run: Run) -> list[tuple[int, str, int, int, str, str]]:
        """The rows in doubt, in source order: (ledger id, source name, row, line, subscriber, code)."""
        return self._db.rows(
            "SELECT r.id, s.name, r.id - s.first_id + 1, r.line, COALESCE(r.subscriber, ''), COALESCE(r.code, '')"
            f" FROM row r JOIN source s ON s.run = {run.no} AND r.id BETWEEN s.first_id AND s.first_id + s.rows - 1"
            f" WHERE {of_run(run, 'r.id')} AND r.state = '{State.IN_DOUBT}' ORDER BY r.id"
        )

    def resolve(self, run: Run, state: State, rows: Sequence[int] | None = None, *, note: str = "") -> int:
        """Resolve rows in doubt as SENT, PENDING or FAILED (given up), and the run with them; returns how many rows.

        ``rows`` are ledger ids; None means all; ``note`` is the user's reason. Raises `UsageError` for a row not in
        doubt; nothing is resolved then.
        """
        message, code, maybe_sent = _WORDS[state]
        doubts = f"SELECT id FROM row WHERE {of_run(run)} AND state = '{State.IN_DOUBT}' ORDER BY id"
        with self._db.transaction():
            found = [row_id for (row_id,) in self._db.rows(doubts)]
            chosen = found if rows is None else sorted(set(rows))
            if strangers := set(chosen).difference(found):
                raise UsageError(
                    f"{len(strangers)} of the rows named are not in doubt in run {run.id}",
                    hint=f"`importer runs {run.id}` lists the rows in doubt",
                )
            columns = {
                "$1": pa.array([note or message] * len(chosen), pa.string()),
                "$2": pa.array([code] * len(chosen), pa.string()),
                "$3": pa.array(chosen, pa.int64()),
            }
            self._db.execute(
                f"UPDATE row SET state = '{state}', maybe_sent = {maybe_sent}, requeued_from = NULL,"
                " message = $1, code = $2 WHERE id = $3",
                table=pa.table(columns),
            )
            self._reopen(run)
        return len(chosen)

    def release(self, run: Run) -> int:
        """Put what is in doubt back into the queue, as ``--on-doubt resend`` asks; returns how many rows.

        It is still known that they may have been accepted, until they are answered for good.
        """
        with self._db.transaction():
            count = self._db.execute(
                f"UPDATE row SET state = '{State.PENDING}', requeued_from = state, maybe_sent = 1"
                f" WHERE {of_run(run)} AND state = '{State.IN_DOUBT}'"
            )
            if count:
                self._reopen(run)
        return count

    def take_back(self, run: Run, *, doubts: bool = False) -> int:
        """Undo `release` and `retry` for the rows that still wait; with ``doubts``, of those that may have arrived."""
        which = "maybe_sent = 1 OR requeued_from IS NOT NULL"
        if doubts:
            which = "maybe_sent = 1 AND COALESCE(requeued_from, 'in_doubt') = 'in_doubt'"
        if self._db.value(f"SELECT state FROM run WHERE no = {run.no}") == RunState.READY:
            return 0  # no row was ever claimed
        with self._db.transaction():
            return self._db.execute(
                f"UPDATE row SET state = COALESCE(requeued_from, '{State.IN_DOUBT}'), requeued_from = NULL"
                f" WHERE {of_run(run)} AND state = '{State.PENDING}' AND ({which})"
            )

    def retry(self, run: Run) -> tuple[int, int]:
        """Put refused and failed rows back into the queue.

        Returns how many, and how many others are not put back as another run has delivered them, or will.
        """
        undelivered = f"{of_run(run)} AND state IN ('{State.REFUSED}', '{State.FAILED}')"
        with self._sealing(), self._db.transaction():
            repeated = 0
            for code, elsewhere in _DELIVERED_ELSEWHERE:
                repeated += self._db.execute(
                    "UPDATE row SET state = 'duplicate', message = 'taken care of by another run', other = found.other,"
                    f" code = '{code}' FROM (SELECT id, ({elsewhere} LIMIT 1) AS other FROM row WHERE {undelivered})"
                    " AS found WHERE row.id = found.id AND found.other IS NOT NULL",
                    run.no,
                )
            again = self._db.execute(
                f"UPDATE row SET requeued_from = state, state = '{State.PENDING}' WHERE {undelivered}"
            )
            self._reopen(run)
        return again, repeated

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
        began = self._db.value(f"SELECT started_at FROM run WHERE no = {run.no}") is not None
        took = f"SELECT COUNT(*) FROM row WHERE {of_run(run, 'other')} AND NOT {of_run(run)}"
        if began or self._db.value(took):
            return False
        self.discard(run, RunState.READY, RunState.STOPPED)
        return True

    def _reopen(self, run: Run) -> None:
        """In the transaction that resolves rows: a run with pending rows can be resumed, one without is finished."""
        self._db.execute(
            f"UPDATE run SET state = CASE WHEN EXISTS (SELECT 1 FROM row WHERE {of_run(run)}"
            f" AND row.state = '{State.PENDING}') THEN '{RunState.STOPPED}' ELSE '{RunState.FINISHED}' END,"
            f" finished_at = COALESCE(finished_at, $1) WHERE no = {run.no}",
            time.time(),
        )

    # Several runs as one import

    def import_of(self, run: Run) -> list[Run]:
        """The run, and the runs of its corrected rows or of the rows that it corrects: one import, oldest first."""
        found, left = {run.no}, [run.no]
        while left:
            number = left.pop()
            related = self._db.rows(
                f"SELECT id >> {RUN_BITS} FROM row WHERE {of_run(number, 'origin')}"
                # By the index of origins, which are few; without the sign the whole run would be read.
                f" UNION SELECT origin >> {RUN_BITS} FROM row WHERE {of_run(number, '+id')} AND origin IS NOT NULL"
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
                f"SELECT state, COUNT(*) FROM row WHERE {of_run(run)} AND origin IS NULL GROUP BY state"
            ):
                read += number
                by_state[_outside(state)] += number
            for before, now, number in self._db.rows(
                "SELECT o.state, (SELECT v.state FROM row v"
                f" WHERE v.origin = o.id AND {_PLANNED} AND NOT ({_REPEAT}) {_NEWEST}) AS now, COUNT(*)"
                f" FROM row o WHERE o.id IN (SELECT origin FROM row WHERE {of_run(run, 'origin')})"
                " GROUP BY o.state, now"
            ):
                if now is not None and before != State.SENT:
                    by_state[_outside(before)] -= number
                    by_state[_outside(now)] += number
        return Counts(read, by_state)

    def places_of_older(self, run: Run) -> list[int]:
        """The places (0-based, over all sources) of the run's rows of which another run has the version that counts."""
        newer = (
            "SELECT 1 FROM row v WHERE v.id <> r.id AND (v.origin = COALESCE(r.origin, r.id) OR v.id = r.origin)"
            f" AND (v.state = '{State.SENT}' OR v.id > r.id AND {_PLANNED} AND NOT ({_REPEAT}))"
        )
        corrected = (
            f"SELECT origin FROM row WHERE {of_run(run, 'origin')}"
            f" UNION SELECT id FROM row WHERE {of_run(run)} AND origin IS NOT NULL"
        )
        found = self._db.rows(
            f"SELECT r.id FROM row r WHERE r.id IN ({corrected}) AND r.state <> '{State.SENT}' AND EXISTS ({newer})"
            " ORDER BY r.id"
        )
        return [row_id - ids(run)[0] for (row_id,) in found]


def _outside(state: str) -> State:
    return State.PENDING if state == CLAIMED else State(state)
