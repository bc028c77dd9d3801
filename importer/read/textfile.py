"""What CSV and JSONL have in common: one pass over the content, and chunks made of records."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, ArrowTable, Chunk, Dialect, Int64s, Source, UnreadableRow
from importer.read.encoding import TextEncoding, keep_undecodable, utf8_blocks
from importer.read.files import Content, digest_in
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
        own = {name.strip() for name in columns or ()}
        self._partitions = {name: value for name, value in content.partitions.items() if name not in own}
        """Columns that the file's directories are; one of its own that is called so counts more."""
        self._mapped_partitions: dict[str, str | None] = {}
        """Those that the mapping reads."""
        if columns:
            columns = (*self._partitions, *columns)
        assumed = (encoding.note,) if encoding.note else ()
        super().__init__(content, Source(content.name, content.path, dialect, columns), (*assumed, *notes))
        self._encoding = encoding
        self._layout = layout
        self._limits = limits

    @property
    def digest(self) -> str:
        """See `Reader.digest`."""
        return digest_in(self._mapped_partitions, super().digest)

    @abstractmethod
    def _with_partitions(self, partitions: Mapping[str, str | None]) -> Callable[[bytes], bytes] | None:
        """What makes an original record one that is the same in any directory; another process can get it."""

    @abstractmethod
    def _converter(self, columns: Sequence[str]) -> Callable[[Records], Converted]:
        """How the wanted columns are made of records; another process can get it."""

    def _records(self) -> Iterator[Records]:
        """All data records, a block at a time."""
        blocks = utf8_blocks(lambda: self._content.read(self._limits.block), self._encoding)
        return split(blocks, self._layout, self._limits)

    def _parts(self, columns: Sequence[str], *, raw_rows: bool) -> Iterator[UnparsedRecords]:
        convert, transcoded = self._converter(columns), self._encoding.name != "utf-8"
        unused = () if self._unused is None else self._unused.taken(tuple(self._partitions))
        wanted = {*columns, *unused}
        mapped = self._mapped_partitions = {name: one for name, one in self._partitions.items() if name in wanted}
        whole = self._with_partitions(self._partitions) if self._partitions else None
        row = 1
        for block in self._records():
            for records in block.parts(self._limits.rows):
                yield UnparsedRecords(self.source, row, records, convert, raw_rows, transcoded, mapped, whole)
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
    partitions: Mapping[str, str | None]
    """Wanted columns that the file's directories are; what a row has of its own counts more."""
    whole: Callable[[bytes], bytes] | None
    """Puts all of those into an original record."""

    def parse(self) -> Chunk:
        """See `UnparsedChunk.parse`."""
        row, records, converted = self.row, self.records, self.convert(self.records)
        table = converted.table
        for name, value in self.partitions.items():
            own = table.column(name) if name in table.column_names else pa.nulls(len(converted.positions), pa.string())
            table = table.drop_columns([name]) if name in table.column_names else table
            table = table.append_column(name, own if value is None else pc.fill_null(own, value))
        return Chunk(
            source=self.source,
            first_row=row,
            count=len(records),
            table=table,
            rows=row + converted.positions,
            lines=records.lines[converted.positions],
            unreadable=tuple(
                UnreadableRow(row + at, int(records.lines[at]), *converted.faults[at])
                for at in sorted(converted.faults)
            ),
            nested=converted.nested,
            literal=converted.literal,
            raw_rows=raw_records(records, self.whole, transcoded=self.transcoded) if self.raw_rows else None,
        )


def raw_records(records: Records, whole: Callable[[bytes], bytes] | None = None, *, transcoded: bool) -> Any:
    """The records as they came, as the one column of a table; undecodable bytes as lone surrogates.

    ``whole`` adds what is not in the file. ``transcoded``: the file is not UTF-8, so that its undecodable bytes are
    surrogates already.
    """
    texts = records.texts()
    for at in () if transcoded else records.faults:  # whatever the fault is, there may be undecodable bytes
        texts[at] = keep_undecodable(texts[at])
    if whole is not None:
        texts = list(map(whole, texts))
    return pa.table({"record": pa.array(texts, pa.binary())})
