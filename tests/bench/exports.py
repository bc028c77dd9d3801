"""Sound exports of any size in the three formats, the same rows in each.

``python -m tests.bench.exports DIRECTORY ROWS``: in a process of its own, since a process that forks hands its own
memory's peak on to those that are measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

BATCH = 100_000


def write(directory: Path, rows: int) -> None:
    """The three files, ``export-ROWS.csv`` and so on; customers are a third as many as rows."""
    paths = {kind: directory / f"export-{rows}.{kind}" for kind in ("csv", "jsonl", "parquet")}
    schema = next(_batches(1)).schema
    with (
        pa.csv.CSVWriter(paths["csv"], schema) as csv,
        pa.parquet.ParquetWriter(paths["parquet"], schema) as parquet,
        paths["jsonl"].open("w", encoding="utf-8") as jsonl,
    ):
        line = _line(schema.names)
        for batch in _batches(rows):
            csv.write_batch(batch)
            parquet.write_batch(batch)
            jsonl.writelines(map(line, *(column.to_pylist() for column in batch.columns)))


def _line(names: list[str]) -> Callable[..., str]:
    """One JSON object a line; no cell needs escaping."""
    return ("{{" + ", ".join(f'"{name}": "{{}}"' for name in names) + "}}\n").format


def _batches(rows: int) -> Iterator[pa.RecordBatch]:
    rng = np.random.default_rng(rows)
    for first in range(0, rows, BATCH):
        numbers = np.arange(first, min(first + BATCH, rows))
        who = rng.integers(0, rows // 3 + 1, len(numbers))
        cents = rng.integers(100, 9_999_900, len(numbers))
        columns = {
            "order": [f"A{number}" for number in numbers],
            "customer": [f"{one:07d}" for one in who],
            "email": [f"c{one}@example.com" for one in who],
            "total": [f"{one // 100}.{one % 100:02d}" for one in cents],
            "currency": ["EUR"] * len(numbers),
            "items": ["Enamel mug, blue; Soap"] * len(numbers),
            "quantity": [str(number % 5 + 1) for number in numbers],
            "gift": ["no"] * len(numbers),
            "ordered_at": [f"2025-{n % 12 + 1:02d}-{n % 28 + 1:02d} {n % 24:02d}:{n % 60:02d}:07" for n in numbers],
        }
        yield pa.record_batch(columns)


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
