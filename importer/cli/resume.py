"""`importer resume`: go on with a run that stopped."""

from __future__ import annotations

from typing import Any

import click

from importer.cli import completing
from importer.cli.console import ConsoleOptions, finish
from importer.cli.options import (
    console_options,
    delivery_options,
    ledger_options,
    out_option,
    run_options,
    sending_options,
    summary_option,
    target_options,
)
from importer.cli.settings import Command


@click.command("resume", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=completing.runs)
@ledger_options
@out_option
@delivery_options
@console_options
@summary_option
@sending_options
def command(**given: Any) -> int:
    """Go on with RUN where it stopped; the newest unfinished run, if none is named.

    \b
    Put in a new token, then go on:
      SENDER_API_TOKEN=… importer resume

    The source files are not needed any more. Rows in doubt stay in doubt: see `importer resolve`.
    """
    from importer.pipeline import program

    options, target = run_options(given), target_options(given)
    return finish(lambda console: program.resume(given["run_id"], options, target, console), ConsoleOptions.of(given))
