"""``report.html``: figures that are right for any run, in memory and bytes that do not grow with it."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.model import RunSource, State
from importer.report import ReportOptions, write, write_check
from importer.report.page.buckets import DAYS, MONDAY, SECONDS, SHOWN, Buckets, Gap
from importer.report.page.latencies import Latencies
from importer.report.page.markup import duration
from importer.report.page.values import Values
from tests.support.pages import FACTS, SOURCE, story
from tests.support.story import RUN, Row, batch, csv_source, ledger


def counted(moments: list[float], widths: tuple[int, ...] = SECONDS, origin: int = 0) -> Buckets:
    buckets = Buckets(widths, 2, origin)
    for moment in moments:
        buckets.add(np.array([moment]), np.array([1]))
    return buckets


@given(st.lists(st.floats(-1e9, 5e9), min_size=1, max_size=50), st.sampled_from([SECONDS, DAYS]))
def test_a_chart_has_few_steps_and_loses_nothing_recent(moments: list[float], widths: tuple[int, ...]) -> None:
    series = counted(moments, widths).series(90)
    assert series is not None
    assert 1 <= len(series.counts) <= SHOWN
    shown = sum(map(sum, series.counts))
    if max(moments) - min(moments) < widths[-1] * (SHOWN - 1):
        assert shown == len(moments)
    assert series.counts[-1][1] > 0


def test_pauses_are_told_to_the_second_whatever_the_steps() -> None:
    moments = [*np.arange(0.0, 40_000.0, 10.0), *np.arange(50_000.5, 90_000.0, 10.0)]
    series = counted(moments).series(90)
    assert series is not None
    assert series.width == 900
    assert series.pauses == (Gap(39_990.0, 50_000.5),)


def test_a_million_distinct_seconds_are_kept_in_few_steps() -> None:
    buckets = Buckets(SECONDS, 2)
    for first in range(0, 1_000_000, 20_000):
        moments = np.arange(first, first + 20_000, dtype=np.float64) * 60
        buckets.add(moments, np.zeros(len(moments), np.int64))
    assert len(buckets._steps) <= 4_096
    series = buckets.series(90)
    assert series is not None
    assert sum(counts[0] for counts in series.counts) == 1_000_000


def test_weeks_begin_on_monday() -> None:
    series = counted([1.7e9, 1.73e9], DAYS, MONDAY).series(90)
    assert series is not None
    assert (series.width, (series.begin - MONDAY) % (7 * 86_400)) == (7 * 86_400, 0)


def test_percentiles_are_right_to_some_percent() -> None:
    times = np.random.default_rng(1).lognormal(4.6, 0.6, 10_000)
    latencies = Latencies()
    latencies.add(times)
    found = latencies.result()
    assert found is not None
    for percent, value in found.percentiles:
        assert value == pytest.approx(np.percentile(times, percent), rel=0.03)
    assert (sum(found.classes), found.least, found.most) == (10_000, times.min(), times.max())
    assert Latencies().result() is None


def added(*events: tuple[str | None, str | None, str | None, bool]) -> Values:
    values = Values()
    types, amounts, currencies, delivered = (pa.array(column) for column in zip(*events, strict=True))
    values.add(types.cast(pa.string()), amounts.cast(pa.string()), currencies.cast(pa.string()), delivered)
    return values


def test_values_are_added_exactly() -> None:
    values = added(
        ("a", "0.1", "EUR", True), ("a", "0.2", "EUR", True), ("a", "1e300", "EUR", False), ("a", "-5", "EUR", False),
        ("a", None, "EUR", True), (None, "123456789012345678.123456789012", None, True),
    )  # fmt: skip
    worth = values.by_kind["a", "EUR"]
    assert (worth.delivered, str(worth.delivered_sum.normalize())) == (3, "0.3")
    assert (worth.other, worth.other_sum) == (2, Decimal(10**300 - 5))
    assert str(values.by_kind["", ""].delivered_sum) == "123456789012345678.123456789012"


def test_amounts_have_at_least_the_digits_of_their_money(tmp_path: Path) -> None:
    values = (("1749", "EUR"), ("1749", "JPY"), ("1749", ""), ("1749.5", "EUR"), ("1749.5", ""), ("1749.1234", "EUR"))
    rows = [Row(b"x", told={"type": f"t{n}", "value": v, "currency": c}) for n, (v, c) in enumerate(values)]
    told = written(tmp_path, *rows)
    shown = re.findall(r'<th scope="row"><bdi>t\d</bdi></th>.*?<div>(1,749[.0-9]*)</div>', told)
    assert shown == ["1,749.00", "1,749", "1,749", "1,749.50", "1,749.50", "1,749.1234"]


def test_types_without_end_are_added_up_as_others() -> None:
    values = added(*((f"type {number}", "1", "EUR", True) for number in range(1_500)))
    assert (len(values.by_kind), values.rest.delivered, values.rest.delivered_sum) == (1_000, 500, Decimal(500))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (1, "1 s"), (59.6, "60 s"), (61, "1 min 1 s"), (3_600, "1 h"), (90_000, "1 d 1 h"),
     (8_640_000, "100 d")],
)  # fmt: skip
def test_durations_have_at_most_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("rows", [0, 1, 60_000])
def test_the_page_stays_small_and_names_everything(tmp_path: Path, rows: int) -> None:
    write_check(story(rows), lambda: [RunSource(1, SOURCE, "", rows, "")], FACTS, ReportOptions(tmp_path))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(page) < 500_000
    assert "http" not in re.sub(r"https://api\.sender\.net/v2/events", "", page).replace("http-equiv", "")
    if rows > 1:
        assert page.count("customer.") == 200, "so many rows in doubt are listed"
        assert "more, in the in-doubt file" in page


def written(out: Path, *rows: Row, **changes: Any) -> str:
    write(ledger(batch(csv_source("Email"), rows), **changes), RUN, ReportOptions(out))
    return (out / "report.html").read_text(encoding="utf-8")


def test_the_page_says_what_to_do(tmp_path: Path) -> None:
    page = written(tmp_path, Row(b"a", State.IN_DOUBT, told={"code": "doubt.crash"}), Row(b"b", State.PENDING))
    assert f"importer resolve {RUN.id} --endpoint https://api.example.com/v2 --assume-sent</pre>" in page
    assert f"<code>importer resume {RUN.id} --endpoint https://api.example.com/v2</code> goes on" in page
    assert "the importer was killed while this row was in flight" in page


def test_books_that_do_not_balance_are_said_loudly(tmp_path: Path) -> None:
    page = written(tmp_path, Row(b"a"), missing=1)
    assert "The states add up to 1, but 2 rows were read." in page


def test_unreadable_sources_are_named(tmp_path: Path) -> None:
    page = written(tmp_path, Row(b"a"), errors={"orders.csv": "orders.csv: is <cut> off"})
    assert "not read to its end</span>: <bdi>is &lt;cut&gt; off</bdi>" in page
