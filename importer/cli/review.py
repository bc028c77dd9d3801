"""`importer review`: a page on this machine to correct, resolve and send what was not delivered."""

from __future__ import annotations

from typing import Any

import click

from importer.cli import completing
from importer.cli.options import (
    Duration,
    basic,
    connection,
    ledger_options,
    run_options,
    sending_options,
    target_options,
)
from importer.cli.settings import Command
from importer.errors import ExitCode


@click.command("review", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=completing.runs)
@basic("--open", "opened", is_flag=True, help="Show the page in a browser at once.")
@connection("--port", type=click.IntRange(0, 65535), default=0, help="On 127.0.0.1. [default: any that is free]")
@basic("--idle", type=Duration(), default="30m", show_default=True, metavar="TIME",
       help="Close the page when it was not used for so long.")  # fmt: skip
@ledger_options
@sending_options
def command(run_id: str | None, *, opened: bool, port: int, idle: float, **given: Any) -> int:
    """Correct the rows of RUN, or of the newest run, that were not delivered, on a page in a browser on this machine.

    \b
    It prints the page's address:
      importer review 20261123-180355-k7

    Each cell is checked as it is typed, by the run's own mapping. Corrected rows are sent when you say so, as `importer
    run rejects.csv` sends them; a live run asks first. Rows in doubt are resolved there, and rows can be given up. What
    you typed is kept until it is sent. Exit code 0: nothing of the import is left to do; 1: something is.
    """
    from importer.review.serve import serve
    from importer.review.session import Review

    def show(address: str) -> None:
        click.echo(
            f"review    {address}\nin a browser on this machine; Ctrl-C ends it, and what you typed is kept", err=True
        )
        if opened:
            click.launch(address)

    review = Review(run_id, target_options(given), run_options(given), lambda text: click.echo(text, err=True))
    try:
        serve(review, port=port, idle=idle, opened=show)
    finally:
        review.desk.close()
    return int(ExitCode.DELIVERED if review.is_done else ExitCode.INCOMPLETE)
