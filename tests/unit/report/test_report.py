"""The report: one line per row, in source order, saying what became of it."""

import csv
import json
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.ledger.ledger import Ledger
from importer.model import Format, State
from importer.report import COLUMNS, ReportOptions, stream, write
from importer.roundtrip import original_cell
from tests.support.story import RUN, Row, batch, csv_source, ledger

ROOT = Path(__file__).parents[3]
DESIGN_COLUMNS = [
    "run", "source", "row", "line", "state", "code", "field", "message", "http_status", "attempts", "key", "subscriber",
    "type", "sent_at", "latency_ms",
]  # fmt: skip
SENT = {"http_status": 200, "attempts": 1, "sent_at": 1_795_457_035.1234, "latency_ms": 41.26, "key": "A1"}
WHO = {"subscriber": "ona@example.com", "type": "purchase"}
REFUSED = {"http_status": 422, "attempts": 1, "code": "api.refused", "message": "The type does not exist."}
SOURCE = csv_source("Email")

EVERY_STATE = [
    Row(b"a", State.SENT, told=SENT | WHO),
    Row(b"b", State.INVALID, [("email.invalid", "subscriber.email", "foo@"), ("type.missing", "type", "")]),
    Row(b"c", State.FILTERED),
    Row(b"d", State.GROUPED, told={"leader": 1}),
    Row(b"e", State.DUPLICATE, told={"key": "A1", "code": "duplicate.key", "message": "already in run X"}),
    Row(b"f", State.REFUSED, [("currency.retired", "value_currency", "LTL")], REFUSED | WHO),
    Row(b"g", State.FAILED, told={"code": "failed.attempts", "message": "no connection", "attempts": 5}),
    Row(b"h", State.IN_DOUBT, told={"code": "doubt.no_answer", "attempts": 1}),
    Row(b"i", State.PENDING, told=WHO),
]


def report(told: Ledger, form: Format = "csv") -> bytes:
    file = BytesIO()
    stream(told, RUN, file, form)
    return file.getvalue()


def lines(told: Ledger) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report(told, "jsonl").splitlines()]


def test_the_columns_are_the_designs() -> None:
    assert list(COLUMNS) == DESIGN_COLUMNS
    assert report(ledger()) == (",".join(DESIGN_COLUMNS) + "\n").encode()


def test_every_state_has_its_line_in_source_order() -> None:
    found = lines(ledger(batch(SOURCE, EVERY_STATE[:4]), batch(SOURCE, EVERY_STATE[4:], first=5)))
    assert [line["row"] for line in found] == list(range(1, 10))
    assert [line["state"] for line in found] == [state.value for state in State]


def test_a_line_tells_all_there_is_to_tell() -> None:
    (line,) = lines(ledger(batch(SOURCE, EVERY_STATE[:1])))
    assert line == {
        "run": RUN.id, "source": "orders.csv", "row": 1, "line": 2, "state": "sent", "code": None, "field": None,
        "message": None, "http_status": 200, "attempts": 1, "key": "A1", "subscriber": "ona@example.com",
        "type": "purchase", "sent_at": "2026-11-23T18:03:55.123Z", "latency_ms": 41.3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("at", "code", "field", "message"),
    [
        (
            1,
            "email.invalid; type.missing",
            "subscriber.email; type",
            "foo@ is not an e-mail address; the event has no type",
        ),
        (3, None, None, "part of row 1's event"),
        (4, "duplicate.key", None, "key A1 was already delivered, or is repeated in this file: already in run X"),
        (
            5,
            "currency.retired; api.refused",
            "value_currency; ",
            "LTL is a currency that is no longer in use; the API refused the event: The type does not exist.",
        ),
        (
            6,
            "failed.attempts",
            None,
            "given up after the last attempt; one of them may have been accepted: no connection",
        ),
        (7, "doubt.no_answer", None, "the request was written but no answer came"),
    ],
)
def test_reasons_are_in_words(at: int, code: str | None, field: str | None, message: str) -> None:
    line = lines(ledger(batch(SOURCE, EVERY_STATE)))[at]
    assert (line["code"], line["field"], line["message"]) == (code, field, message)


def test_several_refusals_keep_each_their_own_words() -> None:
    rows = [Row(b"", State.REFUSED, told=REFUSED | {"message": words}) for words in ("One.", "Two.", "One.")]
    found = [line["message"] for line in lines(ledger(batch(SOURCE, rows)))]
    assert found == [f"the API refused the event: {words}" for words in ("One.", "Two.", "One.")]


def test_an_unknown_code_speaks_for_itself() -> None:
    """A ledger may have been written by a later version."""
    line = lines(ledger(batch(SOURCE, [Row(b"", State.INVALID, [("new.code", "type", "what was found")])])))[0]
    assert (line["code"], line["message"]) == ("new.code", "what was found")


def test_a_message_stays_on_its_line_whatever_a_cell_or_the_api_says() -> None:
    rows = [
        Row(b"", State.INVALID, [("email.invalid", "subscriber.email", "a\nb\x1b[2J\u202e")]),
        Row(b"", State.REFUSED, told=REFUSED | {"message": "no\r\nway"}),
    ]
    first, second = (line["message"] for line in lines(ledger(batch(SOURCE, rows))))
    assert first == "a\\nb\\x1b[2J\\u202e is not an e-mail address"
    assert second == "the API refused the event: no\\r\\nway"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_three_formats_tell_the_same(form: Format, tmp_path: Path) -> None:
    told = ledger(batch(SOURCE, EVERY_STATE))
    expected = lines(told)
    write(told, RUN, ReportOptions(tmp_path, form))
    path = tmp_path / f"report.{form}"
    if form == "jsonl":
        found = [json.loads(line) for line in path.read_text().splitlines()]
    elif form == "parquet":
        found = pq.read_table(path).to_pylist()
        for line in found:
            line["sent_at"] = line["sent_at"] and line["sent_at"].isoformat(timespec="milliseconds")[:23] + "Z"
    else:
        found = list(csv.DictReader(StringIO(path.read_text(), newline="")))
        expected = [{k: "" if v is None else str(v) for k, v in line.items()} for line in expected]
    assert found == expected


def test_parquet_has_real_types(tmp_path: Path) -> None:
    write(ledger(batch(SOURCE, EVERY_STATE)), RUN, ReportOptions(tmp_path, "parquet"))
    schema = pq.read_schema(tmp_path / "report.parquet")
    assert schema.names == DESIGN_COLUMNS
    assert str(schema.field("sent_at").type) == "timestamp[ms, tz=UTC]"
    assert str(schema.field("row").type) == "int64"


def test_every_line_fits_the_schema() -> None:
    schema = json.loads((ROOT / "schemas/report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(schema["properties"]) == DESIGN_COLUMNS == schema["required"]
    assert schema["properties"]["state"]["enum"] == [state.value for state in State]
    for line in lines(ledger(batch(SOURCE, EVERY_STATE))):
        jsonschema.validate(line, schema, jsonschema.Draft202012Validator)


def test_csv_cells_are_harmless_in_a_spreadsheet() -> None:
    """A formula in a key, a subscriber, a type or a file's name does not run when the report is opened."""
    told = SENT | {"key": "=1+1", "subscriber": "+37061234567", "type": "@x"}
    text = report(ledger(batch(csv_source("Email", name="=evil.csv"), [Row(b"", told=told)]))).decode()
    line = next(csv.DictReader(StringIO(text)))
    assert (line["source"], line["key"], line["subscriber"], line["type"]) == (
        "'=evil.csv",
        "'=1+1",
        "+37061234567",
        "'@x",
    )


TEXTS = (
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.text("\",\r\n'=\\\x00", max_size=5)
)


@settings(deadline=None)  # a shared machine stalls now and then
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5), TEXTS)
def test_any_text_survives(texts: list[tuple[str | None, ...]], name: str | None) -> None:
    """Quotes, delimiters, line breaks and control characters in the user's data break neither CSV nor JSON."""
    rows = [Row(told={"key": key, "subscriber": who, "type": kind}) for key, who, kind in texts]
    told = ledger(batch(csv_source("a", name=name or "-"), rows))
    columns = ("source", "key", "subscriber", "type")
    expected = [(name or "-", *row) for row in texts]
    assert [tuple(line[c] for c in columns) for line in lines(told)] == expected
    found = csv.DictReader(StringIO(report(told).decode(), newline=""))
    cells = [tuple(line[c] for c in columns) for line in found]
    assert [tuple(map(original_cell, row)) for row in cells] == [tuple(cell or "" for cell in row) for row in expected]
