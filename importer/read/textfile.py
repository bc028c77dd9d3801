"""What CSV and JSONL readers share: one pass over the content, and chunks made of records.

This module owns row numbers, spoiled rows and the originals. The formats say how records become columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa

from importer.model import ArrowArray, ArrowTable, Chunk, Dialect, Int64s, Source, UnreadableRow
from importer.read.content import Content
from importer.read.reader import Limits
from importer.read.records import Records
from importer.read.text import keep_undecodable


@dataclass(frozen=True, slots=True)
class Converted:
    """Records as columns."""

    table: ArrowTable
    positions: Int64s
    """The records that ``table`` holds, shape (table.num_rows,)."""
    faults: Mapping[int, tuple[str, str]]
    """All others: reason code and value."""
    nested: Mapping[str, ArrowArray] = field(default_factory=dict)


class TextReader(ABC):
    """A `Reader` of records; see there."""

    def __init__(self, content: Content, dialect: Dialect, columns: tuple[str, ...] | None, limits: Limits) -> None:
        self.source = Source(content.name, content.path, dialect, columns)
        self._content = content
        self._limits = limits
        self._started = False

    @property
    def size(self) -> int | None:
        """See `Reader.size`."""
        return self._content.size

    @property
    def bytes_read(self) -> int:
        """See `Reader.bytes_read`."""
        return self._content.bytes_read

    @property
    def digest(self) -> str:
        """See `Reader.digest`."""
        return self._content.digest

    @abstractmethod
    def available(self, column: str) -> bool:
        """See `Reader.available`."""

    @abstractmethod
    def _records(self) -> Iterator[Records]:
        """All data records, a block at a time."""

    @abstractmethod
    def _converter(self, columns: Sequence[str]) -> Callable[[Records], Converted]:
        """How the wanted columns are made of records."""

    def _read_block(self) -> bytes:
        return self._content.read(self._limits.block)

    def chunks(self, columns: Sequence[str], *, raw_rows: bool) -> Iterator[Chunk]:
        """See `Reader.chunks`."""
        if self._started:
            raise ValueError(f"{self.source.name} was read already; open it anew")
        self._started = True
        convert = self._converter(columns)
        row = 1
        for block in self._records():
            for records in block.parts(self._limits.rows):
                yield self._chunk(row, records, convert(records), raw_rows=raw_rows)
                row += len(records)

    def _chunk(self, row: int, records: Records, converted: Converted, *, raw_rows: bool) -> Chunk:
        return Chunk(
            source=self.source,
            first_row=row,
            count=len(records),
            table=converted.table,
            rows=row + converted.positions,
            lines=records.lines[converted.positions],
            unreadable=tuple(
                UnreadableRow(row + at, int(records.lines[at]), *converted.faults[at])
                for at in sorted(converted.faults)
            ),
            nested=converted.nested,
            raw_rows=raw_records(records, transcoded=self.source.dialect.encoding != "utf-8") if raw_rows else None,
        )

    def close(self) -> None:
        """See `Reader.close`."""
        self._content.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def raw_records(records: Records, *, transcoded: bool) -> Any:
    """The records as they came, as the one column of a table; undecodable bytes as lone surrogates.

    ``transcoded``: the file is not UTF-8, so that its undecodable bytes are surrogates already.
    """
    if not transcoded and any(code == "row.undecodable" for code, _ in records.faults.values()):
        kept = [keep_undecodable(records[at]) if at in records.faults else records[at] for at in range(len(records))]
        return pa.table({"record": pa.array(kept, pa.binary())})
    lengths = records.ends - records.starts
    text = records.data[records.starts[0] : records.ends[-1]]
    for line_end in (b"\r\n", b"\n", b"\r"):
        text = text.replace(line_end, b"")
    if len(text) != lengths.sum():  # line ends in cells, or something passed over between the records
        return pa.table({"record": pa.array([records[at] for at in range(len(records))], pa.binary())})
    offsets = np.zeros(len(records) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    array = pa.Array.from_buffers(pa.binary(), len(records), [None, pa.py_buffer(offsets), pa.py_buffer(text)])
    return pa.table({"record": array})
