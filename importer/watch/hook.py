"""``--on-finish``: the user's own command after each file, for alerts.

This module owns what the command gets: ``summary.json`` on its standard input and the rest in ``IMPORTER_…`` variables,
never the token. A hook that fails is told of and changes nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from importer.deliver.token import VARIABLE
from importer.watch.outcome import Outcome

LONGEST = 300.0
"""Seconds that a hook may take; deliveries wait for it."""


def run_hook(command: str, outcome: Outcome, summary: Path) -> str:
    """Run the command in a shell; returns what went wrong, in words, or nothing."""
    try:
        told = summary.read_bytes()
    except OSError:
        told = msgspec.json.encode({"run": None, "state": outcome.place.value, "stop_reason": outcome.reason})
    try:
        done = subprocess.run(  # noqa: S603  # the user's own command, from the command line
            ["/bin/sh", "-c", command],
            input=told,
            env=_environment(os.environ, outcome),
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"--on-finish took longer than {LONGEST:.0f} seconds and was stopped"
    except OSError as error:
        return f"--on-finish cannot be run: {error.strerror}"
    return f"--on-finish ended with exit code {done.returncode}" if done.returncode else ""


def _environment(own: Mapping[str, str], outcome: Outcome) -> dict[str, str]:
    told = {
        "IMPORTER_FILE": str(outcome.path),
        "IMPORTER_NAME": outcome.name,
        "IMPORTER_OUTCOME": outcome.place.value,
        "IMPORTER_EXIT_CODE": str(int(outcome.code)),
        "IMPORTER_RUN": outcome.run,
        "IMPORTER_REASON": outcome.reason,
    }
    return {name: value for name, value in own.items() if name != VARIABLE} | told
