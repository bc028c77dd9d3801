"""When the API fails row after row: stop risking rows, probe harmlessly, and go on once it is back.

One state machine, pure and synchronous; times are monotonic seconds that the caller hands in.

    closed ──failures──▶ open ──a good probe──▶ half-open ──the one event's answer──▶ closed
                          ▲ ▲                       │
                          │ └── a bad probe         │ failure: one more row in doubt, and a longer wait
                          └─────────────────────────┘

A failure is an answer that says nothing of the row: no connection, a connection lost, a 5xx, an unreadable one. Each
puts a row in doubt (but for the first), so the breaker opens fast, and while half-open only one row is at risk. A
refusal is no failure, and neither is a 429: the API is there.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from importer.model import Response, ResponseKind

IN_A_ROW = 5
"""Failures one after the other, over all connections, that open it."""
OF_LAST = 20
"""How many answers are remembered; more than half of them failures open it, too."""
FIRST_INTERVAL = 5.0
"""Seconds from opening to the first probe; doubled after each bad one …"""
LONGEST_INTERVAL = 60.0
"""… up to this."""


class Gate(StrEnum):
    """What may leave now: an event, the harmless ``GET /v2/subscribers``, or nothing (see `CircuitBreaker.wait`)."""

    SEND = "send"
    PROBE = "probe"
    WAIT = "wait"


class CircuitBreaker:
    """See the module's docstring."""

    def __init__(self, *, outage_limit: float | None = None, jitter: Callable[[], float] = random.random) -> None:
        """An outage is waited for up to ``outage_limit`` seconds; None: for ever.

        ``jitter`` gives numbers in [0, 1), so that many importers do not probe in step.
        """
        self._outage_limit = outage_limit
        self._jitter = jitter
        self._recent: deque[bool] = deque(maxlen=OF_LAST)
        """Whether each of the last answers was a failure."""
        self._row = 0
        """Failures one after the other."""
        self._opened_at: float | None = None
        self._half_open_at: float | None = None
        self._closed_at = float("-inf")
        self._next_probe = self._interval = 0.0
        self._busy = False
        """A probe, or the one event, is under way."""
        self.last_words = ""
        """What the last failure said."""

    @property
    def is_closed(self) -> bool:
        """Whether events flow freely."""
        return self._opened_at is None

    def gate(self, now: float) -> Gate:
        """What may leave now; asking changes nothing, see `sending` and `probing`."""
        if self._opened_at is None:
            return Gate.SEND
        if self._busy:
            return Gate.WAIT
        if self._half_open_at is not None:
            return Gate.SEND
        return Gate.PROBE if now >= self._next_probe else Gate.WAIT

    def wait(self, now: float) -> float:
        """Seconds to wait before asking `gate` again, at most; an answer that comes in may change it earlier."""
        if self._busy:
            return 1.0
        is_waiting = self._opened_at is not None and self._half_open_at is None
        return max(self._next_probe - now, 0.0) if is_waiting else 0.0

    def expired(self, now: float) -> bool:
        """Whether the outage has lasted longer than the user wants to wait."""
        limit, opened = self._outage_limit, self._opened_at
        return limit is not None and opened is not None and now - opened >= limit

    def status(self, now: float, wall: float) -> str:
        """For progress: why nothing is sent, since when, and when it is tried again; empty while closed.

        ``wall`` is seconds since the epoch.
        """
        if self._opened_at is None:
            return ""
        since = datetime.fromtimestamp(wall - (now - self._opened_at)).astimezone().strftime("%H:%M")
        wait = self.wait(now)
        then = "trying now" if self._busy or wait < 1 else f"next try in {wait:.0f} s"
        return f"{self.last_words} (since {since}), {then}"

    def sending(self) -> None:
        """An event leaves; while half-open, it is the only one."""
        self._busy = self._half_open_at is not None

    def probing(self) -> None:
        """A probe leaves."""
        self._busy = True

    def record(self, response: Response, now: float) -> None:
        """How an event ended. A 429 says that the API is there, and no more."""
        unreached = response.kind is ResponseKind.NOT_ACCEPTED and response.status is None
        failed = unreached or response.kind is ResponseKind.IN_DOUBT
        if failed:
            self.last_words = response.message
        if response.status == 429:
            if self._half_open_at is not None and now - response.latency >= self._half_open_at:
                self._busy = False
        elif self._opened_at is None:
            self._recent.append(failed)
            self._row = self._row + 1 if failed else 0
            often = failed and len(self._recent) == OF_LAST and sum(self._recent) * 2 > OF_LAST
            if failed and (self._row >= IN_A_ROW or often):
                self._opened_at = now
                if now - self._closed_at > LONGEST_INTERVAL:
                    self._interval = 0.0  # else it flaps: go on with the longer waits
                self._postpone(response, now)
        elif self._half_open_at is not None and now - response.latency >= self._half_open_at:
            # Others may still come in that left before the outage; they decide nothing.
            self._busy, self._half_open_at = False, None
            if failed:
                self._postpone(response, now)
            else:
                self._opened_at, self._closed_at, self._row = None, now, 0
                self._recent.clear()

    def probed(self, response: Response, now: float) -> None:
        """How a probe ended. A 401 or 403 (`ResponseKind.UNAUTHORIZED`) stops the run; delivery sees to that."""
        self._busy = False
        if self._opened_at is None:
            return
        if response.status is not None and response.status < 500 and response.kind is not ResponseKind.UNAUTHORIZED:
            self._half_open_at = now
        else:
            self.last_words = response.message
            self._postpone(response, now)

    def _postpone(self, response: Response, now: float) -> None:
        self._interval = min(self._interval * 2 or FIRST_INTERVAL, LONGEST_INTERVAL)
        wait = self._interval * (0.8 + 0.4 * self._jitter())
        if response.retry_after is not None:
            wait = max(wait, min(response.retry_after, LONGEST_INTERVAL))
        self._next_probe = now + wait
