"""The program: plan, confirm, deliver, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from importer import report
from importer.deliver import StopReason
from importer.errors import ExitCode, LedgerError
from importer.ledger.ledger import Ledger
from importer.ledger.repeats import PendingElsewhere
from importer.mapping.load import LoadedMapping
from importer.model import Run, RunState, State
from importer.pipeline import connect, find, outputs
from importer.pipeline.connect import Target, open_ledger, resolve_target
from importer.pipeline.console import Console, Result
from importer.pipeline.options import RunOptions, TargetOptions
from importer.pipeline.prepare import prepare_stored
from importer.pipeline.send import DeliveryJob, ledger_failed, send
from importer.plan import plan
from importer.report import ReportOptions
from importer.report.model import MappingAdvice, ReasonSummary
from importer.wording import counted


def run(options: RunOptions, target: TargetOptions, console: Console) -> Result:
    """Plan the sources, or find the run that the same command began; then confirm, deliver and report.

    Raises `MappingError`, `UsageError` or `LedgerError` where nothing can be done; nothing was sent then.
    """
    loaded = options.load_mapping()
    _look_ahead(target, console)
    with open_ledger(target, console.say) as ledger:
        unfinished = find.find_unfinished(ledger, options, loaded)
        current = unfinished or find.create(ledger, options, loaded)
        with find.locked(ledger, current, wait=options.wait, say=console.say):
            if unfinished:
                console.say(f"run {current.id} of the same files and mapping was interrupted; it goes on from there")
            else:
                current = _plan(ledger, current, options, loaded, console)
            return _deliver_and_report(ledger, current, options, target, console)


def resume(run_id: str | None, options: RunOptions, target: TargetOptions, console: Console) -> Result:
    """Go on with a run that stopped; the newest unfinished one of the account, if none is named."""
    target = find.target_of(target, run_id) if run_id else target
    _look_ahead(target, console)
    with open_ledger(target, console.say) as ledger:
        current = find.planned(ledger, run_id) if run_id else find.newest_unfinished(ledger)
        with find.locked(ledger, current, wait=options.wait, say=console.say):
            return _deliver_and_report(ledger, current, options.of_run(current), target, console)


def retry(run_id: str | None, options: RunOptions, target: TargetOptions, console: Console) -> Result:
    """Send again what the API refused, or what failed; of the newest run of the account, if none is named."""
    target = find.target_of(target, run_id) if run_id else target
    _look_ahead(target, console)
    with open_ledger(target, console.say) as ledger:
        current = find.planned(ledger, run_id or find.newest(ledger).id)
        with find.locked(ledger, current, wait=options.wait, say=console.say):
            failed = ledger.counts(current)[State.FAILED]
            again, repeated = ledger.retry(current)
            console.say(f"{counted(again, 'refused or failed row')} of run {current.id} to be sent again")
            if failed and again:
                console.say(
                    f"warning: {counted(failed, 'row')} of it failed, and may have been accepted: check in Sender"
                )
            if repeated:
                console.say(f"{counted(repeated, 'row')} of it left out: a later run has delivered them")
            return _deliver_and_report(ledger, current, options.of_run(current), target, console)


def _look_ahead(target: TargetOptions, console: Console) -> None:
    """Find what would stop the run at its first request, before hours of reading."""
    connect.check(target, console.say)
    if target.sandbox is None:
        console.require_answer()


def _plan(ledger: Ledger, current: Run, options: RunOptions, loaded: LoadedMapping, console: Console) -> Run:
    """Read everything into the ledger. If it is interrupted, nothing of the run is left."""
    with planning(lambda: [(ledger, current)]):
        prepared = prepare_stored(
            options.readable,
            loaded.mapping,
            options.reading(raw_rows=True),
            console.say,
            ledger.hasher,
            partial(ledger.places, current),
        )
        with closing(prepared) as sources:
            plan(ledger, current, sources, console.read)
        current = ledger.seal(current, again=options.again)
    for note in ledger.repeats(current):
        console.say(note)
    return current


@contextmanager
def planning(runs: Callable[[], Iterable[tuple[Ledger, Run]]]) -> Iterator[None]:
    """Leave nothing of runs whose planning is interrupted. A ledger that fails meanwhile stops them: exit code 3."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, LedgerError):
            error.exit_code = ExitCode.STOPPED
        with suppress(LedgerError):  # the next run forgets what cannot be discarded now
            for ledger, run in runs():
                ledger.discard(run)
        raise


def _deliver_and_report(
    ledger: Ledger, current: Run, options: RunOptions, target: TargetOptions, console: Console
) -> Result:
    """Deliver what is pending, then report every row; the report is written however the delivery ends.

    A rehearsal's sandbox is there until the console has shown how it ended.
    """
    out = options.out or Path("importer-runs") / current.id
    with ExitStack() as until_shown:
        here = until_shown.enter_context(outputs.made_for(out))
        ended, page = StopReason(""), ""
        try:
            if take_up(ledger, current, options, console):
                api = until_shown.enter_context(resolve_target(target, here / outputs.EVENTS))
                page = "" if options.brief else api.page
                if page:
                    console.say(f"the sandbox shows what arrives at {page}")
                ended = _send_alone(ledger, current, options, target, api, console)
                if ended.declined:
                    ledger.take_back(current)
            left = ledger.has_pending(current)
        except LedgerError as error:
            ended, left = ledger_failed(error), True
        # A reason that came when all was sent does not matter, but a command with several runs must know of a signal.
        ended = ended if left else StopReason("", interrupted=ended.interrupted)
        named = replace(options, out=out)
        result = replace(write_report(ledger, current, ended, named, target, here, console), page=page)
        console.conclude(result)
        return result


def write_report(  # noqa: PLR0913, PLR0917  # what it is about, and where it goes
    ledger: Ledger,
    current: Run,
    ended: StopReason,
    options: RunOptions,
    target: TargetOptions,
    here: Path,
    console: Console,
) -> Result:
    """Report what became of every row, however the delivery ended; made in ``here``, for ``options.out``."""
    assert options.out is not None
    ended = replace(ended, hint=target.addressed(ended.hint, current))
    made = ReportOptions(
        here,
        options.report_format,
        rejects_format=options.rejects_format,
        ledger_option=target.ledger_option,
        out_afterwards=options.out_afterwards or options.out,
    )
    try:
        left = ledger.has_pending(current)
        current = _stopped(ledger, current, ended)
        reported = current if left else replace(current, state=RunState.FINISHED)
        written = report.write(ledger, reported, made, partial(_advise, current))
        if not left:
            current = ledger.set_state(current, RunState.FINISHED)
            if not options.keep_bodies:
                ledger.drop_bodies(current)
        written = outputs.publish(written, here, options.out)
        elsewhere = ledger.pending_elsewhere(current) if written.counts[State.DUPLICATE] else ()
    except LedgerError as error:
        if ended.reason:
            error.exit_code = ExitCode.STOPPED
        raise
    for other in elsewhere:
        console.say(f"warning: {_waiting(other, target)}")
    return Result(current, written, ended, elsewhere=sum(other.rows for other in elsewhere))


def _stopped(ledger: Ledger, current: Run, ended: StopReason) -> Run:
    """The run, as stopped until its report is written: if that is interrupted, the same command goes on."""
    try:
        return ledger.set_state(current, RunState.STOPPED, stop_reason=ended.reason)
    except LedgerError:
        if not ended.reason:
            raise
        # A ledger that takes nothing, such as a locked one, may still be read.
        return replace(current, state=RunState.STOPPED, stop_reason=ended.reason)


def _waiting(other: PendingElsewhere, target: TargetOptions) -> str:
    rows = f"{counted(other.rows, 'row')} of these files"
    if other.alive:
        return f"{rows} are being sent by run {other.run_id} now"
    command = f"importer {'resolve' if other.in_doubt else 'resume'} {other.run_id}{target.ledger_option}"
    return f"{rows} wait in run {other.run_id}, which has stopped: `{command}`"


def take_up(ledger: Ledger, current: Run, options: RunOptions, console: Console) -> bool:
    """Put in doubt, or back into the queue, what an earlier delivery left under way; whether rows are pending."""
    if not options.delivery.resend_doubtful:
        ledger.take_back(current, doubts=True)
    elif again := ledger.release(current):
        console.say(f"{counted(again, 'row')} in doubt to be sent again, as --on-doubt resend asks")
    return ledger.has_pending(current)


def _send_alone(  # as `send`
    ledger: Ledger, current: Run, options: RunOptions, target: TargetOptions, api: Target, console: Console
) -> StopReason:
    """Send, if no other machine sends for the account."""
    with find.sending(ledger, current, wait=options.wait, say=console.say) as other:
        if other:
            hint = f"`importer resume {current.id} --wait` waits for it"
            return StopReason(f"{other} sends for this account now", hint=hint)
        job = DeliveryJob(ledger, current, options, target, api, console)
        return send([job], console, lambda forecasts: console.confirm(forecasts[0]))[0]


def _advise(run: Run, reasons: Sequence[ReasonSummary]) -> tuple[MappingAdvice | None, ...]:
    from importer.suggest.advise import advise_run  # a run without problems needs none of it

    return advise_run(run, reasons)
