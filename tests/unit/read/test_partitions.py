"""Directories called ``name=value`` are columns of the files below them, in CSV and JSONL as in Parquet."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import pytest

from importer.mapping.model import SourceOptions
from importer.read import expand, open_source
from importer.read.reader import chunk_of
from tests.support.program import importer

CSV = "id,note\n1,a\n2,b\n"
JSONL = '{"id": 1, "shop": null}\n{"id": 2, "shop": "own"}\n'


def put(folder: Path, place: str, text: str) -> Path:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rows(path: Path, *columns: str) -> tuple[list[dict[str, str | None]], str]:
    """What the columns hold, parsed as in another process, and the digest."""
    with open_source(expand([str(path)])[0], SourceOptions()) as reader:
        parts = [pickle.loads(pickle.dumps(part)) for part in reader.parts(columns, raw_rows=True)]  # noqa: S301  # its own
        return [row for part in parts for row in chunk_of(part).table.to_pylist()], reader.digest


@pytest.mark.parametrize(("name", "text"), [("x.csv", CSV), ("x.jsonl", '{"id": 1}\n{"id": 2}\n')])
def test_directories_are_columns(tmp_path: Path, name: str, text: str) -> None:
    path = put(tmp_path, f"shop=north%20side/day=/{name}", text)
    found, _ = rows(path, "id", "shop", "day")
    assert found == [{"id": str(number), "shop": "north side", "day": None} for number in (1, 2)]


def test_what_the_file_has_itself_counts_more(tmp_path: Path) -> None:
    found, _ = rows(put(tmp_path, "id=9/x.csv", CSV), "id")
    assert found == [{"id": "1"}, {"id": "2"}]
    found, _ = rows(put(tmp_path, "shop=north/x.jsonl", JSONL), "shop")
    assert found == [{"shop": "north"}, {"shop": "own"}]


@pytest.mark.parametrize(("name", "text"), [("x.csv", CSV), ("x.jsonl", '{"id": 1}\n')])
def test_the_same_rows_in_another_directory_are_other_rows_if_the_mapping_reads_it(
    tmp_path: Path, name: str, text: str
) -> None:
    north, south = (put(tmp_path, f"shop={shop}/{name}", text) for shop in ("north", "south"))
    assert rows(north, "id", "shop")[1] != rows(south, "id", "shop")[1]
    assert rows(north, "id")[1] == rows(south, "id")[1] == rows(put(tmp_path, name, text), "id")[1]


MAPPING = (
    "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\nvalue: total\nproperties: {shop: shop}\n"
    'more_properties: {columns: "*", except: [total, email]}\n'
)


def test_rejects_can_be_run_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "m.yaml", MAPPING)
    put(tmp_path, 'data/shop=a,"b/x.csv', "email,total\nada@example.org,10\nbob@example.org,ten\n")
    put(tmp_path, "data/shop=c/x.csv", "email,total\ncyd@example,1\n")
    put(tmp_path, "data/shop=d/x.jsonl", '{"email": "dan@example.org", "total": "five"}\n')
    put(tmp_path, "data/shop=d/y.jsonl", '{"email": "eve@example.org", "total": "six", "shop": null}\n')
    command = ("-m", "m.yaml", "--sandbox", "--ledger", "l.db")
    assert importer("run", "data", *command, "--out", "out").exit_code == 1
    with Path("out/rejects-x.csv").open(newline="") as file:
        assert [(one["shop"], one["email"]) for one in csv.DictReader(file)] == [
            ('a,"b', "bob@example.org"), ("c", "cyd@example"),
        ]  # fmt: skip
    put(
        tmp_path,
        "fixed.csv",
        Path("out/rejects-x.csv").read_text().replace("ten", "10").replace("cyd@example,", "cyd@example.org,"),
    )
    put(tmp_path, "fixed.jsonl", Path("out/rejects-x-2.jsonl").read_text().replace('"five"', "5").replace('"six"', "6"))
    assert importer("run", "fixed.csv", "fixed.jsonl", *command, "--out", "again").exit_code == 0
    sent = [json.loads(line)["event"] for line in Path("again/sandbox-events.jsonl").read_text().splitlines()]
    assert sorted((one["subscriber"]["email"], one["properties"]["shop"]) for one in sent) == [
        ("bob@example.org", 'a,"b'), ("cyd@example.org", "c"), ("dan@example.org", "d"), ("eve@example.org", "d"),
    ]  # fmt: skip
