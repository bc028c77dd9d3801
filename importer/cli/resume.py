"""`importer resume`: go on with a run that stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from importer.cli import completing
from importer.cli.manner import Manner, speaking_options
from importer.cli.options import delivery_options, ledger_options, sending_options


@click.command("resume")
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=completing.runs)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the report goes. [default: where the run's reports went]",
)
@delivery_options
@speaking_options
@sending_options
@ledger_options
def command(**given: Any) -> int:  # fmt: skip
    """Go on with RUN where it stopped; the newest unfinished run, if none is named.

    \b
    Put in a new token, then go on:
      SENDER_API_TOKEN=… importer resume

    The source files are not needed any more. Rows in doubt stay in doubt: see `importer resolve`.
    """
    from importer.cli.outcome import finish
    from importer.cli.run import delivery, where
    from importer.pipeline import program
    from importer.pipeline.options import RunOptions

    options = RunOptions(sources=(), mapping="", out=given["out"], first=given["first"], delivery=delivery(given))
    target = where(given).target()
    return finish(lambda console: program.resume(given["run_id"], options, target, console), Manner.of(given))
