"""The first rows of a file: what the cells of its columns look like, and the words of mappings that read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
import pyarrow as pa

from importer.convert.datetimes import ISO, read_form
from importer.convert.numbers import NumberForm, NumberReader, undressed
from importer.currencies import CURRENT, SIGNS
from importer.read import Input
from importer.suggest.vocabulary import Fit, fit, is_nothing, is_warehouse

CURRENCY_OF_SIGN = {"£": "GBP", "$": "USD", "¥": "JPY", "₩": "KRW"} | {
    sign: code for sign, codes in SIGNS.items() if len(codes) == 1 for code in codes
}


class NumberStyle(msgspec.Struct, frozen=True):
    """How numbers are written."""

    decimal: str = "."
    """The decimal sign; both of them where either one is used."""
    thousands: str = ""

    def words(self) -> dict[str, Any]:
        """What a value mapping says of it."""
        if self == NumberStyle():
            return {}
        decimal = list(self.decimal) if len(self.decimal) > 1 else self.decimal
        return {"decimal": decimal} | ({"thousands": self.thousands} if self.thousands else {})

    def example(self) -> str:
        """The number twelve hundred and a half, written so."""
        return " or ".join(f"1{self.thousands}200{sign}50" for sign in self.decimal)

    def read(self, texts: Sequence[str]) -> list[str | None]:
        """The numbers as canonical texts; None where a text is no number in this style."""
        found = NumberReader(NumberForm(self.decimal, self.thousands or None))(pa.array(texts, pa.string()))
        numbers: list[str | None] = found.values.to_pylist()
        return numbers


_PLAIN, _COMMA, _GROUPED, _EITHER = NumberStyle(), NumberStyle(","), NumberStyle(".", ","), NumberStyle(".,")
_STYLES = (_PLAIN, _COMMA, _GROUPED, *(NumberStyle(*signs) for signs in (",.", ", ", ". ", ".'")))
"""The plainest first."""


class Numbers(msgspec.Struct, frozen=True):
    """A column read as numbers."""

    share: float
    """Of the filled cells, those that are numbers in the style."""
    style: NumberStyle
    other: NumberStyle | None
    """Another style that reads the same cells as other numbers, so that the cells do not say which is meant."""
    whole: bool
    """Whether they are all integers."""
    sign: str
    """The currency's sign or code that most of them have; empty for none."""
    has_codes: bool
    """Whether each of them names its currency by its code."""


def as_numbers(cells: Iterable[str], *, money: bool = False) -> Numbers | None:
    """What distinct cells say of the style; None if less than half of them are numbers.

    Amounts of ``money`` have no three decimals: three digits after the only comma are thousands.
    """
    texts = list(cells)
    found = {style: style.read(texts) for style in _STYLES}
    fitting = {style: len(texts) - numbers.count(None) for style, numbers in found.items()}
    best = max(_STYLES, key=lambda style: fitting[style])
    if fitting[best] < len(texts) / 2 or not fitting[best]:
        return None
    if fitting[best] < len(texts) and None not in (either := _EITHER.read(texts)):
        best, found[_EITHER], fitting[_EITHER] = _EITHER, either, len(texts)
    for style in _STYLES if best is not _EITHER else ():
        # Where some number has them, thousands are named: the next file may have one without a decimal sign.
        is_used = style.thousands and any(style.thousands in text for text in texts)
        if is_used and style.decimal == best.decimal and found[style] == found[best]:
            best = style
            break
    rivals = [style for style in _STYLES if fitting[style] == fitting[best] and style.decimal != best.decimal]
    other = next((style for style in rivals if _differ(found[style], found[best])), None)
    dressed = [undressed(text) for text, number in zip(texts, found[best], strict=True) if number is not None]
    bare = [digits for _, digits, _ in dressed]
    if money and best in (_PLAIN, _COMMA, _GROUPED) and _has_only_groups(bare):
        best, other = _GROUPED, None
    elif money and best.decimal == "," and any(_has_only_groups([number]) for number in bare):
        other = _GROUPED
    signs = Counter(sign for _, _, sign in dressed if sign)
    return Numbers(
        share=fitting[best] / len(texts),
        style=best,
        other=other,
        whole=not any("." in number for number in found[best] if number is not None),
        sign=signs.most_common(1)[0][0] if signs.total() > len(dressed) / 2 else "",
        has_codes=all(sign in CURRENT for _, _, sign in dressed),
    )


def _differ(numbers: Sequence[str | None], others: Sequence[str | None]) -> bool:
    """Whether a text is another number in both readings."""
    return any(one is not None and another not in (None, one) for one, another in zip(numbers, others, strict=True))


def _has_only_groups(numbers: list[str]) -> bool:
    """Whether every comma could be between thousands, as in ``1,234``; one number has it at least."""
    commas = [number for number in numbers if "," in number or not re.fullmatch("[0-9]+", number)]
    return bool(commas) and all(re.fullmatch("[1-9][0-9]{0,2},[0-9]{3}", number) for number in commas)


_SPELLED = tuple(
    date + clock
    for date in ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%d-%b-%Y", "%d-%b-%y", "%a, %d %b %Y")
    for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", ", %H:%M", ", %I:%M %p", ", %H:%M:%S", " %H:%M:%S %z")
)
_EPOCHS = {"s": 10, "ms": 13, "us": 16}
"""How many digits today's counts have."""
_HALF = r"[AaPp]\.?[Mm]\.?"
_ZONE_NAME = re.compile(
    rf"(:[0-9]{{2}}(?:[.,][0-9]+)?(?: ?{_HALF})?) +(?!{_HALF}$)\(?[A-Za-z][A-Za-z/_()& +:-]{{1,40}}$"
)
"""The name of a zone behind a time."""
CLOCK_ONLY = re.compile(rf"[0-9]{{1,2}}:[0-9]{{2}}(?::[0-9]{{2}})?(?: ?{_HALF})?")
DECISIVE = r"^(?:1[3-9]|2[0-9]|3[01])[./-][0-9]|^[0-9]{1,2}[./-](?:1[3-9]|2[0-9]|3[01])[./-][0-9]"
"""A date that shows which of its first two numbers is the day."""


class Times(msgspec.Struct, frozen=True):
    """A column read as dates or times."""

    share: float
    """Of the filled cells, those that are in the form."""
    format: str
    """What a value mapping's `format` says; empty for ISO 8601."""
    other: str
    """The other `format` that some cells ask for or all allow, so that they do not say which is meant; empty: none."""
    dates: bool
    """Whether no cell has a clock."""
    zoned: bool
    """Whether every time says its offset or zone."""
    mixed: bool = False
    """Whether some dates have the day first and others the month."""

    def words(self) -> dict[str, Any]:
        """What a value mapping says of it."""
        return {"as": "date" if self.dates else "datetime"} | ({"format": self.format} if self.format else {})


def as_times(cells: Iterable[str], *, hinted: bool) -> Times | None:
    """What distinct cells say of the form; None if most are no times.

    ``hinted`` says that the column's name speaks of time, so that ten digits may be seconds and eight a date.
    """
    heads = {cell: _ZONE_NAME.sub(r"\1", cell) for cell in cells}
    few = dict(list(heads.items())[:20])
    year = re.compile("[0-9]{4}[./-]|[0-9]{8}(?![0-9])" if hinted else "[0-9]{4}[./-]")
    for form in ("", "ymd", "dmy", *(_EPOCHS if hinted else ()), *_SPELLED):
        if form in _SPELLED and len(_read(few, form)) * 2 < len(few):
            continue
        right = heads
        if form == "ymd":
            right = {cell: head for cell, head in heads.items() if year.match(cell)}
        elif form in _EPOCHS:
            right = {cell: head for cell, head in heads.items() if len(cell) == _EPOCHS[form]}
        found = _ordered(heads) if form == "dmy" else _times(len(heads), _read(right, form), form)
        if found is not None and found.share >= 0.5:
            return found
    return None


def _read(heads: Mapping[str, str], form: str) -> dict[str, bool]:
    """The cells that are times of our days in a form, and whether each says its zone."""
    found = {}
    for cell, head in heads.items():
        moment = read_form(head, form or ISO)
        if moment is not None and 1990 <= moment.local.year <= 2100:
            found[cell] = moment.offset is not None or head != cell
    return found


def _ordered(heads: Mapping[str, str]) -> Times | None:
    """Dates of digits with the year last."""
    days, months = _read(heads, "dmy"), _read(heads, "mdy")
    both = days.keys() & months.keys()
    day_only, month_only = len(days) > len(both), len(months) > len(both)
    if month_only and not day_only:
        return _times(len(heads), months, "mdy")
    first = next((cell for cell in heads if cell in days), "")
    if not month_only and (day_only or "." in first[:3]):  # before a point it is always the day
        return _times(len(heads), days, "dmy")
    return _times(len(heads), days | months, "dmy", "mdy", mixed=day_only)


def _times(cells: int, found: Mapping[str, bool], form: str, other: str = "", *, mixed: bool = False) -> Times | None:
    if not found:
        return None
    clocks = [zoned for cell, zoned in found.items() if ":" in cell or form in _EPOCHS]
    return Times(len(found) / cells, form, other, dates=not clocks, zoned=bool(clocks) and all(clocks), mixed=mixed)


_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".0-9]{2,}")
_PHONE = re.compile(r"'?(?:\+|00)?[0-9(][0-9 ().\-/\u00a0]{5,20}[0-9]|[0-9](?:\.[0-9]+)?E\+1[0-4]")
_FLAGS = {"true", "false", "yes", "no", "y", "n", "t", "f", "on", "off"}
_MOST_DISTINCT = 2_000
"""Distinct cells looked at."""


class Column(msgspec.Struct, frozen=True, dict=True):
    """A column's cells, trimmed, in the order of the rows; empty where blank or absent."""

    name: str
    """As a mapping names it; a dotted path in nested formats."""
    cells: tuple[str, ...]
    nested: bool = False
    """Whether objects or lists were found in it."""
    later: tuple[str, ...] = ()
    """Cells of later rows that show which number is the day, where these do not."""
    has_name: bool = True
    """Whether the file says what it is called."""

    @cached_property
    def counts(self) -> Counter[str]:
        """The distinct cells that are not blank, and how many rows have each."""
        return Counter(cell for cell in self.cells if cell)

    @cached_property
    def filled(self) -> int:
        """How many cells are not blank."""
        return self.counts.total()

    @property
    def is_full(self) -> bool:
        """Whether every cell says something: none is blank, or a word such as NULL."""
        return 0 < self.filled == len(self.cells) and not any(map(is_nothing, self.counts))

    @property
    def is_unique(self) -> bool:
        """Whether no two rows share a filled cell."""
        return 0 < self.filled == len(self.counts)

    @cached_property
    def distinct(self) -> list[str]:
        """Distinct filled cells, not all of very many."""
        return list(self.counts)[:_MOST_DISTINCT]

    def share(self, holds: Callable[[str], object]) -> float:
        """Of the distinct cells, those for which something holds."""
        return sum(bool(holds(cell)) for cell in self.distinct) / max(1, len(self.distinct))

    @cached_property
    def emails(self) -> float:
        """The share of e-mail addresses."""
        return self.share(_EMAIL.fullmatch)

    @cached_property
    def phones(self) -> float:
        """The share of what could be phones."""
        digits = self.share(lambda cell: 7 <= sum(map(str.isdigit, cell)) <= 16)
        return min(self.share(_PHONE.fullmatch), digits)

    @cached_property
    def clocks(self) -> float:
        """The share of times of day."""
        return self.share(CLOCK_ONLY.fullmatch)

    @cached_property
    def currencies(self) -> float:
        """The share of currency codes, in any case."""
        return self.share(lambda cell: cell.upper() in CURRENT)

    @cached_property
    def is_flag(self) -> bool:
        """Whether its cells are words for true and false only."""
        return bool(self.distinct) and {cell.lower() for cell in self.distinct} <= _FLAGS

    @cached_property
    def numbers(self) -> Numbers | None:
        """Read as numbers."""
        return as_numbers(self.distinct) if self.distinct else None

    @cached_property
    def money(self) -> Numbers | None:
        """Read as amounts of money."""
        return as_numbers(self.distinct, money=True) if self.distinct else None

    @cached_property
    def times(self) -> Times | None:
        """Read as times."""
        hinted = fit(self.name, "time") > Fit.NO or not self.has_name
        more = (cell for cell in list(self.counts)[_MOST_DISTINCT:] if re.match(DECISIVE, cell))
        return as_times([*self.distinct, *more, *self.later], hinted=hinted) if self.distinct else None

    def varies_within(self, key: Column) -> bool:
        """Whether rows that share a key differ in this column, blank cells apart."""
        seen: dict[str, str] = {}
        pairs = zip(key.cells, self.cells, strict=True)
        return any(at and cell and seen.setdefault(at, cell) != cell for at, cell in pairs)


class Sample(msgspec.Struct, frozen=True, dict=True):
    """The first rows of a file, and how it is read."""

    input: Input
    columns: tuple[Column, ...]
    rows: int
    whole: bool
    """Whether these are all its rows."""
    format: str = "csv"
    delimiter: str = ","
    sheet: str = ""
    """The sheet of the Excel workbook; empty: it is none."""
    encoding: str = "utf-8"
    has_header: bool = True
    doubled: tuple[str, ...] = ()
    """Names that the header has more than once, so that a mapping cannot say which is meant."""
    binary: tuple[str, ...] = ()
    """Columns of bytes, which no event can hold."""
    readings: tuple[tuple[str, str], ...] = ()
    """Encodings that the file may have, each with a few of its words as it reads them; empty where one is clear."""
    notes: tuple[str, ...] = ()
    """What was assumed to read the file, as sentences."""
    source: tuple[tuple[str, object], ...] = ()
    """What the mapping must say of the file, as pairs of `source`'s words and their values."""

    @property
    def is_warehouse(self) -> bool:
        """Whether a loader copied the table into a warehouse, where times are UTC."""
        return any(is_warehouse(one.name) for one in self.columns)

    @property
    def name(self) -> str:
        """The file, as the user named it."""
        return self.input.name

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((one for one in self.columns if one.name == name), None)

    def named(self, role: str) -> list[Column]:
        """The columns with cells whose names fit a role, the best first."""
        found = [one for one in self.columns if one.filled and not one.nested and fit(one.name, role)]
        return sorted(found, key=lambda one: (-fit(one.name, role), -one.filled, one.name.count(".")))
