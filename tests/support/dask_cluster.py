"""A real Dask scheduler and its workers, on loopback, in processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

WORKERS = 2
_ROOT = Path(__file__).parents[2]


class DaskCluster:
    """Starts with `restore`, which also starts again what a test has killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self._port = taken.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

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

    def _start(self, role: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._directory / f"{role}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{role}", *arguments, "--no-dashboard"],
                env={**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """End all of it."""
        for one in (*self.workers, self.scheduler):
            if one is not None:
                one.kill()
                one.wait()
        self.scheduler, self.workers = None, []
