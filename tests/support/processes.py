"""Importers in processes of their own that start quickly, forked from a process that has imported everything.

They are real processes with a memory, signals and an exit code of their own; only the second that Python takes to
import pandas and pyarrow is spared. How the installed command starts is tested in ``tests/unit/cli``.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["pandas", "pyarrow.parquet", "adbc_driver_sqlite.dbapi", "aiohttp.web", "uvloop"]
    + [f"importer.cli.{command}" for command in ("run", "check", "resume", "retry", "resolve", "report")]
    + ["importer.pipeline.program", "importer.pipeline.send", "importer.report", "importer.deliver.delivery"]
    + ["importer.sandbox.server", "tests.support.templates"]
)


class Process(Protocol):
    """What a test needs of a process; `subprocess.Popen` has it, too."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...
    def send_signal(self, sig: int) -> None: ...


class Forked:
    """A process that runs a function of this module."""

    def __init__(self, function: Callable[..., None], *arguments: object) -> None:
        self._process = _CONTEXT.Process(target=function, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("importer", timeout or 0.0)
        return self._process.exitcode

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


class Sandbox(Forked):
    """`importer.child.start`, for the sandbox: the same module in a process of its own, with pipes to this one."""

    def __init__(self, module: str, **popen: object) -> None:
        assert module == "importer.sandbox.server"
        assert set(popen) == {"stdin", "stdout"}
        theirs, ours = _CONTEXT.Pipe(duplex=False)
        said, says = _CONTEXT.Pipe(duplex=False)
        super().__init__(_sandbox, theirs, says)
        theirs.close()
        says.close()
        self.stdin, self.stdout = os.fdopen(os.dup(ours.fileno()), "wb"), os.fdopen(os.dup(said.fileno()), "rb")
        ours.close()
        said.close()


def start_importer(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *, stdout: Path, stderr: Path
) -> Process:
    """Run ``importer ARGUMENTS`` in ``folder`` with this environment alone; nobody answers its questions."""
    return Forked(_importer, list(arguments), dict(environment), folder, stdout, stderr)


def _importer(arguments: list[str], environment: dict[str, str], folder: Path, stdout: Path, stderr: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    connect(
        os.open(os.devnull, os.O_RDONLY),
        os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    )
    sys.argv = ["importer", *arguments]

    from importer.cli import main

    sys.exit(main())


def _sandbox(stdin: Connection, stdout: Connection) -> None:
    os.setsid()
    connect(os.dup(stdin.fileno()), os.dup(stdout.fileno()))
    stdin.close()
    stdout.close()

    from importer.sandbox.server import serve_parent

    serve_parent()


def connect(*files: int) -> None:
    """Make these the standard streams of a process of our own, and close them otherwise."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115  # the process's own
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
