"""What arrived lately, for the sandbox's page: the newest events with their answers, in bounded memory.

Owns keeping and searching them. Noting one costs the event path a tenth of a microsecond or two; bodies are read only
when somebody looks. The whole truth is ``record``'s file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from importer.clock import Clock
from importer.sandbox.faults import Fault

KEPT = 10_000
"""Events."""
_BYTES = 32 << 20
"""Of all bodies that are kept."""
_LONGEST = 16_384
"""Bytes of a body that are kept; an acceptable event has hardly more."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One request to create an event."""

    n: int
    """1 for the first since the sandbox began."""
    at: float
    """Seconds since the epoch."""
    status: int
    """Of the answer; 0: none was given."""
    recorded: bool
    """It was accepted, whatever became of the answer."""
    fault: str
    """What went wrong on purpose; empty mostly."""
    body: bytes
    """As it came, or its beginning."""


class Line(msgspec.Struct, frozen=True):
    """An arrival as the page lists it."""

    n: int
    at: float
    status: int
    recorded: bool
    fault: str
    subscriber: str
    """E-mail, else phone, else id; empty where none can be read."""
    type: str
    value: str


class Search(msgspec.Struct, frozen=True):
    """Which arrivals are wanted."""

    subscriber: str = ""
    """A part of the id, e-mail or phone, in any case; empty: all."""
    type: str = ""
    """A part of the type, in any case; empty: all."""
    after: int = 0
    """Later than this number."""
    before: int = 0
    """Earlier than this number; 0: all."""


class Arrivals:
    """The newest arrivals."""

    def __init__(self, clock: Clock) -> None:
        self.total = 0
        """Events that came, kept or not."""
        self._clock = clock
        self._kept: deque[Arrival] = deque()
        self._bytes = 0

    def note(self, body: bytes, status: int, fault: Fault | None, *, recorded: bool) -> None:
        """Keep one more; the oldest go when there is no room."""
        self.total += 1
        if len(body) > _LONGEST:
            body = body[:_LONGEST]
        self._kept.append(Arrival(self.total, self._clock.time(), status, recorded, fault or "", body))
        self._bytes += len(body)
        while len(self._kept) > KEPT or self._bytes > _BYTES:
            self._bytes -= len(self._kept.popleft().body)

    def find(self, n: int) -> Arrival | None:
        """An arrival by its number, if it is still kept."""
        place = n - self._kept[0].n if self._kept else -1
        return self._kept[place] if 0 <= place < len(self._kept) else None

    def newest(self, search: Search, most: int) -> list[Line]:
        """The newest that are searched for, newest first, at most so many."""
        return list(islice(self._found(search), most))

    def _found(self, search: Search) -> Iterator[Line]:
        subscriber, kind = search.subscriber.casefold(), search.type.casefold()
        for arrival in reversed(self._kept):
            if arrival.n <= search.after:
                return
            if search.before and arrival.n >= search.before:
                continue
            event = _read(arrival.body)
            names = _names(event)
            found = _text(event.get("type"))
            if kind in found.casefold() and any(subscriber in name.casefold() for name in names or ("",)):
                yield Line(
                    n=arrival.n,
                    at=arrival.at,
                    status=arrival.status,
                    recorded=arrival.recorded,
                    fault=arrival.fault,
                    subscriber=names[0] if names else "",
                    type=found,
                    value=f"{_text(event.get('value'))} {_text(event.get('value_currency'))}".strip(),
                )


def _read(body: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _names(event: dict[str, Any]) -> list[str]:
    subscriber = event.get("subscriber")
    if not isinstance(subscriber, dict):
        return []
    return [text for name in ("email", "phone", "id") if (text := _text(subscriber.get(name)))]


def _text(value: Any) -> str:
    """A value in a few words; objects and lists are none."""
    return str(value)[:200] if isinstance(value, str | int | float) else ""
