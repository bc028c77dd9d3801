"""Rows that were not delivered, in the form they came in, with the reasons: ``rejects`` and ``in-doubt``.

A row that is invalid or refused goes to ``rejects``, to be corrected and run again, and with it all rows that were to
be part of its event: an order that is run again without some of its lines would be a wrong one. A row that is in doubt
or has failed may have been accepted, so it goes to a file of its own that is not run again by accident. Pending rows
go to neither: `importer resume` delivers them.

Sources of the same form (format, header, delimiter, quote, encoding) share a file. If the whole run has one form, that
file is ``rejects.<format>``, and it is written even if no row is in it; otherwise there is one per form that has any,
``rejects-<stem of the form's first source>.<format>``. How each form is written is in ``docs/outputs.md``.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import chain, count
from typing import Any, BinaryIO, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.columns import whole
from importer.model import ArrowArray, ArrowTable, Dialect, RowBatch, Source, State
from importer.report.atomic import Outputs
from importer.report.model import WrittenFile
from importer.report.rows import STATES, ExplainedBatch, ParquetTable
from importer.roundtrip import (
    APPENDED,
    DOUBT,
    JSON_KEY,
    ORIGINAL,
    harmless,
    harmless_column,
    is_rejects,
    original_cell,
)
from importer.wording import iso

_KINDS = {
    "rejects": ("rejects", APPENDED, (State.INVALID, State.REFUSED)),
    "in_doubt": ("in-doubt", (*APPENDED, *DOUBT), (State.IN_DOUBT, State.FAILED)),
}
"""What a file holds; what it is called, the columns besides its source's, and the states of its rows' events."""
_WANTED = {kind: np.array([*(state in states for state in STATES), False]) for kind, (*_, states) in _KINDS.items()}
"""By the number of its event's state (-1: unknown), whether a row belongs there."""

_WHITESPACE = "whitespace"
_UNCLOSED = "row.unclosed_quote"
_NOT_IN_CELLS = re.compile(r"\brow\.(?!undecodable)")
"""Codes of rows that the reader could not split into cells."""
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTE = msgspec.json.Decoder(dict[str, object])
_NUMBERS = ("importer_row", "importer_line")
_MESSAGE = "importer_message"
_FIRST = (_MESSAGE, *DOUBT)
_BAD, _HEAD = "FFFFC7CE", "FFE7E6E6"
"""Colours of cells at fault and of the header, as ARGB."""


class _Writer(Protocol):
    """Takes rejected rows of one form; raises `ReportError` where the file system refuses."""

    def add(self, raw_rows: ArrowTable, facts: ArrowTable) -> None:
        """Write some rows, as in ``Chunk.raw_rows``, with the columns appended to them, none of which is null."""

    def close(self) -> None:
        """Write what is left; the file itself stays open."""


class _File(msgspec.Struct):
    """One output."""

    placeholder: str
    ending: str
    writer: _Writer
    rows: int = 0


class _Form(msgspec.Struct):
    """The files of all sources that look alike, by what they hold."""

    key: tuple[object, ...]
    """What its sources have in common."""
    first: Source
    schema: pa.Schema | None
    """A Parquet source's columns with their types; None while they are unknown, and for text."""
    files: dict[str, _File] = {}


class Rejects:
    """All rejects and in-doubt files of one run, written as batches come by."""

    def __init__(
        self, outputs: Outputs, run: str, columns: Mapping[str, tuple[str, ...]], *, as_workbook: bool = False
    ) -> None:
        """``columns`` are those that each target of the mapping comes from. Rejects of workbooks are workbooks.

        ``as_workbook``: rejects of CSV sources are, too. ``run`` is empty for a check.
        """
        self._outputs = outputs
        self._run = run
        self._columns = columns
        self._as_workbook = as_workbook
        self._forms: list[_Form] = []
        self.without_originals = 0
        """Rows that belong in a file but whose original cells are no longer kept."""

    def add(self, explained: ExplainedBatch) -> None:
        """Put the batch's undelivered rows where they belong."""
        raw_rows, form = explained.batch.raw_rows, self._form(explained.batch)
        for kind, wanted in _WANTED.items():
            positions = np.flatnonzero(wanted[explained.event_states])
            if not len(positions):
                continue
            if raw_rows is None:
                self.without_originals += len(positions)
                continue
            file, here = self._file(form, kind), pa.array(positions)
            file.writer.add(raw_rows.take(here), _facts(explained, self._run, here, _KINDS[kind][1]))
            file.rows += len(positions)

    def close(self) -> list[tuple[str, WrittenFile]]:
        """Finish the files; returns for each its placeholder in ``outputs`` and what it is finally called."""
        forms = self._forms
        if len(forms) == 1 and not self.without_originals:
            self._file(forms[0], "rejects")
        written = []
        for form, name in zip(forms, _names([form.first for form in forms]), strict=True):
            for kind, file in form.files.items():
                file.writer.close()
                final = WrittenFile(f"{_KINDS[kind][0]}{name}.{file.ending}", kind, file.rows)
                written.append((file.placeholder, final))
        return written

    def _form(self, batch: RowBatch) -> _Form:
        source, dialect = batch.source, batch.source.dialect
        is_parquet = dialect.format == "parquet"
        key: tuple[object, ...] = (dialect.format, source.columns)
        if dialect.format == "jsonl":
            key = (dialect.format, dialect.encoding, dialect.skip_lines)
        elif not is_parquet:
            key = (*key, replace(dialect, compression="none", has_bom=False))
        schema = batch.raw_rows.schema if is_parquet and batch.raw_rows is not None else None
        for form in self._forms:
            # A batch whose rows are all fine comes without its raw rows, from which the types are known.
            if form.key == key and (schema is None or form.schema is None or form.schema == schema):
                form.schema = form.schema or schema
                return form
        self._forms.append(_Form(key, source, schema))
        return self._forms[-1]

    def _file(self, form: _Form, kind: str) -> _File:
        if kind not in form.files:
            name, appended, _ = _KINDS[kind]
            source, dialect = form.first, form.first.dialect
            # Rows in doubt stay in a form that `importer resolve` reads.
            wants_workbook = kind == "rejects" and (self._as_workbook or bool(dialect.sheet))
            workbook = wants_workbook and _has_cells(dialect) and find_spec("openpyxl") is not None
            ending = "xlsx" if workbook else dialect.format
            number = self._forms.index(form)
            placeholder = f"{name}{f'-{number + 1}' if number else ''}.{ending}"
            file = self._outputs.create(placeholder)
            writer: _Writer
            if workbook:
                writer = _WorkbookRejects(file, source, appended, self._columns)
            elif dialect.format == "parquet":
                writer = _ParquetRejects(file, source, form.schema, appended)
            elif dialect.format == "jsonl":
                writer = _JsonlRejects(file, source, appended)
            else:
                writer = (_CsvRejects if _has_cells(dialect) else _BareRejects)(file, source, appended)
            form.files[kind] = _File(placeholder, ending, writer)
        return form.files[kind]


def _names(sources: Sequence[Source]) -> list[str]:
    """What follows ``rejects`` in the name of each form's file; nothing if there is but one form."""
    if len(sources) <= 1:
        return [""] * len(sources)
    names: list[str] = []
    for source in sources:
        stem = re.split(r"[/\\]", source.name)[-1].split(".")[0]
        safe = re.sub(r"[^\w-]+", "_", stem).strip("_") or "source"
        endings = chain([""], (f"-{number}" for number in count(2)))
        names.append(next(name for ending in endings if (name := f"-{safe}{ending}") not in names))
    return names


def _facts(explained: ExplainedBatch, run: str, positions: ArrowArray, names: Sequence[str]) -> ArrowTable:
    """The columns appended to the rows at ``positions`` (0-based), by their names."""
    batch, rows = explained.batch, explained.batch.table.num_rows
    found = {name: explained.column(name) for name in ("state", "row", "line", "key", "value", "currency", "sent_at")}
    worth = pc.binary_join_element_wise(found["value"], pc.fill_null(found["currency"], ""), " ")
    found |= {
        "code": explained.codes,
        "field": explained.fields,
        "message": explained.messages,
        "source": pa.repeat(pa.scalar(batch.source.name, pa.string()), rows),
        "run": pa.repeat(pa.scalar(run, pa.string()), rows),
        "value": pc.utf8_trim_whitespace(worth),
        "arrived": pa.nulls(rows, pa.string()),
    }
    taken = {name: found[name.removeprefix("importer_")].take(positions) for name in names}
    if "importer_sent_at" in taken:
        taken["importer_sent_at"] = pa.array(map(iso, taken["importer_sent_at"].to_pylist()), pa.string())
    return pa.table({name: pc.fill_null(a, "") if pa.types.is_string(a.type) else a for name, a in taken.items()})


def _has_cells(dialect: Dialect) -> bool:
    """Whether records have a place for further cells, which the mapping reads back."""
    plain = len(dialect.delimiter) == 1 and len(dialect.quote) == 1 and not dialect.escape
    return dialect.format == "csv" and dialect.has_header and plain


def _records(raw_rows: ArrowTable) -> Iterator[str]:
    """The records; bytes that are not text are lone surrogates."""
    return (record.decode("utf-8", "surrogatepass") for record in raw_rows.column("record").to_pylist())


def _texts(facts: ArrowTable) -> Iterator[tuple[str, ...]]:
    """The appended columns row by row, as cells."""
    columns = (harmless_column(pc.cast(whole(column), pa.string())).to_pylist() for column in facts.columns)
    return zip(*columns, strict=True)


class _TextRejects(ABC):
    """Records of text in their sources' encoding, each as what `_lines` makes of it."""

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

    def add(self, raw_rows: ArrowTable, facts: ArrowTable) -> None:
        self._write("".join(self._lines(_records(raw_rows), facts)))

    def close(self) -> None:
        self._write(self._last)

    @abstractmethod
    def _lines(self, records: Iterator[str], facts: ArrowTable) -> Iterator[str]:
        """Each row's line; ``facts`` are the columns appended to it."""

    def _write(self, text: str) -> None:
        try:
            data = self._encoder.encode(text)
        except UnicodeEncodeError:  # UTF-16 and UTF-32 have no single byte to put back
            self._encoder.errors = "replace"
            data = self._encoder.encode(text)
            self._encoder.errors = "surrogateescape"
        self._file.write(data)


class _BareRejects(_TextRejects):
    """The records alone, verbatim, where there is no place for further cells; the report has the reasons."""

    def __init__(self, file: BinaryIO, source: Source, appended: Sequence[str]) -> None:
        super().__init__(file, source, appended)
        if source.dialect.has_header:
            delimiter = " " if source.dialect.delimiter == _WHITESPACE else source.dialect.delimiter
            self._write(delimiter.join(source.columns or ()) + "\n")

    def _lines(self, records: Iterator[str], facts: ArrowTable) -> Iterator[str]:
        for record, codes in zip(records, facts.column("importer_code").to_pylist(), strict=True):
            if _UNCLOSED in codes:  # else it would swallow other rows
                self._last += record + "\n"
            else:
                yield record + "\n"


class _Cells:
    """Splits records into the header's cells, without those that earlier rejects appended.

    A record that does not split into them (too short, too long, an open quote) is kept as a whole: filled up or cut
    off it would be a row that can be read, and a re-run would deliver it uncorrected.
    """

    def __init__(self, source: Source) -> None:
        self._delimiter, self._quote = source.dialect.delimiter, source.dialect.quote
        columns = source.columns or ()
        self._width = len(columns)
        self._returned = is_rejects(columns)
        replaced = (*APPENDED, *(DOUBT if self._returned else ()), ORIGINAL)
        self._own = [at for at, name in enumerate(columns) if name not in replaced]
        self._kept_original = columns.index(ORIGINAL) if ORIGINAL in columns else None
        self.names = [harmless(columns[at]) for at in self._own]

    def of(self, record: str, codes: str) -> tuple[list[str], str, bool]:
        """The cells as they are written, or else the record that is kept; and whether it is written as it is."""
        cells = self._split(record)
        none = [""] * len(self._own)
        if cells is None or len(cells) > self._width:
            return none, record, False
        full = len(cells) == self._width
        kept = "" if self._kept_original is None or not full else original_cell(cells[self._kept_original])
        if kept and not any(cells[at].strip() for at in self._own):
            return none, kept, False  # by an earlier rejects file, and no cell was filled since
        if _NOT_IN_CELLS.search(codes) or ("row." in codes and not full):
            return none, record, False
        if self._returned:
            cells = list(map(original_cell, cells))
        cells += [""] * (self._width - len(cells))  # the mapping allows short rows
        own = [harmless(cells[at]) for at in self._own]
        return own, "", full and not self._returned and own == cells

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


class _CsvRejects(_TextRejects):
    """Records with their reasons in further cells; a record that splits into the header's cells stays as it is."""

    def __init__(self, file: BinaryIO, source: Source, appended: Sequence[str]) -> None:
        super().__init__(file, source, appended)
        self._delimiter, self._quote = source.dialect.delimiter, source.dialect.quote
        self._cells = _Cells(source)
        self._write(self._joined((*self._cells.names, *appended, ORIGINAL)) + "\n")

    def _lines(self, records: Iterator[str], facts: ArrowTable) -> Iterator[str]:
        for record, codes, texts in zip(records, facts.column("importer_code").to_pylist(), _texts(facts), strict=True):
            own, original, verbatim = self._cells.of(record, codes)
            # Our own words with question marks for what the encoding lacks.
            notes = self._joined(texts).encode(self._encoding, "replace").decode(self._encoding)
            cells = record if verbatim else self._joined(own)
            yield self._delimiter.join([cells, notes, self._joined([harmless(original)])]) + "\n"

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
    """Objects as they were, to the last digit, with one more key; a line that is no object is kept in one."""

    def _lines(self, records: Iterator[str], facts: ArrowTable) -> Iterator[str]:
        names = [name.removeprefix("importer_") for name in self._appended]
        for record, note in zip(records, facts.rename_columns(names).to_pylist(), strict=True):
            yield self._line(record, note)

    def _line(self, record: str, note: dict[str, Any]) -> str:
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


class _ParquetRejects:
    """One file of one schema; columns that an earlier rejects file appended are replaced."""

    def __init__(self, file: BinaryIO, source: Source, schema: pa.Schema | None, appended: Sequence[str]) -> None:
        schema = schema or pa.schema([(name, pa.string()) for name in source.columns or ()])
        # The index goes by position, since a Parquet file may hold a name twice.
        self._positions = [at for at, name in enumerate(schema.names) if name not in APPENDED]
        self._facts = pa.schema([(name, pa.int64() if name in _NUMBERS else pa.string()) for name in appended])
        self._schema = pa.schema([*map(schema.field, self._positions), *self._facts])
        self._table = ParquetTable(file, self._schema)

    def add(self, raw_rows: ArrowTable, facts: ArrowTable) -> None:
        columns = [raw_rows.column(at) for at in self._positions] + facts.cast(self._facts).columns
        self._table.add(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._table.close()


class _WorkbookRejects:
    """The columns and cells of CSV rejects as a sheet, all as text, so that ids keep their digits.

    What is wrong comes first, invalid cells are coloured, and columns that only a reader needs are hidden.
    """

    def __init__(
        self, file: BinaryIO, source: Source, appended: Sequence[str], columns: Mapping[str, tuple[str, ...]]
    ) -> None:
        """``columns`` are those that each target of the mapping comes from."""
        from openpyxl import Workbook
        from openpyxl.styles import PatternFill
        from openpyxl.utils import get_column_letter

        self._file, self._columns, self._cells = file, columns, _Cells(source)
        self._header = [*self._cells.names, *appended, ORIGINAL]
        first = {name: at for at, name in enumerate(_FIRST)}
        self._order = sorted(range(len(self._header)), key=lambda at: first.get(self._header[at], len(first)))
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet(source.dialect.sheet or "rejects")
        self._bad, head = (PatternFill("solid", fgColor=colour) for colour in (_BAD, _HEAD))
        for number, at in enumerate(self._order, start=1):
            column, name = self._sheet.column_dimensions[get_column_letter(number)], self._header[at]
            column.width = 48 if name == _MESSAGE else 18
            column.hidden = name in APPENDED and name != _MESSAGE
        skipped = source.dialect.skip_lines
        self._sheet.freeze_panes = f"B{skipped + 2}"
        for _ in range(skipped):
            self._sheet.append(["skipped"])
        self._append(self._header, dict.fromkeys(self._order, head), bold=True)

    def add(self, raw_rows: ArrowTable, facts: ArrowTable) -> None:
        said = (facts.column(name).to_pylist() for name in ("importer_code", "importer_field"))
        for record, codes, fields, texts in zip(_records(raw_rows), *said, _texts(facts), strict=True):
            own, original, _ = self._cells.of(record, codes)
            self._append([*own, *texts, harmless(original)], dict.fromkeys(self._at_fault(fields), self._bad))

    def close(self) -> None:
        self._book.save(self._file)

    def _append(self, cells: Sequence[str], fills: Mapping[int, Any], *, bold: bool = False) -> None:
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
        from openpyxl.styles import Alignment, Font

        row = []
        for at in self._order:
            text = cells[at].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            cell = WriteOnlyCell(self._sheet, ILLEGAL_CHARACTERS_RE.sub("\ufffd", text))
            cell.data_type, cell.number_format = "s", "@"
            if at in fills:
                cell.fill = fills[at]
            if bold:
                cell.font = Font(bold=True)
            if self._header[at] == _MESSAGE:
                cell.alignment = Alignment(wrap_text=True, vertical="top")
            row.append(cell)
        self._sheet.append(row)

    def _at_fault(self, said: str) -> set[int]:
        """The places of the cells that the row's reasons are about, and of the message."""
        fields = said.split("; ")
        names = {_MESSAGE, *fields}
        for target, columns in self._columns.items():
            if any(field and (target == field or target.startswith(f"{field}.")) for field in fields):
                names.update(columns)
        return {at for at, name in enumerate(self._header) if original_cell(name) in names}
