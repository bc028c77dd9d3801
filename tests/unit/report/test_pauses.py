"""The page tells why nothing came: what was noted, and what only shows."""

from collections.abc import Sequence
from pathlib import Path

from importer.model import Pause, PauseKind, State
from importer.report import ReportOptions, write
from importer.report.page.buckets import Gap
from importer.report.page.pauses import Still, stills
from tests.support.story import RUN, Row, batch, csv_source, ledger

START = 1_795_457_035.0


def page(out: Path, moments: Sequence[float], halts: Sequence[Pause]) -> str:
    rows = [Row(b"a", State.SENT, told={"sent_at": START + moment, "latency_ms": 5.0}) for moment in moments]
    write(ledger(batch(csv_source("email"), rows), halted=halts), RUN, ReportOptions(out))
    return (out / "report.html").read_text()


def test_outages_limits_and_stops_are_marked_and_told_apart(tmp_path: Path) -> None:
    halts = [
        Pause(PauseKind.OUTAGE, START + 10, START + 50),
        Pause(PauseKind.LIMIT, START + 60, START + 70),
        Pause(PauseKind.LIMIT, START + 80, START + 95),
        Pause(PauseKind.STOPPED, START + 100, START + 400),
    ]
    told = page(tmp_path, [0, 10, 55, 60, 75, 98, 405, 600], halts)
    assert (
        "<p>1 outage, 40 s in all; 2 waits for the limit, 25 s in all; 1 stop, 5 min in all; 1 pause, 3 min 15 s in"
        " all.</p>" in " ".join(told.split())
    )
    for kind, marks in (("outage", 1), ("limit", 2), ("stopped", 1), ("gap", 1)):
        assert told.count(f'<rect class="{kind}"') == marks, kind
        assert told.count(f'<span class="swatch {kind}"') == 1, kind
    assert "<title>the API was away, 40 s from 2026-11-23 18:04:05</title>" in told


def test_a_pause_that_halts_explain_is_told_once() -> None:
    halts = [Pause(PauseKind.OUTAGE, 100.0, 190.0), Pause(PauseKind.LIMIT, 1e6, 2e6)]
    found = stills(halts, [Gap(95.0, 200.0), Gap(500.0, 700.0)], (0.0, 1000.0))
    assert found == [Still("outage", 100.0, 190.0), Still("gap", 500.0, 700.0)]


def test_a_run_of_weeks_with_a_wait_each_minute_stays_small(tmp_path: Path) -> None:
    minutes = range(0, 60 * 20_000, 60)
    told = page(tmp_path, [0.0, 60.0 * 20_000], [Pause(PauseKind.LIMIT, START + at, START + at + 20) for at in minutes])
    assert len(told) < 200_000
    assert "20,000 waits for the limit" in told
