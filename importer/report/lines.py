"""Tables as CSV or JSON lines, a whole column at a time.

This module owns the text of both: minimal quoting and harmless formulas in CSV (RFC 4180, lines end in LF), compact
JSON with every key present in JSONL. It knows no files.

Arrow's own CSV writer quotes every text or none, and its timestamps cost 1.2 µs each to print with a zone; joining
columns here is as fast and gives lines that ``cut`` and ``grep`` like.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from importer.json_columns import escape
from importer.model import ArrowArray, ArrowTable
from importer.roundtrip import harmless_column
from importer.texts import text_bytes

_OWN_WORDS = ("run", "state", "code")
"""Columns that hold nothing but this program's own words, never a cell of the user's."""


def csv_header(columns: Sequence[str]) -> bytes:
    """The first line of a CSV file."""
    return (",".join(columns) + "\n").encode()


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


def _columns(table: ArrowTable) -> list[tuple[str, ArrowArray]]:
    return [(name, table.column(name).combine_chunks()) for name in table.column_names]


def _csv_cells(name: str, array: ArrowArray) -> ArrowArray:
    cells = pc.fill_null(_text(array), "")
    if not pa.types.is_string(array.type) or name in _OWN_WORDS or array.null_count == len(array):
        return cells
    return _once_if_constant(name, cells, _quoted)


def _quoted(cells: ArrowArray) -> ArrowArray:
    cells = harmless_column(cells)
    data = text_bytes(cells).tobytes()
    if not any(mark in data for mark in (b'"', b",", b"\n", b"\r")):
        return cells
    doubled = pc.replace_substring(cells, pattern='"', replacement='""')
    return pc.if_else(pc.match_substring_regex(cells, '[",\r\n]'), _wrapped('"', doubled), cells)


def _json_values(array: ArrowArray) -> ArrowArray:
    text = _text(array)
    if text is not array or pa.types.is_string(array.type):
        is_text = pa.types.is_string(array.type) or pa.types.is_timestamp(array.type)
        text = _wrapped('"', escape(text)) if is_text else text
    return pc.fill_null(text, "null")


def _text(array: ArrowArray) -> ArrowArray:
    if pa.types.is_timestamp(array.type):
        # Without its zone Arrow prints a timestamp twelve times as fast; the zone is UTC.
        plain = pc.cast(pc.cast(array, pa.timestamp("ms")), pa.string())
        return _ended(pc.utf8_replace_slice(plain, 10, 11, "T"), "Z")
    return array if pa.types.is_string(array.type) else pc.cast(array, pa.string())


def _once_if_constant(name: str, cells: ArrowArray, change: Callable[[ArrowArray], ArrowArray]) -> ArrowArray:
    """A source's name repeats in every row: change it once."""
    if name != "source":
        return change(cells)
    return pa.repeat(change(cells[:1])[0], len(cells))


def _wrapped(mark: str, texts: ArrowArray) -> ArrowArray:
    return pc.binary_join_element_wise(mark, texts, mark, "")


def _ended(texts: ArrowArray, end: str) -> ArrowArray:
    return pc.binary_join_element_wise(texts, end, "")


def _bytes(lines: ArrowArray) -> memoryview:
    return text_bytes(lines).data
