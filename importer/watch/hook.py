"""``--on-finish`` and ``--on-success``: the user's own commands after a file, for alerts.

A command gets ``summary.json`` on its standard input and the rest in ``IMPORTER_…`` variables, never the token. One
that fails is reported and changes nothing.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

from importer.deliver.token import VARIABLE
from importer.watch.outcome import FileOutcome

MAX_SECONDS = 300.0
"""A command may take this long; deliveries wait for it."""


def run_hook(option: str, command: str, outcome: FileOutcome, summary: Path) -> str:
    """Run the command of an option in a shell; returns what went wrong, in words, or nothing."""
    try:
        content = summary.read_bytes()
    except OSError:
        content = msgspec.json.encode({"run": None, "state": outcome.place.value, "stop_reason": outcome.reason})
    added = {
        "IMPORTER_FILE": str(outcome.path),
        "IMPORTER_NAME": outcome.name,
        "IMPORTER_OUTCOME": outcome.place.value,
        "IMPORTER_EXIT_CODE": str(int(outcome.code)),
        "IMPORTER_RUN": outcome.run,
        "IMPORTER_REASON": outcome.reason,
    }
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | added
    try:
        done = subprocess.run(  # noqa: S603  # the user's own command, from the command line
            ["/bin/sh", "-c", command], input=content, env=environment, timeout=MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{option} took longer than {MAX_SECONDS:.0f} seconds and was stopped"
    except (OSError, ValueError) as error:
        return f"{option} cannot be run: {error}"
    return f"{option} ended with exit code {done.returncode}" if done.returncode else ""
