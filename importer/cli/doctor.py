"""`importer doctor`: whether a live run would do."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Any

import click

from importer.cli.options import ledger_options, sending_options, target_options
from importer.cli.settings import Command
from importer.errors import ExitCode

_MARGIN = 16


@click.command("doctor", cls=Command)
@sending_options
@ledger_options
def command(**given: Any) -> int:  # fmt: skip
    """Look at everything that a live run needs, without sending anything.

    \b
    Before the first run, and when something is strange:
      importer doctor

    The token, the API and its limit, the clock, the ledger, the disk; each with what to do. The token is never printed.
    Exit codes: 0 a run would do, 1 it would not.
    """
    from importer.pipeline.doctor import Severity, examine

    failed = False
    for finding in examine(target_options(given)):
        failed = failed or finding.verdict is Severity.FAIL
        click.echo(_fitted(f"{finding.verdict.value:<4}  {finding.name:<8}  {finding.text}", 0))
        if finding.advice:
            click.echo(_fitted(f"do: {finding.advice}", _MARGIN))
    return int(ExitCode.INCOMPLETE if failed else ExitCode.DELIVERED)


def _fitted(line: str, margin: int) -> str:
    """On a terminal broken between words, below where it began; in a pipe one line each."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    return textwrap.fill(
        line,
        width,
        initial_indent=" " * margin,
        subsequent_indent=" " * _MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
        fix_sentence_endings=False,
        replace_whitespace=False,
    )
