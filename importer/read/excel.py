"""Excel workbooks: one sheet as the text that a person sees in it, then read like CSV.

A sheet is copied, row by row, into a temporary file of quoted cells: memory stays flat, and all rules of CSV (a title
above the header, the mapping's names, rejects) hold for it. The library reads styles, which say what is a date and
which number is an id with zeros in front.

- Dates and times are ISO 8601; a time of day alone is ``HH:MM:SS``.
- Numbers have their 15 significant digits, as spreadsheets compute: 0.1 + 0.2 is 0.3. One whose format says how many
  decimals are shown, asks for zeros in front (``00000``) or for a percentage is written so, without currency signs and
  thousands; a note says where that rounds.
- Formulas are their last results; a workbook whose formulas have none is refused, for its cells would be empty.
"""

from __future__ import annotations

import csv
import errno
import os
import re
import tempfile
import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from itertools import combinations
from typing import IO, Any

import numpy as np
from msgspec.structs import replace

from importer.currencies import contradicts, currencies_of
from importer.errors import SourceError, SpaceError
from importer.mapping.model import SourceOptions
from importer.read.delimited import DelimitedReader
from importer.read.encoding import recognise_encoding
from importer.read.files import MAX_RATIO, Content, Input, Limits, recognise_compression
from importer.read.reader import TextSample
from importer.read.records import Records
from importer.wording import counted, shown

_DIGITS = 15
"""Significant digits of a spreadsheet's numbers."""
_SMALL = 64 << 20
_MOST_TEXT = 256 << 20
"""Bytes of all distinct texts of a workbook, which the library holds in memory."""
_TEXTS = "xl/sharedStrings.xml"
_WORKBOOK = "xl/workbook.xml"
_NO_RESULT = re.compile(rb"<f(?: [^>]*)?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
"""A formula without a result; one whose result is an empty text is in a cell of the type ``str``."""
_HIDDEN_ROW = re.compile(rb'<row [^>]*\bhidden="(?:1|true)"[^>]*>')
_CELL = re.compile(rb'<c (?=[^>]*r="([A-Z]+[0-9]+)")[^>]*>')
_STEP = 1 << 20
_LONGEST_FORMULA = 16 << 10


def is_workbook(source: Input) -> bool:
    """Whether it is an Excel workbook, by its content."""
    if source.path is None or source.member is not None or not os.path.isfile(source.path):  # noqa: PTH113 # as given
        return False
    try:
        with open(source.path, "rb") as file:  # noqa: PTH123 # as given
            return recognise_compression(file.read(6)) == "zip" and _WORKBOOK in zipfile.ZipFile(file).namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


class SheetReader(DelimitedReader):
    """Reads a sheet's copy; lines are the sheet's rows."""

    def __init__(
        self, sheet: _Sheet, content: Content, options: SourceOptions, limits: Limits, columns: Collection[str]
    ) -> None:
        sample, complete = content.peek(limits.sample)
        encoding = recognise_encoding(content.name, "utf-8", sample, complete=complete)
        as_text = options.model_copy(
            update={"format": "csv", "encoding": None, "delimiter": ",", "quote": '"', "escape": None, "comment": None,
                    "ragged": "pad"}
        )  # fmt: skip
        super().__init__(content, TextSample(sample, complete, encoding), as_text, limits, columns)
        self.source = replace(self.source, dialect=replace(self.source.dialect, sheet=sheet.title))
        self.notes = (*sheet.notes, *self.notes)
        self._starts, self._rows = (np.array(one, np.int64) for one in zip(*sheet.moved, strict=True))

    def _records(self) -> Iterator[Records]:
        for records in super()._records():
            at = np.searchsorted(self._starts, records.lines, side="right") - 1
            yield replace(records, lines=self._rows[at] + records.lines - self._starts[at])


class _Sheet:
    """A sheet on its way into a file of text."""

    def __init__(self, title: str, notes: list[str]) -> None:
        self.title = title
        self.notes = notes
        self.moved = [(1, 1)]
        """Lines of the copy from which on its lines and the sheet's rows differ otherwise, and their rows."""
        self._signs: defaultdict[int, Counter[str]] = defaultdict(Counter)
        """By the place of their column, how many numbers have a format with which sign of a currency."""
        self._odd: Counter[tuple[int, str]] = Counter()
        """Numbers that are not quite what the file has, by the place of their column and what is said of them."""

    def copy(self, rows: Iterator[tuple[Any, ...]], file: IO[str]) -> None:
        """Write the cells of all rows as text."""
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        line, blank = 1, 0
        header: tuple[str, ...] = ()
        for number, row in enumerate(rows, start=1):
            cells = [self._text(at, cell) for at, cell in enumerate(row)]
            while cells and not cells[-1]:
                cells.pop()
            if not cells:
                blank += 1
                continue
            file.write("\n" * blank)
            line, blank = line + blank, 0
            if self.moved[-1][1] + line - self.moved[-1][0] != number:
                self.moved.append((line, number))
            writer.writerow(cells)
            line += 1 + sum(cell.count("\n") + cell.count("\r") - cell.count("\r\n") for cell in cells)
            header = tuple(cells) if len(cells) > len(header) else header
        for at, signs in self._signs.items():
            if any(contradicts(one, other) for one, other in combinations(signs, 2)):
                said = " and ".join(f"{count} in {shown(sign)}" for sign, count in signs.most_common())
                self._odd[at, f"that it shows in several currencies ({said}), whose signs are not read"] = signs.total()
        for (at, what), count in self._odd.items():
            name = f"column {shown(header[at])!r}" if at < len(header) and header[at] else f"column {at + 1}"
            self.notes.append(f"{name} has {counted(count, 'number')} {what}")

    def _text(self, at: int, cell: Any) -> str:
        """A cell as a person sees it."""
        value = cell.value
        if value is None:
            return ""
        if isinstance(value, str):
            return value.replace("\r\n", "\n").replace("\r", "\n")
        if isinstance(value, bool):
            return str(value).upper()
        if isinstance(value, datetime | date | time | timedelta):
            return time_text(value, cell.number_format)
        text, is_rounded = number_text(value, cell.number_format)
        if sign := _sign(cell.number_format):
            self._signs[at][sign] += 1
        if abs(value) >= 10**_DIGITS:
            self._odd[at, f"of more than {_DIGITS} digits, which spreadsheets round; have ids written as text"] += 1
        elif is_rounded:
            self._odd[at, "with more decimals than it shows; they are taken as it shows them"] += 1
        return text


@cache
def _sign(number_format: str) -> str:
    """The sign or code of a currency in a format, such as ``[$€-407]`` or ``"$"``; empty without one."""
    found = re.findall(r'\[\$([^\]-]+)|"([^"]+)"|\\?([$€£¥])', number_format.partition(";")[0])
    texts = ("".join(one).strip() for one in found)
    return next((text for text in texts if currencies_of(text)), "")


@cache
def _shape(number_format: str) -> tuple[int, int, int, bool] | None:
    """How a format shows a number: its least digits before the decimal sign, least and most decimals, in percent.

    None for the general one, texts, fractions, phone numbers and thousands cut off.
    """
    shown_part = re.sub(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]', "", number_format.partition(";")[0])
    parts = re.findall(r"[#0?][#0?,]*(?:\.[#0?]+)?", shown_part)
    if len(parts) != 1 or re.search(r"[Ee/]|,(?:\.|$)", parts[0] + shown_part.partition(parts[0])[2]):
        return None
    whole, _, decimals = parts[0].partition(".")
    return whole.count("0"), decimals.count("0"), len(decimals), "%" in shown_part


def number_text(value: float, number_format: str) -> tuple[str, bool]:
    """A number as its format shows it, without currency signs and thousands, and whether that rounds it.

    Of 15 digits all are kept; a whole number keeps more. A larger one with an exponent keeps that: it is no id.
    """
    if abs(value) >= 10**_DIGITS:
        return (str(value) if isinstance(value, int) else f"{value:.{_DIGITS - 1}E}"), False
    exact = Decimal(f"{value:.{_DIGITS}g}")
    shape = _shape(number_format)
    if shape is None:
        return _without_zeros(f"{exact:f}", 0), False
    digits, least, most, percent = shape
    exact *= 100 if percent else 1
    rounded = exact.quantize(Decimal(1).scaleb(-most), ROUND_HALF_UP)
    text = _without_zeros(f"{abs(rounded):f}", least)
    whole, point, decimals = text.partition(".")
    sign = "-" if rounded < 0 else ""
    return f"{sign}{whole.zfill(digits)}{point}{decimals}{'%' * percent}", rounded != exact


def _without_zeros(text: str, least: int) -> str:
    """Without zeros behind the decimal sign, but for the ``least`` that are shown."""
    whole, _, decimals = text.partition(".")
    decimals = decimals[:least] + decimals[least:].rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


def time_text(value: datetime | date | time | timedelta, number_format: str) -> str:
    """A date, a time or a length of time in ISO 8601."""
    if isinstance(value, datetime):
        has_clock = value.time() != time() or re.search("[hHsS]", re.sub(r'"[^"]*"|\[[^\]]*\]', "", number_format))
        unit = "milliseconds" if value.microsecond else "seconds"
        return value.isoformat(timespec=unit) if has_clock else value.date().isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return value.isoformat()


def open_workbook(source: Input, options: SourceOptions, limits: Limits, columns: Collection[str]) -> SheetReader:
    """Copy a workbook's sheet into text, and open that. Raises `SourceError` where it cannot be read."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise SourceError(
            source.name,
            "is an Excel workbook, which an extra reads that is not installed",
            hint='pip install "sender-importer[excel]", or save the sheet as CSV (UTF-8)',
        ) from None
    with (
        closing(Content(source, "none")) as whole,
        warnings.catch_warnings(),
        tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file,
    ):
        hidden = _look_into(source, whole.seekable(), options.max_ratio or MAX_RATIO)
        warnings.simplefilter("ignore")  # of parts of a workbook that say nothing of its cells
        with closing(load_workbook(whole.seekable(), read_only=True, data_only=True)) as book:
            sheet, found = _chosen(source, book, options.sheet)
            if hidden:
                sheet.notes.append(
                    f"its sheets have {counted(hidden, 'hidden row')}, as behind a filter; what is hidden is read, too"
                )
            found.reset_dimensions()  # what a program wrote there may be wrong
            try:
                sheet.copy(found.iter_rows(), file)
                file.flush()
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                    raise
                raise SpaceError(
                    f"the sheet of {shown(source.name)} finds no room in {tempfile.gettempdir()}: {error.strerror}",
                    hint="make room there, or name a directory on another disk: TMPDIR=/that/directory",
                ) from None
        whole.check_unchanged()
        content = Content(Input(source.name, file.name), "none")
    content.path = whole.path
    try:
        return SheetReader(sheet, content, options, limits, columns)
    except BaseException:
        content.close()
        raise


def _chosen(source: Input, book: Any, wanted: str | None) -> tuple[_Sheet, Any]:
    """The sheet that is wanted, or the first one that is not hidden."""
    sheets = {one.title: one for one in book.worksheets}
    if wanted is not None:
        if wanted not in sheets:
            names = ", ".join(shown(name) for name in sheets)
            raise SourceError(source.name, f"has no sheet {shown(wanted)!r}", hint=f"its sheets are {names}")
        return _Sheet(wanted, []), sheets[wanted]
    visible = [one for one in sheets.values() if one.sheet_state == "visible"]
    if not visible:
        raise SourceError(source.name, "has no sheet with cells", hint="name a hidden one: `source: {sheet: …}`")
    first = visible[0]
    notes = []
    if len(visible) > 1:
        others = ", ".join(shown(one.title) for one in visible[1:4])
        notes = [f"its first sheet {shown(first.title)!r} is read; `source: {{sheet: …}}` names another one ({others})"]
    return _Sheet(first.title, notes), first


def _look_into(source: Input, file: Any, max_ratio: int) -> int:
    """How many rows are hidden; raises `SourceError` for what unpacks to too much, and for formulas without results."""
    with zipfile.ZipFile(file) as archive:
        parts = {info.filename: info for info in archive.infolist()}
        unpacked = sum(one.file_size for one in parts.values())
        packed = sum(one.compress_size for one in parts.values())
        if unpacked > _SMALL and unpacked > max_ratio * packed:
            raise SourceError(
                source.name,
                f"unpacks to more than {max_ratio:,} times its size, as no table does",
                hint="if it is right, set `source: {max_ratio: 5000}` in the mapping, or save it as CSV (UTF-8)",
            )
        if _TEXTS in parts and parts[_TEXTS].file_size > _MOST_TEXT:
            hint = "save the sheet as CSV (UTF-8)"
            raise SourceError(source.name, "has more text than can be held in memory", hint=hint)
        sheets = [name for name in parts if name.startswith("xl/worksheets/") and name.endswith(".xml")]
        return sum(_hidden_rows(source, archive.open(name)) for name in sheets)


def _hidden_rows(source: Input, part: IO[bytes]) -> int:
    """How many rows of a sheet are hidden; raises `SourceError` for a formula without a result."""
    hidden = 0
    with part:
        seen = b""
        while piece := part.read(_STEP):
            before = seen[-_LONGEST_FORMULA:]
            seen = before + piece
            hidden += sum(found.end() > len(before) for found in _HIDDEN_ROW.finditer(seen))
            for found in _NO_RESULT.finditer(seen):
                cells = list(_CELL.finditer(seen, max(0, found.start() - 500), found.start()))
                if cells and b't="str"' not in cells[-1][0]:
                    raise SourceError(
                        source.name,
                        f"the formula in cell {cells[-1][1].decode()} has no result: the program that wrote it"
                        " did not calculate it",
                        hint="open it in a spreadsheet program, save it there, and run this again",
                    )
    return hidden
