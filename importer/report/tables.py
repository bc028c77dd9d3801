"""The report's table into a file: CSV, JSONL or Parquet, a whole column at a time.

CSV has minimal quoting and harmless formulas (RFC 4180, lines end in LF); JSONL is compact and has every key on each
line. Arrow's own CSV writer quotes every text or none, and prints a timestamp with a zone at 1.2 µs; joining columns
here is as fast and gives lines that ``cut`` and ``grep`` like.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from importer.json_columns import escape
from importer.model import ArrowArray, ArrowTable, Format
from importer.report.rows import COLUMNS, SCHEMA
from importer.roundtrip import harmless_column
from importer.texts import text_bytes

_OWN_WORDS = ("run", "state", "code")
"""Columns that hold nothing but this program's own words, never a cell of the user's."""
_ROW_GROUP = 131_072
"""Rows per Parquet row group: what is kept in memory before it is written."""


class TableWriter(Protocol):
    """Takes a table's rows, a batch at a time."""

    def add(self, table: ArrowTable) -> None:
        """Write some rows; raises `OSError` where the file system refuses."""

    def close(self) -> None:
        """Write what is left; the file itself stays open."""


class _TextTable:
    """Lines of text."""

    def __init__(self, file: BinaryIO, lines: Callable[[ArrowTable], memoryview], header: bytes = b"") -> None:
        self._file, self._lines = file, lines
        file.write(header)

    def add(self, table: ArrowTable) -> None:
        """See `TableWriter.add`."""
        self._file.write(self._lines(table))

    def close(self) -> None:
        """See `TableWriter.close`."""


class _AbandonableWriter(pq.ParquetWriter):  # type: ignore[misc]  # pyarrow ships no types
    """A writer that may be dropped unfinished, since its file is dropped with it; pyarrow's would write a footer."""

    def __del__(self) -> None:
        """Do nothing."""


class ParquetTable:
    """Typed columns, zstd, in row groups of even size."""

    def __init__(self, file: BinaryIO, schema: pa.Schema = SCHEMA) -> None:
        self._writer = _AbandonableWriter(file, schema, compression="zstd")
        self._waiting: list[ArrowTable] = []
        self._rows = 0

    def add(self, table: ArrowTable) -> None:
        """See `TableWriter.add`."""
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= _ROW_GROUP:
            self._write()

    def close(self) -> None:
        """See `TableWriter.close`."""
        if self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting, self._rows = [], 0


def csv_lines(table: ArrowTable) -> memoryview:
    """The table's rows as CSV, null as an empty cell."""
    cells = [_csv_cells(name, array) for name, array in _columns(table)]
    return _bytes(pc.binary_join_element_wise(*cells[:-1], _ended(cells[-1], "\n"), ","))


def json_lines(table: ArrowTable) -> memoryview:
    """The table's rows as JSON objects, one a line, null as ``null``."""
    pieces: list[ArrowArray | str] = []
    for name, array in _columns(table):
        pieces.append(("," if pieces else "{") + json.dumps(name) + ":")
        pieces.append(_json_values(array))
    return _bytes(pc.binary_join_element_wise(*pieces, "}\n", ""))


WRITERS: Mapping[Format, Callable[[BinaryIO], TableWriter]] = {
    "csv": lambda file: _TextTable(file, csv_lines, (",".join(COLUMNS) + "\n").encode()),
    "jsonl": lambda file: _TextTable(file, json_lines),
    "parquet": ParquetTable,
}
"""The writer for each format of the report."""


def _columns(table: ArrowTable) -> list[tuple[str, ArrowArray]]:
    return [(name, table.column(name).combine_chunks()) for name in table.column_names]


def _csv_cells(name: str, array: ArrowArray) -> ArrowArray:
    cells = pc.fill_null(_text(array), "")
    if not pa.types.is_string(array.type) or name in _OWN_WORDS or array.null_count == len(array):
        return cells
    if name == "source":  # the same in every row: change it once
        return pa.repeat(_quoted(cells[:1])[0], len(cells))
    return _quoted(cells)


def _quoted(cells: ArrowArray) -> ArrowArray:
    cells = harmless_column(cells)
    data = text_bytes(cells).tobytes()
    if not any(mark in data for mark in (b'"', b",", b"\n", b"\r")):
        return cells
    doubled = pc.replace_substring(cells, pattern='"', replacement='""')
    return pc.if_else(pc.match_substring_regex(cells, '[",\r\n]'), _wrapped('"', doubled), cells)


def _json_values(array: ArrowArray) -> ArrowArray:
    text = _text(array)
    if pa.types.is_string(array.type) or pa.types.is_timestamp(array.type):
        text = _wrapped('"', escape(text))
    return pc.fill_null(text, "null")


def _text(array: ArrowArray) -> ArrowArray:
    if pa.types.is_timestamp(array.type):
        # Without its zone Arrow prints a timestamp twelve times as fast; the zone is UTC.
        plain = pc.cast(pc.cast(array, pa.timestamp("ms")), pa.string())
        return _ended(pc.utf8_replace_slice(plain, 10, 11, "T"), "Z")
    return array if pa.types.is_string(array.type) else pc.cast(array, pa.string())


def _wrapped(mark: str, texts: ArrowArray) -> ArrowArray:
    return pc.binary_join_element_wise(mark, texts, mark, "")


def _ended(texts: ArrowArray, end: str) -> ArrowArray:
    return pc.binary_join_element_wise(texts, end, "")


def _bytes(lines: ArrowArray) -> memoryview:
    return text_bytes(lines).data
