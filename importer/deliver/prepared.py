"""A request that aiohttp puts together once and sends many times, each time with another body.

Owns two ways that aiohttp leaves open for that. A client middleware is given the request and the handler that sends
it, and may call the handler as often as it likes: so headers, URL, timeouts and cookies are worked out once for each
request in flight, not for each event. And a session takes a ``request_class`` of one's own: ours hands headers and
body to the connection in one piece, where aiohttp starts a task to stream a body of any kind. Together they save two
fifths of what a request costs (docs/speed.md). What came back, and whether it will do, is ``client``'s.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

import aiohttp
from aiohttp import hdrs
from aiohttp.helpers import TimerNoop
from aiohttp.http import StreamWriter
from yarl import URL

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection

_BUFFERED = 32 * 1024
"""Bytes of body below which aiohttp hands headers and body to the connection in one piece, without waiting."""

_NO_TIMER = TimerNoop()
"""The client has a timer for all requests (``overtime``)."""


class Body(aiohttp.BytesPayload):
    """A request's body that can be another one's next, and knows whether it may have left."""

    def __init__(self) -> None:
        super().__init__(b"", content_type="application/json")
        self.content = b""
        self.written = False

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)

    def fill(self, content: bytes) -> None:
        """Hold the next event's content, which has not left."""
        self.content = content
        self.written = False

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002  # aiohttp's signature; ours is always the whole body
    ) -> None:
        """Called by aiohttp once per attempt, with the headers still unsent: both leave in the same piece."""
        self.written = True
        try:
            await writer.write(self.content)
        except aiohttp.ClientConnectionResetError:
            # The connection was already closing, so nothing was handed to it; a body so large that the writer waits
            # half-way may be partly gone.
            self.written = len(self.content) > _BUFFERED
            raise


class EventRequest(aiohttp.ClientRequest):
    """The sessions' ``request_class``: like aiohttp's own until `repeat` is called, and then in one piece."""

    _head: bytes | None = None
    """All of a request but its body's length and its body, as it goes over the wire."""
    _again: Body
    """What is sent then."""

    def repeat(self, body: Body) -> None:
        """Send that body from now on, whatever it holds then; aiohttp has sent the request once."""
        lines = [f"{self.method} {self.url.raw_path_qs} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if name != hdrs.CONTENT_LENGTH]
        self._head = "\r\n".join([*lines, f"{hdrs.CONTENT_LENGTH}: "]).encode()
        self._again = body

    @functools.cached_property
    def connection_key(self) -> ConnectionKey:
        """What the pool knows the connection by; aiohttp would work it out each time."""
        return super().connection_key

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Called by aiohttp with a connection of the pool."""
        if self._head is None:
            return await super().send(conn)
        protocol, body = conn.protocol, self._again
        transport = protocol.transport if protocol is not None else None
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection is closing")
        body.written = True
        transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body.content), body.content))
        protocol.start_timeout()
        return aiohttp.ClientResponse(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=_NO_TIMER,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self.session,
            stream_writer=StreamWriter(protocol, self.loop),
        )


class PreparedRequest:
    """For one event at a time, and no more once it has failed."""

    def __init__(self, session: aiohttp.ClientSession, url: URL) -> None:
        self.body = Body()
        self._session = session
        self._url = url
        self._request: EventRequest | None = None
        self._handler: aiohttp.ClientHandlerType | None = None

    def __repr__(self) -> str:
        return f"<PreparedRequest to {self._url}, {'sent before' if self._request else 'new'}>"

    async def post(self, content: bytes) -> aiohttp.ClientResponse:
        """Send it with this body; raises what aiohttp raises."""
        self.body.fill(content)
        if self._request is None or self._handler is None:
            return await self._prepare()
        return await self._handler(self._request)

    async def _prepare(self) -> aiohttp.ClientResponse:
        """Have aiohttp put the request together and send it, and keep both for the next event."""

        async def catch(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            response = await handler(request)
            self._request, self._handler = cast("EventRequest", request), handler
            self._request.repeat(self.body)
            return response

        return await self._session.post(self._url, data=self.body, allow_redirects=False, middlewares=(catch,))
