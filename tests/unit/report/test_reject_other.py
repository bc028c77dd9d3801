"""Rejects of JSONL and Parquet sources, and of runs over sources that differ."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from importer.model import Dialect, Source, State
from importer.report import ReportOptions, write
from importer.roundtrip import APPENDED
from tests.support.story import RUN, Row, batch, csv_source, ledger

JSONL = Source("events.jsonl", None, Dialect("jsonl"), None)
PARQUET = Source("events.parquet", None, Dialect("parquet"), ("id", "total", "at"))
BAD = [("type.missing", "type", "")]
NOTE = {
    "state": "invalid", "code": "type.missing", "field": "type", "message": "the event has no type",
    "source": "events.jsonl", "row": 1, "line": 2, "run": RUN.id,
}  # fmt: skip


def jsonl(out: Path, *records: bytes, source: Source = JSONL) -> list[str]:
    rows = [Row(record, State.INVALID, BAD) for record in records]
    write(ledger(batch(source, rows)), RUN, ReportOptions(out))
    return (out / "rejects.jsonl").read_bytes().decode(source.dialect.encoding).splitlines()


def test_a_jsonl_reject_is_its_object_to_the_last_digit_with_one_more_key(tmp_path: Path) -> None:
    (line,) = jsonl(tmp_path, b'{ "id": 12345678901234567890, "v": 1.50e0, "a": {"b": []} } ')
    assert line.startswith('{ "id": 12345678901234567890, "v": 1.50e0, "a": {"b": []} ,"_importer":{')
    assert json.loads(line)["_importer"] == NOTE


@pytest.mark.parametrize("record", [b"{}", b"{ }"])
def test_an_empty_object_stays_json(tmp_path: Path, record: bytes) -> None:
    assert json.loads(jsonl(tmp_path, record)[0]) == {"_importer": NOTE}


@pytest.mark.parametrize(
    "record", [b'{"a": 1', b"[1]", b"nonsense", b'{"a": NaN}', b'{"a": "\xed\xb3\xbf"}', b"[" * 5000]
)
def test_a_line_that_is_no_object_is_kept_as_text(tmp_path: Path, record: bytes) -> None:
    found = json.loads(jsonl(tmp_path, record)[0])
    assert found == {"_importer": NOTE | {"original": record.decode("utf-8", "surrogatepass")}}


def test_jsonl_rejects_of_rejects_replace_the_key(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "1", b'{"a": 1.50, "b": 2}', b"nonsense")
    second = jsonl(tmp_path / "2", *(line.encode() for line in first))
    assert second[0].startswith('{"a":1.50,"b":2,"_importer":{')
    assert second[0].count("_importer") == 1
    assert json.loads(second[1]) == {"_importer": NOTE | {"row": 2, "line": 3, "original": "nonsense"}}


def test_jsonl_keeps_its_encoding(tmp_path: Path) -> None:
    source = Source("events.jsonl", None, Dialect("jsonl", encoding="cp1252"), None)
    jsonl(tmp_path, '{"a":"é"}'.encode(), source=source)
    assert b'{"a":"\xe9","_importer"' in (tmp_path / "rejects.jsonl").read_bytes()


def test_lines_that_the_mapping_skips_are_there_to_be_skipped(tmp_path: Path) -> None:
    source = Source("events.jsonl", None, Dialect("jsonl", skip_lines=1), None)
    assert jsonl(tmp_path, b"{}", source=source)[0] == "skipped"


def parquet_table() -> pa.Table:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    columns: dict[str, list[Any]] = {
        "id": [9_007_199_254_740_993, 2, 3],
        "total": [Decimal("1.50"), None, Decimal("-3.00")],
        "at": [moment, moment, None],
        "nested": [{"a": [1]}, None, {"a": []}],
    }
    return pa.table(columns)


def test_parquet_rejects_keep_columns_and_types(tmp_path: Path) -> None:
    table = parquet_table()
    rows = [Row(state=State.INVALID, reasons=BAD), Row(state=State.SENT), Row(state=State.REFUSED)]
    write(ledger(batch(PARQUET, rows, raw_rows=table)), RUN, ReportOptions(tmp_path))
    found = pq.read_table(tmp_path / "rejects.parquet")
    assert found.column_names == [*table.column_names, *APPENDED]
    assert found.select(table.column_names).equals(table.take([0, 2]))
    assert found.column("importer_code").to_pylist() == ["type.missing", ""]
    assert found.column("importer_row").to_pylist() == [1, 3]


def test_parquet_rejects_of_rejects_replace_the_columns(tmp_path: Path) -> None:
    rows = [Row(state=State.INVALID, reasons=BAD)] * 3
    write(ledger(batch(PARQUET, rows, raw_rows=parquet_table())), RUN, ReportOptions(tmp_path / "1"))
    first = pq.read_table(tmp_path / "1" / "rejects.parquet")
    write(ledger(batch(PARQUET, rows, raw_rows=first)), RUN, ReportOptions(tmp_path / "2"))
    assert pq.read_table(tmp_path / "2" / "rejects.parquet").equals(first)


def test_parquet_rejects_are_one_file_where_only_some_batches_come_with_their_raw_rows(tmp_path: Path) -> None:
    """The ledger gives the raw rows of those batches alone in which a row was not delivered."""
    table = parquet_table()
    fine = [replace(batch(PARQUET, [Row()] * 3, first=at, raw_rows=table), raw_rows=None) for at in (1, 7)]
    bad = batch(PARQUET, [Row(state=State.INVALID, reasons=BAD)] * 3, first=4, raw_rows=table)
    write(ledger(fine[0], bad, fine[1]), RUN, ReportOptions(tmp_path))
    assert pq.read_table(tmp_path / "rejects.parquet").select(table.column_names).equals(table)


def test_sources_of_one_form_share_a_file(tmp_path: Path) -> None:
    rows = [Row(b"x", State.INVALID, BAD)]
    told = [
        batch(csv_source("Email", name=name, has_bom=bom), rows) for name, bom in (("a.csv", False), ("b.csv", True))
    ]
    write(ledger(*told), RUN, ReportOptions(tmp_path))
    lines = (tmp_path / "rejects.csv").read_text().splitlines()
    assert [line.split(",")[5] for line in lines] == ["importer_source", "a.csv", "b.csv"]


def test_sources_that_differ_have_files_of_their_own(tmp_path: Path) -> None:
    rows = [Row(b"x", State.INVALID, BAD), Row(b"y", State.IN_DOUBT)]
    told = [
        batch(csv_source("Email", name="drops/a.b.csv"), rows),
        batch(csv_source("Mail", name="zip.zip/a.csv"), rows),
        batch(csv_source("E", name="<stdin>"), rows),
        batch(csv_source("F", name="clean.csv"), [Row(b"z")]),
        batch(JSONL, [Row(b"{}", State.INVALID, BAD)]),
    ]
    done = write(ledger(*told), RUN, ReportOptions(tmp_path))
    names = ["rejects-a.csv", "in-doubt-a.csv", "rejects-a-2.csv", "in-doubt-a-2.csv", "rejects-stdin.csv",
             "in-doubt-stdin.csv", "rejects-events.jsonl"]  # fmt: skip
    assert [path.name for path in done.paths] == ["report.csv", *names, "report.html", "summary.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in done.paths)
    assert [(file.holds, file.rows) for file in done.summary.files][:3] == [
        ("report", 8),
        ("rejects", 1),
        ("in_doubt", 1),
    ]


def test_rows_whose_originals_are_no_longer_kept_are_counted(tmp_path: Path) -> None:
    one = batch(csv_source("Email"), [Row(b"x", State.INVALID, BAD)])
    told = ledger(type(one)(one.source, one.table, one.reasons, None))
    done = write(told, RUN, ReportOptions(tmp_path))
    assert done.summary.without_originals == 1
    assert not (tmp_path / "rejects.csv").exists(), "an empty one would say that nothing was rejected"


def test_rejects_can_be_left_out(tmp_path: Path) -> None:
    write(ledger(batch(JSONL, [Row(b"{}", State.INVALID, BAD)])), RUN, ReportOptions(tmp_path, rejects=False))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.csv", "report.html", "summary.json"]
