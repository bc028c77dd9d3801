"""`importer resolve`: the user's word on rows in doubt."""

from __future__ import annotations

from typing import Any

import click

from importer.cli import completing
from importer.cli.options import basic, ledger_options, target_options
from importer.cli.settings import Command
from importer.errors import UsageError
from importer.wording import counted


@click.command("resolve", cls=Command)
@click.argument("run_id", metavar="RUN", shell_complete=completing.runs)
@basic("--assume-sent", is_flag=True, help="They arrived: count them as sent.")
@basic("--resend", is_flag=True, help="They did not arrive: put them back into the queue.")
@basic("--row", "rows", multiple=True, metavar="[SOURCE:]ROW", help="Only this row; may be given several times.")
@basic("--yes", "-y", is_flag=True, help="Do not ask.")
@ledger_options
def command(run_id: str, assume_sent: bool, resend: bool, rows: tuple[str, ...], yes: bool, **given: Any) -> None:
    """Settle the rows of RUN that may or may not have arrived, all of them or row by row.

    \b
    Look into Sender whether they are there, then:
      importer resolve 20261123-180355-k7 --assume-sent
      importer resolve 20261123-180355-k7 --resend --row orders.csv:17

    Without either option it lists them. Rows put back are sent by `importer resume`.
    """
    from importer.model import State
    from importer.pipeline.connect import open_ledger
    from importer.pipeline.find import locked

    if assume_sent and resend:
        raise UsageError("--assume-sent and --resend exclude each other", hint="give one of them")
    target = target_options(given)
    with open_ledger(target) as ledger:
        run = ledger.run(run_id)
        with locked(ledger, run):
            doubtful = ledger.doubtful(run)
            chosen = _chosen(doubtful, rows)
            for _, source, row, line, subscriber, code in chosen:
                click.echo(f"{source}, row {row} (line {line}), {subscriber}: {code}")
            if not chosen:
                click.echo(f"no row of run {run.id} is in doubt", err=True)
                return
            if not (assume_sent or resend):
                command = f"importer resolve {run.id}{target.place}"
                choice = f"if they are in Sender:\n  {command} --assume-sent\nif not:\n  {command} --resend"
                click.echo(f"\n{counted(len(chosen), 'row')} in doubt; {choice}", err=True)
                return
            what = "to count as sent" if assume_sent else "to go back into the queue, and perhaps to arrive twice"
            click.echo(f"\n{counted(len(chosen), 'row')} {what}", err=True)
            if not yes and not click.confirm("Go on?", default=False, err=True):
                return
            count = ledger.resolve(run, State.SENT if assume_sent else State.PENDING, [one[0] for one in chosen])
            then = "" if assume_sent else f"; `importer resume {run.id}{target.place}` sends them"
            click.echo(f"{counted(count, 'row')} settled{then}", err=True)


def _chosen(
    doubtful: list[tuple[int, str, int, int, str, str]], rows: tuple[str, ...]
) -> list[tuple[int, str, int, int, str, str]]:
    if not rows:
        return doubtful
    found = []
    for wanted in rows:
        source, _, number = wanted.rpartition(":")
        matches = [one for one in doubtful if str(one[2]) == number and source in ("", one[1])]
        if not matches:
            raise UsageError(f"--row {wanted} is not in doubt", hint="`importer resolve RUN` lists the rows in doubt")
        if len(matches) > 1:
            raise UsageError(
                f"--row {wanted}: {len(matches)} sources have that row in doubt", hint="name the source: SOURCE:ROW"
            )
        found.append(matches[0])
    return found
