"""A sink that is not the bottleneck, in a process of its own: it counts requests and says yes.

``python -m tests.bench.sink [CERTIFICATE KEY]`` prints its port, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import cast

from importer.deliver.client import run_event_loop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n" + b'{"success":true}'
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Sink(asyncio.Protocol):
    """Takes whole requests off the wire, and looks at nothing but their length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        requests = 0
        while (end := buffer.find(_HEAD_END)) >= 0:
            stop = end + len(_HEAD_END) + _length(buffer[:end])
            if len(buffer) < stop:
                break
            requests += 1
            buffer = buffer[stop:]
        self._buffer = buffer
        if requests:
            self._transport.write(_ANSWER * requests)


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def _serve(tls: ssl.SSLContext | None) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - its output
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def main(certificate: str = "", key: str = "") -> None:
    """Serve until standard input ends."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
    if tls:
        tls.load_cert_chain(certificate, key)
    run_event_loop(_serve(tls))


if __name__ == "__main__":
    main(*sys.argv[1:])
