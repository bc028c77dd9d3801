"""`importer resolve --give-up`: the run is closed, and nothing counts its rows as still to be delivered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.program import importer


def test_rows_that_were_given_up_leave_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: t}\n")
    (tmp_path / "o.csv").write_text("email\na@example.com\n")
    place = ("--sandbox", "--ledger", "l.db")
    doubtful = ("--yes", "--sandbox-fault", "drop-after-accept=1")
    assert importer("run", "o.csv", "-m", "m.yaml", *place, *doubtful).exit_code == 1
    assert importer("resolve", *place, "--give-up", "--note", "old orders", "--yes").exit_code == 0
    run_id = importer("runs", *place).stdout.split()[0]
    resumed = importer("resume", run_id, *place, "--yes")
    assert (resumed.exit_code, "importer retry" in resumed.stderr) == (0, False), resumed.stderr
    again = importer("run", "o.csv", "-m", "m.yaml", *place, "--yes")
    assert again.exit_code == 0, again.stderr
    assert "wait in run" not in again.stderr


def test_a_person_is_forgotten_in_rehearsals_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: t}\n")
    (tmp_path / "o.csv").write_text("email\nada@example.com\n")
    importer("run", "o.csv", "-m", "m.yaml", "--sandbox", "--ledger", "l.db", "--yes")
    done = importer("forget", "--subscriber", "Ada@example.com", "--ledger", "l.db", "--yes")
    assert done.stderr == "1 row of Ada@example.com forgotten\n"
    assert "ada@" not in importer("report", "--sandbox", "--ledger", "l.db").stdout
