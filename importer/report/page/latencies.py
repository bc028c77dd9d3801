"""Answer times: a histogram for the eye and percentiles for the mind, without keeping the times.

This module owns the counting; percentiles are read from fine logarithmic classes, so they are right to some 2 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PER_DECADE = 60
_LOWEST, _HIGHEST = -1, 6
"""Powers of ten, in milliseconds: 0.1 ms to 1,000 s; whatever lies beyond is counted at the end."""
EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000)
"""Upper ends of the shown classes, in milliseconds; one more class is open."""


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """All times in milliseconds."""

    answers: int
    least: float
    most: float
    percentiles: tuple[tuple[int, float], ...]
    """(50, …), (90, …), (99, …)."""
    classes: tuple[int, ...]
    """Answers up to each of `EDGES` and above the one before; the last class is open."""


class Latencies:
    """Counts answer times."""

    def __init__(self) -> None:
        self._fine = np.zeros((_HIGHEST - _LOWEST) * _PER_DECADE, dtype=np.int64)
        self._shown = np.zeros(len(EDGES) + 1, dtype=np.int64)
        self._least, self._most = np.inf, 0.0

    def add(self, times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        """Count times in milliseconds, shape (n,)."""
        if not len(times):
            return
        places = np.floor((np.log10(np.maximum(times, 10.0**_LOWEST)) - _LOWEST) * _PER_DECADE).astype(np.int64)
        self._fine += np.bincount(np.clip(places, 0, len(self._fine) - 1), minlength=len(self._fine))
        self._shown += np.bincount(np.searchsorted(EDGES, times), minlength=len(self._shown))
        self._least, self._most = min(self._least, float(times.min())), max(self._most, float(times.max()))

    def result(self) -> AnswerTimes | None:
        """What was counted; None without any."""
        total = int(self._fine.sum())
        if not total:
            return None
        sums = np.cumsum(self._fine)
        found = []
        for percent in (50, 90, 99):
            place = int(np.searchsorted(sums, total * percent / 100))
            middle = 10 ** (_LOWEST + (place + 0.5) / _PER_DECADE)
            found.append((percent, min(max(middle, self._least), self._most)))
        return AnswerTimes(total, self._least, self._most, tuple(found), tuple(self._shown.tolist()))
