"""When the next request may leave, how many may be in flight, and how far ahead to claim.

Owns the decision, in one synchronous method (`Pacer.ask`), with the time handed in; it never waits and never sends. The
arithmetic of the quota is ``budget``'s, the search for the best concurrency ``concurrency``'s, sharing with other
importers ``quota``'s. State is mutable and belongs to one event loop.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from importer.deliver.budget import CATCH_UP, INSTANT, POLL, Budget
from importer.deliver.concurrency import Concurrency
from importer.model import Pace, PauseKind, Response, ResponseKind

AHEAD = 0.1
"""Seconds' worth of rows to claim ahead."""
NOTICED = 1.0
"""Seconds of waiting that are worth a word to the user."""


@dataclass(frozen=True, slots=True)
class PacerOptions:
    """What the user may ask for, and the bounds."""

    reserve: int = 0
    """Requests a minute left to the account's other programs; at least one a minute is sent all the same."""
    start_concurrency: int = 8
    most_concurrency: int = 128
    """Where no limit is known."""
    most_in_flight: int = 256
    """Where one is; each takes a connection, and a process may often have no more than 1,024 files open."""
    most_ahead: int = 256
    """Rows claimed ahead at the most: what a crash leaves in doubt beside those in flight."""


class Quota(Protocol):
    """Where slots come from: this process's own budget, or one that several share (`quota.SharedQuota`)."""

    def ask(self, now: float, in_flight: int) -> float:
        """Seconds until one request may leave; 0: now, and its slot is taken."""

    def give_back(self, now: float, in_flight: int) -> None:
        """A taken slot's request did not leave."""

    def learn(self, answer: Response, now: float, in_flight: int) -> None:
        """What an answer tells; ``in_flight`` no longer counts its request."""

    @property
    def budget(self) -> Budget:
        """The quota as far as it is known here."""


class OwnQuota:
    """A budget of this process's own."""

    def __init__(self, reserve: int = 0, *, jitter: Callable[[], float] = random.random) -> None:
        self.budget = Budget()
        self._reserve = reserve
        self._jitter = jitter

    def ask(self, now: float, in_flight: int) -> float:
        """See `Quota.ask`."""
        wait = self.budget.wait(now, in_flight, self._reserve)
        if wait > INSTANT:
            return wait
        self.budget.take(now, wait)
        return 0.0

    def give_back(self, now: float, in_flight: int) -> None:  # noqa: ARG002  # the protocol's signature
        """See `Quota.give_back`."""
        self.budget.give_back()

    def learn(self, answer: Response, now: float, in_flight: int) -> None:
        """See `Quota.learn`."""
        self.budget.learn(answer, now, in_flight, self._jitter)


class Pacer:
    """See the module's docstring. ``quota``: where slots come from; None: this process alone."""

    def __init__(
        self,
        options: PacerOptions | None = None,
        *,
        quota: Quota | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._options = options or PacerOptions()
        self._quota = quota or OwnQuota(self._options.reserve, jitter=jitter)
        self._climb = Concurrency(self._options.start_concurrency, self._options.most_concurrency)
        self._in_flight = 0
        self._latency = 0.0
        self._spread = 0.0

    def __repr__(self) -> str:
        budget = self._quota.budget
        kind = "unlimited" if budget.unlimited else f"{budget.limit}/min" if budget.limit else "limit unknown"
        return f"<Pacer {kind}, {self._in_flight} of {self.concurrency} in flight>"

    @property
    def in_flight(self) -> int:
        """Requests that `ask` let go and that neither `learn` nor `give_back` has accounted for."""
        return self._in_flight

    @property
    def concurrency(self) -> int:
        """How many may be in flight: by Little's law where the limit is known, else as many as gain throughput."""
        budget = self._quota.budget
        if budget.alone:
            return 1
        if budget.limit is None:
            return self._climb.size
        # A second at least, for latency may rise faster than it is learnt; pacing, not this, keeps the number low.
        needed = CATCH_UP * budget.limit / 60 * max(self._latency + 2 * self._spread, 1.0)
        return min(math.ceil(needed) + 1, self._options.most_in_flight)

    def ask(self, now: float) -> float:
        """Seconds to wait until one request may leave; 0.0: it may leave now, and its slot is taken.

        Each 0.0 must be followed by exactly one `learn` or `give_back`. A wait is an upper bound: an answer that comes
        in may shorten it, so ask again then.
        """
        if self._in_flight >= self.concurrency:
            return POLL
        wait = self._quota.ask(now, self._in_flight)
        if wait > 0:
            return wait
        self._in_flight += 1
        return 0.0

    def give_back(self, now: float) -> None:
        """The request did not leave after all."""
        self._in_flight -= 1
        self._quota.give_back(now, self._in_flight)

    def learn(self, answer: Response, now: float) -> None:
        """How a request ended that `ask` let go."""
        before = self._in_flight
        self._in_flight -= 1
        self._quota.learn(answer, now, self._in_flight)
        if answer.status == 429:
            self._climb.throttled()
        else:
            self._climb.learn(failed=answer.fate is ResponseKind.IN_DOUBT, in_flight=before, now=now)
        if answer.status is not None:
            error = answer.latency - self._latency
            if self._latency:
                self._latency += 0.1 * error
                self._spread += 0.1 * (abs(error) - self._spread)
            else:
                self._latency, self._spread = answer.latency, answer.latency / 2

    def observe(self, answer: Response, now: float) -> None:
        """What a request tells that `ask` had no part in, a probe for one: it uses up the quota, too."""
        if answer.status is not None:
            self._quota.learn(answer, now, self._in_flight)

    def rate(self, now: float) -> float | None:
        """Requests a second it aims at, or reaches where there is no limit; None while nothing is known."""
        budget = self._quota.budget
        if budget.limit is None:
            return self._climb.throughput or None
        interval = budget.interval(now, self._in_flight, self._options.reserve)
        return 0.0 if interval is None or now < budget.blocked_until else 1 / interval

    def window(self, now: float) -> int:
        """Rows to claim ahead: one up to about ten a second, then a tenth of a second's worth."""
        rate = self.rate(now)
        return 1 if rate is None else min(max(int(rate * AHEAD), 1), self._options.most_ahead)

    def pace(self, now: float, wall: float) -> Pace:
        """How things stand, for progress and metrics; ``wall`` is seconds since the epoch."""
        budget = self._quota.budget
        rate = self.rate(now)
        until: float | None = None
        words = ""
        if now < budget.blocked_until:
            until, words = budget.blocked_until, "the API said 429, too many requests"
        elif budget.limit is not None and rate == 0.0:
            until, words = budget.ends(), "limit reached"
        if until is None or until - now < NOTICED:
            until, words = None, ""
        return Pace(
            rate=rate,
            limit=budget.limit,
            remaining=max(budget.remaining, 0) if budget.limit is not None else None,
            waiting_for=words,
            wait_until=None if until is None else wall + until - now,
            halt=None if until is None else PauseKind.LIMIT,
        )
