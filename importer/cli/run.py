"""`importer run`: plan, confirm, deliver, report."""

from __future__ import annotations

from typing import Any

import click

from importer.cli import completing
from importer.cli.console import ConsoleOptions, finish
from importer.cli.options import (
    console_options,
    delivery_options,
    ledger_options,
    mapping_option,
    out_option,
    output,
    reading_options,
    run_options,
    safety,
    sending_options,
    summary_option,
    target_options,
)
from importer.cli.settings import Command


@click.command("run", cls=Command)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", shell_complete=completing.files)
@mapping_option
@ledger_options
@out_option
@reading_options
@safety("--again", is_flag=True, help="Send rows again that were delivered before.")
@output("--keep-bodies", is_flag=True, help="Keep the bodies of delivered events in the ledger.")
@delivery_options
@console_options
@summary_option
@sending_options
def command(**given: Any) -> int:
    """Deliver the rows of SOURCE as events, and report what became of each.

    \b
    Rehearse, then send for real:
      importer run orders.csv -m orders.yaml --sandbox
      importer run orders.csv -m orders.yaml

    SOURCE is a file, a glob, a directory, or - for standard input; CSV, JSONL or Parquet, compressed or not. The same
    command again, after an interruption, goes on where it stopped. Exit codes: 0 all delivered, 1 some rows were not,
    2 nothing could be done, 3 stopped before the end (`importer resume` goes on).
    """
    from importer.pipeline import program

    options, target = run_options(given), target_options(given)
    return finish(lambda console: program.run(options, target, console), ConsoleOptions.of(given))
