"""Counts over time, in as many steps as a chart can show, for any length of time.

This module owns the choice of the steps' width and the search for pauses. Memory is bounded: where moments lie too far
apart, steps grow, each width being a multiple of the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from importer.model import Int64s

SECONDS = (1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800, 2_419_200)
"""Widths for the time of delivery, up to 4 weeks."""
DAYS = tuple(86_400 * days for days in (1, 7, 28, 84, 364))
"""Widths for the source's own time."""
MONDAY = 4 * 86_400
"""The first Monday of 1970: where weeks begin."""

SHOWN = 240
"""Most steps that a chart shows."""
_KEPT = 4_096
"""Most steps kept while counting."""


@dataclass(slots=True)
class _Step:
    counts: list[int]
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without anything; seconds since the epoch."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Series:
    """What happened, step by step, without holes."""

    begin: float
    """Seconds since the epoch."""
    width: int
    """Seconds."""
    counts: tuple[tuple[int, ...], ...]
    """Per step the count of each kind; at most `SHOWN` of them. Beyond the widest width's reach the first are left
    out."""
    pauses: tuple[Gap, ...]


class Buckets:
    """Counts moments by kind."""

    def __init__(self, widths: Sequence[int], kinds: int, origin: int = 0) -> None:
        """``origin``: a moment at which a step of every width begins."""
        self._widths = widths
        self._origin = origin
        self._kinds = kinds
        self._level = 0
        self._steps: dict[int, _Step] = {}

    def add(self, seconds: np.ndarray[tuple[int], np.dtype[np.float64]], kinds: Int64s) -> None:
        """Count moments (seconds since the epoch) of kinds (0 to ``kinds`` - 1), shapes (n,)."""
        if not len(seconds):
            return
        order = np.argsort(seconds, kind="stable")
        seconds, kinds = seconds[order], kinds[order]
        numbers = np.floor((seconds - self._origin) / self._widths[self._level]).astype(np.int64)
        starts = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1]))
        ends = np.append(starts[1:], len(numbers))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            counts = np.bincount(kinds[start:end], minlength=self._kinds).tolist()
            step = _Step(counts, float(seconds[start]), float(seconds[end - 1]))
            _merge(self._steps, int(numbers[start]), step)
        while len(self._steps) > _KEPT and self._level + 1 < len(self._widths):
            self._steps, self._level = self._widened(self._level + 1), self._level + 1

    def series(self, pause: float) -> Series | None:
        """Everything counted; None if nothing was. A pause is longer than ``pause`` seconds, and than a step."""
        if not self._steps:
            return None
        level, steps = self._level, self._steps
        while max(steps) - min(steps) >= SHOWN and level + 1 < len(self._widths):
            level += 1
            steps = self._widened(level)
        last = max(steps)
        first = max(min(steps), last - SHOWN + 1)
        nothing = (0,) * self._kinds
        width = self._widths[level]
        return Series(
            begin=float(first * width + self._origin),
            width=width,
            counts=tuple(tuple(steps[n].counts) if n in steps else nothing for n in range(first, last + 1)),
            pauses=_pauses(steps, max(pause, width)),
        )

    def _widened(self, level: int) -> dict[int, _Step]:
        factor = self._widths[level] // self._widths[self._level]
        wide: dict[int, _Step] = {}
        for number in sorted(self._steps):
            step = self._steps[number]
            _merge(wide, number // factor, _Step(list(step.counts), step.first, step.last))
        return wide


def _merge(steps: dict[int, _Step], number: int, step: _Step) -> None:
    there = steps.setdefault(number, step)
    if there is not step:
        there.counts = [one + other for one, other in zip(there.counts, step.counts, strict=True)]
        there.first, there.last = min(there.first, step.first), max(there.last, step.last)


def _pauses(steps: Mapping[int, _Step], least: float) -> tuple[Gap, ...]:
    """Every time without anything that is longer than a step crosses a border between two steps."""
    order = [steps[number] for number in sorted(steps)]
    return tuple(Gap(one.last, two.first) for one, two in pairwise(order) if two.first - one.last > least)
