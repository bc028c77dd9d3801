"""The endpoint of the seed on this machine, so that users can rehearse: same rules, same answers, faults on demand.

Owns `POST /v2/events` and `GET /v2/subscribers` on loopback, the record of what was accepted, and the oracle of the
API's rules. All of it is written from the endpoint's page and shares no code with ``importer.validate``, so that each
can be tested against the other. Starting it from the command line is ``importer.cli``'s.

    rules, address, currency   is this JSON an event?            payload   bytes → JSON
    limits, faults, record     quota, what goes wrong, what arrived
    endpoint, reply, mischief  a request → its reply             http, connection   bytes ↔ requests
    page, arrivals, injection  what a browser shows: what came lately, and faults on demand
    server                     all of it on a port               process   the same in a process of its own

HTTP is spoken by hand on asyncio: a rehearsal's faults need the bare connection, and aiohttp.web would be its
bottleneck (measured on one core: 11,000 requests a second with the JSON parsed, nothing checked or recorded; this one
does all of it 31,000 times).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importer.sandbox.faults import Fault, Faults, parse_duration, parse_faults
    from importer.sandbox.options import SandboxOptions
    from importer.sandbox.process import Running, start
    from importer.sandbox.rules import check
    from importer.sandbox.server import Sandbox, serve

_ROOMS = {
    "faults": ("Fault", "Faults", "parse_duration", "parse_faults"),
    "options": ("SandboxOptions",),
    "process": ("Running", "start"),
    "rules": ("check",),
    "server": ("Sandbox", "serve"),
}
"""Loaded when a name of theirs is first used: whoever only wants the options need not load a server."""

__all__ = [
    "Fault",
    "Faults",
    "Running",
    "Sandbox",
    "SandboxOptions",
    "check",
    "parse_duration",
    "parse_faults",
    "serve",
    "start",
]


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
