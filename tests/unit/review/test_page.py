"""The page's answers: who may ask, what is escaped, how typing, finishing and the question of a live run go."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from importer.model import Counts, PendingSummary, State
from importer.pipeline.console import Forecast
from importer.review.desk import PAGE
from importer.review.page import Page
from importer.review.session import Review
from tests.support.reviews import Import

EVIL = '"><script>alert(1)</script>\x1b[31m\u202e'
SECRET = {"X-Review-Secret": "s3cret"}


class Opened:
    """A page and the client that looks at it."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.closed = self.finished = 0
        self.page = Page(review, "s3cret", self._finish, self._close)
        server = TestServer(self.page.app(), host="127.0.0.1")
        self.client = TestClient(server)

    def _finish(self) -> None:
        self.finished += 1

    def _close(self) -> None:
        self.closed += 1

    async def post(self, path: str, **content: Any) -> dict[str, Any]:
        async with self.client.post(path, json=content, headers=SECRET) as answer:
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    async def get(self, path: str, **query: str) -> str:
        async with self.client.get(path, params=query, headers=SECRET) as answer:
            assert answer.status == 200
            return await answer.text()


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    monkeypatch.chdir(tmp_path)
    return Import(tmp_path)


@pytest.fixture
async def opened(imported: Import) -> AsyncIterator[Opened]:
    """Three rows to fix, two of them alike, and one in doubt; a cell holds what no page should run."""
    evil = '3,c@,30,"' + EVIL.replace('"', '""') + '"'
    imported.run(imported.csv("1,a@,10,A", "2,a@,20,B", evil, "4,d@example.com,4,D"), [State.IN_DOUBT])
    one = Opened(imported.review())
    async with one.client:
        yield one


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/rows", {"X-Review-Secret": "other"}),
        ("/rows", {**SECRET, "Host": "evil.example:80"}),
        ("/rows", {**SECRET, "Origin": "http://evil.example"}),
    ],
)
async def test_only_the_page_with_the_secret_is_answered(opened: Opened, path: str, headers: dict[str, str]) -> None:
    async with opened.client.get(path, headers=headers) as answer:
        assert answer.status == 403
        assert "a@" not in await answer.text()


async def test_the_page_runs_no_script_but_its_own(opened: Opened) -> None:
    async with opened.client.get("/?secret=s3cret") as answer:
        policy, page = answer.headers["Content-Security-Policy"], await answer.text()
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert page.count("<script") == 1
    assert "style=" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for asset in re.findall(r'(?:href|src)="(\w[^"]*)"', page):
        async with opened.client.get(f"/{asset}") as answer:
            assert answer.status == 200


async def test_a_typed_cell_is_answered_with_its_verdict_and_how_many_are_like_it(opened: Opened) -> None:
    answer = await opened.post("/type", no=2, column="Email", text="a@example")
    assert answer["like"] == 1
    assert "a@example is not an e-mail address" in answer["verdicts"]["2"]
    answer = await opened.post("/type", no=2, column="Email", text="a@example.com")
    assert "Can be sent" in answer["verdicts"]["2"]
    assert (await opened.post("/like", no=2, column="Email"))["said"] == "1 row more changed"
    assert 'Corrected <span class="n">1</span>' in (await opened.post("/undo"))["bar"]


async def test_rows_are_filtered_and_paged(imported: Import) -> None:
    imported.run(imported.csv(*(f"{n},x{n}@,1,A" for n in range(1, 2 * PAGE + 6)), "99,a@example.com,many,A"))
    one = Opened(imported.review())
    async with one.client:
        pages, after = [], "0"
        while after:
            text = await one.get("/rows", status="open", after=after)
            pages.append(text.count("<article"))
            after = next(iter(re.findall(r'data-after=\\"([1-9][0-9]*)', text)), "")
        assert pages == [PAGE, PAGE, 6]
        assert (await one.get("/rows", status="open", code="value.not_a_number")).count("<article") == 1
        assert (await one.get("/rows", status="open", text="X7@")).count("<article") == 1


async def test_rows_are_given_up_with_a_note_and_taken_up_again(opened: Opened) -> None:
    await opened.post("/word", word="given_up", numbers=[2], note="  a test <b> ")
    assert "Given up: <bdi>a test &lt;b&gt;</bdi>" in (await opened.get("/rows", status="given_up"))
    await opened.post("/word", word="", numbers=[2])
    assert opened.review.desk.counts() == {"open": 3, "ready": 0, "given_up": 0, "doubt": 1}


async def test_rows_in_doubt_show_key_value_and_time_and_are_decided_all_at_once(opened: Opened) -> None:
    text = await opened.get("/rows", status="doubt")
    assert "4</bdi>" in text
    assert "4.00 EUR" in text
    assert "2001-09-09 01:46:40" in text
    assert (await opened.post("/word", word="arrived", status="doubt", text="d@"))["said"] == "1 row: arrived"
    assert "1 row in doubt: counted as sent" in await opened.get("/plan")
    await opened.post("/word", word="lost", status="doubt", text="nobody")
    assert opened.review.desk.decided() == {"arrived": 1}


async def test_finishing_is_done_elsewhere_and_nothing_is_typed_meanwhile(opened: Opened) -> None:
    answer = await opened.post("/finish")
    assert (opened.finished, answer["active"]) == (1, True)
    await opened.post("/finish")
    assert opened.finished == 1
    async with opened.client.post("/type", json={"no": 1, "column": "Email", "text": "x"}, headers=SECRET) as refused:
        assert refused.status == 409
    assert (await opened.post("/close"))["said"].startswith("This page is closed")
    assert opened.closed == 1


@pytest.mark.parametrize("yes", [True, False])
async def test_a_live_run_is_asked_about_with_its_counts(opened: Opened, yes: bool) -> None:
    outlook = PendingSummary(
        24, 20, 3, "ada@example.com", (("purchase", 24),), (("purchase", "EUR", 24, "99.5"),), 0, 1
    )
    forecast = Forecast(
        opened.review.run, outlook, 60, 24.0, "https://api.example.com/v2/events", rehearsal=False, counts=Counts(25)
    )
    work = opened.review.work
    work.begin()
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(work.confirm(forecast)))
    asking.start()
    while work.forecast is None:
        await asyncio.to_thread(asking.join, 0.01)
    await opened.post("/answer", yes=yes)
    await asyncio.to_thread(asking.join)
    assert answers == [yes]
    work.forecast = forecast
    shown = await opened.get("/work")
    for words in (
        "24 of 25 rows",
        "20; most for one: 3",
        "99.50 EUR in 24 events",
        "about 24 s at 60 requests a minute",
    ):
        assert words in shown


async def test_a_page_that_was_left_means_no(opened: Opened) -> None:
    work = opened.review.work
    work.is_abandoned = lambda: True
    outlook = PendingSummary(1, 1, 1, "", (), (), None, None)
    assert not work.confirm(Forecast(opened.review.run, outlook, None, None, "", rehearsal=False, counts=Counts(1)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"no": "x"}',
        b'{"no": 1, "column": "None", "text": ""}',
        b'{"no": 9, "column": "Email", "text": ""}',
        b'{"no": 1, "column": "\xff", "text": ""}',
    ],
)
async def test_what_is_no_request_of_the_page_is_refused(opened: Opened, content: bytes) -> None:
    async with opened.client.post("/type", data=content, headers=SECRET) as answer:
        assert answer.status == 400
