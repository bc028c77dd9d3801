"""How fast requests may leave: what is left of the account's limit, spread over what is left of its minute.

All of it is synchronous arithmetic; ``now`` is the caller's clock, in seconds. How the server counts
is not documented, so it must hold for all that is common:

* *Windows*, from the first request on (Laravel's throttle, which these headers come from) or on the minute: the reset
  stays where it is. What is left is spread up to it; what other programs use up is estimated and left to them. When the
  window has ended, one request goes alone and shows what the next one holds.
* *Sliding windows and token buckets*: the reset moves with every answer. Requests leave at the even pace, and more
  slowly as ``Remaining`` gets low.
* *No headers*: as many as are answered, until a 429 shows that there is a limit; then somewhat less than were accepted,
  and a little more with every second.

Several importers of one account on this machine pace together, on one state (`shared_limit`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from importer.deliver.shared_limit import MAX_PAUSE, Member, RateLimitState, SharedState
from importer.model import Pace, PauseKind, Response, ResponseKind

T = TypeVar("T")

WINDOW = 60.0
"""Seconds: ``X-RateLimit-Limit`` is per minute."""
MAX_LIMIT = 1_000_000
"""Requests a minute; a larger limit is no limit for a single loop."""
MAX_IN_FLIGHT = 256
MAX_AHEAD = 256
"""Rows claimed ahead at the most: what a crash leaves in doubt beside those in flight."""
_AHEAD = 0.1
_AHEAD_UNLIMITED = 0.5
"""Seconds' worth of rows to claim ahead; more where no limit is known, for each commit costs CPU."""
_UNLIMITED_IN_FLIGHT = 16
"""Requests in flight where no limit is known."""
_CATCH_UP = 1.1
"""How much faster than the even pace lost time may be made up for …"""
_LATENESS = 0.05
"""… and the seconds by which a late timer does not even count as lost."""
_EDGE = 1.0
"""Seconds: the headers' times are cut to seconds."""
_KEPT = 0.015
"""The share of the limit that is kept for the window's uncertain end."""
_LOW = 0.05
"""The share of a moving limit below which requests slow down."""
_MIN_SHARE = 0.05
"""The share of the limit that is used however much other programs take, while any is left."""
_MEMORY = 10.0
"""Seconds of observation that the last window's estimate of other programs' use counts for in the next."""
_POLL = 0.05
"""Seconds after which to ask again where only an answer brings news."""
_TURN = 0.05
"""Seconds for which an importer lets another one go first that is due."""
_APART = 0.02
"""Seconds between two looks at the shared state where no limit is known."""
_NOTICED = 1.0
"""Seconds of waiting that are worth a word to the user."""


@dataclass(slots=True)
class RateLimiter:
    """Lets requests go. Each 0.0 of `ask` is followed by exactly one `record` or `give_back`."""

    reserve: int = 0
    """Requests a minute left to the account's other programs; one a minute is sent all the same."""
    cap: int | None = None
    """Requests a minute at the most, even if the API grants more."""
    max_in_flight: int = MAX_IN_FLIGHT
    """Each takes a file handle."""
    jitter: Callable[[], float] = random.random
    shared: SharedState | None = None
    """None: no other importer uses this account, or it is a rehearsal."""
    state: RateLimitState = field(default_factory=RateLimitState)
    name: str = field(init=False)
    """Of this importer among those that share the limit."""
    in_flight: int = 0
    """Of this importer."""
    throughput: float = 0.0
    """Answers a second."""
    _counted: tuple[float, int] = (0.0, 0)
    """Since when so many answers have come, for ``throughput``."""
    _sample: float = 0.02
    """Seconds for which they are counted, soon a quarter of one; longer where an answer takes longer."""
    _asked: float = -math.inf
    _shared_at: float = -math.inf
    """When the state of all importers was last read and written."""
    _changes: list[tuple[Callable[[Response, float], None], Response, float]] = field(default_factory=list)
    """Changes that wait for the state."""

    def __post_init__(self) -> None:
        self.name = "" if self.shared is None else self.shared.name

    @property
    def trouble(self) -> str:
        """Why the limit cannot be shared at the moment; empty if it can."""
        return "" if self.shared is None else self.shared.trouble

    @property
    def concurrency(self) -> int:
        """How many requests of all importers may be in flight: by Little's law where the rate is known."""
        state = self.state
        if state.alone:
            return 1
        rate = state.own_pace if state.limit is None else _CATCH_UP * state.limit / WINDOW
        if rate is None:
            return min(_UNLIMITED_IN_FLIGHT, self.max_in_flight)
        # A second at least, for latency may rise faster than it is learnt; the pace keeps the number low.
        return max(1, min(math.ceil(rate * max(2 * state.latency, 1.0)) + 1, self.max_in_flight))

    def ask(self, now: float) -> float:
        """Seconds until one request may leave, at most: an answer may shorten it. 0.0: now, and it is counted."""
        self._asked = now
        wait = self._act(self._ask, now)
        return _POLL if wait is None else wait

    def give_back(self, now: float) -> None:
        """A request did not leave after all."""
        self.in_flight -= 1
        self._change(self._uncount, _UNSENT, now)

    def record(self, response: Response, now: float) -> None:
        """How a request ended that `ask` let go."""
        self.in_flight -= 1
        self._count(now)
        self._changes.append((self._record, response, now))
        sent = response.kind is ResponseKind.SENT
        if not sent or response.limit is not None or response.remaining is not None:
            self._shared_at = -math.inf
        if self.shared is None or not sent:  # the other importers learn from the next step of what is no trouble
            self._act(_nothing, now)

    def observe(self, response: Response, now: float) -> None:
        """Take over what any answer says of the limit, a probe's included: it is counted as well."""
        self._change(self._observe, response, now)

    def exchange(self, now: float) -> None:
        """Show the account's other importers that this one is there, and see what they know."""
        if self.shared is not None:
            self._act(_nothing, now)

    def leave(self, now: float) -> None:
        """This importer sends nothing more; what it has learnt stays."""
        if self.shared is not None:
            self._shared_at = -math.inf
            self._act(lambda _: self.state.members.pop(self.name), now)
            self.shared.close()

    def rate(self, now: float) -> float | None:
        """Requests a second that it aims at, or reaches where there is no limit; None while nothing is known."""
        state = self.state
        if now < state.blocked_until:
            return 0.0
        if state.limit is None:
            return state.own_pace / state.active(now) if state.own_pace else self.throughput or None
        interval = self._interval(now)
        return 0.0 if interval is None else 1 / interval / state.active(now)

    def window(self, now: float) -> int:
        """Rows to claim ahead: one up to about ten a second, then a tenth of a second's worth, never more than 256."""
        seconds = _AHEAD if self.state.limit is not None else _AHEAD_UNLIMITED
        return min(max(int((self.rate(now) or 0.0) * seconds), 1), MAX_AHEAD)

    def pace(self, now: float, wall: float) -> Pace:
        """The state for progress and metrics; ``wall`` is seconds since the epoch."""
        state = self.state
        rate = self.rate(now)
        until, words = -math.inf, ""
        if now < state.blocked_until:
            until, words = state.blocked_until, state.blocked_why
        elif state.limit is not None and rate == 0.0:
            until, words = self._ends, "limit reached; it starts again when the API says (X-RateLimit-Reset)"
        waits = until - now >= _NOTICED
        return Pace(
            rate=rate,
            limit=state.limit,
            remaining=max(state.remaining, 0) if state.limit is not None else None,
            waiting_for=words if waits else "",
            wait_until=wall + until - now if waits else None,
            pause=PauseKind.LIMIT if waits else None,
        )

    def _act(self, action: Callable[[float], T], now: float) -> T | None:
        """Act on the state of all importers, after the changes that waited for it; None while another one has it."""
        if self.shared is None or (self.state.is_free and now - self._shared_at < _APART):
            return self._apply(action, now)
        with self.shared.hold(self.state) as state:
            if state is None:
                return None
            self.state, self._shared_at = state, now
            return self._apply(action, now)

    def _apply(self, action: Callable[[float], T], now: float) -> T:
        members = self.state.members
        mine = members.get(self.name) or members.setdefault(self.name, Member())
        mine.seen, mine.asked, mine.in_flight = now, self._asked, self.in_flight
        if len(members) > 1:
            self.state.drop_lost(now)
        for change, response, at in self._changes:
            change(response, at)
        self._changes.clear()
        return action(now)

    def _change(self, change: Callable[[Response, float], None], response: Response, now: float) -> None:
        self._changes.append((change, response, now))
        self._shared_at = -math.inf
        self._act(_nothing, now)

    def _ask(self, now: float) -> float:
        state = self.state
        if math.isnan(state.accepted_since):
            state.accepted_since = now
        wait = self._wait(now)
        mine = state.last_sender == self.name and state.limit is not None and state.active(now) > 1
        turn = min(_TURN, self._even / 4) if mine else 0.0
        if wait + turn > 1e-6:
            return wait + turn
        state.last_sent, state.last_sender = max(now + max(wait, -_LATENESS), state.last_sent), self.name
        self.in_flight += 1
        state.members[self.name].in_flight += 1
        state.sent += 1
        return 0.0

    def _uncount(self, _: Response, __: float) -> None:
        self.state.sent = max(self.state.sent - 1, 0)

    def _record(self, response: Response, now: float) -> None:
        state = self.state
        if response.status is None and response.kind is ResponseKind.NOT_ACCEPTED:
            self._uncount(response, now)
        elif response.status is not None:
            state.latency += (response.latency - state.latency) * (0.1 if state.latency else 1.0)
        self._observe(response, now)

    def _observe(self, response: Response, now: float) -> None:
        state = self.state
        if response.status is None:
            return
        if response.limit is not None or response.remaining is not None:
            self._read(response, now)
        elif state.limit is not None:
            state.remaining -= 1
        if _turned_away(response):
            self._block(response, now)
        else:
            state.alone = False
            state.strikes = 0
            state.accepted += 1

    def _wait(self, now: float) -> float:
        state = self.state
        if now < state.blocked_until:
            return state.blocked_until - now
        if state.limit is not None:
            self._roll(now)
        at_once = self.concurrency
        if state.in_flight >= at_once or self.in_flight >= math.ceil(at_once / state.active(now)):
            return _POLL
        if state.limit is None:
            felt = state.own_pace is not None and not state.alone
            wait = state.last_sent + 1 / self._paced(now) - now if felt else 0.0
            return wait if self.cap is None else max(wait, state.last_sent + WINDOW / self.cap - now)
        interval = self._interval(now)
        if interval is not None:
            return state.last_sent + interval - now
        if state.in_flight:
            return _POLL
        return (state.last_sent + 2 * self._even if state.rolling else self._ends) - now

    @property
    def _ends(self) -> float:
        """When the next window has surely begun."""
        state = self.state
        return min(state.reset_hi + _EDGE, max(state.reset_hi, state.first + WINDOW) + 0.1)

    @property
    def _even(self) -> float:
        """Seconds from one request to the next, if all of the minute's are spread evenly."""
        assert self.state.limit is not None
        return WINDOW / max(self.state.limit - self._kept_back(self.state.limit), 1)

    def _kept_back(self, limit: int) -> int:
        """Requests of a minute that are not to be used."""
        return self.reserve if self.cap is None else max(self.reserve, limit - self.cap)

    def _interval(self, now: float) -> float | None:
        """Seconds from one request to the next; None where the window has no room for another."""
        state = self.state
        assert state.limit is not None
        reserve = self._kept_back(state.limit)
        allowed = max(state.limit - reserve, 1)
        room = float(state.remaining - state.in_flight)
        if state.rolling:
            room -= min(reserve, state.limit - 1)
            return self._even * max(1.0, _LOW * allowed / room) if room >= 1 else None
        if reserve:
            room = min(room, float(allowed - state.sent))
        if room < 1:
            return None
        since = max(state.last_sent, state.began)
        span = self._ends - since
        theirs = state.others * max(self._ends - now, 0.0)
        if theirs:
            left = state.remaining - state.in_flight - theirs - math.sqrt(theirs)
            room = min(room, max(left, _MIN_SHARE * allowed * span / WINDOW))
        kept = math.ceil(_KEPT * allowed)
        interval = span / (room + 1)
        if now < state.reset_lo and room > kept:
            interval = min((state.reset_lo - since) / (room - kept), interval * _CATCH_UP)
        return max(interval, self._even / _CATCH_UP)

    def _roll(self, now: float) -> None:
        """Begin the next window once this one has surely ended."""
        state = self.state
        assert state.limit is not None
        if now - state.last_sent >= WINDOW and not state.in_flight:
            state.alone = True  # idle for so long that others may have come
        if state.rolling or now < self._ends:
            return
        self._begin(now, state.in_flight)
        state.remaining = state.limit
        state.reset_lo = state.reset_hi = max(state.reset_hi, now - _EDGE) + WINDOW
        state.assumed = True

    def _begin(self, now: float, sent: int) -> None:
        state = self.state
        state.previous_end = state.reset_hi
        state.began, state.first, state.sent = now, math.inf, sent
        state.others_before, state.others_base = state.others, 0

    def _read(self, response: Response, now: float) -> None:
        """Take over what the headers say, bounded by what a window of a minute can mean."""
        state = self.state
        sent_at = now - response.latency
        limit = min(response.limit or state.limit or (response.remaining or 0) + 1, MAX_LIMIT)
        remaining = None if response.remaining is None else min(response.remaining, limit)
        if state.limit is None:
            lo, hi = _reset(response, sent_at, now, now + WINDOW)
            self._begin(now, state.in_flight + 1)
            self._adopt(limit, remaining, lo, hi)
            state.others_base = max(limit - state.remaining - state.sent, 0)
            return
        lo, hi = _reset(response, sent_at, now, state.reset_hi)
        state.rolling = state.rolling or self._moves(sent_at, now, lo, hi)
        if state.rolling:
            state.limit, state.reset_lo, state.reset_hi, state.others = limit, lo, hi, 0.0
            if sent_at >= state.newest and remaining is not None:
                state.newest, state.remaining = sent_at, remaining
        elif lo > state.previous_end:  # else an answer from the window before, overtaken by others
            if state.assumed or lo > state.reset_hi:
                if not state.assumed:
                    self._begin(now, state.in_flight + 1)
                self._adopt(limit, remaining, lo, hi)
                state.first = now
            else:
                state.limit = limit
                state.remaining = min(state.remaining, state.remaining - 1 if remaining is None else remaining)
                lo, hi = max(state.reset_lo, lo), min(state.reset_hi, hi)
                if lo <= hi:
                    state.reset_lo, state.reset_hi = lo, hi
            state.newest = max(state.newest, sent_at)
            self._estimate_others(now)

    def _adopt(self, limit: int, remaining: int | None, lo: float, hi: float) -> None:
        """Take over a window of which this is the first answer to speak."""
        state = self.state
        state.limit, state.remaining = limit, limit - 1 if remaining is None else remaining
        state.reset_lo, state.reset_hi, state.assumed = lo, hi, False

    def _moves(self, sent_at: float, now: float, lo: float, hi: float) -> bool:
        """Whether an answer shows that the reset is no window's end."""
        state = self.state
        if state.assumed:
            fresh = sent_at > state.began - 0.001 and now - state.began < WINDOW / 3
        else:
            fresh = lo > state.reset_hi
            if fresh and now < state.reset_lo - 2:
                return True  # another reset before the last one has come
        # In a window that has just begun, the reset is almost a minute away.
        return fresh and hi - now < WINDOW / 2

    def _estimate_others(self, now: float) -> None:
        state = self.state
        assert state.limit is not None
        theirs = max(state.limit - state.remaining - state.sent - state.others_base, 0)
        state.others = (theirs + state.others_before * _MEMORY) / (max(now - state.began, 0.0) + _MEMORY)

    def _block(self, response: Response, now: float) -> None:
        """The API turned a request away: nothing leaves until it says so; then one request alone tries."""
        state = self.state
        fresh = now - response.latency >= state.blocked_at  # else it was under way when the first one came back
        state.alone = True
        asked = response.retry_after
        said = f"the API said {response.status}"
        if asked is not None:
            wait = min(max(asked, 1.0), MAX_PAUSE) + (_EDGE if asked >= 1 else 0.0)
            said += f" and to wait {asked:,.0f} s (Retry-After)"
            said += f"; trying again after {MAX_PAUSE / 60:.0f} min" if asked > MAX_PAUSE else ""
        elif response.reset_in is not None and response.reset_in <= 1.5 * WINDOW:
            wait = max(response.reset_in, 1.0) + _EDGE
            said += ", and its limit starts again then (X-RateLimit-Reset)"
        else:
            state.strikes += 1 if fresh else 0
            wait = min(2.0**state.strikes, WINDOW) * (0.75 + 0.5 * self.jitter())
            said += " without a time; the wait is doubled each time, up to a minute"
        if fresh:
            if response.status == 429:  # 425 and 503 speak of the moment, not of the pace
                self._feel(now)
            state.blocked_at = now
        if now + wait > state.blocked_until:
            state.blocked_until, state.blocked_why = now + wait, said

    def _feel(self, now: float) -> None:
        """A 429 without a known limit: somewhat less than was accepted since the last one.

        If nothing was, one request alone was turned away again: the wait was too short, and the pace is not to blame.
        """
        state = self.state
        if state.limit is None:
            seen = state.accepted / max(now - state.accepted_since, 1.0)
            state.own_pace = max(0.7 * seen if state.accepted else state.own_pace or 1.0, 1 / WINDOW)
        state.accepted, state.accepted_since = 0, now

    def _paced(self, now: float) -> float:
        """The pace that is felt out, a hundredth faster with each second since the last 429."""
        state = self.state
        assert state.own_pace is not None
        since = max(now - max(state.blocked_at, state.blocked_until), 0.0)
        return state.own_pace * math.pow(1.01, min(since, 600.0))

    def _count(self, now: float) -> None:
        since, count = self._counted
        if not count:
            self._counted = (now, 1)
        elif now - since >= max(self._sample, self.state.latency):
            self.throughput = count / (now - since)
            self._counted, self._sample = (now, 1), min(2 * self._sample, 0.25)
        else:
            self._counted = (since, count + 1)


_UNSENT = Response(ResponseKind.NOT_ACCEPTED, None, "", 0.0)


def _nothing(_: float) -> None:
    """Only see what the others know, and let them know."""


def _turned_away(response: Response) -> bool:
    return response.status in {425, 429} or (response.status == 503 and response.retry_after is not None)


def _reset(response: Response, sent_at: float, now: float, otherwise: float) -> tuple[float, float]:
    """The earliest and the latest moment of the window's end; ``otherwise``: the moment, if nothing is said."""
    if response.reset_in is None or response.reset_in > 1.5 * WINDOW:
        return otherwise, otherwise
    # Both the reset and the Date that it was measured against may be cut to seconds.
    return sent_at + response.reset_in - 1, now + min(response.reset_in, WINDOW)
