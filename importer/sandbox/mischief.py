"""What each fault does to an event and its reply.

Owns one small function per fault that ``faults`` lists. Choosing which event is hit is its dice's; what the
right reply would have been, ``endpoint``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from importer.sandbox.faults import Fault, Faults
from importer.sandbox.http import EARLY_HINTS, Head
from importer.sandbox.reply import CREATED, Composer, End, Reply, say

OVERSIZE = 8 << 20
"""Bytes of `Fault.OVERSIZE`'s body."""
_PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_GARBAGE = b'\xff\xfe{"success": tr'
_ELSEWHERE = "Location: http://elsewhere.example.com/v2/events\r\n"

Instead = Callable[[Composer, Head], Reply]
Disturb = Callable[[Composer, Head, Reply], Reply]

INSTEAD: Mapping[Fault, Instead] = {
    Fault.DROP_BEFORE: lambda _, __: Reply(0, b"", end=End.ABORT),
    Fault.ERROR: lambda composer, head: composer.refuse(head, 500, "Server Error"),
    Fault.TOO_MANY: lambda composer, head: composer.too_many(head),
    Fault.HTML: lambda composer, _: Reply(502, composer.wire(502, _PAGE, content_type="text/html")),
    Fault.LIE: lambda composer, head: composer.refuse(head, 200, "Event not created"),
    Fault.REDIRECT: lambda composer, _: Reply(302, composer.wire(302, b"", _ELSEWHERE)),
}
"""Faults that come before the event is looked at: it is not recorded."""

LOSE: Mapping[Fault, Disturb] = {
    Fault.DROP_AFTER_ACCEPT: lambda _, __, right: replace(right, status=0, wire=b"", end=End.ABORT),
    Fault.HANG: lambda _, __, right: replace(right, status=0, wire=b"", end=End.HANG),
    Fault.TRUNCATE: lambda _, __, right: replace(right, wire=right.wire[: -len(CREATED) // 2], end=End.CLOSE),
    Fault.ERROR_AFTER_ACCEPT: lambda composer, head, right: replace(
        composer.refuse(head, 500, "Server Error"), event=right.event
    ),
    Fault.GARBAGE: lambda composer, _, right: replace(right, wire=composer.wire(200, _GARBAGE)),
    Fault.OVERSIZE: lambda composer, _, right: replace(
        right, wire=composer.wire(200, say(success=True, message="x" * OVERSIZE))
    ),
}
"""Faults that lose the answer to an event that was accepted, and is recorded."""


def obstruct(faults: Faults) -> Mapping[Fault, Disturb]:
    """Faults that bring the right reply in a difficult way."""
    return {
        Fault.SLOW: partial(_slow, faults.slow_for),
        Fault.EARLY: lambda _, __, right: replace(right, wire=EARLY_HINTS + right.wire),
        Fault.CLOSE: lambda _, __, right: replace(right, end=End.CLOSE),
        Fault.STRAY: lambda composer, _, right: replace(right, wire=right.wire + composer.wire(200, CREATED)),
    }


def _slow(seconds: float, _composer: Composer, _head: Head, right: Reply) -> Reply:
    return replace(right, delay=right.delay + seconds)
