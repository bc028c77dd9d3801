"""`importer retry`: send again what was refused or has failed."""

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


@click.command("retry", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=completing.runs)
@ledger_options
@out_option
@delivery_options
@console_options
@summary_option
@sending_options
def command(**given: Any) -> int:
    """Send the rows of RUN, or of the newest run, again that the API refused or that failed.

    \b
    After the event type was created in Sender:
      importer retry 20261123-180355-k7

    It shows how many, and asks. A failed row may have been accepted: look in Sender before. Rows that another run has
    delivered in the meantime are left out. To correct rows first, edit rejects.csv and give it to `importer run`.
    """
    from importer.pipeline import program

    options, target = run_options(given), target_options(given)
    return finish(lambda console: program.retry(given["run_id"], options, target, console), ConsoleOptions.of(given))
