"""A review from its start to its end: the page on a thread of its own, and what was decided on this one."""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from aiohttp import web

from importer.review.page import Page
from importer.review.session import Review
from importer.sandbox.dashboard import HOST, port_refused

_LOOK = 0.5
"""Seconds between two looks at the time."""
_GOODBYE = 2.0
"""Seconds that the last answers may take."""


def serve(review: Review, *, port: int, idle: float, opened: Callable[[str], None]) -> None:
    """Show the page until it is closed, everything is done, or it was not used for ``idle`` seconds.

    ``opened`` gets its address. Ctrl-C ends it; what was typed is kept. Raises `UsageError` if the port is taken.
    """
    jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
    secret = secrets.token_urlsafe(24)
    page = Page(review, secret, lambda: jobs.put(review.finish), lambda: jobs.put(None))

    def is_abandoned() -> bool:
        return time.monotonic() - page.last_used > idle

    review.work.is_abandoned = is_abandoned
    with _listening(page.app(), port) as address, suppress(KeyboardInterrupt):
        opened(f"{address}?secret={secret}")
        while not is_abandoned():
            try:
                job = jobs.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if job is None:
                break
            job()


@contextmanager
def _listening(app: web.Application, port: int) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="page", daemon=True)
    thread.start()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()
        return int(runner.addresses[0][1])

    try:
        try:
            found = asyncio.run_coroutine_threadsafe(start(), loop).result()
        except OSError as problem:
            raise port_refused(port, problem) from problem
        yield f"http://{HOST}:{found}/"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
