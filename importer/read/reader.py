"""What every reader offers, whatever the format; and what CSV and JSONL have in common: chunks made of records."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.errors import ImporterError, SourceError
from importer.mapping.columns import UnusedColumns
from importer.model import ArrowArray, ArrowTable, Chunk, Dialect, Int64s, Source, UnreadableRow
from importer.read.encoding import TextEncoding, keep_undecodable, utf8_blocks
from importer.read.files import Content, Limits, shorten
from importer.read.records import Faults, Records, Rules, split


class TextSample(msgspec.Struct, frozen=True):
    """A text file's beginning, and how it is encoded."""

    data: bytes
    """As UTF-8, without the byte order mark."""
    complete: bool
    """Whether this is the whole file."""
    encoding: TextEncoding


class Converted(msgspec.Struct, frozen=True):
    """Records as columns."""

    table: ArrowTable
    positions: Int64s
    """The records that ``table`` holds, ascending, shape (table.num_rows,)."""
    faults: Faults
    """All others: reason code and value."""
    nested: Mapping[str, ArrowArray] = {}
    literal: Mapping[str, ArrowArray] = {}


class UnparsedRecords(msgspec.Struct, frozen=True):
    """Consecutive records, which become a chunk where there is time for it; that may be in another process."""

    source: Source
    row: int
    """The first one's row number."""
    records: Records
    convert: Callable[[Records], Converted]
    raw_rows: bool
    """Keep the records as they came: one column of bytes, undecodable ones as lone surrogates."""
    transcoded: bool
    """The file is not UTF-8, so that its undecodable bytes are surrogates already."""
    partitions: Mapping[str, str | None]
    """Wanted columns that the file's directories are; what a row has of its own counts more."""
    whole: Callable[[bytes], bytes] | None
    """Puts all of those into an original record."""

    def parse(self) -> Chunk:
        """The chunk; may raise anything."""
        row, records, converted = self.row, self.records, self.convert(self.records)
        table = converted.table
        for name, value in self.partitions.items():
            own = table.column(name) if name in table.column_names else pa.nulls(len(converted.positions), pa.string())
            table = table.drop_columns([name]) if name in table.column_names else table
            table = table.append_column(name, own if value is None else pc.fill_null(own, value))
        raw_rows = None
        if self.raw_rows:
            kept = records.column()
            if (records.faults and not self.transcoded) or self.whole:
                texts = kept.to_pylist()
                for at in () if self.transcoded else records.faults:  # whatever the fault, bytes may be undecodable
                    texts[at] = keep_undecodable(texts[at])
                kept = pa.array(map(self.whole, texts) if self.whole else texts, pa.binary())
            raw_rows = pa.table({"record": kept})
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
            raw_rows=raw_rows,
        )


Part: TypeAlias = Chunk | UnparsedRecords


def chunk_of(part: Part) -> Chunk:
    """The chunk that a part is, or becomes. Raises `SourceError` where the source cannot be read any further."""
    if isinstance(part, Chunk):
        return part
    try:
        return part.parse()
    except Exception as error:
        raise as_source_error(part.source.name, error) from error


class Reader(AbstractContextManager["Reader"]):
    """One opened source. Use it as a context manager, or call ``close``."""

    def __init__(self, content: Content, source: Source, own: Collection[str], notes: Sequence[str] = ()) -> None:
        """``own`` are the names of the file's columns."""
        self.source = source
        """The source with its recognised or set dialect, and its header."""
        self.notes = tuple(notes)
        """What was assumed about the file, each a sentence: users must see them."""
        self._content = content
        self._each = ""
        """The list whose elements are the rows; empty for none."""
        self._partitions = {name: value for name, value in content.partitions.items() if name not in own}
        """Columns that the file's directories are; one of its own that is called so counts more."""
        self._mapped_partitions: dict[str, str | None] = {}
        """Those that the mapping reads: a file in another directory is the same content to any other mapping."""
        self._started = False
        self._unused: UnusedColumns | None = None

    @property
    def size(self) -> int | None:
        """Bytes on disk (an archive's member: compressed); None where unknown (a pipe)."""
        return self._content.size

    @property
    def bytes_read(self) -> int:
        """Bytes of ``size`` read so far; an estimate for Parquet."""
        return self._content.bytes_read

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the content: decompressed for CSV and JSONL, the file itself for Parquet.

        Empty until ``chunks`` was exhausted; after a `SourceError` from ``chunks`` it covers what could be read. Rows
        that are elements, or that have columns of directories, are other rows than the file's.
        """
        digest = self._content.digest
        if digest and self._each:
            digest = hashlib.sha256(f"{digest} each {self._each}".encode()).hexdigest()
        if digest and self._mapped_partitions:
            digest = hashlib.sha256(json.dumps([digest, self._mapped_partitions]).encode()).hexdigest()
        return digest

    @abstractmethod
    def available(self, column: str) -> bool:
        """Whether the source has this column, by its exact name or as a path; JSONL may have any."""

    @abstractmethod
    def _parts(self, columns: Sequence[str], *, raw_rows: bool) -> Iterator[Part]:
        """As ``parts``; may raise anything."""

    def chunks(
        self, columns: Sequence[str], *, raw_rows: bool, unused: UnusedColumns | None = None
    ) -> Generator[Chunk, None, None]:
        """The source's rows, as ``parts`` reads them."""
        with closing(self.parts(columns, raw_rows=raw_rows, unused=unused)) as parts:
            yield from map(chunk_of, parts)

    def parts(
        self, columns: Sequence[str], *, raw_rows: bool, unused: UnusedColumns | None = None
    ) -> Generator[Part, None, None]:
        """Read the source, once, from its beginning to its end; what `chunk_of` makes of a part needs no file.

        ``columns`` are the wanted names; those the source lacks are left out of the tables. ``unused`` takes others as
        well. Raises `SourceError` when the source cannot be read any further, after the parts before that point, and
        when a wanted name is ambiguous.
        """
        if self._started:
            raise ValueError(f"{self.source.name} was read already; open it again")
        self._started = True
        self._unused = unused
        try:
            yield from self._parts(columns, raw_rows=raw_rows)
        except Exception as error:
            raise as_source_error(self.source.name, error) from error

    def close(self) -> None:
        """Release the file."""
        self._content.close()

    def __exit__(self, *_: object) -> None:
        self.close()


class TextReader(Reader):
    """Reads records."""

    def __init__(
        self, content: Content, encoding: TextEncoding, source: tuple[Dialect, tuple[str, ...] | None],
        rules: Rules, limits: Limits, notes: Sequence[str] = (),
    ) -> None:  # fmt: skip
        dialect, columns = source
        assumed = (encoding.note,) if encoding.note else ()
        own = {name.strip() for name in columns or ()}
        super().__init__(content, Source(content.name, content.path, dialect, columns), own, (*assumed, *notes))
        if columns:
            self.source = replace(self.source, columns=(*self._partitions, *columns))
        self._encoding = encoding
        self._rules = rules
        self._limits = limits

    @abstractmethod
    def _with_partitions(self, partitions: Mapping[str, str | None]) -> Callable[[bytes], bytes] | None:
        """What makes an original record one that is the same in any directory; another process can get it."""

    @abstractmethod
    def _converter(self, columns: Sequence[str]) -> Callable[[Records], Converted]:
        """How the wanted columns are made of records; another process can get it."""

    def _records(self) -> Iterator[Records]:
        """All data records, a block at a time."""
        blocks = utf8_blocks(lambda: self._content.read(self._limits.block), self._encoding)
        return split(blocks, self._rules, self._limits)

    def _parts(self, columns: Sequence[str], *, raw_rows: bool) -> Iterator[UnparsedRecords]:
        convert, transcoded = self._converter(columns), self._encoding.name != "utf-8"
        unused = () if self._unused is None else self._unused.taken(tuple(self._partitions))
        wanted = {*columns, *unused}
        mapped = self._mapped_partitions = {name: one for name, one in self._partitions.items() if name in wanted}
        whole = self._with_partitions(self._partitions) if self._partitions else None
        row, most = 1, self._limits.rows
        for block in self._records():
            for records in (block.part(first, first + most) for first in range(0, len(block), most)):
                yield UnparsedRecords(self.source, row, records, convert, raw_rows, transcoded, mapped, whole)
                row += len(records)


def as_source_error(name: str, error: Exception) -> ImporterError:
    """Any exception as the error of the source that provoked it."""
    if isinstance(error, ImporterError):
        return error
    what = shorten(f"{type(error).__name__}: {error}")
    return SourceError(name, f"cannot be read ({what})", hint="it may be damaged: copy, download or export it again")
