"""The client against a real server on loopback: what it sends, to whom, and what it keeps to itself."""

import asyncio
import socket

import pytest
from aioresponses import aioresponses

from importer.deliver.client import Client, ClientOptions
from importer.deliver.endpoint import Endpoint
from importer.deliver.token import Token
from importer.model import Response, ResponseKind
from tests.support.mocked_responses import BridgedResponse
from tests.support.raw_server import ACCEPTED, Connection, RawServer, Script, answer, answering, raw_server
from tests.support.virtual_time import VirtualClock, virtual_time

SECRET = "s3cr3t-t0k3n"
BODY = b'{"subscriber":{"email":"someone@example.com"},"type":"purchase"}'


def client(server: RawServer) -> Client:
    return Client(Endpoint.parse(server.url), Token(SECRET), clock=VirtualClock())


async def posted(script: Script) -> Response:
    """What becomes of one event at a server that runs ``script``."""
    async with raw_server(script) as server, client(server) as api:
        return await api.post(BODY)


@virtual_time
async def test_an_event_is_posted_as_the_page_says() -> None:
    """Path, headers and body; nothing is compressed, chunked or remembered."""
    script = answering(answer("200 OK", ACCEPTED, "Set-Cookie: a=b", "X-RateLimit-Limit: 60"))
    async with raw_server(script) as server, client(server) as api:
        first = await api.post(BODY)
        second = await api.post(BODY)
    assert first.kind is second.kind is ResponseKind.SENT
    assert (first.status, first.limit) == (200, 60)
    assert server.connections == 1
    for request in server.requests:
        head, body = request.split(b"\r\n\r\n")
        assert body == BODY
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /v2/events HTTP/1.1"
        headers = [tuple(line.split(": ")) for line in lines[1:] if not line.startswith("User-Agent: importer/")]
        assert sorted(headers) == [
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("Authorization", f"Bearer {SECRET}"),
            ("Content-Length", str(len(BODY))),
            ("Content-Type", "application/json"),
            ("Host", f"127.0.0.1:{server.port}"),
        ]


@virtual_time
async def test_each_event_has_its_own_body_and_answer() -> None:
    """However many go at once over requests that were put together before, and whatever was refused in between."""

    async def script(connection: Connection, server: RawServer) -> None:
        while request := await connection.request():
            body = request.split(b"\r\n\r\n")[1]
            if body.endswith(b"7"):
                await connection.send(answer("422 Unprocessable", b'{"message": "no to ' + body + b'"}'))
            else:
                server.requests.append(body)
                await connection.send(answer())

    bodies = [b"event " + str(number).encode() * (number % 5 + 1) for number in range(100)]
    async with raw_server(script) as server, client(server) as api:
        answers = [
            each for at in range(0, 100, 9) for each in await asyncio.gather(*map(api.post, bodies[at : at + 9]))
        ]
    for body, each in zip(bodies, answers, strict=True):
        assert each.message == (f"no to {body.decode()}" if body.endswith(b"7") else "")
    assert sorted(server.requests) == sorted(body for body in bodies if not body.endswith(b"7"))
    assert server.connections == 9


@virtual_time
async def test_refusals_come_with_the_apis_words() -> None:
    refused = await posted(answering(answer("422 Unprocessable", b'{"message": "no", "errors": {"type": ["odd"]}}')))
    assert (refused.kind, refused.status, refused.message) == (ResponseKind.REFUSED, 422, "no type: odd")


@virtual_time
async def test_an_answer_that_repeats_the_token_is_redacted() -> None:
    refused = await posted(answering(answer("401 No", f'{{"message": "unknown token {SECRET}"}}'.encode())))
    assert (refused.kind, refused.message) == (ResponseKind.UNAUTHORIZED, "unknown token [token]")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@virtual_time
async def test_the_token_follows_no_redirect(status: int) -> None:
    """Neither to another port nor with a probe."""
    async with raw_server(answering(answer())) as thief:
        raw = answer(f"{status} Elsewhere", b"", f"Location: {thief.url}/events")
        async with raw_server(answering(raw)) as server, client(server) as api:
            redirected = await api.post(BODY)
            probed = await api.probe()
    assert (redirected.kind, redirected.status) == (ResponseKind.IN_DOUBT, status)
    assert (probed.kind, probed.status) == (ResponseKind.NOT_ACCEPTED, status)
    assert thief.connections == 0


@pytest.mark.parametrize("length", [10, 40, 300, 2000])
@pytest.mark.parametrize("shape", ["{}", '{{"message": "no: {}"}}', '{{"errors": {{"a": ["{}"]}}}}'])
@virtual_time
async def test_no_part_of_the_token_is_left_where_the_apis_words_are_cut(shape: str, length: int) -> None:
    """Wherever in a message the token begins, and however much of it the API repeats."""
    secret = "t/k" + "".join(chr(97 + number % 26) for number in range(length))
    for repeated in (secret, secret.replace("/", "\\/")):
        for before in (0, 100, 115, 290, 297):
            raw = answer("422 No", shape.format("x" * before + " " + repeated).encode())
            async with (
                raw_server(answering(raw)) as server,
                Client(Endpoint.parse(server.url), Token(secret), clock=VirtualClock()) as api,
            ):
                refused = await api.post(BODY)
            assert "kabc" not in refused.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [("401 No", ResponseKind.UNAUTHORIZED), ("422 No", ResponseKind.REFUSED), ("429 Wait", ResponseKind.NOT_ACCEPTED)],
)
@virtual_time
async def test_a_status_that_settles_the_row_does_not_wait_for_its_body(status: str, kind: ResponseKind) -> None:
    async def script(connection: Connection, server: RawServer) -> None:
        await connection.request()
        await connection.send(answer(status, b'{"mess', length=100))
        await asyncio.sleep(3600)

    settled = await posted(script)
    assert (settled.kind, settled.status) == (kind, int(status[:3]))
    assert settled.latency == pytest.approx(10, abs=1.1)


@virtual_time
async def test_a_proxy_is_used_if_it_is_named_and_the_endpoint_is_elsewhere() -> None:
    """It is asked for a tunnel: it sees neither the token nor the event; the error names it without its password."""
    async with raw_server(answering(answer("407 Proxy Authentication Required"))) as proxy:
        options = ClientOptions(proxy=f"http://user:pass@127.0.0.1:{proxy.port}")
        async with Client(Endpoint.parse("https://api.example.com/v2"), Token(SECRET), options) as api:
            refused = await api.post(BODY)
        assert (refused.kind, refused.status) == (ResponseKind.NOT_ACCEPTED, None)
        assert refused.message == (
            f"the proxy http://127.0.0.1:{proxy.port} answered 407 instead of connecting to api.example.com"
        )
        assert proxy.requests[0].startswith(b"CONNECT api.example.com:443 ")
        assert SECRET.encode() not in b"".join(proxy.requests)
        async with (
            raw_server(answering(answer())) as server,
            Client(Endpoint.parse(server.url), Token(SECRET), options) as api,
        ):
            assert (await api.post(BODY)).kind is ResponseKind.SENT
        assert len(proxy.requests) == 1


@virtual_time
async def test_a_proxy_that_is_not_there_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        options = ClientOptions(proxy=address)
        async with Client(Endpoint.parse("https://api.example.com/v2"), Token(SECRET), options) as api:
            refused = await api.post(BODY)
    assert refused.kind is ResponseKind.NOT_ACCEPTED
    assert refused.message == f"no connection to the proxy {address}: Connection refused"


@virtual_time
async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(answering(answer())) as proxy, raw_server(answering(answer())) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with client(server) as api:
            assert (await api.post(BODY)).kind is ResponseKind.SENT
    assert proxy.connections == 0


@virtual_time
async def test_a_cancelled_post_raises_and_sends_nothing_again() -> None:
    """Whoever cancels must take the row for in doubt: the request has left."""

    async def script(connection: Connection, server: RawServer) -> None:
        server.requests.append(await connection.request())
        await asyncio.sleep(3600)

    async with raw_server(script) as server, client(server) as api:
        task = asyncio.create_task(api.post(BODY))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(server.requests) == 1


@virtual_time
async def test_many_in_flight_share_one_pool_without_a_limit() -> None:
    """As many connections as requests at once, and no more later; asyncio's servers queue 100 that knock at once."""
    async with raw_server(answering(answer())) as server, client(server) as api:
        for _ in range(3):
            answers = await asyncio.gather(*(api.post(BODY) for _ in range(90)))
            assert all(each.kind is ResponseKind.SENT for each in answers)
    assert server.connections == 90


@virtual_time
async def test_the_probe_asks_for_subscribers_and_sends_nothing() -> None:
    script = answering(answer("200 OK", b'{"data": []}', "X-RateLimit-Limit: 60"))
    async with raw_server(script) as server, client(server) as api:
        probed = await api.probe()
    assert (probed.kind, probed.limit) == (ResponseKind.SENT, 60)
    assert server.requests[0].startswith(b"GET /v2/subscribers HTTP/1.1\r\n")
    assert f"Authorization: Bearer {SECRET}".encode() in server.requests[0]


@virtual_time
async def test_no_failure_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """Not in an answer, a log or the client's own words."""
    for raw in (b"garbage\r\n\r\n", b"", answer("500 Oops", SECRET.encode()), answer("400 Bad", SECRET.encode())):
        async with raw_server(answering(raw, close=True)) as server, client(server) as api:
            failed = await api.post(BODY)
            assert SECRET not in f"{failed} {api!r} {api.__dict__}"
    assert SECRET not in caplog.text


async def test_a_closed_client_says_how_to_open_it() -> None:
    api = Client(Endpoint.parse(), Token(SECRET))
    with pytest.raises(RuntimeError, match="async with Client"):
        await api.post(BODY)


async def test_against_a_mock_of_the_real_endpoint() -> None:
    """The very URL of the endpoint's page, without a network."""
    with aioresponses() as mocked:
        mocked.post("https://api.sender.net/v2/events", body=ACCEPTED, response_class=BridgedResponse)
        mocked.post("https://api.sender.net/v2/events", status=429, response_class=BridgedResponse)
        mocked.get("https://api.sender.net/v2/subscribers", status=401, response_class=BridgedResponse)
        async with Client(Endpoint.parse(), Token(SECRET)) as api:
            assert (await api.post(BODY)).kind is ResponseKind.SENT
            assert (await api.post(BODY)).kind is ResponseKind.NOT_ACCEPTED
            assert (await api.probe()).kind is ResponseKind.UNAUTHORIZED
