"""The way to the API as delivery needs it: who speaks, how fast, and whether anybody answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from importer.clock import Clock
from importer.model import Answer
from importer.send.breaker import Breaker
from importer.send.pacing import Pacer


class Poster(Protocol):
    """The client."""

    async def post(self, body: bytes) -> Answer:
        """Send one event; never raises for trouble on the way."""

    async def probe(self) -> Answer:
        """Ask the API something harmless."""


@dataclass(frozen=True, slots=True)
class Line:
    """All that stands between a claim and its answer."""

    client: Poster
    pacer: Pacer
    breaker: Breaker
    clock: Clock
