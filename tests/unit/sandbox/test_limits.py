"""The quota and its headers, on virtual time: a minute passes in no time."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from importer.sandbox import SandboxOptions
from importer.sandbox.server import Sandbox
from tests.support.virtual_time import VirtualClock, virtual_time

from .conftest import Calling

EPOCH = datetime(2026, 3, 18, 13, 1, 0, tzinfo=UTC).timestamp()


@virtual_time
async def test_every_answer_tells_the_quota(calling: Calling) -> None:
    clock = VirtualClock(EPOCH)
    async with Sandbox(SandboxOptions(limit=60), clock=clock) as sandbox, calling(sandbox) as caller:
        replies = [
            await caller.post(),
            await caller.post({}),
            await caller.post(token="wrong"),
            await caller.request("GET", "/v2/subscribers"),
            await caller.request("GET", "/nowhere"),
            await caller.post_bytes(b"{"),
        ]
        assert [reply.status for reply in replies] == [200, 422, 401, 200, 404, 400]
        assert [reply.headers["X-RateLimit-Limit"] for reply in replies] == ["60"] * 6
        assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["59", "58", "57", "56", "55", "54"]
        assert {reply.headers["X-RateLimit-Reset"] for reply in replies} == {"2026-03-18T13:02:00Z"}
        assert not any("Retry-After" in reply.headers for reply in replies)


@virtual_time
async def test_beyond_the_quota_is_429_until_the_window_ends(calling: Calling) -> None:
    clock = VirtualClock(EPOCH + 0.25)
    async with Sandbox(SandboxOptions(limit=3), clock=clock) as sandbox, calling(sandbox) as caller:
        assert [(await caller.post()).status for _ in range(4)] == [200, 200, 200, 429]
        await clock.sleep(20)
        refused = await caller.post()
        assert (refused.status, refused.json) == (429, {"success": False, "message": "Too Many Attempts."})
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert refused.headers["Retry-After"] == "40"
        assert sandbox.accepted == 3
        await clock.sleep(float(refused.headers["Retry-After"]))
        again = await caller.post()
        assert again.status == 200
        assert again.headers["X-RateLimit-Remaining"] == "2"
        assert again.headers["X-RateLimit-Reset"] == "2026-03-18T13:03:00Z"


@virtual_time
async def test_a_window_begins_with_the_first_request_after_the_last_ones_end(calling: Calling) -> None:
    clock = VirtualClock(EPOCH)
    async with Sandbox(SandboxOptions(limit=3), clock=clock) as sandbox, calling(sandbox) as caller:
        await caller.post()
        await clock.sleep(1_000)
        reply = await caller.post()
        assert reply.headers["X-RateLimit-Reset"] == "2026-03-18T13:18:40Z"
        assert parsedate_to_datetime(reply.headers["Date"]).timestamp() == EPOCH + 1_000


@virtual_time
async def test_waiting_from_date_to_reset_is_always_enough(calling: Calling) -> None:
    for fraction in (0.0, 0.4, 0.999):
        clock = VirtualClock(EPOCH + fraction)
        async with Sandbox(SandboxOptions(limit=1), clock=clock) as sandbox, calling(sandbox) as caller:
            await caller.post()
            await clock.sleep(30.3)
            reply = await caller.post()
            reset = datetime.fromisoformat(reply.headers["X-RateLimit-Reset"])
            await clock.sleep((reset - parsedate_to_datetime(reply.headers["Date"])).total_seconds())
            assert (await caller.post()).status == 200


@virtual_time
async def test_a_wall_clock_that_is_set_does_not_end_a_window(calling: Calling) -> None:
    clock = VirtualClock(EPOCH)
    async with Sandbox(SandboxOptions(limit=1), clock=clock) as sandbox, calling(sandbox) as caller:
        await caller.post()
        clock.skew = 3_600
        assert (await caller.post()).status == 429


@virtual_time
async def test_two_clients_share_the_quota(calling: Calling) -> None:
    async with (
        Sandbox(SandboxOptions(limit=3), clock=VirtualClock()) as sandbox,
        calling(sandbox) as one,
        calling(sandbox) as other,
    ):
        statuses = [(await caller.post()).status for caller in (one, other, one, other)]
    assert statuses == [200, 200, 200, 429]


@pytest.mark.parametrize("limit", [None, 0])
async def test_without_a_limit_there_are_no_headers_about_one(calling: Calling, limit: int | None) -> None:
    async with Sandbox(SandboxOptions(limit=limit)) as sandbox, calling(sandbox) as caller:
        reply = await caller.post()
        assert not any(name.lower().startswith("x-ratelimit") for name in reply.headers)


@virtual_time
async def test_latency_delays_every_answer_and_no_record(calling: Calling) -> None:
    clock = VirtualClock()
    async with Sandbox(SandboxOptions(latency=0.05), clock=clock) as sandbox, calling(sandbox) as caller:
        for _ in range(3):
            before = clock.monotonic()
            await caller.post()
            assert clock.monotonic() - before == pytest.approx(0.05)
