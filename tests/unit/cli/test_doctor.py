"""`importer doctor` against a sandbox, a server without one, and ledgers in every condition."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from importer.cli.upkeep import _fitted
from importer.deliver.responses import classify
from importer.model import Response, ResponseKind
from importer.pipeline import doctor
from importer.pipeline.doctor import Finding, Severity
from importer.sandbox.options import SandboxOptions
from importer.sandbox.process import Running, start
from tests.support.ledgers import chunk, open_ledger, path_of, planned
from tests.support.program import Outcome, importer

TOKEN = "a-token-that-must-not-show"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with start(SandboxOptions(tokens=(TOKEN,), limit=60)) as running:
        yield running


def examined(*arguments: str) -> Outcome:
    outcome = importer("doctor", *arguments)
    assert TOKEN not in outcome.stdout + outcome.stderr
    return outcome


def test_all_is_well(sandbox: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDER_API_TOKEN", TOKEN)
    outcome = examined("--endpoint", sandbox.url, "--ledger", str(tmp_path / "ledger.db"))
    assert outcome.exit_code == 0, outcome.stdout
    assert "ok    token     there, in the variable SENDER_API_TOKEN" in outcome.stdout
    assert "ok    API       127.0.0.1 accepts the token; it answered in " in outcome.stdout
    assert "ok    limit     60 requests a minute, " in outcome.stdout
    assert "ok    clock     agrees with the API's" in outcome.stdout
    assert "ok    ledger    none yet; the first run makes " in outcome.stdout
    assert not (tmp_path / "ledger.db").exists()


def test_a_token_that_is_not_accepted(sandbox: Running, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another-" + TOKEN)
    outcome = examined("--endpoint", sandbox.url, "--token-file", str(tmp_path / "token"))
    assert outcome.exit_code == 1
    assert "warn  token     other users of this machine can read" in outcome.stdout
    assert "do: run: chmod 600" in outcome.stdout
    assert "fail  API       127.0.0.1 does not accept the token: " in outcome.stdout
    assert "do: make a new one in Sender under Settings" in outcome.stdout


def test_no_token(sandbox: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENDER_API_TOKEN", raising=False)
    outcome = examined("--endpoint", sandbox.url)
    assert outcome.exit_code == 1
    assert "fail  token     no API token" in outcome.stdout


def test_no_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDER_API_TOKEN", TOKEN)
    outcome = examined("--endpoint", "http://127.0.0.1:9/v2", "--ledger", str(tmp_path / "ledger.db"))
    assert outcome.exit_code == 1
    assert "fail  API       127.0.0.1: no connection to 127.0.0.1: Connection refused" in outcome.stdout
    assert "do: check the network, and --endpoint if you gave one" in outcome.stdout


def test_a_rehearsal_needs_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENDER_API_TOKEN", raising=False)
    outcome = examined("--sandbox", "--ledger", str(tmp_path / "ledger.db"))
    assert outcome.exit_code == 0, outcome.stdout
    assert "ok    token     not needed: this is a rehearsal" in outcome.stdout


def test_runs_that_stopped_are_named(tmp_path: Path) -> None:
    with open_ledger(tmp_path, account="default", endpoint="sandbox") as ledger:
        run = planned(ledger, chunk(["a@example.com"]))
        ledger.lock(run).release()
    outcome = examined("--sandbox", "--ledger", str(tmp_path / "ledger.db"))
    assert outcome.exit_code == 0
    assert "is whole; 1 row," in outcome.stdout
    assert f"warn  runs      1 stopped before the end, {run.id} the last" in outcome.stdout
    assert f"do: importer resume {run.id}" in outcome.stdout


def test_a_damaged_ledger(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        planned(ledger, chunk([f"a{number}@example.com" for number in range(5000)]))
        path = path_of(ledger)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'row'").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 512)
    outcome = examined("--sandbox", "--ledger", str(path))
    assert outcome.exit_code == 1
    assert "fail  ledger    " in outcome.stdout
    assert "backup" in outcome.stdout


@pytest.mark.parametrize(
    ("seconds", "verdict", "words"),
    [
        (10.0, Severity.OK, "agrees with the API's"),
        (90.0, Severity.WARN, "this machine is 90 s ahead of the API"),
        (-3600.0, Severity.WARN, "this machine is 3,600 s behind the API"),
    ],
)
def test_a_wrong_clock_is_told_of(seconds: float, verdict: Severity, words: str) -> None:
    finding: Finding = doctor._clock(seconds)
    assert (finding.verdict, finding.text) == (verdict, words)


def test_a_probe_tells_the_servers_time() -> None:
    at = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    answer: Response = classify(
        200, {"Date": format_datetime(at, usegmt=True)}, b"{}", latency=0.1, wall=0.0, probe=True
    )
    assert answer.kind is ResponseKind.SENT
    assert answer.date == at.timestamp()


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(1 << 20, Severity.FAIL), (500 << 20, Severity.WARN), (1 << 40, Severity.OK)],
)
def test_a_full_disk_is_told_of(free: int, verdict: Severity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": free}))
    assert doctor._space(tmp_path / "not" / "there" / "ledger.db").verdict is verdict


def test_on_a_terminal_advice_breaks_between_words_and_in_a_pipe_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "do: make one in Sender under Settings, API access tokens; then set SENDER_API_TOKEN, or put it into a file"
    assert _fitted(line, 16) == " " * 16 + line
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    first, second = _fitted(line, 16).splitlines()
    assert first == " " * 16 + "do: make one in Sender under Settings, API access tokens; then"
    assert second == " " * 16 + "set SENDER_API_TOKEN, or put it into a file"
