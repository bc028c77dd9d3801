"""Times to draw, and how they are written, for the tests of dates and times."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st


def written(moment: datetime, separator: str) -> str:
    """As this product writes a moment: `Z` for UTC, no trailing zeros in the fraction."""
    text = moment.replace(microsecond=0).isoformat(separator)
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return (text[:19] + fraction + text[19:]).replace("+00:00", "Z")


offsets = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.builds(
    lambda naive, offset, whole: naive.replace(tzinfo=offset, **({"microsecond": 0} if whole else {})),
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),
    offsets,
    st.booleans(),
)

digits = st.text(alphabet="0123456789" * 4 + "./-: ", min_size=1, max_size=19)
two = st.integers(0, 99).map(lambda number: f"{number:02}")
shapes = st.builds(
    lambda year, month, day, sign, hour, minute, second, tail: (
        f"{year}-{month}-{day}{sign}{hour}:{minute}{second}{tail}"
    ),
    st.integers(0, 9999).map(lambda year: f"{year:04}"),
    st.integers(0, 13).map(lambda month: f"{month:02}"),
    st.integers(0, 32).map(lambda day: f"{day:02}"),
    st.sampled_from(["T", " ", "t", "  "]),
    st.integers(0, 25).map(lambda hour: f"{hour:02}"),
    two,
    st.sampled_from(["", ":00", ":59", ":60", ":07.5", ":07.500", ":07.0", ":07.123456", ":07.1234567"]),
    st.sampled_from(
        ["", "Z", "z", " UTC", "GMT", "+00:00", "-0000", "+02:00", "-0500", " -0500", "+14", "+19:59", "+24:00"]
    ),
)
