"""What CSV and JSONL have in common: one pass over the content, and chunks made of records."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from importer.model import ArrowArray, ArrowTable, Chunk, Dialect, Int64s, Source, UnreadableRow
from importer.read.encoding import TextEncoding, keep_undecodable, utf8_blocks
from importer.read.files import Content
from importer.read.reader import Limits, Reader
from importer.read.records import Faults, Layout, Records, split


@dataclass(frozen=True, slots=True)
class TextSample:
    """A text file's beginning, and how it is encoded."""

    data: bytes
    """As UTF-8, without the byte order mark."""
    complete: bool
    """Whether this is the whole file."""
    encoding: TextEncoding


@dataclass(frozen=True, slots=True)
class Converted:
    """Records as columns."""

    table: ArrowTable
    positions: Int64s
    """The records that ``table`` holds, ascending, shape (table.num_rows,)."""
    faults: Faults
    """All others: reason code and value."""
    nested: Mapping[str, ArrowArray] = field(default_factory=dict)
    literal: Mapping[str, ArrowArray] = field(default_factory=dict)


class TextReader(Reader):
    """Reads records."""

    def __init__(
        self, content: Content, encoding: TextEncoding, source: tuple[Dialect, tuple[str, ...] | None],
        layout: Layout, limits: Limits, notes: Sequence[str] = (),
    ) -> None:  # fmt: skip
        dialect, columns = source
        assumed = (encoding.note,) if encoding.note else ()
        super().__init__(content, Source(content.name, content.path, dialect, columns), (*assumed, *notes))
        self._encoding = encoding
        self._layout = layout
        self._limits = limits

    @abstractmethod
    def _converter(self, columns: Sequence[str]) -> Callable[[Records], Converted]:
        """How the wanted columns are made of records; another process can get it."""

    def _records(self) -> Iterator[Records]:
        """All data records, a block at a time."""
        blocks = utf8_blocks(lambda: self._content.read(self._limits.block), self._encoding)
        return split(blocks, self._layout, self._limits)

    def _parts(self, columns: Sequence[str], *, raw_rows: bool) -> Iterator[UnparsedRecords]:
        convert, transcoded = self._converter(columns), self._encoding.name != "utf-8"
        row = 1
        for block in self._records():
            for records in block.parts(self._limits.rows):
                yield UnparsedRecords(self.source, row, records, convert, raw_rows, transcoded)
                row += len(records)


@dataclass(frozen=True, slots=True)
class UnparsedRecords:
    """Consecutive records, and how they become columns."""

    source: Source
    row: int
    """The first one's row number."""
    records: Records
    convert: Callable[[Records], Converted]
    raw_rows: bool
    transcoded: bool
    """The file is not UTF-8."""

    def parse(self) -> Chunk:
        """See `UnparsedChunk.parse`."""
        row, records, converted = self.row, self.records, self.convert(self.records)
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
            literal=converted.literal,
            raw_rows=raw_records(records, transcoded=self.transcoded) if self.raw_rows else None,
        )


def raw_records(records: Records, *, transcoded: bool) -> Any:
    """The records as they came, as the one column of a table; undecodable bytes as lone surrogates.

    ``transcoded``: the file is not UTF-8, so that its undecodable bytes are surrogates already.
    """
    texts = records.texts()
    for at in () if transcoded else records.faults:  # whatever the fault is, there may be undecodable bytes
        texts[at] = keep_undecodable(texts[at])
    return pa.table({"record": pa.array(texts, pa.binary())})
