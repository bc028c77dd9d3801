"""A sandbox in a process of its own, so that it takes no time of the importer's event loop.

It ends when its context is left, and also when its parent dies, however that happens, because its standard input ends
then. Ctrl-C in the terminal does not reach it, so a run that is being stopped still gets its answers.
"""

from __future__ import annotations

import secrets
import selectors
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import msgspec

from importer.child import start as start_child
from importer.errors import UsageError
from importer.sandbox.options import SandboxOptions

_READY_WITHIN = 30.0
"""Seconds."""
_GONE_WITHIN = 5.0
"""Seconds."""


class Running(msgspec.Struct, frozen=True):
    """Where to find a sandbox that runs in another process, which writes this as its first line."""

    url: str = ""
    """The API's base; events go to ``url + "events"``."""
    token: str = ""
    port: int = 0
    page: str = ""
    """The address, with its secret, where a browser on this machine shows what arrived."""
    pid: int = 0
    error: str = ""
    """Why it does not run; empty: it does."""
    hint: str | None = None


def made_up_token() -> str:
    """A token for `SandboxOptions.tokens`."""
    return secrets.token_urlsafe(24)


@contextmanager
def start(options: SandboxOptions | None = None) -> Iterator[Running]:
    """Run a sandbox in a process of its own, for as long as the context lasts.

    Raises:
        UsageError: it could not start; the message is the sandbox's own.
    """
    child = start_child("importer.sandbox.server", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(msgspec.json.encode(options or SandboxOptions()) + b"\n")
        child.stdin.flush()
        yield _receive(child.stdout)
    finally:
        _end(child)


def _receive(stdout: IO[bytes]) -> Running:
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        line = stdout.readline() if selector.select(_READY_WITHIN) else b""
    if not line:
        raise UsageError("the sandbox did not start", hint="`importer sandbox` shows what is wrong on this machine")
    started = msgspec.json.decode(line, type=Running)
    if started.error:
        raise UsageError(started.error, hint=started.hint)
    return started


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
