"""Worker processes against a real server: the same answers as one client's, and nothing lost where one dies."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from importer import child
from importer.deliver.endpoint import Endpoint
from importer.deliver.token import Token
from importer.deliver.worker import Setting
from importer.deliver.workers import Workers
from importer.errors import UsageError
from importer.model import ResponseKind
from tests.support.raw_server import Connection, RawServer, answer, answering, raw_server

SECRET = "s3cr3t-t0k3n"
BODY = b'{"subscriber":{"email":"someone@example.com"},"type":"purchase"}'


def two(server: RawServer) -> Workers:
    return Workers(Endpoint.parse(server.url), Token(SECRET), 2)


def pids(api: Workers) -> list[int]:
    return [worker._process.pid for worker in api._workers]


def shown_of(pid: int) -> bytes:
    """Of a process, what others may see."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def test_each_event_has_its_own_answer_whichever_process_posts_it() -> None:
    """And both have work to do."""

    async def script(connection: Connection, server: RawServer) -> None:
        while request := await connection.request():
            server.requests.append(request)
            body = request.split(b"\r\n\r\n")[1]
            await connection.send(answer("422 Unprocessable", b'{"message": "no to ' + body + b'"}'))

    bodies = [f"event {number}".encode() for number in range(200)]
    async with raw_server(script) as server, two(server) as api:
        answers = [
            each for at in range(0, 200, 20) for each in await asyncio.gather(*map(api.post, bodies[at : at + 20]))
        ]
        assert [each.message for each in answers] == [f"no to {body.decode()}" for body in bodies]
        assert {each.fate for each in answers} == {ResponseKind.REFUSED}
        assert server.connections == 20, "ten in flight in each"
    assert all(f"Authorization: Bearer {SECRET}".encode() in request for request in server.requests)


async def test_the_probe_is_answered_too() -> None:
    async with raw_server(answering(answer("200 OK", b'{"data": []}'))) as server, two(server) as api:
        assert (await api.probe()).fate is ResponseKind.SENT


async def test_what_a_worker_had_when_it_died_is_in_doubt_and_another_takes_its_place() -> None:
    begun = asyncio.Event()

    async def script(connection: Connection, server: RawServer) -> None:
        server.requests.append(await connection.request())
        if len(server.requests) == 1:
            begun.set()
            await asyncio.sleep(3600)
        await connection.send(answer())

    async with raw_server(script) as server, two(server) as api:
        first = asyncio.create_task(api.post(BODY))
        await begun.wait()
        busy = next(worker for worker in api._workers if worker.busy)
        before = pids(api)
        os.kill(busy._process.pid, signal.SIGKILL)
        lost = await first
        after = await api.post(BODY)
        assert api._mending is not None
        await api._mending
        assert len(set(pids(api)) - set(before)) == 1
        assert {each.fate for each in await asyncio.gather(*(api.post(BODY) for _ in range(4)))} == {ResponseKind.SENT}
    assert (lost.fate, lost.message) == (ResponseKind.IN_DOUBT, "the worker process that was sending it ended")
    assert after.fate is ResponseKind.SENT, "the other one lives"
    assert len(server.requests) == 6, "nothing is sent again by itself"


async def test_where_all_workers_died_no_event_waits_for_ever() -> None:
    async with raw_server(answering(answer())) as server, two(server) as api:
        for worker in api._workers:
            os.kill(worker._process.pid, signal.SIGKILL)
            await asyncio.wait({worker._listening}, timeout=30)
        answers = await asyncio.wait_for(asyncio.gather(*(api.post(BODY) for _ in range(5))), 60)
        assert {each.fate for each in answers} == {ResponseKind.SENT}


async def test_a_worker_that_stands_still_is_given_up_and_its_event_in_doubt() -> None:
    server = raw_server(answering(answer()))
    async with server as seen, Workers(Endpoint.parse(seen.url), Token(SECRET), 1, still_after=0.2) as api:
        os.kill(pids(api)[0], signal.SIGSTOP)
        still = await asyncio.wait_for(api.post(BODY), 30)
    assert (still.fate, still.message) == (ResponseKind.IN_DOUBT, "the worker process that was sending it stood still")
    assert not seen.requests


async def test_a_worker_whose_answers_make_no_sense_is_gone_with_what_it_has() -> None:
    """As one of another version would be, if the program were changed beneath a run."""

    async def script(connection: Connection, server: RawServer) -> None:
        server.requests.append(await connection.request())
        for worker in api._workers:
            worker._reader.feed_data(b"\x00\x00\x00\x01\xc1")
        await asyncio.sleep(3600)

    async with raw_server(script) as server, two(server) as api:
        lost = await asyncio.wait_for(api.post(BODY), 30)
    assert (lost.fate, lost.message) == (ResponseKind.IN_DOUBT, "the worker process that was sending it ended")


async def test_where_no_worker_starts_the_row_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at the beginning, which says so, nor in the place of one that died."""
    start = child.start

    def fail(*arguments: str, **popen: object) -> object:
        return start("importer.no_such_module", **popen)

    def no_memory(*arguments: str, **popen: object) -> object:
        raise OSError(12, "Cannot allocate memory")

    async with raw_server(answering(answer())) as server:
        async with two(server) as api:
            monkeypatch.setattr(child, "start", fail)
            for worker in api._workers:
                os.kill(worker._process.pid, signal.SIGKILL)
                await asyncio.wait({worker._listening}, timeout=30)
            put_off = await api.post(BODY)
            assert (put_off.fate, put_off.message) == (ResponseKind.NOT_ACCEPTED, "a worker process did not start")
            monkeypatch.setattr(child, "start", no_memory)
            assert (await api.post(BODY)).fate is ResponseKind.NOT_ACCEPTED
        with pytest.raises(UsageError, match="a worker process did not start"):
            await two(server).__aenter__()
        assert not server.requests


async def test_no_process_list_shows_the_token() -> None:
    async with raw_server(answering(answer())) as server, two(server) as api:
        for pid in pids(api):
            shown = await asyncio.to_thread(shown_of, pid)
            assert b"importer.deliver.worker" in shown
            assert SECRET.encode() not in shown
        assert SECRET not in f"{api!r} {api._workers} {Setting(server.url, SECRET)}"


async def test_workers_end_with_their_starter() -> None:
    async with raw_server(answering(answer())) as server:
        async with two(server) as api:
            started = pids(api)
            assert (await api.post(BODY)).fate is ResponseKind.SENT
        for pid in started:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
