"""The samples, run against the sandbox: each flawed row is in the state and has the reasons that it was made for."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from samples import flaws, generate
from tests.support.program import importer

SAMPLES = Path(generate.__file__).parent
Rows = dict[int, tuple[str, frozenset[str]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a sample once; gives the flawed rows by number (state and codes), and the summary."""

    def once(name: str, mapping: str) -> tuple[Rows, dict[str, Any]]:
        home = tmp_path_factory.mktemp("run")
        files = (
            str(SAMPLES / name),
            "-m",
            str(SAMPLES / mapping),
            "--ledger",
            str(home / "ledger.db"),
            "--out",
            str(home),
        )
        outcome = importer("run", *files, "--sandbox", "--yes")
        assert outcome.exit_code == 1, outcome.stderr
        with (home / "report.csv").open(newline="", encoding="utf-8") as file:
            rows = {int(row["row"]): (row["state"], codes(row["code"])) for row in csv.DictReader(file)}
        odd = {number: row for number, row in rows.items() if row != ("sent", frozenset())}
        summary = json.loads((home / "summary.json").read_text(encoding="utf-8"))
        assert summary["balanced"] is True
        return odd, summary

    return once


def codes(cell: str) -> frozenset[str]:
    return frozenset(cell.split("; ")) - {""}


def test_the_purchases_give_exactly_the_reasons_they_were_made_for(run: Any) -> None:
    odd, summary = run("purchases.csv", "purchases.yaml")
    expected = {number: (flaw.state, frozenset(flaw.codes)) for number, flaw in flaws.PURCHASE_FLAWS.items()}
    expected |= {number: ("invalid", frozenset(flaw.codes)) for number, flaw in flaws.RAW_PURCHASES.items()}
    assert odd == {number: row for number, row in expected.items() if row != ("sent", frozenset())}
    assert summary["rows"]["read"] == generate.PURCHASES


def test_the_events_give_exactly_the_reasons_they_were_made_for(run: Any) -> None:
    odd, summary = run("events.jsonl", "events.yaml")
    expected = {number: ("invalid", frozenset(flaw.codes)) for number, flaw in flaws.EVENT_FLAWS.items() if flaw.codes}
    expected |= {number: ("invalid", frozenset(found)) for number, found in flaws.BROKEN_EVENT_LINES.items()}
    assert odd == expected
    assert summary["rows"]["read"] == generate.EVENTS


def test_the_orders_give_exactly_the_reasons_they_were_made_for(run: Any) -> None:
    odd, summary = run("orders.parquet", "orders.yaml")
    expected = {number: ("invalid", frozenset(flaw.codes)) for number, flaw in flaws.ORDER_FLAWS.items() if flaw.codes}
    assert odd == expected
    assert summary["rows"]["read"] == generate.ORDERS
