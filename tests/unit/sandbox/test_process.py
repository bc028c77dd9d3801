"""A sandbox in a process of its own: how it starts, what it says, and how it ends."""

import json
import os
import select
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from importer.child import start as start_child
from importer.errors import UsageError
from importer.sandbox import Running, SandboxOptions, parse_faults, start
from importer.sandbox.server import Sandbox

from .conftest import EVENT, TOKEN

Recorded = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def started_as_users_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importer.sandbox.process.start_child", start_child)


def post(sandbox: Running, token: str | None = None) -> int:
    request = urllib.request.Request(  # noqa: S310 - loopback
        sandbox.url + "events",
        json.dumps(EVENT).encode(),
        {"Authorization": f"Bearer {token or sandbox.token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            status: int = answer.status
            return status
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def ended(pidfd: int, within: float = 10.0) -> bool:
    """Whether the process ends in time; a pidfd becomes readable then."""
    return bool(select.select([pidfd], [], [], within)[0])


def test_it_runs_elsewhere_and_ends_with_its_context(tmp_path: Path, recorded: Recorded) -> None:
    options = SandboxOptions(
        events=str(tmp_path / "events.jsonl"), tokens=(TOKEN, "other"), limit=5, faults=parse_faults("token-after=2")
    )
    with start(options) as sandbox:
        pidfd = os.pidfd_open(sandbox.pid)
        assert sandbox.pid != os.getpid()
        assert sandbox.url == f"http://127.0.0.1:{sandbox.port}/v2/"
        assert [post(sandbox) for _ in range(3)] == [200, 200, 401]
        assert [post(sandbox, "other") for _ in range(3)] == [200, 200, 429]
    assert ended(pidfd)
    os.close(pidfd)
    assert [line["event"] for line in recorded()] == [EVENT] * 4


async def test_what_keeps_it_from_starting_is_said() -> None:
    async with Sandbox() as other:
        with pytest.raises(UsageError) as caught, start(SandboxOptions(port=other.port)):
            pass
    assert caught.value.message == f"--port: cannot listen on 127.0.0.1:{other.port}: Address already in use"


def test_it_does_not_outlive_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import importer.sandbox as s, time\nwith s.start() as r:\n print(r.pid, flush=1)\n time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pidfd = os.pidfd_open(int(parent.stdout.readline()))
    assert not ended(pidfd, within=0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ended(pidfd)
    os.close(pidfd)


def test_ctrl_c_in_the_terminal_does_not_reach_it() -> None:
    """It has a session of its own, so a run that is being stopped still gets its answers."""
    with start() as sandbox:
        assert os.getsid(sandbox.pid) == sandbox.pid != os.getsid(0)


def module(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "importer", "sandbox", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_the_command_line_it_says_where_it_is_and_what_came(tmp_path: Path, number: signal.Signals) -> None:
    events = tmp_path / "events.jsonl"
    arguments = [
        "--port",
        "0",
        "--token",
        TOKEN,
        "--events",
        str(events),
        "--limit",
        "60",
        "--latency",
        "1ms",
        "--seed",
        "1",
    ]
    with module(*arguments, "--fault", "error=1", "--seed", "1", "--refuse-retired", "--token", "other") as sandbox:
        assert sandbox.stderr is not None
        assert sandbox.stdout is not None
        said = [sandbox.stderr.readline().rstrip() for _ in range(5)]
        url = said[0].removeprefix("sandbox   ")
        page = said[3].removeprefix("watch     ").removesuffix(" in a browser on this machine")
        assert page.startswith(url.removesuffix("v2/") + "?secret=")
        assert said == [
            f"sandbox   {url}",
            f"token     {TOKEN}",
            f"events    appended to {events}",
            f"watch     {page} in a browser on this machine",
            "Ctrl-C ends it",
        ]
        assert post(Running(url=url, token=TOKEN, port=0, pid=0, page="")) == 500
        sandbox.send_signal(number)
        assert sandbox.stderr.read() == "1 requests, 0 events accepted\n"
        assert sandbox.stdout.read() == ""
    assert sandbox.returncode == 0


def test_a_mistake_on_the_command_line_is_said_without_a_traceback() -> None:
    with module("--fault", "eror=1") as sandbox:
        _, said = sandbox.communicate()
    assert sandbox.returncode == 2
    assert said.startswith('error: --fault: "eror" is not a fault\n\nhint: did you mean error=CHANCE? ')
