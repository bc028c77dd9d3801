"""`importer retry`: send once more what was refused or has failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from importer.cli import completing
from importer.cli.manner import Manner, speaking_options
from importer.cli.options import delivery_options, ledger_options, sending_options


@click.command("retry")
@click.argument("run_id", metavar="RUN", shell_complete=completing.runs)
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
    """Send the rows of RUN once more that the API refused, or that failed.

    \b
    After the event type was created in Sender:
      importer retry 20261123-180355-k7

    It says how many, and asks. What failed may have been accepted: look in Sender before. Rows that another run has
    delivered in the meantime are left out. Rows to be mended first are better sent from the rejects file, with
    `importer run`.
    """
    from importer.cli.outcome import finish
    from importer.cli.run import delivery, where
    from importer.pipeline import program
    from importer.pipeline.options import RunOptions

    options = RunOptions(sources=(), mapping="", out=given["out"], first=given["first"], delivery=delivery(given))
    target = where(given).target()
    return finish(lambda console: program.retry(given["run_id"], options, target, console), Manner.of(given))
