"""A sandbox in a process of its own, so that it costs the importer neither its event loop nor its core.

Owns starting it, learning its port and token, and its end: it goes when it is left, and when its parent dies, however
that happens, because its standard input ends then. Ctrl-C in the terminal does not reach it, so that a run which is
being stopped still gets its answers.
"""

from __future__ import annotations

import asyncio
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

import msgspec

from importer.child import start as start_child
from importer.errors import UsageError
from importer.sandbox.options import SandboxOptions
from importer.sandbox.server import Sandbox

FROM_STDIN = "--from-stdin"
"""Makes ``python -m importer.sandbox`` read its options from, and live as long as, its standard input."""
_READY_WITHIN = 30.0
"""Seconds."""
_GONE_WITHIN = 5.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where to find a sandbox that runs in another process."""

    url: str
    """As `Sandbox.url`."""
    token: str
    port: int
    pid: int
    page: str
    """As `Sandbox.page`."""


@dataclass(frozen=True, slots=True)
class _Report:
    """The one line that the child says: where it listens, or why it does not."""

    url: str = ""
    token: str = ""
    page: str = ""
    port: int = 0
    error: str = ""
    hint: str | None = None


@contextmanager
def start(options: SandboxOptions | None = None) -> Iterator[Running]:
    """Run a sandbox in a process of its own, for as long as the context lasts.

    Raises:
        UsageError: it could not start; the words are the sandbox's own.

    """
    child = start_child("importer.sandbox", FROM_STDIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(msgspec.json.encode(options or SandboxOptions()) + b"\n")
        child.stdin.flush()
        report = _hear(child.stdout)
        yield Running(url=report.url, token=report.token, port=report.port, pid=child.pid, page=report.page)
    finally:
        _end(child)


def _hear(stdout: IO[bytes]) -> _Report:
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        line = stdout.readline() if selector.select(_READY_WITHIN) else b""
    if not line:
        raise UsageError(
            "the sandbox did not start", hint="`python -m importer.sandbox` shows what is wrong on this machine"
        )
    report = msgspec.json.decode(line, type=_Report)
    if report.error:
        raise UsageError(report.error, hint=report.hint)
    return report


def _end(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError):  # it died before it had read its options
        child.stdin.close()
    try:
        child.wait(_GONE_WITHIN)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()


def run_child() -> None:
    """The child's side of `start`."""
    options = msgspec.json.decode(sys.stdin.buffer.readline(), type=SandboxOptions)
    try:
        asyncio.run(_serve_parent(options))
    except UsageError as problem:
        _tell(_Report(error=problem.message, hint=problem.hint))


async def _serve_parent(options: SandboxOptions) -> None:
    async with Sandbox(options) as sandbox:
        _tell(_Report(url=sandbox.url, token=sandbox.token, page=sandbox.page, port=sandbox.port))
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()


def _tell(report: _Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()
