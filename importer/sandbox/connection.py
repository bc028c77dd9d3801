"""Connections: requests off the wire one at a time, replies onto it, and the record in between.

Owns buffering, keep-alive, pipelining, ``Expect: 100-continue`` and the acting out of a reply's end. A request's
answer is ``endpoint``'s.

Replies of one turn of the event loop go out together: their events are recorded with one write first. ``Switchboard``
is shared by all connections; everything runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from importer.sandbox.endpoint import Endpoint
from importer.sandbox.http import CONTINUE, HEAD_END, MAX_BODY, MAX_HEAD, BadRequestError, Head, parse_head
from importer.sandbox.record import Record
from importer.sandbox.reply import End, Reply

_LINGER = 2.0
"""Seconds for a client to read its last answer and hang up."""
_log = logging.getLogger(__name__)


class Switchboard:
    """Knows every open connection, and brings replies from the endpoint past the record to them."""

    def __init__(self, endpoint: Endpoint, record: Record, on_outage: Callable[[float], None]) -> None:
        self.endpoint = endpoint
        self.connections: set[Connection] = set()
        self._record = record
        self._on_outage = on_outage
        self._outbox: list[tuple[Connection, Reply]] = []

    def post(self, connection: Connection, reply: Reply) -> None:
        """Send ``reply`` at the end of this turn, once its event is recorded."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((connection, reply))

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        events = [reply.event for _, reply in outbox if reply.event is not None]
        if events:
            try:
                self._record.append(events)
            except OSError as problem:
                _log.error("the sandbox cannot write its record: %s", problem.strerror)
                outbox = [
                    (connection, self.endpoint.not_recorded() if reply.event is not None else reply)
                    for connection, reply in outbox
                ]
        for connection, reply in outbox:
            if reply.end is End.OUTAGE:
                connection.send(reply)
                self._on_outage(reply.outage)
                self.abort_all()
            elif reply.delay:
                asyncio.get_running_loop().call_later(reply.delay, connection.send, reply)
            else:
                connection.send(reply)

    def abort_all(self) -> None:
        """Cut every connection."""
        for connection in list(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client's connection. It answers one request at a time, in order, and reads on meanwhile up to a bound."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._busy = False
        """A request was taken whose reply is not out yet."""
        self._choked = False
        """The client does not read what it was sent."""
        self._told_to_continue = False
        self._no_more = False
        """The client has closed its side."""
        self._deaf = False
        """Nothing more is answered; what comes in is dropped."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._switchboard.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base class's signature
        """See `asyncio.Protocol`."""
        self._transport = None
        self._switchboard.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._deaf:
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._busy and len(self._buffer) > MAX_HEAD + MAX_BODY and self._transport is not None:
            self._transport.pause_reading()
        self._advance()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`; a client that has only closed its own side still gets its answer."""
        self._no_more = True
        return self._busy and not self._deaf

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._choked = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._choked = False
        self._advance()

    def send(self, reply: Reply) -> None:
        """Write a reply, act out its end, and take the next request."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if reply.wire:
            transport.write(reply.wire)
        match reply.end:
            case End.KEEP:
                self._busy = False
                transport.resume_reading()
                self._advance()
                if self._no_more and not self._busy and not self._choked:
                    transport.close()
            case End.CLOSE:
                transport.close()
            case End.HANG | End.LINGER:
                self._deaf = True
                self._buffer = b""
                transport.resume_reading()  # to notice when the client hangs up
                if reply.end is End.LINGER:
                    transport.write_eof()
                    asyncio.get_running_loop().call_later(_LINGER, transport.abort)
            case _:
                transport.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _advance(self) -> None:
        """Take the next request off the buffer, if it is there as a whole and the last one is done."""
        if self._busy or self._choked or not self._buffer:
            return
        try:
            request = self._next_request()
        except BadRequestError as problem:
            self._busy = True
            self._buffer = b""
            self._switchboard.post(self, self._switchboard.endpoint.refuse_malformed(problem))
            return
        if request is not None:
            self._busy = True
            self._switchboard.post(self, self._switchboard.endpoint.answer(*request))

    def _next_request(self) -> tuple[Head, bytes] | None:
        while self._buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: empty lines before a request are ignored
            self._buffer = self._buffer[2:]
        end = self._buffer.find(HEAD_END, 0, MAX_HEAD + len(HEAD_END))
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequestError(431, f"The request's head exceeds {MAX_HEAD} bytes.")
            return None
        head = parse_head(self._buffer[:end])
        start = end + len(HEAD_END)
        stop = start + head.length
        if len(self._buffer) < stop:
            if head.expects_continue and not self._told_to_continue and self._transport is not None:
                self._transport.write(CONTINUE)
                self._told_to_continue = True
            return None
        body = self._buffer[start:stop]
        self._buffer = self._buffer[stop:]
        self._told_to_continue = False
        return head, body
