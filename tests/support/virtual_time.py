"""An event loop whose time jumps to the next timer when nothing else is left to do: a day's run tests in milliseconds.

Owns virtual time for asyncio tests. Real sockets served by the same loop, executor threads and `call_soon_threadsafe`
work as ever: time stands still while one of them is busy. Another *process* is out of sight; give it a ``grace``.

    @virtual_time
    async def test_waits_an_hour() -> None:
        clock = VirtualClock()
        await clock.sleep(3600)          # returns at once
        assert clock.monotonic() == 3600
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import selectors
import termios
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STUCK_AFTER = 60.0
"""Real seconds without timer, I/O or thread after which a test is declared stuck."""


LOOPBACK = 0.005
"""Real seconds that a loaded kernel may take to hand a byte from one socket of the loop to another."""
QUIET = 10
"""After so many timers in a row without a byte, only bytes that a peer has not acknowledged are waited for."""


class _JumpingSelector(selectors.DefaultSelector):
    """Polls real I/O; instead of blocking until the next timer it moves ``now`` there."""

    def __init__(self, grace: float) -> None:
        super().__init__()
        self.now = 0.0
        self.grace = grace
        self.busy_threads = 0
        self.quiet = 0

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """See `selectors.BaseSelector.unregister`; the peer of a socket that closes may be on the loop."""
        self.quiet = 0
        return super().unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`; ``timeout`` is virtual seconds."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self.busy_threads:
            events = super().select(STUCK_AFTER)
            if not events:
                raise RuntimeError(f"stuck: no timer, no I/O and no thread stirred for {STUCK_AFTER:g} real seconds")
            return events
        sockets = len(self.get_map()) > 1  # beside the loop's own
        expects = sockets and (self.quiet < QUIET or any(map(_unacknowledged, self.get_map())))
        events = super().select(max(self.grace, LOOPBACK) if expects else self.grace)
        self.quiet = 0 if events else self.quiet + 1
        if not events:
            self.now += timeout
        return events


def _unacknowledged(file: FileDescriptorLike) -> bool:
    """Whether a socket has bytes on their way."""
    try:
        return any(fcntl.ioctl(file, termios.TIOCOUTQ, bytes(4)))
    except OSError:  # it listens
        return False


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A `SelectorEventLoop` on virtual time, which starts at 0."""

    def __init__(self, *, grace: float = 0.0) -> None:
        self._jumping = _JumpingSelector(grace)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which nothing runs, as while a process is stopped by Ctrl-Z."""
        self._jumping.now += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As ever, but time stands still until the thread is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.busy_threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's
        """Without the limit that Python 3.12 and later set: the time until threads end is no virtual one."""
        await super().shutdown_default_executor()

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._jumping.busy_threads -= 1


class VirtualClock:
    """An `importer.clock.Clock` on the running loop's time.

    ``epoch`` is the wall time, in seconds since the epoch, at the loop's 0; ``skew`` is added to it and may be set at
    any time, as an administrator sets a machine's clock.
    """

    def __init__(self, epoch: float = 1_800_000_000.0, *, skew: float = 0.0) -> None:
        self.epoch = epoch
        self.skew = skew

    def time(self) -> float:
        """Wall seconds since the epoch."""
        return self.epoch + self.skew + self.monotonic()

    def monotonic(self) -> float:
        """The loop's seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)


def run_virtual(main: Coroutine[Any, Any, T], *, grace: float = 0.0) -> T:
    """`asyncio.run` on virtual time. ``grace``: real seconds to listen for other processes before each jump."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(grace=grace)) as runner:
        return runner.run(main)


def virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make an async test a plain one that runs on virtual time; fixtures pass through."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    return run
