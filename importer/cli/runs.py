"""`importer runs`: the runs of all accounts, and the state of each."""

from __future__ import annotations

import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from importer import DEFAULT_ENDPOINT
from importer.cli import completing
from importer.cli.options import accounts_option, ledger_options, target_options
from importer.cli.settings import Command
from importer.wording import counted, shown

if TYPE_CHECKING:
    from importer.ledger.ledger import Ledger
    from importer.model import Run


@click.command("runs", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=completing.runs)
@accounts_option
@ledger_options
def command(run_id: str | None, accounts_file: str | None, **given: Any) -> None:
    """List the runs of all accounts and endpoints, newest first; with RUN, one run with its totals and its reasons.

    \b
    How far is the backfill?
      importer runs

    A run's id alone is enough for `resume`, `retry`, `resolve` and `report`.
    """
    from importer.pipeline.connect import open_ledger
    from importer.pipeline.find import open_run, recover_if_dead

    target = target_options(given)
    if run_id:
        with open_run(target, run_id) as (ledger, run):
            _show(ledger, run)
        return
    with open_ledger(target) as ledger:
        runs = [recover_if_dead(ledger, run) for run in ledger.runs(everywhere=True)]
        if accounts_file is not None:
            from importer.mapping.accounts import load_accounts
            from importer.model import NO_ACCOUNT

            known = {*load_accounts(accounts_file).entries, NO_ACCOUNT}
            runs = [run for run in runs if run.account in known]
        if not runs:
            click.echo("no runs yet\n\nhint: --ledger names another ledger", err=True)
        for run in runs:
            click.echo(_line(ledger, run))


def _line(ledger: Ledger, run: Run) -> str:
    from importer.model import State

    counts = ledger.counts(run)
    parts = ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state])
    names = [PurePath(one.source.name).name for one in ledger.sources(run)]
    files = f"{names[0]} and {len(names) - 1:,} more" if len(names) > 1 else "".join(names)
    state, place = run.state.value, _place(run)
    return f"{run.id}  {state:<10}  {place:<24}  {counts.read:>9,} read  {parts or '-'}  {shown(files)}"


def _place(run: Run) -> str:
    """Whose run it is, and where it goes: ``shop-eu``, ``default at api.example.com``, ``default, rehearsal``."""
    from importer.model import SANDBOX_ENDPOINT

    if run.endpoint == SANDBOX_ENDPOINT:
        return f"{shown(run.account)}, rehearsal"
    if run.endpoint.startswith(DEFAULT_ENDPOINT):
        return shown(run.account)
    return f"{shown(run.account)} at {shown(run.endpoint.partition('://')[2].partition('/')[0])}"


def _show(ledger: Ledger, run: Run) -> None:
    from importer import report
    from importer.model import RunState, State
    from importer.report.model import counts_by_name
    from importer.report.words import states_in_words

    counts = ledger.counts(run)
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created_at))
    click.echo(
        f"run       {run.id}\nstate     {run.state.value}\nbegun     {began}\nfor       {_place(run)}"
        f"\nmapping   {shown(run.mapping_name)}"
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
    if len(together := ledger.import_of(run)) > 1:
        total = counts_by_name(ledger.import_counts(together))
        ids = ", ".join(one.id for one in together)
        click.echo(f"import    {total['read']:,} read in {len(together):,} runs ({ids})")
        click.echo(f"          {states_in_words(total)}")
    for _, name, row, line, subscriber, code in ledger.doubtful(run):
        click.echo(f"in doubt  {shown(name)}, row {row} (line {line}), {shown(subscriber)}: {code}")
    if run.state is not RunState.PRUNED and (reasons := report.render_reasons(report.count_run(ledger, run).summary)):
        click.echo(f"\nreasons\n{reasons}", nl=False)
