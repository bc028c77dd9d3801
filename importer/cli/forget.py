"""`importer forget`: remove a person from the ledger."""

from __future__ import annotations

import sys
from typing import Any

import click

from importer.cli.options import basic, ledger_options, target_options
from importer.cli.settings import Command
from importer.errors import UsageError
from importer.wording import counted, shown


@click.command("forget", cls=Command)
@basic("--subscriber", required=True, metavar="X", help="Their e-mail address, phone number or id, as it was sent.")
@basic("--yes", "-y", is_flag=True, help="Do not ask.")
@ledger_options
def command(subscriber: str, yes: bool, **given: Any) -> None:
    """Remove a person from the ledger, and keep that nothing is ever sent to them twice.

    \b
    When a person asks to be forgotten:
      importer forget --subscriber ada@example.com

    Takes their address, the bodies of their events and the original rows out of all runs of this account. Keyed hashes
    stay, which say that a row or a key was sent. Reports and rejects in files are yours to delete.
    """
    from importer.pipeline.connect import open_ledger

    target = target_options(given)
    if not target.ledger.exists():
        raise UsageError(f"there is no ledger {target.ledger}", hint="--ledger names another one")
    if not yes and not sys.stdin.isatty():
        raise UsageError("forget asks, and there is no terminal to ask on", hint="give --yes if this is meant")
    if not yes and not click.confirm(f"Forget {shown(subscriber)} for good?", default=False, err=True):
        return
    with open_ledger(target) as ledger:
        count = ledger.forget(subscriber)
    click.echo(f"{counted(count, 'row')} of {shown(subscriber)} forgotten", err=True)
