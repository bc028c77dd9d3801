"""`importer resolve`: the user's decision on rows in doubt."""

from __future__ import annotations

from typing import Any

import click

from importer.cli import completing
from importer.cli.options import basic, ledger_options, target_options
from importer.cli.settings import Command
from importer.errors import UsageError
from importer.wording import counted, shown


@click.command("resolve", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=completing.runs)
@basic("--assume-sent", is_flag=True, help="They arrived: count them as sent.")
@basic("--resend", is_flag=True, help="They did not arrive: put them back into the queue.")
@basic("--row", "rows", multiple=True, metavar="[SOURCE:]ROW", help="Only this row; may be given several times.")
@basic("--yes", "-y", is_flag=True, help="Do not ask.")
@ledger_options
def command(
    run_id: str | None, assume_sent: bool, resend: bool, rows: tuple[str, ...], yes: bool, **given: Any
) -> None:
    """Decide on the rows of RUN, or of the newest run, that may or may not have arrived, all or row by row.

    \b
    Look into Sender whether they are there, then:
      importer resolve 20261123-180355-k7 --assume-sent
      importer resolve 20261123-180355-k7 --resend --row orders.csv:17

    Without either option it lists them. Rows put back are sent by `importer resume`.
    """
    from importer.model import State
    from importer.pipeline.find import locked, open_run

    if assume_sent and resend:
        raise UsageError("--assume-sent and --resend exclude each other", hint="give one of them")
    target = target_options(given)
    with open_run(target, run_id) as (ledger, run), locked(ledger, run):
        doubtful = ledger.doubtful(run)
        chosen = _chosen(doubtful, rows)
        for _, source, row, line, subscriber, code in chosen:
            click.echo(f"{shown(source)}, row {row} (line {line}), {shown(subscriber)}: {code}")
        if not chosen:
            click.echo(f"no row of run {run.id} is in doubt", err=True)
            return
        if not (assume_sent or resend):
            command = f"importer resolve {run.id}{target.ledger_option}"
            choice = f"if they are in Sender:\n  {command} --assume-sent\nif not:\n  {command} --resend"
            click.echo(f"\n{counted(len(chosen), 'row')} in doubt; {choice}", err=True)
            return
        what = "to count as sent" if assume_sent else "to go back into the queue, and perhaps to arrive twice"
        click.echo(f"\n{counted(len(chosen), 'row')} {what}", err=True)
        if not yes and not click.confirm("Go on?", default=False, err=True):
            return
        count = ledger.resolve(run, State.SENT if assume_sent else State.PENDING, [one[0] for one in chosen])
        then = "" if assume_sent else f"; `importer resume {run.id}{target.ledger_option}` sends them"
        click.echo(f"{counted(count, 'row')} resolved{then}", err=True)


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
