"""How fast requests may leave: what is left of the account's limit, spread over what is left of its minute.

All of it is synchronous arithmetic on whatever clock the caller's ``now`` comes from (seconds). How the server counts
is not documented, so it must hold for all that is common:

* *Windows*, from the first request on (Laravel's throttle, which these headers come from) or on the minute: the reset
  stays where it is. What is left is spread up to it; what other programs use up is estimated and left to them. When the
  window has ended, one request goes alone and shows what the next one holds.
* *Sliding windows and token buckets*: the reset moves with every answer. Requests leave at the even pace, and more
  slowly as ``Remaining`` gets low.
* *No headers*: as many as are answered, until a 429 shows that there is a limit; then somewhat less than were accepted,
  and a little more with every second.

Several importers of one account divide the limit among them (`Peers`; see ``shared_limit``).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from importer.model import Pace, PauseKind, Response, ResponseKind

WINDOW = 60.0
"""Seconds: ``X-RateLimit-Limit`` is per minute."""
MAX_LIMIT = 1_000_000
"""Requests a minute; a larger limit is no limit for a single loop."""
MAX_PAUSE = 3600.0
"""Seconds after which one request tries again, however long the API asks to wait."""
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
_NOTICED = 1.0
"""Seconds of waiting that are worth a word to the user."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The other importers of this account on this machine, as last seen."""

    count: int = 0
    rank: int = 0
    """How many of them come before this one, so that not all do the same thing at once."""
    in_flight: int = 0
    sent: int = 0
    """Requests that they have made in this window."""


class RateLimitState(msgspec.Struct):
    """What is known of the account's limit; importers that share it pass it on to one another."""

    limit: int | None = None
    """Requests a minute; None where the API names none."""
    remaining: int = 0
    """The lowest of this window, less answers that said nothing; of a moving limit, the newest."""
    reset_lo: float = -math.inf
    reset_hi: float = -math.inf
    """The window ends between these two, and up to a second later if the header was cut to seconds."""
    rolling: bool = False
    """The reset moves with every answer. Once seen, for good."""
    assumed: bool = False
    """The window is known from the clock only; no answer has spoken of it."""
    newest: float = -math.inf
    """When the latest request left whose answer has been read."""
    blocked_until: float = -math.inf
    blocked_why: str = ""


@dataclass(slots=True)
class RateLimiter:
    """Lets requests go. Each 0.0 of `ask` is followed by exactly one `record` or `give_back`."""

    reserve: int = 0
    """Requests a minute left to the account's other programs; one a minute is sent all the same."""
    max_in_flight: int = MAX_IN_FLIGHT
    """Each takes a file handle."""
    jitter: Callable[[], float] = random.random
    state: RateLimitState = field(default_factory=RateLimitState)
    peers: Peers = field(default_factory=Peers)
    in_flight: int = 0
    sent: int = 0
    """Requests that this window has counted, or may yet."""
    asked_at: float = -math.inf
    """When there was last something to send."""
    _alone: bool = True
    """The next request goes alone: nothing is known yet, or what was known is stale."""
    _last_sent: float = -math.inf
    _began: float = -math.inf
    """When this window is taken to have begun …"""
    _first: float = math.inf
    """… and when its first answer came, if the window before was seen to end: it cannot have begun later."""
    _previous_end: float = -math.inf
    """The latest end of the window before: answers that speak of it are stale."""
    _others: float = 0.0
    """Requests a second of other programs, estimated; in ``_others_before`` of the window before."""
    _others_before: float = 0.0
    _others_base: int = 0
    """What others had used of this window before it was watched."""
    _blocked_at: float = -math.inf
    _strikes: int = 0
    """429s in a row that named no time."""
    _own_pace: float | None = None
    """Requests a second, where a limit is not told but felt."""
    _accepted: int = 0
    """Answers since the last 429, or the beginning, which was at ``_accepted_since``."""
    _accepted_since: float = math.nan
    _counted: tuple[float, int] = (0.0, 0)
    """Since when so many answers have come, for `throughput`."""
    throughput: float = 0.0
    """Answers a second."""
    _latency: float = 0.0

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight: by Little's law where the rate is known."""
        if self._alone:
            return 1
        rate = self._own_pace if self.state.limit is None else _CATCH_UP * self.state.limit / WINDOW
        if rate is None:
            return min(_UNLIMITED_IN_FLIGHT, self.max_in_flight)
        # A second at least, for latency may rise faster than it is learnt; the pace keeps the number low.
        return max(1, min(math.ceil(rate * max(2 * self._latency, 1.0)) + 1, self.max_in_flight))

    def ask(self, now: float) -> float:
        """Seconds until one request may leave, at most: an answer may shorten it. 0.0: now, and it is counted."""
        self.asked_at = now
        if math.isnan(self._accepted_since):
            self._accepted_since = now
        wait = self._wait(now)
        if wait > 1e-6:
            return wait
        self._last_sent = max(now + max(wait, -_LATENESS), self._last_sent)
        self.in_flight += 1
        self.sent += 1
        return 0.0

    def give_back(self) -> None:
        """A request did not leave after all."""
        self.in_flight -= 1
        self.sent = max(self.sent - 1, 0)

    def record(self, response: Response, now: float) -> None:
        """How a request ended that `ask` let go."""
        self.in_flight -= 1
        if response.status is None and response.fate is ResponseKind.NOT_ACCEPTED:
            self.sent = max(self.sent - 1, 0)
        elif response.status is not None:
            self._latency += (response.latency - self._latency) * (0.1 if self._latency else 1.0)
        self._count(now)
        self.observe(response, now)

    def observe(self, response: Response, now: float) -> None:
        """What any answer tells of the limit, a probe's included: it is counted as well."""
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
            self._alone = False
            self._strikes = 0
            self._accepted += 1

    def hear(self, news: RateLimitState, now: float) -> None:
        """Take over what another importer of the account knows, if it is newer."""
        state = self.state
        if news.limit is None or news.assumed or news.newest <= state.newest:
            return
        if state.limit is None or news.reset_lo > state.reset_hi:
            self._begin(now, self.in_flight)
        blocked = state.blocked_until, state.blocked_why
        self.state = msgspec.structs.replace(news, blocked_until=blocked[0], blocked_why=blocked[1])
        self._alone = self._alone and now < blocked[0]

    def hear_block(self, news: RateLimitState) -> None:
        """Another importer was turned away: wait as well, and then let one alone try."""
        if news.blocked_until > self.state.blocked_until:
            self.state.blocked_until, self.state.blocked_why = news.blocked_until, news.blocked_why
            self._alone = True

    def rate(self, now: float) -> float | None:
        """Requests a second that it aims at, or reaches where there is no limit; None while nothing is known."""
        if now < self.state.blocked_until:
            return 0.0
        if self.state.limit is None:
            return self._own_pace or self.throughput or None
        interval = self._interval(now)
        return 0.0 if interval is None else 1 / interval

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
            until, words = self._ends, "limit reached; it begins anew when the API says (X-RateLimit-Reset)"
        waits = until - now >= _NOTICED
        return Pace(
            rate=rate,
            limit=state.limit,
            remaining=max(state.remaining, 0) if state.limit is not None else None,
            waiting_for=words if waits else "",
            wait_until=wall + until - now if waits else None,
            halt=PauseKind.LIMIT if waits else None,
        )

    def _wait(self, now: float) -> float:
        state = self.state
        if now < state.blocked_until:
            # Of several importers one tries first, and the others hear of it.
            return state.blocked_until - now + 2.0 * self.peers.rank
        self._roll(now)
        if self.in_flight >= self.concurrency or (self._alone and state.limit is None and self.peers.in_flight):
            return _POLL
        if state.limit is None:
            felt = self._own_pace is not None and not self._alone
            return self._last_sent + 1 / self._paced(now) - now if felt else 0.0
        interval = self._interval(now)
        if interval is not None:
            return self._last_sent + interval - now
        if self.in_flight + self.peers.in_flight:
            return _POLL
        return (self._last_sent + 2 * self._even if state.rolling else self._ends) - now

    @property
    def _ends(self) -> float:
        """When the next window has surely begun."""
        state = self.state
        return min(state.reset_hi + _EDGE, max(state.reset_hi, self._first + WINDOW) + 0.1)

    @property
    def _even(self) -> float:
        """Seconds from one of our requests to the next, if all of the minute's are spread evenly."""
        assert self.state.limit is not None
        return WINDOW * (self.peers.count + 1) / max(self.state.limit - self.reserve, 1)

    def _interval(self, now: float) -> float | None:
        """Seconds from one request to the next; None where the window has no room for another."""
        state = self.state
        assert state.limit is not None
        allowed = max(state.limit - self.reserve, 1)
        members = self.peers.count + 1
        room = float(state.remaining - self.in_flight - self.peers.in_flight)
        if state.rolling:
            room -= min(self.reserve, state.limit - 1)
            return self._even * max(1.0, _LOW * allowed / room) if room >= 1 else None
        if self.reserve:
            room = min(room, float(allowed - self.sent - self.peers.sent))
        if room < 1:
            return None
        since = max(self._last_sent, self._began)
        span = self._ends - since
        theirs = self._others * max(self._ends - now, 0.0)
        if theirs:
            left = state.remaining - self.in_flight - self.peers.in_flight - theirs - math.sqrt(theirs)
            room = min(room, max(left, _MIN_SHARE * allowed * span / WINDOW))
        room = room / members if room >= members else float(self.peers.rank < room)
        if not room:
            return None
        kept = math.ceil(_KEPT * allowed)
        interval = span / (room + 1)
        if now < state.reset_lo and room > kept:
            interval = min((state.reset_lo - since) / (room - kept), interval * _CATCH_UP)
        return max(interval, self._even / _CATCH_UP)

    def _roll(self, now: float) -> None:
        """Begin the next window once this one has surely ended."""
        state = self.state
        if state.limit is None:
            return
        if now - self._last_sent >= WINDOW and not self.in_flight:
            self._alone = True  # idle for so long that others may have come
        if state.rolling or now < self._ends:
            return
        self._begin(now, self.in_flight)
        state.remaining = state.limit
        state.reset_lo = state.reset_hi = max(state.reset_hi, now - _EDGE) + WINDOW
        state.assumed = True

    def _begin(self, now: float, sent: int) -> None:
        self._previous_end = self.state.reset_hi
        self._began, self._first, self.sent = now, math.inf, sent
        self._others_before, self._others_base = self._others, 0

    def _read(self, response: Response, now: float) -> None:
        """Take over what the headers say, bounded by what a window of a minute can mean."""
        state = self.state
        sent_at = now - response.latency
        limit = min(response.limit or state.limit or (response.remaining or 0) + 1, MAX_LIMIT)
        remaining = None if response.remaining is None else min(response.remaining, limit)
        if state.limit is None:
            lo, hi = _reset(response, sent_at, now, now + WINDOW)
            self._begin(now, self.in_flight + 1)
            self._adopt(limit, remaining, lo, hi)
            self._others_base = max(limit - state.remaining - self.sent - self.peers.sent, 0)
            return
        lo, hi = _reset(response, sent_at, now, state.reset_hi)
        state.rolling = state.rolling or self._moves(sent_at, now, lo, hi)
        if state.rolling:
            state.limit, state.reset_lo, state.reset_hi, self._others = limit, lo, hi, 0.0
            if sent_at >= state.newest and remaining is not None:
                state.newest, state.remaining = sent_at, remaining
        elif lo > self._previous_end:  # else an answer from the window before, overtaken by others
            if state.assumed or lo > state.reset_hi:
                if not state.assumed:
                    self._begin(now, self.in_flight + 1)
                self._adopt(limit, remaining, lo, hi)
                self._first = now
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
            fresh = sent_at > self._began - 0.001 and now - self._began < WINDOW / 3
        else:
            fresh = lo > state.reset_hi
            if fresh and now < state.reset_lo - 2:
                return True  # another reset before the last one has come
        # In a window that has just begun, the reset is almost a minute away.
        return fresh and hi - now < WINDOW / 2

    def _estimate_others(self, now: float) -> None:
        assert self.state.limit is not None
        theirs = max(self.state.limit - self.state.remaining - self.sent - self.peers.sent - self._others_base, 0)
        self._others = (theirs + self._others_before * _MEMORY) / (max(now - self._began, 0.0) + _MEMORY)

    def _block(self, response: Response, now: float) -> None:
        """The API turned a request away: nothing leaves until it says so; then one request alone tries."""
        state = self.state
        fresh = now - response.latency >= self._blocked_at  # else it was under way when the first one came back
        self._alone = True
        asked = response.retry_after
        said = f"the API said {response.status}"
        if asked is not None:
            wait = min(max(asked, 1.0), MAX_PAUSE) + (_EDGE if asked >= 1 else 0.0)
            said += f" and to wait {asked:,.0f} s (Retry-After)"
            said += f"; trying again after {MAX_PAUSE / 60:.0f} min" if asked > MAX_PAUSE else ""
        elif response.reset_in is not None and response.reset_in <= 1.5 * WINDOW:
            wait = max(response.reset_in, 1.0) + _EDGE
            said += ", and its limit begins anew then (X-RateLimit-Reset)"
        else:
            self._strikes += 1 if fresh else 0
            wait = min(2.0**self._strikes, WINDOW) * (0.75 + 0.5 * self.jitter())
            said += " without a time; the wait is doubled each time, up to a minute"
        if fresh:
            self._feel(now)
            self._blocked_at = now
        if now + wait > state.blocked_until:
            state.blocked_until, state.blocked_why = now + wait, said

    def _feel(self, now: float) -> None:
        """A 429 without a known limit: somewhat less than was accepted since the last one."""
        if self.state.limit is None:
            seen = self._accepted / max(now - self._accepted_since, 1.0)
            self._own_pace = max(0.7 * seen if self._accepted else (self._own_pace or 1.0) / 2, 1 / WINDOW)
        self._accepted, self._accepted_since = 0, now

    def _paced(self, now: float) -> float:
        """The pace that is felt out, a hundredth faster with each second since the last 429."""
        assert self._own_pace is not None
        return self._own_pace * math.pow(
            1.01, min(max(now - max(self._blocked_at, self.state.blocked_until), 0.0), 600.0)
        )

    def _count(self, now: float) -> None:
        since, count = self._counted
        if not count:
            self._counted = (now, 1)
        elif now - since >= 0.25:
            self.throughput = count / (now - since)
            self._counted = (now, 1)
        else:
            self._counted = (since, count + 1)


def _turned_away(response: Response) -> bool:
    return response.status in {425, 429} or (response.status == 503 and response.retry_after is not None)


def _reset(response: Response, sent_at: float, now: float, otherwise: float) -> tuple[float, float]:
    """The earliest and the latest moment of the window's end; ``otherwise``: the moment, if nothing is said."""
    if response.reset_in is None or response.reset_in > 1.5 * WINDOW:
        return otherwise, otherwise
    # Both the reset and the Date that it was measured against may be cut to seconds.
    return sent_at + response.reset_in - 1, now + min(response.reset_in, WINDOW)
