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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["pandas", "pyarrow.parquet", "adbc_driver_sqlite.dbapi", "aiohttp.web", "uvloop"]
    + [f"importer.cli.{command}" for command in ("run", "check", "resume", "retry", "resolve", "report")]
    + ["importer.pipeline.program", "importer.pipeline.send", "importer.report", "importer.deliver.delivery"]
)


class Process(Protocol):
    """What a test needs of a process; `subprocess.Popen` has it, too."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...
    def send_signal(self, sig: int) -> None: ...


class _Forked:
    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, files: list[str]
    ) -> None:
        self._process = _CONTEXT.Process(target=_importer, args=(list(arguments), dict(environment), folder, files))
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


def start_importer(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *, stdout: Path, stderr: Path
) -> Process:
    """Run ``importer ARGUMENTS`` in ``folder`` with this environment alone; nobody answers its questions."""
    return _Forked(arguments, environment, folder, [str(stdout), str(stderr)])


def _importer(arguments: list[str], environment: dict[str, str], folder: Path, files: list[str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate([os.devnull, *files]):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", buffering=1)  # noqa: SIM115, PTH123  # the process's own, to its end
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    sys.argv = ["importer", *arguments]

    from importer.cli import main  # in the forked process

    sys.exit(main())
