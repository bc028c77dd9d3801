"""Dates and times: forms, zones and epochs, against `datetime` and `zoneinfo`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.convert.arrays import ConversionError
from importer.convert.datetimes import TimeForm, TimeReader
from tests.unit.convert.building import cell, outcomes, strings
from tests.unit.convert.moments import digits, moments, shapes, written

NOT_A_DATE = "property.not_a_date"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VILNIUS = ZoneInfo("Europe/Vilnius")
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("2024-01-31T08:15:00Z", {}, "2024-01-31T08:15:00Z"),
        ("2024-01-31 08:15:00", {}, "2024-01-31T08:15:00"),
        ("2024-01-31 08:15", {}, "2024-01-31T08:15:00"),
        ("2024-01-31 8:15", {}, "2024-01-31T08:15:00"),
        ("2024-01-31", {}, "2024-01-31T00:00:00"),
        ("2024-01-31T08:15:00.500Z", {}, "2024-01-31T08:15:00.5Z"),
        ("2024-01-31T08:15:00.000000", {}, "2024-01-31T08:15:00"),
        ("2024-01-31T08:15:00,25", {}, "2024-01-31T08:15:00.25"),
        ("2024-01-31T08:15:00.123456789Z", {}, "2024-01-31T08:15:00.123456789Z"),
        ("2024-01-31T08:15:00+02:00", {}, "2024-01-31T08:15:00+02:00"),
        ("2024-01-31 08:15:00+0200", {}, "2024-01-31T08:15:00+02:00"),
        ("2024-01-31 08:15:00+02", {}, "2024-01-31T08:15:00+02:00"),
        ("2024-01-31 08:15:00 -0500", {}, "2024-01-31T08:15:00-05:00"),
        ("2024-01-31 08:15 -05:00", {}, "2024-01-31T08:15:00-05:00"),
        ("2024-01-31 08:15:00 UTC", {}, "2024-01-31T08:15:00Z"),
        ("2024-01-31 08:15:00.5 UTC", {}, "2024-01-31T08:15:00.5Z"),
        ("2024-01-31 08:15:00 GMT", {}, "2024-01-31T08:15:00Z"),
        ("2024-01-31T08:15:00+00:00", {}, "2024-01-31T08:15:00Z"),
        ("2024-01-31T08:15:00-00:30", {}, "2024-01-31T08:15:00-00:30"),
        ("2024-02-29 00:00:00", {}, "2024-02-29T00:00:00"),
        ("0001-01-01T00:00:00Z", {}, "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", {}, "9999-12-31T23:59:59.999999Z"),
        ("2024-02-30", {}, NOT_A_DATE),
        ("2023-02-29 00:00:00", {}, NOT_A_DATE),
        ("2024-13-01", {}, NOT_A_DATE),
        ("2024-01-31 24:00:00", {}, NOT_A_DATE),
        ("2024-01-31 08:60", {}, NOT_A_DATE),
        ("2024-01-31 08:15:00+24:00", {}, NOT_A_DATE),
        ("2024-01-31 08:15:00 EST", {}, "2024-01-31T08:15:00-05:00"),
        ("2024-07-01 08:15 CEST", {"timezone": "Asia/Tokyo"}, "2024-07-01T08:15:00+02:00"),
        ("2024-07-01 08:15:00.5 Eastern Time (US & Canada)", {}, "2024-07-01T08:15:00.5-04:00"),
        ("2024-01-31 08:15 Europe/Vilnius", {}, "2024-01-31T08:15:00+02:00"),
        ("2024-01-31 08:15:00 +0100 CET", {}, "2024-01-31T08:15:00+01:00"),
        ("2024-01-31 08:15 IST", {}, "property.unknown_zone"),
        ("2024-01-31 08:15 PM", {}, "2024-01-31T20:15:00"),
        ("2024-01-31 12:15:07 AM", {}, "2024-01-31T00:15:07"),
        ("2024-01-31 8:15 a.m. CEST", {}, "2024-01-31T08:15:00+02:00"),
        ("2024-01-31 20:15 PM", {}, NOT_A_DATE),
        ("soon CET", {}, NOT_A_DATE),
        ("'2024-01-31", {}, "2024-01-31T00:00:00"),
        ("'31/1/2024", {"format": "dmy"}, "2024-01-31T00:00:00"),
        ("31/01/2024 CET", {}, "property.ambiguous_date"),
        ("0000-01-01", {}, NOT_A_DATE),
        ("10000-01-01", {}, NOT_A_DATE),
        ("31.01.2024", {}, "property.ambiguous_date"),
        ("3/4/24 2:30 PM", {}, "property.ambiguous_date"),
        ("3-4-2024", {}, "property.ambiguous_date"),
        ("3.4/2024", {}, NOT_A_DATE),
        ("1.2.34.5", {}, "property.ambiguous_date"),
        ("20240131", {}, NOT_A_DATE),
        ("now", {}, NOT_A_DATE),
        ("today", {"format": "%d.%m.%Y"}, NOT_A_DATE),
        ("31.01.2024 08:15", {"format": "%d.%m.%Y %H:%M"}, "2024-01-31T08:15:00"),
        ("1.2.2024", {"format": "%d.%m.%Y"}, "2024-02-01T00:00:00"),
        ("1/2/2024", {"format": ["%d.%m.%Y", "%m/%d/%Y"]}, "2024-01-02T00:00:00"),
        ("30.02.2024", {"format": "%d.%m.%Y"}, NOT_A_DATE),
        ("2024-01-31", {"format": "%d.%m.%Y"}, NOT_A_DATE),
        ("29.02.2024", {"format": "%d.%m.%Y"}, "2024-02-29T00:00:00"),
        ("Jan 31, 2024 8:15 PM", {"format": "%b %d, %Y %I:%M %p"}, "2024-01-31T20:15:00"),
        ("01.02.2024 08:15", {"format": "dmy"}, "2024-02-01T08:15:00"),
        ("1/2/2024", {"format": "dmy"}, "2024-02-01T00:00:00"),
        ("1. 2. 2024 8:15", {"format": "dmy"}, "2024-02-01T08:15:00"),
        ("31-12-99", {"format": "dmy"}, "1999-12-31T00:00:00"),
        ("31/12/68", {"format": "dmy"}, "2068-12-31T00:00:00"),
        ("31.12.2024, 08:15:07.250", {"format": "dmy"}, "2024-12-31T08:15:07.25"),
        ("31.12.2024 08:15:00 MEZ", {"format": "dmy"}, "2024-12-31T08:15:00+01:00"),
        ("29.02.2024 08:15 GMT", {"format": "dmy"}, "2024-02-29T08:15:00Z"),
        ("29.02.2023", {"format": "dmy"}, NOT_A_DATE),
        ("12/31/2024", {"format": "dmy"}, NOT_A_DATE),
        ("1.2/2024", {"format": "dmy"}, NOT_A_DATE),
        ("1 2 2024", {"format": "dmy"}, NOT_A_DATE),
        ("2024-12-31", {"format": "dmy"}, NOT_A_DATE),
        ("2024-12-31", {"format": ["dmy", "ymd"]}, "2024-12-31T00:00:00"),
        ("10/2/2017 10:56", {"format": "mdy"}, "2017-10-02T10:56:00"),
        ("3/15/2024 2:30 PM", {"format": "mdy"}, "2024-03-15T14:30:00"),
        ("3/15/2024, 12:30:01\u202fAM", {"format": "mdy"}, "2024-03-15T00:30:01"),
        ("3/15/24 12:00 p.m. PST", {"format": "mdy"}, "2024-03-15T12:00:00-08:00"),
        ("3/15/24 12:00 p.m. CST", {"format": "mdy"}, "property.unknown_zone"),
        ("3/15/24 12:00 CST", {"format": "mdy", "timezone": "America/New_York"}, "2024-03-15T12:00:00-06:00"),
        ("3/15/24 12:00 CST", {"format": "mdy", "timezone": "Asia/Shanghai"}, "2024-03-15T12:00:00+08:00"),
        ("3/15/24 12:00 CST", {"format": "mdy", "timezone": "Europe/Vilnius"}, "property.unknown_zone"),
        ("3/15/24 12:00 PST", {"format": "mdy", "timezone": "Asia/Manila"}, "2024-03-15T12:00:00+08:00"),
        ("2024-03-15 12:00 IST", {"timezone": "Asia/Kolkata"}, "2024-03-15T12:00:00+05:30"),
        ("3/15/2024 13:30 PM", {"format": "mdy"}, NOT_A_DATE),
        ("3/15/2024 2:30 PM", {"format": "mdy", "timezone": "Europe/Vilnius"}, "2024-03-15T14:30:00+02:00"),
        ("03/15/2024 08:15:00 -0500", {"format": "mdy"}, "2024-03-15T08:15:00-05:00"),
        ("2024/03/15T08:15:00Z", {"format": "ymd"}, "2024-03-15T08:15:00Z"),
        ("20240315", {"format": "ymd"}, "2024-03-15T00:00:00"),
        ("20240315 08:15", {"format": "ymd"}, "2024-03-15T08:15:00"),
        ("202403151", {"format": "ymd"}, NOT_A_DATE),
        ("31.01.2024 08:15 CET", {"format": "%d.%m.%Y %H:%M %Z"}, "2024-01-31T08:15:00+01:00"),
        ("31.01.2024 08:15 IST", {"format": "%d.%m.%Y %H:%M %Z"}, "property.unknown_zone"),
        ("31.01.2024 08:15", {"format": "%d.%m.%Y %H:%M %Z"}, NOT_A_DATE),
        ("31.01.2024 08:15 UTC", {"format": "%d.%m.%Y %H:%M"}, NOT_A_DATE),
        ("31/Jan/2024:08:15:00 +0200", {"format": "%d/%b/%Y:%H:%M:%S %z"}, "2024-01-31T08:15:00+02:00"),
        ("31.01.24", {"format": "%d.%m.%y"}, "2024-01-31T00:00:00"),
        ("20240131", {"format": "%Y%m%d"}, "2024-01-31T00:00:00"),
        ("1706688900", {"format": "s"}, "2024-01-31T08:15:00Z"),
        ("1706688900.25", {"format": "s"}, "2024-01-31T08:15:00.25Z"),
        ("1706688900500", {"format": "ms"}, "2024-01-31T08:15:00.5Z"),
        ("1706688900000001", {"format": "us"}, "2024-01-31T08:15:00.000001Z"),
        ("-1", {"format": "s"}, "1969-12-31T23:59:59Z"),
        ("-1.5", {"format": "s"}, "1969-12-31T23:59:58.5Z"),
        ("1706688900500", {"format": "s"}, NOT_A_DATE),
        ("999999999999999999", {"format": "us"}, NOT_A_DATE),
        ("1.7E+09", {"format": "s"}, NOT_A_DATE),
        ("0", {"format": "s", "timezone": "Europe/Vilnius"}, "1970-01-01T00:00:00Z"),
        ("2024-07-01 12:00:00", {"timezone": "Europe/Vilnius"}, "2024-07-01T12:00:00+03:00"),
        ("2024-01-01", {"timezone": "Europe/Vilnius"}, "2024-01-01T00:00:00+02:00"),
        ("2024-07-01T12:00:00Z", {"timezone": "Europe/Vilnius"}, "2024-07-01T12:00:00Z"),
        ("2024-01-01 12:00:00", {"timezone": "Europe/London"}, "2024-01-01T12:00:00Z"),
        # The clock was put forward at 03:00 to 04:00, so that 03:30 never was; and back at 04:00 to 03:00.
        ("2024-03-31 03:30:00", {"timezone": "Europe/Vilnius"}, "2024-03-31T04:30:00+03:00"),
        ("2024-10-27 03:30:00", {"timezone": "Europe/Vilnius"}, "2024-10-27T03:30:00+03:00"),
        ("2024-10-27 04:00:00", {"timezone": "Europe/Vilnius"}, "2024-10-27T04:00:00+02:00"),
        # Local mean times; ISO 8601 has no seconds in offsets, so New York's (-4:56:02) is given in UTC.
        ("1900-01-01 12:00:00", {"timezone": "Europe/Vilnius"}, "1900-01-01T12:00:00+01:24"),
        ("1880-01-01 12:00:00", {"timezone": "America/New_York"}, "1880-01-01T16:56:02Z"),
        ("", {}, None),
        (None, {}, None),
    ],
)
def test_a_cell_as_a_datetime(text: str | None, words: dict[str, Any], expected: str | None) -> None:
    assert cell(text, **{"as": "datetime"}, **words) == expected


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("2024-01-31", {}, "2024-01-31"),
        ("2024-01-31 23:59:00-0500", {}, "2024-01-31"),
        ("2024-02-30", {}, NOT_A_DATE),
        ("0001-01-01", {}, "0001-01-01"),
        ("31.1.2024", {"format": ["%Y-%m-%d", "%d.%m.%Y"]}, "2024-01-31"),
        ("1706688900", {"format": "s"}, "2024-01-31"),
    ],
)
def test_a_cell_as_a_date_is_the_date_on_its_own_clock(text: str, words: dict[str, Any], expected: str) -> None:
    assert cell(text, **{"as": "date"}, **words) == expected


@given(st.lists(moments, min_size=1, max_size=20), st.sampled_from("T "))
def test_iso_texts_keep_time_and_offset(times: list[datetime], separator: str) -> None:
    made = TimeReader(TimeForm())(strings([time.isoformat(separator) for time in times]))
    assert made.values.to_pylist() == [written(time, "T") for time in times]
    assert made.instants is not None
    expected = [((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND for time in times]
    assert made.instants.to_pylist() == expected


zones = st.sampled_from(
    ["Europe/Vilnius", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo"]
)


@given(st.lists(st.datetimes(datetime(1950, 1, 1), datetime(2037, 1, 1)), min_size=1, max_size=20), zones)
@example([datetime(2024, 3, 31, 3, 30), datetime(2024, 10, 27, 3, 30), datetime(2024, 3, 31)], "Europe/Vilnius")
@example([datetime(2017, 10, 15, 0, 30), datetime(2018, 2, 17, 23, 30)], "America/Sao_Paulo")
def test_naive_times_get_the_offset_of_their_zone(times: list[datetime], zone: str) -> None:
    """The first of two times when the clock goes back; one that never was moves forward by the gap."""
    expected = [time.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)) for time in times]
    made = TimeReader(TimeForm(zone=ZoneInfo(zone)))(strings([time.isoformat(" ") for time in times]))
    assert made.values.to_pylist() == [written(time, "T") for time in expected]
    assert made.instants is not None
    assert made.instants.to_pylist() == [(time - EPOCH) // MICROSECOND for time in expected]


@given(st.lists(st.dates(), min_size=1))
def test_dates_are_dates(days: list[date]) -> None:
    made = TimeReader(TimeForm(dates=True))(strings([day.isoformat() for day in days]))
    assert made.values.to_pylist() == [day.isoformat() for day in days]
    assert made.instants is not None
    assert made.instants.to_pylist() == [(day.toordinal() - EPOCH.toordinal()) * 86_400_000_000 for day in days]


@given(
    st.lists(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999), min_size=1),
    st.sampled_from(["s", "ms", "us"]),
)
def test_epochs_count_from_1970_in_utc(instants: list[int], unit: str) -> None:
    per = {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
    counts = [instant // per for instant in instants]
    made = TimeReader(TimeForm((unit,)))(strings([str(count) for count in counts]))
    assert made.instants is not None
    assert made.instants.to_pylist() == [count * per for count in counts]
    assert made.values.to_pylist() == [written(EPOCH + timedelta(microseconds=count * per), "T") for count in counts]


@settings(max_examples=60)
@given(st.lists(shapes | digits, min_size=1, max_size=8), st.sampled_from([None, VILNIUS]), st.booleans())
def test_a_whole_column_reads_like_each_of_its_texts(texts: list[str], zone: ZoneInfo | None, dates: bool) -> None:
    """The fast path is only ever faster, and what is in the column beside a text does not matter."""
    reader = TimeReader(TimeForm(zone=zone, dates=dates))
    made = reader(strings(texts))
    alone = [reader(strings([text])) for text in texts]
    assert outcomes(made) == [outcome for one in alone for outcome in outcomes(one)]
    assert made.instants is not None
    assert made.instants.to_pylist() == [one.instants[0].as_py() for one in alone if one.instants is not None]
    if zone is None:
        slow = [reader.read(text) for text in texts]
        written = [one if isinstance(one, ConversionError) else one.text[:10] if dates else one.text for one in slow]
        assert outcomes(made) == written


def test_the_calendars_first_and_last_days_have_no_zone_to_overflow() -> None:
    for text in ("0001-01-01T00:00:00", "9999-12-31T23:59:59"):
        (made,) = outcomes(TimeReader(TimeForm(zone=ZoneInfo("Asia/Tokyo")))(strings([text])))
        assert made is not None
        assert made.startswith(text)


def test_a_column_may_mix_all_families() -> None:
    """Every family in one column, each row as it would be alone."""
    texts = [
        "2024-01-31",
        "2024-01-31 08:15",
        "2024-01-31 08:15:00",
        "2024-01-31T08:15:00Z",
        "2024-01-31 08:15:00 -0500",
    ]
    assert outcomes(TimeReader(TimeForm())(strings([*texts, None, "?"]))) == [
        "2024-01-31T00:00:00",
        "2024-01-31T08:15:00",
        "2024-01-31T08:15:00",
        "2024-01-31T08:15:00Z",
        "2024-01-31T08:15:00-05:00",
        None,
        ConversionError.NOT_A_DATE,
    ]
