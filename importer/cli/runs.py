"""`importer runs`: what was run before, and how it stands."""

from __future__ import annotations

import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from importer.cli import completing
from importer.cli.options import ledger_options, target_options
from importer.cli.settings import Command
from importer.wording import counted, shown

if TYPE_CHECKING:
    from importer.ledger.sqlite import SqliteLedger
    from importer.model import Run


@click.command("runs", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=completing.runs)
@ledger_options
def command(run_id: str | None, **given: Any) -> None:
    """List the runs of this account, newest first; with RUN, one run with its books and its rows in doubt.

    \b
    How far is the backfill?
      importer runs
    """
    from importer.model import State
    from importer.pipeline.connect import open_ledger
    from importer.pipeline.find import settled

    with open_ledger(target_options(given)) as ledger:
        runs = [settled(ledger, run) for run in ([ledger.run(run_id)] if run_id else ledger.runs())]
        if run_id:
            _show(ledger, runs[0])
            return
        if not runs:
            click.echo(
                "no runs here yet\n\nhint: runs are kept apart by --account, --endpoint, --sandbox and --ledger",
                err=True,
            )
        for run in runs:
            counts = ledger.counts(run)
            parts = ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state])
            names = shown(_sources(ledger, run))
            click.echo(f"{run.id}  {run.state.value:<10}  {counts.read:>9,} read  {parts or '-'}  {names}")


def _sources(ledger: SqliteLedger, run: Run) -> str:
    names = [PurePath(one.source.name).name for one in ledger.sources(run)]
    return f"{names[0]} and {len(names) - 1:,} more" if len(names) > 1 else "".join(names)


def _show(ledger: SqliteLedger, run: Run) -> None:
    from importer import report
    from importer.model import RunState, State

    counts = ledger.counts(run)
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created_at))
    click.echo(
        f"run       {run.id}\nstate     {run.state.value}\nbegun     {began}\nmapping   {shown(run.mapping_name)}"
    )
    if run.stop_reason:
        click.echo(f"stopped   {shown(run.stop_reason)}")
    for source in ledger.sources(run):
        trouble = f", {shown(source.error)}" if source.error else ""
        click.echo(f"source    {shown(source.source.name)}: {counted(source.rows, 'row')}{trouble}")
    click.echo(f"rows      {counts.read:,} read")
    for state in State:
        if counts[state]:
            click.echo(f"          {counts[state]:,} {state.value}")
    for _, name, row, line, subscriber, code in ledger.doubtful(run):
        click.echo(f"in doubt  {shown(name)}, row {row} (line {line}), {shown(subscriber)}: {code}")
    if run.state is not RunState.PRUNED and (reasons := report.render_reasons(report.count_run(ledger, run).summary)):
        click.echo(f"\nreasons\n{reasons}", nl=False)
