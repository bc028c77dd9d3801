"""Forgetting: bodies of what is done with, old runs, a person."""

from __future__ import annotations

import pyarrow as pa

from importer.errors import UsageError
from importer.ledger.planning import PlanWriter
from importer.ledger.tables import CLAIMED, STEP, of_run, pack, unpack
from importer.model import Run, RunState, State

_KEPT = f"('{State.PENDING}', '{CLAIMED}', '{State.REFUSED}', '{State.FAILED}', '{State.IN_DOUBT}')"
"""Rows that may still have to be sent, in SQL."""
_DONE = f"('{State.SENT}', '{State.FILTERED}', '{State.GROUPED}', '{State.DUPLICATE}')"
"""Rows that no file of rejects will ever hold, if their group's head is one of these too."""


class Upkeep(PlanWriter):
    """Forgetting: bodies, old runs, a person."""

    def drop_bodies(self, run: Run) -> None:
        """Forget the bodies of rows that are done with, and raw records that no rejects file will need."""
        found = self._chunks(run)
        chunks = list(zip(found.column("first_id").to_pylist(), found.column("count").to_pylist(), strict=True))
        for first, count in chunks:
            these = f"BETWEEN {first} AND {first + count - 1}"
            with self._db.transaction():
                self._db.execute(
                    f"UPDATE row SET body = NULL WHERE id {these} AND body IS NOT NULL AND state NOT IN {_KEPT}"
                )
                self._db.execute(
                    f"UPDATE chunk SET raw_rows = NULL WHERE first_id = {first}"
                    " AND NOT EXISTS (SELECT 1 FROM row r LEFT JOIN row h ON h.id = r.group_head"
                    f" WHERE r.id {these} AND (r.state NOT IN {_DONE} OR h.state NOT IN {_DONE}))"
                )
        self._db.checkpoint()

    def prune(self, run: Run) -> None:
        """Forget the details of an old run; what "never twice" needs stays. Raises `UsageError` for an open run."""
        if self.is_open(run):
            raise UsageError(
                f"run {run.id} has rows that are still to be sent or resolved",
                hint=f"`importer runs {run.id}` shows them",
            )
        with self._db.transaction():
            self._db.execute(f"DELETE FROM chunk WHERE {of_run(run, 'first_id')}")
            self._db.execute(f"DELETE FROM place WHERE run = {run.no}")
            self._db.execute(f"DELETE FROM pause WHERE run = {run.no}")
            self._db.execute(
                "UPDATE row SET line = NULL, lane = NULL, key = NULL, subscriber = NULL, value = NULL, currency = NULL,"
                " event_time = NULL, order_value = NULL, attempts = 0, http_status = NULL, sent_at = NULL,"
                " latency_ms = NULL, code = NULL, message = NULL, body = NULL WHERE " + of_run(run)
            )
            self._db.execute(f"UPDATE run SET state = '{RunState.PRUNED}' WHERE no = {run.no}")

    def forget(self, subscriber: str) -> int:
        """Remove a person from all runs of this account; what was sent to them is still never sent again.

        Returns how many rows. Raises `UsageError` while another process works on a run of the account.
        """
        working = [run.id for run in self.runs() if self.is_alive(run) and not self.lock(run).held]
        if working:
            raise UsageError(
                f"run {working[0]} is being worked on by another process",
                hint="wait for it, or stop it, then run the same command again",
            )
        rows = self._rows_of(subscriber)
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

    def _rows_of(self, subscriber: str) -> list[int]:
        """The rows that name the subscriber, those in one lane with them, and the parts of their groups."""
        name = subscriber.strip()
        lanes = [
            int(self.hasher.identifiers(pa.array([text]), kind)[0])
            for kind, text in enumerate((name, name.lower(), name))
        ]
        found: set[int] = set()
        for (run,) in self._db.rows("SELECT no FROM run WHERE scope = $1", self.scope()):
            chosen = "lower(subscriber) = lower($1) OR lane IN ($2, $3, $4) OR subscriber_hash IN ($2, $3, $4)"
            here = f"SELECT DISTINCT lane FROM row WHERE {of_run(run)} AND ({chosen}) AND lane <> 0"
            sql = f"SELECT id FROM row WHERE ({chosen} OR lane IN ({here})) AND {of_run(run)}"
            found.update(row_id for (row_id,) in self._db.rows(sql, name, *lanes))
        parts = pa.table({"$1": pa.array(sorted(found), pa.int64())})
        if found:
            found.update(self._db.query("SELECT id FROM row WHERE group_head = $1", table=parts).column(0).to_pylist())
        return sorted(found)

    def _clean_chunk(self, first: int, chosen: list[int]) -> None:
        """Take rows' raw records and reasons out of their chunk."""
        ((first_row, count, reasons, raw_rows),) = self._db.rows(
            "SELECT first_row, count, reasons, raw_rows FROM chunk WHERE first_id = $1", first
        )
        forgotten = set(chosen)
        if raw_rows is not None:
            known = self._db.rows("SELECT id FROM row WHERE id >= $1 AND id < $2 ORDER BY id", first, first + count)
            left = pa.array([None if row_id in forgotten else at for at, (row_id,) in enumerate(known)], pa.int64())
            raw_rows = pack(unpack(raw_rows).take(left))
        if reasons is not None:
            table = unpack(reasons)
            keep = [row - first_row + first not in forgotten for row in table.column("row").to_pylist()]
            reasons = pack(table.filter(pa.array(keep)))
        with self._db.transaction():
            self._db.execute(
                "UPDATE chunk SET reasons = $1, raw_rows = $2 WHERE first_id = $3", reasons, raw_rows, first
            )

    def shrink(self) -> None:
        """Give freed space back to the disk; raises `LedgerError` while others use the ledger."""
        for statement in self._db.dialect.shrink:
            self._db.run(statement)

    def size(self) -> int:
        """Bytes that the ledger takes on its disk."""
        return self._db.dialect.size(self._db)
