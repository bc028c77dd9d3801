"""What delivery hands to and fro: claims, answers, outcomes, and how it stands with the quota.

The three of which each event has one are msgspec's structs, which take a tenth of a dataclass's time to make.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from importer.model.states import Fate, HaltKind, State


class Claim(msgspec.Struct, frozen=True):
    """A row whose intent to be sent is durable."""

    id: int
    """The ledger's row id."""
    body: bytes
    attempts: int
    """Requests made for it so far, in this run and before."""
    doubtful: bool = False
    """One of them may have been accepted."""


class Answer(msgspec.Struct, frozen=True):
    """How one request ended."""

    fate: Fate
    status: int | None
    """The HTTP status; None where no readable answer came."""
    message: str
    """The API's own words, or what went wrong on the way, shortened to 300 characters; empty when sent."""
    latency: float
    """Seconds from the first byte out to the last byte in."""
    retry_after: float | None = None
    """Seconds the API asks to wait, if it does."""
    limit: int | None = None
    """``X-RateLimit-Limit``: requests per minute."""
    remaining: int | None = None
    """``X-RateLimit-Remaining``."""
    reset_in: float | None = None
    """Seconds until ``X-RateLimit-Reset``, measured against the answer's own ``Date`` so that clock skew cancels."""
    date: float | None = None
    """The server's own time, seconds since the epoch; of probes alone."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a claimed row, to be made durable."""

    id: int
    state: State
    """SENT, REFUSED, IN_DOUBT, FAILED, or PENDING (given back, to be tried again)."""
    attempts: int
    http_status: int | None
    code: str
    """A code of ``importer.reasons`` (``api.refused`` …); empty when sent."""
    message: str
    at: float
    """Seconds since the epoch."""
    latency: float | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How delivery stands with the account's quota, for progress and metrics."""

    rate: float | None
    """Requests a second it aims at; None while nothing is known."""
    limit: int | None
    """Requests a minute the API grants."""
    remaining: int | None
    waiting_for: str
    """What delivery waits for, in the user's words; empty while it sends."""
    wait_until: float | None
    """Wall-clock seconds since the epoch."""
    halt: HaltKind | None = None
    """What kind of wait it is; None while it sends."""


@dataclass(frozen=True, slots=True)
class Halt:
    """A time in which a run sent nothing; seconds since the epoch."""

    kind: HaltKind
    begun: float
    ended: float
