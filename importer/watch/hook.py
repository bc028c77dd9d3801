"""``--on-finish`` and ``--on-success``: the user's own commands after a file, for alerts.

A command gets ``summary.json`` on its standard input and the rest in ``IMPORTER_…`` variables, never the token. What it
prints is shown line by line, as any foreign text. One that fails is reported and changes nothing.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from importer import child
from importer.watch.outcome import FileOutcome
from importer.wording import brief

MAX_SECONDS = 300.0
"""A command may take this long; deliveries wait for it."""


MAX_LINES = 100
"""So many lines of what a command prints are shown."""
_MAX_OUTPUT = 64 << 10


def run_hook(option: str, command: str, outcome: FileOutcome, summary: Path, say: Callable[[str], None]) -> str:
    """Run the command of an option in a shell; returns what went wrong, in words, or nothing.

    ``say`` gets the lines that the command prints.
    """
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
    # A file, not a pipe: what the command leaves running in the background must not keep this process waiting.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(  # noqa: S603  # the user's own command, from the command line
                ["/bin/sh", "-c", command],
                input=content,
                env=child.environment() | added,
                timeout=MAX_SECONDS,
                check=False,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except subprocess.TimeoutExpired:
            return f"{option} took longer than {MAX_SECONDS:.0f} seconds and was stopped"
        except (OSError, ValueError) as error:
            return f"{option} cannot be run: {error}"
        finally:
            output.seek(0)
            printed = output.read(_MAX_OUTPUT).decode("utf-8", "backslashreplace").splitlines()
            for line in printed[:MAX_LINES]:
                say(f"{option}: {brief(line, 500)}")
    return f"{option} ended with exit code {done.returncode}" if done.returncode else ""
