"""`importer run`: plan, confirm, deliver, report."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from importer.cli import completing
from importer.cli.manner import Manner, speaking_options
from importer.cli.options import Where, delivery_options, ledger_options, mapping_option, sending_options

if TYPE_CHECKING:
    from importer.deliver import DeliveryOptions


@click.command("run")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", shell_complete=completing.files)
@mapping_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the report goes. [default: importer-runs/RUN]",
)
@click.option(
    "--report-format",
    type=click.Choice(["csv", "jsonl", "parquet"]),
    default="csv",
    show_default=True,
    help="The report's format; rejects keep their source's.",
)
@click.option(
    "--transform",
    default="",
    metavar="FILE:FUNCTION",
    help="Your own Python function, DataFrame in, DataFrame out, called chunk by chunk before the mapping.",
)
@click.option("--strict", is_flag=True, help="Take warnings (a retired currency) for errors.")
@click.option("--again", is_flag=True, help="Send rows once more that were delivered before.")
@click.option("--keep-bodies", is_flag=True, help="Keep the bodies of delivered events in the ledger.")
@delivery_options
@speaking_options
@sending_options
@ledger_options
def command(**given: Any) -> int:  # fmt: skip
    """Deliver the rows of SOURCE as events, and report what became of each.

    \b
    Rehearse, then send for real:
      importer run orders.csv -m orders.yaml --sandbox
      importer run orders.csv -m orders.yaml

    SOURCE is a file, a glob, a directory, or - for standard input; CSV, JSONL or Parquet, compressed or not. The same
    command again, after an interruption, goes on where it stopped. Exit codes: 0 all delivered, 1 some rows were not,
    2 nothing could be done, 3 stopped before the end (`importer resume` goes on).
    """
    from importer.cli.outcome import finish
    from importer.pipeline import program
    from importer.pipeline.options import RunOptions

    options = RunOptions(
        sources=given["sources"],
        mapping=given["mapping"],
        strict=given["strict"],
        transform=given["transform"],
        again=given["again"],
        out=given["out"],
        report_format=given["report_format"],
        keep_bodies=given["keep_bodies"],
        first=given["first"],
        delivery=delivery(given),
    )
    return finish(lambda console: program.run(options, where(given).target(), console), Manner.of(given))


def where(given: dict[str, Any]) -> Where:
    """The options about the destination, out of all that a command was given."""
    return Where(**{field.name: given[field.name] for field in fields(Where)})


def _said(name: str) -> bool:
    """Whether the user gave the option, wherever: a run that goes on keeps what it was begun with otherwise."""
    from click.core import ParameterSource

    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def delivery(given: dict[str, Any]) -> DeliveryOptions:
    """The options about delivery, out of all that a command was given."""
    from importer.cli.timing import schedule
    from importer.deliver import DeliveryOptions

    return DeliveryOptions(
        resend_doubtful=given["on_doubt"] == "resend" if _said("on_doubt") else None,
        strict_order=given["strict_order"],
        max_refused=given["max_refused"],
        most=given["max_events"],
        schedule=schedule(given["until"], given["lasting"], given["between"], datetime.now().astimezone()),
    )
