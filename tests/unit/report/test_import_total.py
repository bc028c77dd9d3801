"""A run and the runs of its rejects are reported as one import with one sum."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from importer.model import State
from importer.report import ReportOptions, render_summary, write
from tests.support.program import importer
from tests.support.story import RUN, Row, batch, csv_source, ledger

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas/summary.schema.json").read_text())
MAPPING = "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\nkey: no\n"


def run(directory: Path, source: Path, out: str) -> Path:
    where = ("--sandbox", "--ledger", str(directory / "ledger.db"))
    importer("run", str(source), "-m", str(directory / "m.yaml"), "--yes", "--out", str(directory / out), *where)
    return directory / out


def test_summary_page_screen_and_runs_have_the_sum_of_the_import(tmp_path: Path) -> None:
    """Of five rows two are invalid; one comes back corrected, the other one spoiled in another way."""
    (tmp_path / "m.yaml").write_text(MAPPING, encoding="utf-8")
    rows = ["ada@example.com,1", "bo@,2", "cy@example.com,3", "di,4", "eve@example.com,5"]
    (tmp_path / "orders.csv").write_text("\n".join(["email,no", *rows, ""]), encoding="utf-8")
    first = run(tmp_path, tmp_path / "orders.csv", "first")
    alone = json.loads((first / "summary.json").read_text())
    assert alone["import_total"] is None
    rejects = first / "rejects.csv"
    rejects.write_text(rejects.read_text().replace("bo@,", "bo@example.com,"), encoding="utf-8")
    second = json.loads((run(tmp_path, rejects, "second") / "summary.json").read_text())
    jsonschema.validate(second, SCHEMA)
    total = second["import_total"]
    assert total["runs"] == [alone["run"], second["run"]]
    assert {state: count for state, count in total["rows"].items() if count} == {"read": 5, "sent": 4, "invalid": 1}
    words = "one import of 2 runs: of 5 rows"
    assert words in (tmp_path / "second" / "report.html").read_text()
    where = ("--sandbox", "--ledger", str(tmp_path / "ledger.db"))
    assert f"{words} 4 sent, 1 invalid" in importer("report", alone["run"], "-o", str(tmp_path / "r"), *where).stderr
    shown = importer("runs", alone["run"], *where).stdout
    assert f"import    5 read in 2 runs ({alone['run']}, {second['run']})\n          4 sent, 1 invalid\n" in shown


def test_a_row_that_is_given_up_is_neither_wrong_nor_skipped_by_a_filter(tmp_path: Path) -> None:
    told = {"code": "filtered.given_up", "message": "a test"}
    row = Row(b"x", State.FILTERED, [("email.invalid", "subscriber.email", "bo@")], told=told)
    written = write(ledger(batch(csv_source("Email"), [row, Row()])), RUN, ReportOptions(tmp_path))
    assert written.summary.reasons == ()
    assert "1 row given up: “a test”" in render_summary(written)
    assert "1 row given up: <bdi>a test</bdi>.</p>" in (tmp_path / "report.html").read_text()
