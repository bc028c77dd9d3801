"""Where rows and runs stand, and what a request's end means."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a row stands. Every row read is in exactly one of these; their counts add up to the rows read."""

    SENT = "sent"
    """The API accepted its event."""
    INVALID = "invalid"
    """It breaks a rule of the API or of the mapping; it was never sent."""
    FILTERED = "filtered"
    """The mapping's ``where`` left it out."""
    GROUPED = "grouped"
    """It is part of another row's event (``group_by``)."""
    DUPLICATE = "duplicate"
    """Its key, or this row of this very file, was delivered or claimed before."""
    REFUSED = "refused"
    """The API refused it for good, with its own words."""
    FAILED = "failed"
    """Given up after the last attempt that ``--on-doubt resend`` allows."""
    IN_DOUBT = "in_doubt"
    """It may have been accepted; the user decides (`importer resolve`)."""
    PENDING = "pending"
    """Still to be sent."""


class Fate(StrEnum):
    """What one request's end means for its row (the design's table of fates)."""

    SENT = "sent"
    REFUSED = "refused"
    NOT_ACCEPTED = "not_accepted"
    """Surely not accepted (no connection, 429): wait, then again."""
    UNAUTHORIZED = "unauthorized"
    """401 or 403: the row stays pending and the whole run stops."""
    IN_DOUBT = "in_doubt"


class HaltKind(StrEnum):
    """Why nothing is sent for a while."""

    LIMIT = "limit"
    """The quota is used up."""
    OUTAGE = "outage"
    """The API is away."""
    HOURS = "hours"
    """It is none of the hours given with ``--between``."""
    STOPPED = "stopped"
    """The run was stopped, and went on later."""


class RunState(StrEnum):
    """How far a run has come."""

    PLANNING = "planning"
    """Files are being read; nothing was sent. A run found like this after a crash is planned anew."""
    READY = "ready"
    """Planned, not yet confirmed."""
    DELIVERING = "delivering"
    STOPPED = "stopped"
    """Stopped before its end; `importer resume` goes on."""
    FINISHED = "finished"
    """No row is pending."""
    SUPERSEDED = "superseded"
    """A later run took its pending rows over."""
    PRUNED = "pruned"
    """Finished long ago; its rows' states and the delivered keys are all that is kept."""
