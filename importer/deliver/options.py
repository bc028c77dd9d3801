"""What a delivery may do, and how it stands; the types that cross between it and its callers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from importer.deliver.schedule import Schedule
from importer.model import Pace

FIRST_REFUSALS = 5
"""Refusals in a row from the very start, before anything was accepted, that stop a run (promise 6 of the design)."""


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How the user wants it."""

    resend_doubtful: bool | None = None
    """``--on-doubt resend``: at least once, for whoever prefers that. None: as the run was begun, or else not."""
    strict_order: bool = False
    """A lane with a row in doubt waits for the user."""
    max_attempts: int = 5
    """Requests for one row under ``resend_doubtful`` before it counts as failed."""
    max_refused: int = 100
    """Refusals in a row, after something was accepted, that stop the run; 0 never does."""
    most: int | None = None
    """End after this many requests have been answered for good."""
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True, slots=True)
class Progress:
    """How a delivery stands."""

    sent: int
    refused: int
    failed: int
    in_doubt: int
    left: int
    in_flight: int
    pace: Pace


Watch = Callable[[Progress], None]
"""Called now and then, at most some times a second, on the event loop's thread."""


@dataclass(frozen=True, slots=True)
class Ended:
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
    """Somebody asked the whole process to stop."""
