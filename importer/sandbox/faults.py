"""Faults to rehearse: their list, their grammar, and which comes next.

The grammar is that of ``--fault error=0.02,slow=0.05:2s,outage=30s@100``. ``responses`` acts faults out.
"""

from __future__ import annotations

import difflib
import random
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

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


@dataclass(frozen=True, slots=True)
class Faults:
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


class FaultPicker:
    """Chooses each event's fault by chance; the same seed gives the same sequence."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = [fault for fault, _ in faults.chances]
        self._bounds = list(accumulate(chance for _, chance in faults.chances))
        self._random = random.Random(seed)  # noqa: S311 - a rehearsal must be repeatable, not secret

    def next(self) -> Fault | None:
        """The next event's fault; None, mostly."""
        if not self._faults:
            return None
        position = bisect_right(self._bounds, self._random.random())
        return self._faults[position] if position < len(self._faults) else None


class FaultQueue:
    """Faults that were ordered on the dashboard for the next so many events, the oldest order first."""

    MAX_EVENTS = 10_000
    """Per order."""
    MAX_ORDERS = 100
    """That may wait."""
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
        self._orders: deque[tuple[Fault, int]] = deque()

    @property
    def waiting(self) -> tuple[tuple[Fault, int], ...]:
        """What is still to come: fault and number of events."""
        return tuple(self._orders)

    def add(self, fault: Fault, count: int) -> bool:
        """Order a fault for ``count`` events, after those of earlier orders; False if it is not offered."""
        if fault not in self.OFFERED or not 1 <= count <= self.MAX_EVENTS or len(self._orders) >= self.MAX_ORDERS:
            return False
        self._orders.append((fault, count))
        return True

    def clear(self) -> None:
        """Forget all orders."""
        self._orders.clear()

    def next(self) -> Fault | None:
        """The next event's fault; None, mostly."""
        if not self._orders:
            return None
        fault, count = self._orders[0]
        if count > 1:
            self._orders[0] = (fault, count - 1)
        else:
            self._orders.popleft()
        return fault


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
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f'"{text}" is not a duration', hint="a number and a unit: 50ms, 2s, 1.5m, 1h")
    return float(found[1]) * _UNITS[found[2]]


def parse_faults(text: str) -> Faults:
    """Read a ``--fault`` specification: items separated by commas, each fault at most once; empty means none.

    Raises:
        UsageError: an unknown fault, a value that does not fit it, or chances that exceed 1 together.

    """
    given: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        if name not in _GRAMMAR:
            raise UsageError(f'--fault: "{name}" is not a fault', hint=_known(name))
        if name in given:
            raise UsageError(f'--fault: "{name}" is given twice', hint="name each fault once")
        given[name] = value
    slow_chance, slow_for = _split(given, "slow", ":")
    outage_for, outage_at = _split(given, "outage", "@")
    chances = tuple(
        (fault, _chance(fault, slow_chance if fault is Fault.SLOW else given[fault]))
        for fault in Fault
        if fault in given
    )
    if sum(chance for _, chance in chances) > 1 + 1e-9:
        raise UsageError(
            "--fault: the chances add up to more than 1",
            hint="at most one fault happens to an event; make the chances smaller",
        )
    return Faults(
        chances=chances,
        slow_for=_duration("slow", slow_for) if slow_for else 0.0,
        outage_for=_duration("outage", outage_for) if outage_for else 0.0,
        outage_at=_requests("outage", outage_at) if outage_at else None,
        token_after=_requests("token-after", given["token-after"]) if "token-after" in given else None,
    )


def _known(name: str) -> str:
    near = difflib.get_close_matches(name, _GRAMMAR, n=1, cutoff=0.5)
    known = "known faults: " + ", ".join(_GRAMMAR.values())
    return f"did you mean {_GRAMMAR[near[0]]}? {known}" if near else known


def _split(given: dict[str, str], name: str, separator: str) -> tuple[str, str]:
    """Both halves of ``name``'s value, or two empty texts if it was not given."""
    if name not in given:
        return "", ""
    first, _, second = given[name].partition(separator)
    if not first or not second:
        raise _misfit(name, given[name])
    return first, second


def _chance(name: str, text: str) -> float:
    try:
        chance = float(text)
    except ValueError:
        raise _misfit(name, text) from None
    if not 0 <= chance <= 1:
        raise _misfit(name, text)
    return chance


def _duration(name: str, text: str) -> float:
    try:
        return parse_duration(text)
    except UsageError:
        raise _misfit(name, text) from None


def _requests(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _misfit(name, text)
    return int(text)


def _misfit(name: str, found: str) -> UsageError:
    return UsageError(
        f'--fault: "{found}" does not fit {name}',
        hint=f"write {_GRAMMAR[name]}; a CHANCE is 0 to 1, a DURATION 50ms, 2s or 1m, REQUESTS a number",
    )
