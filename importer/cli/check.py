"""`importer check`: everything but sending."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from importer.cli import options as opt
from importer.cli.console import ConsoleOptions, TerminalConsole, in_colour, on_screen, print_json
from importer.cli.settings import Command
from importer.errors import ExitCode, UsageError
from importer.wording import shown


@click.command("check", cls=Command)
@click.argument("sources", nargs=-1, metavar="[SOURCE...]", shell_complete=opt.complete_files)
@opt.mapping_option
@opt.accounts_option
@opt.basic("--preview", type=click.IntRange(min=1), metavar="N",
           help="Print the first N bodies, byte for byte as they would be sent, and stop.")  # fmt: skip
@opt.basic("--out", type=opt.Place(path_type=Path, file_okay=False), metavar="DIR",
           help="Also write the report and the rejects there.")  # fmt: skip
@opt.reading_options
@opt.output("--rate", type=click.IntRange(min=1), default=60, show_default=True, metavar="N",
            help="Events a minute, to estimate how long delivery takes.")  # fmt: skip
@opt.summary_option
def check(**given: Any) -> int:
    """Check SOURCE against the mapping and the API's rules, without sending anything.

    \b
    Look at the first three events, then check them all:
      importer check orders.csv -m orders.yaml --preview 3
      importer check orders.csv -m orders.yaml

    Shows each reason with its count, an example and the fix, often the exact line of the mapping to change; unused
    columns; and subscribers, types, values, times and how long delivery will take.

    The mapping's own `tests` run before any file is read; without SOURCE nothing else is checked. Uses neither the API
    nor the ledger. Exit codes: 0 every row could be sent, 1 some could not, 2 the mapping or the input
    cannot be used, or a test fails.
    """
    from importer.pipeline import check
    from importer.pipeline.console import exit_code
    from importer.report import render_summary

    if not given["sources"]:
        name, passed = check.check_mapping(given["mapping"])
        tests = f"all its tests pass ({passed})" if passed else "it has no tests"
        click.echo(f"{shown(name)} is a valid mapping; {tests}", err=True)
        return int(ExitCode.DELIVERED)
    options = opt.run_options(given)
    speech = ConsoleOptions(yes=True, output_format=given["output_format"])
    console = TerminalConsole(speech)
    if given["accounts_file"]:
        from importer.pipeline import accounts
        from importer.report.accounts import render_accounts

        if given["preview"]:
            raise UsageError("--preview and --accounts exclude each other", hint="leave one of them out")
        made, _ = accounts.check(options, accounts.load_accounts(given["accounts_file"]), console)
        console.close()
        speech.print_summary(made)
        click.echo(on_screen(render_accounts(made)), err=True, nl=False)
        return int(made.exit_code)
    if given["preview"]:
        return int(check.preview(options, console.say, given["preview"], lambda body: print_json(body + b"\n")))
    written = check.check(options, console, rate=given["rate"])
    console.close()
    speech.print_summary(written)
    click.echo(render_summary(written, colour=in_colour()), err=True, nl=False)
    return int(exit_code(written))
