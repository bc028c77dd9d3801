"""A worker process: posts the events that its starter hands it, and hands back their answers.

``python -m importer.deliver.worker``, with one end of a socket pair as its standard input. Owns the child's side, and
the frames that both sides exchange; starting workers and sharing events out is ``workers``'.

It decides nothing: every event it is given has been claimed, and had its slot, before. When its starter is gone,
however that came, it ends at once, and what it had not sent yet never leaves. It ends as well where it cannot say what
became of an event: then its starter knows that nobody does.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from importer.deliver import loop
from importer.deliver.client import Client
from importer.deliver.endpoint import Endpoint
from importer.deliver.token import Token
from importer.model import Response

T = TypeVar("T")

_PREFIX = 4
"""Bytes that say how long a frame is."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The first frame: where to, and with what. Never shown anywhere."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker's answer to it: it can post."""


Events = list[tuple[int, bytes]]
"""Then, to the worker: (number, body)."""
Answers = list[tuple[int, Response]]
"""And back: (number, answer), as they come."""


def frame(content: object) -> bytes:
    """``content`` as it goes over the socket."""
    packed = msgspec.msgpack.encode(content)
    return len(packed).to_bytes(_PREFIX, "big") + packed


async def read_frame(reader: asyncio.StreamReader, kind: type[T]) -> T:
    """The next frame; raises `asyncio.IncompleteReadError` or `OSError` where the other side is gone."""
    size = int.from_bytes(await reader.readexactly(_PREFIX), "big")
    return msgspec.msgpack.decode(await reader.readexactly(size), type=kind)


class Outbox:
    """What is to be written, gathered until the event loop has done all that it had at hand."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._items: list[tuple[int, object]] = []

    def put(self, number: int, item: object) -> None:
        """Send it soon, together with its neighbours."""
        if not self._items:
            asyncio.get_running_loop().call_soon(self._flush)
        self._items.append((number, item))

    def _flush(self) -> None:
        items, self._items = self._items, []
        if not self._writer.is_closing():
            self._writer.write(frame(items))


class _Posting:
    """As many tasks as there were ever events at once; an idle one takes the next."""

    def __init__(self, client: Client, outbox: Outbox) -> None:
        self._client = client
        self._outbox = outbox
        self._idle: deque[asyncio.Future[tuple[int, bytes]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, number: int, body: bytes) -> None:
        """Begin at once."""
        if self._idle:
            self._idle.pop().set_result((number, body))
        else:
            self._tasks.add(asyncio.create_task(self._work(number, body)))

    async def _work(self, number: int, body: bytes) -> None:
        while True:
            try:
                self._outbox.put(number, await self._client.post(body))
            except Exception:  # noqa: BLE001  # whatever it is, an answer is missing from now on
                os._exit(1)
            idle: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            number, body = await idle


async def _serve(parent: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=parent)
    try:
        setting = await read_frame(reader, Setting)
        async with Client(Endpoint.parse(setting.url), Token(setting.secret)) as client:
            writer.write(frame(Ready()))
            posting = _Posting(client, Outbox(writer))
            while True:
                for number, body in await read_frame(reader, Events):
                    posting.post(number, body)
    except (asyncio.IncompleteReadError, OSError):
        os._exit(0)  # whatever is under way ends here: nobody is left to hear its answer


if __name__ == "__main__":
    loop.run(_serve(socket.socket(fileno=0)))
