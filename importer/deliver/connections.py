"""The pool of connections, and the two questions that "never twice" hangs on.

*May this request have left?* Yes from the moment when its body is handed to an open connection.

*Is this answer the answer to this request?* Only if the server speaks when it is asked, and once. Bytes that come over
an idle connection (a second answer, a late one, a parting 408) would be read as the answer to the next request. So they
end the connection, and the answer before them is not trusted either: it may have been a late one itself.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_TRIES = 8
"""Connections that are tried before a request is given up for now."""
_TURNS = 4
"""Turns of the event loop that read what has come; servers of TLS 1.3 greet with tickets, which say nothing."""


class SpokeUnaskedError(aiohttp.ClientConnectionError):
    """Connection after connection, the server has sent data before any request."""


class Attempt(aiohttp.BytesPayload):
    """A request's body, and how far it has come."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, content_type="application/json")
        self.distrust: Callable[[], None] | None = None
        """Called if bytes that nobody asked for follow the answer."""
        self.may_have_left = False
        self.watch: Watch | None = None
        """Of the connection that it goes over."""

    async def write(self, writer: AbstractStreamWriter) -> None:
        """See `aiohttp.Payload`."""
        self._leave()
        await super().write(writer)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """See `aiohttp.Payload`."""
        self._leave()
        await super().write_with_length(writer, content_length)

    def _leave(self) -> None:
        # A closing connection takes nothing more.
        if self.watch is None or not self.watch.transport.is_closing():
            self.may_have_left = True


class Watch(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol: what comes while it is idle is not read as an answer."""

    def __init__(self, transport: asyncio.Transport, protocol: ResponseHandler) -> None:
        self.transport = transport
        self.protocol = protocol
        self.attempt: Attempt | None = None
        """The last request that went over this connection."""
        self.idle = True
        self.spoke = False
        """Bytes have come that nobody asked for."""
        self.ended = False
        """aiohttp closes the connection after this answer: the server has closed it, says so, or has said too much."""
        self._poll: select.poll | None = None
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            self._poll = select.poll()
            self._poll.register(connection.fileno(), select.POLLIN)

    def released(self) -> None:
        """Aiohttp is done with the answer: the connection is idle, or about to be closed."""
        self.idle, self.ended = True, self.protocol.should_close

    async def spoke_after(self, attempt: Attempt) -> bool:
        """Whether more has come already, with the answer to this attempt or right behind it."""
        if not self.ended:
            return self.spoke and self.attempt is attempt
        try:
            async with asyncio.timeout(0):
                await self.protocol.read()
        except Exception:  # noqa: BLE001  # nothing more has come, or only the end of the connection, whatever its kind
            return False
        return True

    async def is_quiet(self) -> bool:
        """Whether nothing has come that nobody asked for, the system's buffer included."""
        for _ in range(_TURNS):
            if self._poll is None or self.transport.is_closing() or not self._poll.poll(0):
                break
            await asyncio.sleep(0)
        else:
            return False
        return not (self.spoke or self.transport.is_closing() or self.protocol.should_close)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self.idle or self.ended:
            self.protocol.data_received(data)
            return
        self.spoke = True
        self.transport.close()
        if self.attempt is not None and self.attempt.distrust is not None:
            self.attempt.distrust()
            self.attempt = None

    def eof_received(self) -> None:
        """See `asyncio.Protocol`."""
        self.protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.protocol.resume_writing()


class Connector(aiohttp.TCPConnector):
    """A pool that never hands out a connection on which the server has spoken unasked."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's signature
    ) -> Connection:
        """See `aiohttp.BaseConnector.connect`. Raises `SpokeUnaskedError`."""
        for _ in range(_TRIES):
            connection = await super().connect(req, traces, timeout)
            transport, protocol = connection.transport, connection.protocol
            if transport is None or protocol is None:
                connection.close()
                continue
            watch = transport.get_protocol()
            if not isinstance(watch, Watch):
                watch = Watch(transport, protocol)
                transport.set_protocol(watch)
            try:
                quiet = await watch.is_quiet()
            except BaseException:
                connection.close()
                raise
            if quiet:
                watch.idle = False
                if isinstance(req.body, Attempt):
                    watch.attempt, req.body.watch = req.body, watch
                connection.add_callback(watch.released)
                return connection
            connection.close()
        raise SpokeUnaskedError
