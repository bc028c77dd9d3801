"""A server on loopback that answers with whatever bytes a test wants, at whatever moment.

Owns reading requests and writing raw bytes; what HTTP allows is no concern of it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

ACCEPTED = b'{"success": true, "message": "Event created"}'


def answer(status: str = "200 OK", body: bytes = ACCEPTED, *headers: str, length: int | None = None) -> bytes:
    """An HTTP/1.1 answer; ``length`` lies about the body's."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Connection:
    """One accepted connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """The next request, head and body; raises `asyncio.IncompleteReadError` at the end."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        return head + await self.reader.readexactly(length)

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.writer.transport.abort()


Script = Callable[[Connection, "RawServer"], Awaitable[None]]
"""What happens on each connection; it is closed at the end."""


@dataclass
class RawServer:
    """What the server saw."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2"


@asynccontextmanager
async def raw_server(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve ``script`` on loopback."""
    seen = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        seen.connections += 1
        try:
            await script(Connection(reader, writer), seen)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        running = tuple(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def answering(*answers: bytes, close: bool = False) -> Script:
    """Answer the requests of each connection with these bytes in turn, the last one again and again."""

    async def script(connection: Connection, seen: RawServer) -> None:
        for number in range(1_000_000):
            seen.requests.append(await connection.request())
            await connection.send(answers[min(number, len(answers) - 1)])
            if close:
                return

    return script
