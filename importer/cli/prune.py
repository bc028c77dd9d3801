"""`importer prune`: delete the details of old runs."""

from __future__ import annotations

import time
from typing import Any

import click

from importer.cli.options import Duration, agreed, basic, existing_target, ledger_options
from importer.cli.settings import Command
from importer.errors import LedgerError
from importer.wording import counted


@click.command("prune", cls=Command)
@basic("--older-than", required=True, type=Duration(), metavar="TIME",
       help="Runs that ended longer ago than this: 90d.")  # fmt: skip
@basic("--yes", "-y", is_flag=True, help="Do not ask.")
@basic("--dry-run", is_flag=True, help="Print what would be deleted, and end.")
@ledger_options
def command(older_than: float, yes: bool, dry_run: bool, **given: Any) -> None:
    """Delete the details of old runs, to keep the ledger small.

    \b
    Once a month, from cron:
      importer prune --older-than 90d --yes

    Of a run that has finished it drops the events, the original rows and the answers. Its totals stay, and so does all
    that keeps a row or a key from being sent twice. Runs with rows in doubt, or still to be sent, are left alone, and
    so are reports in files.
    """
    from importer.pipeline.connect import open_ledger
    from importer.pipeline.prune import choose, forget

    with open_ledger(existing_target(given)) as ledger:
        choice = choose(ledger, time.time() - older_than)
        for run in choice.kept:
            click.echo(f"run {run.id} is kept: it has rows in doubt or still to be sent", err=True)
        if not choice.runs:
            click.echo("no run is old enough; nothing is forgotten", err=True)
            return
        click.echo(f"{counted(len(choice.runs), 'run')} with {counted(choice.rows, 'row')} to be forgotten", err=True)
        if choice.undelivered:
            click.echo(f"{choice.undelivered:,} of them were refused or failed, and cannot be retried then", err=True)
        if dry_run or not agreed("prune", "Go on?", yes=yes):
            return
        try:
            freed = forget(ledger, choice.runs)
        except LedgerError as error:
            words = f"warning: the file is as large as before: {error.message}; the next runs use the room"
            click.echo(words, err=True)
            return
        click.echo(f"{counted(len(choice.runs), 'run')} forgotten, {max(0, freed) / 1e6:,.1f} MB freed", err=True)
