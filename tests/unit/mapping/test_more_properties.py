"""Columns that nothing else uses, as properties: from every format, in groups, in extended mappings, within limits."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.program import importer

HEAD = "version: 1\nsubscriber: {email: Email}\ntype: {const: purchase}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def properties(source: str, mapping: str) -> list[dict[str, Any]]:
    """The properties of the events that the file makes, numbers exact."""
    Path("m.yaml").write_text(HEAD + mapping, encoding="utf-8")
    outcome = importer("check", source, "-m", "m.yaml", "--preview", "99")
    assert outcome.exit_code == 0, outcome.stderr
    return [json.loads(line, parse_float=Decimal).get("properties", {}) for line in outcome.stdout.splitlines()]


def reasons(source: str, mapping: str) -> list[tuple[int, str, str]]:
    """Row, code and field of every reason."""
    Path("m.yaml").write_text(HEAD + mapping, encoding="utf-8")
    importer("check", source, "-m", "m.yaml", "--out", "out", "--report-format", "jsonl")
    rows = [json.loads(line) for line in Path("out/report.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["row"], row["code"], row["field"]) for row in rows if row["code"]]


ALL = 'more_properties: {columns: "*"}\n'


def test_all_of_csv_is_text_and_used_columns_are_not_repeated(folder: Path) -> None:
    """The header says the columns; a column of the filter is used as well."""
    (folder / "a.csv").write_text('Email,Paid,Zip,"Ship, to",Total\na@example.com,yes,01234,,5\n', encoding="utf-8")
    mapping = ALL + "where: [{column: Paid, equals: yes}]\nvalue: Total\n"
    assert properties("a.csv", mapping) == [{"Zip": "01234"}]


def test_parquet_keeps_types_and_gives_the_members_of_structs(folder: Path) -> None:
    table = pa.table(
        {
            "Email": ["a@example.com", "b@example.com"],
            "n": pa.array([2**60 + 1, None], pa.int64()),
            "f": [1.0, float("nan")],
            "ok": [True, None],
            "day": pa.array([0, None], pa.date32()),
            "address": [{"city": "Rome", "geo": {"lat": 1.5}}, None],
        }
    )
    pq.write_table(table, folder / "a.parquet")
    made = properties("a.parquet", 'more_properties: {columns: ["*", "address.*", "address.geo.*"]}\n')
    assert made == [
        {"n": 2**60 + 1, "f": 1, "ok": True, "day": "1970-01-01", "city": "Rome", "lat": Decimal("1.5")},
        {},
    ]


def test_each_row_of_json_has_its_own_members_of_their_own_types(folder: Path) -> None:
    rows = [
        '{"Email": "a@example.com", "v": 12.50, "w": 9007199254740993, "x": "12.50", "y": true}',
        '{"Email": "b@example.com", "v": "twelve \\"12\\"", "w": null, "z": " "}',
    ]
    (folder / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")
    assert properties("a.jsonl", ALL + "properties: {order: o}\nmissing_columns: warn\n") == [
        {"v": Decimal("12.5"), "w": 9007199254740993, "x": "12.50", "y": True},
        {"v": 'twelve "12"'},
    ]


def test_what_cannot_be_a_property_is_an_error_of_its_row(folder: Path) -> None:
    long = "x" * 2049
    rows: list[dict[str, Any]] = [
        {"Email": "a@example.com", "tags": ["x"]},
        {"Email": "a@example.com", "text": long},
        {"Email": "a@example.com", **{f"k{at}": "y" * 2000 for at in range(5)}},
        {"Email": "a@example.com", "Total": 1, "total": 2},
        {"Email": "a@example.com", "total": 2},
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert reasons("a.jsonl", 'more_properties: {columns: "*", rename: snake_case}\n') == [
        (1, "property.nested", "properties.tags"),
        (2, "property.text_too_long", "properties.text"),
        (3, "properties.too_large", "properties"),
        (4, "property.repeated", "properties.total"),
    ]


def test_a_group_has_what_its_first_row_with_it_has(folder: Path) -> None:
    rows = "Email,Order,City,Note\na@example.com,1,Rome,\na@example.com,1,Bari,hi\nb@example.com,2,,\n"
    (folder / "a.csv").write_text(rows, encoding="utf-8")
    assert properties("a.csv", ALL + "group_by: Order\nproperties: {n: {column: Order, aggregate: count}}\n") == [
        {"n": 2, "City": "Rome", "Note": "hi"},
        {"n": 1},
    ]


def test_a_group_with_a_broken_member_is_invalid(folder: Path) -> None:
    rows = [{"Email": "a@example.com", "o": 1, "x": 1}, {"Email": "a@example.com", "o": 1, "x": [1]}]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = reasons("a.jsonl", ALL + "group_by: o\n")
    assert (2, "property.nested", "properties.x") in found
    assert (1, "group.invalid_row", "properties.x") in found


def test_an_extending_mapping_takes_it_away_or_sets_it_anew(folder: Path) -> None:
    (folder / "base.yaml").write_text(HEAD + ALL, encoding="utf-8")
    (folder / "a.csv").write_text("Email,A,B\na@example.com,1,2\n", encoding="utf-8")
    for words, made in (("", {"A": "1", "B": "2"}), ("more_properties: null\n", {})):
        (folder / "x.yaml").write_text("version: 1\nextends: base.yaml\n" + words, encoding="utf-8")
        outcome = importer("check", "a.csv", "-m", "x.yaml", "--preview", "9")
        assert json.loads(outcome.stdout).get("properties", {}) == made


def test_rows_that_come_back_from_rejects_have_only_their_own_columns(folder: Path) -> None:
    (folder / "a.csv").write_text("Email,A\nno address,1\n", encoding="utf-8")
    (folder / "m.yaml").write_text(HEAD + ALL, encoding="utf-8")
    importer("check", "a.csv", "-m", "m.yaml", "--out", "out")
    rejects = (folder / "out" / "rejects.csv").read_text(encoding="utf-8-sig").replace("no address", "a@example.com")
    (folder / "again.csv").write_text(rejects, encoding="utf-8")
    assert properties("again.csv", ALL) == [{"A": "1"}]


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("Billing Name", "billing_name"),
        ("billingName", "billing_name"),
        ("Name (Ship)", "name_ship"),
        ("$revenue", "revenue"),
        ("UTMSource", "utm_source"),
        ("Größe", "größe"),
        ("---", "---"),
    ],
)
def test_names_in_snake_case(folder: Path, name: str, renamed: str) -> None:
    (folder / "a.jsonl").write_text(json.dumps({"Email": "a@example.com", name: 1}), encoding="utf-8")
    assert properties("a.jsonl", 'more_properties: {columns: "*", rename: snake_case}\n') == [{renamed: 1}]
