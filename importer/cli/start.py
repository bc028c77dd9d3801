"""`importer start`: from a file to a rehearsal, and on to a live run, step by step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from importer import TOKEN_VARIABLE
from importer.cli import options as opt
from importer.cli.console import in_colour, refuse_without_terminal
from importer.cli.init import answer_option, decide, look, on_terminal, save
from importer.cli.settings import Command, config_of
from importer.errors import ExitCode, UsageError
from importer.wording import counted, event_in_words, shell_quoted, shown

if TYPE_CHECKING:
    from importer.suggest.write import Wanted

_WHOM = ("subscriber", "lookups")
"""Decisions on whom events are about."""
_EVENTS = 3
_PASSED_ON = ("account", "endpoint", "ledger", "token_file")


@click.command("start", cls=Command)
@click.argument("sources", metavar="FILE [SECOND]", nargs=-1, required=True, shell_complete=opt.complete_files)
@opt.basic("-o", "--output", "mapping", type=click.Path(path_type=Path, dir_okay=False), metavar="MAPPING",
           help="Where to write the mapping; one that is there is used. [default: FILE's name with .yaml, here]"
)  # fmt: skip
@answer_option
@opt.basic("--live/--no-live", default=None, help="Whether to go live after the rehearsal, instead of the question.")
@opt.basic("--yes", "-y", is_flag=True, help="Ask nothing; with --live, send without a question.")
@opt.account_options
@opt.token_option
def start(
    sources: tuple[str, ...],
    mapping: Path | None,
    answers: tuple[tuple[str, str], ...],
    *,
    live: bool | None,
    yes: bool,
    **given: Any,
) -> int:
    """Go from FILE to a rehearsal, and on to a live run, one step after the other.

    \b
    It asks what FILE does not say, and sends nothing to anyone before you agree:
      importer start orders.csv
    The same without a question:
      importer start orders.csv --answer currency=EUR --answer time-zone=Europe/Vilnius --yes

    The steps are `importer init`, `check`, `run --sandbox` and `run`; each command is shown before it runs, so that you
    can repeat it. SECOND is a list of customers to look addresses up in. Exit codes are those of the last step.
    """
    asks = not yes and on_terminal()
    if live and not (yes or asks):
        refuse_without_terminal()
    wanted = look(sources, mapping)
    if not wanted.sample.rows:
        raise UsageError(f"{shown(wanted.sample.name)} has no rows", hint="start with a file that has some")
    work = [sources[0], "-m", wanted.name, *config_of(click.get_current_context())]
    _head("1. What the file is, and what its rows become")
    if Path(wanted.name).exists():
        if answers:
            raise UsageError(
                f"{wanted.name} exists already, so nothing is asked",
                hint="leave out --answer, or name another mapping with -o",
            )
        click.echo(f"{shown(wanted.name)} exists already, and is used as it is", err=True)
    else:
        _write_mapping(wanted, [*sources, *(["-o", str(mapping)] if mapping else [])], answers, asks=asks)
    _show_events(sources[0], wanted.name)
    _head("2. Check every row")
    if (code := _do("check", *work)) == ExitCode.UNUSABLE:
        return code
    _head("3. Rehearse on this machine: nothing leaves it")
    work += _typed(click.get_current_context())
    code = _do("run", *work, "--sandbox", *([] if asks else ["--yes"]))
    if code not in (ExitCode.DELIVERED, ExitCode.INCOMPLETE):
        return code
    _head("4. Go live")
    if not (given["token_file"] or os.environ.get(TOKEN_VARIABLE)):
        click.echo(
            f"no token is set. Make one in Sender (Settings, API access tokens), put it into {TOKEN_VARIABLE}, then",
            err=True,
        )
    else:
        question = "The rehearsal is over. Go live? You see what will be sent, and are asked again"
        if live is None:
            live = asks and click.confirm(question, default=False, err=True)
        if live:
            return _do("run", *work, *(["--yes"] if yes else []))
        click.echo("nothing was sent. Once the rehearsal looks right", err=True)
    click.echo(f"  importer {_quoted('run', *work)}", err=True)
    return code


def _write_mapping(wanted: Wanted, named: list[str], answers: tuple[tuple[str, str], ...], *, asks: bool) -> None:
    """Write the mapping that `importer init` writes with these answers, if they leave nothing open.

    Raises `UsageError` for what only the user can say; whom the events are about is never taken from a guess.
    """
    from importer.suggest.decide import Grade
    from importer.suggest.write import answer_name

    made, _ = decide(wanted, answers, asks=asks)
    decisions = made.decisions.values()
    guessed = [one for one in decisions if one.grade is Grade.LIKELY and one.target.startswith(_WHOM)]
    if missing := [one for one in decisions if one.chosen is None or (one in guessed and one.question)]:
        lines = []
        for one in missing:
            options = [shown(name) for name in one.options]
            lines.append(f"  --answer {answer_name(one.target)}={'|'.join(options) or '…'}  {one.question}?")
        raise UsageError(
            f"{counted(len(missing), 'question')} must be answered before there is a mapping\n" + "\n".join(lines),
            hint="add these options, or run this on a terminal, which asks",
        )
    save(made, wanted.name)
    answered = (f"{answer_name(target)}={answer}" for target, answer in made.answers.items())
    said = [part for one in answered for part in ("--answer", one)]
    click.echo(f"\n$ importer {_quoted('init', *named, *said, '--yes')}", err=True)


def _show_events(source: str, mapping: str) -> None:
    """The first three events in plain words."""
    from importer.pipeline.check import preview
    from importer.pipeline.options import RunOptions

    bodies: list[bytes] = []
    preview(RunOptions((source,), mapping), lambda _: None, _EVENTS, bodies.append)
    click.echo(f"\nthe first {counted(len(bodies), 'event')}:" if bodies else "\nno row becomes an event", err=True)
    for body in bodies:
        click.echo("\n".join(f"  {line}" for line in event_in_words(body)), err=True)


def _head(text: str) -> None:
    click.echo(f"\n{click.style(text, bold=True) if in_colour() else text}", err=True)


def _do(*arguments: str) -> int:
    """Run a command as if it were typed, having shown it; returns its exit code. Raises what the command raises."""
    from importer.cli import group

    click.echo(f"$ importer {_quoted(*arguments)}", err=True)
    return int(group.main(args=list(arguments), prog_name="importer", standalone_mode=False) or 0)


def _quoted(*arguments: str) -> str:
    return " ".join(map(shell_quoted, arguments))


def _typed(ctx: click.Context) -> list[str]:
    """The options of the place that were typed: the other commands find what variables and files say by themselves."""
    return [
        part
        for name in _PASSED_ON
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        for part in (f"--{name.replace('_', '-')}", str(ctx.params[name]))
    ]
