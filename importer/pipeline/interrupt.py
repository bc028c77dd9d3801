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
from importer.pipeline.options import Console

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
    """Stops the delivery that it watches over."""

    def __init__(self, console: Console) -> None:
        self._desk = console
        self._delivery: Delivery | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen = False

    @contextmanager
    def watching(self, delivery: Delivery) -> Iterator[None]:
        """Stop this delivery when a signal comes. Signals reach the main thread only; see `from_outside`."""
        self._delivery = delivery
        self._loop = loop = asyncio.get_running_loop()
        here = threading.current_thread() is threading.main_thread()
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heeded = [each for each in _SIGNALS if here and not (nohup and each is signal.SIGHUP)]
        for each in heeded:
            loop.add_signal_handler(each, self._signalled)
        if self._seen:
            self._stop()
        try:
            yield
        finally:
            self._delivery = None
            for each in heeded:
                loop.remove_signal_handler(each)

    def from_outside(self) -> None:
        """Another thread was interrupted, such as a notebook's, while this one delivers."""
        self._seen = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def _signalled(self) -> None:
        if self._seen:
            os._exit(ExitCode.ABORTED)
        self._seen = True
        self._stop()
        with suppress(OSError):  # the terminal may be gone
            self._desk.say("stopping: waiting for the answers under way (press Ctrl-C again to leave at once)")

    def _stop(self) -> None:
        if self._delivery is not None:
            self._delivery.stop(
                StopReason(
                    "interrupted",
                    hint="the same command again goes on, and so does `importer resume`",
                    interrupted=True,
                )
            )
