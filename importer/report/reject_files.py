"""How rejected rows are written: in their source's own form, with the reasons, to be corrected and run again.

**CSV** keeps the source's delimiter, quote and encoding. The rules, also in ``docs/outputs.md``:

- A record that splits into the header's cells is written as it is, byte for byte, and the ``importer_…`` cells follow.
  A short one that the mapping allows (``ragged: pad``) is filled up with empty cells first.
- A cell, or a column's name, that a spreadsheet would take for a formula gets an apostrophe, which the reader takes
  away again (``importer.roundtrip``), so that a re-run sends what the original would have sent.
- A record that does not split into the header's cells (too short, too long, an open quote) goes whole into
  ``importer_original`` and leaves the other cells empty. Filled up or cut off it would be a row that can be read, and a
  re-run would deliver it uncorrected.
- A source without a header, with ``whitespace`` or several characters as its delimiter, without a quote, or with an
  escape character has no place for further cells that its mapping would read back. Its rejects are the bare records;
  the report has the reasons. Records whose quote never closes come last there, so that they swallow no other row.
- A mapping that skips lines before the header skips as many here: they are written as ``skipped``.

**JSONL** objects keep their text, to the last digit, since one more key, ``_importer``, is put in before the closing
brace. A line that is no object becomes an object of its own, with the raw text in ``_importer.original``.

**Parquet** has the file's own columns as they were, and the ``importer_…`` columns behind them.

**Excel** has the columns and cells of the CSV rejects, all as text, so that ids keep their digits; their order differs,
for a reader goes by names. The columns that only a reader needs are hidden. `importer.read.excel` reads it back.

Files of rows in doubt have more columns: the event's key, its value and when it was sent, and an empty ``arrived`` for
the user to fill in, which `importer resolve --from` reads. In rejects of rejects all these columns and keys are
replaced; an uncorrected original is kept.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import chain
from typing import Any, BinaryIO, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.columns import whole
from importer.model import ArrowArray, ArrowTable, Dialect, Source
from importer.report.rows import ExplainedBatch, ParquetTable
from importer.roundtrip import (
    APPENDED,
    DOUBT,
    FORMULA_START,
    JSON_KEY,
    ORIGINAL,
    harmless,
    harmless_column,
    is_formula,
    is_rejects,
    original_cell,
)
from importer.wording import iso

_WHITESPACE = "whitespace"
_UNCLOSED = "row.unclosed_quote"
_NOT_IN_CELLS = re.compile(r"\brow\.(?!undecodable)")
"""Codes of rows that the reader could not split into cells."""
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTE = msgspec.json.Decoder(dict[str, object])
_NUMBERS = ("importer_row", "importer_line")
_FIRST = ("importer_message", *DOUBT)
_HIDDEN = frozenset(APPENDED) - {"importer_message"}
_BAD, _HEAD = "FFFFC7CE", "FFE7E6E6"
"""Colours of cells at fault and of the header, as ARGB."""
_WIDTHS = {"importer_message": 48}
_WIDTH = 18


class Rejected(msgspec.Struct, frozen=True):
    """Some rows of one batch, in source order."""

    raw_rows: ArrowTable
    """As in ``Chunk.raw_rows``."""
    facts: ArrowTable
    """The columns of ``roundtrip.APPENDED`` (and ``DOUBT``), as long as ``raw_rows``; none null."""

    @classmethod
    def of(cls, explained: ExplainedBatch, run: str, positions: ArrowArray, *, in_doubt: bool = False) -> Rejected:
        """The rows at ``positions`` (0-based) of a batch whose originals are kept; ``run`` is empty for a check."""
        batch = explained.batch
        assert batch.raw_rows is not None
        arrays: list[ArrowArray] = [
            explained.column("state"),
            explained.codes,
            explained.fields,
            explained.messages,
            pa.repeat(pa.scalar(batch.source.name, pa.string()), batch.table.num_rows),
            explained.column("row"),
            explained.column("line"),
            pa.repeat(pa.scalar(run, pa.string()), batch.table.num_rows),
        ]
        names: tuple[str, ...] = APPENDED
        if in_doubt:
            names = (*APPENDED, *DOUBT)
            worth = pc.binary_join_element_wise(
                explained.column("value"), pc.fill_null(explained.column("currency"), ""), " "
            )
            sent = pa.array([iso(seconds) for seconds in explained.column("sent_at").to_pylist()], pa.string())
            arrays += [explained.column("key"), pc.utf8_trim_whitespace(worth), sent, pa.nulls(len(sent), pa.string())]
        facts = pa.table(dict(zip(names, arrays, strict=True))).take(positions)
        filled = [pc.fill_null(a, "") if pa.types.is_string(a.type) else a for a in facts.columns]
        return cls(batch.raw_rows.take(positions), pa.table(filled, names=list(names)))


class RejectsWriter(Protocol):
    """Takes rejected rows of one form."""

    def add(self, rows: Rejected) -> None:
        """Write some rows; raises `ReportError` where the file system refuses."""

    def close(self) -> None:
        """Write what is left; the file itself stays open."""


def has_cells(dialect: Dialect) -> bool:
    """Whether records have a place for further cells, which the mapping reads back."""
    plain = len(dialect.delimiter) == 1 and len(dialect.quote) == 1 and not dialect.escape
    return dialect.format == "csv" and dialect.has_header and plain


def suits_sheet(source: Source) -> bool:
    """Whether the source's rejects can be a sheet: its rows have cells under names, and the extra is installed."""
    return has_cells(source.dialect) and find_spec("openpyxl") is not None


def open_writer(file: BinaryIO, source: Source, schema: pa.Schema | None, appended: Sequence[str]) -> RejectsWriter:
    """The writer for sources that look like this one; ``schema`` is a Parquet source's, if it is known.

    ``appended`` names the columns of `Rejected.facts`.
    """
    if source.dialect.format == "parquet":
        schema = schema or pa.schema([(name, pa.string()) for name in source.columns or ()])
        return ParquetRejects(file, schema, appended)
    if source.dialect.format == "jsonl":
        return _JsonlRejects(file, source, appended)
    return (CsvRejects if has_cells(source.dialect) else _BareRejects)(file, source, appended)


class _TextRejects(ABC):
    """Records of text in their sources' encoding, each as what `_line` makes of it."""

    def __init__(self, file: BinaryIO, source: Source, appended: Sequence[str]) -> None:
        self._file, self._appended = file, appended
        self._last = ""
        """Lines that come last."""
        self._encoding = encoding = source.dialect.encoding
        self._encoder = codecs.getincrementalencoder(encoding)("surrogateescape")
        # utf-16, utf-32 and utf-8-sig write their own mark.
        if source.dialect.has_bom and source.dialect.format == "csv" and "".encode(encoding) == b"":
            self._write("\ufeff")
        # The mapping skips as many lines at the beginning as in the sources.
        self._write("skipped\n" * source.dialect.skip_lines)

    def add(self, rows: Rejected) -> None:
        """See `RejectsWriter.add`."""
        # Bytes that are not text are lone surrogates.
        records = (record.decode("utf-8", "surrogatepass") for record in rows.raw_rows.column("record").to_pylist())
        codes = rows.facts.column("importer_code").to_pylist()
        facts = zip(*map(self._values, rows.facts.columns), strict=True)
        self._write("".join(map(self._line, records, codes, facts)))

    def close(self) -> None:
        """See `RejectsWriter.close`."""
        self._write(self._last)

    def _values(self, column: ArrowArray) -> list[Any]:
        return column.to_pylist()  # type: ignore[no-any-return]  # pyarrow ships no types

    @abstractmethod
    def _line(self, record: str, codes: str, facts: tuple[Any, ...]) -> str:
        """A row's line; ``facts`` are the columns appended to it."""

    def _write(self, text: str) -> None:
        try:
            data = self._encoder.encode(text)
        except UnicodeEncodeError:  # UTF-16 and UTF-32 have no single byte to put back
            self._encoder.errors = "replace"
            data = self._encoder.encode(text)
            self._encoder.errors = "surrogateescape"
        self._file.write(data)


class _BareRejects(_TextRejects):
    """The records alone, verbatim."""

    def __init__(self, file: BinaryIO, source: Source, appended: Sequence[str]) -> None:
        super().__init__(file, source, appended)
        if source.dialect.has_header:
            delimiter = " " if source.dialect.delimiter == _WHITESPACE else source.dialect.delimiter
            self._write(delimiter.join(source.columns or ()) + "\n")

    def _line(self, record: str, codes: str, facts: tuple[Any, ...]) -> str:  # noqa: ARG002  # no place for them
        if _UNCLOSED not in codes:
            return record + "\n"
        self._last += record + "\n"
        return ""


class CsvRejects(_TextRejects):
    """Records with their reasons."""

    def __init__(self, file: BinaryIO, source: Source, appended: Sequence[str]) -> None:
        super().__init__(file, source, appended)
        delimiter, quote = self._delimiter, self._quote = source.dialect.delimiter, source.dialect.quote
        self._later_start = re.compile(f"[{re.escape(delimiter + quote)}]{FORMULA_START.pattern}")
        columns = source.columns or ()
        self._width = len(columns)
        self._returned = is_rejects(columns)
        replaced = (*APPENDED, *(DOUBT if self._returned else ()), ORIGINAL)
        self._own = [at for at, name in enumerate(columns) if name not in replaced]
        self._empty = self._joined([""] * len(self._own))
        self._kept_original = columns.index(ORIGINAL) if ORIGINAL in columns else None
        self._write(self._joined((*(harmless(columns[at]) for at in self._own), *appended, ORIGINAL)) + "\n")

    def _values(self, column: ArrowArray) -> list[Any]:
        return super()._values(harmless_column(pc.cast(whole(column), pa.string())))

    def _line(self, record: str, codes: str, facts: tuple[Any, ...]) -> str:
        notes = self._joined(facts)
        # Our own words with question marks for what the encoding lacks.
        notes = notes.encode(self._encoding, "replace").decode(self._encoding)
        cells = self._split(record)
        own, original = self._empty, record
        if kept := self._uncorrected(cells):
            original = kept
        elif cells is not None and self._fits(cells, codes):
            own, original = self._own_cells(record, cells), ""
        return self._delimiter.join([own, notes, self._joined([harmless(original)])]) + "\n"

    def _uncorrected(self, cells: list[str] | None) -> str:
        """What an earlier rejects file kept as the row's original; empty if nothing, or if cells were filled."""
        if self._kept_original is None or cells is None or len(cells) != self._width:
            return ""
        if any(cells[at].strip() for at in self._own):
            return ""
        return original_cell(cells[self._kept_original])

    def _fits(self, cells: list[str], codes: str) -> bool:
        if len(cells) > self._width or _NOT_IN_CELLS.search(codes):
            return False
        return len(cells) == self._width or "row." not in codes

    def _own_cells(self, record: str, cells: list[str]) -> str:
        if not self._returned:
            # A quick look at how cells begin, which may raise a false alarm.
            suspect = FORMULA_START.match(record) is not None or self._later_start.search(record) is not None
            if len(cells) == self._width and not (suspect and any(map(is_formula, cells))):
                return record
        else:
            cells = [original_cell(cell) for cell in cells]
        cells = cells + [""] * (self._width - len(cells))
        return self._joined([harmless(cells[at]) for at in self._own])

    def _split(self, record: str) -> list[str] | None:
        """The record's cells; None if a quote stays open, or a bare line break makes more than one record of it."""
        csv.field_size_limit(sys.maxsize)  # a cell is as long as it is
        # With one more delimiter behind it, a record whose quotes are closed ends in an empty cell.
        reader = csv.reader((record + self._delimiter,), delimiter=self._delimiter, quotechar=self._quote)
        try:
            cells = next(reader)
        except csv.Error:
            return None
        return cells[:-1] if cells[-1] == "" else None

    def _joined(self, cells: Sequence[str]) -> str:
        """Cells as text, quoted where they must be."""
        quote = self._quote
        return self._delimiter.join(
            quote + cell.replace(quote, quote * 2) + quote
            if self._delimiter in cell or quote in cell or "\n" in cell or "\r" in cell
            else cell
            for cell in cells
        )


class _JsonlRejects(_TextRejects):
    """Objects with one more key."""

    def _line(self, record: str, codes: str, facts: tuple[Any, ...]) -> str:  # noqa: ARG002  # they are among the facts
        note = {name.removeprefix("importer_"): value for name, value in zip(self._appended, facts, strict=True)}
        body = record.strip(" \t\r\n\ufeff")
        try:
            members = _OBJECT.decode(body)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            # Every encoding can hold ASCII; what was no text at all shows as \udc80 … \udcff.
            return json.dumps({JSON_KEY: {**note, "original": record}}) + "\n"
        kept = {name: value for name, value in members.items() if name != JSON_KEY}
        if JSON_KEY in members:
            if not kept:  # the raw text that an earlier rejects file kept, if its line still holds nothing else
                with suppress(msgspec.DecodeError):
                    before = _NOTE.decode(members[JSON_KEY])
                    note = {name: before[name] for name in ("original",) if name in before} | note
            body = msgspec.json.encode(kept).decode()
        return f'{body[:-1]}{"," if kept else ""}"{JSON_KEY}":{json.dumps(note)}}}\n'


class ParquetRejects:
    """One file of one schema; columns that an earlier rejects file appended are replaced."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, appended: Sequence[str]) -> None:
        # The index goes by position, since a Parquet file may hold a name twice.
        self._positions = [at for at, name in enumerate(schema.names) if name not in APPENDED]
        fields = [schema.field(at) for at in self._positions]
        self._facts = pa.schema([(name, pa.int64() if name in _NUMBERS else pa.string()) for name in appended])
        self._schema = pa.schema([*fields, *self._facts])
        self._table = ParquetTable(file, self._schema)

    def add(self, rows: Rejected) -> None:
        """See `RejectsWriter.add`."""
        columns = [rows.raw_rows.column(at) for at in self._positions] + rows.facts.cast(self._facts).columns
        self._table.add(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """See `RejectsWriter.close`."""
        self._table.close()


class WorkbookRejects:
    """Collects rejects as CSV, then writes them as a sheet: what is wrong comes first, and invalid cells are coloured.

    ``columns`` are those that each target of the mapping comes from.
    """

    def __init__(
        self, file: BinaryIO, source: Source, appended: Sequence[str], columns: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._file = file
        self._sheet = source.dialect.sheet or "rejects"
        self._skipped = source.dialect.skip_lines
        self._columns = columns
        self._copy = tempfile.TemporaryFile()  # noqa: SIM115 # closed when it was written
        plain = replace(source.dialect, encoding="utf-8", has_bom=False, skip_lines=0)
        self._dialect = plain
        self._rows = CsvRejects(self._copy, replace(source, dialect=plain), appended)

    def add(self, rows: Rejected) -> None:
        """See `RejectsWriter.add`."""
        self._rows.add(rows)

    def close(self) -> None:
        """Write the workbook."""
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
        from openpyxl.styles import Alignment, Font, PatternFill
        from openpyxl.utils import get_column_letter

        book = Workbook(write_only=True)
        sheet = book.create_sheet(self._sheet)
        bad, head = (PatternFill("solid", fgColor=colour) for colour in (_BAD, _HEAD))
        with self._copy:
            self._copy.seek(0)
            records = self._records()
            header = next(records)
            order = sorted(range(len(header)), key=lambda at: _FIRST.index(header[at]) if header[at] in _FIRST else 99)
            for number, at in enumerate(order, start=1):
                column = sheet.column_dimensions[get_column_letter(number)]
                column.width = _WIDTHS.get(header[at], _WIDTH)
                column.hidden = header[at] in _HIDDEN
            sheet.freeze_panes = f"B{self._skipped + 2}"
            for _ in range(self._skipped):
                sheet.append(["skipped"])
            for number, cells in enumerate(chain([header], records)):
                fault = self._at_fault(header, cells) if number else set()
                row = []
                for at in order:
                    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("\ufffd", cells[at]))
                    cell.data_type = "s"
                    cell.number_format = "@"
                    if number == 0:
                        cell.font, cell.fill = Font(bold=True), head
                    elif at in fault:
                        cell.fill = bad
                    if header[at] == "importer_message":
                        cell.alignment = Alignment(wrap_text=True, vertical="top")
                    row.append(cell)
                sheet.append(row)
        book.save(self._file)

    def _records(self) -> Iterator[list[str]]:
        csv.field_size_limit(sys.maxsize)  # a cell is as long as it is
        text = io.TextIOWrapper(self._copy, "utf-8", errors="replace", newline="")
        return csv.reader(text, delimiter=self._dialect.delimiter, quotechar=self._dialect.quote)

    def _at_fault(self, header: list[str], cells: list[str]) -> set[int]:
        """The places of the cells that the row's reasons are about, and of the message."""
        fields = cells[header.index("importer_field")].split("; ")
        names = {
            column
            for target, columns in self._columns.items()
            for field in fields
            if field and (target == field or target.startswith(f"{field}."))
            for column in columns
        } | set(fields)
        return {at for at, name in enumerate(header) if original_cell(name) in names or name == "importer_message"}
