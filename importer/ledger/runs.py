"""Runs: their register, their states, and the lock that tells a living run from a dead one.

This module owns the table ``run`` and the lock files beside the ledger.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any

from filelock import FileLock, Timeout

from importer.errors import UsageError
from importer.ledger.database import Database, lock_file
from importer.ledger.schema import ids
from importer.model import Run, RunState

_RUNS = (
    "SELECT r.no, r.id, s.account, s.endpoint, r.state, r.created_at, r.started_at, r.finished_at, r.mapping_name,"
    " r.mapping_text, r.mapping_digest, r.stop_reason, r.options"
    " FROM run r JOIN scope s ON s.no = r.scope WHERE s.account = ? AND s.endpoint = ?"
)


class RunLock:
    """Held by the one process that works on a run; the kernel releases it however that process ends."""

    def __init__(self, database: Database, run_id: str) -> None:
        with database.explained():
            self._lock = FileLock(lock_file(database.path, run_id), mode=0o600, thread_local=False)

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._lock.is_locked

    def try_acquire(self, *, patience: float = 0.0) -> bool:
        """Take the lock if nobody holds it, or gives it back within so many seconds."""
        try:
            self._lock.acquire(timeout=patience)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        self._lock.release(force=True)


class Register:
    """The runs of one account at one endpoint."""

    def __init__(self, database: Database, account: str, endpoint: str, now: Callable[[], float] = time.time) -> None:
        self._db = database
        self._account = account
        self._endpoint = endpoint
        self._now = now
        self._locks: dict[str, RunLock] = {}

    def create(self, *, mapping_name: str, mapping_text: str, mapping_digest: str, options: Mapping[str, Any]) -> Run:
        """See `Ledger.create_run`. The run's lock is held from the start: an unlocked run in planning is a dead one."""
        now = self._now()
        with self._db.transaction() as connection:
            run_id = self._new_id(connection, now)
            scope = (self._account, self._endpoint)
            connection.execute("INSERT OR IGNORE INTO scope (account, endpoint) VALUES (?, ?)", scope)
            connection.execute(
                "INSERT INTO run (id, scope, state, created_at, mapping_name, mapping_text, mapping_digest, options)"
                " SELECT ?, no, ?, ?, ?, ?, ?, ? FROM scope WHERE account = ? AND endpoint = ?",
                (
                    run_id,
                    RunState.PLANNING,
                    now,
                    mapping_name,
                    mapping_text,
                    mapping_digest,
                    json.dumps(dict(options)),
                    *scope,
                ),
            )
        return self.find(run_id)

    def _new_id(self, connection: sqlite3.Connection, now: float) -> str:
        """An id that no run has, and whose lock this process holds from now on."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        while True:
            run_id = f"{stamp}-{secrets.token_hex(2)}"
            known = connection.execute("SELECT 1 FROM run WHERE id = ?", (run_id,)).fetchone()
            if not known and self.lock(run_id).try_acquire():
                return run_id

    def find(self, run_id: str) -> Run:
        """See `Ledger.run`."""
        matches = [run for run in self.all() if run.id == run_id] or [
            run for run in self.all() if run.id.startswith(run_id)
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UsageError(
                f"{len(matches)} runs begin with {run_id}", hint="give more of the id; `importer runs` lists them"
            )
        raise UsageError(
            f"there is no run {run_id} of account {self._account} at {self._endpoint}",
            hint="`importer runs` lists the runs; --account, --sandbox and --ledger choose where to look",
        )

    def all(self) -> list[Run]:
        """See `Ledger.runs`."""
        with self._db.explained():
            found = self._db.connection.execute(
                f"{_RUNS} ORDER BY r.no DESC", (self._account, self._endpoint)
            ).fetchall()
        return [_run(fields) for fields in found]

    def set_state(self, run: Run, state: RunState, stop_reason: str) -> Run:
        """See `Ledger.set_state`."""
        now = self._now()
        with self._db.transaction() as connection:
            connection.execute(
                "UPDATE run SET state = ?, stop_reason = ?,"
                " started_at = CASE WHEN ? THEN COALESCE(started_at, ?) ELSE started_at END,"
                " finished_at = CASE WHEN ? THEN ? ELSE NULL END WHERE no = ?",
                (
                    state,
                    stop_reason,
                    state is RunState.DELIVERING,
                    now,
                    state in (RunState.FINISHED, RunState.STOPPED),
                    now,
                    run.no,
                ),
            )
        return self.find(run.id)

    def discard(self, run: Run) -> None:
        """See `Ledger.discard`. ``run`` may be an old picture: the state that counts is the one in the ledger now."""
        bounds = ids(run.no)
        with self._db.transaction() as connection:
            (planning,) = connection.execute(
                "SELECT COUNT(*) FROM run WHERE no = ? AND state = ?", (run.no, RunState.PLANNING)
            ).fetchone()
            if not planning:
                return
            for table, column in (("row", "id"), ("member", "id"), ("body", "first_id"), ("chunk", "first_id")):
                connection.execute(f"DELETE FROM {table} WHERE {column} BETWEEN ? AND ?", bounds)
            connection.execute("DELETE FROM place WHERE run = ?", (run.no,))
            connection.execute("DELETE FROM source WHERE run = ?", (run.no,))
            connection.execute("DELETE FROM run WHERE no = ?", (run.no,))

    def alive(self) -> frozenset[str]:
        """The ids of the unfinished runs that some process holds the lock of; this process's own included."""
        unfinished = (run for run in self.all() if run.state is not RunState.FINISHED)
        return frozenset(run.id for run in unfinished if not self._is_free(run.id))

    def lock(self, run_id: str) -> RunLock:
        """A run's lock, the same object however often it is asked for."""
        return self._locks.setdefault(run_id, RunLock(self._db, run_id))

    def _is_free(self, run_id: str) -> bool:
        if run_id in self._locks and self._locks[run_id].held:
            return False
        lock = RunLock(self._db, run_id)
        free = lock.try_acquire()
        if free:
            lock.release()
        return free


def _run(fields: tuple[Any, ...]) -> Run:
    values = list(fields)
    values[4] = RunState(values[4])
    values[12] = json.loads(values[12])
    return Run(*values)
