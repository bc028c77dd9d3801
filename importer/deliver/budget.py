"""How much of the account's quota is left, and when the next request may have its share of it.

Owns the arithmetic: pure, synchronous, on whatever clock the caller's ``now`` comes from (seconds). It knows neither
processes nor connections; ``pacing`` puts it to use, ``quota`` shares it between processes.

How the server counts is not documented, so the arithmetic holds for all that is common: windows that begin with the
first request (Laravel's throttle, which these headers come from), windows on the minute, sliding windows, buckets.

* What is left is spread evenly over what is left of the window, but for a few requests that are kept for its end. The
  header names that end to the second only, and answers narrow it down no further than the wire's latency (`reset_lo`,
  `reset_hi`): those few feel their way across, and the first answer from the next window shows that it has begun.
* Answers come out of order, and some requests are still under way: of one window's answers the lowest ``Remaining``
  counts, less the requests in flight.
* Where the reset moves with every answer (sliding windows, buckets) there is no end to spend up to: requests leave at
  the even pace, more slowly as ``Remaining`` gets low.
* What ``Remaining`` loses beyond our own requests is other programs' use: as much again is left to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from importer.model import Response, ResponseKind

WINDOW = 60.0
"""Seconds: ``X-RateLimit-Limit`` is per minute."""
CATCH_UP = 1.1
"""How much faster than the limit's even pace lost time may be made up for …"""
LATENESS = 0.05
"""… and the seconds by which a late timer does not even count as lost."""
KEPT = 0.015
"""The share of the quota that is kept for the window's uncertain end."""
ROOM = 0.05
"""The share of the quota below which a moving reset slows us down."""
LEAST_SHARE = 0.05
"""The share of the quota that is used however much other programs take, as long as there is any left."""
MEMORY = 10.0
"""Seconds of observation that the estimate of other programs' use of the last window counts for in the next."""
LONGEST_EDGE = 5.0
POLL = 0.05
"""Seconds after which to ask again where only an answer brings news."""
INSTANT = 1e-6
"""Seconds too short to wait for; what floating-point times differ by where they are the same."""


@dataclass(slots=True)
class Budget:
    """The quota as far as it is known. Mutable; its owner is one `Pacer`, or the file that several share."""

    limit: int | None = None
    """Requests a minute; None: unknown, or (`unlimited`) none."""
    unlimited: bool = False
    """An answer came without headers, and none ever had any."""
    remaining: int = 0
    """The lowest ``Remaining`` of this window, less answers that named none."""
    own: int = 0
    """Requests of ours that this window has counted, or may yet."""
    began: float = 0.0
    """When we took this window to have begun."""
    seen: float = math.inf
    """When the first answer from this window came, if we saw the window before end: it cannot have begun later."""
    reset_lo: float = -math.inf
    reset_hi: float = -math.inf
    """The window ends between these two, and up to a second later if the header was cut to seconds."""
    previous_hi: float = -math.inf
    """The latest end of the window before: answers that speak of it are stale."""
    provisional: bool = False
    """The window is known from the clock only; no answer has spoken of it."""
    rolling: bool = False
    """The reset moves with every answer: a sliding window or a token bucket. Once seen, for good."""
    newest: float = -math.inf
    """When the latest request left whose answer has been read; what a sliding window says, that answer says best."""
    edge: float = 1.0
    """Seconds to distrust the end of a window; grows when a 429 proves it too short."""
    last_sent: float = -math.inf
    blocked_until: float = -math.inf
    blocked_at: float = -math.inf
    strikes: int = 0
    """429s in a row that did not say how long to wait."""
    alone: bool = True
    """The next request goes alone: nothing is known yet, or what was known is stale."""
    others_rate: float = 0.0
    """Requests a second of other programs, estimated."""
    others_prior: float = 0.0
    """The same, of the window before."""
    others_base: int = 0
    """What was used of this window before we looked."""

    def wait(self, now: float, in_flight: int, reserve: int) -> float:
        """Seconds until one request may leave; 0 or less: now. ``in_flight`` counts all importers' requests."""
        if now < self.blocked_until:
            return self.blocked_until - now
        if self.limit is not None:
            self._roll(now, in_flight)
        if self.alone:
            return POLL if in_flight else 0.0
        if self.limit is None:
            return 0.0
        interval = self.interval(now, in_flight, reserve)
        if interval is not None:
            return self.last_sent + interval - now
        if in_flight:
            return POLL
        return self.ends() - now

    def take(self, when: float, wait: float = 0.0) -> None:
        """A request leaves at ``when``; ``wait`` is what `wait` said, below 0 if it could have left earlier."""
        self.last_sent = max(when + max(wait, -LATENESS), self.last_sent)
        self.own += 1

    def give_back(self) -> None:
        """A request did not leave after all."""
        self.own = max(self.own - 1, 0)

    def interval(self, now: float, in_flight: int, reserve: int) -> float | None:
        """Seconds from one request to the next; None where this window has no room for another."""
        assert self.limit is not None
        allowed = max(self.limit - reserve, 1)
        even = WINDOW / allowed
        if self.rolling:
            left = self.remaining - in_flight - min(reserve, self.limit - 1)
            if left >= 1:
                return even * max(1.0, ROOM * allowed / left)
            return None if in_flight else 2 * even
        room = float(self.remaining - in_flight)
        if reserve:
            room = min(room, float(allowed - self.own))
        if room < 1:
            return None
        since = max(self.last_sent, self.began)
        span = self.ends() - since
        theirs = self.others_rate * max(self.ends() - now, 0.0)
        if theirs:
            least = LEAST_SHARE * allowed * span / WINDOW
            room = min(room, max(self.remaining - in_flight - theirs - math.sqrt(theirs), least))
        kept = math.ceil(KEPT * allowed)
        interval = span / (room + 1)
        if now < self.reset_lo and room > kept:
            interval = min((self.reset_lo - since) / (room - kept), interval * CATCH_UP)
        return max(interval, even / CATCH_UP)

    def ends(self) -> float:
        """When the next window has surely begun."""
        latest = self.reset_hi + self.edge
        return min(latest, max(self.reset_hi, self.seen + WINDOW) + self.edge - 0.9)

    def learn(self, answer: Response, now: float, in_flight: int, jitter: Callable[[], float]) -> None:
        """What an answer tells; ``in_flight`` no longer counts its request."""
        if answer.status is None and answer.fate is ResponseKind.NOT_ACCEPTED:
            self.give_back()
            return
        if answer.limit is not None or answer.remaining is not None:
            self.unlimited = False
            self._read(answer, now, in_flight)
        elif self.limit is not None:
            self.remaining -= 1
        elif answer.status is not None:
            self.unlimited = True
        if answer.status == 429:
            self._block(answer, now, jitter)
        elif answer.status is not None:
            self.alone = False
            self.strikes = 0

    def _roll(self, now: float, in_flight: int) -> None:
        """Begin the next window once this one has surely ended."""
        assert self.limit is not None
        end = self.ends()
        if now - self.last_sent >= WINDOW and not in_flight:
            self.alone = True  # idle for so long that others may have come
        if self.rolling or now < end:
            return
        self._begin(now, own=in_flight)
        self.remaining = self.limit
        self.reset_lo = self.reset_hi = max(self.reset_hi, now - self.edge) + WINDOW
        self.provisional = True

    def _begin(self, now: float, own: int) -> None:
        self.previous_hi = self.reset_hi
        self.began = now
        self.seen = math.inf
        self.own = own
        self.others_prior = self.others_rate
        self.others_base = 0

    def _read(self, answer: Response, now: float, in_flight: int) -> None:
        sent_at = now - answer.latency
        if self.limit is None:
            self._begin(now, own=in_flight + 1)
            limit = self._adopt(answer, *_reset(answer, sent_at, now, now + WINDOW))
            self.others_base = max(limit - self.remaining - self.own, 0)
            return
        lo, hi = _reset(answer, sent_at, now, self.reset_hi)
        if not self.rolling:
            self.rolling = self._moves(sent_at, now, lo, hi)
        if self.rolling:
            self.limit = answer.limit or self.limit
            if sent_at >= self.newest and answer.remaining is not None:
                self.newest, self.remaining = sent_at, answer.remaining
        elif lo <= self.previous_hi:
            return  # an answer from the window before, overtaken by others
        elif self.provisional or lo > self.reset_hi:
            if not self.provisional:
                self._begin(now, own=in_flight + 1)
            self._adopt(answer, lo, hi)
            self.seen = now
            self._watch_others(now)
        else:
            self.limit = answer.limit or self.limit
            self.remaining = min(self.remaining, self.remaining - 1 if answer.remaining is None else answer.remaining)
            lo, hi = max(self.reset_lo, lo), min(self.reset_hi, hi)
            if lo <= hi:
                self.reset_lo, self.reset_hi = lo, hi
            self._watch_others(now)

    def _moves(self, sent_at: float, now: float, lo: float, hi: float) -> bool:
        """Whether an answer shows that the reset is no window's end."""
        if self.provisional:
            fresh = sent_at > self.began - 0.001 and now - self.began < WINDOW / 3
        else:
            fresh = lo > self.reset_hi
            if fresh and now < self.reset_lo - 2:
                return True  # another reset before the last one has come
        # In a window that has just begun, the reset is almost a minute away.
        return fresh and hi - now < WINDOW / 2

    def _adopt(self, answer: Response, lo: float, hi: float) -> int:
        """Take over a window of which this is the first answer to speak; returns the limit."""
        self.provisional = False
        self.reset_lo, self.reset_hi = lo, hi
        self.limit = limit = answer.limit or self.limit or (answer.remaining or 0) + 1
        self.remaining = answer.remaining if answer.remaining is not None else limit - 1
        return limit

    def _watch_others(self, now: float) -> None:
        assert self.limit is not None
        theirs = max(self.limit - self.remaining - self.own - self.others_base, 0)
        watched = max(now - self.began, 0.0)
        self.others_rate = (theirs + self.others_prior * MEMORY) / (watched + MEMORY)

    def _block(self, answer: Response, now: float, jitter: Callable[[], float]) -> None:
        """A 429: nothing leaves until the API says so; then one request alone tries."""
        sent_at = now - answer.latency
        fresh = sent_at >= self.blocked_at  # else one of those that were under way when the first 429 came
        self.alone = True
        if fresh and now - self.began < LONGEST_EDGE and self.own < (self.limit or 0) // 2:
            self.edge = min(self.edge + 1.0, LONGEST_EDGE)
        if answer.retry_after is not None:
            wait = max(answer.retry_after, 1.0) + self.edge
        elif answer.reset_in is not None:
            wait = max(answer.reset_in, 1.0) + self.edge
        else:
            self.strikes += 1 if fresh else 0
            wait = min(2.0**self.strikes, WINDOW) * (0.75 + 0.5 * jitter())
        if fresh:
            self.blocked_at = now
        self.blocked_until = max(self.blocked_until, now + wait)


def _reset(answer: Response, sent_at: float, now: float, otherwise: float) -> tuple[float, float]:
    """The earliest and the latest moment of the window's end; ``otherwise``: the moment, if nothing is said."""
    if answer.reset_in is None:
        return otherwise, otherwise
    # Both the reset and the Date that it was measured against may be cut to seconds.
    return sent_at + answer.reset_in - 1, now + answer.reset_in
