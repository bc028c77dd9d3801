"""`importer runs`, `report` and `review`: what became of every row, and the correction of those not delivered."""

from __future__ import annotations

import sys
import time
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from importer import DEFAULT_ENDPOINT
from importer.cli import options as opt
from importer.cli.console import in_colour
from importer.cli.settings import Command
from importer.errors import ExitCode, UsageError
from importer.wording import counted, shown

if TYPE_CHECKING:
    from importer.ledger.ledger import Ledger
    from importer.model import Format, Run
    from importer.remote import RemotePath

_FORMATS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}


@click.command("runs", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=opt.complete_runs)
@opt.accounts_option
@opt.ledger_options
def runs(run_id: str | None, accounts_file: str | None, **given: Any) -> None:
    """List the runs of all accounts and endpoints, newest first; with RUN, one run with its totals and its reasons.

    \b
    How far is the backfill?
      importer runs

    A run's id alone is enough for `resume`, `retry`, `resolve` and `report`.
    """
    from importer.pipeline.connect import open_ledger
    from importer.pipeline.find import open_run, recover_if_dead

    target = opt.target_options(given)
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


@click.command("report", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=opt.complete_runs)
@opt.basic("-o", "--output", type=opt.Place(path_type=Path), metavar="FILE|DIR",
           help="A .csv, .jsonl or .parquet file, or a directory for all outputs."
           " [default: CSV on stdout]")  # fmt: skip
@opt.basic("--open", "opened", is_flag=True,
           help="Write all outputs, then show report.html in a browser."
           " [default directory: where the run's reports went]")  # fmt: skip
@opt.ledger_options
def report(run_id: str | None, output: Path | RemotePath | None, *, opened: bool, **given: Any) -> None:
    """Write what became of every row of RUN, or of the newest run.

    \b
    To the screen, to a file, or all outputs into a directory:
      importer report 20261123-180355-k7 | head
      importer report 20261123-180355-k7 -o report.parquet

    \b
    To look at it in a browser; the page's path is printed, and it stays there:
      importer report 20261123-180355-k7 --open
    """
    from importer import report
    from importer.pipeline import outputs
    from importer.pipeline.find import open_run, refuse_pruned
    from importer.remote import RemotePath

    if opened and isinstance(output, RemotePath):
        raise UsageError(f"--open with -o {output}: a browser needs the page here", hint="give a directory to -o")
    target = opt.target_options(given)
    with open_run(target, run_id) as (ledger, run):
        refuse_pruned(run)
        if opened and output is None:
            output = _place_of(run)
        elif opened and output is not None and output.suffix:
            raise UsageError(f"--open with -o {output}: the page is one of all outputs", hint="give a directory to -o")
        if output is None:
            report.stream(ledger, run, sys.stdout.buffer, "csv")
        elif not opened and (form := _FORMATS.get(output.suffix)):
            with outputs.made_for(output.parent) as here:
                report.write_file(ledger, run, here / output.name, form)
                if isinstance(output, RemotePath):
                    outputs.upload(here / output.name, output)
        elif not opened and output.suffix:
            raise UsageError(f"-o {output}: not a format", hint="end the name in .csv, .jsonl or .parquet")
        else:
            form = run.options.get("report_format", "csv") if opened else "csv"
            rejects = run.options.get("rejects_format", "source")
            with outputs.made_for(output) as here:
                options = report.ReportOptions(here, form, rejects_format=rejects, out_afterwards=output)
                written = outputs.publish(report.write(ledger, run, options), here, output)
            click.echo(report.render_summary(written, colour=in_colour()), err=True, nl=False)
            if written.failure is not None:
                raise written.failure
            if opened:
                _open(next(path for path in written.paths if isinstance(path, Path) and path.suffix == ".html"))


def _place_of(run: Run) -> Path:
    """Where the run's reports went, if that is on this machine."""
    from importer.mapping.accounts import UNASSIGNED
    from importer.model import NO_ACCOUNT
    from importer.remote import RemotePath

    kept = RemotePath.parse(run.options.get("out") or "")
    out = kept if isinstance(kept, Path) and kept.name else Path("importer-runs") / run.id
    return out / UNASSIGNED if run.account == NO_ACCOUNT else out


def _open(page: Path) -> None:
    """Print the page's path, and show it if there is anything to show it with."""
    import webbrowser

    from importer.child import token_hidden

    click.echo(page)
    try:
        with token_hidden():
            shown = webbrowser.open(page.resolve().as_uri())
    except (webbrowser.Error, OSError):
        shown = False
    if not shown:
        click.echo("no browser was found here; open the file above in yours", err=True)


@click.command("review", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=opt.complete_runs)
@opt.basic("--open", "opened", is_flag=True, help="Show the page in a browser at once.")
@opt.connection("--port", type=click.IntRange(0, 65535), default=0, help="On 127.0.0.1. [default: any that is free]")
@opt.basic("--idle", type=opt.Duration(), default="30m", show_default=True, metavar="TIME",
           help="Close the page when it was not used for so long.")  # fmt: skip
@opt.ledger_options
@opt.sending_options
def review(run_id: str | None, *, opened: bool, port: int, idle: float, **given: Any) -> int:
    """Correct the rows of RUN, or of the newest run, that were not delivered, on a page in a browser on this machine.

    \b
    It prints the page's address:
      importer review 20261123-180355-k7

    Each cell is checked as it is typed, by the run's own mapping. Corrected rows are sent when you say so, as `importer
    run rejects.csv` sends them; a live run asks first. Rows in doubt are resolved there, and rows can be given up. What
    you typed is kept until it is sent. Exit code 0: nothing of the import is left to do; 1: something is.
    """
    from importer.review.page import serve
    from importer.review.session import Review

    def show(address: str) -> None:
        click.echo(
            f"review    {address}\nin a browser on this machine; Ctrl-C ends it, and what you typed is kept", err=True
        )
        if opened:
            click.launch(address)

    review = Review(run_id, opt.target_options(given), opt.run_options(given), lambda text: click.echo(text, err=True))
    try:
        serve(review, port=port, idle=idle, opened=show)
    finally:
        review.desk.close()
    return int(ExitCode.DELIVERED if review.is_done else ExitCode.INCOMPLETE)
