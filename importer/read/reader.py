"""What every reader is: the contract between reading and planning, and the bounds that keep memory flat.

This module owns the ``Reader`` type and its ``Limits``. The formats (``delimited``, ``jsonl``, ``parquet``) keep it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from importer.model import Chunk, Source

VALUE_LENGTH = 80
"""Characters kept of what is shown of a spoiled row."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held in memory at a time. Results do not depend on ``block``."""

    block: int = 2 << 20
    """Decompressed bytes taken at a time."""
    rows: int = 32_768
    """Most rows of a chunk."""
    quoted: int = 1 << 20
    """Longest record, in bytes, that may span several lines; beyond it, its quote counts as never closed."""
    line: int = 16 << 20
    """Longest line in bytes; a longer one is a spoiled row."""
    sample: int = 256 << 10
    """Decompressed bytes looked at to recognise format, encoding and delimiter."""


class Reader(Protocol):
    """One opened source. Use it as a context manager, or call ``close``."""

    @property
    def source(self) -> Source:
        """The source with its recognised or set dialect, and its header."""

    @property
    def size(self) -> int | None:
        """Bytes on disk (an archive's member: compressed); None where unknown (stdin)."""

    @property
    def bytes_read(self) -> int:
        """Bytes of ``size`` read so far; an estimate for Parquet."""

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the content: decompressed for CSV and JSONL, the file itself for Parquet.

        Empty until ``chunks`` was exhausted; after a `SourceError` from ``chunks`` it covers what could be read.
        """

    def available(self, column: str) -> bool:
        """Whether the source has this column, by its exact name or as a path; JSONL may have any."""

    def chunks(self, columns: Sequence[str], *, raw_rows: bool) -> Iterator[Chunk]:
        """Read the source, once, from its beginning to its end.

        ``columns`` are the wanted names; those the source lacks are left out of the tables. Raises `SourceError` when
        the source cannot be read any further, after the chunks before that point, and when a wanted name is ambiguous.
        """

    def close(self) -> None:
        """Release the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def shorten(text: str) -> str:
    """``text`` on one line, cut to what a report shows."""
    flat = " ".join(text.split())
    return flat if len(flat) <= VALUE_LENGTH else flat[: VALUE_LENGTH - 1] + "…"
