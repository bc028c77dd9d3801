"""Figures for Prometheus: a file for the node exporter's textfile collector, or a port on this machine.

`MetricsConsole` hears what the user's console hears, and keeps the figures.
"""

from __future__ import annotations

import contextlib
import copy
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, start_http_server, write_to_textfile

from importer.deliver import Progress
from importer.errors import ExitCode, UsageError
from importer.model import Counts, State
from importer.pipeline.console import AccountsResult, Console, Forecast, Result

EVERY = 5.0
"""Seconds between two writes of the file."""
WINDOW = 60.0
"""Seconds over which the rate is measured."""
_RATE, _WAITING = "importer_rate_per_second", "importer_waiting"
_SUCCESS, _FINISH = "importer_last_success_timestamp_seconds", "importer_last_finish_timestamp_seconds"
_GAUGES = {
    "importer_rows": ("Rows of the current or last run, by state.", "state"),
    _RATE: ("Events answered a second, over the last minute.",),
    "importer_limit_per_minute": ("Requests a minute that the API grants.",),
    "importer_limit_remaining": ("Requests left in the current minute.",),
    _WAITING: ("1 while delivery waits for the limit or for the API.",),
    "importer_oldest_pending_seconds": ("Age of the oldest row that waits to be sent.",),
    _SUCCESS: ("When a run last ended with every row delivered; 0: never.",),
    "importer_last_end_timestamp_seconds": ("When a run last ended, however it did.",),
    "importer_last_exit_code": ("How it ended: the exit code.",),
    "importer_files": ("Files that this watch has worked on, by where they are.", "place"),
    _FINISH: ("When a run last reached its end; 0: never.",),
}
"""By name: the help, and the labels besides ``account``."""


@dataclass(slots=True)
class _Delivery:
    """The run that is delivered now."""

    created_at: float
    counts: Counts
    """The totals when delivery began."""
    seen: deque[tuple[float, int]] = field(default_factory=deque)
    """When how many rows had been answered, over the last `WINDOW`."""


class Metrics:
    """The figures of one process. ``path`` is written whole, every few seconds and when a run begins or ends."""

    def __init__(self, path: Path | None, account: str, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._account = account
        self._now = now
        self._registry = CollectorRegistry()
        self._accounts: dict[str, Metrics] = {}
        self._delivery: _Delivery | None = None
        self._written = float("-inf")
        self._gauges = {
            name: Gauge(name, text, ["account", *labels], registry=self._registry)
            for name, (text, *labels) in _GAUGES.items()
        }
        self.trouble = ""
        """Why the file could not be written the last time; empty if it could."""
        self._take_over_earlier()

    def __repr__(self) -> str:
        return f"<Metrics {self._path}>"

    def serve(self, port: int) -> None:
        """Answer on 127.0.0.1 for as long as the process lives; raises `UsageError` where the port is taken."""
        try:
            start_http_server(port, addr="127.0.0.1", registry=self._registry)
        except OSError as error:
            raise UsageError(f"--metrics-port {port}: {error.strerror}", hint="choose another port") from None

    def of(self, account: str) -> Metrics:
        """The figures of one of several accounts, in the same file."""
        if account not in self._accounts:
            own = self._accounts[account] = copy.copy(self)
            own._account = account  # noqa: SLF001  # its own class
            own._take_over_earlier()  # noqa: SLF001
        return self._accounts[account]

    def _take_over_earlier(self) -> None:
        for name in (_SUCCESS, _FINISH):
            self._set(name, _earlier(self._path, name, self._account) if self._path else 0.0)

    def console(self, console: Console) -> MetricsConsole:
        """The user's console, listened to."""
        return MetricsConsole(console, self)

    def begin(self, forecast: Forecast) -> None:
        """A delivery begins."""
        self._delivery = _Delivery(forecast.run.created_at, forecast.counts)
        self._count(forecast.counts)
        self._refresh()

    def move(self, progress: Progress) -> None:
        """It goes on."""
        if self._delivery is None:
            return
        began = self._delivery.counts.by_state
        done = {
            State.SENT: progress.sent,
            State.REFUSED: progress.refused,
            State.FAILED: progress.failed,
            State.IN_DOUBT: progress.in_doubt,
        }
        counts = {state: count + done.get(state, 0) for state, count in {**dict.fromkeys(State, 0), **began}.items()}
        counts[State.PENDING] = progress.left
        self._count(Counts(self._delivery.counts.read, counts))
        self._set(_RATE, self._measured(sum(done.values())))
        pace = progress.pace
        for name, value in (("importer_limit_per_minute", pace.limit), ("importer_limit_remaining", pace.remaining)):
            if value is not None:
                self._set(name, value)
        self._set(_WAITING, bool(pace.waiting_for))
        if self._now() - self._written >= EVERY:
            self._refresh()

    def end(self, code: ExitCode, counts: Counts | None = None) -> None:
        """A run has ended; without ``counts``, before it began."""
        if counts is not None:
            self._count(counts)
        self._delivery = None
        self._set(_RATE, 0)
        self._set(_WAITING, 0)
        self._set("importer_last_end_timestamp_seconds", self._now())
        self._set("importer_last_exit_code", int(code))
        if code is ExitCode.DELIVERED:
            self._set(_SUCCESS, self._now())
        if counts is not None and code in (ExitCode.DELIVERED, ExitCode.INCOMPLETE):
            self._set(_FINISH, self._now())
        self._refresh()

    def file(self, place: str) -> None:
        """A watched file is in this place now."""
        self._gauges["importer_files"].labels(self._account, place).inc()
        self._refresh()

    def _refresh(self) -> None:
        """Write the file if possible: figures never stop a delivery."""
        try:
            self.write()
        except UsageError as error:
            self.trouble = error.message
        else:
            self.trouble = ""

    def write(self) -> None:
        """Write the file, whole or not at all; raises `UsageError` if that fails."""
        self._written = self._now()
        if self._path is None:
            return
        try:
            write_to_textfile(str(self._path), self._registry)
        except OSError as error:
            raise UsageError(
                f"--metrics {self._path}: {error.strerror}", hint="name a file in a directory that you can write to"
            ) from None

    def _count(self, counts: Counts) -> None:
        for state in State:
            self._set("importer_rows", counts[state], state.value)
        waits = self._delivery if counts[State.PENDING] else None
        age = self._now() - waits.created_at if waits else 0
        self._set("importer_oldest_pending_seconds", age)

    def _measured(self, done: int) -> float:
        assert self._delivery is not None
        seen, now = self._delivery.seen, self._now()
        seen.append((now, done))
        while now - seen[0][0] > WINDOW:
            seen.popleft()
        passed = now - seen[0][0]
        return (done - seen[0][1]) / passed if passed > 0 else 0.0

    def _set(self, name: str, value: float, *labels: str) -> None:
        self._gauges[name].labels(self._account, *labels).set(value)


class MetricsConsole:
    """The user's console, with metrics that hear the same; see `importer.pipeline.console.Console`."""

    def __init__(self, console: Console, metrics: Metrics) -> None:
        self._console = console
        self._metrics = metrics
        self._said = ""
        self.say = console.say
        self.read = console.read
        self.require_answer = console.require_answer
        self.confirm_more = console.confirm_more

    def confirm(self, forecast: Forecast) -> bool:
        """Ask the user; the figures begin."""
        self._metrics.begin(forecast)
        return self._console.confirm(forecast)

    def watch(self, progress: Progress) -> None:
        """Show progress; a file of metrics that cannot be written is reported once."""
        self._metrics.move(progress)
        if (trouble := self._metrics.trouble) != self._said:
            self._said = trouble
            if trouble:
                self._console.say(f"warning: {trouble}; the delivery goes on without it")
        self._console.watch(progress)

    def conclude(self, result: Result) -> None:
        """Show what became of every row; the figures end."""
        self._metrics.end(result.exit_code, result.written.counts)
        self._console.conclude(result)

    def of(self, account: str) -> Console:
        """The user's console for one of several accounts, which has figures of its own."""
        return MetricsConsole(self._console.of(account), self._metrics.of(account))

    def confirm_all(self, accounts: Sequence[tuple[str, Forecast | str]], *, rehearsal: bool) -> bool:
        """Ask the user; the figures of each account begin."""
        for name, forecast in accounts:
            if not isinstance(forecast, str):
                self._metrics.of(name).begin(forecast)
        return self._console.confirm_all(accounts, rehearsal=rehearsal)

    def conclude_all(self, result: AccountsResult) -> None:
        """Show what became of every row; the figures of each account end."""
        for one in result.report.summary.accounts:
            counts = result.results[one.account].written.counts
            self._metrics.of(one.account).end(ExitCode(one.exit_code), counts)
        self._console.conclude_all(result)


def _earlier(path: Path, name: str, account: str) -> float:
    """What an earlier process wrote, 0 without it: a run that fails must not hide when the last one succeeded."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines():
            if found := re.fullmatch(rf'{name}\{{account="{re.escape(account)}"\}} (\S+)', line):
                return float(found[1])
    return 0.0
