"""A request that aiohttp puts together once and sends many times, each time with another body.

Owns the use of aiohttp's client middleware for that: a middleware is given the request and the handler that sends it,
may change the request, and may call the handler as often as it likes. So headers, URL, timeouts and cookies are worked
out once for each request in flight, not for each event, which saves a third of what a request costs (docs/speed.md).
What came back, and whether it will do, is ``client``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs
from yarl import URL

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

_BUFFERED = 32 * 1024
"""Bytes of body below which aiohttp hands headers and body to the connection in one piece, without waiting."""


class Body(aiohttp.BytesPayload):
    """A request's body that can be another one's next, and knows whether it may have left."""

    def __init__(self) -> None:
        super().__init__(b"", content_type="application/json")
        self._content = b""
        self.written = False

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._content)

    def fill(self, content: bytes) -> None:
        """Hold the next event's content, which has not left."""
        self._content = content
        self.written = False

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002  # aiohttp's signature; ours is always the whole body
    ) -> None:
        """Called by aiohttp once per attempt, with the headers still unsent: both leave in the same piece."""
        self.written = True
        try:
            await writer.write(self._content)
        except aiohttp.ClientConnectionResetError:
            # The connection was already closing, so nothing was handed to it; a body so large that the writer waits
            # half-way may be partly gone.
            self.written = len(self._content) > _BUFFERED
            raise


class PreparedRequest:
    """For one event at a time, and no more once it has failed."""

    def __init__(self, session: aiohttp.ClientSession, url: URL) -> None:
        self.body = Body()
        self._session = session
        self._url = url
        self._request: aiohttp.ClientRequest | None = None
        self._handler: aiohttp.ClientHandlerType | None = None

    def __repr__(self) -> str:
        return f"<PreparedRequest to {self._url}, {'sent before' if self._request else 'new'}>"

    async def post(self, content: bytes) -> aiohttp.ClientResponse:
        """Send it with this body; raises what aiohttp raises."""
        self.body.fill(content)
        if self._request is None or self._handler is None:
            return await self._prepare()
        self._request.headers[hdrs.CONTENT_LENGTH] = str(len(content))
        return await self._handler(self._request)

    async def _prepare(self) -> aiohttp.ClientResponse:
        """Have aiohttp put the request together and send it, and keep both for the next event."""

        async def catch(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            self._request, self._handler = request, handler
            return await handler(request)

        return await self._session.post(self._url, data=self.body, allow_redirects=False, middlewares=(catch,))
