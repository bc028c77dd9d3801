"""What every reader offers, whatever the format, and the bounds that keep memory flat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias

from importer import wording
from importer.errors import ImporterError, SourceError
from importer.mapping.unused import UnusedColumns
from importer.model import Chunk, Source
from importer.read.files import Content


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held in memory at a time. Results do not depend on ``block``."""

    block: int = 4 << 20
    """Decompressed bytes taken at a time."""
    rows: int = 65_536
    """Most rows of a chunk."""
    batch: int = 8 << 20
    """Most bytes of the decoded cells of a chunk of Parquet, unless it is a single row."""
    quoted: int = 1 << 20
    """Longest record, in bytes, that may span several lines; of a longer one the quote counts as never closed."""
    line: int = 2 << 20
    """Longest line, or Parquet cell, in bytes; a longer one is an unreadable row."""
    sample: int = 256 << 10
    """Decompressed bytes looked at to recognise format, encoding and delimiter."""


class UnparsedChunk(Protocol):
    """Records that become a chunk where there is time for it, which may be in another process."""

    @property
    def source(self) -> Source:
        """Whose records they are."""

    def parse(self) -> Chunk:
        """The chunk; may raise anything."""


Part: TypeAlias = Chunk | UnparsedChunk


def chunk_of(part: Part) -> Chunk:
    """The chunk that a part is, or becomes. Raises `SourceError` where the source cannot be read any further."""
    if isinstance(part, Chunk):
        return part
    try:
        return part.parse()
    except Exception as error:
        raise as_source_error(part.source.name, error) from error


class Reader(ABC):
    """One opened source. Use it as a context manager, or call ``close``."""

    def __init__(self, content: Content, source: Source, notes: Sequence[str] = ()) -> None:
        self.source = source
        """The source with its recognised or set dialect, and its header."""
        self.notes = tuple(notes)
        """What was assumed about the file, each a sentence: users must see them."""
        self._content = content
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

        Empty until ``chunks`` was exhausted; after a `SourceError` from ``chunks`` it covers what could be read.
        """
        return self._content.digest

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
            raise ValueError(f"{self.source.name} was read already; open it anew")
        self._started = True
        self._unused = unused
        with_errors = self._parts(columns, raw_rows=raw_rows)
        while True:
            try:
                part = next(with_errors, None)
            except Exception as error:
                raise as_source_error(self.source.name, error) from error
            if part is None:
                return
            yield part

    def close(self) -> None:
        """Release the file."""
        self._content.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def as_source_error(name: str, error: Exception) -> ImporterError:
    """Any exception as the error of the source that provoked it."""
    if isinstance(error, ImporterError):
        return error
    what = shorten(f"{type(error).__name__}: {error}")
    return SourceError(name, f"cannot be read ({what})", hint="it may be damaged: copy, download or export it again")


def shorten(text: str) -> str:
    """``text`` on one line, cut to what a report shows."""
    return wording.shorten(text, 80)
