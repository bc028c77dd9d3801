"""What a delivery may do, how far it is, and why it ended; the types that cross between it and its callers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Self

import msgspec

from importer.model import Pace
from importer.wording import counted

GOES_ON = "the same command again goes on where it stopped, and so does `importer resume`"
"""What to do about an end that is not the row's fault."""


class Schedule(msgspec.Struct, frozen=True):
    """Wall-clock limits in the machine's own zone: ``--until``, ``--for``, ``--between``."""

    until: float | None = None
    """Stop at this time, seconds since the epoch."""
    between: tuple[time, time] | None = None
    """Send only from the first to the second time of day; the second may be after midnight."""

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


class DeliveryOptions(msgspec.Struct, frozen=True):
    """What the user asks for."""

    resend_doubtful: bool | None = None
    """``--on-doubt resend``: at least once, for users to whom a duplicate is better than a loss. None: as the run was
    begun, or else not."""
    strict_order: bool = False
    """A lane with a row in doubt waits for the user."""
    max_attempts: int = 5
    """Requests for one row under ``resend_doubtful`` before it counts as failed."""
    max_refused: int = 100
    """Refusals in a row, after something was accepted, that stop the run; 0 never does."""
    most: int | None = None
    """End after this many requests have been answered for good."""
    schedule: Schedule = Schedule()


class Progress(msgspec.Struct, frozen=True):
    """How far a delivery is."""

    sent: int
    refused: int
    failed: int
    in_doubt: int
    left: int
    in_flight: int
    pace: Pace


Watch = Callable[[Progress], None]
"""Called now and then, at most some times a second, on the event loop's thread."""


class StopReason(msgspec.Struct, frozen=True):
    """How a delivery ended; no exception, so that reports are written in every case."""

    reason: str
    """Why it stopped before its end, in the user's words; empty when nothing is left to send."""
    hint: str = ""
    unauthorized: bool = False
    limited: bool = False
    """It stopped because ``most`` was reached."""
    declined: bool = False
    """Nothing was sent, as the user said no."""
    interrupted: bool = False
    """The whole process was asked to stop."""

    @classmethod
    def enough(cls, most: int) -> Self:
        """The end of a run that was to send so many events."""
        return cls(f"{counted(most, 'event')} sent, as asked for", limited=True)

    @classmethod
    def of_token(cls, status: int | None) -> Self:
        """The end of a run whose token the API does not take."""
        return cls(
            f"the API answered {status}: the token is missing, wrong, revoked or expired",
            hint="put a valid token into SENDER_API_TOKEN or the --token-file, then run the same command again",
            unauthorized=True,
        )
