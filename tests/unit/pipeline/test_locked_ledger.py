"""A ledger that another process keeps locked for longer than its patience, in the midst of a run."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest

from importer.ledger import sqlite
from importer.ledger.database import Database
from importer.ledger.ledger import Ledger
from importer.ledger.sqlite import SqliteDialect
from importer.model import RunState
from importer.pipeline import program
from importer.plan import plan
from tests.support.program import importer

_COMMAND = ("run", "x.csv", "-m", "m.yaml", "--sandbox", "--yes", "--out")


@pytest.fixture(autouse=True)
def two_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, its mapping, and little patience with other processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    Path("m.yaml").write_text("version: 1\nsubscriber: {email: mail}\ntype: {const: buy}\n")
    Path("x.csv").write_text("mail\nann@example.com\nbob@example.com\n")


def test_it_ends_with_3_and_a_report_and_the_same_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack, monkeypatch.context() as patch:

        def send(jobs: Any, *_: Any) -> NoReturn:
            ledger, run = jobs[0].ledger, jobs[0].run
            other = Database(SqliteDialect(ledger.location))
            stack.callback(other.close)
            stack.enter_context(other.transaction())
            ledger.set_state(run, RunState.DELIVERING)
            raise AssertionError("the ledger is not locked")

        patch.setattr(program, "send", send)
        done = importer(*_COMMAND, "first")
    assert done.exit_code == 3
    assert "stopped: the ledger failed: the ledger" in done.stderr
    assert "is locked by another process" in done.stderr
    assert done.stderr.count("the ledger failed") == 1, "the reason is said once"
    assert json.loads(Path("first/summary.json").read_text())["rows"]["pending"] == 2
    assert importer(*_COMMAND, "second").exit_code == 0
    assert json.loads(Path("second/summary.json").read_text())["rows"]["sent"] == 2


def test_one_that_fails_while_planning_ends_with_3_before_any_event_and_the_same_command_sends_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack, monkeypatch.context() as patch:

        def locked(ledger: Ledger, *rest: Any) -> None:
            other = Database(SqliteDialect(tmp_path / "ledger.db"))
            stack.callback(other.close)
            stack.enter_context(other.transaction())
            plan(ledger, *rest)

        patch.setattr("importer.pipeline.program.plan", locked)
        done = importer(*_COMMAND, "out")
    assert done.exit_code == 3
    assert "is locked by another process" in done.stderr
    assert not Path("out").exists()
    assert importer(*_COMMAND, "out").exit_code == 0
    assert json.loads(Path("out/summary.json").read_text())["rows"]["sent"] == 2
