"""How a sandbox behaves, in one frozen object; and the faults to rehearse, with the grammar of ``--fault``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
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


_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")


class SandboxOptions(msgspec.Struct, frozen=True):
    """Everything that can be set. Raises `UsageError` for a port, a token or a number that cannot be used."""

    port: int = 0
    """On 127.0.0.1, and nowhere else; 0 takes a free one."""
    tokens: tuple[str, ...] = ()
    """The bearer tokens that are accepted; none: one is made up. ``Faults.token_after`` lets the first one expire."""
    events: str | None = None
    """The file to append accepted events to, as JSON lines; None: they are only counted."""
    accounts: tuple[tuple[str, int | None], ...] = ()
    """Name and limit of each token's own account, in the order of ``tokens``; events are recorded with the name. None:
    the tokens are of one account."""
    limit: int | None = None
    """Requests per minute; None or 0: no limit, and no headers about one."""
    latency: float = 0.0
    """Seconds by which every answer is late; events are recorded at once."""
    refuse_retired: bool = False
    """Refuse currencies that are no longer in use; what the real API does is not documented."""
    faults: Faults = Faults()
    seed: int = 0
    """Of the faults: the same seed and the same order of requests give the same faults."""

    def __post_init__(self) -> None:
        """Check every value."""
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"--port: {self.port} is not a port", hint="1 to 65535, or 0 for any that is free")
        if self.limit is not None and self.limit < 0:
            raise UsageError(f"--limit: {self.limit} is below zero", hint="requests per minute, or 0 for no limit")
        if self.latency < 0:
            raise UsageError(f"--latency: {self.latency} is below zero", hint="a duration such as 50ms")
        if not all(_TOKEN.fullmatch(token) for token in self.tokens):
            raise UsageError("--token: it holds a blank or a character that no HTTP header can carry",
                             hint="letters, digits and punctuation, at most 512")  # fmt: skip


_FORMS = {fault.value: "CHANCE" for fault in Fault} | {
    "slow": "CHANCE:DURATION",
    "outage": "DURATION@REQUESTS",
    "token-after": "REQUESTS",
}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds from ``50ms``, ``2s``, ``1.5m`` or ``1h``. Raises `UsageError` for anything else."""
    try:
        return _duration(text)
    except ValueError:
        raise UsageError(f'"{text}" is not a duration', hint="a number and a unit: 50ms, 2s, 1.5m, 1h") from None


def parse_faults(text: str) -> Faults:
    """Read a ``--fault`` specification such as ``error=0.02,slow=0.05:2s,outage=30s@100``; empty means none.

    Raises `UsageError` for an unknown fault, one that is given twice, a value that does not fit it, or chances that
    exceed 1 together.
    """
    given: dict[str, list[Any]] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        if name not in _FORMS:
            near = difflib.get_close_matches(name, _FORMS, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}={_FORMS[near[0]]}? " if near else ""
            known = ", ".join(f"{fault}={form}" for fault, form in _FORMS.items())
            raise UsageError(f'--fault: "{name}" is not a fault', hint=f"{meant}known faults: {known}")
        if name in given:
            raise UsageError(f'--fault: "{name}" is given twice', hint="name each fault once")
        forms, parts = (text.split("@" if name == "outage" else ":") for text in (_FORMS[name], value))
        wrong = ""
        try:
            given[name] = [_READERS[form](wrong := part) for form, part in zip(forms, parts, strict=True)]
        except ValueError:
            raise UsageError(
                f'--fault: "{wrong if wrong and len(parts) == len(forms) else value}" does not fit {name}',
                hint=f"write {name}={_FORMS[name]}; a CHANCE is 0 to 1, a DURATION 50ms, 2s or 1m, REQUESTS a number",
            ) from None
    chances = tuple((fault, given[fault][0]) for fault in Fault if fault in given)
    if sum(chance for _, chance in chances) > 1 + 1e-9:
        raise UsageError(
            "--fault: the chances add up to more than 1",
            hint="at most one fault happens to an event; make the chances smaller",
        )
    _, slow_for = given.get("slow", (0.0, 0.0))
    outage_for, outage_at = given.get("outage", (0.0, None))
    (token_after,) = given.get("token-after", (None,))
    return Faults(chances, slow_for, outage_at, outage_for, token_after)


def _chance(text: str) -> float:
    chance = float(text)
    if not 0 <= chance <= 1:
        raise ValueError(text)
    return chance


def _duration(text: str) -> float:
    if (found := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)) is None:
        raise ValueError(text)
    return float(found[1]) * _UNITS[found[2]]


def _requests(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


_READERS: Mapping[str, Callable[[str], Any]] = {"CHANCE": _chance, "DURATION": _duration, "REQUESTS": _requests}
