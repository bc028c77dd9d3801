"""Faults to rehearse: their list, their grammar, and which comes next.

The grammar is that of ``--fault error=0.02,slow=0.05:2s,outage=30s@100``. ``responses`` acts faults out.
"""

from __future__ import annotations

import difflib
import random
import re
from collections import deque
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import groupby, repeat
from typing import Any

import msgspec

from importer.errors import UsageError


class Fault(StrEnum):
    """What can happen to a single event; at most one does."""

    # BEFORE_ACCEPT: the event is not recorded.
    DROP_BEFORE = "drop-before"
    """The connection closes."""
    ERROR = "error"
    """500."""
    TOO_MANY = "429"
    """429 with ``Retry-After``, although the quota has room."""
    HTML = "html"
    """502 with a page of HTML."""
    LIE = "lie"
    """200, but ``"success": false``."""
    REDIRECT = "redirect"
    """302 to another host."""
    # AFTER_ACCEPT: the event is recorded, but its answer is lost. An event that breaks a rule gets its 422 as usual.
    DROP_AFTER_ACCEPT = "drop-after-accept"
    """The connection closes without an answer."""
    ERROR_AFTER_ACCEPT = "error-after-accept"
    """500, although it was accepted."""
    GARBAGE = "garbage"
    """200, and a body that is not JSON."""
    TRUNCATE = "truncate"
    """The answer stops in its middle, and the connection closes."""
    OVERSIZE = "oversize"
    """200, and a body of 8 MiB."""
    HANG = "hang"
    """No answer ever; the connection stays open."""
    # The right answer, in a difficult way.
    SLOW = "slow"
    """The answer comes late."""
    EARLY = "early"
    """103 Early Hints come before the answer."""
    CLOSE = "close"
    """The connection closes after the answer, unannounced."""
    STRAY = "stray"
    """After the answer comes another "Event created", unrequested."""


BEFORE_ACCEPT = frozenset({Fault.DROP_BEFORE, Fault.ERROR, Fault.TOO_MANY, Fault.HTML, Fault.LIE, Fault.REDIRECT})
AFTER_ACCEPT = frozenset(
    {Fault.DROP_AFTER_ACCEPT, Fault.ERROR_AFTER_ACCEPT, Fault.GARBAGE, Fault.TRUNCATE, Fault.OVERSIZE, Fault.HANG}
)


class Faults(msgspec.Struct, frozen=True):
    """What a sandbox does wrong, and how often."""

    chances: tuple[tuple[Fault, float], ...] = ()
    """Per event; they add up to at most 1."""
    slow_for: float = 0.0
    """Seconds by which `Fault.SLOW` delays an answer."""
    outage_at: int | None = None
    """After this many requests the port is closed for a while; once. None: never."""
    outage_for: float = 0.0
    """Seconds."""
    token_after: int | None = None
    """After this many requests that bear it, the first token has expired. None: never."""


def by_chance(faults: Faults, seed: int) -> Iterator[Fault | None]:
    """Each event's fault, mostly None; the same seed gives the same sequence."""
    chances = [chance for _, chance in faults.chances]
    choose = random.Random(seed).choices  # noqa: S311 - a rehearsal must be repeatable, not secret
    while True:
        (fault,) = choose([*(fault for fault, _ in faults.chances), None], [*chances, max(0.0, 1 - sum(chances))])
        yield fault


class FaultQueue:
    """Faults that were ordered on the dashboard for the next so many events, the oldest order first."""

    MAX_EVENTS = 10_000
    """That may wait for a fault."""
    OFFERED: Mapping[Fault, str] = {
        Fault.ERROR: "answer 500 (not accepted)",
        Fault.TOO_MANY: "answer 429, try again in 1 s",
        Fault.DROP_BEFORE: "drop the connection (not accepted)",
        Fault.DROP_AFTER_ACCEPT: "accept, then drop the connection",
        Fault.ERROR_AFTER_ACCEPT: "accept, then answer 500",
        Fault.GARBAGE: "accept, then send an answer that is not JSON",
        Fault.HTML: "answer 502 with a page of HTML",
    }

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque()

    @property
    def waiting(self) -> tuple[tuple[Fault, int], ...]:
        """What is still to come: fault and number of events."""
        return tuple((fault, len(list(those))) for fault, those in groupby(self._faults))

    def add(self, fault: Fault, count: int) -> bool:
        """Order a fault for ``count`` events, after those of earlier orders; False if that cannot be ordered."""
        if fault not in self.OFFERED or not 1 <= count <= self.MAX_EVENTS - len(self._faults):
            return False
        self._faults.extend(repeat(fault, count))
        return True

    def clear(self) -> None:
        """Forget all orders."""
        self._faults.clear()

    def next(self) -> Fault | None:
        """The next event's fault; None, mostly."""
        return self._faults.popleft() if self._faults else None


_GRAMMAR = {fault.value: f"{fault.value}=CHANCE" for fault in Fault} | {
    "slow": "slow=CHANCE:DURATION",
    "outage": "outage=DURATION@REQUESTS",
    "token-after": "token-after=REQUESTS",
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds from ``50ms``, ``2s``, ``1.5m`` or ``1h``.

    Raises:
        UsageError: anything else.
    """
    try:
        return _duration(text)
    except _MisfitError:
        raise UsageError(f'"{text}" is not a duration', hint="a number and a unit: 50ms, 2s, 1.5m, 1h") from None


def parse_faults(text: str) -> Faults:
    """Read a ``--fault`` specification: items separated by commas, each fault at most once; empty means none.

    Raises:
        UsageError: an unknown fault, a value that does not fit it, or chances that exceed 1 together.
    """
    given: set[str] = set()
    chances: dict[str, float] = {}
    others: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        if name not in _GRAMMAR:
            near = difflib.get_close_matches(name, _GRAMMAR, n=1, cutoff=0.5)
            meant = f"did you mean {_GRAMMAR[near[0]]}? " if near else ""
            hint = f"{meant}known faults: {', '.join(_GRAMMAR.values())}"
            raise UsageError(f'--fault: "{name}" is not a fault', hint=hint)
        if name in given:
            raise UsageError(f'--fault: "{name}" is given twice', hint="name each fault once")
        given.add(name)
        try:
            if name == "outage":
                duration, _, requests = value.partition("@")
                others |= {"outage_for": _duration(duration), "outage_at": _count(requests)}
            elif name == "token-after":
                others["token_after"] = _count(value)
            else:
                if name == "slow":
                    value, _, duration = value.partition(":")
                    others["slow_for"] = _duration(duration)
                chances[name] = _chance(value)
        except _MisfitError as misfit:
            found = str(misfit) or item.partition("=")[2]
            raise UsageError(
                f'--fault: "{found}" does not fit {name}',
                hint=f"write {_GRAMMAR[name]}; a CHANCE is 0 to 1, a DURATION 50ms, 2s or 1m, REQUESTS a number",
            ) from None
    if sum(chances.values()) > 1 + 1e-9:
        raise UsageError(
            "--fault: the chances add up to more than 1",
            hint="at most one fault happens to an event; make the chances smaller",
        )
    return Faults(tuple((fault, chances[fault]) for fault in Fault if fault in chances), **others)


class _MisfitError(ValueError):
    """A text that is not what is wanted."""


def _duration(text: str) -> float:
    if (found := _DURATION.fullmatch(text)) is None:
        raise _MisfitError(text)
    return float(found[1]) * _UNITS[found[2]]


def _chance(text: str) -> float:
    try:
        chance = float(text)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise _MisfitError(text)
    return chance


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _MisfitError(text)
    return int(text)
