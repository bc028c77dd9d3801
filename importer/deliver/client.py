"""One request to the API and how it ended; no network or protocol trouble ever raises.

The token goes to the endpoint alone: redirects are not followed, cookies are off, a proxy is used only if the user
names one, and the server's words are searched for the token before any other code sees them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import ssl
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from importer import __version__
from importer.clock import Clock, SystemClock
from importer.deliver.connections import Attempt, Connector, SpokeUnaskedError
from importer.deliver.endpoint import Endpoint, shown_proxy
from importer.deliver.rate_limit import MAX_IN_FLIGHT
from importer.deliver.responses import classify, distrusted, unanswered
from importer.deliver.token import Token
from importer.errors import UsageError
from importer.model import Response

T = TypeVar("T")

_SPARED_HANDLES = 32
"""File handles left to everything but connections."""
Distrust = Callable[[Response], None]
"""Called with a response in doubt if an answer that was given before proves unreliable."""


class ClientOptions(msgspec.Struct, frozen=True):
    """How patient the client is, and which way it takes. All times in seconds."""

    connect_timeout: float = 15.0
    """For name, connection and TLS together; after it the request surely did not leave."""
    answer_timeout: float = 90.0
    """For everything, up to the answer's last byte. Longer than the minute after which common gateways say 504
    themselves, so that a row in doubt has a reason."""
    stalled_body: float = 10.0
    """For the body of an answer whose status alone says what became of the event."""
    keepalive: float = 4.0
    """An idle connection is not used again after this; less than the 5 s after which common servers close theirs, for a
    request that meets a closing connection is in doubt."""
    max_answer: int = 64 * 1024
    """Bytes of an answer that are read."""
    tls: ssl.SSLContext | None = None
    """Another trust than the system's; None: the system's certificates, verified."""
    proxy: str | None = None
    """A proxy's URL; never used for an endpoint on this machine."""


_SWITCH = 0.0001
"""Seconds after which a busy loop lets the ledger's thread go on, which needs Python between its statements only."""
_STOOD_STILL = 3.0
"""Seconds. A timer that comes later than that shows that the process was stopped (Ctrl-Z, a machine asleep): what came
in the meantime gets as long to be read."""


def trust(ca_file: Path) -> ssl.SSLContext:
    """The system's certificates and those in ``ca_file`` (PEM); raises `UsageError`."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        why = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"--ca-file {ca_file}: {why}", hint="name a file of PEM certificates") from None
    return context


class _Deadline:
    """Cancels a request's task when its time is over, as `asyncio.timeout` does, but see `_STOOD_STILL`."""

    def __init__(self, task: asyncio.Task[object], seconds: float) -> None:
        self._task = task
        self._expired = False
        self._start(seconds)

    def _start(self, seconds: float) -> None:
        loop = self._task.get_loop()
        self._timer = loop.call_later(seconds, self._expire, loop, loop.time() + seconds)

    def _expire(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if loop.time() > due + _STOOD_STILL:
            self._start(_STOOD_STILL)
        else:
            self._expired = self._task.cancel()

    def end(self) -> bool:
        """The request has ended; whether it was cancelled because of its time, and for nothing else."""
        self._timer.cancel()
        expired, self._expired = self._expired, False
        return expired and not self._task.uncancel()


class Client:
    """Posts events over one session and one connection pool; an async context manager.

    The pool has no limit of its own: as many connections are open as requests are in flight.
    """

    def __init__(
        self, endpoint: Endpoint, token: Token, options: ClientOptions | None = None, *, clock: Clock | None = None
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._options = options or ClientOptions()
        self._clock = clock or SystemClock()
        self._events = URL(endpoint.events_url)
        self._subscribers = URL(endpoint.subscribers_url)
        self._proxy = None if endpoint.is_loopback else self._options.proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        options = self._options
        self._session = aiohttp.ClientSession(
            connector=Connector(limit=0, keepalive_timeout=options.keepalive, ssl=options.tls or True),
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
        if session is not None:
            await session.close()

    async def post(self, body: bytes, distrust: Distrust | None = None) -> Response:
        """Send one event; returns how that ended and raises nothing but cancellation.

        ``distrust`` is called later if unrequested bytes follow the answer, or one after it on the same
        connection: then it may not be this event's.
        A caller that cancels `post` while it runs must treat the row as in doubt. Raises `RuntimeError` outside
        ``async with``.
        """
        attempt = Attempt(body)
        answer, complete = await self._request("POST", self._events, attempt)
        if complete and attempt.watch is not None:
            later = None if distrust is None else lambda: distrust(distrusted(answer))
            if await attempt.watch.answered(answer.kind, later):
                return distrusted(answer)
        return answer

    async def probe(self) -> Response:
        """Ask the harmless ``GET /v2/subscribers``; see `responses.classify` for what the kinds mean here."""
        answer, _ = await self._request("GET", self._subscribers, None)
        return answer

    async def _request(self, method: str, url: URL, event: Attempt | None) -> tuple[Response, bool]:
        """Make a request, an event or else a probe, within its time; how it ended, and whether the answer is whole."""
        task, options = asyncio.current_task(), self._options
        if self._session is None or task is None:
            raise RuntimeError("use the client as `async with Client(...) as client`")
        began, content = self._clock.monotonic(), bytearray()
        deadline = _Deadline(task, options.answer_timeout)
        try:
            response = await self._session.request(method, url, data=event, allow_redirects=False, proxy=self._proxy)
            await self._read(response, content)
        except asyncio.CancelledError:
            if not deadline.end():
                raise
            return self._unanswered(TimeoutError(), began, event), False
        # For every kind of error one fact decides what becomes of the row: whether the request may have left.
        except Exception as error:  # noqa: BLE001  # nothing may escape: a row without an outcome would be lost
            return self._unanswered(error, began, event), False
        finally:
            deadline.end()
        complete = response.content.at_eof() and len(content) <= options.max_answer
        return classify(
            response.status,
            response.headers,
            bytes(content),
            latency=self._clock.monotonic() - began,
            wall=self._clock.time(),
            complete=complete,
            redact=self._token.redact,
            probe=event is None,
        ), complete

    async def _read(self, response: aiohttp.ClientResponse, content: bytearray) -> None:
        """Read a body up to the bound; one that is cut short is judged by what there is."""
        stream, bound = response.content, self._options.max_answer
        judged = 400 <= response.status < 500
        try:
            async with asyncio.timeout(self._options.stalled_body) if judged else nullcontext():
                while not stream.at_eof() and len(content) <= bound:
                    content += await stream.read(bound + 1 - len(content))
        except (aiohttp.ClientError, OSError):  # a TimeoutError is an OSError
            pass
        finally:
            if stream.at_eof() and response.status >= 200:
                response.release()
            else:
                response.close()

    def _unanswered(self, error: Exception, began: float, event: Attempt | None) -> Response:
        words = explain(
            error,
            self._endpoint.host,
            connect_timeout=self._options.connect_timeout,
            answer_timeout=self._options.answer_timeout,
            proxy=shown_proxy(self._proxy) if self._proxy else "",
        )
        return unanswered(
            self._token.redact(words),
            may_have_left=event is not None and event.may_have_left,
            latency=self._clock.monotonic() - began,
            local=error_number(error) in OUT_OF_HANDLES,
        )


def connections_possible() -> int:
    """How many connections the file handles of this process allow, at most `MAX_IN_FLIGHT`."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MAX_IN_FLIGHT
    handles = Path("/dev/fd")
    used = len(os.listdir(handles)) if handles.is_dir() else _SPARED_HANDLES  # noqa: PTH208  # no paths are needed
    return max(1, min(allowed - used - _SPARED_HANDLES, MAX_IN_FLIGHT))


def run_event_loop(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on uvloop, where there is one (it has no Windows): three quarters of the CPU for a request."""
    factory = None
    with suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)
    finally:
        sys.setswitchinterval(interval)


# What went wrong on the way, in the user's words.

OUT_OF_HANDLES = (errno.EMFILE, errno.ENFILE)
_UNKNOWN_AUTHORITY = "is signed by an authority that this machine does not know; --ca-file FILE names another"
_CERTIFICATE = {
    # OpenSSL's X509_V_ERR_* codes
    9: "is not valid yet; is this machine's clock right?",
    10: "has expired",
    18: "is self-signed; if it is yours, name it with --ca-file",
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    62: "is for another host",
    64: "is for another host",
}


def error_number(error: BaseException) -> int | None:
    """The system's own number of an error, or of what caused it."""
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) and number > 0 else None


def explain(error: Exception, host: str, *, connect_timeout: float, answer_timeout: float, proxy: str = "") -> str:
    """One sentence; never the text of an error that could hold the request. ``proxy`` is its name, if one is used."""
    through = f" through the proxy {proxy}" if proxy else ""
    if error_number(error) in OUT_OF_HANDLES:
        return "this process has no file handle left for another connection; raise the limit (ulimit -n)"
    why = _reason(error)
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words.format(
                host=host,
                proxy=proxy,
                through=through,
                why=why,
                status=getattr(error, "status", ""),
                certificate=_certificate(getattr(error, "certificate_error", error)),
                no_tls=_no_tls(error) or why,
                connect_timeout=connect_timeout,
                answer_timeout=answer_timeout,
            )
    return f"the request failed: {type(error).__name__}"


_WORDS: tuple[tuple[type[Exception], str], ...] = (  # the special before the general
    (aiohttp.ClientProxyConnectionError, "no connection to the proxy {proxy}: {why}"),
    (aiohttp.ClientHttpProxyError, "the proxy {proxy} answered {status} instead of connecting to {host}"),
    (aiohttp.ClientConnectorDNSError, "the name {host} cannot be resolved: {why}"),
    (aiohttp.ClientConnectorCertificateError, "the certificate of {host}{through} {certificate}"),
    (aiohttp.ClientConnectorSSLError, "no TLS connection to {host}{through}: {no_tls}"),
    (aiohttp.ClientConnectorError, "no connection to {host}{through}: {why}"),
    (aiohttp.ConnectionTimeoutError, "no connection to {host}{through} within {connect_timeout:g} s"),
    (TimeoutError, "no whole answer within {answer_timeout:g} s"),
    (SpokeUnaskedError, "{host} keeps sending data before any request"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (OSError, "the connection was lost: {why}"),
    (aiohttp.ClientConnectionError, "the connection was lost"),
)


def _reason(error: Exception) -> str:
    if (number := error_number(error)) is not None:
        return os.strerror(number)  # asyncio's own texts show addresses as tuples
    return getattr(error, "strerror", None) or type(error).__name__


def _certificate(error: Exception) -> str:
    code = getattr(error, "verify_code", None)
    text = getattr(error, "verify_message", None) or "cannot be verified"
    return _CERTIFICATE.get(code, f"is not trusted: {text}") if isinstance(code, int) else "is not trusted"


def _no_tls(error: Exception) -> str:
    """Where the other side speaks no TLS at all, OpenSSL complains of the version or of the record."""
    cause = getattr(error, "os_error", error)
    reason = getattr(cause, "reason", None) or ""
    return "it does not speak TLS on this port" if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"} else ""
