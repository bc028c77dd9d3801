"""One date or time at a time: the slow and thorough reading, for texts that the column-wise one does not know.

Owns which forms are ISO 8601 for us and how a moment is written; ``times`` does the same for whole columns and must
agree with it (the tests hold one against the other).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 # local times are counted from a naive epoch
_MICROSECOND = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})"
    r"(?:(?:[Tt]|[ ]{1,8})(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?"
    r"[ ]{0,8}(Z|z|UTC|GMT|([+-]\d{2})(?::?(\d{2}))?)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")

ORDERS = ("dmy", "mdy", "ymd")
"""The orders of day, month and year that the mapping language has names for."""
_DAY, _MONTH, _YEAR = "(?P<d>[0-9]{1,2})", "(?P<m>[0-9]{1,2})", "(?P<Y>[0-9]{4}|[0-9]{2})"
BLANK = "[ \u00a0\u202f]"
"""The no-break kinds stand before AM and PM in what newer browsers and ICU write."""
CLOCK = (
    rf"(?:[T,]|,?{BLANK}+)(?P<H>[0-9]{{1,2}}):(?P<M>[0-9]{{2}})(?::(?P<S>[0-9]{{2}})(?P<f>\.[0-9]{{1,9}})?)?"
    rf"(?:{BLANK}?(?P<p>[AaPp])\.?[Mm]\.?)?(?P<z>{BLANK}?(?:Z|UTC|GMT|[+-][0-9]{{2}}(?::?[0-9]{{2}})?))?"
)
"""The clock behind a date, for Python's and Arrow's expressions alike."""
_ORDERED = {
    "dmy": re.compile(rf"{_DAY}(?P<sep>\. ?|/|-){_MONTH}(?P=sep){_YEAR}(?:{CLOCK})?"),
    "mdy": re.compile(rf"{_MONTH}(?P<sep>\. ?|/|-){_DAY}(?P=sep){_YEAR}(?:{CLOCK})?"),
    "ymd": re.compile(rf"{_YEAR}(?P<sep>\. ?|/|-){_MONTH}(?P=sep){_DAY}(?:{CLOCK})?"),
}
_COMPACT = re.compile("([0-9]{4})([0-9]{2})([0-9]{2})(?![0-9])")
CENTURY_TURNS = "69"
"""Years of two digits from here on are of the 20th century (POSIX, as in ``strptime``)."""
HOURS = {f"{hour:02}{half}": f"{hour % 12 + 12 * (half == 'p'):02}" for hour in range(1, 13) for half in "ap"}
"""Hours of the 12-hour clock with ``a`` or ``p``, and the same of the 24-hour clock."""

PER_SECOND: dict[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000}
"""The epoch formats of the mapping language, and how many of each make a second."""


def micros(span: timedelta) -> int:
    """A span in microseconds, exactly."""
    return span // _MICROSECOND


@lru_cache(maxsize=4096)
def offset_text(offset: int) -> str:
    """An offset from UTC in microseconds, whole minutes, as ISO 8601 writes it; ``Z`` for none."""
    if not offset:
        return "Z"
    minutes = abs(offset) // 60_000_000
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point on the calendar and the clock."""

    local: datetime
    """Without a zone, to the microsecond."""
    beyond: str = ""
    """Digits of the second's fraction beyond the sixth."""
    offset: timedelta | None = None
    """From UTC, in whole minutes; None for a naive time."""

    @property
    def text(self) -> str:
        """ISO 8601: ``2024-01-31T08:15:00.5+02:00``, ``Z`` for UTC, no trailing zeros in the fraction."""
        fraction = (f"{self.local.microsecond:06}" + self.beyond).rstrip("0")
        clock = self.local.replace(microsecond=0).isoformat() + (f".{fraction}" if fraction else "")
        return clock if self.offset is None else clock + offset_text(micros(self.offset))

    @property
    def instant(self) -> int:
        """Microseconds since the epoch; a naive time is taken as UTC."""
        return micros(self.local - EPOCH) - micros(self.offset or timedelta())

    @property
    def date(self) -> str:
        """``YYYY-MM-DD``, on its own clock."""
        return self.local.date().isoformat()

    @property
    def midnight(self) -> int:
        """Microseconds from the epoch to the start of its date, taken as UTC."""
        return (self.local.date().toordinal() - EPOCH.toordinal()) * 86_400_000_000


def of_iso(text: str) -> Moment | None:
    """An ISO 8601 date or date-time.

    Read are the ``T`` as a blank; seconds, fraction and offset left out; a comma before the fraction; an offset as
    ``Z``, ``UTC``, ``GMT``, ``+02``, ``+0200`` or ``+02:00``, with or without a blank before it.
    """
    match = _ISO.fullmatch(text)
    if not match:
        return None
    day, hour, minute, second, fraction, zone, zone_hour, zone_minute = match.groups()
    fraction = fraction or ""
    try:
        local = datetime.fromisoformat(day).replace(
            hour=int(hour or 0),
            minute=int(minute or 0),
            second=int(second or 0),
            microsecond=int(f"{fraction[:6]:0<6}"),
        )
    except ValueError:
        return None
    if not zone:
        return Moment(local, fraction[6:])
    if not zone_hour:
        return Moment(local, fraction[6:], timedelta())
    hours, minutes = abs(int(zone_hour)), int(zone_minute or 0)
    if hours > 23 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return Moment(local, fraction[6:], -offset if zone.startswith("-") else offset)


def of_epoch(text: str, unit: str) -> Moment | None:
    """A count of seconds, milli- or microseconds since 1970 in UTC, to the microsecond."""
    if not _NUMBER.fullmatch(text):
        return None
    try:
        local = EPOCH + timedelta(microseconds=int(Decimal(text) * (1_000_000 // PER_SECOND[unit]) // 1))
    except OverflowError:
        return None
    return Moment(local, "", timedelta())


def of_format(text: str, form: str) -> Moment | None:
    """A text in a ``strptime`` format; the language has no ``%Z``, whose names depend on the machine."""
    try:
        found = datetime.strptime(text, form)  # noqa: DTZ007 # a naive result is a naive moment
    except ValueError:
        return None
    offset = found.utcoffset()
    if offset is not None and offset % _MINUTE:
        try:
            found, offset = found.astimezone(UTC), timedelta()
        except OverflowError:
            return None
    return Moment(found.replace(tzinfo=None), "", offset)


def of_ordered(text: str, order: str) -> Moment | None:
    """A date of digits in a known order (``ORDERS``), with or without a clock of 24 or 12 hours and an offset.

    Between the parts stand dots, slashes or dashes; ``ymd`` may do without (``20240131``).
    """
    if order == "ymd":
        text = _COMPACT.sub(r"\1-\2-\3", text, count=1) if _COMPACT.match(text) else text
    match = _ORDERED[order].fullmatch(text)
    if not match:
        return None
    year, hour = match["Y"], (match["H"] or "").zfill(2)
    if len(year) == 2:
        year = ("20" if year < CENTURY_TURNS else "19") + year
    if match["p"]:
        hour = HOURS.get(hour + match["p"].lower(), "")
    date = f"{year}-{match['m'].zfill(2)}-{match['d'].zfill(2)}"
    clock = f"{hour}:{(match['M'] or '').zfill(2)}:{(match['S'] or '').zfill(2)}"
    return of_iso(f"{date}T{clock}{match['f'] or ''}{(match['z'] or '').strip()}")


def of_form(text: str, form: str) -> Moment | None:
    """A text in a form of the mapping language: an epoch, an order, or a ``strptime`` format."""
    if form in PER_SECOND:
        return of_epoch(text, form)
    return of_ordered(text, form) if form in ORDERS else of_format(text, form)
