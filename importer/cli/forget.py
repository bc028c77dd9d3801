"""`importer forget`: remove a person from the ledger."""

from __future__ import annotations

from typing import Any

import click
from msgspec.structs import replace

from importer.cli.options import agreed, basic, existing_target, ledger_options
from importer.cli.settings import Command
from importer.wording import counted, shown


@click.command("forget", cls=Command)
@basic("--subscriber", required=True, metavar="X", help="Their e-mail address, phone number or id, as it was sent.")
@basic("--yes", "-y", is_flag=True, help="Do not ask.")
@ledger_options
def command(subscriber: str, yes: bool, **given: Any) -> None:
    """Remove a person from the ledger; rows that were sent are still never sent again.

    \b
    When a person asks to be forgotten:
      importer forget --subscriber ada@example.com

    Takes their address, the bodies of their events and the original rows out of all runs of this account, and out of
    its rehearsals. Keyed hashes stay, which say that a row or a key was sent. Reports and rejects in files are yours to
    delete.
    """
    from importer.pipeline.connect import open_ledger
    from importer.sandbox import SandboxOptions

    target = existing_target(given)
    if not agreed("forget", f"Forget {shown(subscriber)} for good?", yes=yes):
        return
    count = 0
    for one in [target] if target.sandbox else [target, replace(target, sandbox=SandboxOptions())]:
        with open_ledger(one) as ledger:
            count += ledger.forget(subscriber)
    click.echo(f"{counted(count, 'row')} of {shown(subscriber)} forgotten", err=True)
