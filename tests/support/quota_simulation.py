"""Rate-limited servers and a sender on simulated time: minutes of traffic in a fraction of a second."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

from importer.deliver.rate_limit import RateLimiter
from importer.deliver.responses import classify
from importer.model import Response

EPOCH = 1_800_000_017.3
"""Wall time at simulated 0; a minute has begun 17.3 s ago."""
ACCEPTED = b'{"success": true, "message": "Event created"}'
TOO_MANY = b'{"message": "Too Many Attempts."}'


class Server(Protocol):
    """Counts requests. ``time`` is simulated seconds."""

    def hit(self, time: float) -> tuple[bool, int, float, float]:
        """Count one: accepted, what remains, when it resets, and a label of the window it fell into."""


@dataclass
class FixedWindow:
    """Laravel's throttle: a window begins with the first request after the last one has ended."""

    limit: int
    aligned: bool = False
    """Begin windows on the minute of the server's clock instead."""
    skew: float = 0.0
    began: float | None = None
    used: int = 0

    def hit(self, time: float) -> tuple[bool, int, float, float]:
        if self.began is None or time >= self.began + 60:
            wall = EPOCH + self.skew + time
            self.began = time - wall % 60 if self.aligned else time
            self.used = 0
        accepted = self.used < self.limit
        self.used += accepted
        return accepted, self.limit - self.used, self.began + 60, self.began


@dataclass
class SlidingWindow:
    """At most ``limit`` accepted within any 60 s."""

    limit: int
    reset_is_next_slot: bool = True
    """The header names when the oldest request expires; else a minute from now."""
    log: deque[float] = field(default_factory=deque)

    def hit(self, time: float) -> tuple[bool, int, float, float]:
        while self.log and self.log[0] <= time - 60:
            self.log.popleft()
        accepted = len(self.log) < self.limit
        if accepted:
            self.log.append(time)
        reset = self.log[0] + 60 if self.reset_is_next_slot else time + 60
        return accepted, self.limit - len(self.log), reset, time // 60 * 60


@dataclass
class TokenBucket:
    """Refills evenly; holds a tenth of the limit at the most."""

    limit: int
    tokens: float = -1.0
    last: float = 0.0

    def hit(self, time: float) -> tuple[bool, int, float, float]:
        size = max(self.limit / 10, 1.0)
        self.tokens = size if self.tokens < 0 else min(size, self.tokens + (time - self.last) * self.limit / 60)
        self.last = time
        accepted = self.tokens >= 1
        self.tokens -= accepted
        return accepted, int(self.tokens), time + (size - self.tokens) * 60 / self.limit, time // 60 * 60


@dataclass(frozen=True)
class Wire:
    """What lies between."""

    latency: tuple[float, float] = (0.05, 0.05)
    """Seconds there and back, drawn evenly from this range."""
    skew: float = 0.0
    """How far the server's clock is ahead of ours, in seconds."""
    headers: float = 1.0
    """The share of answers that carry the quota's headers; 429s do as well."""
    retry_after: bool = True
    lateness: float = 0.003
    """Seconds that timers fire late, at the most."""


@dataclass
class Tally:
    """What the server saw."""

    accepted: int = 0
    rejected: int = 0
    by_window: Counter[float] = field(default_factory=Counter)
    """Our accepted requests by the server's windows."""
    rejected_by_window: Counter[float] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    """When our requests were accepted."""
    most_in_flight: int = 0


class Simulation:
    """Senders, other programs and one server on one clock."""

    def __init__(self, server: Server, wire: Wire | None = None, *, seed: int = 1) -> None:
        self.server = server
        self.wire = wire or Wire()
        self.random = random.Random(seed)
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), action))

    def run(self, until: float) -> None:
        """Let everything happen up to ``until``."""
        while self._events and self._events[0][0] < until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until

    def other_program(self, arrivals: Iterator[float]) -> Tally:
        """Another program's requests, at the given times."""
        tally = Tally()

        def arrive() -> None:
            self._hit(tally)
            schedule()

        def schedule() -> None:
            time = next(arrivals, None)
            if time is not None:
                self.at(time, arrive)

        schedule()
        return tally

    def sender(self, limiter: RateLimiter, *, start: float = 0.0) -> Tally:
        """An importer with more rows than it can ever send."""
        tally = Tally()
        woken = [0]

        def wake(number: int) -> None:
            if number != woken[0]:
                return
            while (wait := limiter.ask(self.now)) <= 0:
                send()
            woken[0] += 1
            again = woken[0]
            self.at(self.now + wait + self.random.uniform(0, self.wire.lateness), lambda: wake(again))

        def send() -> None:
            sent_at = self.now
            tally.most_in_flight = max(tally.most_in_flight, limiter.in_flight)
            latency = self.random.uniform(*self.wire.latency)
            there = latency * self.random.uniform(0.1, 0.9)
            self.at(sent_at + there, lambda: arrive(sent_at, latency))

        def arrive(sent_at: float, latency: float) -> None:
            answer = self._answer(*self._hit(tally), latency)
            self.at(sent_at + latency, lambda: learn(answer))

        def learn(answer: Response) -> None:
            limiter.record(answer, self.now)
            wake(woken[0])

        self.at(start, lambda: wake(woken[0]))
        return tally

    def _hit(self, tally: Tally) -> tuple[bool, int, float]:
        accepted, remaining, reset, window = self.server.hit(self.now)
        tally.accepted += accepted
        tally.rejected += not accepted
        (tally.by_window if accepted else tally.rejected_by_window)[window] += 1
        if accepted:
            tally.times.append(self.now)
        return accepted, remaining, reset

    def _answer(self, accepted: bool, remaining: int, reset: float, latency: float) -> Response:
        clock = EPOCH + self.wire.skew
        headers = {"Date": format_datetime(_moment(clock + self.now), usegmt=True)}
        if self.random.random() < self.wire.headers:
            limit = getattr(self.server, "limit")  # noqa: B009  # not every server of the protocol has one
            headers["X-RateLimit-Limit"] = str(limit)
            headers["X-RateLimit-Remaining"] = str(remaining)
            headers["X-RateLimit-Reset"] = _moment(clock + reset).strftime("%Y-%m-%dT%H:%M:%SZ")
        if not accepted and self.wire.retry_after:
            headers["Retry-After"] = str(max(int(reset) - int(self.now), 0))
        body, status = (ACCEPTED, 200) if accepted else (TOO_MANY, 429)
        return classify(status, headers, body, complete=True, latency=latency, wall=EPOCH + self.now)


def _moment(wall: float) -> datetime:
    return datetime.fromtimestamp(int(wall), UTC)
