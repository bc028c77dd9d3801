"""Delivering runs: the forecasts and the question, signals, and the event loop around it all.

One run, or those of several accounts at once: each has its session with the API, its own limit and its own end; one
question is asked for all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from importer.deliver import DeliveryOptions, Progress, StopReason
from importer.deliver.client import run_event_loop
from importer.deliver.delivery import ApiSession, Delivery
from importer.deliver.options import Watch
from importer.errors import LedgerError, SpaceError
from importer.ledger.ledger import Ledger
from importer.ledger.locks import Lock
from importer.model import Pause, PauseKind, PendingSummary, Response, ResponseKind, Run, RunState
from importer.pipeline.connect import Target, connect
from importer.pipeline.console import Console, Forecast
from importer.pipeline.interrupt import Interrupt, answerable
from importer.pipeline.options import RunOptions, TargetOptions

T = TypeVar("T")

DECLINED = "you chose not to send"
_LOCK_SECONDS = 1.0
"""Between two looks whether another sender of the account has ended."""


SHORTEST = 5.0
"""Seconds; shorter waits belong to the ordinary course of a limit per minute."""


class PauseRecorder:
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
        if progress.pace.pause is not self._kind:
            self.end()
            self._kind, self._since = progress.pace.pause, self._now()
        self._watch(progress)

    def end(self) -> None:
        """Nothing is waited for any longer."""
        if self._kind is not None:
            self._note(self._kind, self._since, self._now())
            self._kind = None

    def _note(self, kind: PauseKind, begun: float, ended: float) -> None:
        if ended - begun >= SHORTEST:
            self._ledger.note_pause(self._run, Pause(kind, begun, ended))


class DeliveryJob(msgspec.Struct, frozen=True):
    """What is to be delivered, from where, for whom."""

    ledger: Ledger
    run: Run
    options: RunOptions
    target: TargetOptions
    api: Target
    console: Console
    watch: Watch | None = None
    """Sees the progress, if not the console does."""
    lock: Lock | None = None
    """Held by the process that sends for the account, if it is not held already."""


Agree = Callable[[Sequence[Forecast]], bool]
"""Shows what is about to be sent; whether to go on."""
Conclude = Callable[[DeliveryJob, StopReason], None]
"""Called on a thread as soon as one of several jobs has ended; one at a time."""


class _Opened(msgspec.Struct, frozen=True):
    """A job whose API has answered."""

    job: DeliveryJob
    session: ApiSession
    response: Response
    outlook: PendingSummary


def send(
    jobs: Sequence[DeliveryJob], console: Console, agree: Agree, conclude: Conclude | None = None
) -> list[StopReason]:
    """Deliver what the jobs' runs have pending; says how each ended."""
    work = _Sending(console, agree, conclude)
    if not _loop_is_running():
        return run_event_loop(work.run(jobs))
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="delivery") as thread:
        future = thread.submit(lambda: run_event_loop(work.run(jobs)))
        try:
            return future.result()
        except KeyboardInterrupt:
            work.stop.from_outside()
            return future.result()


def ledger_failed(error: LedgerError | SpaceError) -> StopReason:
    """The end of a run whose ledger fails."""
    words = f"the ledger failed: {error.message}; what was under way then is in doubt once the run goes on"
    return StopReason(words, hint=error.hint or "")


def _loop_is_running() -> bool:
    """Whether this thread has an event loop at work already, as in a notebook; one more cannot run in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Sending:
    """Jobs that are delivered side by side."""

    def __init__(self, console: Console, agree: Agree, conclude: Conclude | None) -> None:
        self.stop = Interrupt(console)
        self._console = console
        self._agree = agree
        self._conclude = conclude
        self._concluding = asyncio.Lock()
        self._ended: dict[str, StopReason] = {}
        """By the run's id."""

    async def run(self, jobs: Sequence[DeliveryJob]) -> list[StopReason]:
        """Deliver; how each job ended."""
        async with AsyncExitStack() as sessions:
            found = await _all(self._open(job, sessions, len(jobs)) for job in jobs)
            opened = [one for one in found if one is not None]
            if opened:
                with answerable():
                    agreed = self._agree([_forecast(one) for one in opened])
                if agreed:
                    await self._deliver_in_parts(opened)
                else:
                    for one in opened:
                        hint = f"`importer resume {one.job.run.id}` asks again"
                        await self._end(one.job, StopReason(DECLINED, hint=hint, declined=True))
        return [self._ended[job.run.id] for job in jobs]

    async def _end(self, job: DeliveryJob, ended: StopReason) -> None:
        self._ended[job.run.id] = ended
        if self._conclude is not None:
            async with self._concluding:
                await asyncio.to_thread(self._conclude, job, ended)

    async def _open(self, job: DeliveryJob, sessions: AsyncExitStack, among: int) -> _Opened | None:
        """A session with the API; None where the job has ended already."""
        try:
            outlook = job.ledger.pending_summary(job.run)
        except (LedgerError, SpaceError) as error:
            await self._end(job, ledger_failed(error))
            return None
        opening = connect(job.api, job.target, job.console.say, among=among)
        session, response = await sessions.enter_async_context(opening)
        if response.kind is ResponseKind.UNAUTHORIZED:
            await self._end(job, StopReason.of_token(response.status))
            return None
        return _Opened(job, session, response, outlook)

    async def _deliver_in_parts(self, opened: Sequence[_Opened]) -> None:
        """All that the runs may send; with ``--first``, the first events of each, and after a question the rest."""
        with self.stop.heeded():
            asked = await _all(self._deliver_first(one) for one in opened)
        waiting = [one for one in asked if one is not None]
        if not waiting:
            return
        first = waiting[0].job.options.first or 0
        with answerable():
            agreed = self._console.confirm_more(first * len(waiting))
        if agreed:
            with self.stop.heeded():
                await _all(self._deliver_rest(one, first) for one in waiting)
            return
        for one in waiting:
            hint = f"`importer resume {one.job.run.id}` sends the rest"
            await self._end(one.job, StopReason("sent what --first asked for", hint=hint))

    async def _deliver_first(self, one: _Opened) -> _Opened | None:
        """Deliver all, or the first events; returns the job if there is to be a question before the rest."""
        options, first = one.job.options.delivery, one.job.options.first
        if first is None or (options.most is not None and options.most <= first):
            await self._end(one.job, await self._deliver(one, options, one.outlook.events))
            return None
        ended = await self._deliver(one, replace(options, most=first), one.outlook.events)
        if ended.limited:
            return one
        await self._end(one.job, ended)
        return None

    async def _deliver_rest(self, one: _Opened, first: int) -> None:
        options, pending = one.job.options.delivery, one.outlook.events - first
        if options.most is None:
            ended = await self._deliver(one, options, pending)
        else:
            ended = await self._deliver(one, replace(options, most=options.most - first), pending)
            ended = StopReason.enough(options.most) if ended.limited else ended
        await self._end(one.job, ended)

    async def _deliver(self, one: _Opened, options: DeliveryOptions, pending: int) -> StopReason:
        job = one.job
        try:
            if stopped := await self._turn(job):
                return stopped
            return await self._deliver_now(one, options, pending)
        except LedgerError as error:
            return ledger_failed(error)
        finally:
            if job.lock is not None:
                job.lock.release()

    async def _turn(self, job: DeliveryJob) -> StopReason | None:
        """Wait until no other machine sends for the account, if asked to; why nothing can be sent now."""
        if job.lock is None or job.lock.try_acquire():
            return None
        words = f"{job.lock.holder()} sends for this account now"
        if not job.options.wait:
            return StopReason(words, hint=f"`importer resume {job.run.id} --wait` waits for it")
        job.console.say(f"{words}; waiting for it")
        while not job.lock.try_acquire():
            if self.stop.reason is not None:
                return self.stop.reason
            await asyncio.sleep(_LOCK_SECONDS)
        return None

    async def _deliver_now(self, one: _Opened, options: DeliveryOptions, pending: int) -> StopReason:
        job = one.job
        pauses = PauseRecorder(job.ledger, job.run, job.watch or job.console.watch)
        if pending == one.outlook.events:
            pauses.begin()
            job.ledger.set_state(job.run, RunState.DELIVERING)
        blocked = job.ledger.doubtful_lanes(job.run) if options.strict_order else set()
        delivery = Delivery(
            job.ledger, job.run, one.session, options, pending=pending, blocked=blocked, say=job.console.say
        )
        with self.stop.watching(delivery):
            ended = await delivery.run(pauses.watch)
        pauses.end()
        if not ended.reason and job.ledger.has_pending(job.run):
            return StopReason(
                "rows wait behind rows in doubt, as --strict-order asks",
                hint=f"`importer resolve {job.run.id}` resolves them, then `importer resume {job.run.id}`",
            )
        return ended


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What they return, when all have ended: one that fails stops no other."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return cast("list[T]", found)


def _forecast(one: _Opened) -> Forecast:
    job, granted, cap = one.job, one.response.limit, one.job.target.cap
    limits = [limit for limit in (granted, cap) if limit]
    usable = [limit for limit in (granted and max(1, granted - job.target.reserve), cap) if limit]
    return Forecast(
        job.run,
        one.outlook,
        min(limits, default=None),
        60 * one.outlook.events / min(usable) if usable else None,
        job.api.endpoint.events_url,
        rehearsal=job.api.rehearsal,
        counts=one.outlook.counts,
        first=job.options.first,
        most=job.options.delivery.most,
    )
