"""A sandbox on a port: listening, outages, and its life within a process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from importer.clock import Clock, SystemClock
from importer.errors import UsageError
from importer.sandbox.api import ApiHandlers
from importer.sandbox.dashboard import HOST, Dashboard, port_refused
from importer.sandbox.events import EventLog
from importer.sandbox.options import Fault, SandboxOptions
from importer.sandbox.process import Running, made_up_token

_REOPEN_EVERY = 0.05
"""Seconds between attempts to get the port back after an outage."""
_IDLE = 30 * 86_400.0
"""Seconds that an idle connection may stay open."""


class Sandbox:
    """The API on loopback, for as long as it is entered.

        async with Sandbox(SandboxOptions(limit=60)) as sandbox:
            ...  # sandbox.url, sandbox.token

    Raises `UsageError` on entering if the port is taken or the file of events cannot be written.
    """

    def __init__(self, options: SandboxOptions | None = None, *, clock: Clock | None = None) -> None:
        self.options = options or SandboxOptions()
        self._clock = clock or SystemClock()
        self._tokens = self.options.tokens or (made_up_token(),)
        self._secret = made_up_token()
        self.port = self.options.port
        """Where it listens, once it is entered."""
        self.token = self._tokens[0]
        """One that is accepted: the first of the options', or one made up."""
        self.statuses: Counter[int] = Counter()
        """Answers so far, by status; 0 for one that never came."""
        self.faults: Counter[Fault] = Counter()
        """Faults acted out so far."""
        self._outage: asyncio.Task[None] | None = None
        self._site: web.TCPSite | None = None

    def __repr__(self) -> str:
        state = f"listening on {self.url}" if self._site else "not listening"
        return f"<Sandbox {state}, {self.requests} requests, {self.accepted} events accepted>"

    async def __aenter__(self) -> Self:
        self._log = EventLog(self.options.events, self._clock)
        self._api = ApiHandlers(self.options, self._tokens, self._log, self._clock)
        self.statuses, self.faults = self._api.statuses, self._api.faults
        app = web.Application()
        app.add_routes(Dashboard(self._api, self._secret, self._begin_outage).routes())
        app.add_routes(self._api.routes(self._begin_outage))
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, keepalive_timeout=_IDLE, shutdown_timeout=0.0
        )
        await self._runner.setup()
        try:
            await self._listen()
        except OSError as problem:
            await self._runner.cleanup()
            self._log.close()
            raise port_refused(self.port, problem) from problem
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._outage is not None:
            self._outage.cancel()
            await asyncio.gather(self._outage, return_exceptions=True)
        self._api.closing.set()
        self._site = None
        await self._runner.cleanup()
        self._log.close()

    @property
    def url(self) -> str:
        """The API's base, as ``https://api.sender.net/v2/`` is the real one's: events go to ``url + "events"``."""
        return f"http://{HOST}:{self.port}/v2/"

    @property
    def page(self) -> str:
        """The address, with its secret, where a browser on this machine shows what arrived."""
        return f"http://{HOST}:{self.port}/?secret={self._secret}"

    @property
    def requests(self) -> int:
        """Requests answered, or dropped by a fault, so far."""
        return self._api.requests

    @property
    def accepted(self) -> int:
        """Events accepted and recorded so far."""
        return self._log.accepted

    async def _listen(self) -> None:
        site = web.TCPSite(self._runner, HOST, self.port, backlog=1024)
        await site.start()
        self._site = site
        self.port = self._runner.addresses[0][1]

    def _begin_outage(self, seconds: float) -> None:
        """Close the port and every connection for a while."""
        if self._site is not None:
            assert self._runner.server is not None
            for connection in self._runner.server.connections:
                connection.force_close()
            site, self._site = self._site, None
            self._outage = asyncio.get_running_loop().create_task(self._reopen_after(seconds, site))

    async def _reopen_after(self, seconds: float, site: web.TCPSite) -> None:
        await site.stop()
        await self._clock.sleep(seconds)
        while True:
            try:
                return await self._listen()
            except OSError:  # another program has taken the port meanwhile
                await self._clock.sleep(_REOPEN_EVERY)


def serve(options: SandboxOptions) -> None:
    """Run a sandbox until SIGINT or SIGTERM; says on stderr where it is, what opens it, and at the end what came.

    Raises:
        UsageError: the port is taken, or the file of events cannot be written.
    """
    asyncio.run(_until_stopped(options))


async def _until_stopped(options: SandboxOptions) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    async with Sandbox(options) as sandbox:
        recorded = f"appended to {options.events}" if options.events else "counted, not kept (--events FILE keeps them)"
        sys.stderr.write(
            f"sandbox   {sandbox.url}\ntoken     {sandbox.token}\nevents    {recorded}\n"
            f"watch     {sandbox.page} in a browser on this machine\nCtrl-C ends it\n"
        )
        sys.stderr.flush()
        await stop.wait()
    sys.stderr.write(f"{sandbox.requests} requests, {sandbox.accepted} events accepted\n")


def serve_parent() -> None:
    """Run a sandbox for the process that started this one, until standard input ends; see ``process.start``."""
    options = msgspec.json.decode(sys.stdin.buffer.readline(), type=SandboxOptions)
    try:
        asyncio.run(_serve_parent(options))
    except UsageError as problem:
        _report(Running(error=problem.message, hint=problem.hint))


async def _serve_parent(options: SandboxOptions) -> None:
    async with Sandbox(options) as sandbox:
        _report(Running(sandbox.url, sandbox.token, sandbox.port, sandbox.page, os.getpid()))
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()


def _report(started: Running) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(started) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve_parent()
