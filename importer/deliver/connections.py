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
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_TRIES = 8
"""Connections that are tried before a request is given up for now."""
_TURNS = 4
"""Turns of the event loop that read what has come; servers of TLS 1.3 greet with tickets, which say nothing."""


class SpokeUnaskedError(aiohttp.ClientConnectionError):
    """Connection after connection, the server has sent data before any request."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One request on its way; made by the client, filled in by `Connector` and the trace hook."""

    distrust: Callable[[], None] | None = None
    """Called if bytes that nobody asked for follow the answer."""
    may_have_left: bool = False
    response: aiohttp.ClientResponse | None = None
    """Once its status and headers have come."""
    content: bytes = b""
    """Of its body, what has come."""
    watch: IdleWatch | None = None
    """Of the connection that it goes over."""


current_attempt: ContextVar[Attempt] = ContextVar("current_attempt")
"""Set in the task of a request: `Connector.connect` is not handed it any other way."""


class IdleWatch(asyncio.Protocol):
    """Takes the place of aiohttp's protocol while a connection is idle, so that nothing is read as an answer."""

    def __init__(self, transport: asyncio.Transport, protocol: ResponseHandler) -> None:
        self.transport = transport
        self.protocol = protocol
        self.attempt: Attempt | None = None
        """The last request that went over this connection."""
        self.spoke = False
        """Bytes have come that nobody asked for."""
        self.ended = False
        """aiohttp closes the connection after this answer: the server has closed it, says so, or has said too much."""

    def released(self) -> None:
        """Aiohttp is done with the answer: the connection is idle, or about to be closed."""
        self.ended = self.protocol.should_close
        if not self.ended and not self.transport.is_closing():
            self.transport.set_protocol(self)

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

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  # asyncio's signature; what it says does not matter
        """See `asyncio.Protocol`."""
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
            if not isinstance(watch, IdleWatch):
                watch = IdleWatch(transport, protocol)
                transport.set_protocol(watch)
            try:
                quiet = await _is_quiet(transport)
            except BaseException:
                connection.close()
                raise
            if quiet and not watch.spoke and not transport.is_closing() and not protocol.should_close:
                transport.set_protocol(protocol)
                watch.attempt = current_attempt.get(None)
                if watch.attempt is not None:
                    watch.attempt.watch = watch
                connection.add_callback(watch.released)
                return connection
            connection.close()
        raise SpokeUnaskedError


async def _is_quiet(transport: asyncio.Transport) -> bool:
    """Whether the system holds nothing that came over this connection and that the event loop has yet to read."""
    for _ in range(_TURNS):
        if not _is_readable(transport):
            return True
        await asyncio.sleep(0)
    return not _is_readable(transport)


def _is_readable(transport: asyncio.Transport) -> bool:
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def tracing() -> aiohttp.TraceConfig:
    """Notes in the `Attempt` that is the request's ``trace_request_ctx`` whether its body has left."""
    config = aiohttp.TraceConfig()
    config.on_request_chunk_sent.append(_body_leaves)
    return config


async def _body_leaves(
    session: aiohttp.ClientSession,  # noqa: ARG001  # aiohttp's signature
    context: SimpleNamespace,
    params: aiohttp.TraceRequestChunkSentParams,  # noqa: ARG001  # as above
) -> None:
    """Called just before the body is handed to the connection; a closing one takes nothing more."""
    attempt = context.trace_request_ctx
    if attempt is not None and (attempt.watch is None or not attempt.watch.transport.is_closing()):
        attempt.may_have_left = True
