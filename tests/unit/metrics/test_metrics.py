"""Figures for Prometheus, read back with a parser written from the format's description, not with the library's own."""

from __future__ import annotations

import re
import socket
import urllib.request
from pathlib import Path
from unittest.mock import Mock

import pytest

from importer.deliver import Progress
from importer.errors import ExitCode, UsageError
from importer.metrics import EVERY, Metrics
from importer.model import Counts, Pace, PendingSummary, State
from importer.pipeline.console import Forecast
from tests.support.program import importer
from tests.support.story import RUN

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
"""https://prometheus.io/docs/instrumenting/exposition_formats/: a name, labels, a Go float."""

Key = tuple[str, frozenset[tuple[str, str]]]


def parse(text: str) -> dict[Key, float]:
    """Every sample; fails on a line that is none, and on a name without its TYPE before it."""
    typed: set[str] = set()
    found: dict[Key, float] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("gauge", "counter")
            typed.add(name)
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] in typed
            key = match[1], frozenset(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            assert key not in found
            found[key] = float(match[3])
    return found


def figures(path: Path, account: str = "default") -> dict[str, float]:
    """By name, or by name and state or place."""
    told = {}
    for (name, labels), value in parse(path.read_text()).items():
        values = dict(labels)
        assert values.pop("account") == account
        told[" ".join([name.removeprefix("importer_"), *values.values()])] = value
    return told


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


def forecast(**states: int) -> Forecast:
    counts = Counts(sum(states.values()), {State(name): count for name, count in states.items()})
    outlook = PendingSummary(states["pending"], 1, 1, "a@example.com", (), (), None, None)
    return Forecast(RUN, outlook, 60, 1.0, "https://api.example.com", rehearsal=False, counts=counts)


def progress(sent: int, left: int, *, in_doubt: int = 0, waiting: str = "") -> Progress:
    pace = Pace(rate=1.0, limit=60, remaining=12, waiting_for=waiting, wait_until=None)
    return Progress(sent=sent, refused=0, failed=0, in_doubt=in_doubt, left=left, in_flight=1, pace=pace)


def test_a_delivery_is_seen_as_it_goes_on(tmp_path: Path) -> None:
    """Rows sent before this delivery began count too; the rate is that of the last minute."""
    clock, path = Clock(), tmp_path / "importer.prom"
    metrics = Metrics(path, "default", clock)
    metrics.begin(forecast(sent=5, invalid=2, pending=100))
    metrics.move(progress(0, 100))
    clock.now += 30
    metrics.move(progress(14, 85, in_doubt=1, waiting="limit reached"))
    told = figures(path)
    assert (told["rows sent"], told["rows invalid"], told["rows pending"], told["rows in_doubt"]) == (19, 2, 85, 1)
    assert told["rate_per_second"] == 0.5
    assert (told["limit_per_minute"], told["limit_remaining"], told["waiting"]) == (60, 12, 1)
    assert told["oldest_pending_seconds"] == clock.now - RUN.created_at


def test_the_file_is_written_every_few_seconds_only(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "importer.prom"
    metrics = Metrics(path, "default", clock)
    metrics.begin(forecast(pending=10))
    metrics.move(progress(1, 9))
    assert figures(path)["rows sent"] == 0
    clock.now += EVERY
    metrics.move(progress(2, 8))
    assert figures(path)["rows sent"] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["importer.prom"]


def test_a_failure_does_not_make_the_last_success_forgotten(tmp_path: Path) -> None:
    """Not even in another process."""
    clock, path = Clock(), tmp_path / "importer.prom"
    Metrics(path, "default", clock).end(ExitCode.DELIVERED)
    succeeded, clock.now = clock.now, clock.now + 86_400
    Metrics(path, "default", clock).end(ExitCode.STOPPED)
    told = figures(path)
    assert told["last_success_timestamp_seconds"] == succeeded
    assert (told["last_end_timestamp_seconds"], told["last_exit_code"]) == (clock.now, 3)


def test_an_account_may_have_any_name(tmp_path: Path) -> None:
    Metrics(tmp_path / "m.prom", 'a"b\\c', Clock()).end(ExitCode.DELIVERED)
    assert figures(tmp_path / "m.prom", 'a\\"b\\\\c')["last_exit_code"] == 0


def test_a_run_leaves_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: t}\n")
    (tmp_path / "o.csv").write_text("email\na@example.com\nb@example.com\nnobody\n")
    outcome = importer("run", "o.csv", "-m", "m.yaml", "--sandbox", "--ledger", "l.db", "--metrics", "m.prom")
    assert outcome.exit_code == 1, outcome.stderr
    told = figures(tmp_path / "m.prom")
    assert (told["rows sent"], told["rows invalid"], told["rows pending"]) == (2, 1, 0)
    assert told["last_exit_code"] == 1
    assert told["last_success_timestamp_seconds"] == 0
    assert told["oldest_pending_seconds"] == 0


def test_a_file_that_cannot_be_written_stops_the_run_before_it_begins(tmp_path: Path) -> None:
    outcome = importer("run", "o.csv", "-m", "m.yaml", "--sandbox", "--metrics", str(tmp_path / "no" / "m.prom"))
    assert outcome.exit_code == 2
    assert "m.prom: No such file or directory" in outcome.stderr
    assert "hint: name a file in a directory that you can write to" in outcome.stderr


def test_a_port_on_this_machine_tells_the_same() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        metrics = Metrics(None, "default", Clock())
        with pytest.raises(UsageError, match="--metrics-port"):
            metrics.serve(taken.getsockname()[1])
        port = taken.getsockname()[1]
    metrics.file("done")
    metrics.serve(port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        told = parse(answer.read().decode())
    assert told["importer_files", frozenset({("account", "default"), ("place", "done")})] == 1


def test_a_run_that_reached_its_end_is_told_apart_from_one_that_delivered_all(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "importer.prom"
    metrics = Metrics(path, "default", clock)
    metrics.end(ExitCode.INCOMPLETE, Counts(1, {State.INVALID: 1}))
    finished, clock.now = clock.now, clock.now + 60
    metrics.end(ExitCode.UNUSABLE)
    told = figures(path)
    assert told["last_success_timestamp_seconds"] == 0
    assert told["last_finish_timestamp_seconds"] == finished
    assert told["last_end_timestamp_seconds"] == clock.now
    assert figures(path) == told | {"last_finish_timestamp_seconds": finished}
    Metrics(path, "default", clock).write()
    assert figures(path)["last_finish_timestamp_seconds"] == finished


def test_a_file_that_can_no_longer_be_written_stops_no_delivery(tmp_path: Path) -> None:
    """It is said once, until it works again."""
    clock, path = Clock(), tmp_path / "m" / "importer.prom"
    path.parent.mkdir()
    metrics = Metrics(path, "default", clock)
    heard: list[str] = []
    console = metrics.console(Mock(say=heard.append))
    metrics.begin(forecast(pending=9))
    path.unlink()
    path.parent.rmdir()
    for left in (8, 7):
        clock.now += EVERY
        console.watch(progress(9 - left, left))
    metrics.end(ExitCode.DELIVERED)
    assert len(heard) == 1
    assert heard[0].endswith("No such file or directory; the delivery goes on without it")
