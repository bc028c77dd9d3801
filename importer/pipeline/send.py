"""Delivering a run: the forecast and the question, signals, and the event loop around it all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from importer.deliver import DeliveryOptions, Progress, StopReason
from importer.deliver.delivery import Delivery
from importer.deliver.options import Watch
from importer.deliver.outcomes import enough, unauthorized
from importer.deliver.session import ApiSession, run_event_loop
from importer.ledger.ledger import Ledger
from importer.model import Pause, PauseKind, PendingSummary, Response, ResponseKind, Run, RunState
from importer.pipeline.connect import Target, connect
from importer.pipeline.interrupt import Interrupt, answerable
from importer.pipeline.options import Console, Forecast, RunOptions, TargetOptions

DECLINED = "you chose not to send"
LEAST = 5.0
"""Seconds; shorter waits belong to the ordinary course of a limit per minute."""


class Halts:
    """Watches a delivery, notes its longer pauses in the ledger for the report, and hands what it sees on."""

    def __init__(self, ledger: Ledger, run: Run, watch: Watch, now: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._run = run
        self._watch = watch
        self._now = now
        self._kind: PauseKind | None = None
        self._since = 0.0

    def begin(self) -> None:
        """The run goes on; since it stopped, nothing was sent."""
        if self._run.started_at is not None and self._run.finished_at is not None:
            self._note(PauseKind.STOPPED, self._run.finished_at, self._now())

    def watch(self, progress: Progress) -> None:
        """Delivery's progress now."""
        if progress.pace.halt is not self._kind:
            self.end()
            self._kind, self._since = progress.pace.halt, self._now()
        self._watch(progress)

    def end(self) -> None:
        """Nothing is waited for any longer."""
        if self._kind is not None:
            self._note(self._kind, self._since, self._now())
            self._kind = None

    def _note(self, kind: PauseKind, begun: float, ended: float) -> None:
        if ended - begun >= LEAST:
            self._ledger.note_halt(self._run, Pause(kind, begun, ended))


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    """What is to be delivered, from where, for whom."""

    ledger: Ledger
    run: Run
    order: RunOptions
    console: Console
    stop: Interrupt


def send(
    ledger: Ledger, run: Run, order: RunOptions, target: TargetOptions, way: Target, console: Console
) -> StopReason:
    """Deliver what the run has pending; says how it ended. Raises `LedgerError` where the ledger fails."""
    job = DeliveryJob(ledger, run, order, console, Interrupt(console))
    if not _loop_is_running():
        return run_event_loop(_send(job, target, way))
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="delivery") as thread:
        future = thread.submit(lambda: run_event_loop(_send(job, target, way)))
        try:
            return future.result()
        except KeyboardInterrupt:
            job.stop.from_outside()
            return future.result()


def _loop_is_running() -> bool:
    """Whether this thread has an event loop at work already, as in a notebook; one more cannot run in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _send(job: DeliveryJob, target: TargetOptions, way: Target) -> StopReason:
    outlook = job.ledger.pending_summary(job.run)
    async with connect(way, target, job.console.say) as (session, answer):
        if answer.fate is ResponseKind.UNAUTHORIZED:
            return unauthorized(answer)
        with answerable():
            agreed = job.console.confirm(_forecast(job, outlook, answer, way, target))
        if not agreed:
            return StopReason(DECLINED, hint=f"`importer resume {job.run.id}` asks again", declined=True)
        Halts(job.ledger, job.run, job.console.watch).begin()
        job.ledger.set_state(job.run, RunState.DELIVERING)
        return await _deliver_in_parts(job, session, outlook.events)


async def _deliver_in_parts(job: DeliveryJob, session: ApiSession, pending: int) -> StopReason:
    """All that the run may send; with ``--first``, the first events, and after another question the rest."""
    options, first = job.order.delivery, job.order.first
    if first is None or (options.most is not None and options.most <= first):
        return await _deliver(job, session, options, pending)
    ended = await _deliver(job, session, replace(options, most=first), pending)
    if not ended.limited:
        return ended
    with answerable():
        agreed = job.console.confirm_more(first)
    if not agreed:
        return StopReason("sent what --first asked for", hint=f"`importer resume {job.run.id}` sends the rest")
    if options.most is None:
        return await _deliver(job, session, options, pending - first)
    ended = await _deliver(job, session, replace(options, most=options.most - first), pending - first)
    return enough(options.most) if ended.limited else ended


async def _deliver(job: DeliveryJob, session: ApiSession, options: DeliveryOptions, pending: int) -> StopReason:
    blocked = job.ledger.doubtful_lanes(job.run) if options.strict_order else set()
    delivery = Delivery(job.ledger, job.run, session, options, pending=pending, blocked=blocked, say=job.console.say)
    halts = Halts(job.ledger, job.run, job.console.watch)
    with job.stop.watching(delivery):
        ended = await delivery.run(halts.watch)
    halts.end()
    if not ended.reason and job.ledger.has_pending(job.run):
        return StopReason(
            "rows wait behind rows in doubt, as --strict-order asks",
            hint=f"`importer resolve {job.run.id}` settles them, then `importer resume {job.run.id}`",
        )
    return ended


def _forecast(
    job: DeliveryJob, outlook: PendingSummary, answer: Response, way: Target, target: TargetOptions
) -> Forecast:
    seconds = None
    if answer.limit:
        seconds = 60 * outlook.events / max(1, answer.limit - target.reserve)
    return Forecast(
        job.run,
        outlook,
        answer.limit,
        seconds,
        way.endpoint.events_url,
        rehearsal=way.rehearsal,
        counts=job.ledger.counts(job.run),
        first=job.order.first,
        most=job.order.delivery.most,
    )
