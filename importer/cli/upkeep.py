"""`importer doctor`, `prune`, `forget` and `ledger`: whether a live run would do, and the care of the ledger."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from importer.cli import options as opt
from importer.cli.console import wrapped
from importer.cli.settings import Command
from importer.errors import ExitCode, LedgerError, UsageError
from importer.wording import counted, shown

if TYPE_CHECKING:
    from importer.pipeline.options import TargetOptions

_MARGIN = 16


@click.command("doctor", cls=Command)
@opt.basic("--repair", is_flag=True, help="Keep what can be read of a ledger that is damaged or has lost commits.")
@opt.sending_options
@opt.ledger_options
def doctor(repair: bool, **given: Any) -> int:
    """Check everything that a live run needs, without sending anything.

    \b
    Before the first run, and when something is strange:
      importer doctor

    Checks the token, the API and its limit, the clock, the ledger and the disk, and says what to do about each problem.
    The token is never printed. With --repair, what can be read of a damaged or outdated ledger is kept; rows whose
    outcome is lost become in doubt. Exit codes: 0 a live run can start, 1 it cannot.
    """
    from importer.pipeline.doctor import Severity, examine

    target = _existing_target(given) if repair else opt.target_options(given)
    if repair:
        from importer.ledger.copy import repair as repaired

        for sentence in repaired(target.ledger) or [f"{target.ledger} is whole; nothing to repair"]:
            click.echo(_fitted(sentence, 0))
    failed = False
    for finding in examine(target):
        failed = failed or finding.verdict is Severity.FAIL
        click.echo(_fitted(f"{finding.verdict.value:<4}  {finding.name:<8}  {finding.text}", 0))
        if finding.advice:
            click.echo(_fitted(f"do: {finding.advice}", _MARGIN))
    return int(ExitCode.INCOMPLETE if failed else ExitCode.DELIVERED)


@click.command("prune", cls=Command)
@opt.basic("--older-than", required=True, type=opt.Duration(), metavar="TIME",
           help="Runs that ended longer ago than this: 90d.")  # fmt: skip
@opt.basic("--yes", "-y", is_flag=True, help="Do not ask.")
@opt.basic("--dry-run", is_flag=True, help="Print what would be deleted, and end.")
@opt.ledger_options
def prune(older_than: float, yes: bool, dry_run: bool, **given: Any) -> None:
    """Delete the details of old runs, to keep the ledger small.

    \b
    Once a month, from cron:
      importer prune --older-than 90d --yes

    Of a run that has finished it drops the events, the original rows and the answers. Its totals stay, and so does all
    that keeps a row or a key from being sent twice. Runs with rows in doubt, or still to be sent, are left alone, and
    so are reports in files.
    """
    from importer.pipeline import prune as pruning
    from importer.pipeline.connect import open_ledger

    with open_ledger(_existing_target(given)) as ledger:
        choice = pruning.choose(ledger, time.time() - older_than)
        for run in choice.kept:
            click.echo(f"run {run.id} is kept: it has rows in doubt or still to be sent", err=True)
        if not choice.runs:
            click.echo("no run is old enough; nothing is forgotten", err=True)
            return
        click.echo(f"{counted(len(choice.runs), 'run')} with {counted(choice.rows, 'row')} to be forgotten", err=True)
        if choice.undelivered:
            click.echo(f"{choice.undelivered:,} of them were refused or failed, and cannot be retried then", err=True)
        if dry_run or not _agreed("prune", "Go on?", yes=yes):
            return
        try:
            freed = pruning.forget(ledger, choice.runs)
        except LedgerError as error:
            words = f"warning: the file is as large as before: {error.message}; the next runs use the room"
            click.echo(words, err=True)
            return
        click.echo(f"{counted(len(choice.runs), 'run')} forgotten, {max(0, freed) / 1e6:,.1f} MB freed", err=True)


@click.command("forget", cls=Command)
@opt.basic("--subscriber", required=True, metavar="X", help="Their e-mail address, phone number or id, as it was sent.")
@opt.basic("--yes", "-y", is_flag=True, help="Do not ask.")
@opt.ledger_options
def forget(subscriber: str, yes: bool, **given: Any) -> None:
    """Remove a person from the ledger; rows that were sent are still never sent again.

    \b
    When a person asks to be forgotten:
      importer forget --subscriber ada@example.com

    Takes their address, the bodies of their events and the original rows out of all runs of this account, and out of
    its rehearsals. Keyed hashes stay, which say that a row or a key was sent. Reports and rejects in files are yours to
    delete.
    """
    from importer.pipeline.connect import open_ledger
    from importer.sandbox import SandboxOptions

    target = _existing_target(given)
    if not _agreed("forget", f"Forget {shown(subscriber)} for good?", yes=yes):
        return
    count = 0
    for one in [target] if target.sandbox else [target, replace(target, sandbox=SandboxOptions())]:
        with open_ledger(one) as ledger:
            count += ledger.forget(subscriber)
    click.echo(f"{counted(count, 'row')} of {shown(subscriber)} forgotten", err=True)


@click.command("ledger", cls=Command)
@click.argument("action", type=click.Choice(["copy"]), metavar="copy")
@click.argument("source", metavar="FROM", type=opt.Ledger(path_type=Path, dir_okay=False))
@click.argument("target", metavar="TO", type=opt.Ledger(path_type=Path, dir_okay=False))
def ledger(action: str, source: Any, target: Any) -> None:
    """Copy a ledger into another database, with all that keeps a row or a key from being sent twice.

    \b
    From this machine's file into PostgreSQL, while no importer runs:
      importer ledger copy ledger.db postgresql://importer@db.example.com/importer

    TO must be empty. Afterwards name it with --ledger or IMPORTER_LEDGER everywhere, and put FROM away.
    """
    from importer.ledger.copy import copy_ledger

    del action  # there is one
    runs, rows = copy_ledger(source, target)
    click.echo(f"{counted(runs, 'run')} with {counted(rows, 'row')} copied from {source} to {target}", err=True)
    click.echo("\nnext\n  set IMPORTER_LEDGER to the new ledger everywhere, and put the old one away:"
               "\n  a run that still uses it sends again what the new one has sent since", err=True)  # fmt: skip


def _existing_target(given: dict[str, Any]) -> TargetOptions:
    """The target of a ledger that is there; raises `UsageError` if it is not."""
    target = opt.target_options(given)
    if not target.ledger.exists():
        raise UsageError(f"there is no ledger {target.ledger}", hint="--ledger names another one")
    return target


def _agreed(command: str, question: str, *, yes: bool) -> bool:
    """Whether the user agrees to what cannot be undone; raises `UsageError` without a terminal."""
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"{command} asks, and there is no terminal to ask on", hint="give --yes if this is meant")
    return yes or click.confirm(question, default=False, err=True)


def _fitted(line: str, margin: int) -> str:
    """On a terminal broken between words, below where it began; in a pipe one line each."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    return wrapped(line, width, " " * _MARGIN, " " * margin)
