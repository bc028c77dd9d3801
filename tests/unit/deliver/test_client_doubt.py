"""Answers that fail or lie: the request may have left, so the row is in doubt, and never sent again by itself."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest

from importer.deliver.client import Client
from importer.deliver.endpoint import Endpoint
from importer.deliver.token import Token
from importer.model import Response, ResponseKind
from tests.support.raw_server import ACCEPTED, Connection, RawServer, Script, answer, answering, raw_server
from tests.support.virtual_time import VirtualClock, VirtualTimeLoop, virtual_time

BODY = b'{"subscriber":{"email":"someone@example.com"},"type":"purchase"}'


def client(server: RawServer) -> Client:
    return Client(Endpoint.parse(server.url), Token("t0k3n"), clock=VirtualClock())


async def post_first(script: Script) -> Response:
    """What becomes of an event that aiohttp puts together, at a server that runs ``script``."""
    async with raw_server(script) as server, client(server) as api:
        return await api.post(BODY)


async def post_later(script: Script) -> Response:
    """What becomes of an event that goes the short way, over a connection that has served one before."""

    async def after_one(connection: Connection, server: RawServer) -> None:
        if server.connections == 1:
            await connection.request()
            await connection.send(answer())
        await script(connection, server)

    async with raw_server(after_one) as server, client(server) as api:
        assert (await api.post(BODY)).kind is ResponseKind.SENT
        return await api.post(BODY)


Post = Callable[[Script], Awaitable[Response]]


@pytest.fixture(params=[post_first, post_later])
def posted(request: pytest.FixtureRequest) -> Post:
    post: Post = request.param
    return post


@virtual_time
async def test_a_connection_closed_without_an_answer_is_in_doubt() -> None:
    async def script(connection: Connection, server: RawServer) -> None:
        server.requests.append(await connection.request())

    async with raw_server(script) as server, client(server) as api:
        lost = await api.post(BODY)
    assert (lost.kind, lost.status) == (ResponseKind.IN_DOUBT, None)
    assert lost.message == "the server closed the connection without an answer"
    assert len(server.requests) == 1, "aiohttp must not send it again by itself"


@virtual_time
async def test_a_pooled_connection_lost_under_a_request_is_in_doubt_and_not_tried_again() -> None:
    async def script(connection: Connection, server: RawServer) -> None:
        server.requests.append(await connection.request())
        await connection.send(answer())
        server.requests.append(await connection.request())

    async with raw_server(script) as server, client(server) as api:
        await api.post(BODY)
        lost = await api.post(BODY)
    assert lost.kind is ResponseKind.IN_DOUBT
    assert len(server.requests) == 2
    assert server.connections == 1


@virtual_time
async def test_a_reset_connection_is_in_doubt(posted: Post) -> None:
    async def script(connection: Connection, server: RawServer) -> None:
        await connection.request()
        connection.reset()

    lost = await posted(script)
    assert lost.kind is ResponseKind.IN_DOUBT
    assert lost.message in (
        "the connection was lost: Connection reset by peer",
        "the server closed the connection without an answer",
    )


@virtual_time
async def test_a_connection_reset_before_the_request_is_read_is_never_taken_for_an_answer(posted: Post) -> None:
    """In doubt if the request was written by then: from here, that looks the same as one lost after."""

    async def script(connection: Connection, server: RawServer) -> None:
        connection.reset()

    lost = await posted(script)
    assert lost.kind in (ResponseKind.IN_DOUBT, ResponseKind.NOT_ACCEPTED)
    assert lost.status is None


@virtual_time
async def test_no_answer_in_time_is_in_doubt(posted: Post) -> None:
    async def script(connection: Connection, server: RawServer) -> None:
        await connection.request()
        await asyncio.sleep(3600)

    late = await posted(script)
    assert (late.kind, late.message) == (ResponseKind.IN_DOUBT, "no whole answer within 90 s")
    assert late.latency == pytest.approx(90, abs=1.1)


@virtual_time
async def test_an_answer_that_trickles_in_for_ever_is_in_doubt(posted: Post) -> None:
    async def script(connection: Connection, server: RawServer) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await connection.send(b" ")
            await asyncio.sleep(10)

    late = await posted(script)
    assert (late.kind, late.message) == (ResponseKind.IN_DOUBT, "no whole answer within 90 s")
    assert late.latency == pytest.approx(90, abs=1.1)


@virtual_time
async def test_an_answer_that_came_while_the_process_stood_still_counts() -> None:
    """For all that its time was over by then; who has no answer even so is in doubt soon after."""

    async def script(connection: Connection, server: RawServer) -> None:
        if (await connection.request()).endswith(b"answered"):
            await asyncio.sleep(1)
            await connection.send(answer())
        await asyncio.sleep(3600)

    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with raw_server(script) as server, client(server) as api:
        posts = [asyncio.create_task(api.post(body)) for body in (b"answered", b"ignored")]
        await asyncio.sleep(0.5)
        loop.stand_still(200)
        answered, ignored = await asyncio.gather(*posts)
    assert answered.kind is ResponseKind.SENT
    assert (ignored.kind, ignored.message) == (ResponseKind.IN_DOUBT, "no whole answer within 90 s")
    assert ignored.latency == pytest.approx(203.5, abs=1.1)


@virtual_time
async def test_headers_that_trickle_in_for_ever_hold_up_nobody_else() -> None:
    """Each request has its own time, though one timer serves them all; the client goes on after that."""

    async def script(connection: Connection, server: RawServer) -> None:
        while request := await connection.request():
            if request.endswith(b"slow"):
                await connection.send(b"HTTP/1.1 200 OK\r\n")
                for number in range(100):
                    await connection.send(b"X-%d: y\r\n" % number)
                    await asyncio.sleep(10)
            await connection.send(answer())

    async def later(seconds: float, body: bytes) -> Response:
        await asyncio.sleep(seconds)
        return await api.post(body)

    async with raw_server(script) as server, client(server) as api:
        waits = [(0.0, b"slow"), (50.0, b"slow"), (100.0, b"quick"), (170.0, b"slow"), (300.0, b"quick")]
        answers = await asyncio.gather(*(later(*each) for each in waits))
    assert [each.kind for each in answers] == [
        ResponseKind.SENT if body == b"quick" else ResponseKind.IN_DOUBT for _, body in waits
    ]
    assert [each.latency for each in answers if each.kind is ResponseKind.IN_DOUBT] == pytest.approx(
        [90.0] * 3, abs=1.1
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"x" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        answer("200 OK", ACCEPTED, length=1000),
        answer("200 OK", b"<html><body>Log in to the hotel's network</body></html>"),
        answer("200 OK", b'{"success": true, "padding": "' + b"x" * 100_000 + b'"}'),
        answer("200 OK", b"not gzip", "Content-Encoding: gzip"),
        answer("200 OK", gzip.compress(b" " * 50_000_000 + ACCEPTED), "Content-Encoding: gzip"),
        answer("204 No Content", b""),
        answer("202 Accepted"),
        answer("500 Oops", b""),
        answer("520 Web server returns an unknown error", b"<html>"),
    ],
    ids=range(17),
)
@virtual_time
async def test_answers_that_say_nothing_reliable_are_in_doubt(posted: Post, raw: bytes) -> None:
    doubtful = await posted(answering(raw, close=True))
    assert doubtful.kind is ResponseKind.IN_DOUBT
    assert doubtful.message


@virtual_time
async def test_interim_answers_are_skipped(posted: Post) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert (await posted(answering(interim + answer()))).kind is ResponseKind.SENT
    assert (await posted(answering(interim, close=True))).kind is ResponseKind.IN_DOUBT


@virtual_time
async def test_an_oversized_answer_is_not_read_to_its_end(posted: Post) -> None:
    """It is in doubt at once, and its connection is given up."""
    sent = 0

    async def script(connection: Connection, server: RawServer) -> None:
        nonlocal sent
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            sent += 0x10000

    doubtful = await posted(script)
    assert (doubtful.kind, doubtful.status) == (ResponseKind.IN_DOUBT, 200)
    assert doubtful.message == "HTTP 200, but the answer is cut short or too long"
    assert sent < 20_000_000


@virtual_time
async def test_an_accepted_event_in_chunks_is_sent(posted: Post) -> None:
    chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in ACCEPTED) + b"0\r\n\r\n"
    raw = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert (await posted(answering(raw))).kind is ResponseKind.SENT


@virtual_time
async def test_an_accepted_event_told_until_the_connections_end_is_sent(posted: Post) -> None:
    raw = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + ACCEPTED
    assert (await posted(answering(raw, close=True))).kind is ResponseKind.SENT
