"""`importer init`: a mapping for a file, written for you."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from importer.cli import completing
from importer.cli.settings import Command
from importer.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from importer.pipeline.draft import Drafted, Trial
    from importer.suggest import Decision


@click.command("init", cls=Command)
@click.argument("source", metavar="SOURCE", shell_complete=completing.files)
@click.option(
    "-o",
    "--output",
    "mapping",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="MAPPING",
    help="Where to write the mapping. [default: SOURCE's name with .yaml, here]",
)
@click.option("--yes", is_flag=True, help="Ask nothing: decide, and mark what is unsure in the mapping.")
@click.option("--force", is_flag=True, help="Overwrite the mapping if it exists.")
def command(source: str, mapping: Path | None, *, yes: bool, force: bool) -> int:
    """Write a mapping for SOURCE, with comments that say how sure each line is.

    \b
    From a file to a rehearsal, with nothing to edit:
      importer init orders.csv
      importer check orders.csv -m orders.yaml
      importer run orders.csv -m orders.yaml --sandbox

    Looks at the first 5,000 rows. A platform that is recognised by its columns gets a mapping that extends its preset
    (`importer presets` lists them); otherwise names and cells tell which column is what. On a terminal it asks about
    what is unclear. Prints the first three events that would be sent to stdout; sends nothing. Exit codes: 0 written,
    2 the file cannot be read, or the mapping exists already.
    """
    from importer.pipeline import draft
    from importer.pipeline.sampling import sample

    sampled = sample(source, _say)
    path = mapping or Path(Path(sampled.sample.name).name.partition(".")[0] + ".yaml")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already", hint="name another file with -o, or overwrite it with --force")
    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    wanted = draft.Wanted(sampled, str(path), f"importer check {_quoted(source)} -m {_quoted(str(path))}")
    drafted = draft.draft(wanted, _ask if asks else None, _say)
    try:
        path.write_text(drafted.inferred.text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name another file with -o") from None
    _say(_told(drafted, path, wanted.command))
    for body in drafted.trial.bodies:
        sys.stdout.buffer.write(body + b"\n")
    sys.stdout.buffer.flush()
    return int(ExitCode.DELIVERED)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _quoted(argument: str) -> str:
    import shlex

    return shlex.quote(argument)


def _ask(decision: Decision) -> str:
    """Ask about one decision; an empty answer takes what was chosen."""
    options = [decision.chosen, *decision.others]
    _say(f"\n{decision.question}?")
    for number, option in enumerate(options, start=1):
        _say(f"  {number}. {option.name}  ({round(100 * option.confidence)}%: {option.reason})")
    hint = "a number, or a text" if decision.takes_any else "a number"
    numbers = {str(number): option.name for number, option in enumerate(options, start=1)}
    while True:
        answer = str(click.prompt(f"Your choice, {hint}", default="1", err=True)).strip()
        if answer in numbers:
            return numbers[answer]
        if answer in numbers.values() or (decision.takes_any and answer):
            return answer
        _say(f"{answer!r} is none of these; give a number from 1 to {len(options)}")


def _told(drafted: Drafted, path: Path, check: str) -> str:
    """What was written, what is unsure, and what to do next."""
    inferred = drafted.inferred
    lines = [f"{path}: extends the preset {inferred.preset}" if inferred.preset else f"{path}: inferred from the rows"]
    for decision in inferred.decisions:
        if not decision.is_unsure:
            percent = round(100 * decision.chosen.confidence)
            lines.append(f"  {decision.target}: {decision.chosen.name} ({percent}% sure)")
    unsure = [one for one in inferred.decisions if one.is_unsure]
    if unsure:
        lines += ["", "unsure, and worth a look:"]
        lines += [f"  {one.target}: {one.chosen.name} ({round(100 * one.chosen.confidence)}%), {one.chosen.reason}"
                  for one in unsure]  # fmt: skip
    return "\n".join([*lines, "", *_tried(drafted.trial), "", "next:", f"  {check}"])


def _tried(trial: Trial) -> list[str]:
    """How the first rows fare."""
    lines = [f"of the first {trial.rows:,} rows, {trial.valid:,} can be sent" if trial.rows else "the file has no rows"]
    lines += [f"  {trial.filtered:,} x left out by the mapping's where"] if trial.filtered else []
    lines += [f"  {count:,} x {finding.code} ({finding.field})" for finding, count in trial.findings[:5]]
    if trial.bodies:
        lines += ["", f"the first {'event' if len(trial.bodies) == 1 else f'{len(trial.bodies)} events'}:"]
    return lines
