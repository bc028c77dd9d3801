"""The account's quota: so many requests per fixed window of a minute, and the headers that report it."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from importer.clock import Clock

WINDOW = 60
"""Seconds."""


class RateLimit:
    """Counts requests in windows that begin with the first request after the last one's end.

    A window begins at the whole second of its first request, so that ``X-RateLimit-Reset``, which has no fractions, is
    its exact end.
    """

    def __init__(self, limit: int | None, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._ends = -math.inf  # on the clock that never goes back
        self._used = 0
        self._reset = ""

    def take(self) -> bool:
        """Count one request; False, and nothing counted, if the window's quota is used up."""
        if self.limit is None:
            return True
        if self._clock.monotonic() >= self._ends:
            self._begin()
        if self._used >= self.limit:
            return False
        self._used += 1
        return True

    def _begin(self) -> None:
        now = self._clock.time()
        second = math.floor(now)
        self._ends = self._clock.monotonic() + WINDOW - (now - second)
        self._used = 0
        self._reset = datetime.fromtimestamp(second + WINDOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def headers(self) -> dict[str, str]:
        """The headers of the answer to the request just taken; empty without a limit."""
        if self.limit is None:
            return {}
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - self._used),
            "X-RateLimit-Reset": self._reset,
        }

    @property
    def left(self) -> int | None:
        """Requests that may come now; None without a limit."""
        if self.limit is None:
            return None
        return self.limit if self._clock.monotonic() >= self._ends else self.limit - self._used

    def retry_after(self) -> int:
        """Whole seconds until requests are accepted again, at least 1."""
        left = self._ends - self._clock.monotonic()
        return max(1, math.ceil(left)) if self.limit is not None else 1
