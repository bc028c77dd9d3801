"""Failures on the way to the server: no request left, so the row is surely not accepted."""

import asyncio
import contextlib
import errno
import re
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohappyeyeballs
import aiohttp
import pytest

from importer.deliver.client import Client, ClientOptions, explain, trust
from importer.deliver.endpoint import Endpoint
from importer.deliver.token import Token
from importer.errors import UsageError
from importer.model import ResponseKind
from tests.support.raw_server import Connection, RawServer, answer, answering, raw_server
from tests.support.virtual_time import VirtualClock, virtual_time

SECRET = "s3cr3t-t0k3n"
BODY = b'{"subscriber":{"email":"someone@example.com"},"type":"purchase"}'


def client(server: RawServer) -> Client:
    return Client(Endpoint.parse(server.url), Token(SECRET), clock=VirtualClock())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for localhost, with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes its certificate with openssl, which is not installed here")
    key, path = tmp_path / "key.pem", tmp_path / "localhost.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [openssl, "req", "-x509", *kind, *names, "-keyout", key, "-out", path], check=True, capture_output=True
    )
    path.write_text(key.read_text() + path.read_text())
    return path


@virtual_time
async def test_a_refused_connection_is_not_accepted() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with client(RawServer(port)) as api:
            refused = await api.post(BODY)
    assert (refused.kind, refused.status) == (ResponseKind.NOT_ACCEPTED, None)
    assert refused.message == "no connection to 127.0.0.1: Connection refused"


async def test_a_name_that_does_not_resolve_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    async with Client(Endpoint.parse("https://api.example.com/v2"), Token(SECRET)) as api:
        unresolved = await api.post(BODY)
    assert unresolved.kind is ResponseKind.NOT_ACCEPTED
    assert unresolved.message == "the name api.example.com cannot be resolved: Name or service not known"


@virtual_time
async def test_a_server_without_tls_is_not_accepted() -> None:
    """What speaks no TLS never gets to see the token."""
    seen: list[bytes] = []

    async def script(connection: Connection, server: RawServer) -> None:
        seen.append(await connection.reader.read(4096))
        await connection.send(answer("400 Bad Request"))

    async with raw_server(script) as server:
        endpoint = Endpoint.parse(f"https://127.0.0.1:{server.port}/v2")
        async with Client(endpoint, Token(SECRET), clock=VirtualClock()) as api:
            refused = await api.post(BODY)
    assert refused.kind is ResponseKind.NOT_ACCEPTED
    assert refused.message == "no TLS connection to 127.0.0.1: it does not speak TLS on this port"
    assert SECRET.encode() not in seen[0]


@virtual_time
async def test_an_untrusted_certificate_is_not_accepted(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with raw_server(answering(answer()), context) as server:
        endpoint = Endpoint.parse(f"https://localhost:{server.port}/v2")
        async with Client(endpoint, Token(SECRET), clock=VirtualClock()) as api:
            refused = await api.post(BODY)
        trusted = ClientOptions(tls=ssl.create_default_context(cafile=str(certificate)))
        async with Client(endpoint, Token(SECRET), trusted, clock=VirtualClock()) as api:
            accepted = await api.post(BODY)
    assert (refused.kind, refused.message) == (
        ResponseKind.NOT_ACCEPTED,
        "the certificate of localhost is self-signed; if it is yours, name it with --ca-file",
    )
    assert accepted.kind is ResponseKind.SENT
    assert len(server.requests) == 1


@pytest.mark.parametrize("greeting", [b"", answer(), b"HTTP/1.1 "], ids=["nothing", "an answer", "a piece of one"])
async def test_a_tls_server_may_greet_with_tickets_alone(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, greeting: bytes
) -> None:
    """They come by TLS 1.3 as soon as a connection stands, and say nothing; what else comes spoils the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    spoken, requests = threading.Event(), list[bytes]()
    original = aiohttp.TCPConnector._create_connection

    async def create(*args: Any) -> Any:
        spoken.clear()
        protocol = await original(*args)
        assert spoken.wait(30)  # the loop stands still meanwhile: what has come is not yet read
        return protocol

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener is closed, the test over
            while True:
                with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.sendall(greeting)
                    spoken.set()
                    if request := connection.recv(65536):
                        requests.append(request)
                        connection.sendall(answer())

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", create)
    trusted = ClientOptions(tls=ssl.create_default_context(cafile=str(certificate)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        endpoint = Endpoint.parse(f"https://localhost:{listener.getsockname()[1]}/v2")
        async with Client(endpoint, Token(SECRET), trusted) as api:
            first = await api.post(BODY)
    assert (first.kind, len(requests)) == ((ResponseKind.NOT_ACCEPTED, 0) if greeting else (ResponseKind.SENT, 1))


@virtual_time
async def test_a_connection_that_does_not_come_about_in_time_is_not_accepted() -> None:
    """A TLS handshake that never ends."""

    async def script(connection: Connection, server: RawServer) -> None:
        await asyncio.sleep(3600)

    async with raw_server(script) as server:
        endpoint = Endpoint.parse(f"https://127.0.0.1:{server.port}/v2")
        async with Client(endpoint, Token(SECRET), clock=VirtualClock()) as api:
            timed_out = await api.post(BODY)
    assert (timed_out.kind, timed_out.message) == (ResponseKind.NOT_ACCEPTED, "no connection to 127.0.0.1 within 15 s")
    assert timed_out.latency == pytest.approx(15, abs=1.1)


@virtual_time
async def test_a_pooled_connection_that_the_server_closed_is_not_used() -> None:
    """The next event goes over a new connection, and is nobody's doubt."""
    async with raw_server(answering(answer(), close=True)) as server, client(server) as api:
        first = await api.post(BODY)
        await asyncio.sleep(1)
        second = await api.post(BODY)
    assert first.kind is second.kind is ResponseKind.SENT
    assert server.connections == 2


@virtual_time
async def test_a_reply_to_nothing_is_not_taken_for_the_next_events_answer() -> None:
    """The second of two answers to one request must not count for the next event."""
    double = answer() + answer()
    late = answer("422 Unprocessable", b'{"message": "refused"}')

    async def script(connection: Connection, server: RawServer) -> None:
        server.requests.append(await connection.request())
        await connection.send(double if server.connections == 1 else late)
        server.requests.append(await connection.request())
        await connection.send(late)

    async with raw_server(script) as server, client(server) as api:
        first = await api.post(BODY)
        await asyncio.sleep(1)
        second = await api.post(BODY)
    assert first.kind is ResponseKind.IN_DOUBT
    assert second.kind is ResponseKind.REFUSED
    assert server.connections == 2


@virtual_time
async def test_an_answer_out_of_the_blue_spoils_the_idle_connection() -> None:
    """Some servers part with a 408 on a connection that has been idle; that says nothing of the next event."""

    async def script(connection: Connection, server: RawServer) -> None:
        server.requests.append(await connection.request())
        await connection.send(answer())
        if server.connections == 1:
            await asyncio.sleep(0.5)
            await connection.send(answer("408 Request Timeout", b""))
        server.requests.append(await connection.request())
        await connection.send(answer())

    async with raw_server(script) as server, client(server) as api:
        first = await api.post(BODY)
        await asyncio.sleep(1)
        second = await api.post(BODY)
    assert first.kind is second.kind is ResponseKind.SENT
    assert server.connections == 2


async def test_a_server_that_greets_everywhere_gets_no_event() -> None:
    """Only so many connections are tried: the row waits, surely not accepted."""

    async def script(connection: Connection, server: RawServer) -> None:
        await connection.send(b"220 mail.example.com ready\r\n")
        server.requests.append(await connection.request())

    async with raw_server(script) as server, client(server) as api:
        put_off = await api.post(BODY)
    assert (put_off.kind, server.requests) == (ResponseKind.NOT_ACCEPTED, [])
    assert put_off.message == "127.0.0.1 keeps sending data before any request"


@virtual_time
async def test_a_certificate_for_another_host_is_named_so(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with raw_server(answering(answer()), context) as server:
        endpoint = Endpoint.parse(f"https://127.0.0.1:{server.port}/v2")
        async with Client(endpoint, Token(SECRET), ClientOptions(tls=trust(certificate)), clock=VirtualClock()) as api:
            refused = await api.post(BODY)
    assert refused.message == "the certificate of 127.0.0.1 is for another host"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "the certificate of example.com is not valid yet; is this machine's clock right?"),
        (10, "the certificate of example.com has expired"),
        (18, "the certificate of example.com is self-signed; if it is yours, name it with --ca-file"),
        (
            20,
            (
                "the certificate of example.com is signed by an authority that this machine does not know;"
                " --ca-file FILE names another"
            ),
        ),
        (23, "the certificate of example.com is not trusted: certificate revoked"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(code: int, words: str) -> None:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_code, cause.verify_message = code, "certificate revoked"
    error = aiohttp.ClientConnectorCertificateError(Mock(host="example.com", port=443), cause)
    assert explain(error, "example.com", connect_timeout=15, answer_timeout=90) == words


def test_a_file_of_certificates_that_holds_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with pytest.raises(UsageError, match=re.escape(f"--ca-file {path}: No such file or directory")):
        trust(path)
    path.write_text("nothing")
    with pytest.raises(UsageError, match="it holds no certificate in PEM form"):
        trust(path)


@virtual_time
async def test_without_a_file_handle_the_row_waits_and_the_api_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async with raw_server(answering(answer())) as server, client(server) as api:
        monkeypatch.setattr(aiohappyeyeballs, "start_connection", none_left)
        refused = await api.post(BODY)
    assert (refused.kind, refused.status, refused.local) == (ResponseKind.NOT_ACCEPTED, None, True)
    assert refused.message == (
        "this process has no file handle left for another connection; raise the limit (ulimit -n)"
    )


@virtual_time
async def test_a_connection_that_closes_before_the_body_is_handed_over_is_not_accepted() -> None:
    """The transport is closing already when aiohttp wants to write: nothing has left."""
    async with raw_server(answering(answer())) as server, client(server) as api:
        await api.post(BODY)
        assert api._session is not None
        connector = api._session.connector
        assert connector is not None
        original = connector.connect

        async def connect(*args: object) -> object:
            connection = await original(*args)  # type: ignore[arg-type]  # handed through as it came
            assert connection.transport is not None
            connection.transport.close()
            return connection

        connector.connect = connect  # type: ignore[method-assign, assignment]  # the race cannot be had otherwise
        raced = await api.post(BODY)
    assert raced.kind is ResponseKind.NOT_ACCEPTED
    assert len(server.requests) == 1


async def test_what_came_while_the_program_was_busy_is_not_taken_for_an_answer_either() -> None:
    """A second answer that lies in the system, where the event loop has not yet read it."""
    answered, spoken = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        first, _ = listener.accept()
        with first:
            first.recv(65536)
            first.sendall(answer())
            answered.wait(30)
            first.sendall(answer())
            spoken.set()
            second, _ = listener.accept()
            with second:
                second.recv(65536)
                second.sendall(answer("422 Unprocessable", b'{"message": "refused"}'))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        async with Client(Endpoint.parse(f"http://127.0.0.1:{listener.getsockname()[1]}/v2"), Token(SECRET)) as api:
            assert (await api.post(BODY)).kind is ResponseKind.SENT
            answered.set()
            assert spoken.wait(30)
            refused = await api.post(BODY)
        thread.join(30)
    assert refused.kind is ResponseKind.REFUSED
