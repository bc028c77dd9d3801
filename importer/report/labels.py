"""What people read in place of a state's name, on the screen and on the page.

This module owns those words; what a state is, ``importer.model`` says.
"""

from __future__ import annotations

from importer.model import State
from importer.report.model import CHECK

_LABELS = {
    State.SENT: ("sent", "accepted by the API"),
    State.INVALID: ("invalid", "break a rule; never sent"),
    State.FILTERED: ("filtered", "left out by the mapping's where"),
    State.GROUPED: ("grouped", "part of another row's event"),
    State.DUPLICATE: ("duplicate", "delivered or claimed before"),
    State.REFUSED: ("refused", "refused by the API for good"),
    State.FAILED: ("failed", "given up; may have been accepted"),
    State.IN_DOUBT: ("in doubt", "may have been accepted; see `importer resolve`"),
    State.PENDING: ("pending", "still to be sent; see `importer resume`"),
}
_CHECKED = ("valid", "would be sent")


def label_of(run: str, state: State) -> tuple[str, str]:
    """A state's label, and what it means; ``run`` is the run's id or `CHECK`."""
    return _CHECKED if (run, state) == (CHECK, State.PENDING) else _LABELS[state]
