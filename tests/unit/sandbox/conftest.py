"""What the sandbox's tests share: an event that is right, a real HTTP client, and bare sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from importer.sandbox.server import Sandbox

TOKEN = "rehearsal"
EVENT: dict[str, Any] = {
    "subscriber": {"id": "Qmp2g5", "email": "ada@example.com", "phone": "+12025550123"},
    "type": "product_viewed",
    "value": 6.7,
    "value_currency": "USD",
    "properties": {"string": "wawaweewa", "int": 123, "decimal": 4.5, "bool": False},
}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Caller:
    """An aiohttp client of one sandbox."""

    session: aiohttp.ClientSession
    sandbox: Sandbox

    async def request(self, method: str, path: str, *, token: str | None = "", **more: Any) -> Reply:
        headers = {"Accept": "application/json"} | more.pop("headers", {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.sandbox.token}"
        url = f"http://127.0.0.1:{self.sandbox.port}{path}"
        async with self.session.request(method, url, headers=headers, allow_redirects=False, **more) as response:
            return Reply(response.status, response.headers, await response.read())

    async def post(self, event: Any = EVENT, **more: Any) -> Reply:
        return await self.request("POST", "/v2/events", json=event, **more)

    async def post_bytes(self, body: bytes, content_type: str = "application/json") -> Reply:
        return await self.request("POST", "/v2/events", data=body, headers={"Content-Type": content_type})


Calling = Callable[[Sandbox], AbstractAsyncContextManager[Caller]]


@pytest.fixture
def calling() -> Calling:
    """Opens a client of its own, for `async with`."""

    @asynccontextmanager
    async def call(sandbox: Sandbox) -> AsyncIterator[Caller]:
        async with aiohttp.ClientSession() as session:
            yield Caller(session, sandbox)

    return call


@pytest.fixture
def event() -> dict[str, Any]:
    """An event that is right, to be spoiled at will."""
    copy: dict[str, Any] = json.loads(json.dumps(EVENT))
    return copy


Wire = Callable[..., bytes]


@pytest.fixture
def wire() -> Wire:
    """A whole `POST /v2/events` as bytes."""

    def compose(body: bytes = json.dumps(EVENT).encode(), headers: str = "", token: str = TOKEN) -> bytes:
        return (
            f"POST /v2/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        ).encode() + body

    return compose


Exchange = Callable[[Sandbox, bytes], Any]


@pytest.fixture
def exchange() -> Exchange:
    """Write bytes on a connection of one's own, and read until the sandbox closes it."""

    async def talk(sandbox: Sandbox, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(data)
        try:
            return await reader.read()
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    return talk


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The lines of `events.jsonl` in the test's own directory."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]

    return read
