"""Time zones by the names that exports write: abbreviations, offsets, IANA, Windows, and Rails' regional names.

It serves cells and a mapping's `timezone`; `convert.datetimes` reads the times.

An abbreviation names an offset in every season: `CEST` is +02:00. It is known if the IANA database has had one
meaning for it since 2000. `CST`, `CDT` and `IST` have several: they are known where the mapping names a zone that has
them (`America/Chicago`, `Asia/Shanghai`), so that no times are off by hours; `PST` is North America's unless the
mapping names a zone of the Philippines. Every other name is a zone with its seasons; a place means its zone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

_HOURS: dict[float, str] = {
    -11: "SST", -10: "HST", -9: "AKST HDT", -8: "PST AKDT", -7: "MST PDT", -6: "CST MDT", -5: "EST CDT",
    -4: "AST EDT", -3.5: "NST", -3: "ADT BRT ART", -2.5: "NDT", -2: "BRST", 0: "UTC GMT UT Z WET",
    1: "CET MEZ BST WAT WEST", 2: "CEST MESZ EET SAST CAT", 3: "EEST EAT IDT TRT", 5: "PKT", 7: "WIB",
    8: "HKT SGT MYT AWST WITA", 9: "JST KST WIT", 9.5: "ACST", 10: "AEST CHST", 10.5: "ACDT", 11: "AEDT",
    12: "NZST", 13: "NZDT",
}  # fmt: skip
"""Offsets from UTC in hours, and the abbreviations that mean them."""

ABBREVIATIONS: dict[str, timedelta] = {
    name: timedelta(hours=hours) for hours, names in _HOURS.items() for name in names.split()
}
"""Abbreviations in capitals, and their offsets from UTC."""

_NORTH_AMERICA = {"Eastern": "New_York", "Central": "Chicago", "Mountain": "Denver", "Pacific": "Los_Angeles"}
_PLACES_OF = {
    "Europe/Moscow": "MSK, St. Petersburg", "Asia/Dubai": "Abu Dhabi", "Pacific/Pago_Pago": "American Samoa",
    "Asia/Almaty": "Astana", "America/Halifax": "Atlantic Time (Canada)", "Asia/Shanghai": "Beijing",
    "Europe/Zurich": "Bern", "America/Sao_Paulo": "Brasilia", "Atlantic/Cape_Verde": "Cape Verde Is.",
    "America/Guatemala": "Central America", "Pacific/Chatham": "Chatham Is.",
    "Asia/Kolkata": "Chennai, Mumbai, New Delhi", "Europe/London": "Edinburgh", "Asia/Yekaterinburg": "Ekaterinburg",
    "America/Guyana": "Georgetown", "America/Nuuk": "Greenland", "America/Mexico_City": "Guadalajara",
    "Asia/Ho_Chi_Minh": "Hanoi", "America/Indiana/Indianapolis": "Indiana (East)",
    "Pacific/Midway": "International Date Line West, Midway Island", "Asia/Karachi": "Islamabad",
    "Europe/Kiev": "Kyiv", "Pacific/Majuro": "Marshall Is.", "Atlantic/South_Georgia": "Mid-Atlantic",
    "Pacific/Noumea": "New Caledonia", "America/St_Johns": "Newfoundland", "Pacific/Tongatapu": "Nuku'alofa",
    "Asia/Tokyo": "Osaka, Sapporo", "Africa/Johannesburg": "Pretoria", "America/Guayaquil": "Quito",
    "Pacific/Apia": "Samoa", "America/Regina": "Saskatchewan", "Pacific/Guadalcanal": "Solomon Is.",
    "Asia/Colombo": "Sri Jayawardenepura", "Pacific/Fakaofo": "Tokelau Is.", "Pacific/Auckland": "Wellington",
    "Africa/Lagos": "West Central Africa", "America/Anchorage": "Alaska", "America/Phoenix": "Arizona",
    "Pacific/Honolulu": "Hawaii", "Australia/Adelaide": "Adelaide", "Australia/Brisbane": "Brisbane",
    "Australia/Darwin": "Darwin", "Australia/Hobart": "Hobart", "Australia/Melbourne": "Melbourne",
    "Australia/Perth": "Perth", "Australia/Sydney": "Sydney, Canberra",
}  # fmt: skip
"""Zones, and the regions and places that Rails programs such as Square and people name them by.

Moscow's abbreviation stayed when its offset changed (2011, 2014), so it means the zone.
"""
_REGIONS = {name: zone for zone, names in _PLACES_OF.items() for name in names.split(", ")} | {
    f"{name} Time{tail}": f"America/{city}" for name, city in _NORTH_AMERICA.items() for tail in ("", " (US & Canada)")
}

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
    abbreviation = ABBREVIATIONS.get(name.upper())
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
    return ABBREVIATIONS.get(abbreviation) if in_america else None


def _iana(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def _regions() -> dict[str, str]:
    """Every name of a region or a place, in small letters, and its IANA zone."""
    from babel.core import get_global  # it is slow to start, and few mappings need it

    cities = (zone for zone in sorted(available_timezones()) if zone.partition("/")[0] in _PLACES)
    names = {zone.rpartition("/")[2].replace("_", " "): zone for zone in cities}
    names |= {str(name): str(zone) for name, zone in get_global("windows_zone_mapping").items()}
    return {name.casefold(): zone for name, zone in (names | _REGIONS).items()}
