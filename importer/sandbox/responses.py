"""Answers: the account's quota, the right ones, those that a fault spoils, and how each of them leaves the machine."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import web

from importer.clock import Clock
from importer.sandbox.options import Fault

WINDOW = 60
"""Seconds of quota: so many requests per fixed window."""
CREATED = b'{"success": true, "message": "Event created"}'
"""The answer on the endpoint's page."""
_JSON = "application/json"
_OVERSIZE = 8 << 20
"""Bytes of `Fault.OVERSIZE`'s body."""
_GARBAGE = b'\xff\xfe{"success": tr'
_BAD_GATEWAY = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_ELSEWHERE = "http://elsewhere.example.com/v2/events"
_EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
_UNASKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(CREATED),
    CREATED,
)


class RateLimit:
    """Counts requests in windows that begin with the first request after the last one's end.

    A window begins at the whole second of its first request, so that ``X-RateLimit-Reset``, which has no fractions, is
    its exact end.
    """

    def __init__(self, limit: int | None, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._ends = -math.inf  # on the clock that never goes back
        self._used = 0
        self._reset = ""

    def take(self) -> bool:
        """Count one request; False, and nothing counted, if the window's quota is used up."""
        if self.limit is None:
            return True
        if self._clock.monotonic() >= self._ends:
            self._begin()
        if self._used >= self.limit:
            return False
        self._used += 1
        return True

    def _begin(self) -> None:
        now = self._clock.time()
        second = math.floor(now)
        self._ends = self._clock.monotonic() + WINDOW - (now - second)
        self._used = 0
        self._reset = datetime.fromtimestamp(second + WINDOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def headers(self) -> dict[str, str]:
        """The headers of the answer to the request just taken; empty without a limit."""
        if self.limit is None:
            return {}
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - self._used),
            "X-RateLimit-Reset": self._reset,
        }

    @property
    def left(self) -> int | None:
        """Requests that may come now; None without a limit."""
        if self.limit is None:
            return None
        return self.limit if self._clock.monotonic() >= self._ends else self.limit - self._used

    def retry_after(self) -> int:
        """Whole seconds until requests are accepted again, at least 1."""
        left = self._ends - self._clock.monotonic()
        return max(1, math.ceil(left)) if self.limit is not None else 1


class ResponseFactory:
    """Makes responses; knows the headers that all of them have."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._spoilers: Mapping[Fault, Callable[[], web.Response]] = {
            Fault.ERROR: lambda: self.refusal(500, "Server Error"),
            Fault.ERROR_AFTER_ACCEPT: lambda: self.refusal(500, "Server Error"),
            Fault.TOO_MANY: self.too_many,
            Fault.HTML: lambda: self.response(502, _BAD_GATEWAY, "text/html"),
            Fault.LIE: lambda: self.refusal(200, "Event not created"),
            Fault.REDIRECT: lambda: self.response(302, b"", Location=_ELSEWHERE),
            Fault.GARBAGE: lambda: self.response(200, _GARBAGE),
            Fault.OVERSIZE: lambda: self.response(200, json_body(success=True, message="x" * _OVERSIZE)),
        }

    def response(self, status: int, body: bytes, content_type: str = _JSON, **headers: str) -> web.Response:
        """An answer with this body. ``headers``: more of them, with ``_`` for ``-``."""
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        usual = {"Content-Type": content_type, "Date": formatdate(self._clock.time(), usegmt=True)}
        return web.Response(status=status, body=body, headers=usual | self.limit.headers() | lines)

    def refusal(self, status: int, message: str) -> web.Response:
        """The API's way of saying no."""
        return self.response(status, json_body(success=False, message=message))

    def too_many(self) -> web.Response:
        """429, with ``Retry-After``."""
        body = json_body(success=False, message="Too Many Attempts.")
        return self.response(429, body, Retry_After=str(self.limit.retry_after()))

    def spoiled(self, fault: Fault, right: web.Response) -> web.Response:
        """The answer that ``fault`` puts in the place of the ``right`` one; many faults leave it as it is."""
        spoil = self._spoilers.get(fault)
        return spoil() if spoil else right


async def send(
    request: web.Request, response: web.Response, fault: Fault | None, closing: asyncio.Event
) -> web.StreamResponse:
    """Act out what ``fault`` does to the connection; ``closing`` ends those that hang."""
    transport = request.transport
    if transport is None:  # the client has left
        return response
    match fault:
        case Fault.DROP_BEFORE | Fault.DROP_AFTER_ACCEPT:
            transport.abort()
        case Fault.HANG:
            await closing.wait()
            transport.abort()
        case Fault.EARLY:
            transport.write(_EARLY_HINTS)
        case Fault.CLOSE | Fault.STRAY:
            await response.prepare(request)
            await response.write_eof()
            if fault is Fault.STRAY:
                transport.write(_UNASKED)
            else:
                transport.close()
        case Fault.TRUNCATE:
            part = web.StreamResponse(status=response.status, headers=response.headers)
            part.content_length = len(CREATED)
            await part.prepare(request)
            await part.write(CREATED[: len(CREATED) // 2])
            transport.close()
            return part
        case _:
            pass
    return response


def json_body(**fields: Any) -> bytes:
    """A JSON object."""
    return msgspec.json.encode(fields)
