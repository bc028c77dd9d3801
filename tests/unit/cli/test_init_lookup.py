"""`importer init` with a second file: a lookup that the mapping takes the addresses from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from importer.mapping.load import load
from tests.support.program import importer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"o{at},{1000 + at % 7}.0,{at}.50,EUR\n" for at in range(1, 30))
    (tmp_path / "orders.csv").write_text("Order,Customer ID,Total,Currency\n" + rows, encoding="utf-8")
    people = "".join(f"{1000 + at},Name {at},p{at}@example.com\n" for at in range(7))
    (tmp_path / "customers.csv").write_text("Id,Name,Email\n" + people, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("arguments", [["orders.csv", "customers.csv"], ["orders.csv", "--lookup", "customers.csv"]])
def test_the_addresses_come_from_the_second_file(folder: Path, arguments: list[str]) -> None:
    """Its key is found by the cells that both files share; the trial sees it, and the mapping runs as it is."""
    (folder / "maps").mkdir()
    outcome = importer("init", *arguments, "-o", "maps/m.yaml", "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    first = json.loads(outcome.stdout.splitlines()[0])
    assert first["subscriber"] == {"email": "p1@example.com"}
    mapping = load("maps/m.yaml").mapping
    assert mapping.lookups["customers"].key.column == "Id"
    assert importer("check", "orders.csv", "-m", "maps/m.yaml").exit_code == 0


def test_a_second_file_without_the_keys_is_not_used(folder: Path) -> None:
    (folder / "customers.csv").write_text("Code,Email\nx-1,a@example.com\nx-2,b@example.com\n", encoding="utf-8")
    outcome = importer("init", "orders.csv", "customers.csv", "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    text = (folder / "orders.yaml").read_text(encoding="utf-8")
    assert "customers.csv is not used: no column of the file has the keys of a column there" in text
    assert "OPEN" in text


@pytest.mark.parametrize(
    ("keys", "columns"), [(range(4), ("Buyer", "Number")), (range(50_000, 50_200), ("Customer ID", "Id"))]
)
def test_a_guess_that_the_cells_do_not_bear_out_is_a_question(
    folder: Path, keys: range, columns: tuple[str, str]
) -> None:
    """Half of the keys under other names, or the same names and none of the keys: nobody gets an event by that."""
    rows = "".join(f"o{at},u-{at % 7},{at}.50,EUR\n" for at in range(1, 30))
    (folder / "orders.csv").write_text(f"Order,{columns[0]},Total,Currency\n{rows}", encoding="utf-8")
    people = "".join(f"u-{at},p{at}@example.com\n" for at in keys)
    people += "" if keys.start else "x-1,q@example.com\n"
    (folder / "customers.csv").write_text(f"{columns[1]},Email\n{people}", encoding="utf-8")
    limits = "importer.suggest.sampling.ROWS"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, 100)
        outcome = importer("init", "orders.csv", "customers.csv", "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    text = (folder / "orders.yaml").read_text(encoding="utf-8")
    assert f"# lookups: {{customers: {{file: customers.csv, key: {columns[1]}}}}}" in text
    assert f"# subscriber: {{email: {{lookup: customers, by: {columns[0]}, column: Email}}}}" in text
    assert "# OPEN: Which column has the keys of customers.csv?" in text
    assert importer("check", "orders.csv", "-m", "orders.yaml").exit_code == 2


def test_more_than_two_files_are_refused() -> None:
    outcome = importer("init", "orders.csv", "customers.csv", "orders.csv")
    assert outcome.exit_code == 2
    assert "a mapping is for a file and a second one to look things up in, not for 3" in outcome.stderr


def test_what_the_rows_say_themselves_comes_before_the_second_file(folder: Path) -> None:
    """Stripe's payments have an e-mail here and there; the list of customers has the rest."""
    names = "id,Seller Message,Created (UTC),Amount,Amount Refunded,Currency,Converted Amount,Status,Card ID"
    rows = f"{names},Customer ID,Customer Email,Captured\n"
    rows += "ch_1,ok,2024-01-05 10:00,12.50,0,eur,12.50,Paid,c1,cus_1,own@example.com,true\n"
    rows += "ch_2,ok,2024-01-05 11:00,10,0,eur,10,Paid,c2,cus_2,,true\n"
    (folder / "payments.csv").write_text(rows, encoding="utf-8")
    (folder / "people.csv").write_text("id,Email\ncus_1,a@example.com\ncus_2,b@example.com\n", encoding="utf-8")
    outcome = importer("init", "payments.csv", "people.csv", "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    whom = [json.loads(line)["subscriber"]["email"] for line in outcome.stdout.splitlines()]
    assert whom == ["own@example.com", "b@example.com"]
