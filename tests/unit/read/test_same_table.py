"""One table in three formats reads as the same text, and the public test corpus as its expected values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.unit.read.helpers import Outcome, read_bytes, read_file

CORPUS = Path(__file__).parents[4] / "shared" / "data" / "csv-spectrum"

TABLE = pd.DataFrame(
    {
        "id": ["00123", "9007199254740993", "", "-7"],
        "email": ["a@example.com", "Ünï@example.org", 'quo"ted', "x,y"],
        "note": ["two\nlines", " blanks ", "日本", "'apostrophe"],
        "count": [1, 2**62, -3, 0],
        "total": [12.5, 17850.25, 0.1, 1e16],
        "paid": ["true", "false", "true", "true"],
    }
)


def test_the_same_table_gives_the_same_text_in_every_format(tmp_path: Path) -> None:
    """As pandas writes it; an empty cell is empty text in all three."""
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    TABLE.to_json(tmp_path / "t.jsonl", orient="records", lines=True, double_precision=15)
    TABLE.to_parquet(tmp_path / "t.parquet")
    columns = [column for column in TABLE.columns if column != "total"]

    read = [read_file(tmp_path / name, columns) for name in ("t.csv", "t.jsonl", "t.parquet")]

    assert read[0].rows == read[1].rows == read[2].rows
    assert read[0].numbers == read[1].numbers == read[2].numbers == [1, 2, 3, 4]
    assert read_file(tmp_path / "t.csv", ["total"]).rows == read_file(tmp_path / "t.parquet", ["total"]).rows


def table_of(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.unreadable == []
    return outcome.rows


OWN = {
    "comma in quotes": (b'name,place\nAda,"Here, there"', [{"name": "Ada", "place": "Here, there"}]),
    "empty": (b'x,y\n"",\n,""\n', [{"x": "", "y": ""}, {"x": "", "y": ""}]),
    "escaped quotes": (b'x,y\n1,"say ""no"" now"\n', [{"x": "1", "y": 'say "no" now'}]),
    "JSON": (b'x,y\n1,"{""a"": [1, 2.50]}"\n', [{"x": "1", "y": '{"a": [1, 2.50]}'}]),
    "line ends in cells": (b'x,y\n"one\ntwo",2\n3,4\n', [{"x": "one\ntwo", "y": "2"}, {"x": "3", "y": "4"}]),
    "CRLF in cells": (b'x,y\r\n"one\r\ntwo",2\r\n', [{"x": "one\r\ntwo", "y": "2"}]),
    "quotes and line ends": (b'x,y\n1,"a \n""b"" \nc"\n', [{"x": "1", "y": 'a \n"b" \nc'}]),
    "UTF-8": ("x,y\n1,ž€𝄞".encode(), [{"x": "1", "y": "ž€𝄞"}]),
}


def corpus() -> dict[str, tuple[bytes, list[dict[str, str]]]]:
    """The public corpus, which lies beside a checkout and is not ours to copy; OWN has the same cases."""
    cases = {}
    for path in sorted(CORPUS.glob("*.csv")):
        data = path.read_bytes()
        if path.stem.endswith("_crlf") and b"\r" not in data:
            data = data.replace(b"\n", b"\r\n")  # the copy has lost the line ends that it is named after
        cases[path.name] = data, json.loads((CORPUS / "expected" / f"{path.stem}.json").read_text("utf-8"))
    return cases


CASES = OWN | corpus()


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES.keys())
def test_the_quirks_of_csv_read_as_they_are_meant(data: bytes, expected: list[dict[str, str]]) -> None:
    assert table_of(read_bytes(data)) == expected


def test_real_files_give_every_line_below_the_header_as_a_row() -> None:
    for path in CORPUS.parent.glob("online-retail/*.csv"):
        outcome = read_file(path)
        assert outcome.count == len(outcome.rows) == path.read_bytes().count(b"\n") - 1
        assert outcome.lines == list(range(2, outcome.count + 2))
