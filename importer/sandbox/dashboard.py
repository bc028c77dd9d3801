"""The page for people in a browser on this machine: what arrived, the counts, and faults on demand.

It shows customers' data and can break things, so its address carries a secret of this process, which every request of
the page repeats: other users of the machine, and other sites in the same browser, see and change nothing. The page is
no part of the API: it needs no token, takes no quota and is counted nowhere.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from aiohttp import web

from importer.errors import UsageError
from importer.sandbox.api import ApiHandlers, FaultQueue
from importer.sandbox.events import RecentEvents
from importer.sandbox.options import Fault

HOST = "127.0.0.1"
"""Never another: what is on these pages, and what a sandbox records, is customers' data."""
MAX_ROWS = 200
"""Events in one answer."""
MAX_OUTAGE = 600.0
"""Seconds."""
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
"""Of every answer of a page on this machine: nothing is stored, framed, or loaded from elsewhere."""
_NO_ACCESS = "Open the address that the sandbox printed: it carries a secret, because this page shows customers' data."
_PACKAGE, _FOLDER = "importer.sandbox", "templates"


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the buttons send: a fault for so many events, an outage of so many seconds, or neither: forget all."""

    fault: Fault | None = None
    count: int = 1
    outage: float = 0.0


@cache
def _page() -> str:
    from jinja2 import Environment, PackageLoader  # slow to load, and most sandboxes are never looked at

    template = Environment(loader=PackageLoader(_PACKAGE, _FOLDER), autoescape=True).get_template("dashboard.html")
    return template.render(
        offered=FaultQueue.OFFERED,
        max_events=FaultQueue.MAX_EVENTS,
        max_outage=MAX_OUTAGE,
        kept=RecentEvents.MAX_EVENTS,
    )


class Dashboard:
    """Answers a browser that knows ``secret``."""

    def __init__(self, api: ApiHandlers, secret: str, begin_outage: Callable[[float], None]) -> None:
        self._api = api
        self._secret = secret
        self._begin_outage = begin_outage
        self._process = secrets.token_hex(4)

    def routes(self) -> list[web.RouteDef]:
        """What to register before the API's routes."""
        return [
            web.get("/", self._guarded(self._show), allow_head=False),
            web.get("/dashboard.css", asset(_PACKAGE, "dashboard.css", "text/css"), allow_head=False),
            web.get("/dashboard.js", asset(_PACKAGE, "dashboard.js", "text/javascript"), allow_head=False),
            web.get("/_sandbox/state", self._guarded(self._state), allow_head=False),
            web.get("/_sandbox/event", self._guarded(self._event), allow_head=False),
            web.post("/_sandbox/faults", self._guarded(self._order)),
        ]

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            given = request.headers.get("X-Sandbox-Secret") or request.query.get("secret", "")
            if not secrets.compare_digest(given.encode(), self._secret.encode()):
                return _message(403, _NO_ACCESS)
            return await handler(request)

        return handle

    async def _show(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        return web.Response(text=_page(), content_type="text/html", headers=PAGE_HEADERS)

    async def _state(self, request: web.Request) -> web.Response:
        """What the page asks for every second."""
        api, query = self._api, request.query
        subscriber, kind = query.get("subscriber", "").strip(), query.get("type", "").strip()
        return json_response(
            {
                "process": self._process,  # another one after a restart: the numbers start again
                "requests": api.requests,
                "arrived": api.recent.total,
                "accepted": api.log.accepted,
                "statuses": {str(status): count for status, count in sorted(api.statuses.items())},
                "faults": api.faults,
                "limit": api.limit.limit,
                "left": api.limit.left,
                "waiting": api.queue.waiting,
                "rows": api.recent.newest(
                    MAX_ROWS, subscriber, kind, _number(request, "after"), _number(request, "before")
                ),
            }
        )

    async def _event(self, request: web.Request) -> web.Response:
        arrival = self._api.recent.find(_number(request, "n"))
        if arrival is None:
            return _message(404, "This event is no longer kept.")
        try:
            text = msgspec.json.format(arrival.body, indent=2).decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            text = arrival.body.decode("utf-8", "backslashreplace")
        return json_response({"text": text})

    async def _order(self, request: web.Request) -> web.Response:
        try:
            order = msgspec.json.decode(await request.read(), type=_Order)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _message(400, "This is not an order for a fault.")
        if order.outage:
            return await self._outage(request, order.outage)
        if order.fault is None:
            self._api.queue.clear()
            return _message(202, "No more faults are ordered.")
        if not self._api.queue.add(order.fault, order.count):
            return _message(400, f"Faults can be ordered for at most {FaultQueue.MAX_EVENTS:,} events together.")
        events = "next event" if order.count == 1 else f"next {order.count:,} events"
        return _message(202, f"Ordered for the {events}: {FaultQueue.OFFERED[order.fault]}.")

    async def _outage(self, request: web.Request, seconds: float) -> web.Response:
        if not 0 < seconds <= MAX_OUTAGE:
            return _message(400, f"An outage lasts up to {MAX_OUTAGE:.0f} seconds.")
        answer = _message(202, f"The port is closed for {seconds:g} seconds.")
        await answer.prepare(request)
        await answer.write_eof()
        self._begin_outage(seconds)
        return answer


def asset(package: str, name: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler for one of a package's templates that is served as it is."""
    text = files(package).joinpath(_FOLDER, name).read_text(encoding="utf-8")

    async def handle(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
        return web.Response(text=text, content_type=content_type, headers=PAGE_HEADERS)

    return handle


def port_refused(port: int, problem: OSError) -> UsageError:
    """Why nothing can listen there."""
    return UsageError(
        f"--port: cannot listen on {HOST}:{port}: {os.strerror(problem.errno or 0)}",
        hint="another program may hold the port; choose another one, or 0 for any that is free",
    )


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def json_response(content: Any, status: int = 200) -> web.Response:
    """An answer to a script of a page on this machine."""
    body = msgspec.json.encode(content)
    return web.Response(status=status, body=body, content_type="application/json", headers=PAGE_HEADERS)


def _message(status: int, message: str) -> web.Response:
    return json_response({"message": message}, status)
