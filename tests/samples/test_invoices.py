"""samples/online-retail-invoices.yaml over a week of the real file, against the csv module and decimals."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import importer

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT.parent / "shared" / "data" / "online-retail").glob("*.csv"))
MAPPING = ROOT / "samples" / "online-retail-invoices.yaml"

pytestmark = pytest.mark.skipif(not FILES, reason="UCI Online Retail is not part of this repository")


@dataclass
class Invoice:
    """What its lines come to."""

    leader: tuple[str, int]
    customer: str = ""
    total: Decimal = Decimal()
    quantity: int = 0
    lines: int = 0


def lines() -> Iterator[tuple[tuple[str, int], dict[str, str]]]:
    """Every line of every file with its place: the file's name and the row's number."""
    for path in FILES:
        with path.open(newline="", encoding="utf-8") as file:
            for number, line in enumerate(csv.DictReader(file), 1):
                yield (str(path), number), line


@pytest.fixture(scope="module")
def invoices() -> dict[str, Invoice]:
    found: dict[str, Invoice] = {}
    for place, line in lines():
        invoice = found.setdefault(line["InvoiceNo"], Invoice(place))
        invoice.customer = invoice.customer or line["CustomerID"].removesuffix(".0")
        invoice.total += int(line["Quantity"]) * Decimal(line["UnitPrice"])
        invoice.quantity += int(line["Quantity"])
        invoice.lines += 1
    return found


def test_each_invoice_of_a_customer_is_one_event_with_its_exact_total(invoices: dict[str, Invoice]) -> None:
    outcome = importer("check", *map(str, FILES), "-m", str(MAPPING), "--preview", "1000000")
    # Decimals, so that a total is compared digit by digit.
    events = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in outcome.stdout.splitlines()]
    made = {event["properties"]["invoice"]: event for event in events}
    assert len(made) == len(events)
    assert made.keys() == {number for number, invoice in invoices.items() if invoice.customer}
    for number, event in made.items():
        invoice = invoices[number]
        assert event["subscriber"] == {"id": invoice.customer}
        assert event["type"] == ("cancellation" if number.startswith("C") else "purchase")
        assert event["value"] == invoice.total
        assert event["properties"]["quantity"] == invoice.quantity
        assert event["properties"]["lines"] == invoice.lines
    totals = {kind: sum(e["value"] for e in events if e["type"] == kind) for kind in ("purchase", "cancellation")}
    assert totals == {"purchase": Decimal("273646.10"), "cancellation": Decimal("-6200.60")}


def test_every_line_of_every_file_points_to_its_invoice(invoices: dict[str, Invoice], tmp_path: Path) -> None:
    importer("check", *map(str, FILES), "-m", str(MAPPING), "--out", str(tmp_path))
    with (tmp_path / "report.csv").open(newline="", encoding="utf-8") as file:
        report = {(row["source"], int(row["row"])): row for row in csv.DictReader(file)}
    rejected: dict[str, int] = {}
    with (tmp_path / "rejects.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rejected[row["InvoiceNo"]] = rejected.get(row["InvoiceNo"], 0) + 1
    count = 0
    for place, line in lines():
        count += 1
        invoice, row = invoices[line["InvoiceNo"]], report[place]
        if place == invoice.leader:
            assert row["state"] == ("pending" if invoice.customer else "invalid")
        else:
            source, number = invoice.leader
            where = f"row {number}" if source == place[0] else f"{source}, row {number}"
            assert (row["state"], row["message"]) == ("grouped", f"part of {where}'s event")
    assert count == len(report)
    summary: dict[str, Any] = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["balanced"] is True
    # An invoice that cannot be sent is rejected with all its lines.
    assert rejected == {number: invoice.lines for number, invoice in invoices.items() if not invoice.customer}
