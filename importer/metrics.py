"""How deliveries stand, for Prometheus: a file for the node exporter's textfile collector, or a port on this machine.

This module owns the names and meanings of the metrics, and how often the file is written. Counting is others': it is
told by a desk (`MetricsConsole`) what every desk is told.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, start_http_server, write_to_textfile

from importer.deliver import Progress
from importer.errors import ExitCode, UsageError
from importer.model import Counts, State
from importer.pipeline.options import Console, Forecast

EVERY = 5.0
"""Seconds between two writings of the file."""
WINDOW = 60.0
"""Seconds over which the rate is measured."""
_SUCCESS = "importer_last_success_timestamp_seconds"


@dataclass(slots=True)
class _Moving:
    """The run that is delivered now."""

    created_at: float
    counts: Counts
    """The books when delivery began."""
    seen: deque[tuple[float, int]] = field(default_factory=deque)
    """When how many rows had been answered, over the last `WINDOW`."""


class Metrics:
    """The figures of one process. ``path`` is written whole, every few seconds and when told; None: not at all."""

    def __init__(self, path: Path | None, account: str, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._account = account
        self._now = now
        self._registry = CollectorRegistry()
        self._moving: _Moving | None = None
        self._written = float("-inf")
        self._rows = self._gauge("importer_rows", "Rows of the current or last run, by state.", "state")
        self._rate = self._gauge("importer_rate_per_second", "Events answered a second, over the last minute.")
        self._limit = self._gauge("importer_limit_per_minute", "Requests a minute that the API grants.")
        self._remaining = self._gauge("importer_limit_remaining", "Requests left in the current minute.")
        self._waiting = self._gauge("importer_waiting", "1 while delivery waits for the limit or for the API.")
        self._oldest = self._gauge("importer_oldest_pending_seconds", "Age of the oldest row that waits to be sent.")
        self._success = self._gauge(_SUCCESS, "When a run last ended with every row delivered; 0: never.")
        self._ended = self._gauge("importer_last_end_timestamp_seconds", "When a run last ended, however it did.")
        self._code = self._gauge("importer_last_exit_code", "How it ended: the exit code.")
        self._files = self._gauge("importer_files", "Files that this watch has settled, by where they are.", "place")
        self._one(self._success).set((_last_success(path) if path else None) or 0.0)

    def __repr__(self) -> str:
        return f"<Metrics {self._path}>"

    def serve(self, port: int) -> None:
        """Answer on 127.0.0.1 for as long as the process lives; raises `UsageError` where the port is taken."""
        try:
            start_http_server(port, addr="127.0.0.1", registry=self._registry)
        except OSError as error:
            raise UsageError(f"--metrics-port {port}: {error.strerror}", hint="choose another port") from None

    def console(self, console: Console) -> MetricsConsole:
        """The user's desk, listened to."""
        return MetricsConsole(console, self)

    def begin(self, forecast: Forecast) -> None:
        """A delivery begins."""
        self._moving = _Moving(forecast.run.created_at, forecast.counts)
        self._books(forecast.counts)
        self.write()

    def move(self, progress: Progress) -> None:
        """It goes on."""
        if self._moving is None:
            return
        began = self._moving.counts.by_state
        done = {
            State.SENT: progress.sent,
            State.REFUSED: progress.refused,
            State.FAILED: progress.failed,
            State.IN_DOUBT: progress.in_doubt,
        }
        counts = {state: count + done.get(state, 0) for state, count in {**dict.fromkeys(State, 0), **began}.items()}
        counts[State.PENDING] = progress.left
        self._books(Counts(self._moving.counts.read, counts))
        self._one(self._rate).set(self._measured(sum(done.values())))
        for gauge, value in ((self._limit, progress.pace.limit), (self._remaining, progress.pace.remaining)):
            if value is not None:
                self._one(gauge).set(value)
        self._one(self._waiting).set(bool(progress.pace.waiting_for))
        if self._now() - self._written >= EVERY:
            self.write()

    def end(self, code: ExitCode, counts: Counts | None = None) -> None:
        """A run has ended; without ``counts`` before it had begun."""
        if counts is not None:
            self._books(counts)
        self._moving = None
        self._one(self._rate).set(0)
        self._one(self._waiting).set(0)
        self._one(self._ended).set(self._now())
        self._one(self._code).set(int(code))
        if code is ExitCode.DELIVERED:
            self._one(self._success).set(self._now())
        self.write()

    def file(self, place: str) -> None:
        """A watched file was settled."""
        self._files.labels(self._account, place).inc()
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all; raises `UsageError` where that is refused."""
        self._written = self._now()
        if self._path is None:
            return
        try:
            write_to_textfile(str(self._path), self._registry)
        except OSError as error:
            raise UsageError(
                f"--metrics {self._path}: {error.strerror}", hint="name a file in a directory that you can write to"
            ) from None

    def _books(self, counts: Counts) -> None:
        for state in State:
            self._rows.labels(self._account, state.value).set(counts[state])
        waits = self._moving is not None and counts[State.PENDING]
        self._one(self._oldest).set(self._now() - self._moving.created_at if self._moving and waits else 0)

    def _measured(self, done: int) -> float:
        assert self._moving is not None
        seen, now = self._moving.seen, self._now()
        seen.append((now, done))
        while now - seen[0][0] > WINDOW:
            seen.popleft()
        (began, before), passed = seen[0], now - seen[0][0]
        del began
        return (done - before) / passed if passed > 0 else 0.0

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, ["account", *labels], registry=self._registry)

    def _one(self, gauge: Gauge) -> Gauge:
        return gauge.labels(self._account)


class MetricsConsole:
    """A desk that tells the metrics what it tells the user; see `importer.pipeline.options.Console`."""

    def __init__(self, console: Console, metrics: Metrics) -> None:
        self._desk = console
        self._metrics = metrics

    def say(self, text: str) -> None:
        """Tell the user."""
        self._desk.say(text)

    def require_answer(self) -> None:
        """Ask the user's desk."""
        self._desk.require_answer()

    def confirm(self, forecast: Forecast) -> bool:
        """Ask the user; the figures begin."""
        self._metrics.begin(forecast)
        return self._desk.confirm(forecast)

    def confirm_more(self, sent: int) -> bool:
        """Ask the user."""
        return self._desk.confirm_more(sent)

    def read(self, rows: int) -> None:
        """Tell the user."""
        self._desk.read(rows)

    def watch(self, progress: Progress) -> None:
        """Tell both."""
        self._metrics.move(progress)
        self._desk.watch(progress)


def _last_success(path: Path) -> float | None:
    """What an earlier process wrote: a run that fails must not make the last success forgotten."""
    with contextlib.suppress(OSError, UnicodeDecodeError, ValueError):
        for found in _lines(path):
            return float(found)
    return None


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(rf"{_SUCCESS}\{{.*\}} (\S+)", line):
            yield found[1]
