"""Delivering a run: the forecast and the question, signals, and the event loop around it all.

This module owns what surrounds `Delivery`: it learns the limit before it asks, and asks again after
``--first``. Ctrl-C is ``interrupt``'s.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from importer.deliver import DeliveryOptions, Ended, loop
from importer.deliver.delivery import Delivery
from importer.deliver.journal import Journal
from importer.deliver.lanes import Lanes
from importer.deliver.line import Line
from importer.deliver.settle import enough, unauthorized
from importer.ledger.sqlite import SqliteLedger
from importer.model import PendingSummary, Response, ResponseKind, Run, RunState
from importer.pipeline.connect import Target, open_line
from importer.pipeline.halts import Halts
from importer.pipeline.interrupt import Interrupt, answerable
from importer.pipeline.options import Console, Forecast, RunOptions, TargetOptions

DECLINED = "you chose not to send"


@dataclass(frozen=True, slots=True)
class _Errand:
    """What is to be delivered, from where, for whom."""

    ledger: SqliteLedger
    run: Run
    order: RunOptions
    console: Console
    stop: Interrupt


def send(
    ledger: SqliteLedger, run: Run, order: RunOptions, target: TargetOptions, way: Target, console: Console
) -> Ended:
    """Deliver what the run has pending; says how it ended. Raises `LedgerError` where the ledger fails."""
    errand = _Errand(ledger, run, order, console, Interrupt(console))
    if not _loop_is_running():
        return loop.run(_send(errand, target, way))
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="delivery") as thread:
        future = thread.submit(lambda: loop.run(_send(errand, target, way)))
        try:
            return future.result()
        except KeyboardInterrupt:
            errand.stop.from_outside()
            return future.result()


def _loop_is_running() -> bool:
    """Whether this thread has an event loop at work already, as in a notebook; one more cannot run in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _send(errand: _Errand, target: TargetOptions, way: Target) -> Ended:
    outlook = errand.ledger.pending_summary(errand.run)
    async with open_line(way, target, errand.console.say) as (line, answer):
        if answer.fate is ResponseKind.UNAUTHORIZED:
            return unauthorized(answer)
        with answerable():
            agreed = errand.console.confirm(_forecast(errand, outlook, answer, way, target))
        if not agreed:
            return Ended(DECLINED, hint=f"`importer resume {errand.run.id}` asks again", declined=True)
        Halts(errand.ledger, errand.run, errand.console.watch).begin()
        errand.ledger.set_state(errand.run, RunState.DELIVERING)
        return await _deliver_in_parts(errand, line, outlook.events)


async def _deliver_in_parts(errand: _Errand, line: Line, pending: int) -> Ended:
    """All that the run may send; with ``--first``, the first events, and after another question the rest."""
    options, first = errand.order.delivery, errand.order.first
    if first is None or (options.most is not None and options.most <= first):
        return await _deliver(errand, line, options, pending)
    ended = await _deliver(errand, line, replace(options, most=first), pending)
    if not ended.limited:
        return ended
    with answerable():
        agreed = errand.console.confirm_more(first)
    if not agreed:
        return Ended("sent what --first asked for", hint=f"`importer resume {errand.run.id}` sends the rest")
    if options.most is None:
        return await _deliver(errand, line, options, pending - first)
    ended = await _deliver(errand, line, replace(options, most=options.most - first), pending - first)
    return enough(options.most) if ended.limited else ended


async def _deliver(errand: _Errand, line: Line, options: DeliveryOptions, pending: int) -> Ended:
    blocked = errand.ledger.doubtful_lanes(errand.run) if options.strict_order else ()
    lanes = Lanes(blocked=blocked)
    journal = Journal(errand.ledger, errand.run, lanes)
    delivery = Delivery(journal, lanes, line, options, pending=pending)
    halts = Halts(errand.ledger, errand.run, errand.console.watch)
    try:
        with errand.stop.watching(delivery):
            ended = await delivery.run(halts.watch)
    finally:
        journal.close()
    halts.end()
    if not ended.reason and errand.ledger.has_pending(errand.run):
        return Ended(
            "rows wait behind rows in doubt, as --strict-order asks",
            hint=f"`importer resolve {errand.run.id}` settles them, then `importer resume {errand.run.id}`",
        )
    return ended


def _forecast(
    errand: _Errand, outlook: PendingSummary, answer: Response, way: Target, target: TargetOptions
) -> Forecast:
    seconds = None
    if answer.limit:
        seconds = 60 * outlook.events / max(1, answer.limit - target.reserve)
    return Forecast(
        errand.run,
        outlook,
        answer.limit,
        seconds,
        way.endpoint.events_url,
        rehearsal=way.rehearsal,
        counts=errand.ledger.counts(errand.run),
    )
