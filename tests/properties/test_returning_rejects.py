"""Rejects that come back: read again with the same options, every cell is what it was in the source.

What matters is the event: a mended row must become what the original would have become, formulas and all.
"""

import codecs
import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.mapping.model import SourceOptions
from importer.model import Chunk, RowBatch, RunSource, State
from importer.read import expand, open_source
from importer.report import ReportOptions, check_run, write_check
from tests.support.story import Row, batch

INFO = check_run("")
OPTIONS = SourceOptions(encoding="utf-8")
CELL = st.text("=+-@'\",;\t 19aé", max_size=6)


def chunks(path: Path, columns: list[str], options: SourceOptions) -> Iterator[Chunk]:
    with open_source(expand([str(path)])[0], options) as reader:
        yield from reader.chunks(columns, raw_rows=True)


def told(path: Path, columns: list[str], options: SourceOptions) -> Iterator[RowBatch]:
    """Every row as rejected, the unreadable ones for their own reason."""
    for chunk in chunks(path, columns, options):
        unreadable = {one.row: (one.code, "", one.value) for one in chunk.unreadable}
        numbers = range(chunk.first_row, chunk.first_row + chunk.count)
        rows = [Row(state=State.INVALID, reasons=[unreadable.get(n, ("type.missing", "type", ""))]) for n in numbers]
        yield batch(chunk.source, rows, first=chunk.first_row, raw_rows=chunk.raw_rows)


def rejects(path: Path, columns: list[str], options: SourceOptions) -> Path:
    out = path.parent / f"{path.stem}-out"
    sources: list[RunSource] = []
    write_check(told(path, columns, options), lambda: sources, INFO, ReportOptions(out))
    return out / f"rejects{path.suffix}"


def rows(path: Path, columns: list[str], options: SourceOptions) -> list[dict[str, str | None]]:
    tables = [chunk.table for chunk in chunks(path, columns, options)]
    found: list[dict[str, str | None]] = pa.concat_tables(tables).to_pylist() if tables else []
    return found


@settings(deadline=None, max_examples=30)  # each writes real files; a shared machine stalls now and then
@given(
    st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=4)),
    st.sampled_from(",;|"),
)
def test_csv_rejects_read_back_as_their_source_however_often(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "in.csv"
    columns = [f"c{at}" for at in range(len(table[0]))]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([columns, *table])
    options = SourceOptions(encoding="utf-8", delimiter=delimiter)
    once = rejects(path, columns, options)
    assert rows(once, columns, options) == rows(path, columns, options)
    twice = rejects(once, columns, options)
    assert rows(twice, columns, options) == rows(path, columns, options)


def test_a_column_keeps_its_name_though_it_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('Email,"=cmd|x","\'=y"\na@example.com,=1,2\n')
    columns = ["Email", "=cmd|x", "'=y"]
    once = rejects(path, columns, OPTIONS)
    assert once.read_text().startswith("Email,'=cmd|x,''=y,importer_state,")
    assert (
        rows(once, columns, OPTIONS)
        == rows(path, columns, OPTIONS)
        == [{"Email": "a@example.com", "=cmd|x": "=1", "'=y": "2"}]
    )


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (codecs.BOM_UTF8 + "a;b\r\nž;=1\r\n".encode(), SourceOptions()),
        ("a,b\né,=1\n".encode("cp1252"), SourceOptions(encoding="cp1252")),
        ("a\tb\nž\t=1\n".encode("utf-16"), SourceOptions()),
        (b"# from the shop\n\na,b\nx,=1\n", SourceOptions(skip_lines=2)),
        (b"a b\n  x   =1\n", SourceOptions(delimiter="whitespace")),
        (b"x,=1\n'y',2\n", SourceOptions(header=("a", "b"), quote="'")),
        (b"a,b\nx\n", SourceOptions(ragged="pad")),
    ],
    ids=["mark", "encoding", "utf-16", "skipped-lines", "whitespace", "no-header", "padded"],
)
def test_any_kind_of_csv_comes_back_with_the_same_mapping(tmp_path: Path, data: bytes, options: SourceOptions) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(data)
    before = rows(path, ["a", "b"], options)
    assert len(before) > 0
    after = rows(rejects(path, ["a", "b"], options), ["a", "b"], options)
    assert [blank_is_absent(row) for row in after] == [blank_is_absent(row) for row in before]


def blank_is_absent(row: dict[str, str | None]) -> dict[str, str | None]:
    """As the mapping sees it."""
    return {name: cell or None for name, cell in row.items()}


@pytest.mark.parametrize("broken", [b"x,1,2", b"x", b'x,"open', b"caf\xe9,1"])
def test_a_row_that_nobody_mended_is_never_delivered_by_accident(tmp_path: Path, broken: bytes) -> None:
    """It comes back as unreadable, or with nothing in its cells, and its text is still there."""
    path = tmp_path / "in.csv"
    path.write_bytes(b"a,b\n1,2\n" + broken + b"\n3,4\n")
    once = rejects(path, ["a", "b"], OPTIONS)
    found = [(row["a"] or None, row["b"] or None) for row in rows(once, ["a", "b"], OPTIONS)]
    assert found in ([("1", "2"), ("3", "4")], [("1", "2"), (None, None), ("3", "4")])
    assert broken in rejects(once, ["a", "b"], OPTIONS).read_bytes().replace(b'""', b'"')


def test_jsonl_rejects_come_back(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    values = [{"a": "=1", "b": 12345678901234567890}, {"a": None}, {"b": "ž\n"}]
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")
    once = rejects(path, ["a", "b"], OPTIONS)
    assert rows(once, ["a", "b"], OPTIONS) == rows(path, ["a", "b"], OPTIONS)
    assert rows(rejects(once, ["a", "b"], OPTIONS), ["a", "b"], OPTIONS) == rows(path, ["a", "b"], OPTIONS)


def test_a_mended_reject_is_read_like_any_row(tmp_path: Path) -> None:
    """The record moves from importer_original back into its cells, and the row can be read again."""
    path = tmp_path / "in.csv"
    path.write_bytes(b"a,b\nx;=1\n")
    once = rejects(path, ["a", "b"], OPTIONS)
    head, line = csv.reader(StringIO(once.read_text()))
    assert line[-1] == "x;=1"
    mended = [*["x", "=1"], *line[2:-1], ""]
    with once.open("w", newline="") as file:
        csv.writer(file).writerows([head, mended])
    assert rows(once, ["a", "b"], OPTIONS) == [{"a": "x", "b": "=1"}]
