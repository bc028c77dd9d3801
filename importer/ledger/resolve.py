"""What users decide about rows after the fact: resolve what is in doubt, send again what was refused or failed.

A row whose content, key or correction another run has delivered in the meantime is not sent again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import pyarrow as pa

from importer.errors import UsageError
from importer.ledger.planning import PlanWriter
from importer.ledger.tables import RUN_BITS, SPOKEN_FOR, ids
from importer.model import Run, RunState, State

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


class Resolver(PlanWriter):
    """What users decide about rows after the fact."""

    def doubtful(self, run: Run) -> list[tuple[int, str, int, int, str, str]]:
        """The rows in doubt, in source order: (ledger id, source name, row, line, subscriber, code)."""
        return self._db.rows(
            "SELECT r.id, s.name, r.id - s.first_id + 1, r.line, COALESCE(r.subscriber, ''), COALESCE(r.code, '')"
            " FROM row r JOIN source s ON s.run = $1 AND r.id BETWEEN s.first_id AND s.first_id + s.rows - 1"
            " WHERE r.id BETWEEN $2 AND $3 AND r.state = $4 ORDER BY r.id",
            run.no,
            *ids(run),
            State.IN_DOUBT,
        )

    def resolve(self, run: Run, state: State, rows: Sequence[int] | None = None, *, note: str = "") -> int:
        """Resolve rows in doubt as SENT, PENDING or FAILED (given up), and the run with them; returns how many rows.

        ``rows`` are ledger ids; None means all; ``note`` is the user's reason. Raises `UsageError` for a row not in
        doubt; nothing is resolved then.
        """
        message, code, maybe_sent = _WORDS[state]
        message = note or message
        with self._db.transaction():
            found = [
                row_id
                for (row_id,) in self._db.rows(
                    "SELECT id FROM row WHERE id BETWEEN $1 AND $2 AND state = $3 ORDER BY id",
                    *ids(run),
                    State.IN_DOUBT,
                )
            ]
            chosen = found if rows is None else sorted(set(rows))
            if strangers := set(chosen).difference(found):
                raise UsageError(
                    f"{len(strangers)} of the rows named are not in doubt in run {run.id}",
                    hint=f"`importer runs {run.id}` lists the rows in doubt",
                )
            if chosen:
                columns = {
                    "$1": pa.array([message] * len(chosen), pa.string()),
                    "$2": pa.array([code] * len(chosen), pa.string()),
                    "$3": chosen,
                }
                self._db.execute(
                    f"UPDATE row SET state = '{state.value}', maybe_sent = {maybe_sent}, requeued_from = NULL,"
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
                "UPDATE row SET state = $1, requeued_from = state, maybe_sent = 1"
                " WHERE id BETWEEN $2 AND $3 AND state = $4",
                State.PENDING,
                *ids(run),
                State.IN_DOUBT,
            )
            if count:
                self._reopen(run)
        return count

    def take_back(self, run: Run, *, doubts: bool = False) -> int:
        """Undo `release` and `retry` for the rows that still wait; with ``doubts``, of those that may have arrived."""
        which = "maybe_sent = 1 AND COALESCE(requeued_from, 'in_doubt') = 'in_doubt'" if doubts else (
            "(maybe_sent = 1 OR requeued_from IS NOT NULL)"
        )  # fmt: skip
        with self._db.transaction():
            return self._db.execute(
                "UPDATE row SET state = COALESCE(requeued_from, $1), requeued_from = NULL"
                f" WHERE id BETWEEN $2 AND $3 AND state = $4 AND {which}",
                State.IN_DOUBT,
                *ids(run),
                State.PENDING,
            )

    def retry(self, run: Run) -> tuple[int, int]:
        """Put refused and failed rows back into the queue.

        Returns how many, and how many others are not put back as another run has delivered them, or will.
        """
        undelivered = f"id BETWEEN $2 AND $3 AND state IN ('{State.REFUSED}', '{State.FAILED}')"
        with self._sealing(), self._db.transaction():
            repeated = 0
            for code, elsewhere in _DELIVERED_ELSEWHERE:
                repeated += self._db.execute(
                    "UPDATE row SET state = 'duplicate', message = 'taken care of by another run', other = found.other,"
                    f" code = '{code}' FROM (SELECT id, ({elsewhere} LIMIT 1) AS other FROM row WHERE {undelivered})"
                    " AS found WHERE row.id = found.id AND found.other IS NOT NULL",
                    run.no,
                    *ids(run),
                )
            again = self._db.execute(
                f"UPDATE row SET requeued_from = state, state = $1 WHERE {undelivered}", State.PENDING, *ids(run)
            )
            self._reopen(run)
        return again, repeated

    def _reopen(self, run: Run) -> None:
        """In the transaction that resolves rows: a run with pending rows can be resumed, one without is finished."""
        self._db.execute(
            "UPDATE run SET state = CASE WHEN EXISTS (SELECT 1 FROM row WHERE id BETWEEN $1 AND $2 AND row.state = $3)"
            " THEN $4 ELSE $5 END, finished_at = COALESCE(finished_at, $6) WHERE no = $7",
            *ids(run),
            State.PENDING,
            RunState.STOPPED,
            RunState.FINISHED,
            time.time(),
            run.no,
        )
