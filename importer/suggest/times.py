"""How a column writes its dates and times: the forms of the mapping language that read its cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from importer.convert.datetimes import read_form, read_iso

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
"""A date that tells which of its first two numbers is the day."""


@dataclass(frozen=True, slots=True)
class Times:
    """A column read as dates or times."""

    share: float
    """Of the filled cells, those that are in the form."""
    format: str
    """What a pick's `format` says; empty for ISO 8601."""
    other: str
    """The other `format` that some cells ask for or all allow, so that they do not say which is meant; empty: none."""
    dates: bool
    """Whether no cell has a clock."""
    zoned: bool
    """Whether every time says its offset or zone."""
    mixed: bool = False
    """Whether some dates have the day first and others the month."""

    def words(self) -> dict[str, Any]:
        """What a pick says of it."""
        kind = {"as": "date" if self.dates else "datetime"}
        return kind | ({"format": self.format} if self.format else {})


def look(cells: Iterable[str], *, hinted: bool) -> Times | None:
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
        moment = read_form(head, form) if form else read_iso(head)
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
    if (day_only and not month_only) or (not month_only and "." in first[:3]):  # nobody writes a month before a point
        return _times(len(heads), days, "dmy")
    return _times(len(heads), days | months, "dmy", "mdy", mixed=day_only)


def _times(cells: int, found: Mapping[str, bool], form: str, other: str = "", *, mixed: bool = False) -> Times | None:
    if not found:
        return None
    clocks = [zoned for cell, zoned in found.items() if ":" in cell or form in _EPOCHS]
    return Times(len(found) / cells, form, other, dates=not clocks, zoned=bool(clocks) and all(clocks), mixed=mixed)
