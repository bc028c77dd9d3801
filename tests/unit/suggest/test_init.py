"""`importer init`: from any table to a mapping that runs as it is."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.mapping.load import load, loads
from tests.support.headers import OTHERS, PRESETS, table
from tests.support.program import Outcome, importer

CORPUS = next((one for up in Path(__file__).parents if (one := up / "shared" / "data").is_dir()), Path("none"))


def init(source: Path, *options: str) -> tuple[Outcome, Path]:
    mapping = source.with_suffix(".yaml")
    return importer("init", str(source), "-o", str(mapping), "--yes", *options), mapping


def written(tmp_path: Path, text: str, name: str = "export.csv") -> tuple[Outcome, Any, str]:
    """What comes of a file of this text: the outcome, the mapping, and its text."""
    source = tmp_path / name
    source.write_text(text, encoding="utf-8")
    outcome, mapping = init(source)
    assert outcome.exit_code == 0, outcome.stderr
    text = mapping.read_text(encoding="utf-8")
    return outcome, loads(text, str(mapping), partial=True).mapping, text


def refused(source: Path) -> str:
    """What `check` says of a mapping that `init` left something open in."""
    checked = importer("check", str(source), "-m", str(source.with_suffix(".yaml")))
    assert checked.exit_code == 2, checked.stderr
    return " ".join(checked.stderr.split())


def says(pick: Any) -> dict[str, Any]:
    found: dict[str, Any] = pick.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return found


ORDERS = """\
Order ID,Customer Email,Mobile,Order Date,Grand Total,Currency,Status
1001,ada@example.com,+37061234567,2026-11-03 08:15:00,12.50,eur,paid
1002,bo@example.com,861234568,2026-11-02 08:15:00,7.00,eur,paid
1003,cy@example.com,+37061234569,2026-11-01 08:15:00,9.00,eur,paid
"""


def test_names_and_cells_tell_which_column_is_what(tmp_path: Path) -> None:
    outcome, mapping, text = written(tmp_path, ORDERS)
    assert says(mapping.subscriber.email) == {"column": "Customer Email"}
    assert says(mapping.subscriber.phone) == {"column": "Mobile", "on_invalid": "omit"}
    assert says(mapping.key) == {"template": "purchase {Order ID}"}
    assert says(mapping.value) == {"column": "Grand Total"}
    assert says(mapping.value_currency) == {"column": "Currency"}
    assert says(mapping.order_by) == {"column": "Order Date"}
    assert "# sure: named like e-mail addresses, and all of its cells are e-mail addresses" in text
    assert "# likely: a guess; the type must exist in Sender, and is the same for all rows" in text
    events = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [event["subscriber"]["email"] for event in events] == ["ada@example.com", "bo@example.com", "cy@example.com"]
    assert "of the first 3 rows, 3 can be sent" in outcome.stderr
    said = " ".join(outcome.stderr.split())
    assert said.startswith(f"{tmp_path}/export.csv: 3 rows, 7 columns, CSV, delimiter comma, utf-8 ")
    assert outcome.stderr.endswith(f"\nnext:\n  importer check {tmp_path}/export.csv -m {tmp_path}/export.yaml\n")
    assert text.startswith("# yaml-language-server: $schema=")


def test_comments_hold_no_cell_of_the_file(tmp_path: Path) -> None:
    _, _, text = written(tmp_path, ORDERS)
    assert "example.com" not in text
    assert "3706" not in text


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("Bestellnummer;E-Mail;Datum;Gesamtbetrag;Währung", "{n};p{n}@example.com;3{n}.10.2026;1.2{n}0,50;EUR",
         {"email": "E-Mail", "value": {"column": "Gesamtbetrag", "decimal": ",", "thousands": "."}, "format": "dmy"}),
        ("numero commande;courriel;date;montant;devise", "{n};p{n}@example.com;3{n}/10/2026;1 2{n}0,50;EUR",
         {"email": "courriel", "value": {"column": "montant", "decimal": ",", "thousands": " "}, "format": "dmy"}),
        ("pedido\tcorreo\tfecha\timporte\tmoneda", "{n}\tp{n}@example.com\t2026-10-0{n}\t1{n}.5\tEUR",
         {"email": "correo", "value": {"column": "importe"}, "format": None}),
        ("Order|Email|Date|Total|Currency", "{n}|p{n}@example.com|10/3{n}/2026 2:30 PM|$1,2{n}0.50|USD",
         {"email": "Email", "value": {"column": "Total", "decimal": ".", "thousands": ","}, "format": "mdy"}),
        ("uzsakymo nr;El. paštas;Data;Suma;Valiuta", "{n};p{n}@example.com;2026.10.0{n};1{n},50;EUR",
         {"email": "El. paštas", "value": {"column": "Suma", "decimal": ","}, "format": "ymd"}),
    ],
    ids=["german", "french", "spanish", "american", "lithuanian"],
)  # fmt: skip
def test_it_reads_other_languages_and_their_numbers_and_dates(
    tmp_path: Path, header: str, cells: str, expected: dict[str, Any]
) -> None:
    rows = "\n".join(cells.format(n=n) for n in (0, 1))
    _, mapping, _ = written(tmp_path, f"{header}\n{rows}\n")
    assert says(mapping.subscriber.email) == {"column": expected["email"]}
    assert says(mapping.value) == expected["value"]
    assert says(mapping.properties["occurred_at"]).get("format") == expected["format"]


def test_an_ambiguous_date_is_asked_about(tmp_path: Path) -> None:
    _, mapping, text = written(tmp_path, "Email,Date\nada@example.com,03/04/2026\nbo@example.com,05/06/2026\n")
    assert (mapping.order_by, mapping.properties) == (None, {})
    assert "# OPEN: Does the day (dmy) or the month (mdy) come first in `Date`?" in text
    assert "# order_by: {column: Date, as: date, format: mdy}\n" in text
    assert "#   occurred_at: {column: Date, as: date, format: dmy}\n" in text
    assert "this is open: Does the day (dmy) or the month (mdy) come first in `Date`?" in refused(
        tmp_path / "export.csv"
    )


def test_a_column_of_both_orders_is_asked_about_and_a_point_needs_no_question(tmp_path: Path) -> None:
    rows = "ada@example.com,13/04/2026\nbo@example.com,05/26/2026\ncy@example.com,05/06/2026\n"
    _, mapping, text = written(tmp_path, f"Email,Date\n{rows}")
    assert mapping.order_by is None
    assert "some dates have the day first, others the month" in text.replace("\n#       ", " ")
    _, mapping, _ = written(tmp_path, "Email,Date\nada@example.com,03.04.2026\n", "points.csv")
    assert mapping.order_by.format == "dmy"


def test_dates_of_the_first_weeks_are_told_by_those_that_come_later(tmp_path: Path) -> None:
    """A long file begins with one week's rows, whose days are all below 13."""
    rows = [f"ada@example.com,12/{day}/2010 8:26,1" for day in (1, 2) for _ in range(2_600)]
    outcome, mapping, text = written(
        tmp_path, "\n".join(["Email,InvoiceDate,Points", *rows, "x@example.com,1/31/2011,1"])
    )
    assert says(mapping.properties["occurred_at"])["format"] == "mdy"
    assert "day and month cannot be distinguished" not in text
    assert json.loads(outcome.stdout.splitlines()[0])["properties"]["occurred_at"] == "2010-12-01T08:26:00"


def test_dates_of_one_drop_are_told_by_those_of_the_next(tmp_path: Path) -> None:
    for name, day in (("a.csv", "3/4/2026"), ("b.csv", "3/14/2026")):
        (tmp_path / name).write_text(f"Email,Date\nada@example.com,{day}\n")
    importer("init", str(tmp_path / "*.csv"), "-o", str(tmp_path / "m.yaml"), "--yes")
    assert says(load(str(tmp_path / "m.yaml")).mapping.properties["occurred_at"])["format"] == "mdy"


def test_line_items_become_one_event(tmp_path: Path) -> None:
    rows = "".join(f"{n // 3},item {n},{n % 4 + 1},1.50,p{n // 3}@example.com,2026-11-01\n" for n in range(12))
    _, mapping, text = written(tmp_path, f"InvoiceNo,Description,Quantity,UnitPrice,Email,InvoiceDate\n{rows}")
    assert says(mapping.group_by) == {"column": "InvoiceNo"}
    assert says(mapping.value) == {
        "product_of": [{"column": "Quantity"}, {"column": "UnitPrice"}],
        "aggregate": "sum",
    }
    assert "OPEN: Which currency are the amounts in" in text


def test_date_time_and_zone_in_three_columns_are_one_time(tmp_path: Path) -> None:
    rows = "31.10.2026,18:20:31,CET,ada@example.com\n30.10.2026,18:20:31,CET,bo@example.com\n"
    outcome, mapping, _ = written(tmp_path, f"Datum,Uhrzeit,Zeitzone,E-Mail\n{rows}")
    assert says(mapping.properties["occurred_at"]) == {
        "template": "{Datum} {Uhrzeit}", "as": "datetime", "format": "dmy", "timezone": {"column": "Zeitzone"},
    }  # fmt: skip
    assert "2026-10-31T18:20:31+01:00" in outcome.stdout


def test_a_name_that_stands_in_the_header_twice_is_told(tmp_path: Path) -> None:
    outcome, mapping, text = written(tmp_path, "Email,Total,Total\nada@example.com,1,2.50\n")
    assert mapping.value is None
    said = "the file has Total more than once, so none of them is used; rename one of each"
    assert f"doubled columns: left out ({said}" in " ".join(outcome.stderr.split())
    assert f"# likely: {said}" in text


@pytest.mark.parametrize(
    "titles", ["Sales report\nFrom,2026-01-01\n\n", "Sales report,,,\n,,,\n", '"Orders, ""all"""\n']
)
def test_a_reports_title_is_skipped(titles: str, tmp_path: Path) -> None:
    rows = "Order,Email,Total,Currency\n1,ada@example.com,12.50,EUR\n2,bo@example.com,3.50,EUR\n"
    outcome, _, _ = written(tmp_path, titles + rows)
    assert [json.loads(line)["value"] for line in outcome.stdout.splitlines()] == [12.5, 3.5]


def test_a_phone_that_cannot_be_used_does_not_cost_a_row_that_has_an_address(tmp_path: Path) -> None:
    rows = "1,ada@example.com,9.23E+11\n2,bo@example.com,+37061234567\n3,,+37061234568\n4,,9.23E+11\n"
    outcome, mapping, _ = written(tmp_path, f"Order,Email,Phone\n{rows}")
    assert says(mapping.subscriber.phone) == {"column": "Phone", "on_invalid": "omit"}
    assert "of the first 4 rows, 3 can be sent\n" in outcome.stderr
    assert "  1 x subscriber.missing (subscriber)" in outcome.stderr
    _, mapping, text = written(tmp_path, "Order,Email,Phone\n1,ada@example.com,861234567\n", "national.csv")
    assert mapping.subscriber.phone is None
    assert "# Phone is not taken: most of its numbers have no country code or are not valid" in text


def test_a_phone_that_is_surely_one_is_taken(tmp_path: Path) -> None:
    rows = "1,ada@example.com,+37061234567\n2,,+37061234568\n"
    _, mapping, _ = written(tmp_path, f"Order,Email,Phone\n{rows}")
    assert says(mapping.subscriber.phone) == {"column": "Phone", "on_invalid": "omit"}


def test_a_file_without_a_header_is_found_out(tmp_path: Path) -> None:
    source = tmp_path / "sales.txt"
    source.write_text(" 00004 19970101  29.33\n 00005 19970118  29.73\n")
    init(source)
    text = source.with_suffix(".yaml").read_text()
    assert "source: {delimiter: whitespace, header: false}\n" in text
    assert "\nsubscriber" not in text
    assert "open: Who is the event about" in refused(source)


def test_nested_json_is_reached_by_paths(tmp_path: Path) -> None:
    line = '{"id": "e1", "at": 1793002500, "user": {"email": "ada@example.com"}, "event": "signed_up"}\n'
    outcome, mapping, _ = written(tmp_path, line, "events.jsonl")
    assert says(mapping.subscriber.email) == {"column": "user.email"}
    assert says(mapping.type) == {"column": "event"}
    assert json.loads(outcome.stdout)["type"] == "signed_up"


def test_nested_parquet_is_reached_by_paths(tmp_path: Path) -> None:
    source = tmp_path / "orders.parquet"
    customer = [{"email": f"p{n}@example.com", "tags": ["a"]} for n in range(3)]
    pq.write_table(pa.table({"order_id": [1, 2, 3], "customer": customer, "points": ["1.5", "2.5", "3.5"]}), source)
    outcome, mapping = init(source)
    assert outcome.exit_code == 0, outcome.stderr
    assert says(load(str(mapping)).mapping.subscriber.email) == {"column": "customer.email"}


def test_it_does_not_overwrite_a_mapping_unless_told_to(tmp_path: Path) -> None:
    source = tmp_path / "orders.csv"
    source.write_text(ORDERS)
    init(source)
    outcome, mapping = init(source)
    assert outcome.exit_code == 2
    assert outcome.stderr == (
        f"error: {mapping} exists already\n\nhint: name another file with -o, or overwrite it with --force\n"
    )
    assert init(source, "--force")[0].exit_code == 0


def test_standard_input_is_refused() -> None:
    outcome = importer("init", "-", "--yes")
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        (
            "error: standard input cannot be read twice, as `importer init` has to\n\n"
            "hint: save it to a file first: … > export.csv\n"
        ),
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_platforms_export_is_recognised(preset: str, tmp_path: Path) -> None:
    outcome, _, text = written(tmp_path, table(PRESETS[preset]))
    assert f"\nextends: {preset}\n" in text
    assert f"extends the preset {preset}" in outcome.stderr


EXCEL = """\
Name,Email,Financial Status,Paid at,Fulfillment Status,Accepts Marketing,Currency,Subtotal,Shipping,Taxes,Total,\
Discount Code,Discount Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Cancelled at,Phone
#1,ada@example.com,paid,10/{day}/2017 10:56,,TRUE,USD,20,5,1,26,,0,10/{day}/2017 10:56,1,Mug,10,,
#1,ada@example.com,,,,,,,,,,,,10/{day}/2017 10:56,2,Soap,5,,
"""


def test_a_presets_dates_are_adapted_to_what_excel_made_of_them(tmp_path: Path) -> None:
    outcome, mapping, text = written(tmp_path, EXCEL.format(day=13))
    assert "# the dates are written as mdy, not ISO 8601\n# likely: the times have no zone" in text
    assert "\norder_by: {column: Created at, as: datetime, format: mdy}\n" in text
    assert says(mapping.properties["ordered_at"])["format"] == "mdy"
    assert json.loads(outcome.stdout)["properties"]["ordered_at"] == "2017-10-13T10:56:00"


def test_a_presets_ambiguous_dates_are_asked_about(tmp_path: Path) -> None:
    _, _, text = written(tmp_path, EXCEL.format(day=2))
    assert "# OPEN: Does the day (dmy) or the month (mdy) come first in `Created at`?" in text
    assert "# order_by: {column: Created at, as: datetime, format: mdy}\n" in text
    assert "come first in `Created at`" in refused(tmp_path / "export.csv")


def is_fine(source: Path, mapping: Path) -> None:
    """A mapping runs, or it says what is open."""
    checked = importer("check", str(source), "-m", str(mapping))
    assert checked.exit_code in {0, 1} or "this is open: " in checked.stderr, checked.stderr


@pytest.mark.parametrize("header", [*PRESETS, *OTHERS])
def test_every_known_header_gives_a_mapping_that_runs_or_asks(header: str, tmp_path: Path) -> None:
    source = tmp_path / "export.csv"
    source.write_text(table((PRESETS | OTHERS)[header]), encoding="utf-8")
    outcome, mapping = init(source)
    assert outcome.exit_code == 0, outcome.stderr
    is_fine(source, mapping)


FILES = [path for path in sorted(CORPUS.rglob("*.*")) if path.suffix in {".csv", ".jsonl", ".txt"}]


@pytest.mark.skipif(not FILES, reason="the corpus lies beside a working copy only")
@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_every_file_of_the_corpus_gives_a_mapping_that_runs_or_asks(path: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    outcome = importer("init", str(path), "-o", str(mapping), "--yes")
    assert outcome.exit_code == 0, outcome.stderr
    is_fine(path, mapping)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=8) | st.sampled_from(
    ["", "1,5", "1.234,56", "ada@example.com", "+37061234567", "03/04/2026", "2026-11-01", "EUR", "yes", "1793002500"]
)
NAMES = CELLS | st.sampled_from(["Email", "Total", "Date", "Order ID", "Currency", "Phone", "Quantity", "Item", "null"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.lists(st.tuples(NAMES, st.lists(CELLS, min_size=4, max_size=4)), min_size=1, max_size=5),
    rows=st.integers(0, 4),
)
def test_any_readable_table_gives_a_mapping_that_runs_or_asks(
    tmp_path: Path, columns: list[tuple[str, list[str]]], rows: int
) -> None:
    source = tmp_path / "any.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(name for name, _ in columns)
        writer.writerows([cells[row] for _, cells in columns] for row in range(rows))
    outcome, mapping = init(source, "--force")
    if outcome.exit_code == 2:
        assert "has no column with a name" in outcome.stderr or "more than once" in outcome.stderr
        return
    is_fine(source, mapping)


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    outcome = importer("init", str(pipe), "--yes")
    assert (outcome.exit_code, "cannot be read twice, as `importer init` has to" in outcome.stderr) == (2, True)
