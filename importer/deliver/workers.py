"""Several processes that post side by side, where one Python cannot use the machine's cores: ``--processes N``.

Owns starting and ending them, and which of them gets the next event. All decisions stay in the process that delivers:
order, pace, claims and outcomes are the same as with one process, and so are the promises. What a worker does is
``worker``'s.

A worker that dies, or stands still, takes the events it was given into doubt, for each may have left; another takes its
place, while those that live go on.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from importer import child
from importer.deliver.client import Client, ClientOptions
from importer.deliver.endpoint import Endpoint
from importer.deliver.overtime import Overtime
from importer.deliver.responses import unanswered
from importer.deliver.token import Token
from importer.deliver.worker import Answers, Outbox, Ready, Setting, frame, read_frame
from importer.errors import UsageError
from importer.model import Response

_READY_WITHIN = 30.0
"""Seconds."""
_STILL_AFTER = ClientOptions().answer_timeout + 30.0
"""Seconds without an answer, after which a worker cannot be at work: its own patience has ended long before."""
_GONE_WITHIN = 5.0
"""Seconds."""
_NO_START = "a worker process did not start"


class Workers:
    """As `client.Client`, over ``count`` processes; an async context manager.

    Entering raises `UsageError` where a process does not start.
    """

    def __init__(self, endpoint: Endpoint, token: Token, count: int, *, still_after: float = _STILL_AFTER) -> None:
        self._endpoint = endpoint
        self._token = token
        self._count = count
        self._client = Client(endpoint, token)
        """For probes."""
        self._overtime = Overtime(still_after)
        self._workers: list[_Worker] = []
        self._mending: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Workers {[worker.busy for worker in self._workers]} busy>"

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        try:
            started = await asyncio.gather(*(self._start() for _ in range(self._count)), return_exceptions=True)
            self._workers = [each for each in started if isinstance(each, _Worker)]
            _raise_any(started)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._overtime.close()
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait({self._mending})
        await asyncio.gather(*(worker.close() for worker in self._workers), return_exceptions=True)
        await self._client.__aexit__(kind, error, trace)

    async def post(self, body: bytes) -> Response:
        """As `Client.post`; `Response.latency` is the worker's, without the way there."""
        if any(worker.gone for worker in self._workers) and (self._mending is None or self._mending.done()):
            self._mending = asyncio.create_task(self._mend())
        if not (living := self._living()) and self._mending is not None:
            await asyncio.wait({self._mending})
            living = self._living()
        if not living:
            return unanswered(_NO_START, written=False, latency=0.0)
        return await min(living, key=lambda each: each.busy).post(body)

    async def probe(self) -> Response:
        """As `Client.probe`."""
        return await self._client.probe()

    def _living(self) -> list[_Worker]:
        return [worker for worker in self._workers if not worker.gone]

    async def _mend(self) -> None:
        """Put another in the place of each that is gone; where it does not start, the next event tries again."""
        for at, worker in enumerate(self._workers):
            if worker.gone:
                await worker.close()
                with suppress(UsageError):
                    self._workers[at] = await self._start()

    async def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = child.start("importer.deliver.worker", stdin=theirs)
            except OSError as error:  # no memory or no file handles left, for one
                ours.close()
                raise UsageError(f"{_NO_START}: {error.strerror}", hint="run it without --processes") from None
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            writer.write(frame(Setting(self._endpoint.url, self._token.header().removeprefix("Bearer "))))
            async with asyncio.timeout(_READY_WITHIN):
                await read_frame(reader, Ready)
        except BaseException as error:
            writer.close()
            process.kill()
            await asyncio.to_thread(process.wait)
            if isinstance(error, asyncio.IncompleteReadError | OSError):
                raise UsageError(_NO_START, hint="run it without --processes") from None
            raise
        return _Worker(process, reader, writer, self._overtime)


class _Worker:
    """One process, as seen from here."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        overtime: Overtime,
    ) -> None:
        self.gone = False
        self._process = process
        self._reader = reader
        self._writer = writer
        self._outbox = Outbox(writer)
        self._overtime = overtime
        self._under_way: dict[int, asyncio.Future[Response]] = {}
        self._number = 0
        self._listening = asyncio.create_task(self._listen())

    @property
    def busy(self) -> int:
        """Events under way."""
        return len(self._under_way)

    async def post(self, body: bytes) -> Response:
        """Hand it an event; its answer."""
        self._number += 1
        number = self._number
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._under_way[number] = future
        self._outbox.put(number, body)
        task = self._overtime.begin()
        try:
            return await future
        except asyncio.CancelledError:
            if not self._overtime.end(task):
                raise
            self._process.kill()
            return unanswered("the worker process that was sending it stood still", written=True, latency=0.0)
        finally:
            self._overtime.end(task)
            self._under_way.pop(number, None)

    async def _listen(self) -> None:
        """Hear its answers until it is gone, or says what makes no sense; then all it has is in doubt."""
        try:
            while True:
                for number, answer in await read_frame(self._reader, Answers):
                    if (future := self._under_way.get(number)) and not future.done():
                        future.set_result(answer)
        finally:
            self.gone = True
            lost = unanswered("the worker process that was sending it ended", written=True, latency=0.0)
            for future in self._under_way.values():
                if not future.done():
                    future.set_result(lost)

    async def close(self) -> None:
        """End it, at once: what is under way is in doubt."""
        self._writer.close()
        self._listening.cancel()
        await asyncio.wait({self._listening})
        if not self._listening.cancelled():
            self._listening.exception()  # heard of: whatever it was, the worker is gone
        await asyncio.to_thread(_end, self._process)


def _raise_any(results: Iterable[object]) -> None:
    for each in results:
        if isinstance(each, BaseException):
            raise each


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_GONE_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
