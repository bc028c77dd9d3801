"""`importer doctor`: whether a live run would do."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import click

from importer.cli.console import wrapped
from importer.cli.options import basic, existing_target, ledger_options, sending_options, target_options
from importer.cli.settings import Command
from importer.errors import ExitCode

_MARGIN = 16


@click.command("doctor", cls=Command)
@basic("--repair", is_flag=True, help="Keep what can be kept of a ledger that is damaged or has lost commits.")
@sending_options
@ledger_options
def command(repair: bool, **given: Any) -> int:
    """Look at everything that a live run needs, without sending anything.

    \b
    Before the first run, and when something is strange:
      importer doctor

    A ledger that is damaged, or older than when it was last used, is kept as far as it can be with --repair; rows whose
    outcome it lost are put in doubt.

    The token, the API and its limit, the clock, the ledger, the disk; each with what to do. The token is never printed.
    Exit codes: 0 a run would do, 1 it would not.
    """
    from importer.pipeline.doctor import Severity, examine

    target = existing_target(given) if repair else target_options(given)
    if repair:
        from importer.ledger.repair import repair as repaired

        for sentence in repaired(target.ledger) or [f"{target.ledger} is whole; nothing to repair"]:
            click.echo(_fitted(sentence, 0))
    failed = False
    for finding in examine(target):
        failed = failed or finding.verdict is Severity.FAIL
        click.echo(_fitted(f"{finding.verdict.value:<4}  {finding.name:<8}  {finding.text}", 0))
        if finding.advice:
            click.echo(_fitted(f"do: {finding.advice}", _MARGIN))
    return int(ExitCode.INCOMPLETE if failed else ExitCode.DELIVERED)


def _fitted(line: str, margin: int) -> str:
    """On a terminal broken between words, below where it began; in a pipe one line each."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    return wrapped(line, width, " " * _MARGIN, " " * margin)
