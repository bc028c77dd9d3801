"""Time zones by the names that exports write: abbreviations, offsets, IANA, Windows, and Rails' regional names.

It serves cells and a mapping's `timezone`; `convert.datetimes` reads the times.

An abbreviation names an offset in every season: `CEST` is +02:00. It is known if the IANA database has had one
meaning for it since 2000. `CST`, `CDT` and `IST` have several: they are known where the mapping names a zone that has
them (`America/Chicago`, `Asia/Shanghai`), so that no times are off by hours; `PST` is North America's unless the
mapping names a zone of the Philippines. Every other name is a zone with its seasons; a place means its zone.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

_OFFSET = re.compile(r"(?:GMT|UTC)? ?([+\-\u2212])([0-9]{1,2})(?::?([0-9]{2}))?")
_LABEL = re.compile(r"\((?:GMT|UTC)(?:[+\-\u2212][0-9]{2}:?[0-9]{2})?\) *")
"""What menus put before a zone's name: ``(GMT-05:00) Eastern Time (US & Canada)``."""
_IANA = re.compile(r"[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+")
_PLACES = {"Africa", "America", "Antarctica", "Asia", "Atlantic", "Europe", "Indian", "Pacific"}


_SEVERAL = ("CST", "CDT", "IST", "PST")
"""Abbreviations that the IANA database has had several meanings for since 2000."""
_USUAL = ("PST",)
"""Those of them that nearly always have their North American meaning (RFC 5322, 4.3)."""
_NORTH_AMERICAN = ("America/", "US/", "Canada/", "Mexico/")


@lru_cache(maxsize=1024)
def zone_named(name: str, homes: tuple[tzinfo, ...] = ()) -> tzinfo | None:
    """The zone, or the fixed offset, of a name in a cell; None if it is unknown, or has several meanings.

    ``homes`` are zones that the mapping names: among several meanings of an abbreviation theirs counts.
    """
    name = _LABEL.sub("", name.strip()) or name.strip("( )")
    if name.upper() in _SEVERAL:
        meanings = {found for home in homes if (found := _meaning(name.upper(), home)) is not None}
        if meanings or name.upper() not in _USUAL:
            return timezone(meanings.pop()) if len(meanings) == 1 else None
    abbreviation = abbreviations().get(name.upper())
    if abbreviation is not None:
        return timezone(abbreviation) if abbreviation else UTC
    offset = _OFFSET.fullmatch(name)
    if offset:
        hours, minutes = int(offset[2]), int(offset[3] or 0)
        from_utc = timedelta(hours=hours, minutes=minutes) * (1 if offset[1] == "+" else -1)
        return timezone(from_utc) if abs(from_utc) < timedelta(hours=24) and minutes < 60 else None
    if _IANA.fullmatch(name):
        return _iana(name)
    region = _regions().get(name.casefold())
    return _iana(region) if region else None


def _meaning(abbreviation: str, home: tzinfo) -> timedelta | None:
    """The offset that an abbreviation has in a zone; in a zone of America that has none, North America's."""
    for month in (1, 7):
        moment = datetime(2024, month, 15, 12, tzinfo=home)
        if moment.tzname() == abbreviation:
            return moment.utcoffset()
    in_america = isinstance(home, ZoneInfo) and (home.key or "").startswith(_NORTH_AMERICAN)
    return abbreviations().get(abbreviation) if in_america else None


def _iana(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def _tables() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


@cache
def abbreviations() -> dict[str, timedelta]:
    """Abbreviations in capitals, and their offsets from UTC."""
    hours = _tables()["hours"].items()
    return {name: timedelta(hours=float(offset)) for offset, names in hours for name in names.split()}


@cache
def _regions() -> dict[str, str]:
    """Every name of a region or a place, in small letters, and its IANA zone."""
    from babel.core import get_global  # it is slow to start, and few mappings need it

    cities = (zone for zone in sorted(available_timezones()) if zone.partition("/")[0] in _PLACES)
    names = {zone.rpartition("/")[2].replace("_", " "): zone for zone in cities}
    names |= {str(name): str(zone) for name, zone in get_global("windows_zone_mapping").items()}
    names |= {name: zone for zone, places in _tables()["places"].items() for name in places.split(", ")}
    return {name.casefold(): zone for name, zone in names.items()}
