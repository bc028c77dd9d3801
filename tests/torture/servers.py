"""What befalls the server of a ledger, and the way to it: restarts, refusals, partitions, delays, a full disk.

Each scenario has a server of its own, and importers reach it through a proxy that can turn them away, swallow what they
say, or take its time. What the scenarios ask of the ledger themselves goes another way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Self

from importer.ledger.location import PostgresLocation
from importer.model import RunState
from tests.support.postgres import Server
from tests.torture.scenario import Case, Tally, draw_case, end_well, run_through
from tests.torture.world import BrokenPromiseError, World

STARTS = 30.0
_BLOCK = 1 << 16


class Proxy:
    """Passes connections on to a server's socket; a context manager. The methods may be called by any thread."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._passing = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay = 0.0
        """Seconds that each piece is held back."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def refuse(self) -> None:
        """End all connections, and refuse new ones."""

        async def refuse() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None
            self._passing.set()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._do(refuse())

    def swallow(self) -> None:
        """Be a partition: take what comes, and pass nothing on until `mend`."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def mend(self) -> None:
        """Pass everything on again."""

        async def mend() -> None:
            self._passing.set()
            if self._server is None:
                self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
                self.port = self._server.sockets[0].getsockname()[1]

        self._do(mend())

    def _do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type] # a coroutine

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_unix_connection(self._socket)
                self._writers.add(back)
                try:
                    await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
                finally:
                    self._writers.discard(back)
                    back.close()
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_BLOCK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
            await self._passing.wait()  # a partition hides the end as well
        writer.close()


def servers(home: Path, rng: random.Random, *, most: float = 35.0) -> Tally:
    """One import with one of `HINDRANCES` in the midst of it, of at most so many seconds; then carried to its end."""
    kind = rng.choice(sorted(HINDRANCES))
    with World(home / "world") as world, _reached(world) as (server, proxy):
        case = draw_case(world.home / "exports", rng, kills=False)
        world.change(case.weather)
        importer = world.launch(*case.run)
        sending = rng.random() < 0.7
        importer.until(_sending(world) if sending else _planning(world), patience=STARTS)
        HINDRANCES[kind](server, proxy, rng.choice((0.3, rng.uniform(0.3, 3.0), most)))
        importer.wait().expect(0, 1, 3)
        proxy.mend()
        proxy.delay = 0.0
        tally = Tally(runs=1, moments=Counter({f"{kind} while {'sending' if sending else 'planning'}": 1}))
        tally.add(carry_to_its_end(world, case, rng))
        return tally


def carry_to_its_end(world: World, case: Case, rng: random.Random) -> Tally:
    """Go on until all is sent or waits for the user; no more than a crash may put in doubt is."""
    if (claimed := world.claimed()) > case.most_in_doubt():
        raise BrokenPromiseError(f"{claimed} rows are under way, {case.most_in_doubt()} at the most are due")
    waits = world.state() != RunState.FINISHED and run_through(world, case, case.run).code == 3
    return end_well(world, case, rng, waits=waits, thorough=0.4)


@contextlib.contextmanager
def _reached(world: World) -> Iterator[tuple[Server, Proxy]]:
    """A server for this world's ledger, which importers reach through a proxy."""
    server = Server()
    try:
        direct = server.database()
        name = direct.uri.partition("?")[0].rpartition("/")[2]
        with Proxy(server.home / ".s.PGSQL.5432") as proxy:
            world.ledger = direct
            world.reached_by = PostgresLocation(
                f"postgresql://importer@127.0.0.1:{proxy.port}/{name}?sslmode=disable&gssencmode=disable"
            )
            yield server, proxy
    finally:
        server.remove()


def _restart(server: Server, proxy: Proxy, seconds: float) -> None:
    del proxy
    server.stop()
    time.sleep(min(seconds, 3.0))
    server.start(tied=False)


def _refuse(server: Server, proxy: Proxy, seconds: float) -> None:
    """As while a standby takes over."""
    del server
    proxy.refuse()
    time.sleep(seconds)
    proxy.mend()


def _swallow(server: Server, proxy: Proxy, seconds: float) -> None:
    del server
    proxy.swallow()
    time.sleep(seconds)
    proxy.mend()


def _delay(server: Server, proxy: Proxy, seconds: float) -> None:
    del server
    proxy.delay = min(seconds, 3.0) / 100


HINDRANCES: dict[str, Callable[[Server, Proxy, float], None]] = {
    "restarted": _restart,
    "refused": _refuse,
    "partitioned": _swallow,
    "delayed": _delay,
}


def _sending(world: World) -> Callable[[], bool]:
    return lambda: world.arrived() > 0


def _planning(world: World) -> Callable[[], bool]:
    return lambda: world.state() == RunState.PLANNING


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[bool]:
    """A disk of its own for a directory; False where none can be mounted."""
    path.mkdir(parents=True)
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    mounted = bool(mount) and os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", path], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; returns the file that takes it."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast
