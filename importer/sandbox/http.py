"""HTTP/1.1 as bytes: the head of a request, and whole answers.

Owns strict parsing (RFC 9112): whatever two readers could understand in two ways is refused, so that no request can
hide inside another. Connections and what a request means are others'.
"""

from __future__ import annotations

import functools
import re
from email.utils import formatdate
from http import HTTPStatus

import msgspec

MAX_HEAD = 8_192
"""Bytes of request line and headers."""
MAX_BODY = 1 << 20
"""Bytes of a request's body; an event has less than a hundredth."""
HEAD_END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,4096}) HTTP/1\.([01])")
_HEADER_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?[ \t]*"
)
_LENGTH = re.compile(rb"[0-9]{1,12}")
_ORIGIN = re.compile(rb"http://[^/?#]+(?=[/?]|$)")
_ONLY_ONCE = frozenset({b"authorization", b"content-length", b"content-type", b"expect", b"host", b"transfer-encoding"})


class Head(msgspec.Struct, frozen=True):
    """What a request's head says, as far as anybody here asks."""

    method: str
    path: str
    """Without the query."""
    length: int
    """Bytes of body that follow."""
    token: str | None
    """What `Authorization: Bearer` carries."""
    is_json: bool
    """Whether the body is declared to be JSON."""
    keep: bool
    """Whether the connection is to stay open."""
    expects_continue: bool
    query: str = ""
    """What follows the path's question mark, still encoded."""
    host: str = ""
    origin: str = ""
    secret: str = ""
    """``X-Sandbox-Secret``: what the sandbox's own page sends."""


class BadRequestError(Exception):
    """Not a request that can be answered; the connection cannot go on."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@functools.lru_cache(maxsize=1024)  # a client's heads differ by their Content-Length at most
def parse_head(block: bytes) -> Head:
    """Parse a request's head, without the empty line that ends it.

    Raises:
        BadRequestError: it breaks the protocol, could be read in two ways, or asks for what is not offered here
            (chunked bodies, other expectations than ``100-continue``).

    """
    first, *lines = block.split(b"\r\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        raise BadRequestError(400, "The request line is malformed.")
    headers = _parse_headers(lines)
    latest = request[3] == b"1"
    if latest and b"host" not in headers:
        raise BadRequestError(400, "The Host header is missing.")
    if b"transfer-encoding" in headers:
        raise BadRequestError(411, "Chunked bodies are not supported; send a Content-Length.")
    length = headers.get(b"content-length", b"0")
    if not _LENGTH.fullmatch(length):
        raise BadRequestError(400, "The Content-Length is not a number.")
    if int(length) > MAX_BODY:
        raise BadRequestError(413, f"The body exceeds {MAX_BODY} bytes.")
    expect = headers.get(b"expect", b"").lower()
    if expect not in {b"", b"100-continue"}:
        raise BadRequestError(417, "The only expectation that can be met is 100-continue.")
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    path, query = _target(request[2])
    return Head(
        method=request[1].decode(),
        path=path,
        length=int(length),
        token=token.strip().decode("latin-1") if scheme.lower() == b"bearer" else None,
        is_json=headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"application/json",
        keep=latest and b"close" not in _tokens(headers.get(b"connection", b"")),
        expects_continue=latest and bool(expect),
        query=query,
        host=headers.get(b"host", b"").decode("latin-1"),
        origin=headers.get(b"origin", b"").decode("latin-1"),
        secret=headers.get(b"x-sandbox-secret", b"").decode("latin-1"),
    )


def _parse_headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        found = _HEADER_LINE.fullmatch(line)
        if found is None:
            raise BadRequestError(400, "A header line is malformed.")
        name, value = found[1].lower(), found[2] or b""
        if name in headers:
            if name in _ONLY_ONCE:
                raise BadRequestError(400, f"The {found[1].decode()} header is given twice.")
            value = headers[name] + b", " + value
        headers[name] = value
    return headers


def _tokens(value: bytes) -> set[bytes]:
    return {token.strip().lower() for token in value.split(b",")}


def _target(target: bytes) -> tuple[str, str]:
    """Path and query of ``/path?query`` or ``http://host/path?query``."""
    path, _, query = _ORIGIN.sub(b"", target, count=1).partition(b"?")
    return path.decode(), query.decode()


def compose(
    status: int, body: bytes, now: float, *, headers: str = "", content_type: str = "application/json"
) -> bytes:
    """A whole answer. ``now``: seconds since the epoch, for ``Date``; ``headers``: more lines, each with its CRLF."""
    return (
        f"HTTP/1.1 {_phrase(status)}\r\nDate: {_date(int(now))}\r\n{headers}"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@functools.cache
def _phrase(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


@functools.lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
