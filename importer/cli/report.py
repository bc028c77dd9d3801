"""`importer report`: write a run's report again, from the ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from importer.cli import completing
from importer.cli.console import in_colour
from importer.cli.options import Place, basic, ledger_options, target_options
from importer.cli.settings import Command
from importer.errors import UsageError

if TYPE_CHECKING:
    from importer.model import Format, Run
    from importer.remote import RemotePath

_FORMATS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}


@click.command("report", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=completing.runs)
@basic("-o", "--output", type=Place(path_type=Path), metavar="FILE|DIR",
       help="A .csv, .jsonl or .parquet file, or a directory for all outputs. [default: CSV on stdout]")  # fmt: skip
@basic("--open", "opened", is_flag=True,
       help="Write all outputs, then show report.html in a browser. [default directory: where the run's reports went]"
)  # fmt: skip
@ledger_options
def command(run_id: str | None, output: Path | RemotePath | None, *, opened: bool, **given: Any) -> None:
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
    target = target_options(given)
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
