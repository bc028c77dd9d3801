"""The report's rows: a batch of the ledger with the reasons of each row, and as a table of the report's columns.

A row's several reasons, planning's and then delivery's, become one line: joined with ``; ``, so that the n-th code,
field and message belong together. ``schemas/report.schema.json`` describes the columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from importer.columns import text_bytes
from importer.json_columns import escape
from importer.model import ArrowArray, ArrowTable, Format, RowBatch, State
from importer.reasons import REASONS
from importer.report.messages import delivery_messages, messages_of, shown_column
from importer.roundtrip import harmless_column

SEPARATOR = "; "
SCHEMA = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        ("code", pa.string()),
        ("field", pa.string()),
        ("message", pa.string()),
        ("http_status", pa.int16()),
        pa.field("attempts", pa.int32(), nullable=False),
        ("key", pa.string()),
        ("subscriber", pa.string()),
        ("type", pa.string()),
        ("sent_at", pa.timestamp("ms", "UTC")),
        ("latency_ms", pa.float64()),
    ]
)
"""The report as a Parquet file has it; CSV and JSONL write ``sent_at`` as ISO 8601 text."""

COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)


@dataclass(frozen=True, slots=True)
class ExplainedBatch:
    """A batch with its reasons."""

    batch: RowBatch
    reasons: ArrowTable
    """One line per row and reason, by row: at int64 (0-based position in the batch), row int64, code, field, value and
    message string (none null). Delivery's reasons come behind planning's."""
    codes: ArrowArray
    """Of each row its reasons' codes, joined; null where there is nothing to say."""
    fields: ArrowArray
    messages: ArrowArray

    def column(self, name: str) -> ArrowArray:
        """A column of the batch's table as one array."""
        return self.batch.table.column(name).combine_chunks()


def explain(batch: RowBatch) -> ExplainedBatch:
    """Find what is to be said of each row."""
    reasons = _reasons(batch)
    count = batch.table.num_rows
    joined = {name: _joined(reasons, name, count) for name in ("code", "field", "message")}
    messages = _with_groups(batch, joined["message"])
    return ExplainedBatch(batch, reasons, joined["code"], joined["field"], messages)


def report_table(explained: ExplainedBatch, run: str) -> ArrowTable:
    """The report's columns, a line per row, in the batch's order."""
    batch = explained.batch
    count = batch.table.num_rows
    made = {
        "run": pa.repeat(pa.scalar(run, pa.string()), count),
        "source": pa.repeat(pa.scalar(batch.source.name, pa.string()), count),
        "code": explained.codes,
        "field": explained.fields,
        "message": explained.messages,
        "attempts": pc.fill_null(explained.column("attempts"), 0),
        "sent_at": _moments(explained.column("sent_at")),
        "latency_ms": pc.round(explained.column("latency_ms"), 1),
    }
    arrays = [made[name] if name in made else explained.column(name) for name in COLUMNS]
    return pa.Table.from_arrays([pc.cast(a, f.type) for a, f in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)


def _reasons(batch: RowBatch) -> ArrowTable:
    """Planning's reasons, then delivery's, by row."""
    planned, rows = batch.reasons, batch.table.column("row").combine_chunks()
    at = np.searchsorted(rows.to_numpy(zero_copy_only=False), planned.column("row").to_numpy())
    columns = {name: planned.column(name).combine_chunks() for name in ("row", "code", "field", "value")}
    table = pa.table({"at": pa.array(at, pa.int64()), **columns, "message": _messages(columns)})
    delivered = _delivered(batch, rows)
    if not delivered.num_rows:
        return table
    table = pa.concat_tables([table, delivered]).combine_chunks()
    return table.take(pa.array(np.argsort(table.column("at").to_numpy(), kind="stable"))).combine_chunks()


def _messages(reasons: dict[str, ArrowArray]) -> ArrowArray:
    codes = reasons["code"]
    messages = pa.nulls(len(codes), pa.string())
    for code in pc.unique(codes).to_pylist():
        here = pc.equal(codes, code)
        found = messages_of(code, reasons["field"].filter(here), reasons["value"].filter(here))
        messages = pc.replace_with_mask(messages, here, found)
    return messages


def _delivered(batch: RowBatch, rows: ArrowArray) -> ArrowTable:
    """What delivery says of the rows of which it says something; the value is the API's words, or the key."""
    codes, words = batch.table.column("code").combine_chunks(), batch.table.column("message").combine_chunks()
    places = pa.array(np.flatnonzero(pc.or_(codes.is_valid(), words.is_valid()).to_numpy(zero_copy_only=False)))
    codes, words = pc.fill_null(codes.take(places), ""), words.take(places)
    keys = batch.table.column("key").combine_chunks().take(places)
    messages = pa.nulls(len(places), pa.string())
    values = pa.nulls(len(places), pa.string())
    for code in pc.unique(codes).to_pylist():
        here = pc.equal(codes, code)
        found = delivery_messages(code, words.filter(here), keys.filter(here))
        messages = pc.replace_with_mask(messages, here, pc.fill_null(found, ""))
        known = keys if "{value}" in getattr(REASONS.get(code), "message", "") else words
        values = pc.replace_with_mask(values, here, pc.fill_null(known.filter(here), ""))
    columns = [places.cast(pa.int64()), rows.take(places), codes, pa.repeat("", len(places)), values, messages]
    return pa.table(columns, names=["at", "row", "code", "field", "value", "message"])


def _joined(reasons: ArrowTable, name: str, count: int) -> ArrowArray:
    """A column of the reasons with one text per row of the batch."""
    if not reasons.num_rows:
        return pa.nulls(count, pa.string())
    at = reasons.column("at").to_numpy()
    starts = np.flatnonzero(np.append(True, at[1:] != at[:-1]))
    texts = reasons.column(name).combine_chunks()
    texts = shown_column(texts) if name == "field" else texts
    if len(starts) < len(at):
        offsets = pa.array(np.append(starts, len(at)).astype(np.int32))
        texts = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), SEPARATOR)
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    chosen = np.zeros(count, np.bool_)
    chosen[at[starts]] = True
    return pc.replace_with_mask(pa.nulls(count, pa.string()), pa.array(chosen), texts)


def _with_groups(batch: RowBatch, messages: ArrowArray) -> ArrowArray:
    """Of a row that is part of another row's event it is said which."""
    heads = batch.table.column("leader").combine_chunks()
    if heads.null_count == len(heads):
        return messages
    follows = pc.and_(pc.equal(batch.table.column("state").combine_chunks(), State.GROUPED.value), heads.is_valid())
    sources = shown_column(batch.table.column("leader_source").combine_chunks())
    elsewhere = pc.coalesce(pc.binary_join_element_wise(sources, ", ", ""), "")
    text = pc.binary_join_element_wise("part of ", elsewhere, "row ", pc.cast(heads, pa.string()), "'s event", "")
    return pc.if_else(follows, text, messages)


def _moments(seconds: ArrowArray) -> ArrowArray:
    whole = pc.cast(pc.round(pc.multiply(seconds, 1000.0)), pa.int64())
    return pc.cast(whole, pa.timestamp("ms", "UTC"))


# As files: CSV has minimal quoting and harmless formulas (RFC 4180, lines end in LF); JSONL has every key on each line.
# Arrow's own CSV writer quotes every text or none, and prints a timestamp with a zone at 1.2 µs; this is as fast.

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
