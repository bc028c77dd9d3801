"""The report's rows: a batch of the ledger with the reasons of each row, and as a table of the report's columns.

A row's several reasons, planning's and then delivery's, become one line: joined with ``; ``, so that the n-th code,
field and message belong together. ``schemas/report.schema.json`` describes the columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import BinaryIO, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from importer.columns import mask_of, text_bytes, whole
from importer.json_columns import escape
from importer.model import ArrowArray, ArrowTable, Format, Int64s, RowBatch, State
from importer.reasons import REASONS
from importer.report.words import messages_of, shown_column
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

STATES = tuple(State)
"""A state's number in `ExplainedBatch` is its place here."""
_STATES = pa.array(STATES, pa.string())
_GROUPED = STATES.index(State.GROUPED)
_NAMES_VALUE = pa.array([code for code, one in REASONS.items() if "{value}" in one.message])
"""Codes whose message names a value; of delivery's, that is the key."""


class ExplainedBatch(msgspec.Struct, frozen=True):
    """A batch with its reasons."""

    batch: RowBatch
    reasons: ArrowTable
    """One line per row and reason, by row: at int64 (0-based position in the batch), code, field, value and message
    string (none null). Delivery's reasons come behind planning's."""
    codes: ArrowArray
    """Of each row its reasons' codes, joined; null where there is nothing to say."""
    fields: ArrowArray
    messages: ArrowArray
    states: Int64s
    """Of each row the number of its state."""
    event_states: Int64s
    """Of each row the number of its event's state: for part of a group, that of the group's head."""

    def column(self, name: str) -> ArrowArray:
        """A column of the batch's table as one array."""
        return whole(self.batch.table.column(name))


def explain(batch: RowBatch) -> ExplainedBatch:
    """Find what is to be said of each row."""
    count = batch.table.num_rows
    states, heads = (_numbers(whole(batch.table.column(name))) for name in ("state", "leader_state"))
    reasons = _reasons(batch)
    codes, fields, messages = (_joined(reasons, name, count) for name in ("code", "field", "message"))
    event_states = np.where(states == _GROUPED, heads, states)
    return ExplainedBatch(batch, reasons, codes, fields, _with_groups(batch, states, messages), states, event_states)


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
        "sent_at": pc.cast(pc.round(pc.multiply(explained.column("sent_at"), 1000.0)), pa.int64()),
        "latency_ms": pc.round(explained.column("latency_ms"), 1),
    }
    arrays = [made[name] if name in made else explained.column(name) for name in COLUMNS]
    return pa.Table.from_arrays([pc.cast(a, f.type) for a, f in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)


def _numbers(states: ArrowArray) -> Int64s:
    """The numbers of states; -1 for null."""
    if states.null_count == len(states):
        return np.full(len(states), -1)
    numbers: Int64s = pc.fill_null(pc.index_in(states, value_set=_STATES), -1).to_numpy().astype(np.int64)
    return numbers


def _reasons(batch: RowBatch) -> ArrowTable:
    """Planning's reasons, then delivery's, by row."""
    rows = whole(batch.table.column("row")).to_numpy()
    at = np.searchsorted(rows, batch.reasons.column("row").to_numpy())
    planned = (batch.reasons.column(name) for name in ("code", "field", "value"))
    names = ["at", "code", "field", "value", "words"]
    found = pa.table([pa.array(at, pa.int64()), *planned, pa.repeat("", len(at))], names=names)
    code, words = (whole(batch.table.column(name)) for name in ("code", "message"))
    delivered = np.flatnonzero(pc.or_(code.is_valid(), words.is_valid()).to_numpy(zero_copy_only=False))
    if len(delivered):
        code, words, key = (
            pc.fill_null(whole(batch.table.column(name)).take(pa.array(delivered)), "")
            for name in ("code", "message", "key")
        )
        values = pc.if_else(pc.is_in(code, _NAMES_VALUE), key, words)
        added = [pa.array(delivered, pa.int64()), code, pa.repeat("", len(delivered)), values, words]
        found = pa.concat_tables([found, pa.table(added, names=names)]).combine_chunks()
        found = found.take(pa.array(np.argsort(found.column("at").to_numpy(), kind="stable")))
    return found.append_column("message", _messages(found)).drop_columns("words")


def _messages(reasons: ArrowTable) -> ArrowArray:
    """What to say of each reason; behind it the API's own words, if there are any."""
    codes, fields, values, words = (whole(reasons.column(name)) for name in ("code", "field", "value", "words"))
    messages = pa.nulls(len(codes), pa.string())
    for code in pc.unique(codes).to_pylist():
        here = pc.equal(codes, code)
        messages = pc.replace_with_mask(messages, here, messages_of(code, fields.filter(here), values.filter(here)))
    quoted = pc.and_(pc.not_equal(words, ""), pc.is_in(codes, pa.array(REASONS)))
    if not quoted.true_count:
        return messages
    return pc.if_else(quoted, pc.binary_join_element_wise(messages, shown_column(words), ": "), messages)


def _joined(reasons: ArrowTable, name: str, count: int) -> ArrowArray:
    """A column of the reasons with one text per row of the batch."""
    if not reasons.num_rows:
        return pa.nulls(count, pa.string())
    at = reasons.column("at").to_numpy()
    starts = np.flatnonzero(np.append(True, at[1:] != at[:-1]))
    texts = whole(reasons.column(name))
    texts = shown_column(texts) if name == "field" else texts
    if len(starts) < len(at):
        offsets = pa.array(np.append(starts, len(at)).astype(np.int32))
        texts = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), SEPARATOR)
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    return pc.replace_with_mask(pa.nulls(count, pa.string()), pa.array(mask_of(at[starts], count)), texts)


def _with_groups(batch: RowBatch, states: Int64s, messages: ArrowArray) -> ArrowArray:
    """Of a row that is part of another row's event it is said which."""
    heads = whole(batch.table.column("leader"))
    if heads.null_count == len(heads):
        return messages
    sources = shown_column(whole(batch.table.column("leader_source")))
    elsewhere = pc.coalesce(pc.binary_join_element_wise(sources, ", ", ""), "")
    text = pc.binary_join_element_wise("part of ", elsewhere, "row ", pc.cast(heads, pa.string()), "'s event", "")
    return pc.if_else(pc.and_(pa.array(states == _GROUPED), heads.is_valid()), text, messages)


# As files: CSV has minimal quoting and harmless formulas (RFC 4180, lines end in LF); JSONL has every key on each line.
# Arrow's own CSV writer quotes every text or none, and prints a timestamp with a zone at 1.2 µs; this is as fast.

_ROW_GROUP = 131_072
"""Rows per Parquet row group: what is kept in memory before it is written."""


class TableWriter(Protocol):
    """Takes a table's rows, a batch at a time."""

    def add(self, table: ArrowTable) -> None:
        """Write some rows; raises `OSError` where the file system refuses."""

    def close(self) -> None:
        """Write what is left; the file itself stays open."""


class _TextTable:
    """Lines of text, each of a text before each cell, the cell, and a text at the end."""

    def __init__(
        self, file: BinaryIO, cells: Callable[[ArrowArray], ArrowArray], before: list[str], end: str, header: str = ""
    ) -> None:
        self._file, self._cells, self._before, self._end = file, cells, before, end
        file.write(header.encode())

    def add(self, table: ArrowTable) -> None:
        """See `TableWriter.add`; a text that is the same in all rows is made once."""
        pieces: list[ArrowArray] = []
        same = ""
        for before, column in zip(self._before, table.columns, strict=True):
            array, same = whole(column), same + before
            if _is_constant(array):
                same += self._cells(array[:1])[0].as_py()
            else:
                pieces += [pa.repeat(same, len(array)), self._cells(array)] if same else [self._cells(array)]
                same = ""
        pieces.append(pa.repeat(same + self._end, table.num_rows))
        self._file.write(text_bytes(pc.binary_join_element_wise(*pieces, "")).data)

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

    def add(self, table: ArrowTable) -> None:
        """See `TableWriter.add`."""
        self._waiting.append(table)
        if sum(one.num_rows for one in self._waiting) >= _ROW_GROUP:
            self._write()

    def close(self) -> None:
        """See `TableWriter.close`."""
        if self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting = []


WRITERS: Mapping[Format, Callable[[BinaryIO], TableWriter]] = {
    "csv": lambda file: _TextTable(file, _csv_cells, ["", *[","] * (len(COLUMNS) - 1)], "\n", ",".join(COLUMNS) + "\n"),
    "jsonl": lambda file: _TextTable(
        file, _json_values, ["{,"[number > 0] + json.dumps(name) + ":" for number, name in enumerate(COLUMNS)], "}\n"
    ),
    "parquet": ParquetTable,
}
"""The writer for each format of the report."""


def _is_constant(array: ArrowArray) -> bool:
    if array.null_count:
        return bool(array.null_count == len(array))
    return array[0] == array[-1] and bool(pc.all(pc.equal(array, array[0])).as_py())


def _csv_cells(array: ArrowArray) -> ArrowArray:
    cells = pc.fill_null(_text(array), "")
    if not pa.types.is_string(array.type):
        return cells
    cells = harmless_column(cells)
    data = text_bytes(cells).tobytes()
    if not any(mark in data for mark in (b'"', b",", b"\n", b"\r")):
        return cells
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(cells, pattern='"', replacement='""'), '"', "")
    return pc.if_else(pc.match_substring_regex(cells, '[",\r\n]'), quoted, cells)


def _json_values(array: ArrowArray) -> ArrowArray:
    text = _text(array)
    if pa.types.is_string(array.type) or pa.types.is_timestamp(array.type):
        text = pc.binary_join_element_wise('"', escape(text), '"', "")
    return pc.fill_null(text, "null")


def _text(array: ArrowArray) -> ArrowArray:
    if pa.types.is_timestamp(array.type):
        # Without its zone Arrow prints a timestamp twelve times as fast; the zone is UTC.
        plain = pc.cast(pc.cast(array, pa.timestamp("ms")), pa.string())
        return pc.binary_join_element_wise(pc.utf8_replace_slice(plain, 10, 11, "T"), "Z", "")
    return array if pa.types.is_string(array.type) else pc.cast(array, pa.string())
