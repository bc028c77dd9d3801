"""Requests that aiohttp puts together once and sends many times, each time with another body.

Owns the use of aiohttp's client middleware for that: a middleware is given the request and the handler that sends it,
may call the handler as often as it likes, and may change the body with `ClientRequest.update_body`. So headers, URL,
timeouts and cookies are worked out once for each request in flight, not for each event, which saves a third of what a
request costs (docs/speed.md). What came back, and whether it will do, is ``client``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

_BUFFERED = 32 * 1024
"""Bytes of body below which aiohttp hands headers and body to the connection in one piece, without waiting."""


class Body(aiohttp.BytesPayload):
    """A request's body that knows whether it may have left."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content, content_type="application/json")
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


@dataclass(frozen=True, slots=True)
class Prepared:
    """One request, for one event at a time."""

    request: aiohttp.ClientRequest
    handler: aiohttp.ClientHandlerType

    async def post(self, body: Body) -> aiohttp.ClientResponse:
        """Send it with this body; raises what aiohttp raises, and must not be used again then."""
        await self.request.update_body(body)
        return await self.handler(self.request)


class Requests:
    """The requests to one URL that are prepared and idle; as many as were ever in flight at once."""

    def __init__(self, session: aiohttp.ClientSession, url: URL) -> None:
        self._session = session
        self._url = url
        self._idle: list[Prepared] = []

    def __repr__(self) -> str:
        return f"<Requests to {self._url}, {len(self._idle)} idle>"

    async def post(self, body: Body) -> tuple[aiohttp.ClientResponse, Prepared | None]:
        """Send a body over an idle request, or a new one; `give_back` it once the answer has been read to its end."""
        if self._idle:
            prepared = self._idle.pop()
            return await prepared.post(body), prepared
        caught: list[Prepared] = []

        async def catch(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            caught.append(Prepared(request, handler))
            return await handler(request)

        response = await self._session.post(self._url, data=body, allow_redirects=False, middlewares=(catch,))
        return response, caught[0] if caught else None

    def give_back(self, prepared: Prepared | None) -> None:
        """The request is idle again."""
        if prepared is not None:
            self._idle.append(prepared)
