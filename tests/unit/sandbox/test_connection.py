"""HTTP on a bare socket: keep-alive, pipelining, continuation, and requests that could be read in two ways."""

import asyncio
import re

import pytest

from importer.sandbox import SandboxOptions
from importer.sandbox.server import Sandbox

from .conftest import TOKEN, Exchange, Wire

OPTIONS = SandboxOptions(tokens=(TOKEN,))
LAST = "Connection: close\r\n"


async def test_requests_sent_in_one_go_are_answered_in_order(exchange: Exchange, wire: Wire) -> None:
    async with Sandbox(OPTIONS) as sandbox:
        answer = await exchange(sandbox, wire() + wire(b"{}") + wire(token="wrong") + wire(headers=LAST))
        assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"422", b"401", b"200"]


async def test_a_request_may_come_byte_by_byte(wire: Wire) -> None:
    async with Sandbox(OPTIONS) as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        for byte in wire():
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()


async def test_a_client_that_waits_for_100_continue_gets_it(wire: Wire) -> None:
    request = wire(headers="Expect: 100-continue\r\n")
    head, _, body = request.partition(b"\r\n\r\n")
    async with Sandbox(OPTIONS) as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(head + b"\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()


async def test_a_connection_closes_when_the_client_asks_for_it(exchange: Exchange, wire: Wire) -> None:
    async with Sandbox(OPTIONS) as sandbox:
        answer = await exchange(sandbox, wire(headers=LAST))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in answer


MALFORMED = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "a signed length": b"Content-Length: +2\r\n\r\n{}",
    "a blank before the colon": b"Content-Length : 2\r\n\r\n{}",
    "a zero byte": b"X: a\0\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_request_that_could_be_read_in_two_ways_is_refused_and_ends_the_connection(
    exchange: Exchange, wire: Wire, name: str
) -> None:
    async with Sandbox(OPTIONS) as sandbox:
        answer = await exchange(sandbox, b"POST /v2/events HTTP/1.1\r\nHost: x\r\n" + MALFORMED[name] + wire())
        assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
        assert answer.count(b"HTTP/1.") == 1
        assert sandbox.accepted == 0


async def test_a_huge_body_is_refused(wire: Wire) -> None:
    async with Sandbox(OPTIONS) as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(wire(b" " * (2 << 20)))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        assert sandbox.accepted == 0
        writer.close()
