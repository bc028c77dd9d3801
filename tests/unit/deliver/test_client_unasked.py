"""Servers that speak unasked: their words end the connection, and the answer before them is not trusted."""

import asyncio
import gc
from functools import partial

import aiohttp
import pytest

from importer.deliver.client import Client
from importer.deliver.endpoint import Endpoint
from importer.deliver.token import Token
from importer.model import Response, ResponseKind
from tests.support.raw_server import Connection, RawServer, answer, answering, raw_server
from tests.support.virtual_time import VirtualClock, virtual_time

BODY = b'{"subscriber":{"email":"someone@example.com"},"type":"purchase"}'
REFUSED = answer("422 Unprocessable", b'{"message": "no"}')


def client(server: RawServer) -> Client:
    return Client(Endpoint.parse(server.url), Token("t0k3n"), clock=VirtualClock())


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("second", [answer(), REFUSED, answer("200 OK", b"", "Connection: close")], ids=range(3))
@virtual_time
async def test_two_answers_in_one_piece_are_trusted_neither(second: bytes, close: bool) -> None:
    async with raw_server(answering(answer() + second, close=close)) as server, client(server) as api:
        doubtful = await api.post(BODY)
    assert (doubtful.kind, doubtful.status) == (ResponseKind.IN_DOUBT, 200)
    assert doubtful.message == (
        "the server sent unrequested data after this answer (HTTP 200): it may belong to another event"
    )


@pytest.mark.parametrize(
    "words", [answer(), b"x", b"\r\n", b"HTTP/1.1 "], ids=["an answer", "a letter", "a line", "half"]
)
@virtual_time
async def test_what_follows_later_takes_the_answer_before_it_back(words: bytes) -> None:
    """At once, not when the connection is needed again."""

    async def script(connection: Connection, server: RawServer) -> None:
        await connection.request()
        await connection.send(answer())
        await asyncio.sleep(0.5)
        if server.connections == 1:
            await connection.send(words)
        await connection.request()

    taken_back: list[Response] = []
    async with raw_server(script) as server, client(server) as api:
        first = await api.post(BODY, taken_back.append)
        await asyncio.sleep(1)
        second = await api.post(BODY, taken_back.append)
        await asyncio.sleep(1)
    assert [(each.kind, each.status) for each in taken_back] == [(ResponseKind.IN_DOUBT, 200)]
    assert first.kind is second.kind is ResponseKind.SENT
    assert server.connections == 2


@virtual_time
async def test_an_answer_that_was_late_is_taken_back_when_the_true_one_comes() -> None:
    """The second answer to the first event comes just after the second event has left."""

    async def script(connection: Connection, server: RawServer) -> None:
        await connection.request()
        await connection.send(answer())
        await connection.request()
        await connection.send(answer())  # to the first event, again
        await asyncio.sleep(0.2)
        await connection.send(REFUSED)
        await asyncio.sleep(3600)

    taken_back: list[str] = []
    async with raw_server(script) as server, client(server) as api:
        first = await api.post(BODY, lambda _: taken_back.append("first"))
        second = await api.post(BODY, lambda _: taken_back.append("second"))
        assert first.kind is second.kind is ResponseKind.SENT  # as far as can be known by now
        await asyncio.sleep(1)
    assert taken_back == ["second"]


@virtual_time
async def test_a_connection_that_ends_in_the_usual_ways_takes_nothing_back() -> None:
    """Closed by the server after the answer, with or without saying so."""
    for script in (
        answering(answer(), close=True),
        answering(answer("200 OK", b"{}", "Connection: close"), close=True),
    ):
        taken_back: list[Response] = []
        async with raw_server(script) as server, client(server) as api:
            for _ in range(3):
                assert (await api.post(BODY, taken_back.append)).kind is ResponseKind.SENT
                await asyncio.sleep(1)
        assert (taken_back, server.connections) == ([], 3)


@pytest.mark.parametrize("extra", [0, 1], ids=["the server", "a server that answers once too often"])
@virtual_time
async def test_answers_that_are_one_request_late_are_found_out(extra: int) -> None:
    """Requests follow one another without a pause, so that each gets the answer of the one before it.

    All that are not beyond doubt are taken back, and from a server that answers each once, none.
    """
    kinds = [answer() if number % 3 else REFUSED for number in range(130)]
    events: list[int] = []

    async def script(connection: Connection, server: RawServer) -> None:
        for number in range(150):
            await connection.request()
            events.append(len(events))
            if number == 5 and extra:
                await connection.send(kinds[events[-2]])  # once more, and 50 ms later than it should
            await asyncio.sleep(0.05)
            await connection.send(kinds[events[-1]])

    wrong: set[int] = set()
    taken_back: set[int] = set()

    def note(number: int, _: Response) -> None:
        taken_back.add(number)

    async with raw_server(script) as server, client(server) as api:
        for number in range(120):
            response = await api.post(BODY, partial(note, number))
            true = ResponseKind.SENT if number % 3 else ResponseKind.REFUSED
            if response.kind is not true:
                wrong.add(number)
        await asyncio.sleep(1)
    if extra:
        assert len(wrong) > 50
        assert wrong <= taken_back
    else:
        assert wrong == taken_back == set()
    assert server.connections == 2


@virtual_time
async def test_a_connection_that_is_idle_now_and_then_is_kept() -> None:
    async with raw_server(answering(answer())) as server, client(server) as api:
        for _ in range(120):
            assert (await api.post(BODY)).kind is ResponseKind.SENT
            await asyncio.sleep(0.5)
    assert server.connections == 1


@virtual_time
async def test_a_connection_at_rest_is_closed_with_the_client() -> None:
    """A run that ends meanwhile leaves none behind, which aiohttp would complain of."""
    async with raw_server(answering(answer())) as server, client(server) as api:
        for _ in range(101):
            assert (await api.post(BODY)).kind is ResponseKind.SENT
    assert server.connections == 2, "the first one rests"
    held = [each for each in gc.get_objects() if isinstance(each, aiohttp.connector.Connection)]
    assert all(each.protocol is None for each in held)
