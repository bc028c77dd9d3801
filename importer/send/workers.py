"""Several processes that post side by side, where one Python cannot use the machine's cores: ``--processes N``.

Owns starting and ending them, and which of them gets the next event. All decisions stay in the process that delivers:
order, pace, claims and outcomes are the same as with one process, and so are the promises. What a worker does is
``worker``'s.

A worker that dies takes the events it was given into doubt, for each may have left; another takes its place.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Self

from importer import child
from importer.errors import UsageError
from importer.model import Answer
from importer.send.client import Client
from importer.send.endpoint import Endpoint
from importer.send.fate import unanswered
from importer.send.token import Token
from importer.send.worker import Answers, Outbox, Ready, Setting, frame, read_frame

_READY_WITHIN = 30.0
"""Seconds."""
_GONE_WITHIN = 5.0
"""Seconds."""


class Workers:
    """As `client.Client`, over ``count`` processes; an async context manager.

    Entering raises `UsageError` where a process does not start.
    """

    def __init__(self, endpoint: Endpoint, token: Token, count: int) -> None:
        self._endpoint = endpoint
        self._token = token
        self._count = count
        self._client = Client(endpoint, token)
        """For probes."""
        self._workers: list[_Worker] = []
        self._replacing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Workers {[worker.busy for worker in self._workers]} busy>"

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        started = await asyncio.gather(*(self._start() for _ in range(self._count)), return_exceptions=True)
        self._workers = [each for each in started if isinstance(each, _Worker)]
        for each in started:
            if isinstance(each, BaseException):
                await self.__aexit__(None, None, None)
                raise each
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(worker.close() for worker in self._workers))
        await self._client.__aexit__(kind, error, trace)

    async def post(self, body: bytes) -> Answer:
        """As `Client.post`; `Answer.latency` is the worker's, without the way there."""
        worker = min(self._workers, key=lambda each: each.busy)
        if worker.gone:
            try:
                worker = await self._replaced(worker)
            except UsageError as error:
                return unanswered(error.message, written=False, latency=0.0)
        return await worker.post(body)

    async def probe(self) -> Answer:
        """As `Client.probe`."""
        return await self._client.probe()

    async def _replaced(self, worker: _Worker) -> _Worker:
        """Another in its place, or whoever is there when it is this one's turn."""
        async with self._replacing:
            if worker in self._workers:
                await worker.close()
                self._workers[self._workers.index(worker)] = await self._start()
        return min(self._workers, key=lambda each: each.busy)

    async def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = child.start("importer.send.worker", stdin=theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(frame(Setting(self._endpoint.url, self._token.header().removeprefix("Bearer "))))
        try:
            async with asyncio.timeout(_READY_WITHIN):
                await read_frame(reader, Ready)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()
            await asyncio.to_thread(_end, process)
            raise UsageError("a worker process did not start", hint="run it without --processes") from None
        return _Worker(process, reader, writer)


class _Worker:
    """One process, as seen from here."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.gone = False
        self._process = process
        self._reader = reader
        self._writer = writer
        self._outbox = Outbox(writer)
        self._under_way: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self._listening = asyncio.create_task(self._listen())

    @property
    def busy(self) -> int:
        """Events under way; none where it is gone, so that it is chosen, and replaced, first."""
        return 0 if self.gone else len(self._under_way)

    async def post(self, body: bytes) -> Answer:
        """Hand it an event; its answer."""
        self._number += 1
        number = self._number
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._under_way[number] = future
        self._outbox.put(number, body)
        try:
            return await future
        finally:
            self._under_way.pop(number, None)

    async def _listen(self) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                for number, answer in await read_frame(self._reader, Answers):
                    if (future := self._under_way.get(number)) and not future.done():
                        future.set_result(answer)
        self.gone = True
        lost = unanswered("the worker process that was sending it ended", written=True, latency=0.0)
        for future in self._under_way.values():
            if not future.done():
                future.set_result(lost)

    async def close(self) -> None:
        """End it, at once: what is under way is lost."""
        self._writer.close()
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening
        await asyncio.to_thread(_end, self._process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_GONE_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
