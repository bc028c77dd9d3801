"""How many requests may be in flight where no limit is known: as many as gain throughput, and no more.

Owns a hill climb on measured throughput. Every request in flight is a row in doubt after a crash, and beyond the
optimum each costs time too, so of two sizes that do equally well the smaller is kept.
"""

from __future__ import annotations

from enum import Enum

GAIN = 1.05
"""A bigger size must do this much better …"""
LOSS = 0.97
"""… and a smaller one not worse than this, to be kept."""
EPOCH = 0.1
"""Seconds that a size is measured for, at least …"""
ROUNDS = 4
"""… and answers per place in flight."""
HOLD = 50
"""Epochs to stay where nothing is to be gained before trying again."""


class _Step(Enum):
    CREEP = "creep"
    DOUBLE = "double"
    HOLD = "hold"
    UP = "up"
    DOWN = "down"


class Concurrency:
    """The size; `learn` is called for every answer."""

    def __init__(self, start: int, most: int) -> None:
        self.size = start
        self.throughput = 0.0
        """Answers a second in the last epoch; 0 while nothing is measured."""
        self._most = most
        self._step = _Step.DOUBLE
        self._held = 0
        self._before = (start, 0.0)
        """Size and throughput of the step before."""
        self._next = _Step.DOWN
        self._begin(None)

    def __repr__(self) -> str:
        return f"<Concurrency {self.size}, {self.throughput:.0f}/s, {self._step.value}>"

    def _begin(self, now: float | None) -> None:
        self._began = now
        self._answers = self._failures = self._busy = 0

    def learn(self, *, failed: bool, in_flight: int, now: float) -> None:
        """An answer came (``failed``: it did not say a thing); ``in_flight`` counts it still."""
        if self._began is None:
            self._began = now
            return
        self._answers += 1
        self._failures += failed
        self._busy += in_flight >= self.size
        if self._answers < ROUNDS * self.size or now - self._began < EPOCH:
            return
        self.throughput = self._answers / (now - self._began)
        failures, busy = self._failures / self._answers, self._busy / self._answers
        self._begin(now)
        if failures > 0.1:
            self.back_off()
        elif busy >= 0.5:  # else there was not enough to send: nothing is learnt about the size
            self._climb()

    def back_off(self) -> None:
        """The API suffers: half of it, and climb anew."""
        self.size = max(self.size // 2, 1)
        self._before = (self.size, 0.0)
        self._step = _Step.DOUBLE
        self._begin(None)

    def throttled(self) -> None:
        """A 429: there is a limit after all, only untold; creep up to it from below."""
        self.size = 1
        self._before = (1, 0.0)
        self._step = _Step.CREEP
        self._begin(None)

    def _climb(self) -> None:
        size, throughput = self._before
        match self._step:
            case _Step.HOLD:
                self._held += 1
                if self._held >= HOLD:
                    self._go(self._next, self.size * 3 // 2 + 1 if self._next is _Step.UP else self.size * 3 // 4)
                    self._next = _Step.DOWN if self._next is _Step.UP else _Step.UP
            case _Step.CREEP if self.throughput > throughput * GAIN:
                self._go(_Step.CREEP, self.size + 1)
            case _Step.DOUBLE | _Step.UP if self.throughput > throughput * GAIN:
                self._go(_Step.DOUBLE, self.size * 2)
            case _Step.DOWN if self.throughput >= throughput * LOSS:
                self._go(_Step.DOWN, self.size * 3 // 4)
            case _:
                self.size = size
                self._hold()

    def _go(self, step: _Step, size: int) -> None:
        self._before = (self.size, self.throughput)
        self.size = min(max(size, 1), self._most)
        self._step = step
        if self.size == self._before[0]:
            self._hold()  # at a bound

    def _hold(self) -> None:
        self._step = _Step.HOLD
        self._held = 0
