"""The dashboard answers only who knows the secret in its address, and is no part of the API."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from importer.sandbox import Fault, SandboxOptions
from importer.sandbox.events import RecentEvents
from importer.sandbox.server import Sandbox
from tests.support.virtual_time import VirtualClock
from tests.unit.sandbox.conftest import EVENT, Caller, Calling, Reply

STATE = "/_sandbox/state"
ORDERS = "/_sandbox/faults"


def key(caller: Caller) -> dict[str, str]:
    return {"X-Sandbox-Secret": parse_qs(urlsplit(caller.sandbox.page).query)["secret"][0]}


async def order(caller: Caller, what: object) -> Reply:
    return await caller.request("POST", ORDERS, json=what, headers=key(caller), token=None)


async def test_the_page_runs_nothing_but_its_own_and_is_never_kept_or_framed(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        address = urlsplit(sandbox.page)
        page = await caller.request("GET", f"{address.path}?{address.query}", token=None)
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert (page.headers["Cache-Control"], page.headers["X-Frame-Options"]) == ("no-store", "DENY")
        assert b"{{" not in page.body


@pytest.mark.parametrize("given", ["", "?secret=", "?secret=guess", "?secret=%C5%BE"])
@pytest.mark.parametrize("path", ["/", STATE, "/_sandbox/event"])
async def test_without_the_secret_nothing_is_shown(calling: Calling, path: str, given: str) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        await caller.post()
        reply = await caller.request("GET", path + given)
        assert reply.status == 403
        assert reply.json["message"].startswith("Open the address that the sandbox printed: it carries a secret")
        assert b"ada@example.com" not in reply.body


async def test_the_secret_is_another_one_in_each_sandbox() -> None:
    async with Sandbox() as one, Sandbox() as other:
        assert urlsplit(one.page).query != urlsplit(other.page).query
        assert one.token not in one.page


async def test_a_fault_is_ordered_with_the_secret_only(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        what = {"fault": "error", "count": 2}
        for headers in ({}, {"X-Sandbox-Secret": "guess"}):
            assert (await caller.request("POST", ORDERS, json=what, headers=headers)).status == 403
        assert (await caller.post()).status == 200

        assert (await order(caller, what)).status == 202
        assert [(await caller.post()).status for _ in range(3)] == [500, 500, 200]


@pytest.mark.parametrize(
    "what", [{"fault": "hang"}, {"fault": "error", "count": 0}, {"fault": "error", "count": 10_001}, {"fault": "x"},
             {"outage": 601}, {"outage": -1}, {"more": 1}, []]
)  # fmt: skip
async def test_an_order_that_is_not_offered_is_refused(calling: Calling, what: object) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        assert (await order(caller, what)).status == 400


async def test_the_page_takes_no_quota_and_counts_as_no_request(calling: Calling) -> None:
    async with Sandbox(SandboxOptions(limit=2)) as sandbox, calling(sandbox) as caller:
        for _ in range(5):
            assert (await caller.request("GET", STATE, headers=key(caller), token=None)).status == 200
        assert [(await caller.post()).status for _ in range(3)] == [200, 200, 429]
        state = (await caller.request("GET", STATE, headers=key(caller), token=None)).json
        told = {name: state[name] for name in ("requests", "arrived", "accepted", "limit", "left", "statuses")}
        assert told == {
            "requests": 3, "arrived": 2, "accepted": 2, "limit": 2, "left": 0, "statuses": {"200": 2, "429": 1},
        }  # fmt: skip


async def test_an_event_is_shown_as_it_came(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        await caller.post()
        await caller.post_bytes(b'{"subscriber": \xff')
        first, second, third = [
            await caller.request("GET", f"/_sandbox/event?n={n}", headers=key(caller)) for n in (1, 2, 3)
        ]
        assert json.loads(first.json["text"]) == EVENT
        assert second.json["text"] == '{"subscriber": \\xff'
        assert third.status == 404


async def test_the_newest_are_kept_in_bounded_memory() -> None:
    recent = RecentEvents(VirtualClock())
    kept = recent.MAX_EVENTS
    for number in range(kept + 5):
        recent.add(b'{"subscriber":{"id":"s%d"},"type":"t"}' % number, 200, None, accepted=True)
    assert recent.find(5) is None
    assert recent.find(6) is not None
    assert [row["n"] for row in recent.newest(2)] == [kept + 5, kept + 4]
    for _ in range(kept):
        recent.add(b"x" * 1_000_000, 413, None, accepted=False)
    assert recent._bytes <= recent.MAX_BYTES


async def test_events_are_found_by_any_identifier_and_by_type() -> None:
    recent = RecentEvents(VirtualClock())
    for body in (b'{"subscriber":{"email":"Ada@example.com","phone":"+370612"},"type":"Refund"}', b"[1]", b"\xff"):
        recent.add(body, 200, Fault.ERROR, accepted=True)
    assert [row["n"] for row in recent.newest(9, "ada@")] == [1]
    assert [row["n"] for row in recent.newest(9, "612", "ref")] == [1]
    assert [row["n"] for row in recent.newest(9, after=1)] == [3, 2]
    assert [row["n"] for row in recent.newest(1, before=3)] == [2]
