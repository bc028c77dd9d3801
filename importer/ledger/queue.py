"""The queue as delivery sees it: what is next, what was claimed, what became of it.

A row is claimed, and that is committed, before its request leaves; its outcome is committed before it counts as done.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from importer.ledger import counter
from importer.ledger.database import CHECKPOINT_SECONDS, ConnectionLostError
from importer.ledger.locks import elapsed
from importer.ledger.runs import RunRepository
from importer.ledger.tables import CLAIMED, ids, of_run
from importer.model import Claim, Outcome, Pause, Run, RunState, State

RECONNECT_SECONDS = 60.0
"""How long to wait for a database that went away in the midst of a delivery."""

Position = tuple[int | None, int]
"""A place in the order of delivery: (place, row id)."""


class DeliveryQueue(RunRepository):
    """The ledger as delivery empties it."""

    def queue(self, run: Run, after: Position | None, count: int) -> list[tuple[int | None, int, int]]:
        """The next ``count`` pending rows behind ``after``, in order of delivery: (place, row id, lane).

        Places are ranks; without ``order_by`` all are None.
        """
        if self._db.value("SELECT ordered FROM run WHERE no = $1", run.no):
            return self._db.rows(
                "SELECT p.place, r.id, r.lane FROM place p JOIN row r ON r.id = p.id"
                " WHERE p.run = $1 AND p.place > $2 AND r.state = $3 ORDER BY p.place LIMIT $4",
                *(run.no, 0 if after is None else after[0], State.PENDING, count),
            )
        first, last = ids(run)
        return self._db.rows(
            "SELECT NULL, id, lane FROM row WHERE id BETWEEN $1 AND $2 AND state = $3 ORDER BY id LIMIT $4",
            *(first if after is None else after[1] + 1, last, State.PENDING, count),
        )

    def commit(self, outcomes: Sequence[Outcome], claims: Sequence[int]) -> list[Claim]:
        """Make outcomes durable, then the intent to send the rows ``claims``, all at once; returns their bodies.

        Rows that are not pending any longer, as another run took them over, are not claimed.
        """
        try:
            return self._commit(outcomes, claims, again=False)
        except ConnectionLostError:
            self._wait_for_connection()
            return self._commit(outcomes, claims, again=True)

    def _commit(self, outcomes: Sequence[Outcome], claims: Sequence[int], *, again: bool) -> list[Claim]:
        """``again``: whether the same was committed before the connection was lost is not known."""
        generation = None
        with self._db.transaction():
            if not self._db.counted:
                generation = counter.count_up(self._db)
            # Where another machine may have taken over, only final answers to what it holds to be in doubt count.
            displaced = self._displaced()
            self._note(outcomes, displaced=displaced)
            claimed = self._claim(claims, again=again) if claims and not displaced else []
        if generation is not None:
            if generation > (counter.read(self._db.dialect.beside) or 0):  # another account's may have come first
                counter.note(self._db, generation)
            self._db.counted = True
        self._db.checkpoint(every=CHECKPOINT_SECONDS)
        return claimed

    def _note(self, outcomes: Sequence[Outcome], *, displaced: bool) -> None:
        """Write outcomes down: one statement for those that differ in their times and messages only.

        A row that goes back to the queue, unsent or not accepted this time, is no less in doubt, or refused, than
        before.
        """
        alike = defaultdict[tuple[State, int, int | None, str, bool], dict[int, tuple[float, float | None, str]]](dict)
        for one in {one.id: one for one in outcomes}.values():  # an answer that proved unreliable has two
            kind = (one.state, one.attempts, one.http_status, one.code, one.maybe_sent)
            alike[kind][one.id] = (one.at, one.latency, one.message)
        for (state, attempts, status, code, maybe_sent), rows in alike.items():
            message = "NULLIF(new.value ->> 2, '')"
            changes = f"code = NULLIF('{code}', ''), message = {message}"
            if state is not State.PENDING:
                unsure = maybe_sent or state in {State.IN_DOUBT, State.FAILED}
                changes += f", requeued_from = NULL, maybe_sent = {unsure:d}"
            elif displaced:
                continue
            else:
                changes = changes if code else f"message = CASE WHEN code IS NULL THEN {message} ELSE message END"
                changes += ", maybe_sent = 1" if maybe_sent else ""
            self._db.execute(
                f"UPDATE row SET state = '{state}', attempts = {attempts}, {changes},"
                f" http_status = {'NULL' if status is None else status},"
                " sent_at = CAST(new.value ->> 0 AS DOUBLE PRECISION),"
                " latency_ms = CAST(new.value ->> 1 AS DOUBLE PRECISION) * 1000"
                f" FROM json_each({self._db.dialect.json}) AS new WHERE row.id = CAST(new.key AS BIGINT)"
                + (f" AND row.state IN ('{State.IN_DOUBT}', '{CLAIMED}')" if displaced else ""),
                msgspec.json.encode(rows).decode(),
            )

    def _wait_for_connection(self) -> None:
        """Wait until the database can be reached again. Raises `LedgerError` when patience, or a lease, ends."""
        until = elapsed() + RECONNECT_SECONDS
        while True:
            time.sleep(RECONNECT_SECONDS / 120)
            try:
                self._db.value("SELECT 1")
            except ConnectionLostError:
                if elapsed() > until or self.sending_stops():
                    raise
            else:
                return

    def _claim(self, claims: Sequence[int], *, again: bool) -> list[Claim]:
        # Rows are claimed by the holder of the run's lock alone: what it finds claimed, it has claimed itself.
        free = f"'{State.PENDING}', '{CLAIMED}'" if again else f"'{State.PENDING}'"
        # A value is bound: PostgreSQL's driver gives the SQLSTATE of errors only for statements with one.
        found = self._db.rows(
            f"UPDATE row SET state = $1 WHERE id IN ({', '.join(map(str, claims))}) AND state IN ({free})"
            " RETURNING id, body, attempts, maybe_sent",
            CLAIMED,
        )
        order = {row_id: at for at, row_id in enumerate(claims)}
        found.sort(key=lambda row: order[row[0]])
        return [Claim(row_id, body, attempts, maybe_sent=bool(maybe)) for row_id, body, attempts, maybe in found]

    def doubtful_lanes(self, run: Run) -> set[int]:
        """The lanes that hold a row in doubt: with ``--strict-order`` they wait for the user."""
        doubts = f"SELECT DISTINCT lane FROM row WHERE {of_run(run)} AND state = '{State.IN_DOUBT}'"
        return {lane for (lane,) in self._db.rows(doubts)}

    def recover(self, run: Run) -> int:
        """Put what a killed importer had claimed in doubt, and the run to STOPPED if it was delivering.

        Only for the holder of the run's lock. Returns how many rows.
        """
        claimed = f"{of_run(run)} AND state = '{CLAIMED}'"
        delivering = f"no = {run.no} AND state = '{RunState.DELIVERING}'"
        if not self._db.value(
            f"SELECT EXISTS (SELECT 1 FROM row WHERE {claimed}) OR EXISTS (SELECT 1 FROM run WHERE {delivering})"
        ):
            return 0
        with self._db.transaction():
            self._db.execute(
                f"UPDATE run SET state = '{RunState.STOPPED}',"
                f" stop_reason = 'the importer ended before it could say why' WHERE {delivering}"
            )
            return self._db.execute(
                f"UPDATE row SET state = '{State.IN_DOUBT}', code = 'doubt.crash', attempts = attempts + 1,"
                f" maybe_sent = 1, requeued_from = NULL WHERE {claimed}"
            )

    def note_pause(self, run: Run, pause: Pause) -> None:
        """Remember a time in which the run sent nothing."""
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO pause (run, begun, kind, ended) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (run, begun, kind) DO UPDATE SET ended = excluded.ended",
                *(run.no, pause.begun, pause.kind, pause.ended),
            )
