"""Runs: their states, and the lock that distinguishes a living run from a dead one."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from importer.errors import UsageError
from importer.ledger.books import RunReader
from importer.ledger.database import Database
from importer.ledger.locks import Leases, Lock
from importer.ledger.tables import VERSION, of_run
from importer.model import Run, RunState

_RUNS = (
    "SELECT r.no, r.id, s.account, s.endpoint, r.state, r.created_at, r.started_at, r.finished_at, r.mapping_name,"
    " r.mapping_text, r.mapping_digest, r.stop_reason, r.options FROM run r JOIN scope s ON s.no = r.scope"
)


class RunRepository(RunReader):
    """The runs of one account at one endpoint, and on request those of all."""

    def __init__(
        self, database: Database, account: str, endpoint: str, leases: Leases | None, now: Callable[[], float]
    ) -> None:
        super().__init__(database)
        self._account = account
        self._endpoint = endpoint
        self._leases = leases
        self._now = now
        self._locks: dict[str, Lock] = {}

    def create_run(
        self, *, mapping_name: str, mapping_text: str, mapping_digest: str, options: Mapping[str, Any]
    ) -> Run:
        """Register a run in state PLANNING; this process holds its lock: an unlocked run in planning is a dead one."""
        now = self._now()
        if self.scope() is None:
            self._db.execute(
                "INSERT INTO scope (account, endpoint) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                self._account,
                self._endpoint,
            )
        with self._db.transaction():
            run_id = self._new_id(now)
            self._db.execute(
                "INSERT INTO run (id, scope, state, created_at, mapping_name, mapping_text, mapping_digest, options,"
                " planned_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                run_id,
                self.scope(),
                RunState.PLANNING,
                now,
                mapping_name,
                mapping_text,
                mapping_digest,
                json.dumps(dict(options)),
                VERSION,
            )
        return self.run(run_id)

    def _new_id(self, now: float) -> str:
        """An id that no run has, and whose lock this process holds from now on."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        while True:
            run_id = f"{stamp}-{secrets.token_hex(2)}"
            known = self._db.value("SELECT 1 FROM run WHERE id = $1", run_id)
            if not known and self._lock(run_id).try_acquire():
                return run_id

    def run(self, run_id: str, *, everywhere: bool = False) -> Run:
        """Find a run by its id or an unambiguous beginning of it; raises `UsageError` if there is none.

        ``everywhere``: of whichever account and endpoint; `Run.account` and `Run.endpoint` say which.
        """
        runs = self.runs(everywhere=everywhere)
        matches = [run for run in runs if run.id == run_id] or [run for run in runs if run.id.startswith(run_id)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UsageError(
                f"{len(matches)} runs begin with {run_id}", hint="give more of the id; `importer runs` lists them"
            )
        if everywhere:
            raise UsageError(
                f"there is no run {run_id} in the ledger {self._db.dialect.name}",
                hint="`importer runs` lists the runs; --ledger chooses where to look",
            )
        raise UsageError(
            f"there is no run {run_id} of account {self._account} at {self._endpoint}",
            hint="`importer runs` lists the runs; --account, --sandbox and --ledger choose where to look",
        )

    def runs(self, *, everywhere: bool = False) -> list[Run]:
        """The runs of this account and endpoint, or of all, newest first."""
        if everywhere:
            found = self._db.rows(f"{_RUNS} ORDER BY r.no DESC")
        else:
            own = (self._account, self._endpoint)
            found = self._db.rows(f"{_RUNS} WHERE s.account = $1 AND s.endpoint = $2 ORDER BY r.no DESC", *own)
        return [_run(fields) for fields in found]

    def set_state(self, run: Run, state: RunState, *, stop_reason: str = "") -> Run:
        """Record how far the run has come; stamps ``started_at`` and ``finished_at``.

        Where another machine has taken over, that one knows it.
        """
        now = self._now()
        started = f"COALESCE(started_at, {now!r})" if state is RunState.DELIVERING else "started_at"
        finished = repr(now) if state in (RunState.FINISHED, RunState.STOPPED) else "NULL"
        with self._db.transaction():
            if not self._displaced():
                self._db.execute(
                    f"UPDATE run SET state = '{state}', stop_reason = $1, started_at = {started},"
                    f" finished_at = {finished} WHERE no = {run.no}",
                    stop_reason,
                )
        self._db.checkpoint()
        return self.run(run.id, everywhere=True)

    def _displaced(self) -> bool:
        """Whether another machine may have taken over what this process works on."""
        return self._leases is not None and not self._leases.are_kept(self._db)

    def discard(self, run: Run, *states: RunState) -> None:
        """Forget a run that was interrupted in planning, or is in one of these ``states``; any other is kept.

        ``run`` may be an old picture: the state that counts is the one in the ledger now.
        """
        with self._db.transaction():
            wanted = ", ".join(f"'{state}'" for state in (RunState.PLANNING, *states))
            # To change it is to wait for the workers that write for it; those that come later find that it is gone.
            doomed = f"UPDATE run SET stop_reason = 'discarded' WHERE no = {run.no} AND state IN ({wanted})"
            if not self._db.execute(doomed):
                return
            # By the keys of its rows, which the primary key finds; by id alone all keys would have to be read.
            self._db.execute(
                f"DELETE FROM delivered_key WHERE {of_run(run)} AND key IN"
                f" (SELECT key_hash FROM row WHERE {of_run(run)} AND key_hash IS NOT NULL)"
                f" AND scope = (SELECT scope FROM run WHERE no = {run.no})"
            )
            self._db.execute(f"DELETE FROM row WHERE {of_run(run)}")
            self._db.execute(f"DELETE FROM chunk WHERE {of_run(run, 'first_id')}")
            self._db.execute(f"DELETE FROM place WHERE run = {run.no}")
            self._db.execute(f"DELETE FROM source WHERE run = {run.no}")
            self._db.execute(f"DELETE FROM run WHERE no = {run.no}")

    def scope(self) -> int | None:
        """The number of this account and endpoint; None where it has no runs yet."""
        own = (self._account, self._endpoint)
        found = self._db.value("SELECT no FROM scope WHERE account = $1 AND endpoint = $2", *own)
        return None if found is None else int(found)

    def lock(self, run: Run) -> Lock:
        """The lock of the process that works on the run, the same object however often it is asked for."""
        return self._lock(run.id)

    def sender_lock(self, run: Run) -> Lock | None:
        """The lock of the account's sender, where several machines may send; None where one machine does."""
        if self._leases is None:
            return None
        return self._lock(f"sender-{self.scope()}", f"run {run.id} on ")

    def watch_lock(self, place: str) -> Lock:
        """The lock of the one importer that takes files from a place that several machines can see."""
        return self._lock(f"watch-{hashlib.sha256(place.encode()).hexdigest()[:16]}", "watching on ")

    def is_alive(self, run: Run) -> bool:
        """Whether some process, this one included, works on the run now."""
        return self._lock(run.id).is_taken()

    def sending_stops(self) -> str:
        """Why nothing more may be sent, in words: a lease of this process ends; empty while all is well."""
        if self._leases is None or not self._leases.are_lost():
            return ""
        return f"the ledger {self._db.dialect.name} could not be asked for so long that another machine may send now"

    def _lock(self, name: str, what: str = "") -> Lock:
        if name not in self._locks:
            self._locks[name] = Lock(self._db.dialect.beside, name, self._leases, self.scope() or 0, what)
        return self._locks[name]

    def _others_alive(self, run: Run) -> frozenset[str]:
        """The ids of the other unfinished runs that some process works on; plans whose process ended are forgotten.

        What a dead plan has noted is not to be taken for another run's word.
        """
        alive = set()
        for one in self.runs(everywhere=True):
            if one.no == run.no or one.state in (RunState.FINISHED, RunState.PRUNED):
                continue
            planning = one.state is RunState.PLANNING
            if planning or (one.account, one.endpoint) == (run.account, run.endpoint):
                if self.is_alive(one):
                    alive.add(one.id)
                elif planning:
                    self.discard(one)
        return frozenset(alive)


def _run(fields: tuple[Any, ...]) -> Run:
    values = list(fields)
    values[4] = RunState(values[4])
    values[12] = json.loads(values[12])
    return Run(*values)
