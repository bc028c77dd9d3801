"""Zones by name: held against the IANA database, and the names that Square, PayPal and Windows write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from importer.mapping.zones import abbreviations, zone_named

SUMMER, WINTER = datetime(2024, 7, 1, 12), datetime(2024, 1, 1, 12)


def offsets(name: str) -> tuple[float, float] | None:
    """In hours, in northern winter and summer; None for a name that is not known."""
    zone = zone_named(name)
    if zone is None:
        return None
    both = (zone.utcoffset(WINTER), zone.utcoffset(SUMMER))
    assert both[0] is not None
    assert both[1] is not None
    return both[0] / timedelta(hours=1), both[1] / timedelta(hours=1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Eastern Time (US & Canada)", (-5, -4)),
        ("Pacific Time (US & Canada)", (-8, -7)),
        ("(GMT-06:00) Central Time (US & Canada)", (-6, -5)),
        ("Mountain Time", (-7, -6)),
        ("International Date Line West", (-11, -11)),
        ("New Delhi", (5.5, 5.5)),
        ("Nuku'alofa", (13, 13)),
        ("Samoa", (13, 13)),
        ("Vilnius", (2, 3)),
        ("Buenos Aires", (-3, -3)),
        ("Sydney", (11, 10)),
        ("W. Europe Standard Time", (1, 2)),
        ("Eastern Standard Time", (-5, -4)),
        ("Europe/Vilnius", (2, 3)),
        ("europe/nowhere", None),
        ("Etc/GMT+5", (-5, -5)),
        ("PST", (-8, -8)),
        ("PDT", (-7, -7)),
        ("EDT", (-4, -4)),
        ("cest", (2, 2)),
        ("CET", (1, 1)),
        ("MESZ", (2, 2)),
        ("UTC", (0, 0)),
        ("GMT", (0, 0)),
        ("Z", (0, 0)),
        ("GMT+2", (2, 2)),
        ("UTC-05:30", (-5.5, -5.5)),
        ("+0530", (5.5, 5.5)),
        ("\u22123", (-3, -3)),
        ("+24:00", None),
        ("+02:60", None),
        ("IST", None),
        ("XYZ", None),
        ("", None),
        ("../../etc/passwd", None),
    ],
)
def test_a_zone_s_name(name: str, expected: tuple[float, float] | None) -> None:
    assert offsets(name) == expected


BY_RFC_5322 = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


def test_north_america_s_abbreviations_are_those_of_rfc_5322() -> None:
    assert {name: abbreviations()[name] / timedelta(hours=1) for name in BY_RFC_5322} == BY_RFC_5322


def test_an_abbreviation_has_no_second_meaning_in_the_iana_database_since_2000() -> None:
    """But for those of RFC 5322, and North Korea's half hour (2015 to 2018)."""
    meanings: dict[str, set[timedelta]] = {}
    for name in available_timezones():
        region = name.partition("/")[0]
        if region not in {"Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Pacific"}:
            continue
        if name == "Asia/Pyongyang":
            continue
        zone = ZoneInfo(name)
        for month in range(0, 26 * 12, 3):
            moment = datetime(2001 + month // 12, month % 12 + 1, 15, tzinfo=UTC).astimezone(zone)
            offset = moment.utcoffset()
            assert offset is not None
            meanings.setdefault(moment.strftime("%Z").upper(), set()).add(offset)
    known = {name: {offset} for name, offset in abbreviations().items() if name in meanings and name not in BY_RFC_5322}
    assert known == {name: meanings[name] for name in known}
    assert len(known) > 30
    assert "IST" not in abbreviations()
    assert len(meanings["IST"]) == 3
