"""A small Azure Blob Storage server on loopback, as Microsoft documents its REST interface; the client is the real one.

The pages of the "Azure Storage REST API Reference" on Microsoft Learn are named where their rules are followed. An
account with a hierarchical namespace also answers as Data Lake Storage Gen2. A listing is always one page.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from threading import Thread
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from aiohttp import web

ACCOUNT = "tests"
KEY = base64.b64encode(b"the account's key").decode()
SAS = "sv=2026-02-06&sp=rwdl&sig=the-signature"
_STAMP = {"ETag": '"0x0"', "Last-Modified": formatdate(0, usegmt=True)}
_NO_LEASE = {"x-ms-lease-state": "available", "x-ms-lease-status": "unlocked"}
_VERSIONS = itertools.count(1)
_SIGNED = (
    "Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date",
    "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
)  # fmt: skip


@dataclass
class Blob:
    """Its content, its metadata as headers, and its version."""

    data: bytes
    metadata: dict[str, str]
    etag: str = field(default_factory=lambda: f'"0x{next(_VERSIONS):X}"')
    changed: str = field(default_factory=lambda: formatdate(usegmt=True))

    @property
    def headers(self) -> dict[str, str]:
        """Of "Get Blob Properties"."""
        return {
            "ETag": self.etag, "Last-Modified": self.changed, "x-ms-creation-time": self.changed,
            "x-ms-blob-type": "BlockBlob", "x-ms-server-encrypted": "true", "x-ms-resource-type": "file",
            **_NO_LEASE, **self.metadata,
        }  # fmt: skip


@dataclass
class BlobServer:
    """Containers by name."""

    containers: dict[str, dict[str, Blob]]
    is_hierarchical: bool = False
    requests: list[str] = field(default_factory=list)
    """Method, path and range of each request."""
    port: int = 0
    _blocks: dict[tuple[str, str, str], bytes] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """With the account in the path, as the emulators have it."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @contextmanager
    def running(self) -> Iterator[BlobServer]:
        """Listens on a free port of loopback, from a thread of its own."""
        loop, app = asyncio.new_event_loop(), web.Application(client_max_size=1 << 30)
        for path in ("/{account}/{container}", "/{account}/{container}/{blob:.*}"):
            app.router.add_route("*", path, self._answer, expect_handler=_continue)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        thread = Thread(target=loop.run_forever)
        thread.start()

        async def listen() -> int:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return int(runner.addresses[0][1])

        try:
            self.port = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _answer(self, request: web.Request) -> web.Response:
        response = await self._answer_to(request)
        if request.method == "HEAD" and response.status >= 400:  # the code is in the headers alone
            headers = {"x-ms-error-code": response.headers["x-ms-error-code"]}
            return web.Response(status=response.status, reason=response.reason, headers=headers)
        return response

    async def _answer_to(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path} {request.headers.get('x-ms-range', '')}".strip())
        if not _is_authorized(request):
            return _error(403, "AuthenticationFailed", "Server failed to authenticate the request.")
        container, name = request.match_info["container"], request.match_info.get("blob", "")
        if container not in self.containers:
            return _error(404, "ContainerNotFound", "The specified container does not exist.")
        if not name:
            return self._about_container(self.containers[container], request.query)
        if request.method == "PUT" and request.query.get("comp") != "lease":
            return self._put(request, container, name, await request.read())
        return self._about_blob(self.containers[container], name, request)

    def _about_container(self, blobs: dict[str, Blob], query: Mapping[str, str]) -> web.Response:
        if query.get("action") == "getAccessControl" and self.is_hierarchical:  # "Path - Get Properties"
            return web.Response(headers={"x-ms-acl": "user::rwx", "x-ms-owner": "$superuser", **_STAMP})
        if query.get("action") == "getAccessControl":
            words = "This operation is only supported on a hierarchical namespace account."
            return _error(400, "HierarchicalNamespaceNotEnabled", words)
        if query.get("resource") == "filesystem":
            return _paths(blobs, query)
        if query.get("comp") == "list":
            return _listing(blobs, query)
        facts = {"x-ms-has-immutability-policy": "false", "x-ms-has-legal-hold": "false"}
        return web.Response(headers={**facts, **_NO_LEASE, **_STAMP})  # "Get Container Properties"

    def _about_blob(self, blobs: dict[str, Blob], name: str, request: web.Request) -> web.Response:
        if name not in blobs and self.is_hierarchical and any(key.startswith(f"{name}/") for key in blobs):
            return web.Response(headers={"x-ms-resource-type": "directory", "x-ms-meta-hdi_isfolder": "true", **_STAMP})
        if name not in blobs:
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        if request.query.get("comp") == "lease":  # "Lease Blob"
            headers = {"x-ms-lease-id": request.headers.get("x-ms-proposed-lease-id", ""), **_STAMP}
            status = 201 if request.headers["x-ms-lease-action"] == "acquire" else 200
            return web.Response(status=status, headers=headers)
        if request.method == "DELETE":  # "Delete Blob"
            del blobs[name]
            return web.Response(status=202)
        return _content(blobs[name], request)

    def _put(self, request: web.Request, container: str, name: str, body: bytes) -> web.Response:
        blobs, query = self.containers[container], request.query
        metadata = {key: value for key, value in request.headers.items() if key.lower().startswith("x-ms-meta-")}
        if query.get("comp") == "block":  # "Put Block": kept until "Put Block List" names it
            self._blocks[container, name, query["blockid"]] = body
            return web.Response(status=201, headers={"x-ms-request-server-encrypted": "true"})
        headers, origin = {"x-ms-request-server-encrypted": "true"}, request.headers.get("x-ms-copy-source", "")
        if query.get("comp") == "blocklist":
            listed = ET.fromstring(body)  # noqa: S314 - from our own client
            body = b"".join(self._blocks.pop((container, name, each.text or "")) for each in listed)
        elif origin:  # "Copy Blob"
            source = unquote(origin.removeprefix(self.endpoint)).partition("?")[0].lstrip("/").partition("/")
            body = self.containers[source[0]][source[2]].data
            metadata |= {"x-ms-copy-id": "1", "x-ms-copy-status": "success"}
        blobs[name] = Blob(body, metadata)
        return web.Response(status=202 if origin else 201, headers={**headers, **blobs[name].headers})


async def _continue(request: web.Request) -> None:
    """Ask for a body only where there is one: the client takes the end of an answer for its beginning otherwise."""
    if request.content_length:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def _is_authorized(request: web.Request) -> bool:
    """By "Authorize with Shared Key", or the signature of "Create an account SAS"."""
    if request.query.get("sig"):
        return request.query["sig"] == SAS.rpartition("sig=")[2]
    given = request.headers
    values = [given.get(name, "") for name in _SIGNED]
    values[2] = "" if values[2] == "0" else values[2]
    ours = sorted((key.lower(), value) for key, value in given.items() if key.lower().startswith("x-ms-"))
    lines = [request.method, *values, *(f"{key}:{value}" for key, value in ours)]
    lines.append(f"/{ACCOUNT}{request.rel_url.raw_path}")
    lines += [f"{key.lower()}:{value}" for key, value in sorted(request.query.items())]
    signature = hmac.digest(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256)
    return given.get("Authorization") == f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"


def _error(status: int, code: str, words: str) -> web.Response:
    """As "Status and error codes" has it."""
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{words}</Message></Error>'
    headers = {"x-ms-error-code": code, "x-ms-request-id": "1"}
    return web.Response(status=status, reason=words, text=text, content_type="application/xml", headers=headers)


def _content(blob: Blob, request: web.Request) -> web.Response:
    """See "Get Blob" and "Get Blob Properties"."""
    if request.headers.get("If-Match", blob.etag) != blob.etag:
        return _error(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
    status, part, headers = 200, blob.data, blob.headers
    if asked := request.headers.get("x-ms-range"):
        first, last = asked.removeprefix("bytes=").split("-")
        if int(first) >= len(blob.data):
            return _error(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
        status, part = 206, blob.data[int(first) : int(last or len(blob.data)) + 1]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(blob.data)}"
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(part))
        return web.Response(headers=headers)
    return web.Response(status=status, body=part, headers=headers)


def _listing(blobs: dict[str, Blob], query: Mapping[str, str]) -> web.Response:
    """See "List Blobs": in order of name; with a delimiter what is deeper is one prefix."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    found: dict[str, str] = {}
    for name, blob in sorted(blobs.items()):
        deeper = name.removeprefix(prefix).partition(delimiter)[1] if delimiter else ""
        if not name.startswith(prefix):
            continue
        if deeper:
            place = prefix + name.removeprefix(prefix).partition(delimiter)[0] + delimiter
            found[place] = f"<BlobPrefix><Name>{escape(place)}</Name></BlobPrefix>"
            continue
        pairs = {"Last-Modified": blob.changed, "Creation-Time": blob.changed, "Etag": blob.etag.strip('"'),
                 "Content-Length": len(blob.data), "BlobType": "BlockBlob", "ServerEncrypted": "true"}  # fmt: skip
        facts = "".join(f"<{key}>{value}</{key}>" for key, value in pairs.items())
        words = "".join(f"<{key[10:]}>{value}</{key[10:]}>" for key, value in blob.metadata.items())
        found[name] = (
            f"<Blob><Name>{escape(name)}</Name><Properties>{facts}</Properties><Metadata>{words}</Metadata></Blob>"
        )
    inner = "".join(found.values())
    head = f"<EnumerationResults><Prefix>{escape(prefix)}</Prefix><Delimiter>{delimiter}</Delimiter>"
    text = f'<?xml version="1.0" encoding="utf-8"?>{head}<Blobs>{inner}</Blobs><NextMarker /></EnumerationResults>'
    return web.Response(text=text, content_type="application/xml")


def _paths(blobs: dict[str, Blob], query: Mapping[str, str]) -> web.Response:
    """See "Path - List" of Data Lake Storage Gen2: files and directories below a directory, which must be there."""
    below = f"{query['directory'].rstrip('/')}/" if query.get("directory") else ""
    found: dict[str, dict[str, str]] = {}
    for name, blob in blobs.items():
        if name.startswith(below):
            parts = name.removeprefix(below).split("/")
            for end in range(1, len(parts) if query["recursive"] == "true" else min(2, len(parts))):
                found[below + "/".join(parts[:end])] = {"isDirectory": "true", "contentLength": "0"}
            if len(parts) == 1 or query["recursive"] == "true":
                found[name] = {"contentLength": str(len(blob.data)), "lastModified": blob.changed}
    if below and not found:
        return _error(404, "PathNotFound", "The specified path does not exist.")
    usual = {"lastModified": formatdate(0, usegmt=True), "etag": "0x0", "owner": "$superuser", "group": "$superuser",
             "permissions": "rw-r-----", "creationTime": "133000000000000000"}  # fmt: skip
    return web.json_response({"paths": [{"name": name, **usual, **facts} for name, facts in sorted(found.items())]})
