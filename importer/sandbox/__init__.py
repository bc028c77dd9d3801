"""The API on this machine, to rehearse against: same rules, same answers, faults on demand.

It serves `POST /v2/events` and `GET /v2/subscribers` on loopback, records what it accepts, and shows it on a page. It
is written from the endpoint's own page and shares no code with ``importer.validate``, so that each tests the other.

    options     how it behaves, its faults       rules       is this JSON an event?
    api         a request → its answer           responses   quota; answers, right and spoiled
    events      what arrived                     dashboard   the page for people
    server      all of it on a port              process     the same in a process of its own

``from importer.sandbox.server import Sandbox`` loads aiohttp; the names here do not.
"""

from importer.sandbox.options import Fault, Faults, SandboxOptions, parse_duration, parse_faults
from importer.sandbox.process import Running, start

__all__ = ["Fault", "Faults", "Running", "SandboxOptions", "parse_duration", "parse_faults", "start"]
