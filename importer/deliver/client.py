"""One request to the API and how it ended; no network or protocol trouble ever raises.

Owns the connection pool, the timeouts, the bound on what is read, and the question that everything hangs on: could
the request have reached the server? It is answered by the body itself (`prepared.Body`), which notes the moment when
it is handed to the connection. How requests are put together is ``prepared``'s, what an answer means ``fate``'s, when
to send ``pacing``'s.

The token goes to the endpoint alone: redirects are not followed, cookies and proxies from the environment are off, and
whatever the server says back is searched for it before anyone else sees it.
"""

from __future__ import annotations

import asyncio
import os
import select
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp
import msgspec
from yarl import URL

from importer import __version__
from importer.clock import Clock, SystemClock
from importer.deliver.endpoint import Endpoint
from importer.deliver.overtime import Overtime
from importer.deliver.prepared import EventRequest, PreparedRequest
from importer.deliver.responses import classify, classify_probe, shorten, unanswered
from importer.deliver.token import Token
from importer.model import Response, ResponseKind

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace
_NOT_OPEN = "use the client as `async with Client(...) as client`"


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How patient the client is. All times in seconds."""

    connect_timeout: float = 15.0
    """For name, connection and TLS together; beyond it the request surely did not leave."""
    answer_timeout: float = 90.0
    """For everything, up to the answer's last byte. Longer than the minute after which common gateways say 504
    themselves, so that a row in doubt has a reason."""
    keepalive: float = 4.0
    """An idle connection is not used again after this; less than the 5 s after which common servers close theirs, for a
    request that meets a closing connection is in doubt."""
    max_answer: int = 64 * 1024
    """Bytes of an answer that are read."""
    tls: ssl.SSLContext | None = None
    """Another trust than the system's; None: the system's certificates, verified."""


class Client:
    """Posts events over one session and one connection pool; an async context manager.

    The pool has no limit of its own: as many connections are open as requests are in flight.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        token: Token,
        options: ClientOptions | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._options = options or ClientOptions()
        self._clock = clock or SystemClock()
        self._events = URL(endpoint.events_url)
        self._subscribers = URL(endpoint.subscribers_url)
        self._session: aiohttp.ClientSession | None = None
        self._idle: list[PreparedRequest] = []
        """As many as were ever in flight at once, less those that are."""
        self._overtime = Overtime(self._options.answer_timeout)

    def __repr__(self) -> str:
        return f"<Client of {self._endpoint.url}, {'open' if self._session else 'closed'}>"

    async def __aenter__(self) -> Self:
        options = self._options
        self._session = aiohttp.ClientSession(
            request_class=EventRequest,
            connector=_Connector(limit=0, keepalive_timeout=options.keepalive, ssl=options.tls or True),
            headers={
                "Authorization": self._token.header(),
                "Accept": "application/json",
                # Answers are tens of bytes: packing them gains nothing, and unpacking is a risk.
                "Accept-Encoding": "identity",
                "User-Agent": f"importer/{__version__}",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=options.connect_timeout),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        self._idle.clear()
        self._overtime.close()
        if session is not None:
            await session.close()

    async def post(self, body: bytes) -> Response:
        """Send one event; returns how that ended and raises nothing but cancellation.

        Whoever cancels it while it runs must take the row for in doubt. `Response.latency` counts from the call, a new
        connection's making included. Raises `RuntimeError` outside ``async with``.
        """
        if self._session is None:
            raise RuntimeError(_NOT_OPEN)
        request = self._idle.pop() if self._idle else PreparedRequest(self._session, self._events)
        began = self._clock.monotonic()
        task = self._overtime.begin()
        try:
            response = await request.post(body)
            content, complete = await self._read(response)
            answer = classify(
                response.status,
                response.headers,
                content,
                complete=complete,
                latency=self._clock.monotonic() - began,
                wall=self._clock.time(),
            )
        except asyncio.CancelledError:
            if not self._overtime.end(task):
                raise
            return self._unanswered(TimeoutError(), written=request.body.written, began=began)
        # Whatever it is, the row's fate hangs on one thing only: whether the request may have been written.
        except Exception as error:  # noqa: BLE001  # nothing may escape: a row without a fate would be lost
            return self._unanswered(error, written=request.body.written, began=began)
        finally:
            self._overtime.end(task)
        if complete:
            self._idle.append(request)
        return answer if answer.fate is ResponseKind.SENT else self._redacted(answer)

    async def probe(self) -> Response:
        """Ask the harmless ``GET /v2/subscribers``; see `fate.classify_probe` for what its fates mean here."""
        if self._session is None:
            raise RuntimeError(_NOT_OPEN)
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._options.answer_timeout):
                response = await self._session.get(self._subscribers, allow_redirects=False)
                content, _ = await self._read(response)
        except Exception as error:  # noqa: BLE001  # as in post()
            return self._unanswered(error, written=False, began=began)
        return self._redacted(
            classify_probe(
                response.status,
                response.headers,
                content,
                latency=self._clock.monotonic() - began,
                wall=self._clock.time(),
            )
        )

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """The body up to the bound, and whether that is all of it."""
        bound = self._options.max_answer
        content = b""
        complete = False
        try:
            stream = response.content
            content = await stream.read(bound + 1)  # all of it, nearly always
            while not stream.at_eof() and len(content) <= bound:
                content += await stream.read(bound + 1 - len(content))
            complete = len(content) <= bound
        except (aiohttp.ClientError, OSError):
            pass  # the status has come, the body is cut short: fate judges by what there is
        finally:
            if complete:
                response.release()
            else:
                response.close()
        return content, complete

    def _unanswered(self, error: Exception, *, written: bool, began: float) -> Response:
        message = self._token.redact(shorten(_explain(error, self._endpoint.host, self._options)))
        return unanswered(message, written=written, latency=self._clock.monotonic() - began)

    def _redacted(self, answer: Response) -> Response:
        message = self._token.redact(answer.message)
        return answer if message == answer.message else msgspec.structs.replace(answer, message=message)


class _Connector(aiohttp.TCPConnector):
    """A pool that never hands out a connection on which the server has spoken unasked.

    aiohttp would read such bytes (a second answer to the request before, a parting 408) as the answer to the next
    request: an event would count as accepted that the server has not seen. What the loop has not read yet, the system
    is asked for, and so a connection that the server has just closed puts no event in doubt.
    """

    _ATTEMPTS = 8
    _TURNS = 4
    """Of the event loop: in the second one it reads what has come."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's signature
    ) -> Connection:
        """See `aiohttp.BaseConnector.connect`."""
        for _ in range(self._ATTEMPTS):
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close and not _readable(protocol.transport):
                return connection
            connection.close()
        raise _UnaskedError

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's signature
    ) -> ResponseHandler:
        """See `aiohttp.BaseConnector`; lets the loop read the tickets with which servers of TLS 1.3 greet.

        They say nothing of a request. Whatever else a server greets with is kept where `connect` sees it.
        """
        protocol = await super()._create_connection(req, traces, timeout)
        try:
            for _ in range(self._TURNS):
                if not req.is_ssl() or not _readable(protocol.transport):
                    break
                await asyncio.sleep(0)
        except BaseException:
            protocol.close()
            raise
        return protocol


def _readable(transport: asyncio.BaseTransport | None) -> bool:
    """Whether something, or the end, has come over a connection that nobody has read."""
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _UnaskedError(aiohttp.ClientConnectionError):
    """Connection after connection, the server has spoken unasked."""


def _explain(error: Exception, host: str, options: ClientOptions) -> str:
    """What went wrong on the way, in the user's words; never the text of an error that could hold the request."""
    explanations: tuple[tuple[type[Exception], str], ...] = (  # the special before the general
        (aiohttp.ClientConnectorDNSError, f"the name {host} cannot be resolved: {{why}}"),
        (aiohttp.ClientConnectorCertificateError, f"the certificate of {host} is not trusted"),
        (aiohttp.ClientConnectorSSLError, f"no TLS connection to {host}: {{why}}"),
        (aiohttp.ClientConnectorError, f"no connection to {host}: {{why}}"),
        (aiohttp.ConnectionTimeoutError, f"no connection to {host} within {options.connect_timeout:g} s"),
        (TimeoutError, f"no whole answer within {options.answer_timeout:g} s"),
        (_UnaskedError, f"{host} answers what was not asked, on connection after connection"),
        (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
        (aiohttp.ClientResponseError, "the answer is not HTTP"),
        (OSError, "the connection was lost: {why}"),
        (aiohttp.ClientConnectionError, "the connection was lost"),
    )
    why = getattr(error, "strerror", None) or type(error).__name__
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        why = os.strerror(number)  # asyncio's own texts show addresses as tuples
    for kind, text in explanations:
        if isinstance(error, kind):
            return text.format(why=why)
    return f"the request failed: {type(error).__name__}"
