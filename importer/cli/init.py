"""`importer init`: a mapping for a file, written for you."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from importer.cli import options as opt
from importer.cli.console import print_json, wrapped
from importer.cli.settings import Command
from importer.errors import ExitCode, UsageError
from importer.wording import counted, shell_quoted, shown

if TYPE_CHECKING:
    from importer.suggest.advise import Trial
    from importer.suggest.decide import Decision, Draft
    from importer.suggest.profile import Sample
    from importer.suggest.write import Wanted

_WIDTH = 80
_SHOWN = 5
"""Cells of a column that a question shows, and kinds of invalid rows."""


class Answer(click.ParamType[tuple[str, str]]):
    """``currency=EUR``: the name of a question, and its answer."""

    name = "answer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Name and answer."""
        if isinstance(value, tuple):
            return value
        name, found, answer = str(value).partition("=")
        if not (name and found and answer):
            self.fail(f"{value!r} is not QUESTION=ANSWER, such as currency=EUR", param, ctx)
        return name, answer


answer_option = click.option(
    "--answer", "answers", multiple=True, type=Answer(), metavar="QUESTION=ANSWER",
    help="Answer a question beforehand: currency=EUR, subscriber=Email, time-zone=Europe/Vilnius, date-order=dmy, "
         "status=all, key=Id, type=purchase …")  # fmt: skip


@click.command("init", cls=Command)
@click.argument("sources", metavar="SOURCE [SECOND]", nargs=-1, required=True, shell_complete=opt.complete_files)
@click.option("--lookup", metavar="SECOND", shell_complete=opt.complete_files,
              help="A second file, such as a list of customers, in which the mapping looks up what SOURCE does not say."
)  # fmt: skip
@click.option("-o", "--output", "mapping", type=click.Path(path_type=Path, dir_okay=False), metavar="MAPPING",
              help="Where to write the mapping. [default: SOURCE's name with .yaml, here]")  # fmt: skip
@answer_option
@click.option("--yes", is_flag=True, help="Ask nothing: what the file does not say is left open in the mapping.")
@click.option("--force", is_flag=True, help="Overwrite the mapping if it exists.")
def init(
    sources: tuple[str, ...],
    lookup: str | None,
    mapping: Path | None,
    answers: tuple[tuple[str, str], ...],
    *,
    yes: bool,
    force: bool,
) -> int:
    """Write a mapping for SOURCE, with comments that say how certain each line is.

    \b
    From a file to a rehearsal:
      importer init orders.csv
      importer check orders.csv -m orders.yaml
      importer run orders.csv -m orders.yaml --sandbox
    With a list of customers to look addresses up in:
      importer init orders.csv customers.csv

    Looks at the first 5,000 rows. A platform that is recognised by its columns gets a mapping that extends its preset
    (`importer presets` lists them); otherwise names and cells show which column is what. On a terminal it asks about
    what is unclear. What neither the file nor you say (whom an event is about, the currency, whether 03/04 is in March)
    is left open: the mapping has the question, and does not run before it is answered there. Prints the first three
    events that would be sent to stdout; sends nothing. Exit codes: 0 written, 2 the file cannot be read, or the mapping
    exists already.
    """
    wanted = look((*sources, *([lookup] if lookup else [])), mapping)
    if Path(wanted.name).exists() and not force:
        hint = "name another file with -o, or overwrite it with --force"
        raise UsageError(f"{wanted.name} exists already", hint=hint)
    made, trial = decide(wanted, answers, asks=not yes and on_terminal())
    save(made, wanted.name)
    if trial is not None and not made.is_open:
        _say(f"\nthe first {'event' if len(trial.bodies) == 1 else f'{len(trial.bodies)} events'}:")
        for body in trial.bodies:
            print_json(body + b"\n")
    _say(f"\nnext: {'answer what is open in ' + wanted.name + ', then' if made.is_open else ''}".rstrip())
    _say(f"  {wanted.command}")
    return int(ExitCode.DELIVERED)


def on_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def look(sources: tuple[str, ...], mapping: Path | None) -> Wanted:
    """What a mapping for the first file is about, the second one being for lookups; ``mapping`` is where it goes."""
    from importer.suggest.sampling import sample
    from importer.suggest.write import Wanted

    source, *others = sources
    if len(others) > 1:
        raise UsageError(
            f"a mapping is for a file and a second one to look things up in, not for {len(others) + 1}",
            hint="for files of one kind name one of them: the mapping fits the others",
        )
    found = sample(source, _say)
    path = str(mapping or Path(found.name).name.partition(".")[0] + ".yaml")
    check = f"importer check {shell_quoted(source)} -m {shell_quoted(path)}"
    return Wanted(found, path, check, sample(others[0], _say) if others else None)


def decide(wanted: Wanted, answers: tuple[tuple[str, str], ...], *, asks: bool) -> tuple[Draft, Trial | None]:
    """The mapping for what was looked at: say what was found, ask what is unclear, and say what was decided."""
    from importer.suggest.write import write

    _say(_found(wanted.sample))
    made, trial = write(wanted, _ask if asks else None, _say, answers)
    _say(_decided(made, trial, wanted.name))
    return made, trial


def save(made: Draft, path: str) -> None:
    """Write the mapping's file."""
    try:
        Path(path).write_text(made.text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name another file with -o") from None


def _say(text: str) -> None:
    click.echo(text, err=True)


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    return wrapped(text, _WIDTH, rest, first)


def _found(sample: Sample) -> str:
    """The file, and how it is read."""
    rows = counted(sample.rows, "row") if sample.whole else f"more than {counted(sample.rows, 'row')}"
    parts = [
        rows,
        counted(len(sample.columns), "column"),
        f"Excel, sheet {shown(sample.sheet)}"
        if sample.sheet
        else {"csv": "CSV", "jsonl": "JSON lines"}.get(sample.format, "Parquet"),
    ]
    if sample.format == "csv" and not sample.sheet:
        signs = {"\t": "tab", "whitespace": "blanks", ",": "comma", ";": "semicolon", "|": "bar"}
        parts.append(f"delimiter {signs.get(sample.delimiter, sample.delimiter)}")
        parts += [sample.encoding]
    parts += [sample.encoding] if sample.format == "jsonl" else []
    parts += [] if sample.has_header else ["no header"]
    notes = [_wrapped(note, "  ", "  ") for note in sample.notes]
    return "\n".join([_wrapped(f"{shown(sample.name)}: {', '.join(parts)}", rest="  "), *notes])


def _ask(decision: Decision, sample: Sample) -> str:
    """Ask about one decision; an empty answer takes what was chosen, or leaves the question open."""
    _say("\n" + _wrapped(f"{decision.question}?"))
    for number, (name, why) in enumerate(decision.options.items(), start=1):
        reason = f" ({why})" if why else ""
        _say(_wrapped(f"{number}. {name}{reason}{_cells(name, sample)}", "  ", "     "))
    if cells := _cells_named(decision.question, sample):
        _say(cells)
    hint = "a number, or a text" if decision.takes_any else "a number"
    default = "1" if decision.chosen is not None else ""
    left = "" if default else "; Enter leaves it open"
    numbers = {str(number): name for number, name in enumerate(decision.options, start=1)}
    while True:
        answer = str(
            click.prompt(f"Your choice, {hint}{left}", default=default, show_default=bool(default), err=True)
        ).strip()
        if answer in numbers:
            return numbers[answer]
        if not answer or answer in numbers.values() or decision.takes_any:
            return answer
        _say(f"{answer!r} is none of these; give a number from 1 to {len(numbers)}")


def _cells(name: str, sample: Sample) -> str:
    """A few of a column's own cells, where an option is a column."""
    column = sample.column(name)
    if column is None or not column.distinct:
        return ""
    return ", such as " + ", ".join(shown(cell[:40]) for cell in column.distinct[:_SHOWN])


def _cells_named(question: str, sample: Sample) -> str:
    """The cells of the column that a question names."""
    for column in sample.columns:
        if f"`{column.name}`" in question:
            return _wrapped(
                f"`{column.name}` has{_cells(column.name, sample).removeprefix(', such as')}", "  ", "     "
            )
    return ""


def _decided(made: Draft, trial: Trial | None, path: str) -> str:
    """What is written, what deserves a look, and what is open."""
    from importer.suggest.decide import Grade

    head = f"extends the preset {made.preset}" if made.preset else "inferred from names and cells"
    lines = ["", f"{path}: {head}"]
    for grade, title in (
        (Grade.SURE, "sure:"),
        (Grade.LIKELY, "unsure, and worth a look:"),
        (Grade.OPEN, "open, to be answered in the mapping before it runs:"),
    ):
        found = [one for one in made.decisions.values() if one.grade is grade and (grade < Grade.SURE or one.question)]
        lines += [title] if found else []
        for one in found:
            said = one.chosen or f"{one.question}?"
            why = one.options[one.chosen] if one.chosen else _reasons(one)
            reason = f" ({why})" if why and grade < Grade.SURE else ""
            lines.append(_wrapped(f"{one.target}: {said}{reason}", "  ", "    "))
    return "\n".join([*lines, *_tried(trial)])


def _reasons(decision: Decision) -> str:
    """Why it is open; of options with reasons of their own, each."""
    reasons = dict.fromkeys(decision.options.values())
    if len(reasons) > 1 and decision.target == "encoding":
        return "; ".join(f"{name}: {why}" for name, why in decision.options.items())
    return next(iter(reasons), "")


def _tried(trial: Trial | None) -> list[str]:
    """How many of the first rows can be sent, and why others cannot."""
    if trial is None:
        return []
    if not trial.rows:
        return ["", "the file has no rows"]
    good = trial.rows - trial.invalid - trial.filtered
    lines = ["", f"of the first {trial.rows:,} rows, {good:,} can be sent"]
    lines += [f"  {trial.filtered:,} x skipped by the mapping's filter"] if trial.filtered else []
    return lines + [f"  {one.rows:,} x {one.code} ({one.field})" for one in trial.findings[:_SHOWN]]
