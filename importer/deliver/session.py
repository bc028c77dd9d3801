"""The way to the API as delivery needs it: the client, how fast it may be used, and whether the API is there."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from importer.clock import Clock
from importer.deliver.circuit_breaker import CircuitBreaker
from importer.deliver.client import Distrust
from importer.deliver.options import Schedule, StopReason
from importer.deliver.outcomes import GOES_ON, unreachable
from importer.deliver.rate_limit import MAX_IN_FLIGHT, RateLimiter
from importer.model import Pace, PauseKind, Response

T = TypeVar("T")

_SPARED_HANDLES = 32
"""File handles left to everything but connections."""


class EventSender(Protocol):
    """See `importer.deliver.client.Client`."""

    async def post(self, body: bytes, distrust: Distrust | None = None) -> Response:
        """Send one event; never raises for trouble on the way."""

    async def probe(self) -> Response:
        """Ask the API something harmless."""


@dataclass(frozen=True, slots=True)
class ApiSession:
    """All that is between a claim and its response."""

    client: EventSender
    limiter: RateLimiter
    breaker: CircuitBreaker
    clock: Clock

    def pace(self, schedule: Schedule) -> Pace:
        """How fast it goes, or what it waits for."""
        now, wall = self.clock.monotonic(), self.clock.time()
        pace = self.limiter.pace(now, wall)
        if trouble := self.breaker.status(now, wall):
            until = wall + self.breaker.wait(now)
            return replace(pace, waiting_for=trouble, wait_until=until, halt=PauseKind.OUTAGE)
        if schedule.between and (pause := schedule.wait(wall)):
            words = "outside the hours given with --between"
            return replace(pace, waiting_for=words, wait_until=wall + pause, halt=PauseKind.HOURS)
        return pace

    def over(self, schedule: Schedule) -> StopReason | None:
        """Why nothing more is to be sent, if time says so."""
        if schedule.over(self.clock.time()):
            return StopReason("the time given with --until or --for is over", hint=GOES_ON)
        if self.breaker.expired(self.clock.monotonic()):
            return unreachable(self.breaker.last_words)
        return None

    async def probe(self) -> Response:
        """Ask whether the API is there, and learn from what it says."""
        response = await self.client.probe()
        now = self.clock.monotonic()
        self.limiter.observe(response, now)
        self.breaker.probed(response, now)
        return response


def connections_possible() -> int:
    """How many connections the file handles of this process allow, at most `MAX_IN_FLIGHT`."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MAX_IN_FLIGHT
    handles = Path("/dev/fd")
    used = len(os.listdir(handles)) if handles.is_dir() else _SPARED_HANDLES  # noqa: PTH208  # no paths are needed
    return max(1, min(allowed - used - _SPARED_HANDLES, MAX_IN_FLIGHT))


def run_event_loop(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on uvloop, where there is one (it has no Windows): three quarters of the CPU for a request."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
