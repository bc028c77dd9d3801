"""Whole deliveries to servers that misbehave: each row is accounted for, none arrives twice, and each delivery ends."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from importer.deliver import DeliveryOptions
from importer.deliver.circuit_breaker import CircuitBreaker
from importer.deliver.client import Client
from importer.deliver.delivery import ApiSession, Delivery
from importer.deliver.endpoint import Endpoint
from importer.deliver.rate_limit import RateLimiter
from importer.deliver.token import Token
from importer.model import State
from tests.support.ledgers import chunk, open_ledger, planned
from tests.support.raw_server import ACCEPTED, Connection, RawServer, answer, raw_server
from tests.support.virtual_time import VirtualClock, virtual_time

ROWS = 12
REFUSED = answer("422 Unprocessable Content", b'{"success": false, "message": "no"}')


@dataclass
class Call:
    """One event at the server."""

    row: int
    number: int
    """Events that have come so far, this one included."""
    connection: Connection
    accepted: list[int]

    async def accept(self, *parts: bytes | float) -> None:
        """Take the event, and send the parts; a number is a pause in seconds."""
        self.accepted.append(self.row)
        await self.say(*parts)

    async def say(self, *parts: bytes | float) -> None:
        for part in parts:
            if isinstance(part, bytes):
                await self.connection.send(part)
            else:
                await asyncio.sleep(part)

    async def end(self) -> None:
        self.connection.writer.close()
        raise ConnectionError


Behaviour = Callable[[Call], Awaitable[None]]


def always(*parts: bytes | float, accepted: bool = True, closes: bool = False) -> Behaviour:
    async def behave(call: Call) -> None:
        await (call.accept if accepted else call.say)(*parts)
        if closes:
            await call.end()

    return behave


def first(count: int, then: Behaviour) -> Behaviour:
    """Misbehave for so many events, and be right afterwards."""

    async def behave(call: Call) -> None:
        await (then(call) if call.number <= count else call.accept(answer()))

    return behave


def only(row: int, then: Behaviour) -> Behaviour:
    async def behave(call: Call) -> None:
        await (then(call) if call.row == row else call.accept(answer()))

    return behave


def every(number: int, then: Behaviour) -> Behaviour:
    async def behave(call: Call) -> None:
        await (then(call) if call.number % number == 0 else call.accept(answer()))

    return behave


async def reset(call: Call) -> None:
    call.accepted.append(call.row)
    call.connection.reset()
    raise ConnectionError


async def late_copy(call: Call) -> None:
    """The answer again while the next event is under way, which takes longer."""
    await call.accept(answer())
    await call.connection.request()
    await call.say(0.02, answer(), 0.05, REFUSED)


LIMITS = ("X-RateLimit-Limit: {}", "X-RateLimit-Remaining: {}", "X-RateLimit-Reset: {}")


def limits(*values: str) -> bytes:
    return answer("200 OK", ACCEPTED, *(line.format(value) for line, value in zip(LIMITS, values, strict=True)))


STALLED_401 = always(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 50\r\n\r\n{", 3600.0, accepted=False)
BEHAVIOURS: dict[str, Behaviour] = {
    "stalls every body of a 401": STALLED_401,
    "stalls the body of one row's 403": only(
        4, always(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n", 3600.0, accepted=False)
    ),
    "stalls the body of a 429": first(
        2, always(b"HTTP/1.1 429 Slow\r\nContent-Length: 9\r\n\r\n", 3600.0, accepted=False)
    ),
    "turns one row away for ever": only(4, always(answer("429 Too Many", b"{}", "Retry-After: 1"), accepted=False)),
    "asks to wait for three years": first(
        1, always(answer("503 Busy", b"{}", "Retry-After: 99999999"), accepted=False)
    ),
    "asks to wait for no time at all": first(3, always(answer("429 Too", b"{}", "Retry-After: 0"), accepted=False)),
    "asks for a negative wait": first(3, always(answer("429 Too", b"{}", "Retry-After: -7"), accepted=False)),
    "turns the first ones away with 425": first(3, always(answer("425 Too Early", b"{}"), accepted=False)),
    "counts nonsense": always(limits("-1", "NaN", "yesterday")),
    "has nothing left, and always had": always(limits("60", "0", "2001-01-01T00:00:00Z")),
    "allows a thousand million": always(limits("1000000000", "999999999", "60")),
    "allows one, and resets in a week": first(2, always(limits("1", "0", "604800"))),
    "says more remains than its limit": always(limits("5", "500", "60")),
    "goes on after an unasked 100": always(b"HTTP/1.1 100 Continue\r\n\r\n" * 3, answer()),
    "floods with early hints": always(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 500, answer()),
    "switches protocols": every(3, always(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", closes=True)),
    "speaks HTTP/1.0": always(b"HTTP/1.0 200 OK\r\n\r\n" + ACCEPTED, closes=True),
    "speaks no HTTP": every(3, always(ACCEPTED, closes=True)),
    "sends headers without end": every(
        4, always(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", closes=True)
    ),
    "counts its bytes twice, differently": every(
        4, always(answer("200 OK", ACCEPTED, "Content-Length: 3"), closes=True)
    ),
    "promises more than comes": every(3, always(answer(length=500), closes=True)),
    "promises less than comes": every(3, always(answer(length=20))),
    "sends a chunk that is none": every(
        3, always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + ACCEPTED, closes=True)
    ),
    "never ends its chunks": every(
        4, always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 3600.0)
    ),
    "packs what should not be packed": every(
        3, always(answer("200 OK", gzip.compress(ACCEPTED), "Content-Encoding: gzip"))
    ),
    "packs what is not packed": every(3, always(answer("200 OK", ACCEPTED, "Content-Encoding: gzip"))),
    "drips": every(4, always(*(part for byte in answer() for part in (bytes([byte]), 0.2)))),
    "drips for longer than anyone waits": every(
        6, always(*(part for byte in answer() for part in (bytes([byte]), 3.0)))
    ),
    "resets what it has accepted": every(4, reset),
    "answers twice at once": every(4, always(answer() + REFUSED)),
    "answers twice, half a second apart": every(4, always(answer(), 0.5, REFUSED)),
    "answers again while the next event is under way": first(1, late_copy),
    "closes without a word": always(answer(), closes=True),
    "says good-bye when it is idle": every(3, always(answer(), 0.2, answer("408 Request Timeout", b""), closes=True)),
    "redirects to itself": every(3, always(answer("307 Elsewhere", b"", "Location: /v2/events"))),
    "says yes in words": every(3, always(answer("200 OK", b'{"success": "true"}'))),
    "says yes and no": every(3, always(answer("200 OK", b'{"success": true, "success": false}'))),
    "says yes in UTF-16": every(3, always(answer("200 OK", ACCEPTED.decode().encode("utf-16")))),
    "says yes in a list": every(3, always(answer("200 OK", b"[" + ACCEPTED + b"]"))),
    "says yes a hundred thousand levels deep": every(3, always(answer("200 OK", b'{"a":' * 100_000))),
    "says nothing": every(3, always(answer("204 No Content", b""))),
    "refuses and says yes": every(3, always(answer("400 Bad Request", ACCEPTED), accepted=False)),
    "refuses at length": every(3, always(answer("422 No", b'{"message": "' + b"x" * 300_000), accepted=False)),
    "invents a status": every(4, always(answer("799 Surprise", b"{}"))),
    "sets cookies": always(answer("200 OK", ACCEPTED, "Set-Cookie: a=b", "Set-Cookie: a=" + "c" * 2000)),
}


@dataclass
class Seen:
    """What came of a delivery."""

    states: Counter[State] = field(default_factory=Counter)
    accepted: Counter[int] = field(default_factory=Counter)
    by_row: list[str] = field(default_factory=list)
    seconds: float = 0.0


async def deliver(home: Path, behaviour: Behaviour) -> Seen:
    accepted: list[int] = []
    numbers = iter(range(1, 10_000))

    async def script(connection: Connection, server: RawServer) -> None:
        while True:
            request = await connection.request()
            if request.startswith(b"GET"):
                stalls = behaviour is STALLED_401
                await connection.send(answer("401 No", b"", length=9) if stalls else answer("200 OK", b'{"data": []}'))
                continue
            row = int(request.rpartition(b"\r\n\r\n")[2])
            await behaviour(Call(row, next(numbers), connection, accepted))

    with open_ledger(home) as ledger:
        run = planned(ledger, chunk([f"s{number % 5}@example.org" for number in range(ROWS)]))
        clock = VirtualClock()
        async with (
            raw_server(script) as server,
            Client(Endpoint.parse(server.url), Token("t0k3n"), clock=clock) as client,
        ):
            breaker = CircuitBreaker(outage_limit=3600.0, jitter=lambda: 0.5)
            session = ApiSession(client, RateLimiter(jitter=lambda: 0.5), breaker, clock)
            await Delivery(ledger, run, session, DeliveryOptions(), pending=ROWS).run()
        states = [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]
        return Seen(Counter(map(State, states)), Counter(accepted), states, clock.monotonic())


@pytest.mark.parametrize("name", BEHAVIOURS)
@virtual_time
async def test_whatever_a_server_does_each_row_is_accounted_for_and_none_arrives_twice(
    tmp_path: Path, name: str
) -> None:
    seen = await deliver(tmp_path, BEHAVIOURS[name])
    assert seen.states.total() == ROWS
    assert max(seen.accepted.values(), default=0) <= 1
    for row, state in enumerate(seen.by_row, 1):
        assert state in {"sent", "refused", "in_doubt", "pending"}
        assert seen.accepted[row] == 1 if state == "sent" else True, (row, state)
        assert seen.accepted[row] == 0 if state in {"refused", "pending"} else True, (row, state)
    assert seen.seconds < 3 * 3600
    if "one row" in name:
        assert seen.states[State.SENT] >= ROWS - 2, "one row stops its subscriber's next one at the most"
