"""Zones named in cells: behind a time, and in a column of their own."""

from __future__ import annotations

import re
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from importer.convert.arrays import ConversionError
from importer.convert.datetimes import TimeForm, TimeReader
from importer.mapping.zones import zone_named
from tests.unit.convert.building import events, found_problems, outcomes, strings
from tests.unit.convert.moments import shapes

shapes_and_names = st.builds(
    lambda text, tail: text + tail, shapes, st.sampled_from(["", "", " CEST", " PST", " IST", " Europe/Vilnius", " PM"])
)
names = st.sampled_from([None, "", "UTC", "CEST", "Europe/Vilnius", "Eastern Time (US & Canada)", "IST", "+05:30"])


@settings(max_examples=60, deadline=None)  # the first name of a zone takes its time
@given(st.lists(st.tuples(shapes_and_names, names), min_size=1, max_size=8))
def test_a_column_of_zones_reads_each_time_in_its_own(rows: list[tuple[str, str | None]]) -> None:
    """Like each row alone with that zone for all; a time with an offset keeps it, whatever the zone's name."""
    zones = [name or None for _, name in rows]
    made = TimeReader(TimeForm())(strings([text for text, _ in rows]), strings(zones))
    expected: list[str | ConversionError | None] = []
    for (text, _), name in zip(rows, zones, strict=True):
        zone = zone_named(name) if name else None
        (alone,) = outcomes(TimeReader(TimeForm(zone=zone))(strings([text])))
        naive = (
            isinstance(alone, str) and not isinstance(alone, ConversionError) and not re.search("Z$|[+-]..:..$", alone)
        )
        expected.append(ConversionError.UNKNOWN_ZONE if naive and name and zone is None else alone)
    assert outcomes(made) == expected


def test_what_cannot_be_put_in_order_says_why() -> None:
    made = events({"id": ["1", "2", "3"], "at": ["3/4/2024", "2024-01-01 12:00 IST", "?"]}, order_by="at")
    assert found_problems(made) == {
        ("order_by.ambiguous_date", "order_by", 0, "3/4/2024"),
        ("order_by.unknown_zone", "order_by", 1, "2024-01-01 12:00 IST"),
        ("order_by.invalid", "order_by", 2, "?"),
    }


def test_a_zone_s_column_that_is_not_known_is_told_by_its_own_cell() -> None:
    at = {"column": "at", "as": "datetime", "timezone": {"column": "zone", "map": {"IST": "Asia/Kolkata"}}}
    made = events(
        {
            "id": ["1", "2", "3", "4", "5"],
            "at": ["2024-01-01 12:00", "2024-01-01 12:00", "2024-01-01 12:00Z", "2024-01-01 12:00", None],
            "zone": ["IST", "Middle Earth", "Middle Earth", None, "PST"],
        },
        properties={"at": at},
    )
    assert made.properties[0].values.to_pylist() == [
        "2024-01-01T12:00:00+05:30", None, "2024-01-01T12:00:00Z", "2024-01-01T12:00:00", None,
    ]  # fmt: skip
    assert found_problems(made) == {("property.unknown_zone", "properties.at", 1, "Middle Earth")}


def test_date_time_and_zone_may_stand_in_three_columns() -> None:
    """As PayPal (abbreviations) and Square (Rails' names) export them; in properties and in `order_by`."""
    cells = {
        "id": ["1", "2", "3"],
        "Date": ["7/4/2024", "12/24/2024", "11/3/2024"],
        "Time": ["2:30:05 PM", "08:00:00", "1:30"],
        "Time Zone": ["Eastern Time (US & Canada)", "MST", ""],
    }
    beside = {
        "template": "{Date} {Time}",
        "format": "mdy",
        "timezone": {"column": "Time Zone", "default": "America/Denver"},
    }
    inside = {"first_of": [{"template": "{Date} {Time} {Time Zone}"}, {"template": "{Date} {Time} America/Denver"}]}
    made = events(cells, order_by=beside, properties={"at": {**inside, "format": "mdy", "as": "datetime"}})
    assert not made.violations
    assert made.properties[0].values.to_pylist() == [
        "2024-07-04T14:30:05-04:00",
        "2024-12-24T08:00:00-07:00",
        "2024-11-03T01:30:00-06:00",
    ]
    assert made.order_value is not None
    assert made.order_value.to_pylist() == [
        datetime.fromisoformat(text).timestamp() * 1_000_000 for text in made.properties[0].values.to_pylist()
    ]
