"""When a log gets its next line about progress.

This module owns that a run of weeks leaves some dozens of lines, and an outage its own as it begins and ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importer.deliver import Progress

FIRST = 30.0
LAST = 3600.0
VERBOSE = 5.0
"""Seconds between two lines: at the beginning, at the most, and under --verbose."""
SHARE = 0.25
"""The pause grows with the time that has passed: so much of it."""
_ORDINARY = ("limit reached", "the API said 429")
"""What delivery waits for every minute, or whenever others use the quota; the lines that are due say so."""


class Rhythm:
    """Asked with each progress, on monotonic time; says whether a line is due."""

    def __init__(self, now: float, *, verbose: bool = False) -> None:
        self._began = self._said = now
        self._verbose = verbose
        self._trouble = ""

    def due(self, now: float) -> bool:
        """Whether the pause since the last line is over; a yes counts as that line."""
        pause = VERBOSE if self._verbose else min(LAST, max(FIRST, (now - self._began) * SHARE))
        if now - self._said < pause:
            return False
        self._said = now
        return True

    def turned(self, progress: Progress) -> str | None:
        """What has begun to hold delivery up, or empty if that has ended; None while nothing changes."""
        words = progress.pace.waiting_for
        trouble = words.partition(",")[0]  # the rest counts seconds
        if trouble.startswith(_ORDINARY) and not self._verbose:
            trouble = ""
        if trouble == self._trouble:
            return None
        self._trouble = trouble
        return words if trouble else ""
