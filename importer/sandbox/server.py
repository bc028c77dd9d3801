"""A sandbox on a port: everything of this room put together.

Owns listening, outages, and the life of a sandbox within a process; a process of its own is ``process``'s.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from importer.clock import Clock, SystemClock
from importer.errors import UsageError
from importer.sandbox.connection import Connection, Switchboard
from importer.sandbox.endpoint import Endpoint
from importer.sandbox.faults import Fault
from importer.sandbox.options import SandboxOptions
from importer.sandbox.page import Page
from importer.sandbox.record import Record

HOST = "127.0.0.1"
"""Never another: a sandbox records customers' data."""
_REBIND_EVERY = 0.05
"""Seconds between attempts to get the port back after an outage."""


class Sandbox:
    """The API on loopback, for as long as it is entered.

        async with Sandbox(SandboxOptions(limit=60)) as sandbox:
            ...  # sandbox.url, sandbox.token

    Raises `UsageError` on entering if the port is taken or the file of events cannot be written.
    """

    def __init__(self, options: SandboxOptions | None = None, *, clock: Clock | None = None) -> None:
        self.options = options or SandboxOptions()
        self._clock = clock or SystemClock()
        self._tokens = self.options.tokens or (secrets.token_urlsafe(24),)
        self._endpoint = Endpoint(self.options, self._tokens, self._clock)
        self._record: Record | None = None
        self._switchboard: Switchboard | None = None
        self._server: asyncio.Server | None = None
        self._outage: asyncio.Task[None] | None = None
        self._port = self.options.port
        self._accepted = 0

    def __repr__(self) -> str:
        state = f"listening on {self.url}" if self._server else "not listening"
        return f"<Sandbox {state}, {self.requests} requests, {self.accepted} events accepted>"

    async def __aenter__(self) -> Self:
        self._record = Record(self.options.events, self._clock)
        self._endpoint.pages = Page(self._endpoint.books(lambda: self.accepted), self._clock).routes
        self._switchboard = Switchboard(self._endpoint, self._record, self._begin_outage)
        try:
            await self._listen()
        except OSError as problem:
            self._record.close()
            raise UsageError(
                f"--port: cannot listen on {HOST}:{self._port}: {os.strerror(problem.errno or 0)}",
                hint="another program may hold the port; choose another one, or 0 for any that is free",
            ) from problem
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._switchboard is not None
        assert self._record is not None
        if self._outage is not None:
            self._outage.cancel()
            await asyncio.gather(self._outage, return_exceptions=True)
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._switchboard.abort_all()
        if server is not None:
            await server.wait_closed()
        await asyncio.sleep(0)  # lets the transports close their sockets
        self._accepted = self._record.accepted
        self._record.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def url(self) -> str:
        """The API's base, as ``https://api.sender.net/v2/`` is the real one's: events go to ``url + "events"``."""
        return f"http://{HOST}:{self._port}/v2/"

    @property
    def page(self) -> str:
        """Where a browser on this machine shows what arrived."""
        return f"http://{HOST}:{self._port}/"

    @property
    def token(self) -> str:
        """A token that is accepted: the first of the options', or one made up."""
        return self._tokens[0]

    @property
    def requests(self) -> int:
        """Requests answered, or dropped by a fault, so far."""
        return self._endpoint.requests

    @property
    def accepted(self) -> int:
        """Events accepted and recorded so far."""
        return self._record.accepted if self._record is not None else self._accepted

    @property
    def statuses(self) -> Mapping[int, int]:
        """Answers so far, by status; 0 for one that never came."""
        return self._endpoint.statuses

    @property
    def faults(self) -> Mapping[Fault, int]:
        """Faults acted out so far."""
        return self._endpoint.faults

    async def _listen(self) -> None:
        switchboard = self._switchboard
        assert switchboard is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(switchboard), HOST, self._port, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    def _begin_outage(self, seconds: float) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self._outage = asyncio.get_running_loop().create_task(self._sit_out(seconds))

    async def _sit_out(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        while True:
            try:
                return await self._listen()
            except OSError:  # somebody took the port meanwhile
                await self._clock.sleep(_REBIND_EVERY)


def serve(options: SandboxOptions) -> None:
    """Run a sandbox until SIGINT or SIGTERM; says on stderr where it is, what opens it, and in the end what came.

    Raises:
        UsageError: the port is taken, or the file of events cannot be written.

    """
    asyncio.run(_serve(options))


async def _serve(options: SandboxOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)
    async with Sandbox(options) as sandbox:
        recorded = f"appended to {options.events}" if options.events else "counted, not kept (--events FILE keeps them)"
        sys.stderr.write(
            f"sandbox   {sandbox.url}\ntoken     {sandbox.token}\nevents    {recorded}\n"
            f"watch     {sandbox.page} in a browser on this machine\nCtrl-C ends it\n"
        )
        sys.stderr.flush()
        await stop.wait()
    sys.stderr.write(f"{sandbox.requests} requests, {sandbox.accepted} events accepted\n")
