"""Which column plays which role: names and cells weighed together.

This module owns the candidates for each role, best first, each with how sure that is and why. Which of them is taken,
and what a mapping says of it, is ``draft``'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from iso4217 import Currency

from importer.suggest import numbers, times
from importer.suggest.decide import Option
from importer.suggest.names import fit
from importer.suggest.numbers import Numbers
from importer.suggest.sample import Column, Sample
from importer.suggest.times import CLOCK_ONLY, Times

_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".0-9]{2,}")
_PHONE = re.compile(r"'?(?:\+|00)?[0-9(][0-9 ().\-/\u00a0]{5,20}[0-9]|[0-9](?:\.[0-9]+)?E\+1[0-4]")
CURRENCIES = frozenset(one.code for one in Currency)
_MOST_DISTINCT = 2_000
"""Distinct cells looked at."""


@dataclass(frozen=True)
class Looked:
    """A column, and what its cells look like."""

    column: Column
    has_name: bool = True
    """Whether the file says what it is called."""

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @cached_property
    def cells(self) -> list[str]:
        """Distinct filled cells."""
        return list(self.column.counts)[:_MOST_DISTINCT]

    def share(self, pattern: re.Pattern[str]) -> float:
        """Of the distinct cells, those that match as a whole."""
        return sum(pattern.fullmatch(cell) is not None for cell in self.cells) / len(self.cells) if self.cells else 0.0

    @cached_property
    def emails(self) -> float:
        """The share of e-mail addresses."""
        return self.share(_EMAIL)

    @cached_property
    def phones(self) -> float:
        """The share of what could be phones."""
        digits = sum(7 <= sum(map(str.isdigit, cell)) <= 16 for cell in self.cells)
        return min(self.share(_PHONE), digits / len(self.cells)) if self.cells else 0.0

    @cached_property
    def clocks(self) -> float:
        """The share of times of day."""
        return self.share(CLOCK_ONLY)

    @cached_property
    def currencies(self) -> float:
        """The share of currency codes, in any case."""
        return sum(cell.upper() in CURRENCIES for cell in self.cells) / len(self.cells) if self.cells else 0.0

    @cached_property
    def numbers(self) -> Numbers | None:
        """Read as numbers."""
        return numbers.look(self.cells) if self.cells else None

    @cached_property
    def times(self) -> Times | None:
        """Read as times."""
        hinted = fit(self.name, "time") > 0 or not self.has_name
        more = (cell for cell in list(self.column.counts)[_MOST_DISTINCT:] if re.match(times.DECISIVE, cell))
        return times.look([*self.cells, *more, *self.column.later], hinted=hinted) if self.cells else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column that may play a role."""

    looked: Looked
    score: float
    reason: str

    def option(self) -> Option:
        """As an option to decide about."""
        return Option(self.looked.name, self.score, self.reason)


class Roles:
    """The candidates of a sample, role by role."""

    def __init__(self, sample: Sample, *, hinted: bool = False) -> None:
        named = sample.has_header and not hinted
        self.columns = [Looked(column, named) for column in sample.columns if not column.nested]
        self._has_header = sample.has_header

    def emails(self) -> list[Candidate]:
        """Columns of e-mail addresses."""
        return self._ranked("email", lambda one: one.emails, "e-mail addresses", 0.7)

    def phones(self) -> list[Candidate]:
        """Columns of phones; digits alone are phones only where the name says so."""
        found = self._ranked("phone", lambda one: one.phones, "phone numbers", 0.7)
        return [one for one in found if fit(one.looked.name, "phone") or _all_with_plus(one.looked)]

    def currencies(self) -> list[Candidate]:
        """Columns of currency codes."""
        return self._ranked("currency", lambda one: one.currencies, "currency codes", 0.6)

    def ids(self) -> list[Candidate]:
        """Columns that identify a customer."""
        found = [Candidate(one, 0.5 + 0.3 * _fit(one, "id"), "named like a customer's id") for one in self.columns]
        return _best([one for one in found if _fit(one.looked, "id") and one.looked.column.filled])

    def clocked(self) -> list[Candidate]:
        """Columns of dates and times."""
        found = []
        for one in self.columns:
            if one.times is not None and not (one.times.share < 0.9 and not _fit(one, "time")):
                named = "named like the time of an event, " if _fit(one, "time") >= 0.9 else ""
                score = (0.5 + 0.45 * _fit(one, "time")) * (1 if one.column.is_full else 0.9)
                found.append(Candidate(one, score, f"{named}{_percent(one.times.share)} of its cells are times"))
        return _best(found)

    def values(self) -> list[Candidate]:
        """Columns of money."""
        found = []
        for one in self.columns:
            read = one.numbers
            if read is None or read.share < 0.5 or (one.times is not None and _fit(one, "time")):
                continue
            named = _fit(one, "value")
            if named:
                reason = f"named like an amount, {_percent(read.share)} of its cells are numbers"
                part = 0.8 if "subtotal" in one.name.lower() else 1.0
                found.append(Candidate(one, 0.45 + 0.5 * named * read.share * part, reason))
            elif (read.sign or not self._has_header) and not read.whole:
                found.append(Candidate(one, 0.5, "its cells look like amounts of money"))
        return _best(found)

    def named(self, role: str) -> list[Candidate]:
        """Columns with cells whose names fit a role, whatever the cells are."""
        found = [Candidate(one, _fit(one, role), "by its name") for one in self.columns if one.column.filled]
        return _best([one for one in found if one.score])

    def _ranked(self, role: str, share: object, what: str, base: float) -> list[Candidate]:
        assert callable(share)
        found = []
        for one in self.columns:
            named, looks = _fit(one, role), share(one)
            like = f"named like {what}, and " if named else "not by its name, but "
            if looks >= 0.5:
                score = base + (0.98 - base) * named * min(1.0, looks + 0.1)
                found.append(Candidate(one, score, f"{like}{_percent(looks)} of its cells look like {what}"))
            elif named >= 0.8 and not one.cells:
                found.append(Candidate(one, 0.5 * named, f"named like {what}, but its cells are blank"))
        return _best(found)


def _fit(one: Looked, role: str) -> float:
    return fit(one.name, role)


def _best(found: list[Candidate]) -> list[Candidate]:
    return sorted(found, key=lambda one: (-round(one.score, 2), -one.looked.column.filled))


def _percent(share: float) -> str:
    return "all" if share == 1 else f"{int(100 * share)}%"


def _all_with_plus(one: Looked) -> bool:
    return all(re.match(r"'?\+[0-9]", cell) for cell in one.cells)
