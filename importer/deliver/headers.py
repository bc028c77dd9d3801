"""What an answer's headers say about the account's limit, in every form met in the wild; garbage reads as "not said".

Sources: the vendor's API pages (a date-time such as ``2026-03-18T13:02:00Z``); RFC 9110 5.6.7 and 10.2.3 (HTTP dates,
Retry-After as seconds or date). Seconds from now and epochs (s, ms, µs) are what other implementations send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

LONGEST = 7 * 86400.0
"""Seconds; a later reset is not believed, and a number that is no moment of these days is a number of seconds."""
_MAX_RETRY_AFTER = 1e9
"""Seconds: what a longer wait is read as."""
_DIGITS = re.compile(r"\d{1,15}")
_NUMBER = re.compile(r"\d{1,17}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer said; None wherever it said nothing, or nothing that makes sense."""

    limit: int | None = None
    """Requests a minute."""
    remaining: int | None = None
    reset_in: float | None = None
    """Seconds from the answer's own ``Date`` to the window's end, 0 or more."""
    retry_after: float | None = None
    """Seconds, 0 or more."""


NOTHING = Limits()


def read_limits(headers: Mapping[str, str], wall: float) -> Limits:
    """Read the quota's headers; never raises.

    ``headers`` must look names up in any case (aiohttp's do). ``wall`` is the machine's own time, in seconds since the
    epoch; it serves only where the answer has no ``Date``, so that a wrong clock does no harm.
    """
    limit = headers.get("X-RateLimit-Limit")
    remaining = headers.get("X-RateLimit-Remaining")
    reset = headers.get("X-RateLimit-Reset")
    retry = headers.get("Retry-After")
    if limit is None and remaining is None and reset is None and retry is None:
        return NOTHING
    date = headers.get("Date")
    said = _moment(date) if date is not None else None
    sent_at = wall if said is None else said
    reset_in, retry_after = _seconds_until(reset, sent_at), _seconds_until(retry, sent_at)
    return Limits(
        limit=_count(limit) or None,
        remaining=_count(remaining),
        reset_in=None if reset_in is None or reset_in > LONGEST else reset_in,
        retry_after=None if retry_after is None else min(retry_after, _MAX_RETRY_AFTER),
    )


def read_date(headers: Mapping[str, str]) -> float | None:
    """When the server says that it answered, in seconds since the epoch."""
    date = headers.get("Date")
    return None if date is None else _moment(date)


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    text = text.strip()
    if text.startswith("-"):
        return 0 if _DIGITS.fullmatch(text[1:]) else None
    return int(text) if text.isascii() and _DIGITS.fullmatch(text) else None


def _seconds_until(text: str | None, sent_at: float) -> float | None:
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and _NUMBER.fullmatch(text):
        number = float(text)
        since = _epoch(number) - sent_at
        seconds = since if abs(since) <= LONGEST else number
    else:
        moment = _moment(text)
        if moment is None:
            return None
        seconds = moment - sent_at
    return max(seconds, 0.0)


def _epoch(number: float) -> float:
    """Seconds since the epoch from a number of seconds, milliseconds or microseconds."""
    for unit in (1.0, 1e3, 1e6):
        if number / unit < 1e11:
            return number / unit
    return number / 1e9


@lru_cache(maxsize=64)  # the same second's texts come again with every answer
def _moment(text: str) -> float | None:
    """Seconds since the epoch from ISO 8601 (naive: UTC) or an HTTP date."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None
