"""One delivery: workers that post, a dispatcher that waits, a journal that makes it durable.

All scheduling is in `Delivery._take`, one synchronous method: it says which claim leaves now, or why none does. Workers
call it when they are free; where it says no they lie idle, and the dispatcher, which alone waits for time to pass,
calls it again for them. Everything here runs on one event loop; only the journal's commits run on a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine

from importer.deliver.circuit_breaker import Gate
from importer.deliver.guard import Guard
from importer.deliver.journal import Journal
from importer.deliver.lanes import Lanes
from importer.deliver.line import Line
from importer.deliver.options import DeliveryOptions, Ended, Progress, Watch
from importer.deliver.settle import enough, outcome_of, refusals_hint, rest, unauthorized
from importer.deliver.tally import Tally
from importer.errors import LedgerError
from importer.model import Claim, Outcome, Response, ResponseKind, State

LOOK = 0.5
"""Seconds after which the dispatcher looks again, for progress and the schedule, even if nothing stirred it."""

GATHER = 0.02
"""Seconds for which outcomes may wait for company before they are committed, while there are claims in hand."""


class Delivery:
    """Sends what a run has pending, until nothing is left or there is a reason to stop."""

    def __init__(self, journal: Journal, lanes: Lanes, line: Line, options: DeliveryOptions, *, pending: int) -> None:
        self._journal = journal
        self._lanes = lanes
        self._line = line
        self._options = options
        self._guard = Guard(max_refused=options.max_refused)
        self._tally = Tally(pending)
        self._idle: deque[asyncio.Future[Claim | None]] = deque()
        """Workers with nothing to do; the last to fall idle is the first to be woken, so that few connections serve."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._resting = 0
        """Rows that wait for their next attempt."""
        self._slot = False
        """A slot of the quota is in hand, and no claim was there to use it."""
        self._wait = 0.0
        """Seconds until `_take` may say yes, as far as it knew when it said no."""
        self._ended: Ended | None = None
        self._stir = asyncio.Event()
        """Set whenever the dispatcher should look again."""
        self._due = asyncio.Event()
        """Set whenever the journal should turn."""
        self._hungry = asyncio.Event()
        """Set when so few claims are in hand that the journal should turn at once …"""
        self._low = 0.0
        """… which is this many."""
        self._failure: BaseException | None = None
        """What ended a task that should not have ended."""
        self._over = False

    def __repr__(self) -> str:
        return f"<Delivery {self._in_flight} in flight, {self._journal!r}, {self._lanes!r}>"

    def stop(self, ended: Ended) -> None:
        """Let nothing more leave; `run` returns when the answers under way have come. The first reason counts."""
        if self._ended is None:
            self._ended = ended
        self._stir.set()

    def progress(self) -> Progress:
        """How it stands."""
        return self._tally.progress(self._in_flight, self._line.pace(self._options.schedule))

    async def run(self, watch: Watch | None = None) -> Ended:
        """Deliver. Raises `LedgerError` if the ledger fails; answers under way are waited for, and kept if it can."""
        journal = self._start(self._keep_journal())
        try:
            await self._dispatch(watch)
            self._over = True
            self._due.set()
            self._hungry.set()
            await asyncio.wait({journal})  # not to be cancelled: claims under way would be neither sent nor given back
        finally:
            await self._dismiss()
        self._give_slot_back()
        self._journal.give_back_unsent(self._line.clock.time())
        with contextlib.suppress(LedgerError) if self._failure else contextlib.nullcontext():
            await self._journal.turn(0)
        self._show(watch)
        if self._failure:
            raise self._failure
        return self._ended or Ended("")

    def _take(self) -> Claim | None:
        """The claim that leaves now, or None; then ``_wait`` says after how many seconds to ask again at the latest."""
        now = self._line.clock.monotonic()
        self._wait = self._obstacle(now)
        if self._wait:
            return None
        if not self._slot:
            self._wait = self._line.pacer.ask(now)
            if self._wait:
                return None
            self._slot = True
        if not self._journal.claimed:
            self._due.set()
            self._wait = LOOK
            return None
        self._slot = False
        if len(self._journal.claimed) - 1 <= self._low:
            self._hungry.set()
        self._line.breaker.sending()
        self._in_flight += 1
        return self._journal.claimed.popleft()

    def _obstacle(self, now: float) -> float:
        """Seconds for which nothing may leave, whatever the quota says; `LOOK` where only an answer can tell."""
        if self._ended or not self._guard.may_send(self._in_flight) or not self._wanted(1):
            return LOOK
        if self._line.breaker.gate(now) is not Gate.SEND:
            return self._line.breaker.wait(now) or LOOK
        return self._options.schedule.wait(self._line.clock.time())

    def _wanted(self, count: int) -> int:
        """How many of ``count`` requests ``--max-events`` leaves room for."""
        if self._options.most is None:
            return count
        return max(0, min(count, self._options.most - self._tally.settled - self._in_flight))

    def _give_slot_back(self) -> None:
        """A slot in hand is void when the run is over, or when the API says that there are too many."""
        if self._slot:
            self._slot = False
            self._line.pacer.give_back(self._line.clock.monotonic())

    def _room(self) -> int:
        """How many rows more may be claimed now.

        Where requests leave seldom, a row is claimed only with its slot in hand, so that a crash during a long wait
        leaves nothing in doubt that was never sent.
        """
        careful = not self._guard.proven or not self._line.breaker.is_closed
        window = 1 if careful else self._line.pacer.window(self._line.clock.monotonic())
        if self._ended or (window == 1 and not self._slot):
            return 0
        return max(0, self._wanted(window) - len(self._journal.claimed))

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            self._fail(failure)
        self._stir.set()

    def _fail(self, failure: BaseException) -> None:
        """Stop because of what should not have happened; `run` raises it in the end."""
        self._failure = self._failure or failure
        self.stop(Ended("failed"))

    def _show(self, watch: Watch | None) -> None:
        """Progress; whoever cannot be told any more (a closed terminal, a broken pipe) ends the run, too."""
        try:
            if watch and not self._failure:
                watch(self.progress())
        except (OSError, LedgerError) as failure:
            if not self._ended:
                self._fail(failure)

    async def _dispatch(self, watch: Watch | None) -> None:
        """Wake idle workers whenever one may send, until it is over."""
        self._due.set()
        shown = float("-inf")
        while not self._finished():
            self._stir.clear()
            self._rouse()
            self._probe_if_due()
            self._heed_limits()
            now = self._line.clock.monotonic()
            if now - shown >= LOOK / 2:
                shown = now
                self._show(watch)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._wait or LOOK, LOOK)):
                    await self._stir.wait()

    def _finished(self) -> bool:
        if self._in_flight:
            return False
        if self._ended:
            return True
        return self._lanes.idle and not self._journal.claimed and not self._resting and not self._journal.dirty

    def _rouse(self) -> None:
        """Hand claims to idle workers, and to new ones while all are busy."""
        while claim := self._take():
            if self._idle:
                self._idle.pop().set_result(claim)
            else:
                self._start(self._work(claim))

    async def _work(self, claim: Claim | None) -> None:
        while claim:
            try:
                answer = await self._line.client.post(claim.body)
            finally:
                self._in_flight -= 1
            self._settle(claim, answer)
            claim = self._take()
            if claim is None:
                idle: asyncio.Future[Claim | None] = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                self._stir.set()
                claim = await idle

    def _probe_if_due(self) -> None:
        breaker = self._line.breaker
        if self._ended is None and breaker.gate(self._line.clock.monotonic()) is Gate.PROBE:
            breaker.probing()
            self._start(self._probe())

    async def _probe(self) -> None:
        answer = await self._line.probe()
        if answer.fate is ResponseKind.UNAUTHORIZED:
            self.stop(unauthorized(answer))

    def _heed_limits(self) -> None:
        if self._ended:
            return
        if over := self._line.over(self._options.schedule):
            self.stop(over)
        elif self._options.most is not None and self._tally.settled >= self._options.most:
            self.stop(enough(self._options.most))

    async def _keep_journal(self) -> None:
        """Commit and claim whenever there is a reason to, gathering company for what can wait."""
        while not self._over:
            await self._due.wait()
            self._due.clear()
            self._hungry.clear()
            if await self._journal.turn(self._room()):
                self._stir.set()
                self._due.set()  # what was fetched can now be claimed
            self._low = self._journal.low_water(self._line.pacer, self._line.clock.monotonic())
            if len(self._journal.claimed) > self._low:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GATHER):
                        await self._hungry.wait()

    async def _dismiss(self) -> None:
        """End all tasks; none has a request under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle(self, claim: Claim, answer: Response) -> None:
        """Note what the answer makes of the row, and let its lane go on."""
        now = self._line.clock.monotonic()
        self._line.pacer.learn(answer, now)
        self._line.breaker.learn(answer, now)
        if answer.status == 429:
            self._give_slot_back()
        outcome = outcome_of(claim, answer, self._line.clock.time(), self._options)
        self._journal.record(outcome)
        if outcome.state is State.PENDING:
            self._try_again(outcome, answer)
        else:
            self._tally.add(outcome.state)
            if outcome.state is State.IN_DOUBT and self._options.strict_order:
                self._lanes.block(claim.id)
            else:
                self._lanes.done(claim.id)
        if reason := self._guard.learn(answer.fate):
            self.stop(Ended(reason, hint=refusals_hint(answer.message)))
        self._due.set()

    def _try_again(self, outcome: Outcome, answer: Response) -> None:
        if answer.fate is ResponseKind.UNAUTHORIZED:
            self.stop(unauthorized(answer))
        if answer.fate is not ResponseKind.IN_DOUBT:
            self._lanes.give_back(outcome.id)
            return
        self._resting += 1
        self._start(self._rest(outcome))

    async def _rest(self, outcome: Outcome) -> None:
        await self._line.clock.sleep(rest(outcome))
        self._resting -= 1
        self._lanes.give_back(outcome.id)
        self._due.set()
