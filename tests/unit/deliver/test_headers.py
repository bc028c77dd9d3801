"""What the quota's headers say, however they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from importer.deliver.responses import LONGEST, classify
from importer.model import Response

DATE = "Wed, 18 Mar 2026 13:01:30 GMT"
SENT_AT = 1773838890.0


def limits(wall: float = 0.0, **headers: str) -> Response:
    names = {"limit": "X-RateLimit-Limit", "remaining": "x-ratelimit-remaining", "reset": "X-RateLimit-Reset"}
    names |= {"retry": "Retry-After", "date": "date"}
    said = CIMultiDict((names[name], value) for name, value in headers.items())
    return classify(200, said, b"{}", latency=0.0, wall=wall)


def test_the_documented_form() -> None:
    """A date-time, measured against the answer's own Date, whatever this machine's clock says."""
    said = limits(limit="60", remaining="42", reset="2026-03-18T13:02:00Z", date=DATE)
    assert (said.limit, said.remaining, said.reset_in, said.retry_after) == (60, 42, 30.0, None)


@pytest.mark.parametrize("skew", [-300.0, 0.0, 300.0, 1e6])
def test_a_wrong_clock_does_no_harm(skew: float) -> None:
    assert limits(SENT_AT + skew, reset="2026-03-18T13:02:00Z", date=DATE).reset_in == 30.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-03-18T13:02:00Z", 30.0),
        ("2026-03-18T13:02:00.250Z", 30.25),
        ("2026-03-18T15:02:00+02:00", 30.0),
        ("2026-03-18 13:02:00", 30.0),
        ("Wed, 18 Mar 2026 13:02:00 GMT", 30.0),
        ("30", 30.0),
        (" 12.5 ", 12.5),
        ("0", 0.0),
        ("1773838920", 30.0),
        ("1773838920000", 30.0),
        ("1773838920000000", 30.0),
        ("2026-03-18T13:00:00Z", 0.0),
        ("1773838800", 0.0),
    ],
)
def test_dates_seconds_and_epochs_are_told_apart(text: str, seconds: float) -> None:
    said = limits(reset=text, retry=text, date=DATE)
    assert said.reset_in == pytest.approx(seconds)
    assert said.retry_after == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-5",
        "nan",
        "inf",
        "1e9",
        "٣٠",
        "12:30",
        "2026-13-45",
        "9999-12-31T23:59:59Z",
        "0001-01-01",
        "8" * 17,
    ],
)
def test_garbage_says_nothing_or_now(text: str) -> None:
    """Neither is believed: what makes no sense, and what asks for more than a week."""
    assert limits(reset=text, date=DATE).reset_in in (None, 0.0)


@pytest.mark.parametrize(
    ("text", "count"), [("60", 60), ("0", None), ("-1", None), ("", None), ("6.5", None), ("many", None), ("٦", None)]
)
def test_a_limit_is_a_positive_integer_or_nothing(text: str, count: int | None) -> None:
    assert limits(limit=text).limit == count


def test_a_negative_remainder_is_none_left() -> None:
    assert limits(remaining="-3").remaining == 0


def test_without_a_date_this_machines_clock_serves() -> None:
    assert limits(SENT_AT, reset="2026-03-18T13:02:00Z").reset_in == 30.0


def test_no_headers_say_nothing() -> None:
    said = limits(date=DATE)
    assert (said.limit, said.remaining, said.reset_in, said.retry_after) == (None,) * 4


@given(
    texts=st.lists(
        st.one_of(st.text(max_size=40), st.integers().map(str), st.floats().map(str)), min_size=5, max_size=5
    ),
    wall=st.floats(min_value=0, max_value=4e9),
)
def test_no_header_raises_or_makes_wait_for_ever(texts: list[str], wall: float) -> None:
    """Whatever a server sends, every number that comes out is usable."""
    said = limits(wall, limit=texts[0], remaining=texts[1], reset=texts[2], retry=texts[3], date=texts[4])
    assert said.limit is None or said.limit > 0
    assert said.remaining is None or said.remaining >= 0
    assert said.reset_in is None or 0 <= said.reset_in <= LONGEST
    assert said.retry_after is None or 0 <= said.retry_after <= 1e9


@pytest.mark.parametrize(("text", "seconds"), [("99999999", 99_999_999.0), ("9" * 17, 1e9), ("86400", 86_400.0)])
def test_a_wait_of_years_is_no_moment_of_the_seventies(text: str, seconds: float) -> None:
    assert limits(retry=text, date=DATE).retry_after == seconds
    assert limits(reset=text, date=DATE).reset_in == (seconds if seconds < LONGEST else None)
