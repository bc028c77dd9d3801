"""Replies: what is written for a request, what is recorded before, and what becomes of the connection after.

Owns the type and the one place where answers are put together, with the headers that every answer carries. When to give
which is ``endpoint``'s and ``mischief``'s; sending, ``connection``'s.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import msgspec

from importer.clock import Clock
from importer.sandbox.http import Head, compose
from importer.sandbox.limits import RateLimit

CREATED = b'{"success": true, "message": "Event created"}'
"""The page's own answer."""
JSON = "application/json"
CLOSE_LINE = "Connection: close\r\n"


class End(Enum):
    """What becomes of the connection once the reply is out."""

    KEEP = auto()
    CLOSE = auto()
    """Closed once everything is written."""
    LINGER = auto()
    """As CLOSE, but what is still coming in is read and dropped first, lest it turn the answer into a reset."""
    ABORT = auto()
    """Cut at once."""
    HANG = auto()
    """Left open, and never heard of again."""
    OUTAGE = auto()
    """Cut once it is written, as all the others are, and nobody listens for a while."""


class Reply(msgspec.Struct, frozen=True):
    """What to do about one request."""

    status: int
    """0: no answer."""
    wire: bytes
    """What to write, headers and all."""
    event: bytes | None = None
    """The accepted body, to be recorded before anything is written."""
    delay: float = 0.0
    """Seconds to wait before writing."""
    end: End = End.KEEP
    outage: float = 0.0
    """With `End.OUTAGE`: for how many seconds nobody listens."""


class Composer:
    """Puts replies together; knows what is the same in all of them."""

    def __init__(self, limit: RateLimit, clock: Clock, latency: float) -> None:
        self._limit = limit
        self._clock = clock
        self._latency = latency

    def reply(self, head: Head, status: int, body: bytes, *, headers: str = "", event: bytes | None = None) -> Reply:
        """An ordinary reply. ``headers``: further lines, each with its CRLF."""
        if head.keep:
            return Reply(status, self.wire(status, body, headers), event, self._latency)
        return Reply(status, self.wire(status, body, headers + CLOSE_LINE), event, self._latency, End.CLOSE)

    def refuse(self, head: Head, status: int, message: str) -> Reply:
        """A reply in the API's way of saying no."""
        return self.reply(head, status, say(success=False, message=message))

    def too_many(self, head: Head) -> Reply:
        """429, with ``Retry-After``."""
        body = say(success=False, message="Too Many Attempts.")
        return self.reply(head, 429, body, headers=f"Retry-After: {self._limit.retry_after()}\r\n")

    def last(self, status: int, message: str) -> Reply:
        """A refusal after which the connection cannot go on."""
        wire = self.wire(status, say(success=False, message=message), CLOSE_LINE)
        return Reply(status, wire, end=End.LINGER)

    def wire(self, status: int, body: bytes, headers: str = "", content_type: str = JSON) -> bytes:
        """A whole answer's bytes."""
        everywhere = self._limit.headers()
        return compose(status, body, self._clock.time(), headers=everywhere + headers, content_type=content_type)


def say(**words: Any) -> bytes:
    """A JSON object."""
    return msgspec.json.encode(words)
