"""The bare loop that delivery is measured by: aiohttp workers over bodies that were encoded beforehand.

``python -m tests.bench.posting URL EVENTS CONNECTIONS LOOP [CERTIFICATE]``, the loop ``uvloop`` or ``asyncio``; prints
JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import ssl
import sys
import time

import aiohttp

BODY = (
    '{"type":"purchase","subscriber":{"email":"c%d@example.com"},"value":12.34,"value_currency":"EUR",'
    '"properties":{"order":"A%d","items":"Enamel mug, blue; Soap","quantity":3,"gift":false,'
    '"ordered_at":"2025-01-01T00:00:07Z"}}'
)
_HEADERS = {"Authorization": "Bearer bench", "Accept": "application/json", "Content-Type": "application/json"}


async def post_all(url: str, bodies: list[bytes], connections: int, certificate: str = "") -> None:
    """Each worker takes the next body when it has its answer."""
    left = iter(bodies)
    connector = aiohttp.TCPConnector(
        limit=0, ssl=ssl.create_default_context(cafile=certificate) if certificate else True
    )
    async with aiohttp.ClientSession(connector=connector, headers=_HEADERS) as session:

        async def work() -> None:
            for body in left:
                async with session.post(url, data=body) as response:
                    await response.read()

        await asyncio.gather(*(work() for _ in range(connections)))


def main(url: str, events: str, connections: str, loop: str, certificate: str = "") -> None:
    """Measure the posting alone, not the start of Python."""
    bodies = [(BODY % (number, number)).encode() for number in range(int(events))]
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None
    began, used = time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(post_all(url, bodies, int(connections), certificate))
    figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
    print(json.dumps(figures))  # noqa: T201 - its output


if __name__ == "__main__":
    main(*sys.argv[1:])
