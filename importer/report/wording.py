"""A reason in the user's words, and times as they are written.

This module owns how a code's template is filled and how values from files are shown: on one line, without control
characters, so that no cell can forge a line of the report or steer a terminal. The templates are ``importer.reasons``'.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache

from importer.reasons import REASONS

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def shown(text: str) -> str:
    """The text with control characters, line breaks and direction marks as escapes such as backslash-n."""
    if text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


@lru_cache(maxsize=4096)
def message_of(code: str, field: str, value: str) -> str:
    """What is wrong: the code's template filled; the value alone for a code that this version does not know."""
    reason = REASONS.get(code)
    if reason is None:
        return shown(value)
    said = reason.message.format(field=shown(field), value=shown(value) if value.strip() else "an empty cell")
    return said + _readings(value) if code.endswith(".ambiguous_date") else said


def _readings(text: str) -> str:
    """What a date of digits would be if the day came first, and if the month did."""
    parts = re.match(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})", text)
    if not parts:
        return ""
    first, second, year = int(parts[1]), int(parts[3]), int(parts[4])
    if len(parts[4]) == 2:  # as `strptime` reads %y
        year += 2000 if year < 69 else 1900
    return f" (day first: {_long(year, second, first)}; month first: {_long(year, first, second)})"


def _long(year: int, month: int, day: int) -> str:
    try:
        return f"{day} {_MONTHS[date(year, month, day).month - 1]} {year}"
    except ValueError:
        return "no date"


def delivery_message(code: str, words: str, key: str) -> str:
    """What came of sending: the code's template, with the API's own words behind it."""
    head = message_of(code, "", key) if code in REASONS else ""
    return ": ".join(part for part in (head, shown(words)) if part)


def fix_of(code: str) -> str:
    """What to do next; empty for a code that this version does not know."""
    reason = REASONS.get(code)
    return reason.fix.format() if reason else ""


def severity_of(code: str) -> str:
    """``error`` or ``warning``."""
    reason = REASONS.get(code)
    return reason.severity if reason else "error"


def iso(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC with milliseconds: ``2026-11-23T18:03:55.123Z``."""
    if seconds is None:
        return None
    # Rounded to whole milliseconds first: isoformat would cut, the report's kernels round.
    moment = datetime.fromtimestamp(round(seconds * 1000) / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
