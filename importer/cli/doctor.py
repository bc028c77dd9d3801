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
@basic("--repair", is_flag=True, help="Keep what can be read of a ledger that is damaged or has lost commits.")
@sending_options
@ledger_options
def command(repair: bool, **given: Any) -> int:
    """Check everything that a live run needs, without sending anything.

    \b
    Before the first run, and when something is strange:
      importer doctor

    Checks the token, the API and its limit, the clock, the ledger and the disk, and says what to do about each problem.
    The token is never printed. With --repair, what can be read of a damaged or outdated ledger is kept; rows whose
    outcome is lost become in doubt. Exit codes: 0 a live run can start, 1 it cannot.
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
