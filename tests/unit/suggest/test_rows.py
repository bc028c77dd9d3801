"""`importer init`: rows that are no purchases are left out, each for a reason that is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from importer.mapping.load import loads
from tests.support.program import Outcome, importer

HEAD = "Order,Email,Total,Currency,Date"


def drafted(tmp_path: Path, text: str) -> tuple[Outcome, list[dict[str, Any]], str]:
    """What `init` says of a file of this text, the tests of `where`, and the mapping's text."""
    source, mapping = tmp_path / "export.csv", tmp_path / "export.yaml"
    source.write_text(text, encoding="utf-8")
    outcome = importer("init", str(source), "-o", str(mapping), "--yes", "--force")
    assert outcome.exit_code == 0, outcome.stderr
    written = mapping.read_text(encoding="utf-8")
    tests = loads(written, str(mapping), partial=True).mapping.where
    said = [one.model_dump(mode="json", by_alias=True, exclude_defaults=True) for one in tests]
    return outcome, said, written


BELOW = r"^\W*(?:[A-Z]{3}\W*)?[-(−]\W*[0-9]|[0-9]\s*-$"  # noqa: RUF001 # a minus sign is meant


def test_refunds_are_no_purchases(tmp_path: Path) -> None:
    rows = "1,ada@example.com,12.50,EUR,2026-01-31\n2,ada@example.com,-12.50,EUR,2026-02-01\n"
    outcome, where, text = drafted(tmp_path, f"{HEAD}\n{rows}3,bo@example.com,,EUR,2026-02-02\n")
    assert where == [{"column": "Total", "not_matches": BELOW}]
    assert "# an amount below zero is a refund or a cancellation, no purchase" in text
    assert "of the first 3 rows, 2 can be sent\n  1 x skipped by the mapping's filter\n" in outcome.stderr


def test_the_next_file_may_have_refunds_though_this_one_has_none(tmp_path: Path) -> None:
    _, where, _ = drafted(tmp_path, f"{HEAD}\n1,ada@example.com,12.50,EUR,2026-01-31\n")
    assert where == [{"column": "Total", "not_matches": BELOW}]
    rows = "".join(
        f"{n},ada@example.com,{cell},EUR,2026-01-31\n"
        for n, cell in enumerate(
            ["-1.00", "(2.00)", "EUR -3", "-€4", "5.00-", "\N{MINUS SIGN}6", "n/a - free", "12-50", "- "]
        )
    )
    source = tmp_path / "export.csv"
    source.write_text(f"{HEAD}\n{rows}", encoding="utf-8")
    checked = importer("check", str(source), "-m", str(tmp_path / "export.yaml"), "--format", "json")
    counts = json.loads(checked.stdout)["rows"]
    assert (counts["filtered"], counts["invalid"]) == (6, 3)


def test_a_cancelled_invoice_is_left_out_and_a_discount_inside_an_invoice_is_not(tmp_path: Path) -> None:
    lines = [
        "1,ada@example.com,Mug,2,10.00,EUR",
        "1,ada@example.com,Discount,-1,5.00,EUR",
        "C2,ada@example.com,Mug,-2,10.00,EUR",
    ]
    lines += ["3,bo@example.com,Mug,1,10.00,EUR", "3,bo@example.com,Cap,1,7.00,EUR"]
    outcome, where, _ = drafted(
        tmp_path, "\n".join(["InvoiceNo,Email,Description,Quantity,UnitPrice,Currency", *lines, ""])
    )
    assert where == [{"column": "Quantity", "above": 0, "rows": "any"}]
    assert [line.split('"value":')[1].split(",")[0] for line in outcome.stdout.splitlines()] == ["15", "17"]


@pytest.mark.parametrize(
    ("column", "cells", "test"),
    [
        ("captured", "TRUE FALSE TRUE", {"not_equals": False}),
        ("livemode", "TRUE TRUE TRUE", {"not_equals": False}),
        ("_fivetran_deleted", "false true false", {"not_equals": True}),
        ("test", "false false false", {"not_equals": True}),
        ("is_test", "0 1 0", {"not_equals": 1}),
        ("cancelled_at", " 2026-02-01 ", {"empty": True}),
        ("cancelled_at", "  ", {"empty": True}),
    ],
)
def test_what_was_not_paid_or_is_a_test_is_left_out_also_of_the_next_file(
    column: str, cells: str, test: dict[str, Any], tmp_path: Path
) -> None:
    rows = (f"{n},p{n}@example.com,12.50,EUR,2026-01-0{n},{cell}" for n, cell in enumerate(cells.split(" "), 1))
    _, where, _ = drafted(tmp_path, "\n".join([f"{HEAD},{column}", *rows, ""]))
    assert where == [{"column": "Total", "not_matches": BELOW}, {"column": column} | test]


@pytest.mark.parametrize(
    ("column", "seen", "sent", "left"),
    [
        (
            "Status",
            "paid",
            "Paid completed wc-completed shipped",
            "canceled refunded unavailable created wc-failed xyz",
        ),
        ("order_status", "delivered", "delivered invoiced processing approved", "canceled unavailable created"),
        ("Zahlungsstatus", "Bezahlt", "bezahlt versendet", "Storniert Ausstehend"),
        ("status", "failed", "paid", "failed"),
    ],
)
def test_a_filter_of_states_has_every_word_that_is_known(
    column: str, seen: str, sent: str, left: str, tmp_path: Path
) -> None:
    head, source = f"{HEAD},{column}", tmp_path / "export.csv"
    _, _, text = drafted(tmp_path, f"{head}\n1,ada@example.com,12.50,EUR,2026-01-31,{seen}\n")
    assert "OPEN" not in text.partition("version: 1")[2]
    for states, filtered in ((sent, 0), (left, len(left.split()))):
        rows = [f"{n},ada@example.com,12.50,EUR,2026-01-31,{state}" for n, state in enumerate(states.split())]
        source.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
        told = importer("check", str(source), "-m", str(tmp_path / "export.yaml"), "--format", "json")
        assert json.loads(told.stdout)["rows"]["filtered"] == filtered, told.stdout


def test_the_filter_is_there_without_a_value_and_unknown_words_are_asked_about(tmp_path: Path) -> None:
    rows = "".join(f"{n},p{n}@example.com,{state}\n" for n, state in enumerate(["delivered", "layaway", "canceled"]))
    outcome, where, text = drafted(tmp_path, f"order_id,email,order_status\n{rows}")
    assert [one["column"] for one in where] == ["order_status"]
    assert "# OPEN: Which words in `order_status` mean that something was bought: layaway?" in text
    assert "rows by order_status: Which words" in outcome.stderr


@pytest.mark.parametrize("column", ["Fulfillment Status", "Email Marketing Status", "refund_reason"])
def test_states_of_something_else_leave_nothing_out(column: str, tmp_path: Path) -> None:
    rows = (f"{n},p{n}@example.com,12.50,EUR,2026-01-0{n},{cell}" for n, cell in enumerate(["failed", "pending"], 1))
    assert [one["column"] for one in drafted(tmp_path, "\n".join([f"{HEAD},{column}", *rows, ""]))[1]] == ["Total"]


def test_rows_that_mostly_have_no_value_are_not_called_purchases(tmp_path: Path) -> None:
    text = "id,email,value\n1,ada@example.com,5.00\n2,ada@example.com,\n3,bo@example.com,\n"
    assert "\ntype: {const: imported}\n" in drafted(tmp_path, text)[2]


def test_the_shops_own_address_never_stands_in_for_the_customers(tmp_path: Path) -> None:
    head = "Order,From Email Address,To Email Address,Gross"
    _, _, text = drafted(tmp_path, f"{head}\n1,ada@example.com,shop@example.org,5.00\n2,,shop@example.org,6.00\n")
    assert "\n  email: From Email Address\n" in text


def test_whole_amounts_beside_a_currency_in_small_letters_are_asked_about(tmp_path: Path) -> None:
    text = "id,email,amount,currency\na,ada@example.com,1200,{0}\nb,bo@example.com,50,{0}\n"
    asked = drafted(tmp_path, text.format("usd"))[2]
    assert "# OPEN: Are the amounts in `amount` in minor units: is 1999 the amount 19.99?" in asked
    assert "# value: {column: amount, minor_units: true}\n# value: amount\n" in asked
    assert "minor" not in drafted(tmp_path, text.format("USD"))[2].partition("version: 1")[2]


def test_newest_first_with_the_clock_in_a_column_of_its_own_is_put_in_order(tmp_path: Path) -> None:
    rows = "31.01.2026,08:15,CET,ada@example.com\n30.01.2026,09:15,CET,ada@example.com\n"
    _, _, text = drafted(tmp_path, f"Datum,Uhrzeit,Zeitzone,E-Mail\n{rows}")
    assert '\norder_by: {template: "{Datum} {Uhrzeit}", format: dmy, timezone: {column: Zeitzone}}\n' in text
