"""`importer doctor`: whether a live run would do."""

from __future__ import annotations

from typing import Any

import click

from importer.cli.options import ledger_options, sending_options
from importer.errors import ExitCode


@click.command("doctor")
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
    from importer.cli.run import where
    from importer.pipeline.doctor import Verdict, examine

    failed = False
    for finding in examine(where(given).destination()):
        failed = failed or finding.verdict is Verdict.FAIL
        click.echo(f"{finding.verdict.value:<4}  {finding.name:<8}  {finding.text}")
        if finding.advice:
            click.echo(f"{'':<16}do: {finding.advice}")
    return int(ExitCode.INCOMPLETE if failed else ExitCode.DELIVERED)
