"""`importer init`: rows that are no purchases are left out, each for a reason that is told."""

from pathlib import Path
from typing import Any

import pytest

from importer.mapping.load import load
from tests.support.program import Outcome, importer

HEAD = "Order,Email,Total,Currency,Date"


def drafted(tmp_path: Path, text: str) -> tuple[Outcome, list[dict[str, Any]], str]:
    """What `init` says of a file of this text, the tests of `where`, and the mapping's text."""
    source, mapping = tmp_path / "export.csv", tmp_path / "export.yaml"
    source.write_text(text, encoding="utf-8")
    outcome = importer("init", str(source), "-o", str(mapping), "--yes", "--force")
    assert outcome.exit_code == 0, outcome.stderr
    tests = load(str(mapping)).mapping.where
    said = [one.model_dump(mode="json", by_alias=True, exclude_defaults=True) for one in tests]
    return outcome, said, mapping.read_text(encoding="utf-8")


def test_refunds_are_no_purchases(tmp_path: Path) -> None:
    rows = "1,ada@example.com,12.50,EUR,2026-01-31\n2,ada@example.com,-12.50,EUR,2026-02-01\n"
    outcome, where, text = drafted(tmp_path, f"{HEAD}\n{rows}3,bo@example.com,,EUR,2026-02-02\n")
    assert where == [{"column": "Total", "not_matches": "^[^0-9]*[-(−]"}]  # noqa: RUF001 # a minus sign is meant
    assert "unsure: some rows are below zero, which is no purchase but a refund or a cancellation (75%)" in text
    assert "of the first 3 rows, 2 can be sent\n  1 x left out by the mapping's where\n" in outcome.stderr


def test_a_cancelled_invoice_is_left_out_and_a_discount_inside_an_invoice_is_not(tmp_path: Path) -> None:
    lines = ["1,ada@example.com,Mug,2,10.00", "1,ada@example.com,Discount,-1,5.00", "C2,ada@example.com,Mug,-2,10.00"]
    lines += ["3,bo@example.com,Mug,1,10.00", "3,bo@example.com,Cap,1,7.00"]
    outcome, where, _ = drafted(tmp_path, "\n".join(["InvoiceNo,Email,Description,Quantity,UnitPrice", *lines, ""]))
    assert where == [{"column": "Quantity", "above": 0, "rows": "any"}]
    assert [line.split('"value":')[1].split(",")[0] for line in outcome.stdout.splitlines()] == ["15", "17"]


@pytest.mark.parametrize(
    ("column", "cells", "test"),
    [
        ("Status", "paid failed completed", {"in": ["paid", "completed"]}),
        ("Zahlungsstatus", "Bezahlt Storniert Ausstehend", {"in": ["Bezahlt"]}),
        ("payment_status", "failed failed canceled", {"not_in": ["failed", "canceled"]}),
        ("captured", "TRUE FALSE TRUE", {"not_equals": False}),
        ("_fivetran_deleted", "false true false", {"not_equals": True}),
        ("test", "false true false", {"not_equals": True}),
        ("cancelled_at", " 2026-02-01 ", {"empty": True}),
    ],
)
def test_what_was_not_paid_or_is_no_order_is_left_out(
    column: str, cells: str, test: dict[str, Any], tmp_path: Path
) -> None:
    rows = (f"{n},p{n}@example.com,12.50,EUR,2026-01-0{n},{cell}" for n, cell in enumerate(cells.split(" "), 1))
    _, where, _ = drafted(tmp_path, "\n".join([f"{HEAD},{column}", *rows, ""]))
    assert where == [{"column": column} | test]


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("Status", "paid open shipped"),
        ("Fulfillment Status", "pending fulfilled pending"),
        ("Email Marketing Status", "unsubscribed pending subscribed"),
        ("refund_reason", "failed   "),
    ],
)
def test_states_of_something_else_leave_nothing_out(column: str, cells: str, tmp_path: Path) -> None:
    rows = (f"{n},p{n}@example.com,12.50,EUR,2026-01-0{n},{cell}" for n, cell in enumerate(cells.split(" ")[:3], 1))
    assert drafted(tmp_path, "\n".join([f"{HEAD},{column}", *rows, ""]))[1] == []


def test_what_carries_no_value_is_taken_whole(tmp_path: Path) -> None:
    assert drafted(tmp_path, "Email,Status\nada@example.com,failed\nbo@example.com,ok\n")[1] == []


def test_rows_that_mostly_have_no_value_are_not_called_purchases(tmp_path: Path) -> None:
    text = "id,email,value\n1,ada@example.com,5.00\n2,ada@example.com,\n3,bo@example.com,\n"
    assert "\ntype: {const: imported}\n" in drafted(tmp_path, text)[2]


def test_the_shops_own_address_never_stands_in_for_the_customers(tmp_path: Path) -> None:
    head = "Order,From Email Address,To Email Address,Gross"
    _, _, text = drafted(tmp_path, f"{head}\n1,ada@example.com,shop@example.org,5.00\n2,,shop@example.org,6.00\n")
    assert "\n  email: From Email Address\n" in text


def test_whole_amounts_are_cents_only_beside_a_currency_in_small_letters(tmp_path: Path) -> None:
    text = "id,email,amount,currency\na,ada@example.com,1200,{0}\nb,bo@example.com,50,{0}\n"
    assert "scale: -2" in drafted(tmp_path, text.format("usd"))[2]
    assert "scale" not in drafted(tmp_path, text.format(""))[2]


def test_newest_first_with_the_clock_in_a_column_of_its_own_is_put_in_order(tmp_path: Path) -> None:
    rows = "31.01.2026,08:15,CET,ada@example.com\n30.01.2026,09:15,CET,ada@example.com\n"
    _, _, text = drafted(tmp_path, f"Datum,Uhrzeit,Zeitzone,E-Mail\n{rows}")
    assert '\norder_by: {template: "{Datum} {Uhrzeit}", format: dmy, timezone: {column: Zeitzone}}\n' in text
