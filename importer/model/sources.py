"""What is read: sources, and their rows as text, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from importer.model.arrays import ArrowArray, ArrowTable, Format, Int64s


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a source's bytes become rows; recognised, or set by the mapping's ``source``."""

    format: Format
    compression: Literal["none", "gzip", "bz2", "xz", "zstd", "zip"] = "none"
    encoding: str = "utf-8"
    """A Python codec name. Parquet ignores it."""
    delimiter: str = ","
    """One character, or ``whitespace`` for runs of blanks."""
    quote: str = '"'
    has_header: bool = True
    has_bom: bool = False
    skip_lines: int = 0
    """Lines before the header that are no data; rejects get as many, for the mapping skips them again."""


@dataclass(frozen=True, slots=True)
class Source:
    """One opened input: a file, a member of an archive, or stdin."""

    name: str
    """As the user would name it: a path as given, ``archive.zip/orders.csv``, ``<stdin>``."""
    path: str | None
    """The absolute path on this machine; None for stdin and remote objects."""
    dialect: Dialect
    columns: tuple[str, ...] | None
    """The header, in order; None where the format has none (JSONL)."""


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A row that could not be read; it spoils nothing but itself."""

    row: int
    line: int
    code: str
    """A code of ``importer.reasons`` (``row.ragged``, ``row.not_json`` …)."""
    value: str
    """What was found, shortened (``4 fields instead of 3``)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some thousand consecutive rows of one source, as text."""

    source: Source
    first_row: int
    """Row number of the first row; the chunk covers ``first_row … first_row + count - 1`` without gaps."""
    count: int
    """Rows in the chunk, readable and spoiled: ``table.num_rows + len(spoiled)``."""
    table: ArrowTable
    """The readable rows; one ``string`` column per wanted name that the source has, named as the mapping names it.

    Null: the field is absent, or null in JSON or Parquet. Numbers are exact decimal text, booleans ``true`` or
    ``false``, dates and timestamps ISO 8601 (a zone-aware timestamp ends in ``Z``). A nested value is its JSON text.
    """
    rows: Int64s
    """Row numbers of ``table``'s rows, shape (table.num_rows,)."""
    lines: Int64s
    """Physical lines of ``table``'s rows, shape (table.num_rows,)."""
    spoiled: tuple[Spoiled, ...]
    nested: Mapping[str, ArrowArray]
    """Per column in which an object or array was found: a boolean array that is true there. Absent: nothing nested."""
    originals: ArrowTable | None
    """All ``count`` rows as they came, in order, for ``rejects``: one ``binary`` column ``record`` with the raw record
    (CSV, JSONL; transcoded to UTF-8, undecodable bytes as lone surrogates, without its line end), or a Parquet file's
    own columns. None unless asked for."""
