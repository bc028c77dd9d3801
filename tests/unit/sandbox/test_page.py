"""The sandbox's page answers browsers on this machine only, and changes nothing without its secret."""

import json
import re

import pytest

from importer.sandbox import Sandbox, SandboxOptions
from importer.sandbox.arrivals import KEPT, Arrivals, Search
from importer.sandbox.faults import Fault
from importer.sandbox.injection import Injection
from tests.support.virtual_time import VirtualClock
from tests.unit.sandbox.conftest import EVENT, Caller, Calling

STATE = "/_sandbox/state"
ORDERS = "/_sandbox/faults"


async def secret(caller: Caller) -> str:
    page = await caller.request("GET", "/", token=None)
    found = re.search(r'name="sandbox-secret" content="([^"]+)"', page.body.decode())
    assert found
    return found[1]


async def test_the_page_runs_nothing_but_its_own_and_is_never_kept_or_framed(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        page = await caller.request("GET", "/", token=None)
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (page.headers["Cache-Control"], page.headers["X-Frame-Options"]) == ("no-store", "DENY")
        assert b"{{" not in page.body


@pytest.mark.parametrize("path", ["/", STATE, "/_sandbox/event?n=1"])
@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.example.com", "127.0.0.1:80:80", ""])
async def test_a_name_that_was_rebound_to_this_machine_gets_nothing(calling: Calling, path: str, host: str) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        await caller.post()
        reply = await caller.request("GET", path, headers={"Host": host}, token=None)
        assert reply.status == 403
        assert b"ada@example.com" not in reply.body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:80"])
async def test_any_port_of_this_machine_is_welcome(calling: Calling, host: str) -> None:
    """It may be a forwarded one."""
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        assert (await caller.request("GET", STATE, headers={"Host": host}, token=None)).status == 200


async def test_a_fault_is_ordered_with_the_pages_secret_only(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        order = {"fault": "error", "count": 2}
        key = {"X-Sandbox-Secret": await secret(caller)}
        for headers in ({}, {"X-Sandbox-Secret": "guess"}, key | {"Origin": "https://evil.example.com"}):
            assert (await caller.request("POST", ORDERS, json=order, headers=headers, token=None)).status == 403
        assert (await caller.request("GET", ORDERS, headers=key)).status == 405
        assert (await caller.post()).status == 200

        assert (await caller.request("POST", ORDERS, json=order, headers=key)).status == 202
        assert [(await caller.post()).status for _ in range(3)] == [500, 500, 200]


@pytest.mark.parametrize(
    "order", [{"fault": "hang"}, {"fault": "error", "count": 0}, {"fault": "error", "count": 10_001}, {"fault": "x"},
              {"outage": 601}, {"outage": -1}, {"more": 1}, []]
)  # fmt: skip
async def test_an_order_that_cannot_be_is_refused(calling: Calling, order: object) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        key = {"X-Sandbox-Secret": await secret(caller)}
        assert (await caller.request("POST", ORDERS, json=order, headers=key)).status == 400


async def test_the_page_costs_no_quota_and_counts_as_no_request(calling: Calling) -> None:
    async with Sandbox(SandboxOptions(limit=2)) as sandbox, calling(sandbox) as caller:
        for _ in range(5):
            assert (await caller.request("GET", STATE, token=None)).status == 200
        assert [(await caller.post()).status for _ in range(3)] == [200, 200, 429]
        state = (await caller.request("GET", STATE, token=None)).json
        told = {name: state[name] for name in ("requests", "arrived", "accepted", "limit", "left", "statuses")}
        assert told == {
            "requests": 3, "arrived": 2, "accepted": 2, "limit": 2, "left": 0, "statuses": {"200": 2, "429": 1},
        }  # fmt: skip


async def test_an_event_is_shown_as_it_came(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        await caller.post()
        await caller.post_bytes(b'{"subscriber": \xff')
        first, second = [(await caller.request("GET", f"/_sandbox/event?n={n}", token=None)).json for n in (1, 2)]
        assert json.loads(first["text"]) == EVENT
        assert second["text"] == '{"subscriber": \\xff'
        assert (await caller.request("GET", "/_sandbox/event?n=3", token=None)).status == 404


async def test_the_newest_are_kept_in_bounded_memory() -> None:
    arrivals = Arrivals(VirtualClock())
    for number in range(KEPT + 5):
        arrivals.note(b'{"subscriber":{"id":"s%d"},"type":"t"}' % number, 200, None, recorded=True)
    assert arrivals.find(5) is None
    assert arrivals.find(6) is not None
    assert [line.n for line in arrivals.newest(Search(), 2)] == [KEPT + 5, KEPT + 4]
    for _ in range(KEPT):
        arrivals.note(b"x" * 1_000_000, 413, None, recorded=False)
    assert arrivals._bytes <= 32 << 20


async def test_arrivals_are_found_by_any_identifier_and_by_type() -> None:
    arrivals = Arrivals(VirtualClock())
    for body in (b'{"subscriber":{"email":"Ada@example.com","phone":"+370612"},"type":"Refund"}', b"[1]", b"\xff"):
        arrivals.note(body, 200, Fault.ERROR, recorded=True)
    assert [line.n for line in arrivals.newest(Search(subscriber="ada@"), 9)] == [1]
    assert [line.n for line in arrivals.newest(Search(subscriber="612", type="ref"), 9)] == [1]
    assert [line.n for line in arrivals.newest(Search(after=1), 9)] == [3, 2]
    assert [line.n for line in arrivals.newest(Search(before=3), 1)] == [2]


def test_orders_are_met_in_turn() -> None:
    injection = Injection()
    assert injection.order(Fault.ERROR, 2)
    assert injection.order(Fault.HTML, 1)
    assert [injection.take() for _ in range(4)] == [Fault.ERROR, Fault.ERROR, Fault.HTML, None]
    assert not injection.order(Fault.SLOW, 1)
