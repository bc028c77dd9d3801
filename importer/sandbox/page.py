"""The sandbox's page, for people in a browser on this machine: what arrived, how it stands, and a fault on demand.

Owns the page's addresses and who may use them. They are no part of the API: they need no token, cost no quota and are
counted nowhere. The page holds customers' data and a button that breaks things, so a browser that shows other sites
as well must not be led here by them:

- every address asks for a ``Host`` on loopback, for a name that was rebound to 127.0.0.1 is still that site's name;
- no answer may be read by another origin, framed, cached or sniffed, and the page runs nothing but its own script;
- whatever changes something is a POST with a secret of this process, which only the page knows, in a header that no
  foreign form can send.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from typing import Any
from urllib.parse import parse_qs

import msgspec

from importer.clock import Clock
from importer.sandbox.arrivals import KEPT, Arrivals, Line, Search
from importer.sandbox.faults import Fault
from importer.sandbox.http import Head, compose
from importer.sandbox.injection import MOST, OFFERED, Injection
from importer.sandbox.limits import RateLimit
from importer.sandbox.reply import CLOSE_LINE, End, Reply

LINES = 200
"""Events in one answer."""
LONGEST_OUTAGE = 600.0
"""Seconds."""

_FILES = {
    name: package_files("importer.sandbox").joinpath("web", f"page.{name}").read_text(encoding="utf-8")
    for name in ("html", "css", "js")
}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_LINES = (
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    f"Content-Security-Policy: default-src 'none'; script-src {_hash(_FILES['js'])}; style-src {_hash(_FILES['css'])};"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
)


@dataclass(frozen=True, slots=True)
class Books:
    """What the page shows of the sandbox besides events; the counters live elsewhere and go on counting."""

    requests: Callable[[], int]
    accepted: Callable[[], int]
    statuses: Mapping[int, int]
    faults: Mapping[Fault, int]
    limit: RateLimit
    arrivals: Arrivals
    injection: Injection


class State(msgspec.Struct, frozen=True):
    """What the page asks for every second."""

    process: str
    """Another one after a restart: the numbers began anew."""
    requests: int
    arrived: int
    accepted: int
    statuses: dict[str, int]
    faults: dict[str, int]
    limit: int | None
    left: int | None
    waiting: list[tuple[str, int]]
    kept: int
    lines: list[Line]


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the buttons send: a fault for so many events, an outage of so many seconds, or neither: forget all."""

    fault: Fault | None = None
    count: int = 1
    outage: float = 0.0


class Page:
    """Answers a browser."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._secret = secrets.token_urlsafe(24)
        self._process = secrets.token_hex(4)
        self.routes: Mapping[str, Callable[[Head, bytes], Reply]] = {
            "/": self._guarded("GET", self._show),
            "/_sandbox/state": self._guarded("GET", self._state),
            "/_sandbox/event": self._guarded("GET", self._event),
            "/_sandbox/faults": self._guarded("POST", self._order),
        }

    def _guarded(self, method: str, route: Callable[[Head, bytes], Reply]) -> Callable[[Head, bytes], Reply]:
        def answer(head: Head, body: bytes) -> Reply:
            if not _is_loopback(head.host) or head.origin not in {"", f"http://{head.host}"}:
                return self._say(head, 403, "This page is for browsers on this machine: open http://127.0.0.1:PORT/.")
            if head.method != method:
                return self._say(head, 405, f"Only {method} is offered here.")
            return route(head, body)

        return answer

    def _show(self, head: Head, body: bytes) -> Reply:  # noqa: ARG002 - a route's signature
        options = "".join(f'<option value="{fault.value}">{words}</option>' for fault, words in OFFERED.items())
        parts = {"style": _FILES["css"], "script": _FILES["js"], "secret": self._secret, "faults": options}
        page = _FILES["html"]
        for name, text in (parts | {"kept": f"{KEPT:,}", "most": str(MOST)}).items():
            page = page.replace(f"{{{{{name}}}}}", text)
        return self._reply(head, 200, page.encode(), "text/html; charset=utf-8")

    def _state(self, head: Head, body: bytes) -> Reply:  # noqa: ARG002 - a route's signature
        books = self._books
        state = State(
            process=self._process,
            requests=books.requests(),
            arrived=books.arrivals.total,
            accepted=books.accepted(),
            statuses={str(status): count for status, count in sorted(books.statuses.items())},
            faults={fault.value: count for fault, count in books.faults.items()},
            limit=books.limit.limit,
            left=books.limit.left,
            waiting=[(fault.value, count) for fault, count in books.injection.waiting],
            kept=KEPT,
            lines=books.arrivals.newest(_search(head.query), LINES),
        )
        return self._json(head, 200, state)

    def _event(self, head: Head, body: bytes) -> Reply:  # noqa: ARG002 - a route's signature
        arrival = self._books.arrivals.find(_number(parse_qs(head.query), "n"))
        if arrival is None:
            return self._say(head, 404, "This event is no longer kept.")
        try:
            text = msgspec.json.format(arrival.body, indent=2).decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            text = arrival.body.decode("utf-8", "backslashreplace")
        return self._json(head, 200, {"text": text})

    def _order(self, head: Head, body: bytes) -> Reply:
        if not secrets.compare_digest(head.secret.encode(), self._secret.encode()):
            return self._say(head, 403, "The page is out of date: load it again.")
        try:
            order = msgspec.json.decode(body, type=_Order)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._say(head, 400, "This is not an order for a fault.")
        if order.outage:
            return self._outage(head, order.outage)
        if order.fault is None:
            self._books.injection.clear()
            return self._say(head, 202, "No more faults are ordered.")
        if not self._books.injection.order(order.fault, order.count):
            return self._say(head, 400, f"A fault can be ordered for 1 to {MOST:,} events, and not without end.")
        events = "next event" if order.count == 1 else f"next {order.count:,} events"
        return self._say(head, 202, f"Ordered for the {events}: {OFFERED[order.fault]}.")

    def _outage(self, head: Head, seconds: float) -> Reply:
        if not 0 < seconds <= LONGEST_OUTAGE:
            return self._say(head, 400, f"An outage lasts up to {LONGEST_OUTAGE:.0f} seconds.")
        told = self._say(head, 202, f"Nobody listens for {seconds:g} seconds.")
        return msgspec.structs.replace(told, end=End.OUTAGE, outage=seconds)

    def _say(self, head: Head, status: int, message: str) -> Reply:
        return self._json(head, status, {"message": message})

    def _json(self, head: Head, status: int, content: Any) -> Reply:
        return self._reply(head, status, msgspec.json.encode(content), "application/json")

    def _reply(self, head: Head, status: int, body: bytes, content_type: str) -> Reply:
        lines = _LINES if head.keep else _LINES + CLOSE_LINE
        wire = compose(status, body, self._clock.time(), headers=lines, content_type=content_type)
        return Reply(status, wire, end=End.KEEP if head.keep else End.CLOSE)


def _is_loopback(host: str) -> bool:
    """Whether a ``Host`` header names this machine; its port may be another one (a forwarded port)."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.lower() in {"127.0.0.1", "localhost", "[::1]"}


def _search(query: str) -> Search:
    given = parse_qs(query)
    return Search(
        subscriber=given.get("subscriber", [""])[0].strip(),
        type=given.get("type", [""])[0].strip(),
        after=_number(given, "after"),
        before=_number(given, "before"),
    )


def _number(given: Mapping[str, list[str]], name: str) -> int:
    text = given.get(name, ["0"])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
