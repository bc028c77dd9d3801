"""`importer resolve`: the user's decision on rows in doubt."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import click

from importer.cli import options as opt
from importer.cli.settings import Command
from importer.errors import UsageError
from importer.wording import counted, shown

_Row = tuple[int, str, int, int, str, str]
"""A row in doubt, as `Ledger.doubtful` gives it."""

_YES, _NO = frozenset({"yes", "y", "true", "1", "x"}), frozenset({"no", "n", "false", "0"})
_MOST = 20
"""Lines of decisions that are shown."""


@click.command("resolve", cls=Command)
@click.argument("run_id", required=False, metavar="[RUN]", shell_complete=opt.complete_runs)
@opt.basic("--assume-sent", is_flag=True, help="They arrived: count them as sent.")
@opt.basic("--resend", is_flag=True, help="They did not arrive: put them back into the queue.")
@opt.basic("--give-up", is_flag=True, help="Neither: leave them, and close the run.")
@opt.basic("--note", default="", metavar="TEXT", help="With --give-up: why, for the report.")
@opt.basic("--from", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
           help="Read the decisions from in-doubt.csv or .jsonl: yes or no under `arrived`.")  # fmt: skip
@opt.basic("--row", "rows", multiple=True, metavar="[SOURCE:]ROW", help="Only this row; may be given several times.")
@opt.basic("--yes", "-y", is_flag=True, help="Do not ask.")
@opt.ledger_options
def resolve(run_id: str | None, yes: bool, **given: Any) -> None:
    """Decide on the rows of RUN, or of the newest run, that may or may not have arrived, all or row by row.

    \b
    Check in Sender whether they are there, then:
      importer resolve 20261123-180355-k7 --assume-sent
      importer resolve 20261123-180355-k7 --resend --row orders.csv:17
      importer resolve 20261123-180355-k7 --from in-doubt.csv

    Without any of these options it lists them. Rows put back are sent by `importer resume`.
    """
    from importer.model import State
    from importer.pipeline.find import locked, open_run

    ways = {"assume_sent": State.SENT, "resend": State.PENDING, "give_up": State.FAILED}
    chosen_ways = [state for name, state in ways.items() if given.pop(name)]
    note, file, rows = given.pop("note"), given.pop("file"), given.pop("rows")
    if len(chosen_ways) + (file is not None) > 1:
        raise UsageError("--assume-sent, --resend, --give-up and --from exclude each other", hint="give one of them")
    if note and chosen_ways != [State.FAILED]:
        raise UsageError("--note needs --give-up", hint="leave it out")
    target = opt.target_options(given)
    with open_run(target, run_id) as (ledger, run), locked(ledger, run):
        doubtful = ledger.doubtful(run)
        chosen = _chosen(doubtful, rows)
        way = chosen_ways[0] if chosen_ways else None
        decisions = _read(file, chosen) if file else dict.fromkeys([one[0] for one in chosen], way)
        shown_rows = [one for one in chosen if one[0] in decisions]
        for number, source, row, line, subscriber, code in shown_rows if not file else shown_rows[:_MOST]:
            word = {None: "", State.SENT: "arrived", State.PENDING: "did not arrive"}.get(decisions[number], "")
            place = f"{shown(source)}, row {row} (line {line}), {shown(subscriber)}"
            click.echo(f"{place}: {word if file else code}")
        if not shown_rows:
            decided = f"{shown(str(file))} decides on none of them"
            click.echo(decided if file and doubtful else f"no row of run {run.id} is in doubt", err=True)
            return
        if None in decisions.values():
            command = f"importer resolve {run.id}{target.ledger_option}"
            choice = f"if they are in Sender:\n  {command} --assume-sent\nif not:\n  {command} --resend"
            click.echo(f"\n{counted(len(chosen), 'row')} in doubt; {choice}", err=True)
            return
        parts = {state: [number for number, word in decisions.items() if word is state] for state in ways.values()}
        words = {
            State.SENT: "to count as sent",
            State.PENDING: "to go back into the queue, and perhaps to arrive twice",
            State.FAILED: "to be given up",
        }
        click.echo(err=True)
        for state, numbers in parts.items():
            if numbers:
                click.echo(f"{counted(len(numbers), 'row')} {words[state]}", err=True)
        if not yes and not click.confirm("Go on?", default=False, err=True):
            return
        count = sum(ledger.resolve(run, state, numbers, note=note) for state, numbers in parts.items() if numbers)
        then = f"; `importer resume {run.id}{target.ledger_option}` sends them" if parts[State.PENDING] else ""
        click.echo(f"{counted(count, 'row')} resolved{then}", err=True)


def _chosen(doubtful: list[_Row], rows: tuple[str, ...]) -> list[_Row]:
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


def _read(file: Path, doubtful: list[_Row]) -> dict[int, Any]:
    """The decisions that a file of rows in doubt holds, by ledger id; rows without a word stay in doubt."""
    from importer.model import State

    known = {(source, str(row)): number for number, source, row, *_ in doubtful}
    decisions: dict[int, Any] = {}
    for line, (run_row, word) in enumerate(_words(file), start=2):
        plain = word.strip().casefold()
        if not plain:
            continue
        if plain not in _YES | _NO:
            raise UsageError(
                f"{shown(str(file))}, record {line}: arrived is {shown(word)!r}",
                hint="write yes or no, or leave it empty",
            )
        if run_row in known:  # the others are parts of groups, or were resolved before
            decisions[known[run_row]] = State.SENT if plain in _YES else State.PENDING
    return decisions


def _words(file: Path) -> list[tuple[tuple[str, str], str]]:
    """Source, row and the word under ``arrived``, record by record."""
    from importer.roundtrip import JSON_KEY, original_cell

    data = file.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    try:
        if text.startswith("{"):
            notes = [json.loads(line)[JSON_KEY] for line in text.splitlines() if line.strip()]
            return [((str(note["source"]), str(note["row"])), str(note.get("arrived", ""))) for note in notes]
        header = text.partition("\n")[0]
        delimiter = max(",;\t|", key=header.count)
        records = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
        return [
            ((original_cell(one["importer_source"]), original_cell(one["importer_row"])), one["arrived"] or "")
            for one in records
        ]
    except (KeyError, TypeError, ValueError, csv.Error):
        raise UsageError(
            f"{shown(str(file))} is no file of rows in doubt: it lacks importer_source, importer_row or arrived",
            hint="take the in-doubt file that the run's report wrote, and write yes or no under `arrived`",
        ) from None
