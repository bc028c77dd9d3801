"""Who works on what: locks of this machine, and leases in the database where several machines may use it.

A lock of this machine is a file's: the kernel frees it however its process ends. Where the database is shared, a lease
goes with it: a row that names the holder and the time, by the database's clock, at which it ends. A thread renews the
leases of this process well before. What ends a lease for its holder is time that has passed here since the last renewal
was asked for, so that no clock needs to be right; another machine takes it when it has ended and, after that, the time
has passed that a request may still take to be answered. A lease of this very machine is taken at once where the
lock of its file is free: its process has ended.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from filelock import Timeout

from importer.errors import LedgerError
from importer.ledger.database import Database, file_lock

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
MARGIN_SECONDS = 10.0
"""So long before the end of its lease a sender stops."""
ANSWER_SECONDS = 120.0
"""No request is under way for longer than this."""
ANOTHER = "another process"
"""Who holds a lock of this machine, as far as that is known."""
_LOOK_SECONDS = 1.0
"""Between two looks whether a lease is free."""


def elapsed() -> float:
    """Seconds that never go back and go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Leases:
    """The leases that this process holds, and the thread that renews them, by a connection of its own."""

    def __init__(self, connect: Callable[[], Database], beside: Path, *, clock: Callable[[], float] = elapsed) -> None:
        self._connect = connect
        self._clock = clock
        self._owner = secrets.token_hex(8)
        self._machine = _machine(beside)
        self._holder = f"{platform.node() or 'a machine'}, process {os.getpid()}"
        self._held: dict[str, float] = {}
        """When each ends here, by the clock."""
        self._in_use = threading.RLock()
        self._db: Database | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, name: str, scope: int, what: str) -> bool:
        """Take a lease if it is free; the lock of its file, if it has one, is held. ``what`` says what for."""
        with self._in_use:
            asked = self._clock()
            now = self._database().dialect.now
            taken = self._database().execute(
                f"INSERT INTO lease VALUES ($1, $2, $3, $4, $5, {now} + {LEASE_SECONDS}) ON CONFLICT (name) DO UPDATE"
                " SET owner = excluded.owner, machine = excluded.machine, holder = excluded.holder,"
                " ends_at = excluded.ends_at WHERE lease.owner = excluded.owner OR lease.machine = excluded.machine"
                f" OR lease.ends_at + {ANSWER_SECONDS} < {now}",
                name,
                scope,
                self._owner,
                self._machine,
                f"{what}{self._holder}",
            )
            if taken:
                self._held[name] = asked + LEASE_SECONDS
                self._start()
            return bool(taken)

    def release(self, name: str) -> None:
        """Give a lease back."""
        with self._in_use:
            if self._held.pop(name, None) is not None:
                with contextlib.suppress(LedgerError):  # it ends by itself
                    self._database().execute("DELETE FROM lease WHERE name = $1 AND owner = $2", name, self._owner)

    def renew(self) -> None:
        """Make the leases last longer, those that no other process has taken meanwhile."""
        with self._in_use:
            if not self._held:
                return
            asked = self._clock()
            database = self._database()
            database.execute(
                f"UPDATE lease SET ends_at = {database.dialect.now} + {LEASE_SECONDS} WHERE owner = $1", self._owner
            )
            kept = {name for (name,) in database.rows("SELECT name FROM lease WHERE owner = $1", self._owner)}
            self._held = {name: asked + LEASE_SECONDS if name in kept else float("-inf") for name in self._held}

    def are_lost(self) -> bool:
        """Whether a lease has ended, or is about to, by this process's own clock."""
        least = self._clock() + MARGIN_SECONDS
        return any(end < least for end in list(self._held.values()))

    def are_kept(self, database: Database) -> bool:
        """Whether the database, asked over that connection, still knows all of them as this process's."""
        names = len(self._held)
        kept = database.value("SELECT COUNT(*) FROM lease WHERE owner = $1", self._owner)
        return bool(kept >= names)

    def foreign(self, name: str) -> tuple[str, float] | None:
        """Who else has a lease that cannot be taken yet, and for how many seconds; None if no one has."""
        with self._in_use:
            now = self._database().dialect.now
            found = self._database().rows(
                f"SELECT holder, ends_at + {ANSWER_SECONDS} - {now} FROM lease"
                f" WHERE name = $1 AND owner <> $2 AND machine <> $3 AND ends_at + {ANSWER_SECONDS} >= {now}",
                name,
                self._owner,
                self._machine,
            )
        return (str(found[0][0]), float(found[0][1])) if found else None

    def holder(self, name: str) -> str:
        """Who has a lease, in words; empty if it is free."""
        with self._in_use:
            return str(self._database().value("SELECT holder FROM lease WHERE name = $1", name) or "")

    def _database(self) -> Database:
        if self._db is None:
            self._db = self._connect()
        return self._db

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_up, name="leases", daemon=True)
            self._thread.start()

    def _keep_up(self) -> None:
        pause = RENEW_SECONDS
        while not self._over.wait(pause):
            try:
                self.renew()
                pause = RENEW_SECONDS
            except LedgerError:  # again, until the lease ends
                pause = RENEW_SECONDS / 10

    def close(self) -> None:
        """End the thread and the connection; leases still held end by themselves."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        with self._in_use:
            if self._db is not None:
                self._db.close()


class Lock:
    """Held by the one process that works on a run, or sends for an account; freed however that process ends."""

    def __init__(self, beside: Path, name: str, leases: Leases | None, scope: int, what: str) -> None:
        self._file = file_lock(beside, name)
        self._name = name
        self._leases = leases
        self._scope = scope
        self._what = what

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return bool(self._file.is_locked)

    def try_acquire(self, *, patience: float = 0.0) -> bool:
        """Take the lock if it is free, or becomes so within so many seconds."""
        until = elapsed() + patience
        try:
            self._file.acquire(timeout=-1 if patience == float("inf") else patience)
        except Timeout:
            return False
        while self._leases is not None and not self._leases.acquire(self._name, self._scope, self._what):
            if elapsed() >= until:
                self._file.release(force=True)
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._leases is not None and self.held:
            self._leases.release(self._name)
        self._file.release(force=True)

    def is_taken(self) -> bool:
        """Whether some process, this one included, holds it."""
        if self.held:
            return True
        try:
            self._file.acquire(timeout=0)
        except Timeout:
            return True
        try:
            return self._leases is not None and self._leases.foreign(self._name) is not None
        finally:
            self._file.release(force=True)

    def holder(self) -> str:
        """Who holds it, in words, as far as that is known: ``web-1, process 77``."""
        return (self._leases.holder(self._name) if self._leases is not None else "") or ANOTHER


def _machine(beside: Path) -> str:
    """A name of this machine since it started, for as long as processes on it can see the same locks."""
    file = beside.with_name(beside.name + ".machine")
    if not file.exists():
        fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        fresh.write_text(secrets.token_hex(8), encoding="ascii")
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(fresh)
        fresh.unlink()
    started = Path("/proc/sys/kernel/random/boot_id")
    boot = started.read_text(encoding="ascii").strip() if started.exists() else platform.node()
    return f"{file.read_text(encoding='ascii')} {boot}"
