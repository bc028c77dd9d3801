"""Servers of object stores on loopback, each for its real client, and a web server that may give parts of files.

S3 by moto, Google's by gcp-storage-emulator, Azure by `tests.support.azure_blobs`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pyarrow.fs

from tests.support.azure_blobs import ACCOUNT, KEY, BlobServer
from tests.support.google_storage import google_storage

BUCKET = "exports"


@dataclass(frozen=True)
class ObjectStore:
    """A server's bucket, and the variables by which programs find it."""

    scheme: str
    environment: Mapping[str, str]
    """As for any program of the store's own."""
    files: Any
    """The store by its client, for a test that needs more."""

    def address(self, key: str, bucket: str = BUCKET) -> str:
        """Of an object or a prefix."""
        return f"{self.scheme}://{bucket}/{key}"

    def put(self, key: str, data: bytes) -> str:
        """Store an object; returns its address."""
        with self.files.open_output_stream(f"{BUCKET}/{key}") as stream:
            stream.write(data)
        return self.address(key)

    def get(self, key: str) -> bytes:
        """An object's content."""
        with self.files.open_input_stream(f"{BUCKET}/{key}") as stream:
            return bytes(stream.read())

    def keys(self, prefix: str) -> list[str]:
        """The objects below a prefix."""
        selector = pyarrow.fs.FileSelector(f"{BUCKET}/{prefix}", recursive=True, allow_not_found=True)
        return [info.path.removeprefix(f"{BUCKET}/") for info in self.files.get_file_info(selector) if info.is_file]


@contextmanager
def s3() -> Iterator[ObjectStore]:
    """The server, in this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it reports each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        files = pyarrow.fs.S3FileSystem(
            access_key="tests",
            secret_key="tests",
            endpoint_override=f"{host}:{port}",
            scheme="http",
            allow_bucket_creation=True,
        )
        files.create_dir(BUCKET)
        yield ObjectStore("s3", environment, files)
    finally:
        server.stop()


@contextmanager
def google() -> Iterator[ObjectStore]:
    """The emulator, in a process that ends with this one."""
    with google_storage(BUCKET) as place:
        files = pyarrow.fs.GcsFileSystem(
            anonymous=True, scheme="http", endpoint_override=place, retry_time_limit=timedelta(seconds=5)
        )
        yield ObjectStore("gs", {"STORAGE_EMULATOR_HOST": f"http://{place}"}, files)


@contextmanager
def azure(*, is_hierarchical: bool = False) -> Iterator[ObjectStore]:
    """The server, in a thread of this process; as an emulator it has the account in the path."""
    with BlobServer({BUCKET: {}}, is_hierarchical=is_hierarchical).running() as server:
        words = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={server.endpoint}"
        place = urlsplit(server.endpoint).netloc
        files = pyarrow.fs.AzureFileSystem(
            ACCOUNT,
            account_key=KEY,
            blob_storage_authority=place,
            dfs_storage_authority=place,
            blob_storage_scheme="http",
            dfs_storage_scheme="http",
        )
        yield ObjectStore("abfs", {"AZURE_STORAGE_CONNECTION_STRING": words}, files)


@dataclass
class WebServer:
    """Answers GET and HEAD with ``files``, each path's content."""

    files: dict[str, bytes] = field(default_factory=dict)
    in_ranges: bool = True
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range of each request."""
    credentials: list[str] = field(default_factory=list)
    """What each request brought."""
    refusing: int = 0
    """The status that all are answered with, if any."""
    refused: frozenset[str] = frozenset()
    """Paths that are answered with 403."""
    address: str = ""

    @contextmanager
    def running(self) -> Iterator[WebServer]:
        """Listens on a free port of loopback."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(web: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            web.requests.append((self.command, self.path, asked))
            web.credentials.append(self.headers.get("Authorization", ""))
            path = self.path.partition("?")[0]
            data = web.files.get(path)
            status = web.refusing or (403 if path in web.refused else 404 if data is None else 200)
            data = data if data is not None and status == 200 else b""
            tag = f'"{hash(data):x}"'
            part, first = data, "0"
            if asked and web.in_ranges and status == 200:
                first, last = asked.removeprefix("bytes=").split("-")
                part, status = data[int(first) : int(last or len(data)) + 1], 206
            self.send_response(status)
            if web.in_ranges:
                self.send_header("Accept-Ranges", "bytes")
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(part)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server asks for

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    return Handler
