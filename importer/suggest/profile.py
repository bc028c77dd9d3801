"""The first rows of a file, and what the cells of each column look like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cached_property

import msgspec

from importer.currencies import CURRENT
from importer.read import Input
from importer.suggest.forms import CLOCK_ONLY, DECISIVE, Numbers, Times, as_numbers, as_times
from importer.suggest.vocabulary import Fit, fit, is_nothing, is_warehouse

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
