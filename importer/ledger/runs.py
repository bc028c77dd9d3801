"""Runs: their states, and the lock that tells a living run from a dead one."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from filelock import Timeout

from importer.errors import UsageError
from importer.ledger.database import Database, file_lock
from importer.ledger.tables import VERSION, ids
from importer.model import Run, RunState

_RUNS = (
    "SELECT r.no, r.id, s.account, s.endpoint, r.state, r.created_at, r.started_at, r.finished_at, r.mapping_name,"
    " r.mapping_text, r.mapping_digest, r.stop_reason, r.options FROM run r JOIN scope s ON s.no = r.scope"
)


class RunLock:
    """Held by the one process that works on a run; the kernel releases it however that process ends."""

    def __init__(self, database: Database, run_id: str) -> None:
        self._lock = file_lock(database.path, run_id)

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


class RunRepository:
    """The runs of one account at one endpoint, and on request those of all."""

    def __init__(self, database: Database, account: str, endpoint: str, now: Callable[[], float] = time.time) -> None:
        self._db = database
        self._account = account
        self._endpoint = endpoint
        self._now = now
        self._locks: dict[str, RunLock] = {}

    def create(self, *, mapping_name: str, mapping_text: str, mapping_digest: str, options: Mapping[str, Any]) -> Run:
        """See `Ledger.create_run`. The run's lock is held from the start: an unlocked run in planning is a dead one."""
        now = self._now()
        scope = (self._account, self._endpoint)
        with self._db.transaction():
            run_id = self._new_id(now)
            self._db.execute("INSERT INTO scope (account, endpoint) VALUES ($1, $2) ON CONFLICT DO NOTHING", *scope)
            self._db.execute(
                "INSERT INTO run (id, scope, state, created_at, mapping_name, mapping_text, mapping_digest, options,"
                " planned_by) SELECT $1, no, $2, $3, $4, $5, $6, $7, $8 FROM scope"
                " WHERE account = $9 AND endpoint = $10",
                run_id,
                RunState.PLANNING,
                now,
                mapping_name,
                mapping_text,
                mapping_digest,
                json.dumps(dict(options)),
                VERSION,
                *scope,
            )
        return self.find(run_id)

    def _new_id(self, now: float) -> str:
        """An id that no run has, and whose lock this process holds from now on."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        while True:
            run_id = f"{stamp}-{secrets.token_hex(2)}"
            known = self._db.value("SELECT 1 FROM run WHERE id = $1", run_id)
            if not known and self.lock(run_id).try_acquire():
                return run_id

    def find(self, run_id: str, *, everywhere: bool = False) -> Run:
        """See `Ledger.run`."""
        runs = self.all(everywhere=everywhere)
        matches = [run for run in runs if run.id == run_id] or [run for run in runs if run.id.startswith(run_id)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UsageError(
                f"{len(matches)} runs begin with {run_id}", hint="give more of the id; `importer runs` lists them"
            )
        if everywhere:
            raise UsageError(
                f"there is no run {run_id} in the ledger {self._db.path}",
                hint="`importer runs` lists the runs; --ledger chooses where to look",
            )
        raise UsageError(
            f"there is no run {run_id} of account {self._account} at {self._endpoint}",
            hint="`importer runs` lists the runs; --account, --sandbox and --ledger choose where to look",
        )

    def all(self, *, everywhere: bool = False) -> list[Run]:
        """See `Ledger.runs`."""
        if everywhere:
            found = self._db.rows(f"{_RUNS} ORDER BY r.no DESC")
        else:
            own = (self._account, self._endpoint)
            found = self._db.rows(f"{_RUNS} WHERE s.account = $1 AND s.endpoint = $2 ORDER BY r.no DESC", *own)
        return [_run(fields) for fields in found]

    def set_state(self, run: Run, state: RunState, stop_reason: str) -> Run:
        """See `Ledger.set_state`."""
        now = self._now()
        with self._db.transaction():
            self._db.execute(
                "UPDATE run SET state = $1, stop_reason = $2,"
                " started_at = CASE WHEN $3 THEN COALESCE(started_at, $4) ELSE started_at END,"
                " finished_at = CASE WHEN $5 THEN $4 ELSE NULL END WHERE no = $6",
                state,
                stop_reason,
                int(state is RunState.DELIVERING),
                now,
                int(state in (RunState.FINISHED, RunState.STOPPED)),
                run.no,
            )
        return self.find(run.id, everywhere=True)

    def discard(self, run: Run, *states: RunState) -> None:
        """See `Ledger.discard`. ``run`` may be an old picture: the state that counts is the one in the ledger now.

        It is forgotten in planning, or in one of these ``states``.
        """
        bounds = ids(run)
        with self._db.transaction():
            state = self._db.value("SELECT state FROM run WHERE no = $1", run.no)
            if state not in (RunState.PLANNING, *states):
                return
            # By the keys of its rows, which the primary key finds; by id alone all keys would have to be read.
            self._db.execute(
                "DELETE FROM delivered_key WHERE id BETWEEN $1 AND $2 AND scope = $3 AND key IN"
                " (SELECT key_hash FROM row WHERE id BETWEEN $1 AND $2 AND key_hash IS NOT NULL)",
                *bounds,
                self._db.value("SELECT scope FROM run WHERE no = $1", run.no),
            )
            self._db.execute("DELETE FROM row WHERE id BETWEEN $1 AND $2", *bounds)
            self._db.execute("DELETE FROM chunk WHERE first_id BETWEEN $1 AND $2", *bounds)
            self._db.execute("DELETE FROM place WHERE run = $1", run.no)
            self._db.execute("DELETE FROM source WHERE run = $1", run.no)
            self._db.execute("DELETE FROM run WHERE no = $1", run.no)

    def scope(self) -> int | None:
        """The number of this account and endpoint; None where it has no runs yet."""
        own = (self._account, self._endpoint)
        found = self._db.value("SELECT no FROM scope WHERE account = $1 AND endpoint = $2", *own)
        return None if found is None else int(found)

    def discard_dead_plans(self) -> None:
        """Forget the plans whose process has ended: what they noted is not to be taken for another run's word."""
        for run in self.all(everywhere=True):
            if run.state is RunState.PLANNING and not self.is_alive(run.id) and not self.lock(run.id).held:
                self.discard(run)

    def alive(self) -> frozenset[str]:
        """The ids of the unfinished runs that some process holds the lock of; this process's own included."""
        unfinished = (run for run in self.all() if run.state is not RunState.FINISHED)
        return frozenset(run.id for run in unfinished if self.is_alive(run.id))

    def lock(self, run_id: str) -> RunLock:
        """A run's lock, the same object however often it is asked for."""
        return self._locks.setdefault(run_id, RunLock(self._db, run_id))

    def is_alive(self, run_id: str) -> bool:
        """Whether some process, this one included, holds the run's lock."""
        if run_id in self._locks and self._locks[run_id].held:
            return True
        lock = RunLock(self._db, run_id)
        free = lock.try_acquire()
        if free:
            lock.release()
        return not free


def _run(fields: tuple[Any, ...]) -> Run:
    values = list(fields)
    values[4] = RunState(values[4])
    values[12] = json.loads(values[12])
    return Run(*values)
