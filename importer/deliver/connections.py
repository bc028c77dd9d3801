"""The pool of connections, and the two questions that "never twice" hangs on.

*May this request have left?* Yes from the moment when its body is handed to an open connection.

*Is this answer the answer to this request?* Only if the server speaks when it is asked, and once. Bytes that come over
an idle connection (a second answer, a late one, a parting 408) would be read as the answer to the next request. So they
end the connection, and the answer before them is not trusted either: it may have been a late one itself. From the
moment when an answer comes once too often while a request is under way, each request may have been given the answer of
the one before it. That shows only when the connection is idle for a while; so one that is never idle rests after
`_BUSY` requests. Of the answers before, those are not trusted that another kind of answer followed within some seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import aiohttp

from importer.model import ResponseKind

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_TRIES = 8
"""Connections that are tried before a request is given up for now."""
_TURNS = 2
"""Turns of the event loop after which it has read what there was to read before the first."""
_BUSY = 100
"""Requests after which a connection that was never idle for `REST` rests, and is closed …"""
REST = 0.25
"""… after so many seconds, in which an answer too many shows."""
_LATE = 5.0
"""Seconds for which an answer may prove to have been another request's."""


class SpokeUnaskedError(aiohttp.ClientConnectionError):
    """Connection after connection, the server has sent data before any request."""


class Attempt(aiohttp.BytesPayload):
    """A request's body, and how far it has come."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, content_type="application/json")
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
    """Sits between a connection and aiohttp's protocol: bytes that come while it is idle are not read as an answer."""

    def __init__(self, transport: asyncio.Transport, protocol: ResponseHandler) -> None:
        self.transport = transport
        self.protocol = protocol
        self.idle = True
        self.spoke = False
        """Unrequested bytes have come."""
        self.ended = False
        """aiohttp closes the connection after this answer: the server has closed it, says so, or has said too much."""
        self._answers: deque[tuple[float, ResponseKind, Callable[[], None] | None]] = deque(maxlen=_BUSY)
        """When each of the last ones came, what kind it was, and whom to call if it is not to be trusted."""
        self._loop = asyncio.get_running_loop()
        self._released_at = 0.0
        self._busy = 0
        """Requests since the connection was last idle for a while."""

    def taken(self) -> None:
        """A request goes over the connection."""
        self.idle = False
        self._busy = 1 if self._loop.time() - self._released_at >= REST else self._busy + 1

    def released(self) -> None:
        """Aiohttp is done with the answer: the connection is idle, or about to be closed."""
        self.idle, self.ended = True, self.protocol.should_close
        self._released_at = self._loop.time()

    @property
    def needs_rest(self) -> bool:
        """Whether so many requests have gone over it without a pause that an answer too many might go unseen."""
        return self._busy >= _BUSY and self._loop.time() - self._released_at < REST

    async def answered(self, kind: ResponseKind, distrust: Callable[[], None] | None) -> bool:
        """Note an answer; whether it is not to be trusted. ``distrust`` is called if that, or later, it is not."""
        self._answers.append((self._loop.time(), kind, distrust))
        doubtful = self.spoke or (self.ended and await self._left_over())
        if doubtful:
            self._distrust()
        return doubtful

    async def _left_over(self) -> bool:
        """Whether more has come with the last answer of a connection that ends."""
        try:
            async with asyncio.timeout(0):
                await self.protocol.read()
        except Exception:  # noqa: BLE001  # nothing more has come, or only the end of the connection, whatever its kind
            return False
        return True

    def _distrust(self) -> None:
        since, later = self._loop.time() - _LATE, set[ResponseKind]()
        for at, kind, distrust in reversed(self._answers):
            if distrust is not None and (not later or (at >= since and later != {kind})):
                distrust()
            later.add(kind)
        self._answers.clear()

    async def is_quiet(self) -> bool:
        """Whether no unrequested bytes have come; what comes right behind an answer is read first."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return not (self.spoke or self.transport.is_closing() or self.protocol.should_close)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self.idle or self.ended:
            self.protocol.data_received(data)
            return
        self.spoke = True
        self.transport.close()
        self._distrust()

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

    def __init__(self, *, limit: int, keepalive_timeout: float, ssl: SSLContext | Literal[True]) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout, ssl=ssl)
        self._resting: dict[Connection, asyncio.TimerHandle] = {}

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
            if watch.needs_rest:
                self._resting[connection] = asyncio.get_running_loop().call_later(REST, self._rested, connection)
                continue
            try:
                quiet = await watch.is_quiet()
            except BaseException:
                connection.close()
                raise
            if quiet:
                watch.taken()
                if isinstance(req.body, Attempt):
                    req.body.watch = watch
                connection.add_callback(watch.released)
                return connection
            connection.close()
        raise SpokeUnaskedError

    async def close(self, *, abort_ssl: bool = False) -> None:
        """See `aiohttp.BaseConnector.close`; connections at rest are closed as well."""
        for connection, timer in list(self._resting.items()):
            timer.cancel()
            self._rested(connection)
        await super().close(abort_ssl=abort_ssl)

    def _rested(self, connection: Connection) -> None:
        del self._resting[connection]
        connection.close()
