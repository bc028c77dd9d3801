"""The program: plan, confirm, deliver, report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from importer import report
from importer.deliver import StopReason
from importer.errors import ExitCode
from importer.ledger.sqlite import SqliteLedger
from importer.mapping.load import LoadedMapping, load
from importer.model import Run, RunState, State
from importer.pipeline import connect, find
from importer.pipeline.check import exit_code
from importer.pipeline.connect import open_ledger, resolve_target
from importer.pipeline.options import Console, RunOptions, TargetOptions
from importer.pipeline.prepare import ReadOptions, prepare_sources
from importer.pipeline.send import send
from importer.plan import plan
from importer.report import ReportOptions, Written
from importer.suggest.advise import advise_run
from importer.wording import counted


@dataclass(frozen=True, slots=True)
class Result:
    """What a command leaves behind."""

    run: Run
    written: Written
    ended: StopReason

    @property
    def exit_code(self) -> ExitCode:
        """The design's table of exit codes."""
        if self.ended.reason:
            return ExitCode.STOPPED
        return exit_code(self.written, ready=False)


def run(options: RunOptions, target: TargetOptions, console: Console) -> Result:
    """Plan the sources, or find the run that the same command began; then confirm, deliver and report.

    Raises `MappingError`, `UsageError` or `LedgerError` where nothing can be done; nothing was sent then.
    """
    loaded = load(options.mapping)
    _prepare(target, console)
    with open_ledger(target) as ledger:
        unfinished = find.find_unfinished(ledger, options, loaded)
        current = unfinished or find.create(ledger, options, loaded)
        with find.locked(ledger, current):
            if unfinished:
                console.say(
                    f"run {current.id} of the same files and mapping was interrupted; it goes on where it stopped"
                )
            else:
                current = _plan(ledger, current, options, loaded, console)
            return _finish(ledger, current, options, target, console)


def resume(run_id: str | None, options: RunOptions, target: TargetOptions, console: Console) -> Result:
    """Go on with a run that stopped; the newest unfinished one, if none is named."""
    _prepare(target, console)
    with open_ledger(target) as ledger:
        current = find.planned(ledger, run_id) if run_id else find.newest_unfinished(ledger)
        with find.locked(ledger, current):
            return _finish(ledger, current, options.of_run(current), target, console)


def retry(run_id: str, options: RunOptions, target: TargetOptions, console: Console) -> Result:
    """Send what the API refused, or what failed, once more."""
    _prepare(target, console)
    with open_ledger(target) as ledger:
        current = find.planned(ledger, run_id)
        with find.locked(ledger, current):
            failed = ledger.counts(current)[State.FAILED]
            again, repeated = ledger.retry(current)
            console.say(f"{counted(again, 'refused or failed row')} of run {current.id} to be sent once more")
            if failed and again:
                console.say(
                    f"warning: {counted(failed, 'row')} of it failed, and may have been accepted: look in Sender"
                )
            if repeated:
                console.say(f"{counted(repeated, 'row')} of it delivered by a later run meanwhile, and left alone")
            return _finish(ledger, current, options.of_run(current), target, console)


def _prepare(target: TargetOptions, console: Console) -> None:
    """Whatever would stop the run before its first request is found out before hours of reading."""
    connect.check(target, console.say)
    if target.sandbox is None:
        console.require_answer()


def _plan(ledger: SqliteLedger, current: Run, options: RunOptions, loaded: LoadedMapping, console: Console) -> Run:
    """Read everything into the ledger. Whatever interrupts it, nothing of the run is left."""
    reading = ReadOptions(strict=options.strict, raw_rows=True, transform=options.transform)
    try:
        plan(ledger, current, prepare_sources(options.sources, loaded.mapping, reading, console.say), console.read)
        current = ledger.seal(current, again=options.again)
    except BaseException:
        ledger.discard(current)
        raise
    for note in ledger.repeats(current):
        console.say(note)
    return current


def _finish(ledger: SqliteLedger, current: Run, options: RunOptions, target: TargetOptions, console: Console) -> Result:
    """Deliver what is pending, then tell what became of every row; the report is written however delivery ends."""
    out = options.out or Path("importer-runs") / current.id
    report.prepare(out)  # a directory that cannot be written to is found out before anything is sent
    ended = StopReason("")
    if not options.delivery.resend_doubtful:
        ledger.take_back(current, doubts=True)
    elif again := ledger.release(current):
        console.say(f"{counted(again, 'row')} in doubt to be sent again, as --on-doubt resend asks")
    if ledger.has_pending(current):
        with resolve_target(target, out / "sandbox-events.jsonl") as way:
            if way.page and not options.brief:
                console.say(f"the sandbox shows what arrives at {way.page}")
            ended = send(ledger, current, options, target, way, console)
        if ended.declined:
            ledger.take_back(current)
    left = ledger.has_pending(current)
    # Whatever stopped it came too late to matter, but who runs several files must know that it was asked to stop.
    ended = replace(ended, hint=target.addressed(ended.hint))
    ended = ended if left else StopReason("", interrupted=ended.interrupted)
    # A run counts as stopped until its report is written: if that is interrupted, the same command goes on with it.
    current = ledger.set_state(current, RunState.STOPPED, stop_reason=ended.reason)
    told = current if left else replace(current, state=RunState.FINISHED)
    outputs = ReportOptions(out, options.report_format, scope_options=target.scope_options)
    written = report.write(ledger, told, outputs, partial(advise_run, current))
    if not left:
        current = ledger.set_state(current, RunState.FINISHED)
        if not options.keep_bodies:
            ledger.drop_bodies(current)
    return Result(current, written, ended)
