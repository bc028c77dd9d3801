"""When a run may send: ``--until``, ``--for``, ``--between``.

This module owns these rules on the clock; it waits for nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """Wall-clock limits in the machine's own zone, as a user types them."""

    until: float | None = None
    """Stop at this time, seconds since the epoch."""
    between: tuple[time, time] | None = None
    """Send only from the first to the second time of day; the second may be past midnight."""

    def over(self, now: float) -> bool:
        """Whether the run is to stop."""
        return self.until is not None and now >= self.until

    def wait(self, now: float) -> float:
        """Seconds until sending is allowed again; 0 if it is."""
        if self.between is None:
            return 0.0
        begin, end = self.between
        local = datetime.fromtimestamp(now).astimezone()
        clock = local.time().replace(tzinfo=None)
        inside = begin <= clock < end if begin <= end else (clock >= begin or clock < end)
        if inside:
            return 0.0
        opening = datetime.combine(local.date(), begin).astimezone()
        if opening <= local:
            opening = datetime.combine(local.date() + timedelta(days=1), begin).astimezone()
        return (opening - local).total_seconds()
