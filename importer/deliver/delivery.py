"""The loop that empties a run's queue: claim → wait for the limit → post → record.

All scheduling is in `Delivery._take`, one synchronous method: it says which claim leaves now, or why none does. The
dispatcher alone waits for time to pass. It starts a task for each request, and commits to the ledger on a thread, so
that the event loop never waits for the disk: outcomes and claims together, a claim before its request leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import msgspec
from msgspec.structs import replace

from importer.clock import Clock
from importer.deliver.circuit_breaker import CircuitBreaker, Gate
from importer.deliver.client import Distrust
from importer.deliver.connections import REST
from importer.deliver.lanes import Lanes
from importer.deliver.options import GOES_ON, DeliveryOptions, Progress, StopReason, Watch
from importer.deliver.rate_limit import RateLimiter
from importer.deliver.responses import outcome_of
from importer.errors import ImporterError, LedgerError
from importer.ledger.queue import DeliveryQueue, Position
from importer.model import Claim, Outcome, Pace, PauseKind, Response, ResponseKind, Run, State
from importer.wording import counted

FIRST_REFUSALS = 5
"""Refusals in a row from the very start, before anything was accepted, that stop a run."""
MAX_TRIES = 3
"""Requests for a row that the API denies (401, 403) while it takes the token, before it counts as refused."""
MAX_TURNED_AWAY = 5
"""429s of a row, each after the API has taken another row, or a probe, before the row is left for another run."""
_LOOK = 0.5
"""Seconds after which the dispatcher looks again, for progress and the schedule, even if nothing happened; up to ten
times as many while it waits for long."""
_GATHER = 0.25
"""Seconds for which outcomes may wait for company before they are committed, while there are claims in hand."""
_REPEAT = 60.0
"""Seconds after which trouble that lasts is reported again."""


class EventSender(Protocol):
    """See `importer.deliver.client.Client`."""

    async def post(self, body: bytes, distrust: Distrust | None = None) -> Response:
        """Send one event; never raises for trouble on the way."""

    async def probe(self) -> Response:
        """Ask the API something harmless."""


class ApiSession(msgspec.Struct, frozen=True):
    """All that is between a claim and its response: the client, how fast it may be used, whether the API is there."""

    client: EventSender
    limiter: RateLimiter
    breaker: CircuitBreaker
    clock: Clock


class _Request(msgspec.Struct):
    """One claim on its way."""

    claim: Claim
    outcome: Outcome | None = None
    distrusted: Response | None = None
    """The answer is not to be trusted after all."""


class _Tries(msgspec.Struct):
    """A row that the API does not take, while it may take others."""

    count: int = 0
    others: int = 0
    """Rows that the API had taken when this row was last turned away."""
    probed: bool = False
    """A probe has been answered since."""


class Delivery:
    """Sends what a run has pending, until nothing is left or there is a reason to stop."""

    def __init__(  # noqa: PLR0913  # what it works on, and what it works with
        self,
        store: DeliveryQueue,
        run: Run,
        session: ApiSession,
        options: DeliveryOptions,
        *,
        pending: int,
        blocked: frozenset[int] | set[int] = frozenset(),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``pending`` rows wait; those of ``blocked`` lanes wait for the user. ``say`` reports trouble as it comes."""
        self._store, self._run = store, run
        self._client, self._clock = session.client, session.clock
        self._limiter, self._breaker = session.limiter, session.breaker
        self._options = options
        self._say = say
        self._lanes = Lanes(blocked=blocked)
        self._claimed: deque[Claim] = deque()
        """Durably claimed, not yet sent."""
        self._few = 0.0
        """With so few claims in hand, the next ones are claimed at once."""
        self._outcomes: list[Outcome] = []
        """Not yet durable; the first one came at …"""
        self._since = 0.0
        self._accepted = False
        """An event was accepted since this delivery began; before that, events go one by one."""
        self._refusals = 0
        """In a row."""
        self._pending = pending
        self._counts: Counter[State] = Counter()
        """Rows whose outcome is known or in doubt; not those to be tried again."""
        self._taken = 0
        """Rows that the API has accepted or judged."""
        self._out: set[int] = set()
        """Rows whose requests are in flight."""
        self._waiting = 0
        """Rows that wait for their next attempt."""
        self._tries: dict[int, _Tries] = {}
        self._denied: list[tuple[Claim, Response]] = []
        """Rows that got a 401 or 403, while a probe asks whether it is the token."""
        self._left: list[Response] = []
        """Of rows that are given up for this run; they stay pending."""
        self._slot = False
        """The limiter has let a request go, and no claim was there yet to use it."""
        self._wait = 0.0
        """Seconds until `_take` may say yes, as far as it knew when it said no."""
        self._stopped: StopReason | None = None
        self._failure: BaseException | None = None
        """What ended a task that should not have ended."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._committing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._wakeup = asyncio.Event()
        """Set whenever the dispatcher should look again."""
        self._reported = ("", -math.inf)

    def stop(self, reason: StopReason) -> None:
        """Let nothing more leave; `run` returns when the answers under way have come. The first reason counts."""
        if self._stopped is None:
            self._stopped = reason
            self._wakeup.set()

    def progress(self) -> Progress:
        """How far it is."""
        return Progress(
            sent=self._counts[State.SENT],
            refused=self._counts[State.REFUSED],
            failed=self._counts[State.FAILED],
            in_doubt=self._counts[State.IN_DOUBT],
            left=max(0, self._pending - self._counts.total()),
            in_flight=len(self._out),
            pace=self._pace(),
        )

    def _pace(self) -> Pace:
        """How fast it goes, or what it waits for."""
        now, wall = self._clock.monotonic(), self._clock.time()
        pace = self._limiter.pace(now, wall)
        if trouble := self._breaker.status(now, wall):
            until = wall + self._breaker.wait(now)
            return replace(pace, waiting_for=trouble, wait_until=until, pause=PauseKind.OUTAGE)
        if pause := self._options.schedule.wait(wall):
            words = "outside the hours given with --between"
            return replace(pace, waiting_for=words, wait_until=wall + pause, pause=PauseKind.HOURS)
        return pace

    async def run(self, watch: Watch | None = None) -> StopReason:
        """Deliver. Raises `LedgerError` if the ledger fails; answers under way are waited for, and kept if it can."""
        try:
            await self._dispatch(watch)
            if self._counts.total():
                await self._clock.sleep(REST)  # an answer may still prove to be one of two
            if self._committing:  # not to be cancelled: claims under way would be neither sent nor given back
                await asyncio.wait({self._committing})
            self._give_slot_back()
            for claim in self._claimed:
                self._outcomes.append(
                    Outcome(claim.id, State.PENDING, claim.attempts, None, "", "", self._clock.time())
                )
                self._lanes.give_back(claim.id)
            with contextlib.suppress(LedgerError) if self._failure else contextlib.nullcontext():
                await self._commit(0)
        finally:
            tasks = list(self._tasks)  # none has a request under way
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._thread.shutdown()
        self._show(watch)
        if self._failure:
            raise self._failure
        if self._stopped is None and self._left:
            said = f"{self._left[-1].status}: {self._left[-1].message}"
            rows = counted(len(self._left), "row")
            return StopReason(f"the API turned {rows} away each time ({said}), while it took others", hint=GOES_ON)
        return self._stopped or StopReason("")

    async def _dispatch(self, watch: Watch | None) -> None:
        """Start a request whenever one may leave, and a commit whenever one is due, until it is over."""
        shown = -math.inf
        while not self._is_over():
            self._wakeup.clear()
            while claim := self._take():
                self._start(self._send(claim))
            now = self._clock.monotonic()
            self._heed_limits(now)
            self._limiter.exchange(now)
            if now - shown >= _LOOK / 2:
                shown = now
                self._show(watch)
            look = min(max(_LOOK, self._wait / 100), 10 * _LOOK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._wait or look, look, self._commit_if_due(now))):
                    await self._wakeup.wait()

    def _is_over(self) -> bool:
        if self._out:
            return False
        at_rest = not (self._claimed or self._waiting or self._denied or self._outcomes)
        return self._stopped is not None or (self._lanes.idle and at_rest)

    def _heed_limits(self, now: float) -> None:
        """Probe when it is time to, and stop when it is time to."""
        if self._stopped:
            return
        if trouble := self._limiter.trouble:
            self._report_words(f"warning: importers on this machine cannot share the limit: {trouble}")
        most, breaker = self._options.most, self._breaker
        if breaker.gate(now) is Gate.PROBE:
            breaker.probing()
            self._start(self._ask_whether_it_is_there())
        if self._options.schedule.over(self._clock.time()):
            self.stop(StopReason("the time given with --until or --for is over", hint=GOES_ON))
        elif breaker.expired(now):
            words = f"the API could not be reached for as long as --outage-limit allows ({breaker.last_words})"
            self.stop(StopReason(words, hint=GOES_ON))
        elif most is not None and self._counts.total() >= most:
            self.stop(StopReason.enough(most))

    # Which claim leaves now.

    def _take(self) -> Claim | None:
        """The claim that leaves now, or None; then ``_wait`` says after how many seconds to ask again at the latest."""
        now = self._clock.monotonic()
        self._wait = self._obstacle(now)
        if self._wait:
            if self._wait > _LOOK:
                self._give_slot_back()  # others of the account may use it meanwhile
            return None
        if not self._slot:
            self._wait = self._limiter.ask(now)
            if self._wait:
                return None
            self._slot = True
        if not self._claimed:
            self._wait = _LOOK
            return None
        self._slot = False
        self._breaker.sending()
        claim = self._claimed.popleft()
        if len(self._claimed) <= self._few and self._committing is None:
            self._wakeup.set()
        self._out.add(claim.id)
        return claim

    def _obstacle(self, now: float) -> float:
        """Seconds for which nothing may leave, even if the limit allows it; `_LOOK` if only an answer brings news."""
        if not self._stopped and (words := self._store.sending_stops()):
            self.stop(StopReason(words, hint="`importer resume` goes on once the ledger can be reached"))
        careful = not self._accepted and self._out
        if self._stopped or careful or self._denied or not self._wanted(1):
            return _LOOK
        if self._breaker.gate(now) is not Gate.SEND:
            return self._breaker.wait(now) or _LOOK
        return self._options.schedule.wait(self._clock.time())

    def _wanted(self, count: int) -> int:
        """How many of ``count`` requests ``--max-events`` leaves room for."""
        if self._options.most is None:
            return count
        return max(0, min(count, self._options.most - self._counts.total() - len(self._out)))

    def _give_slot_back(self) -> None:
        """A slot in hand is void when the run is over, or when the API says that there are too many."""
        if self._slot:
            self._slot = False
            self._limiter.give_back(self._clock.monotonic())

    # Commits.

    def _room(self) -> int:
        """How many rows more may be claimed now.

        Where requests leave seldom, a row is claimed only with its slot in hand, so that a crash during a long wait
        leaves nothing in doubt that was never sent.
        """
        careful = not self._accepted or not self._breaker.is_closed
        window = 1 if careful else self._limiter.window(self._clock.monotonic())
        if self._stopped or (window == 1 and not self._slot):
            return 0
        return max(0, self._wanted(window) - len(self._claimed))

    def _commit_if_due(self, now: float) -> float:
        """Start a commit if there is reason to; else the seconds until there may be."""
        if self._committing or self._failure:
            return math.inf
        if len(self._claimed) > self._few:
            left = self._since + _GATHER - now if self._outcomes else math.inf
            if left > 1e-3:  # a timer may come as much too early
                return left
        room = self._room()
        if self._outcomes or (room and self._lanes.ready) or self._lanes.wants_rows():
            self._committing = self._start(self._commit(room))
        return math.inf

    async def _commit(self, room: int) -> None:
        """Make the outcomes so far durable, claim up to ``room`` rows, and read ahead.

        Raises `LedgerError`; the outcomes are then kept for another try.
        """
        outcomes, self._outcomes = self._outcomes, []
        rows, page = self._lanes.take(room), self._lanes.page if self._lanes.wants_rows() else 0
        try:
            work = partial(self._work, outcomes, rows, self._lanes.cursor, page)
            claimed, found = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except BaseException:
            self._outcomes = outcomes + self._outcomes
            for row_id in rows:
                self._lanes.give_back(row_id)
            raise
        for row_id in set(rows).difference(claim.id for claim in claimed):
            self._lanes.done(row_id)  # another run took the row over, or its last answer proved unreliable
        if page:
            self._lanes.add_rows(found)
        self._claimed.extend(claimed)
        self._few = self._limiter.window(self._clock.monotonic()) / 2
        self._committing = None

    def _work(
        self, outcomes: list[Outcome], rows: list[int], after: Position | None, page: int
    ) -> tuple[list[Claim], list[tuple[int | None, int, int]]]:
        """The thread's part of a commit: the rows that were claimed, and those of the next page."""
        claimed = self._store.commit(outcomes, rows) if outcomes or rows else []
        return claimed, self._store.queue(self._run, after, page) if page else []

    def _note(self, outcome: Outcome) -> None:
        """Let an outcome wait for the next commit."""
        if not self._outcomes:
            self._since = self._clock.monotonic()
            self._wakeup.set()
        self._outcomes.append(outcome)

    # Tasks, and what is shown meanwhile.

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            self._fail(failure)
        self._wakeup.set()

    def _fail(self, failure: BaseException) -> None:
        """Stop because of what should not have happened; `run` raises it in the end."""
        self._failure = self._failure or failure
        self.stop(StopReason("failed"))

    def _show(self, watch: Watch | None) -> None:
        """Progress. Any error of its watcher (a closed terminal, a full disk) ends the run as Ctrl-C does."""
        if watch is None or self._failure:
            return
        try:
            watch(self.progress())
        except LedgerError as failure:
            self._fail(failure)
        except Exception as error:  # noqa: BLE001  # requests are in flight: no error may end the loop
            words = error.message if isinstance(error, ImporterError) else str(error)
            words = f"progress cannot be shown any more: {words or type(error).__name__}"
            self.stop(StopReason(words, hint=GOES_ON))

    def _report(self, response: Response) -> None:
        """Trouble with the network is reported at once, in words."""
        if response.status is None and response.kind is ResponseKind.NOT_ACCEPTED:
            self._report_words(f"warning: {response.message}; trying again")

    def _report_words(self, words: str) -> None:
        """Once a minute while it lasts."""
        said, at = self._reported
        now = self._clock.monotonic()
        if now - at >= (_REPEAT if words == said else _REPEAT / 12):
            self._reported = (words, now)
            with contextlib.suppress(OSError):  # a closed terminal; `_show` ends the run then
                self._say(words)

    # Requests, and what becomes of their rows.

    async def _send(self, claim: Claim | None) -> None:
        while claim:
            request = _Request(claim)
            try:
                response = await self._client.post(claim.body, partial(self._distrust, request))
            finally:
                self._out.discard(claim.id)
            self._record(request, request.distrusted or response)
            claim = self._take()

    def _distrust(self, request: _Request, response: Response) -> None:
        """An answer may have been another row's: its row is in doubt, unless it was sent again."""
        request.distrusted = response
        if request.outcome is None or request.claim.id in self._out:
            return
        self._breaker.record(response, self._clock.monotonic())
        outcome = outcome_of(request.claim, response, self._clock.time(), DeliveryOptions())
        self._note(outcome)
        if request.outcome.state is not State.PENDING:
            self._counts[request.outcome.state] -= 1
            self._counts[outcome.state] += 1

    def _record(self, request: _Request, response: Response) -> None:
        """Note what the response makes of the row, and let its lane go on."""
        now, claim = self._clock.monotonic(), request.claim
        self._limiter.record(response, now)
        self._report(response)
        if response.local:
            self._limiter.max_in_flight = max(1, len(self._out))
        if not (response.local and self._out):
            self._breaker.record(response, now)
        if response.status == 429:
            self._give_slot_back()
        outcome = request.outcome = outcome_of(claim, response, self._clock.time(), self._options)
        self._note(outcome)
        if outcome.state is State.PENDING:
            self._try_again(claim, outcome, response)
        else:
            self._taken += response.kind is not ResponseKind.IN_DOUBT
            self._resolve(outcome)
        self._count_refusal(response.kind, response)

    def _resolve(self, outcome: Outcome) -> None:
        """The row's outcome is known, or in doubt."""
        self._tries.pop(outcome.id, None)
        self._counts[outcome.state] += 1
        if outcome.state is State.IN_DOUBT and self._options.strict_order:
            self._lanes.block(outcome.id)
        else:
            self._lanes.done(outcome.id)

    def _count_refusal(self, kind: ResponseKind, response: Response) -> None:
        """Stop the run after five refusals from the start, and after a long streak later."""
        if kind is ResponseKind.SENT:
            self._accepted, self._refusals = True, 0
        if kind is not ResponseKind.REFUSED:
            return
        self._refusals += 1
        if self._accepted and self._refusals >= self._options.max_refused > 0:
            words = f"the API refused {self._refusals} events in a row"
        elif not self._accepted and self._refusals >= FIRST_REFUSALS:
            words = f"the API refused the first {self._refusals} events; none was accepted"
        else:
            return
        hint = (
            f"the API says: {response.message.rstrip('.')}. If the cause is in Sender or --endpoint, correct it, and"
            " `importer retry` sends the refused rows again; otherwise correct the mapping and run it again"
        )
        self.stop(StopReason(words, hint=hint))

    def _try_again(self, claim: Claim, outcome: Outcome, response: Response) -> None:
        if response.kind is ResponseKind.UNAUTHORIZED:
            self._denied.append((claim, response))
            if len(self._denied) == 1:
                self._start(self._check_token())
        elif response.kind is ResponseKind.IN_DOUBT:
            self._waiting += 1
            self._start(self._retry_later(outcome))
        elif response.status is None:
            self._lanes.give_back(claim.id)
        elif self._is_turned_away_for_good(claim.id, response):
            self._left.append(response)
            self._lanes.block(claim.id)
        else:
            self._waiting += 1
            self._start(self._defer(claim.id))

    async def _retry_later(self, outcome: Outcome) -> None:
        """Give back a row in doubt, under ``--on-doubt resend``; the wait is doubled with each attempt."""
        await self._clock.sleep(2.0 ** max(outcome.attempts, 1))
        self._waiting -= 1
        self._lanes.give_back(outcome.id)

    async def _defer(self, row_id: int) -> None:
        """Let others go first; where there are none, a probe finds out whether the API takes anything at all."""
        await self._clock.sleep(max(self._limiter.state.blocked_until - self._clock.monotonic(), 0.0))
        tries = self._tries[row_id]
        if self._taken == tries.others and not self._lanes.ready and not self._stopped:
            probed = await self._probe()
            tries.probed = probed.kind is ResponseKind.SENT
        self._waiting -= 1
        self._lanes.defer(row_id)

    def _is_turned_away_for_good(self, row_id: int, response: Response) -> bool:
        """Whether a 429 is for this row rather than for the account: the API has taken others in between, again."""
        tries = self._tries.setdefault(row_id, _Tries(others=self._taken))
        if self._taken > tries.others or tries.probed or (response.remaining or 0) > 0:
            tries.count += 1
        tries.others, tries.probed = self._taken, False
        return tries.count >= MAX_TURNED_AWAY

    async def _check_token(self) -> None:
        """After a 401 or 403: is it the token, or the row?"""
        probed = await self._probe()
        denied, self._denied = self._denied, []
        if probed.kind is not ResponseKind.SENT:
            by = probed if probed.kind is ResponseKind.UNAUTHORIZED else denied[-1][1]
            self.stop(StopReason.of_token(by.status))
        for claim, response in denied:
            tries = self._tries.setdefault(claim.id, _Tries())
            tries.count += 1
            if self._stopped or tries.count < MAX_TRIES:
                self._lanes.defer(claim.id)
            else:
                refused = Response(ResponseKind.REFUSED, response.status, response.message, response.latency)
                outcome = outcome_of(claim, refused, self._clock.time(), self._options)
                self._note(outcome)
                self._resolve(outcome)
            self._count_refusal(ResponseKind.REFUSED, response)

    async def _ask_whether_it_is_there(self) -> None:
        response = await self._probe()
        self._report(response)
        if response.kind is ResponseKind.UNAUTHORIZED:
            self.stop(StopReason.of_token(response.status))

    async def _probe(self) -> Response:
        """Ask the API something harmless, and learn from what it says."""
        response = await self._client.probe()
        now = self._clock.monotonic()
        self._limiter.observe(response, now)
        self._breaker.probed(response, now)
        return response
