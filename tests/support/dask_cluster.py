"""A real Dask scheduler and its workers, on loopback, in processes of their own."""

from __future__ import annotations

import os
import socket
import sys
from importlib import import_module
from pathlib import Path

from tests.support.processes import Forked, connect

WORKERS = 2
_SETTINGS = {
    # Dask's own values, fifty looks a second, take a tenth of a core in a cluster that does nothing.
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}


class DaskCluster:
    """Starts with `restore`, which also starts again what a test has killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self._port = taken.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.scheduler: Forked | None = None
        self.workers: list[Forked] = []

    def restore(self) -> None:
        """Everything runs, or is about to: who connects waits for it."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.stop()
            self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", str(self._port))
        self.workers = [one for one in self.workers if one.poll() is None]
        while len(self.workers) < WORKERS:
            options = ("--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", "--memory-limit", "0")
            local = ("--local-directory", str(self._directory), "--death-timeout", "60")
            self.workers.append(self._start("dask_worker", self.address, *options, *local))

    def _start(self, role: str, *arguments: str) -> Forked:
        return Forked(_run, role, (*arguments, "--no-dashboard"), self._directory / f"{role}.log")

    def stop(self) -> None:
        """End all of it."""
        for one in (*self.workers, self.scheduler):
            if one is not None:
                one.kill()
                one.wait()
        self.scheduler, self.workers = None, []


def _run(role: str, arguments: tuple[str, ...], log: Path) -> None:
    """Dask's own command, in the process that is forked for it."""
    os.environ.update(_SETTINGS)  # before Dask is imported, which reads them once
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    connect(os.open(os.devnull, os.O_RDONLY), os.open(log, append, 0o600), os.open(log, append, 0o600))
    sys.argv = [role, *arguments]
    import_module(f"distributed.cli.{role}").main()
