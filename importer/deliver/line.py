"""The way to the API as delivery needs it: who speaks, how fast, and whether anybody answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from importer.clock import Clock
from importer.deliver.circuit_breaker import Breaker
from importer.deliver.options import Ended
from importer.deliver.rate_limit import Pacer
from importer.deliver.schedule import Schedule
from importer.deliver.settle import GOES_ON, OUTSIDE, unreachable
from importer.model import Pace, PauseKind, Response


class Poster(Protocol):
    """The client."""

    async def post(self, body: bytes) -> Response:
        """Send one event; never raises for trouble on the way."""

    async def probe(self) -> Response:
        """Ask the API something harmless."""


@dataclass(frozen=True, slots=True)
class Line:
    """All that stands between a claim and its answer."""

    client: Poster
    pacer: Pacer
    breaker: Breaker
    clock: Clock

    def pace(self, schedule: Schedule) -> Pace:
        """How fast it goes, or what it waits for."""
        now, wall = self.clock.monotonic(), self.clock.time()
        pace = self.pacer.pace(now, wall)
        if trouble := self.breaker.status(now, wall):
            until = wall + self.breaker.wait(now)
            return replace(pace, waiting_for=trouble, wait_until=until, halt=PauseKind.OUTAGE)
        if schedule.between and (pause := schedule.wait(wall)):
            return replace(pace, waiting_for=OUTSIDE, wait_until=wall + pause, halt=PauseKind.HOURS)
        return pace

    def over(self, schedule: Schedule) -> Ended | None:
        """Why nothing more is to be sent, if time says so."""
        if schedule.over(self.clock.time()):
            return Ended("the time given with --until or --for is over", hint=GOES_ON)
        if self.breaker.expired(self.clock.monotonic()):
            return unreachable(self.breaker.last_words)
        return None

    async def probe(self) -> Response:
        """Ask whether the API is back, and learn from what it says."""
        answer = await self.client.probe()
        now = self.clock.monotonic()
        self.pacer.observe(answer, now)
        self.breaker.probed(answer, now)
        return answer
