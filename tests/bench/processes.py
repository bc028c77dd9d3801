"""Processes under measurement: their seconds, CPU and peak of memory; and the sinks they post to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

PATIENCE = 1800.0
"""Seconds for one process, at the most."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One process, from its start to its end, with the children it waited for."""

    seconds: float
    cpu: float
    """Seconds, of all its threads."""
    peak: int
    """Bytes of memory."""
    output: str


def measure(
    command: Sequence[str], home: Path, environment: Mapping[str, str] | None = None, *, ends: int = 0
) -> Measured:
    """Run it to its end; raises CalledProcessError unless it exits with ``ends``."""
    out, log = home / "stdout", home / "stderr"
    began = time.perf_counter()
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
        )
        killer = Timer(PATIENCE, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != ends:
        sys.stderr.write(log.read_text(encoding="utf-8", errors="replace")[-2000:])
        raise subprocess.CalledProcessError(process.returncode, command)
    seconds, cpu = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    return Measured(seconds, cpu, usage.ru_maxrss * 1024, out.read_text(encoding="utf-8", errors="replace"))


@contextmanager
def sink(*arguments: str) -> Iterator[int]:
    """A sink in a process of its own; yields its port on loopback."""
    command = [sys.executable, "-m", "tests.bench.sink", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)
