"""The command line inside the test's own process: fast, and a warning in it fails the test."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from importer.cli import main


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


def importer(*arguments: str) -> Outcome:
    """Run ``importer ARGUMENTS`` without a terminal."""
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with redirect_stdout(stdout), redirect_stderr(stderr):
        code = main(arguments)
    texts = []
    for stream in (stdout, stderr):
        stream.flush()
        buffer = stream.buffer
        assert isinstance(buffer, io.BytesIO)
        texts.append(buffer.getvalue().decode())
    return Outcome(code, *texts)
