"""The bare loop that delivery is measured by: aiohttp workers over bodies that were encoded beforehand.

``python -m tests.bench.posting URL EVENTS CONNECTIONS LOOP``, the loop ``uvloop`` or ``asyncio``; prints JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time

import aiohttp

_BODY = (
    '{"type":"purchase","subscriber":{"id":"%07d","email":"c%d@example.com"},"value":12.34,"value_currency":"EUR",'
    '"properties":{"order":"A%d","items":"Enamel mug, blue; Soap","quantity":3,"gift":false,'
    '"ordered_at":"2025-01-01T00:00:07Z"}}'
)
_HEADERS = {"Authorization": "Bearer bench", "Accept": "application/json", "Content-Type": "application/json"}


async def post_all(url: str, bodies: list[bytes], connections: int) -> None:
    """Each worker takes the next body when it has its answer."""
    left = iter(bodies)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=_HEADERS) as session:

        async def work() -> None:
            for body in left:
                async with session.post(url, data=body) as response:
                    await response.read()

        await asyncio.gather(*(work() for _ in range(connections)))


def main(url: str, events: str, connections: str, loop: str) -> None:
    """Measure the posting alone, not the start of Python."""
    bodies = [(_BODY % (number, number, number)).encode() for number in range(int(events))]
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None
    began, used = time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(post_all(url, bodies, int(connections)))
    figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
    print(json.dumps(figures))  # noqa: T201 - its output


if __name__ == "__main__":
    main(*sys.argv[1:])
