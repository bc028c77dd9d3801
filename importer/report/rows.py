"""The report's rows: a batch of the ledger with the reasons of each row, and as a table of the report's columns.

A row's several reasons, planning's and then delivery's, become one line: joined with ``; ``, so that the n-th code,
field and message belong together. ``schemas/report.schema.json`` describes the columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, ArrowTable, RowBatch, State
from importer.reasons import REASONS
from importer.report.messages import delivery_messages, messages_of, shown_column

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
