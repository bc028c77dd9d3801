"""`importer check` says what to do about what it found, and what is about to be sent."""

import json
from pathlib import Path

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.program import importer

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas/summary.schema.json").read_text())
SPOILED = """\
E-Mail;Telefon;Summe;Waehrung;Datum;Bezahlt;Notiz
ada@example.com;+493012345678;1.234,56;eur;03.04.2026;ja;a
bo@example.com;030 12345679;12,50;eur;13.04.2026;nein;b
cy@example.com;030 12345670;12,50;usd;14.04.2026;nein;c
"""
MAPPING = """\
version: 1
missing_columns: warn
subscriber:
  email: E-Mail
  phone: Telefon
type: {const: purchase}
value: Summe
value_currency: Waehrung
properties:
  at: {column: Datum, as: datetime}
  paid: {column: Bezahlt, as: boolean}
  notes: Notizen
"""
MENDED = """\
version: 1
missing_columns: warn
subscriber:
  email: E-Mail
  phone: {column: Telefon, country: DE}
type: {const: purchase}
value: {column: Summe, decimal: ",", thousands: "."}
value_currency: {column: Waehrung, upper: true}
properties:
  at: {column: Datum, as: datetime, format: dmy}
  paid: {column: Bezahlt, as: boolean, map: {ja: true, nein: false}}
  notes: Notizen
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.csv").write_text(SPOILED, encoding="utf-8")
    (tmp_path / "shop.yaml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def test_every_reason_comes_with_the_line_of_the_mapping_to_write(here: Path) -> None:
    outcome = importer("check", "shop.csv", "-m", "shop.yaml")
    assert outcome.exit_code == 1
    assert (
        outcome.stderr
        == """\
warning: shop.csv lacks 'Notizen' for properties.notes (did you mean 'Notiz'?)
Check finished: 0 of 3 rows are ready
  shop.csv: 3 rows (CSV, utf-8)

  3 x property.ambiguous_date (properties.at)
    shop.csv, row 1, line 2: properties.at: 03.04.2026 may have the day or the
      month first, and the mapping does not say which (day first: 3 April 2026;
      month first: 4 March 2026)
    fix: the values are written as day, month, year; in shop.yaml, line 10,
      write
      at: {column: Datum, as: datetime, format: dmy}
  3 x property.not_a_boolean (properties.paid)
    shop.csv, row 1, line 2: properties.paid: ja is neither true nor false
    fix: other words are used for true and false; in shop.yaml, line 11, write
      paid: {column: Bezahlt, as: boolean, map: {ja: true, nein: false}}
  3 x value.not_a_number (value)
    shop.csv, row 1, line 2: 1.234,56 is not a number
    fix: the values are written like 1.200,50; in shop.yaml, line 7, write
      value: {column: Summe, decimal: ",", thousands: "."}
  2 x phone.no_country (subscriber.phone)
    shop.csv, row 2, line 3: 030 12345679 has no country code
    fix: all phones that have a country code are from DE; in shop.yaml, line 5,
      write
      phone: {column: Telefon, country: DE}

  unused columns: Notiz
  missing column: Notizen, for properties.notes; did you mean Notiz?

  invalid    3  not sent: problem in the data
  ------------
  rows read  3  every row is accounted for
"""
    )


def test_the_advice_taken_every_row_can_be_sent_and_is_foreseen(here: Path) -> None:
    (here / "shop.yaml").write_text(MENDED, encoding="utf-8")
    outcome = importer("check", "shop.csv", "-m", "shop.yaml")
    assert outcome.exit_code == 0
    assert (
        outcome.stderr
        == """\
warning: shop.csv lacks 'Notizen' for properties.notes (did you mean 'Notiz'?)
Check finished: 3 of 3 rows are ready
  shop.csv: 3 rows (CSV, utf-8)

  unused columns: Notiz
  missing column: Notizen, for properties.notes; did you mean Notiz?

  3 events for 3 subscribers (counted by e-mail, then phone, then id)
  purchase  2 events, 1,247.06 EUR
  purchase  1 event, 12.50 USD
  2026-04-03 00:00 to 2026-04-14 00:00 by the source's own time (UTC)
  Estimated 3 s at 60 events/min (assumed; the real limit is read from the API)

  ready      3  would be sent
  ------------
  rows read  3  every row is accounted for

next
  rehearse 3 events on this machine, then send for real
    importer run shop.csv -m shop.yaml --sandbox
    importer run shop.csv -m shop.yaml
"""
    )


def test_the_same_stands_in_the_summary_and_on_stdout(here: Path) -> None:
    (here / "shop.yaml").write_text(MENDED, encoding="utf-8")
    outcome = importer("check", "shop.csv", "-m", "shop.yaml", "--format", "json", "--rate", "1", "--out", "out")
    told = json.loads(outcome.stdout)
    assert told == json.loads((here / "out" / "summary.json").read_text())
    jsonschema.validate(told, SCHEMA)
    samples = [json.loads(one) for one in told["check"].pop("samples")]
    assert [one["value"] for one in samples] == [1234.56, 12.5, 12.5]
    assert told["check"] == {
        "foreseen": {
            "events": 3, "subscribers": 3, "subscribers_exact": True,
            "types": [{"type": "purchase", "events": 3}], "other_types": 0,
            "totals": [
                {"currency": "EUR", "events": 2, "total": "1247.06"}, {"currency": "USD", "events": 1, "total": "12.5"},
            ],
            "oldest": "2026-04-03T00:00:00.000Z", "newest": "2026-04-14T00:00:00.000Z", "rate": 1, "seconds": 180,
        },
        "columns": [
            {
                "sources": ["shop.csv"], "unmapped": ["Notiz"],
                "missing": [{"name": "Notizen", "targets": ["properties.notes"], "nearest": "Notiz"}],
            }
        ],
    }  # fmt: skip


def test_advice_stands_in_the_summary(here: Path) -> None:
    told = json.loads(importer("check", "shop.csv", "-m", "shop.yaml", "--format", "json").stdout)
    jsonschema.validate(told, SCHEMA)
    assert told["reasons"][0]["advice"] == {
        "why": "the values are written as day, month, year",
        "write": "at: {column: Datum, as: datetime, format: dmy}",
        "place": "shop.yaml, line 10",
    }


def test_advice_on_what_is_inherited_is_to_be_written_over_it(here: Path) -> None:
    (here / "own.yaml").write_text("extends: shop.yaml\nproperties: {at: {column: Datum}}\n", encoding="utf-8")
    shown = importer("check", "shop.csv", "-m", "own.yaml").stderr
    assert "in own.yaml, over what it extends, write\n" in " ".join(shown.split()).replace("write ", "write\n")
    assert "      subscriber: {email: E-Mail, phone: {column: Telefon, country: DE}}\n" in shown
    assert "      properties: {paid: {column: Bezahlt, as: boolean, map: {ja: true, nein: false}}}\n" in shown


def test_a_row_without_an_address_is_shown_the_column_that_may_have_one(here: Path) -> None:
    (here / "orders.csv").write_text("Email,Billing Email\nada@example.com,\n,bo@example.com\n", encoding="utf-8")
    (here / "orders.yaml").write_text("version: 1\nsubscriber: {email: Email}\ntype: {const: a}\n", encoding="utf-8")
    shown = importer("check", "orders.csv", "-m", "orders.yaml").stderr
    assert "nothing maps the column Billing Email, which may have what these rows lack" in " ".join(shown.split())
    assert "      email: {first_of: [Email, Billing Email]}\n" in shown


def test_a_nested_column_of_which_a_part_is_mapped_is_mapped(here: Path) -> None:
    customer = [{"email": "ada@example.com", "city": "Vilnius"}]
    pq.write_table(pa.table({"customer": customer, "gift": [True]}), here / "orders.parquet")
    (here / "orders.yaml").write_text("version: 1\nsubscriber: {email: customer.email}\ntype: {const: a}\n")
    assert "unused columns: gift\n" in importer("check", "orders.parquet", "-m", "orders.yaml").stderr


def test_files_that_share_a_header_are_told_of_once(here: Path) -> None:
    for name, header in (("a", "Email,X"), ("b", "Email,X"), ("c", "Email,Y")):
        (here / f"{name}.csv").write_text(f"{header}\nada@example.com,{name}\n", encoding="utf-8")
    (here / "m.yaml").write_text("version: 1\nsubscriber: {email: Email}\ntype: {const: a}\n", encoding="utf-8")
    shown = importer("check", "a.csv", "b.csv", "c.csv", "-m", "m.yaml").stderr
    assert "  unused columns of a.csv and 1 file like it: X\n  unused columns of c.csv: Y\n" in shown
    assert "3 events for 1 subscriber (counted" in shown


def test_a_run_gives_the_advice_of_a_check(here: Path) -> None:
    checked = importer("check", "shop.csv", "-m", "shop.yaml", "--out", "checked")
    ran = importer("run", "shop.csv", "-m", "shop.yaml", "--sandbox", "--yes", "--out", "ran", "--ledger", "ledger.db")
    assert (checked.exit_code, ran.exit_code) == (1, 1)
    told = [json.loads((here / name / "summary.json").read_text())["reasons"] for name in ("checked", "ran")]
    of_check, of_run = ([one["advice"] for one in reasons] for reasons in told)
    assert of_run == of_check
    assert any(of_run)


KEYED = """\
version: 1
subscriber: {email: Email}
type: {const: purchase}
value: Total
value_currency: {const: EUR}
key: Order
"""


@pytest.mark.parametrize("out", [(), ("--out", "out")])
def test_what_repeats_within_the_files_is_settled_as_a_run_would(here: Path, out: tuple[str, ...]) -> None:
    """The same event twice is sent once; one key for different events is no event at all."""
    (here / "k.yaml").write_text(KEYED)
    (here / "a.csv").write_text("Email,Total,Order\na@example.com,1,A\nb@example.com,2,B\na@example.com,1,A\n")
    (here / "b.csv").write_text("Email,Total,Order\nc@example.com,3,B\nd@example.com,4,D\n")
    checked = importer("check", "a.csv", "b.csv", "-m", "k.yaml", "--format", "json", *out)
    run = importer("run", "a.csv", "b.csv", "-m", "k.yaml", "--sandbox", "--yes", "--out", "run", "--ledger", "l.db")
    found, real = json.loads(checked.stdout), json.loads((here / "run" / "summary.json").read_text())
    assert (checked.exit_code, run.exit_code) == (1, 1)
    expected = {**real["rows"], "pending": real["rows"]["sent"], "sent": 0}
    assert found["rows"] == expected
    assert (found["rows"]["pending"], found["rows"]["duplicate"], found["rows"]["invalid"]) == (2, 1, 2)
    assert found["check"]["foreseen"]["totals"] == [{"currency": "EUR", "events": 2, "total": "5"}]
    assert {one["code"]: one["count"] for one in found["reasons"]} == {"duplicate.key": 1, "key.conflict": 2}


def test_a_file_given_twice_is_checked_once(here: Path) -> None:
    (here / "m.yaml").write_text("version: 1\nsubscriber: {email: Email}\ntype: {const: a}\n")
    (here / "a.csv").write_text("Email\na@example.com\n")
    (here / "copy.csv").write_text("Email\na@example.com\n")
    found = json.loads(importer("check", "a.csv", "copy.csv", "-m", "m.yaml", "--format", "json").stdout)
    assert (found["rows"]["pending"], found["rows"]["duplicate"]) == (1, 1)


def test_columns_are_found_as_readers_find_them_and_a_long_error_is_one_line(here: Path) -> None:
    (here / "m.yaml").write_text("version: 1\nsubscriber: {email: Email}\ntype: {const: a}\n", encoding="utf-8")
    (here / "a.csv").write_text("Email , Name \nada@example.com , Ada \n")
    (here / "b.csv").write_bytes("Email,Name\nada@example.com,Žilvinas Šiaulys\n".encode("cp1257"))
    shown = importer("check", "a.csv", "b.csv", "-m", "m.yaml").stderr
    assert "missing column" not in shown
    said = " ".join(shown.partition("Check finished")[2].split())
    assert "b.csv: not read: is not UTF-8, and its letters can be read in more than one way: cp1" in said
    assert "cp1257: Žilvinas, Šiaulys" in said
    assert "}; cp125" in said
