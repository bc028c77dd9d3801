"""The report's columns, and a batch of rows as a table of them.

This module owns names, order and types (``schemas/report.schema.json`` says the same for JSONL). How a table becomes
bytes is ``writers``'.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, ArrowTable
from importer.report.explain import Explained, column

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


def report_table(explained: Explained, run: str) -> ArrowTable:
    """A line per row, in the batch's order; raises nothing for any batch."""
    batch = explained.batch
    count = batch.table.num_rows
    made = {
        "run": pa.repeat(pa.scalar(run, pa.string()), count),
        "source": pa.repeat(pa.scalar(batch.source.name, pa.string()), count),
        "code": explained.codes,
        "field": explained.fields,
        "message": explained.messages,
        "attempts": pc.fill_null(column(batch, "attempts"), 0),
        "sent_at": _moments(column(batch, "sent_at")),
        "latency_ms": pc.round(column(batch, "latency_ms"), 1),
    }
    arrays = [made[name] if name in made else column(batch, name) for name in COLUMNS]
    return pa.Table.from_arrays([pc.cast(a, f.type) for a, f in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)


def _moments(seconds: ArrowArray) -> ArrowArray:
    whole = pc.cast(pc.round(pc.multiply(seconds, 1000.0)), pa.int64())
    return pc.cast(whole, pa.timestamp("ms", "UTC"))
