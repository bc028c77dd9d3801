"""Rejects as an Excel workbook: what is wrong comes first, and the cells at fault are coloured.

A sheet has the columns and cells of the CSV rejects, all as text, so that ids keep their digits; their order differs,
for a reader goes by names. The columns that only a reader needs are hidden. `importer.read.excel` reads it back.
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain
from typing import BinaryIO

from importer.errors import MappingError, UsageError
from importer.mapping.load import loads
from importer.model import Source
from importer.report.reject_files import CsvRejects, Rejected, has_cells
from importer.roundtrip import APPENDED, DOUBT, original_cell

_FIRST = ("importer_message", *DOUBT)
_HIDDEN = frozenset(APPENDED) - {"importer_message"}
_BAD, _HEAD = "FFFFC7CE", "FFE7E6E6"
"""Colours of cells at fault and of the header, as ARGB."""
_WIDTHS = {"importer_message": 48}
_WIDTH = 18


def suits(source: Source) -> bool:
    """Whether the source's rejects can be a sheet: its rows have cells under names, and the extra is installed."""
    return has_cells(source.dialect) and find_spec("openpyxl") is not None


def columns_by_target(text: str, name: str) -> Mapping[str, tuple[str, ...]]:
    """The columns that each target of a mapping comes from; none where the mapping cannot be loaded any more."""
    try:
        mapping = loads(text, name, partial=True).mapping
    except (MappingError, UsageError):
        return {}
    return {target: value.columns() for target, value in mapping.fields()}


class WorkbookRejects:
    """Collects rejects as CSV, then writes them as a sheet; see `RejectsWriter`."""

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
