"""`importer ledger`: move a ledger to another database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from importer.cli.options import Ledger
from importer.cli.settings import Command
from importer.wording import counted


@click.command("ledger", cls=Command)
@click.argument("action", type=click.Choice(["copy"]), metavar="copy")
@click.argument("source", metavar="FROM", type=Ledger(path_type=Path, dir_okay=False))
@click.argument("target", metavar="TO", type=Ledger(path_type=Path, dir_okay=False))
def command(action: str, source: Any, target: Any) -> None:
    """Copy a ledger into another database, with all that keeps a row or a key from being sent twice.

    \b
    From this machine's file into PostgreSQL, while no importer runs:
      importer ledger copy ledger.db postgresql://importer@db.example.com/importer

    TO must be empty. Afterwards name it with --ledger or IMPORTER_LEDGER everywhere, and put FROM away.
    """
    from importer.ledger.copy import copy_ledger

    del action  # there is one
    runs, rows = copy_ledger(source, target)
    click.echo(f"{counted(runs, 'run')} with {counted(rows, 'row')} copied from {source} to {target}", err=True)
    click.echo("\nnext\n  set IMPORTER_LEDGER to the new ledger everywhere, and put the old one away:"
               "\n  a run that still uses it sends again what the new one has sent since", err=True)  # fmt: skip
