"""Reads bytes or files to their end, for every test of the readers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.model import Chunk, Source, UnreadableRow
from importer.read import Limits, expand, open_source

SMALL = Limits(block=64)
"""Blocks so small that almost every record spans two."""

_READ_EACH = r"""
import os, re, sys
from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.read import expand, open_source
for path in sys.argv[1:]:
    if os.fork():
        assert os.wait()[1] == 0
        continue
    count = 0
    try:
        with open_source(expand([path])[0], SourceOptions()) as reader:
            for chunk in reader.chunks(reader.source.columns or ["id", "a"], raw_rows=True):
                count += chunk.count
    except SourceError as error:
        print(error, file=sys.stderr)
    print(count, int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) // 1024)
    break
"""


def peaks(*paths: Path) -> list[tuple[int, int]]:
    """Of each file its rows, and the peak memory in MiB of the process that reads it."""
    done = subprocess.run([sys.executable, "-c", _READ_EACH, *map(str, paths)], capture_output=True, check=True)
    return [(int(count), int(mebibytes)) for count, mebibytes in map(bytes.split, done.stdout.splitlines())]


@dataclass
class Outcome:
    """Everything a reader gave."""

    source: Source
    digest: str = ""
    chunks: list[Chunk] = field(default_factory=list)
    error: SourceError | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for chunk in self.chunks for row in chunk.table.to_pylist()]

    @property
    def numbers(self) -> list[int]:
        return [number for chunk in self.chunks for number in chunk.rows.tolist()]

    @property
    def lines(self) -> list[int]:
        return [line for chunk in self.chunks for line in chunk.lines.tolist()]

    @property
    def unreadable(self) -> list[UnreadableRow]:
        return [unreadable for chunk in self.chunks for unreadable in chunk.unreadable]

    @property
    def count(self) -> int:
        return sum(chunk.count for chunk in self.chunks)

    def column(self, name: str) -> list[str | None]:
        return [value for chunk in self.chunks for value in chunk.table.column(name).to_pylist()]

    def raw_rows(self) -> list[bytes]:
        return [record for chunk in self.chunks if chunk.raw_rows for record in chunk.raw_rows["record"].to_pylist()]


def read_file(
    path: Path | str,
    columns: Sequence[str] | None = None,
    *,
    raw_rows: bool = False,
    limits: Limits | None = None,
    **options: Any,
) -> Outcome:
    """Read the one input that ``path`` stands for; all columns unless named."""
    (source,) = expand([str(path)])
    with open_source(source, SourceOptions(**options), limits or Limits(), columns=columns or ()) as reader:
        outcome = Outcome(reader.source, notes=reader.notes)
        try:
            for chunk in reader.chunks(columns or reader.source.columns or (), raw_rows=raw_rows):
                check_chunk(chunk, outcome.count + 1)
                outcome.chunks.append(chunk)
        except SourceError as error:
            outcome.error = error
        outcome.digest = reader.digest
    return outcome


def read_bytes(data: bytes, columns: Sequence[str] | None = None, *, name: str = "data.csv", **how: Any) -> Outcome:
    """Read ``data`` as a file of that name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        return read_file(path, columns, **how)


def check_chunk(chunk: Chunk, first_row: int) -> None:
    """What `Chunk` promises, whatever was read."""
    unreadable = [row.row for row in chunk.unreadable]
    assert chunk.first_row == first_row
    assert chunk.count == chunk.table.num_rows + len(unreadable)
    assert sorted([*chunk.rows.tolist(), *unreadable]) == list(range(first_row, first_row + chunk.count))
    assert len(chunk.lines) == len(chunk.rows) == chunk.table.num_rows
    assert all(kind == pa.string() for kind in chunk.table.schema.types)
    assert all(len(mask) == chunk.table.num_rows for mask in chunk.nested.values())
    assert chunk.raw_rows is None or chunk.raw_rows.num_rows == chunk.count
    chunk.table.validate(full=True)
