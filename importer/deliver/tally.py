"""The count of a delivery while it runs.

This module owns numbers for progress and for ``--max-events``; the books that count are the ledger's.
"""

from __future__ import annotations

from collections import Counter

from importer.deliver.options import Progress
from importer.model import Pace, State


class Tally:
    """How many rows were settled since this delivery began, by state."""

    def __init__(self, pending: int) -> None:
        self._pending = pending
        self._counts: Counter[State] = Counter()

    def __repr__(self) -> str:
        return f"<Tally {self.settled} of {self._pending} settled>"

    @property
    def settled(self) -> int:
        """Rows whose fate is known or in doubt; not those to be tried again."""
        return self._counts.total()

    def add(self, state: State) -> None:
        """A row was settled."""
        self._counts[state] += 1

    def progress(self, in_flight: int, pace: Pace) -> Progress:
        """How it stands."""
        return Progress(
            sent=self._counts[State.SENT],
            refused=self._counts[State.REFUSED],
            failed=self._counts[State.FAILED],
            in_doubt=self._counts[State.IN_DOUBT],
            left=max(0, self._pending - self.settled),
            in_flight=in_flight,
            pace=pace,
        )
