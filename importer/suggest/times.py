"""How a column writes its dates and times: recognised from the cells alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_CLOCK = (
    r"(?:T|,?[ \u00a0\u202f]+)[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:[ \u00a0\u202f]?[AaPp]\.?[Mm]\.?)?"
)
_ZONE = r" ?(?:Z|UTC|GMT|[+-][0-9]{2}:?(?:[0-9]{2})?)"
_NAMED = r" +\(?[A-Za-z][A-Za-z/_()& +:-]{1,40}"
_TAIL = rf"(?P<clock>{_CLOCK}(?P<zone>{_ZONE}|{_NAMED})?)?"
_ISO = re.compile(rf"(?P<Y>[0-9]{{4}})-(?P<m>[0-9]{{2}})-(?P<d>[0-9]{{2}}){_TAIL}")
_YEAR_FIRST = re.compile(rf"(?P<Y>[0-9]{{4}})(?P<s>[./-]|)(?P<m>[0-9]{{1,2}})(?P=s)(?P<d>[0-9]{{1,2}}){_TAIL}")
_YEAR_LAST = re.compile(
    rf"(?P<a>[0-9]{{1,2}})(?P<s>\. ?|/|-)(?P<b>[0-9]{{1,2}})(?P=s)(?P<Y>[0-9]{{4}}|[0-9]{{2}}){_TAIL}"
)
_SPELLED = tuple(
    date + clock
    for date in ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%d-%b-%Y", "%d-%b-%y", "%a, %d %b %Y")
    for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", ", %H:%M", ", %I:%M %p", ", %H:%M:%S", " %H:%M:%S %z")
)
_EPOCHS = {"s": 10, "ms": 13, "us": 16}
_RANGE = (1990, 2100)
CLOCK_ONLY = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?: ?[AaPp]\.?[Mm]\.?)?")

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
    texts = list(cells)
    for form in (_iso, _ordered, _compact if hinted else _nothing, _epoch, _spelled):
        found = form(texts, hinted=hinted)
        if found is not None and found.share >= 0.5:
            return found
    return None


def _nothing(texts: list[str], *, hinted: bool) -> Times | None:
    del texts, hinted
    return None


def _iso(texts: list[str], *, hinted: bool) -> Times | None:
    del hinted
    found = [one for text in texts if (one := _ISO.fullmatch(text)) and _is_date(one["Y"], one["m"], one["d"])]
    return _made(found, texts, "", "") if found else None


def _compact(texts: list[str], *, hinted: bool) -> Times | None:
    del hinted
    found = [one for text in texts if (one := _YEAR_FIRST.fullmatch(text)) and _is_date(one["Y"], one["m"], one["d"])]
    found = [one for one in found if one["s"] or len(one["m"] + one["d"]) == 4]
    return _made(found, texts, "ymd", "") if found else None


def _ordered(texts: list[str], *, hinted: bool) -> Times | None:
    slashed = [text for text in texts if "/" in text or "." in text]
    first = _compact(slashed, hinted=hinted) if slashed else None
    if first is not None and len(slashed) > len(texts) / 2:
        return first
    found = [one for text in texts if (one := _YEAR_LAST.fullmatch(text))]
    days = [one for one in found if _is_date(one["Y"], one["b"], one["a"])]
    months = [one for one in found if _is_date(one["Y"], one["a"], one["b"])]
    if not days and not months:
        return None
    both = {id(one) for one in days} & {id(one) for one in months}
    day_only, month_only = len(days) > len(both), len(months) > len(both)
    if day_only and not month_only:
        return _made(days, texts, "dmy", "")
    if month_only and not day_only:
        return _made(months, texts, "mdy", "")
    if found[0]["s"].startswith(".") and not month_only:
        return _made(days, texts, "dmy", "")  # nobody writes the month first before a point
    some = list({id(one): one for one in (*days, *months)}.values())
    return _made(some, texts, "dmy", "mdy", mixed=day_only)


def _epoch(texts: list[str], *, hinted: bool) -> Times | None:
    for unit, digits in _EPOCHS.items():
        found = [text for text in texts if len(text) == digits and text.isascii() and text.isdigit()]
        seconds = [int(text) / 10 ** (digits - 10) for text in found]
        likely = [one for one in seconds if 788_918_400 < one < 4_102_444_800]
        if len(likely) > len(texts) / 2 and hinted:
            return Times(len(likely) / len(texts), unit, "", dates=False, zoned=True)
    return None


def _spelled(texts: list[str], *, hinted: bool) -> Times | None:
    del hinted
    few = texts[:20]
    for form in _SPELLED:
        if sum(_parses(text, form) for text in few) >= max(1, len(few) / 2):
            share = sum(_parses(text, form) for text in texts) / len(texts)
            return Times(share, form, "", dates="%H" not in form and "%I" not in form, zoned="%z" in form)
    return None


def _parses(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 # only whether it fits is asked
    except ValueError:
        return False
    return True


def _made(found: list[re.Match[str]], texts: list[str], form: str, other: str, *, mixed: bool = False) -> Times:
    clocks = [one for one in found if one["clock"]]
    zoned = bool(clocks) and all(one["zone"] for one in clocks)
    return Times(len(found) / len(texts), form, other, dates=not clocks, zoned=zoned, mixed=mixed)


def _is_date(year: str, month: str, day: str) -> bool:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return False
    return len(year) == 2 or _RANGE[0] <= int(year) <= _RANGE[1]
