"""Answers over time, in as many steps as a chart can show, for a run of any length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from importer.model import Int64s

WIDTHS = (1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800, 2_419_200)
"""Of a step, in seconds: each a multiple of the one before."""
MOST_STEPS = 120
"""Steps of a chart."""
_KEPT = 1_024
"""Steps kept while counting."""


@dataclass(frozen=True, slots=True)
class Series:
    """What happened, step by step, without holes."""

    begin: float
    """Seconds since the epoch."""
    width: int
    """Seconds."""
    counts: tuple[tuple[int, ...], ...]
    """Per step the count of each kind; of a longer time than the widest steps reach, the end."""

    @property
    def end(self) -> float:
        """When the last step is over."""
        return self.begin + self.width * len(self.counts)


class Timeline:
    """Counts moments by kind; where they lie too far apart for the memory, steps grow."""

    def __init__(self, kinds: int, widths: Sequence[int] = WIDTHS) -> None:
        self._kinds = kinds
        self._widths = widths
        self._level = 0
        self._steps: dict[int, Int64s] = {}

    def add(self, seconds: np.ndarray[tuple[int], np.dtype[np.float64]], kinds: Int64s) -> None:
        """Count moments (seconds since the epoch) of kinds (0 to ``kinds`` - 1), shapes (n,)."""
        if not len(seconds):
            return
        span = float(seconds.max() - seconds.min())
        while span / self._widths[self._level] > _KEPT and self._level + 1 < len(self._widths):
            self._widen()
        numbers = np.floor(seconds / self._widths[self._level]).astype(np.int64)
        distinct, inverse = np.unique(numbers, return_inverse=True)
        size = len(distinct) * self._kinds
        counts = np.bincount(inverse * self._kinds + kinds, minlength=size).reshape(-1, self._kinds)
        for number, found in zip(distinct.tolist(), counts, strict=True):
            self._steps[number] = self._steps.get(number, 0) + found
        while len(self._steps) > _KEPT and self._level + 1 < len(self._widths):
            self._widen()

    def series(self) -> Series | None:
        """Everything counted; None if nothing was."""
        if not self._steps:
            return None
        while max(self._steps) - min(self._steps) >= MOST_STEPS and self._level + 1 < len(self._widths):
            self._widen()
        last = max(self._steps)
        first = max(min(self._steps), last - MOST_STEPS + 1)
        nothing = np.zeros(self._kinds, np.int64)
        width = self._widths[self._level]
        counts = tuple(tuple(self._steps.get(at, nothing).tolist()) for at in range(first, last + 1))
        return Series(float(first * width), width, counts)

    def _widen(self) -> None:
        factor = self._widths[self._level + 1] // self._widths[self._level]
        self._level += 1
        steps, self._steps = self._steps, {}
        for number, found in steps.items():
            self._steps[number // factor] = self._steps.get(number // factor, 0) + found
