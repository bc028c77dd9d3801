"""Other processes that do what this one would do with each part of a source: Dask's workers (extra ``dask``).

This process reads the sources and keeps their order; a worker gets a part's bytes and gives back what they become, so
that it needs none of the files. It writes them into the ledger where that is for several machines; else this process
does. At most two parts per worker are on their way.
"""

from __future__ import annotations

import logging
import pickle
import platform
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa

from importer import __version__
from importer.child import token_hidden
from importer.errors import SpaceError, StoppedError, UsageError
from importer.wording import brief, counted, shown

In = TypeVar("In")
Out = TypeVar("Out")

_ALIGNED = 64
"""Bytes at whose multiples Arrow likes its buffers to begin."""
CONNECT_SECONDS = 20
"""How long to wait for the scheduler, and then for its first worker."""
RECONNECT_SECONDS = 2
"""How long Dask tries to reach a scheduler that was lost; what was in its hands is lost anyway."""
WORKERLESS_SECONDS = 60
"""How long to wait for a worker when all have gone."""
_SETTINGS = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.admin.large-graph-warning-threshold": "1GiB",  # a part travels with its task
    "distributed.worker.profile.enabled": False,
    # Dask's own values, fifty looks a second, take 13 % of a core in a scheduler and two workers that do nothing.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    # Dask's own value gives memory back at once, and getting it again for each part costs a third of a worker's time.
    "distributed.nanny.pre-spawn-environ": {"MALLOC_TRIM_THRESHOLD_": 256 << 20, "MALLOC_MMAP_THRESHOLD_": 256 << 20},
}
_DECISIVE = ("babel", "iso4217", "msgspec", "numpy", "pandas", "phonenumbers", "pyarrow", "tzdata")
"""Packages on which depends what a row becomes."""


def versions() -> dict[str, str]:
    """Of what decides what a row becomes; everywhere the same, or a report would depend on where a row was read."""
    return {"importer": __version__, "Python": platform.python_version(), **{name: version(name) for name in _DECISIVE}}


Parcel: TypeAlias = "tuple[bytes | str, list[int]]"


def _pack(thing: Any, directory: str | None) -> Parcel:
    """For the way between two processes: compressed, or as a file in a directory that both have."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append if directory else None)
    if directory is None:
        return pa.compress(data, "lz4", asbytes=True), [len(data)]
    pieces = [memoryview(data), *(buffer.raw() for buffer in buffers)]
    try:
        with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
            for piece in pieces:
                file.write(piece)
                file.write(bytes(-len(piece) % _ALIGNED))
    except OSError as error:
        raise SpaceError(
            f"what the workers hand over cannot be kept in {directory}: {error.strerror}",
            hint="make room there, or name another directory: TMPDIR=/that/directory",
        ) from error
    return file.name, [len(piece) for piece in pieces]


def _unpack(parcel: Parcel) -> Any:
    content, sizes = parcel
    if isinstance(content, bytes):
        return pickle.loads(pa.decompress(content, sizes[0], "lz4"))  # noqa: S301  # from our own processes
    with pa.memory_map(content) as file:
        data, *buffers = [file.read_buffer(size + -size % _ALIGNED).slice(0, size) for size in sizes]
    return pickle.loads(data, buffers=buffers)  # noqa: S301  # as above


def _drop(*parcels: Parcel) -> None:
    for content, _ in parcels:
        if isinstance(content, str):
            Path(content).unlink()


def _done(work: Callable[[Any], Any], item: Parcel, directory: str | None) -> Parcel:
    """On a worker."""
    return _pack(work(_unpack(item)), directory)


class Cluster:
    """Workers that a scheduler knows."""

    def __init__(self, client: Any, directory: str | None) -> None:
        self._client = client
        self._killed: Any = import_module("distributed").KilledWorker
        self._directory = directory
        """Where the workers have parts and results, if they are on this machine."""

    def map(
        self, work: Callable[[In], Out], items: Iterable[In], killed: Callable[[In, int], Exception]
    ) -> Generator[Out, None, None]:
        """What ``work`` makes of each item, in their order; what a worker that dies had in hand is done again.

        Raises what ``work`` or ``items`` raises, where it belongs; what ``killed`` makes of an item, and the number of
        workers, if all that took it have died; `StoppedError` where the scheduler is gone, or has no worker for a
        minute.
        """
        source, waiting = iter(items), deque[tuple[Parcel, Any]]()
        failure: Exception | None = None
        most = 2 * max(1, sum(self._asked(self._client.nthreads).values()))
        ended = False
        try:
            while True:
                while not ended and len(waiting) < most:
                    try:
                        waiting.append(self._submit(work, next(source)))
                    except StopIteration:
                        ended = True
                    except Exception as error:  # noqa: BLE001  # raised in its turn
                        failure, ended = error, True
                if not waiting:
                    break
                item, future = waiting.popleft()
                try:
                    result = self._result(future)
                except self._killed as error:
                    raise killed(_unpack(item), error.allowed_failures + 1) from None
                made = _unpack(result)
                _drop(item, result)  # not before: a worker that dies had only read its part
                yield made
        finally:
            for _, future in waiting:
                future.release()
        if failure is not None:
            raise failure

    def _submit(self, work: Callable[[In], Out], item: In) -> tuple[Parcel, Any]:
        parcel = _pack(item, self._directory)
        return parcel, self._client.submit(_done, work, parcel, self._directory, pure=False)

    def _result(self, future: Any) -> Any:
        while True:
            try:
                return future.result(timeout=WORKERLESS_SECONDS)
            except CancelledError:
                raise _gone("the connection to Dask's scheduler is lost") from None
            except TimeoutError:
                if future.status in {"error", "finished"}:
                    raise
                if not self._asked(self._client.nthreads):
                    minutes = counted(WORKERLESS_SECONDS // 60, "minute")
                    raise _gone(f"Dask's scheduler has had no worker for {minutes}") from None

    @staticmethod
    def _asked(question: Callable[[], Any]) -> Any:
        try:
            return question()
        except (OSError, TimeoutError, CancelledError):
            raise _gone("Dask's scheduler does not answer any more") from None


def _gone(what: str) -> StoppedError:
    return StoppedError(
        f"{what}; nothing was sent, and nothing is kept of this run",
        hint="start the scheduler and its workers again, then run the same command again",
    )


@contextmanager
def connected(workers: int | None, scheduler: str | None) -> Iterator[Cluster]:
    """As many workers on this machine, which end with the block; or those of the scheduler at an address.

    Raises `UsageError` where it cannot be used: not installed, not reachable, of another version.
    """
    try:
        import_module("dask").config.set(_SETTINGS)
        distributed = import_module("distributed")
        for name in ("distributed", "distributed.client"):
            # Its log is for those who run a cluster; this program has messages of its own.
            logging.getLogger(name).setLevel(logging.CRITICAL)
    except ImportError:
        raise UsageError(
            "--scheduler and --workers need an extra that is not installed",
            hint="pip install 'sender-importer[dask]'",
        ) from None
    with ExitStack() as stack:
        directory = None
        if workers is not None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="importer-"))
            client = _on_this_machine(distributed, stack, workers)
        else:
            client = _connect(distributed, str(scheduler))
        stack.callback(_close, client)
        _compare_versions(client)
        yield Cluster(client, directory)


def _connect(distributed: ModuleType, scheduler: str) -> Any:
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return distributed.Client(
                scheduler, timeout=RECONNECT_SECONDS, set_as_default=False, direct_to_workers=True
            )
        except (OSError, ValueError, TypeError) as error:
            if time.monotonic() < until and isinstance(error, OSError):
                continue
            raise UsageError(
                f"--scheduler {shown(scheduler)}: cannot be reached ({brief(str(error), 200)})",
                hint="check the address, such as tcp://10.0.0.5:8786, and that `dask scheduler` runs there",
            ) from None


def _close(client: Any) -> None:
    """A client whose scheduler is gone does not close before it gives up to reach it again."""
    with suppress(TimeoutError):
        client.close()


def _on_this_machine(distributed: ModuleType, stack: ExitStack, workers: int) -> Any:
    """Processes that only this one can talk to: who can reach a worker can run programs on it.

    Their key is in memory alone, and they do not see the token.
    """
    stack.enter_context(token_hidden())
    security = distributed.Security.temporary()
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        protocol="tls://",
        security=security,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,  # parts are small, and none is written to a disk
    )
    stack.enter_context(cluster)
    return distributed.Client(cluster, security=security, set_as_default=False, direct_to_workers=True)


def _compare_versions(client: Any) -> None:
    """Raises `UsageError` where a worker, or the scheduler, is not of our versions, or where there is no worker."""
    own = versions()
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        found = {**client.run(versions, on_error="return"), "the scheduler": client.run_on_scheduler(versions)}
        found = {where: one for where, one in found.items() if not isinstance(one, OSError)}  # it died just now
        for failure in (one for one in found.values() if isinstance(one, Exception)):
            raise failure  # noqa: TRY301  # explained below
    except TimeoutError:
        hint = "start some, with `dask worker ADDRESS`"
        raise UsageError("the scheduler has no worker", hint=hint) from None
    except Exception as error:
        raise UsageError(
            f"the scheduler or a worker cannot run importer ({type(error).__name__}: {brief(str(error), 200)})",
            hint=f"install sender-importer[dask]=={own['importer']} there, as here",
        ) from error
    for where, theirs in found.items():
        refuse_other_versions(theirs, where)


def refuse_other_versions(theirs: dict[str, str], where: str) -> None:
    """Raises `UsageError` where a version is not ours."""
    own = versions()
    for name, here in own.items():
        if theirs.get(name) != here:
            raise UsageError(
                f"{where} has {name} {theirs.get(name)}, and this machine {here}",
                hint="install the same versions everywhere: what a row becomes must not depend on where it is read",
            )
