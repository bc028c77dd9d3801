"""``report.html``: what people ask of a run, in memory and bytes that do not grow with it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.model import Pause, PauseKind, RunSource, State
from importer.report import ReportOptions, check_run, write, write_check
from importer.report.check import Checking
from importer.report.totals import MOST_STEPS, WIDTHS, Timeline
from tests.support.pages import INFO, SOURCE, story
from tests.support.story import RUN, Row, batch, csv_source, ledger

START = 1_795_457_035.0
BAD = [("email.invalid", "subscriber.email", "foo@")]


@given(st.lists(st.floats(-1e9, 5e9), min_size=1, max_size=50))
def test_a_chart_has_few_steps_and_loses_nothing_recent(moments: list[float]) -> None:
    timeline = Timeline(2)
    for moment in moments:
        timeline.add(np.array([moment]), np.array([1]))
    series = timeline.series()
    assert series is not None
    assert 1 <= len(series.counts) <= MOST_STEPS
    if max(moments) - min(moments) < WIDTHS[-1] * (MOST_STEPS - 1):
        assert sum(map(sum, series.counts)) == len(moments)
    assert series.counts[-1][1] > 0


def test_a_million_distinct_minutes_are_kept_in_few_steps() -> None:
    timeline = Timeline(2)
    for first in range(0, 1_000_000, 20_000):
        moments = np.arange(first, first + 20_000, dtype=np.float64) * 60
        timeline.add(moments, np.zeros(len(moments), np.int64))
    series = timeline.series()
    assert series is not None
    assert sum(counts[0] for counts in series.counts) == 1_000_000


@pytest.mark.parametrize("rows", [0, 1, 60_000])
def test_the_page_stays_small_and_loads_nothing(tmp_path: Path, rows: int) -> None:
    write_check(story(rows), lambda: [RunSource(1, SOURCE, "", rows, "")], INFO, ReportOptions(tmp_path))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(page) < 500_000
    assert "http" not in re.sub(r"https://api\.sender\.net/v2/events", "", page).replace("http-equiv", "")


def written(out: Path, *rows: Row, run: Any = RUN, **changes: Any) -> str:
    write(ledger(batch(csv_source("Email"), rows), **changes), run, ReportOptions(out))
    return (out / "report.html").read_text(encoding="utf-8")


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", page.replace("<wbr>", "")).split())


def test_the_title_says_what_happened(tmp_path: Path) -> None:
    page = written(tmp_path, *[Row(b"a")] * 3, Row(b"b", State.INVALID, BAD))
    assert "<title>orders.csv → Sender: 3 of 4 delivered</title>" in page
    assert "Rehearsal" not in page


def test_rows_of_a_group_that_was_sent_are_delivered(tmp_path: Path) -> None:
    grouped = Row(b"a", State.GROUPED, told={"leader": 1, "leader_state": "sent"})
    waiting = Row(b"a", State.GROUPED, told={"leader": 1, "leader_state": "pending"})
    assert "2 of 3 delivered</title>" in written(tmp_path, Row(b"a"), grouped, waiting)


def test_a_rehearsal_is_seen_to_be_one(tmp_path: Path) -> None:
    page = written(tmp_path, Row(b"a"), run=type(RUN)(**{**vars_of(RUN), "endpoint": "sandbox"}))
    assert "orders.csv → sandbox: 1 of 1 delivered" in page
    assert "Rehearsal: the sandbox on this machine got these events" in words(page)


def vars_of(run: Any) -> dict[str, Any]:
    return {name: getattr(run, name) for name in run.__slots__}


def test_rows_to_fix_are_listed_with_cell_key_and_message(tmp_path: Path) -> None:
    rows = [
        Row(b"", State.INVALID, [("email.invalid", "subscriber.email", f"nobody {at}")], told={"key": f"A{at}"})
        for at in range(60)
    ]
    page = written(tmp_path, *rows)
    assert page.count('class="address">A') == 50, "the first 50 of a reason"
    assert "The first 50 of 60 rows" in page
    assert '<a href="./rejects.csv">' in page
    assert "A7 nobody 7 nobody 7 is not an e-mail address" in words(page.replace("</td>", " </td>"))


def test_money_tells_sent_from_unconfirmed_and_not_sent_per_type_and_currency(tmp_path: Path) -> None:
    def event(state: State, value: str, kind: str = "purchase") -> Row:
        return Row(b"x", state, told={"type": kind, "value": value, "currency": "EUR"})

    page = written(
        tmp_path, event(State.SENT, "1000.5"), event(State.SENT, "0.25"), event(State.FAILED, "5"),
        event(State.IN_DOUBT, "6"), event(State.INVALID, "7"), event(State.REFUSED, "8"),
        event(State.SENT, "-3", "refund"),
        event(State.INVALID, "seven"),
    )  # fmt: skip
    table = words(
        page[page.index('id="money"') : page.index('id="timeline"')]
        .replace("</td>", " </td>")
        .replace("</th>", " </th>")
    )
    assert "Type Currency Sent Value Unconfirmed Value Not sent Value" in table
    assert "purchase EUR 2 1,000.75 2 11.00 3 15.00" in table
    assert "refund EUR 1 -3.00" in table


def test_amounts_have_at_least_the_digits_of_their_money(tmp_path: Path) -> None:
    values = (("1749", "EUR"), ("1749", "JPY"), ("1749", ""), ("1749.5", "EUR"), ("1749.5", ""), ("1749.1234", "EUR"))
    rows = [Row(b"x", told={"type": f"t{n}", "value": v, "currency": c}) for n, (v, c) in enumerate(values)]
    shown = re.findall(r">(1,749[.0-9]*)", written(tmp_path, *rows))
    assert shown == ["1,749.00", "1,749", "1,749", "1,749.50", "1,749.50", "1,749.1234"]


def test_the_timeline_names_each_kind_of_pause(tmp_path: Path) -> None:
    paused = [
        Pause(PauseKind.OUTAGE, START + 10, START + 50),
        Pause(PauseKind.LIMIT, START + 60, START + 70),
        Pause(PauseKind.LIMIT, START + 80, START + 95),
    ]
    rows = [Row(b"a", told={"sent_at": START + at, "latency_ms": 5.0}) for at in (0, 10, 55, 75, 98)]
    page = written(tmp_path, *rows, paused=paused)
    assert "once, 40 s in all: the API was unreachable" in words(page)
    assert "2 times, 25 s in all: the limit was reached" in words(page)
    assert page.count('class="shade"') == 3
    ticks = page[page.index('class="x"') :].partition("</div>")[0]
    assert ticks.count("<span>") == 3


def test_a_chart_without_anything_to_show_is_left_out(tmp_path: Path) -> None:
    page = written(tmp_path, *[Row(b"a", told={"sent_at": START, "latency_ms": 5.0})] * 5)
    assert "Answers over time" not in page


def test_rows_in_doubt_are_listed_with_the_commands_that_settle_them(tmp_path: Path) -> None:
    page = written(tmp_path, Row(b"a", State.IN_DOUBT, told={"code": "doubt.crash", "key": "A1"}))
    assert f"importer resolve {RUN.id} --assume-sent</pre>" in page
    assert "the importer was killed while this row was in flight" in page
    assert ">A1</bdi>" in page


def test_rows_in_doubt_are_listed_however_many_reasons_there_are(tmp_path: Path) -> None:
    bad = [Row(b"", State.INVALID, [("property.nested", f"properties.p{at}", "x")]) for at in range(30)]
    page = written(tmp_path, *bad, Row(b"a", State.IN_DOUBT, told={"code": "doubt.crash", "key": "A1"}))
    assert ">A1</bdi>" in page


def test_totals_that_do_not_add_up_are_said_loudly(tmp_path: Path) -> None:
    page = words(written(tmp_path, Row(b"a"), missing=1))
    assert "The states add up to 1, but 2 rows were read." in page


def test_unreadable_sources_are_named_and_every_encoding_is(tmp_path: Path) -> None:
    page = written(tmp_path, Row(b"a"), errors={"orders.csv": "orders.csv: is <cut> off"})
    assert "orders.csv: not read to its end: is &lt;cut&gt; off" in page
    told = ledger(batch(csv_source("Email", encoding="cp1257"), [Row(b"a")]))
    write(told, RUN, ReportOptions(tmp_path))
    assert "orders.csv: 1 row (CSV, cp1257)" in (tmp_path / "report.html").read_text()


def test_the_page_of_a_check_shows_what_would_be_sent(tmp_path: Path) -> None:
    source = csv_source("Email")
    rows = [Row(b"a", State.PENDING, told={"type": "purchase", "subscriber": "a@example.com"})] * 2

    class Loaded:
        class mapping:  # noqa: N801 - stands in for a mapping
            more_properties = None

            @staticmethod
            def columns() -> tuple[str, ...]:
                return ("Email",)

    checking = Checking(Loaded(), 60)  # type: ignore[arg-type]
    checking._samples = ['{"subscriber":{"email":"a@example.com"},"type":"purchase"}']
    info = check_run("m.yaml", sources=("orders.csv",))
    write_check(
        [batch(source, rows)],
        lambda: [RunSource(1, source, "", 2, "")],
        info,
        ReportOptions(tmp_path),
        checking.explain,
    )
    page = (tmp_path / "report.html").read_text()
    assert "<title>orders.csv: 2 of 2 rows ready</title>" in page
    assert "Events2" in words(page)
    assert "Subscribers1" in words(page)
    assert "importer run orders.csv -m m.yaml --sandbox</pre>" in page
    assert "&#34;type&#34;: &#34;purchase&#34;" in page
    assert "Timeline" not in page
