"""One quota for all importers of an account on this machine.

Owns a small SQLite file, in the user's state directory, with one `Budget` per scope (an account at an endpoint) and
the requests that each importer has under way. Slots are taken and news is told in short transactions, some twenty a
second whatever the rate, some fifty while several share; the file holds no secrets and nothing that matters after a
minute, so it is never synced.

A crashed importer's slots end with their window, its requests under way are forgotten after one; a file that cannot be
used (a full or read-only disk) makes this importer pace for itself, and never stops it.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from importer.clock import Clock, SystemClock
from importer.deliver.budget import INSTANT, POLL, WINDOW, Budget
from importer.model import Response

BATCH = POLL
"""Seconds: slots are taken less than this ahead, and news waits no longer to be told. A wait of `POLL` is no slot."""
COMPANY = 1.0
"""Seconds since another importer's last word for which slots are taken less far ahead, to leave it its share."""
PATIENCE = 0.25
"""Seconds to wait for another importer's transaction."""
TIMES = ("began", "seen", "reset_lo", "reset_hi", "previous_hi", "newest", "last_sent", "blocked_until", "blocked_at")
"""The fields of `Budget` that are moments; the file keeps them relative to when it was written."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS quota (scope TEXT PRIMARY KEY, written_at REAL NOT NULL, budget BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS member (
    scope TEXT, id TEXT, in_flight INTEGER NOT NULL, seen_at REAL NOT NULL, PRIMARY KEY (scope, id)
);
"""


class SharedQuota:
    """A `pacing.Quota` that several processes share. Times are monotonic seconds here, wall-clock in the file."""

    def __init__(
        self,
        path: Path,
        scope: str,
        reserve: int = 0,
        *,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.budget = Budget()
        self.trouble = ""
        """Why the file could not be used and this importer paces for itself; empty while it shares."""
        self._scope = scope
        self._reserve = reserve
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self._member = f"{os.getpid()}-{random.SystemRandom().getrandbits(64):x}"
        self._slots: deque[float] = deque()
        self._news: list[tuple[Response, float]] = []
        self._returned = 0
        self._others_in_flight = 0
        self._others = 0
        """Importers that asked or told something just now."""
        self._told_at = float("-inf")
        self._ask_at = float("-inf")
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            path.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            self._alone(error)

    def __repr__(self) -> str:
        return f"<SharedQuota of {self._scope}, {len(self._slots)} slots taken, {self.trouble or 'shared'}>"

    def close(self) -> None:
        """Leave: nothing of ours is under way any more."""
        if self._connection is not None:
            with self._turn(self._clock.monotonic(), 0):
                self._drop_slots()
        if self._connection is not None:
            try:
                self._connection.execute("DELETE FROM member WHERE scope = ? AND id = ?", (self._scope, self._member))
            except sqlite3.Error as error:
                self._alone(error)
        self._disconnect()

    def ask(self, now: float, in_flight: int) -> float:
        """See `pacing.Quota.ask`."""
        if self._slots:
            wait = self._slots[0] - now
            if wait > INSTANT:
                return wait
            self._slots.popleft()
            return 0.0
        if self.budget.unlimited and not self.budget.alone and now >= self.budget.blocked_until:
            return 0.0
        if self._ask_at - now > INSTANT:
            return self._ask_at - now
        with self._turn(now, in_flight):
            wait = self._take(now, in_flight)
        if self._slots:
            return self.ask(now, in_flight)
        if self._others:
            # As soon as the next slot may be taken, but not on the dot: in step, the same one would always be late.
            wait = max(wait - self._ahead(), 0.0) + self._ahead() * (0.1 + 0.4 * self._jitter())
        self._ask_at = now + min(wait, BATCH)
        return wait

    def give_back(self, now: float, in_flight: int) -> None:
        """See `pacing.Quota.give_back`."""
        self._returned += 1
        self._tell(now, in_flight)

    def learn(self, answer: Response, now: float, in_flight: int) -> None:
        """See `pacing.Quota.learn`; a 429 is told at once."""
        if self.budget.unlimited and answer.limit is None and answer.remaining is None and answer.status != 429:
            return
        self._news.append((answer, now))
        self._tell(now, in_flight, at_once=answer.status == 429 or self.budget.alone)

    def _tell(self, now: float, in_flight: int, *, at_once: bool = False) -> None:
        if at_once or now - self._told_at >= BATCH:
            with self._turn(now, in_flight):
                pass

    def _take(self, now: float, in_flight: int) -> float:
        """Take the slots of the next moment; returns the wait for the one after them."""
        everyones = in_flight + self._others_in_flight
        while True:
            wait = self.budget.wait(now, everyones + len(self._slots), self._reserve)
            if wait >= self._ahead() or (wait > INSTANT and self.budget.alone):
                return wait
            self.budget.take(now, wait)
            self._slots.append(now + max(wait, 0.0))
            if self.budget.limit is None or self.budget.alone:
                return POLL

    def _ahead(self) -> float:
        """Seconds ahead of which slots are taken: whoever takes many at once leaves none to the others."""
        return BATCH / (1 + self._others)

    @contextmanager
    def _turn(self, now: float, in_flight: int) -> Iterator[None]:
        """One transaction: what the others have learnt, then our news; the body; then it is written back."""
        offset = self._clock.time() - self._clock.monotonic()
        try:
            if self._connection is not None:
                self._connection.execute("BEGIN IMMEDIATE")
                self._load(now, offset)
        except (sqlite3.Error, msgspec.DecodeError, TypeError) as error:  # the latter: a file of other contents
            self._alone(error)
        for answer, when in self._news:
            self.budget.learn(answer, when, in_flight + len(self._slots) + self._others_in_flight, self._jitter)
        for _ in range(self._returned):
            self.budget.give_back()
        self._news.clear()
        self._returned = 0
        self._told_at = now
        if self.budget.blocked_until > now:
            self._drop_slots()  # taken before the 429
        yield
        try:
            if self._connection is not None:
                self._store(now, offset, in_flight + len(self._slots))
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._alone(error)

    def _drop_slots(self) -> None:
        for _ in range(len(self._slots)):
            self.budget.give_back()
        self._slots.clear()

    def _load(self, now: float, offset: float) -> None:
        assert self._connection is not None
        wall = now + offset
        self._others_in_flight, self._others = self._connection.execute(
            "SELECT coalesce(sum(in_flight), 0), coalesce(sum(abs(seen_at - ?) < ?), 0)"
            " FROM member WHERE scope = ? AND id <> ? AND seen_at BETWEEN ? AND ?",
            (wall, COMPANY, self._scope, self._member, wall - WINDOW, wall + WINDOW),
        ).fetchone()
        row = self._connection.execute(
            "SELECT written_at, budget FROM quota WHERE scope = ?", (self._scope,)
        ).fetchone()
        if row is None:
            return
        # A clock that was set back makes no time pass; one that was set forward ends the window.
        since = max(wall - row[0], 0.0)
        budget = _unpack(row[1], now - since)
        # What is older than a window says nothing of today's limit, but an API that asked for peace still wants it.
        self.budget = budget if since < WINDOW or now < budget.blocked_until else Budget()

    def _store(self, now: float, offset: float, in_flight: int) -> None:
        assert self._connection is not None
        wall = now + offset
        self._connection.execute(
            "INSERT OR REPLACE INTO quota VALUES (?, ?, ?)", (self._scope, wall, _pack(self.budget, now))
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?)", (self._scope, self._member, in_flight, wall)
        )

    def _alone(self, error: Exception) -> None:
        self.trouble = f"the account's quota is not shared with other importers: {error}"
        self._others_in_flight = self._others = 0
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _pack(budget: Budget, now: float) -> bytes:
    """As JSON, its moments relative to ``now``; what was never is left out."""
    fields = msgspec.to_builtins(budget)
    for name in TIMES:
        fields[name] = fields[name] - now if abs(fields[name]) != float("inf") else None
    return msgspec.json.encode(fields)


def _unpack(content: bytes, then: float) -> Budget:
    """``then`` is when it was packed, on the caller's clock."""
    fields = msgspec.json.decode(content)
    budget = Budget()
    for name, value in fields.items():
        if hasattr(budget, name) and value is not None:
            setattr(budget, name, value + then if name in TIMES else value)
    return budget
