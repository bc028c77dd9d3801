"""Ctrl-C, SIGTERM and a closed terminal while a run sends.

The first one stops cleanly: nothing more leaves, the answers under way are waited for, the reports are written. A
second one ends the process at once, which is safe: what was claimed and has no outcome is in doubt for the next run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from importer.deliver import StopReason
from importer.deliver.delivery import Delivery
from importer.errors import ExitCode
from importer.pipeline.console import Console

_INTERRUPTED = StopReason(
    "interrupted", hint="the same command again goes on, and so does `importer resume`", interrupted=True
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def answerable() -> Iterator[None]:
    """While the user is asked something, Ctrl-C ends the question at once: asyncio would leave it waiting for Enter."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual in (None, signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


class Interrupt:
    """Stops the deliveries that it watches over."""

    def __init__(self, console: Console) -> None:
        self.reason: StopReason | None = None
        """Why everything stops, once a signal has come."""
        self._console = console
        self._deliveries: list[Delivery] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Handle signals, in the main thread, which alone gets them; see `from_outside`."""
        self._loop = loop = asyncio.get_running_loop()
        here = threading.current_thread() is threading.main_thread()
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heeded = [each for each in _SIGNALS if here and not (nohup and each is signal.SIGHUP)]
        for each in heeded:
            loop.add_signal_handler(each, self._signalled)
        try:
            yield
        finally:
            for each in heeded:
                loop.remove_signal_handler(each)

    @contextmanager
    def watching(self, delivery: Delivery) -> Iterator[None]:
        """Stop this delivery when a signal comes."""
        self._deliveries.append(delivery)
        if self.reason is not None:
            delivery.stop(self.reason)
        try:
            yield
        finally:
            self._deliveries.remove(delivery)

    def from_outside(self) -> None:
        """Another thread was interrupted, such as a notebook's, while this one delivers."""
        self.reason = _INTERRUPTED
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def _signalled(self) -> None:
        if self.reason is not None:
            os._exit(ExitCode.ABORTED)
        self._stop()
        with suppress(OSError):  # the terminal may be gone
            self._console.say("stopping: waiting for the answers under way (press Ctrl-C again to leave at once)")

    def _stop(self) -> None:
        self.reason = _INTERRUPTED
        for delivery in self._deliveries:
            delivery.stop(_INTERRUPTED)
