"""Every fault, as a client sees it, and what the record says about it."""

import asyncio
from typing import Any

import aiohttp
import pytest

from importer.sandbox import Fault, SandboxOptions, parse_faults
from importer.sandbox.server import Sandbox
from tests.support.virtual_time import VirtualClock, virtual_time

from .conftest import TOKEN, Calling, Exchange, Wire


def faulty(spec: str, **more: Any) -> Sandbox:
    return Sandbox(SandboxOptions(tokens=(TOKEN,), faults=parse_faults(spec), **more))


@pytest.mark.parametrize(
    ("spec", "status", "accepted"),
    [("error=1", 500, 0), ("html=1", 502, 0), ("lie=1", 200, 0), ("redirect=1", 302, 0), ("429=1", 429, 0),
     ("error-after-accept=1", 500, 1), ("garbage=1", 200, 1), ("oversize=1", 200, 1), ("early=1", 200, 1),
     ("close=1", 200, 1), ("stray=1", 200, 1)],
)  # fmt: skip
async def test_the_status_a_client_sees_and_whether_the_event_counts(
    calling: Calling, spec: str, status: int, accepted: int
) -> None:
    async with faulty(spec) as sandbox, calling(sandbox) as caller:
        assert (await caller.post()).status == status
        assert sandbox.accepted == accepted
        assert dict(sandbox.faults) == {Fault(spec.partition("=")[0]): 1}
        assert dict(sandbox.statuses) == {status: 1}


@pytest.mark.parametrize(("spec", "accepted"), [("drop-before=1", 0), ("drop-after-accept=1", 1)])
async def test_a_dropped_connection_leaves_the_client_without_an_answer(
    calling: Calling, spec: str, accepted: int
) -> None:
    async with faulty(spec) as sandbox, calling(sandbox) as caller:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await caller.post()
        assert sandbox.accepted == accepted
        assert dict(sandbox.statuses) == {0: 1}


async def test_a_truncated_answer_ends_in_its_middle(exchange: Exchange, wire: Wire) -> None:
    async with faulty("truncate=1") as sandbox:
        answer = await exchange(sandbox, wire(headers="Connection: close\r\n"))
        assert b"Content-Length: 45\r\n" in answer
        assert answer.endswith(b'{"success": true, "mes')
        assert sandbox.accepted == 1


async def test_a_lie_says_success_false(calling: Calling) -> None:
    async with faulty("lie=1") as sandbox, calling(sandbox) as caller:
        assert (await caller.post()).json == {"success": False, "message": "Event not created"}


async def test_an_html_answer_is_html(calling: Calling) -> None:
    async with faulty("html=1") as sandbox, calling(sandbox) as caller:
        reply = await caller.post()
        assert reply.headers["Content-Type"] == "text/html"
        assert reply.body.startswith(b"<!DOCTYPE html>")


async def test_a_redirect_leads_to_another_host(calling: Calling) -> None:
    async with faulty("redirect=1") as sandbox, calling(sandbox) as caller:
        assert (await caller.post()).headers["Location"] == "http://elsewhere.example.com/v2/events"


async def test_an_unasked_429_says_when_to_come_back(calling: Calling) -> None:
    async with faulty("429=1", limit=60) as sandbox, calling(sandbox) as caller:
        reply = await caller.post()
        assert 1 <= int(reply.headers["Retry-After"]) <= 60
    async with faulty("429=1") as sandbox, calling(sandbox) as caller:
        assert (await caller.post()).headers["Retry-After"] == "1"


async def test_garbage_is_neither_json_nor_utf8(calling: Calling) -> None:
    async with faulty("garbage=1") as sandbox, calling(sandbox) as caller:
        reply = await caller.post()
        with pytest.raises(UnicodeDecodeError):
            reply.body.decode()


async def test_an_oversized_answer_has_8_mib(calling: Calling) -> None:
    async with faulty("oversize=1") as sandbox, calling(sandbox) as caller:
        assert len((await caller.post()).body) > 8 << 20


async def test_early_hints_come_before_the_answer(exchange: Exchange, wire: Wire) -> None:
    async with faulty("early=1") as sandbox:
        answer = await exchange(sandbox, wire(headers="Connection: close\r\n"))
        assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\n")
        assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in answer


async def test_a_stray_answer_follows_the_asked_one(exchange: Exchange, wire: Wire) -> None:
    async with faulty("stray=1") as sandbox:
        answer = await exchange(sandbox, wire(headers="Connection: close\r\n"))
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
        assert sandbox.accepted == 1


async def test_the_connection_closes_behind_the_answer_unannounced(wire: Wire) -> None:
    async with faulty("close=1") as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(wire())
        answer = await reader.read()
        assert answer.endswith(b'"Event created"}')
        assert b"Connection: close" not in answer
        writer.close()


@virtual_time
async def test_a_slow_answer_is_late_and_recorded_at_once(calling: Calling) -> None:
    clock = VirtualClock()
    options = SandboxOptions(faults=parse_faults("slow=1:2s"), latency=1)
    async with Sandbox(options, clock=clock) as sandbox, calling(sandbox) as caller:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(caller.post(), 2.9)
        assert sandbox.accepted == 1
        assert (await asyncio.wait_for(caller.post(), 3.1)).status == 200


@virtual_time
async def test_a_hanging_request_is_recorded_and_never_answered(calling: Calling) -> None:
    options = SandboxOptions(faults=parse_faults("hang=1"))
    async with Sandbox(options, clock=VirtualClock()) as sandbox, calling(sandbox) as caller:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(caller.post(), 3_600)
        assert sandbox.accepted == 1


@virtual_time
async def test_during_an_outage_nobody_listens_and_afterwards_all_is_well(calling: Calling) -> None:
    clock = VirtualClock()
    options = SandboxOptions(faults=parse_faults("outage=30s@2"))
    async with Sandbox(options, clock=clock) as sandbox, calling(sandbox) as caller, calling(sandbox) as other:
        port = sandbox.port
        assert [(await caller.post()).status, (await other.post()).status] == [200, 200]
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await caller.post()
        await clock.sleep(29)
        for client in (caller, other):
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.post()
        await clock.sleep(1.1)
        assert [(await caller.post()).status, (await other.post()).status] == [200, 200]
        assert (sandbox.port, sandbox.accepted) == (port, 4)


async def test_leaving_during_an_outage_is_quiet(calling: Calling) -> None:
    async with faulty("outage=1h@0") as sandbox, calling(sandbox) as caller:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await caller.post()
        assert repr(sandbox) == "<Sandbox not listening, 0 requests, 0 events accepted>"


async def test_the_first_token_expires_and_another_goes_on(calling: Calling) -> None:
    options = SandboxOptions(tokens=("old", "new"), faults=parse_faults("token-after=2"))
    async with Sandbox(options) as sandbox, calling(sandbox) as caller:
        assert [(await caller.post()).status for _ in range(4)] == [200, 200, 401, 401]
        assert (await caller.request("GET", "/v2/subscribers")).status == 401
        assert [(await caller.post(token="new")).status for _ in range(4)] == [200] * 4


@pytest.mark.parametrize(
    "fault", ["drop-after-accept", "error-after-accept", "garbage", "truncate", "oversize", "hang"]
)
async def test_a_lost_answer_presupposes_an_accepted_event(calling: Calling, fault: str) -> None:
    """An event that breaks a rule is refused as ever."""
    async with faulty(f"{fault}=1") as sandbox, calling(sandbox) as caller:
        assert (await caller.post({})).status == 422
        assert (sandbox.accepted, dict(sandbox.faults)) == (0, {})


async def test_the_probe_is_spared(calling: Calling) -> None:
    async with faulty("error=0.5,drop-before=0.5") as sandbox, calling(sandbox) as caller:
        assert [(await caller.request("GET", "/v2/subscribers")).status for _ in range(10)] == [200] * 10


async def test_the_same_seed_befalls_the_same_requests(calling: Calling) -> None:
    runs = []
    for seed in (1, 1, 2):
        async with faulty("error=0.3,429=0.2", seed=seed) as sandbox, calling(sandbox) as caller:
            runs.append([(await caller.post()).status for _ in range(40)])
    assert runs[0] == runs[1] != runs[2]
