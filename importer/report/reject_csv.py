"""Rejects of CSV sources: the original record, the reasons behind it, in the source's delimiter, quote and encoding.

This module owns CSV only. The rules, also in ``docs``:

- A record that splits into the header's cells is written as it is, byte for byte, and the ``importer_…`` cells follow.
  A short one that the mapping allows (``ragged: pad``) is filled up with empty cells first.
- A cell that a spreadsheet would take for a formula gets an apostrophe, which the reader takes away again
  (``importer.roundtrip``), so that a re-run sends what the original would have sent.
- A record that does not split into the header's cells (too short, too long, an open quote) goes whole into
  ``importer_original`` and leaves the other cells empty. Filled up or cut off it would be a row that can be read, and a
  re-run would deliver it although nobody mended it.
- A source without a header, with ``whitespace`` as its delimiter, or without a quote has no place for further cells
  that its mapping would read back. Its rejects are the bare records; the report tells why. Records whose quote never
  closes come last there, so that they swallow no other row.
- A mapping that skips lines before the header skips as many here: they are written as ``skipped``.
- Columns that an earlier rejects file appended are replaced.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from importer.model import Source
from importer.report.encoded import EncodedText
from importer.report.rejected import Rejected
from importer.roundtrip import APPENDED, FORMULA_START, ORIGINAL, harmless, is_formula, is_rejects, original_cell

_WHITESPACE = "whitespace"
_UNCLOSED = "row.unclosed_quote"
_NOT_IN_CELLS = re.compile(r"\brow\.(?!undecodable)")
"""Codes of rows that the reader could not tell into cells."""


def csv_rejects(file: BinaryIO, source: Source) -> CsvRejects | BareRejects:
    """The writer for sources that look like this one."""
    dialect = source.dialect
    text = EncodedText(file, dialect.encoding, bom=dialect.has_bom)
    text.write("skipped\n" * dialect.skip_lines)
    if dialect.has_header and dialect.delimiter != _WHITESPACE and len(dialect.quote) == 1:
        return CsvRejects(text, source)
    return BareRejects(text, source)


class BareRejects:
    """The records alone, verbatim."""

    def __init__(self, text: EncodedText, source: Source) -> None:
        self._text = text
        self._unclosed: list[str] = []
        delimiter = " " if source.dialect.delimiter == _WHITESPACE else source.dialect.delimiter
        if source.dialect.has_header:
            text.write(delimiter.join(source.columns or ()) + "\n")

    def add(self, rows: Rejected) -> None:
        """See `RejectsWriter.add`."""
        codes = rows.facts.column("importer_code").to_pylist()
        for record, code in zip(rows.records(), codes, strict=True):
            if _UNCLOSED in code:
                self._unclosed.append(record + "\n")
            else:
                self._text.write(record + "\n")

    def close(self) -> None:
        """See `RejectsWriter.close`."""
        self._text.write("".join(self._unclosed))


class CsvRejects:
    """Records with their reasons."""

    def __init__(self, text: EncodedText, source: Source) -> None:
        self._text = text
        self._cells = _Cells(source.dialect.delimiter, source.dialect.quote)
        columns = source.columns or ()
        appended = (*APPENDED, ORIGINAL)
        self._width = len(columns)
        self._returned = is_rejects(columns)
        self._own = [at for at, name in enumerate(columns) if name not in appended]
        self._empty = self._cells.join([""] * len(self._own))
        self._kept_original = columns.index(ORIGINAL) if ORIGINAL in columns else None
        text.write(self._cells.join((*(columns[at] for at in self._own), *appended)) + "\n")

    def add(self, rows: Rejected) -> None:
        """See `RejectsWriter.add`."""
        codes = rows.facts.column("importer_code").to_pylist()
        notes = (self._text.representable(self._cells.join(facts)) for facts in rows.harmless_facts())
        self._text.write("".join(map(self._line, rows.records(), codes, notes)))

    def close(self) -> None:
        """See `RejectsWriter.close`."""

    def _line(self, record: str, codes: str, notes: str) -> str:
        cells = self._cells.split(record)
        kept = self._unmended(cells)
        if kept:
            own, original = self._empty, kept
        elif cells is None or not self._fits(cells, codes):
            own, original = self._empty, record
        else:
            own, original = self._own_cells(record, cells), ""
        ends = self._cells.join(["", harmless(original)]) if original else self._cells.delimiter
        return f"{own}{self._cells.delimiter}{notes}{ends}\n"

    def _unmended(self, cells: list[str] | None) -> str:
        """What an earlier rejects file kept as the row's original; empty if nothing, or if it was mended."""
        if self._kept_original is None or cells is None or len(cells) != self._width:
            return ""
        return original_cell(cells[self._kept_original])

    def _fits(self, cells: list[str], codes: str) -> bool:
        if len(cells) > self._width or _NOT_IN_CELLS.search(codes):
            return False
        return len(cells) == self._width or "row." not in codes

    def _own_cells(self, record: str, cells: list[str]) -> str:
        if not self._returned:
            suspect = self._cells.suspect(record) and any(map(is_formula, cells))
            if len(cells) == self._width and not suspect:
                return record
        else:
            cells = [original_cell(cell) for cell in cells]
        cells = cells + [""] * (self._width - len(cells))
        return self._cells.join([harmless(cells[at]) for at in self._own])


@dataclass(frozen=True)
class _Cells:
    """How cells are told apart."""

    delimiter: str
    quote: str

    @cached_property
    def _later_start(self) -> re.Pattern[str]:
        return re.compile(f"[{re.escape(self.delimiter + self.quote)}]{FORMULA_START.pattern}")

    def split(self, record: str) -> list[str] | None:
        """The record's cells; None if a quote stays open, or a bare line break makes more than one record of it."""
        csv.field_size_limit(sys.maxsize)  # a cell is as long as it is
        # With one more delimiter behind it, a record whose quotes are closed ends in an empty cell.
        reader = csv.reader((record + self.delimiter,), delimiter=self.delimiter, quotechar=self.quote)
        try:
            cells = next(reader)
        except csv.Error:
            return None
        return cells[:-1] if cells[-1] == "" else None

    def suspect(self, record: str) -> bool:
        """Whether any cell could be a formula by the way it begins; quick, and may raise a false alarm."""
        return FORMULA_START.match(record) is not None or self._later_start.search(record) is not None

    def join(self, cells: Sequence[str]) -> str:
        """Cells as text, quoted where they must be."""
        return self.delimiter.join(map(self._quoted, cells))

    def _quoted(self, cell: str) -> str:
        if self.delimiter in cell or self.quote in cell or "\n" in cell or "\r" in cell:
            return self.quote + cell.replace(self.quote, self.quote * 2) + self.quote
        return cell
