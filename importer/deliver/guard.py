"""The careful start and the refusal streak: whether what is sent is what the API wants.

This module owns the second half of promise 6 of the design: the first events go one by one until one is accepted;
five refusals from the start stop the run, and so does a long streak later. One bad row at the head of a file does not.
"""

from __future__ import annotations

from importer.deliver.options import FIRST_REFUSALS
from importer.model import ResponseKind


class Guard:
    """Watches answers; asked before each request leaves."""

    def __init__(self, *, max_refused: int) -> None:
        self._max_refused = max_refused
        self._streak = 0
        self.proven = False
        """Whether an event was accepted since this delivery began."""

    def __repr__(self) -> str:
        return f"<Guard {'proven' if self.proven else 'not proven'}, {self._streak} refused in a row>"

    def may_send(self, in_flight: int) -> bool:
        """Whether another request may leave while so many are under way."""
        return self.proven or in_flight == 0

    def learn(self, fate: ResponseKind) -> str:
        """Take note of how a request ended; returns why the run must stop, or an empty string.

        A refusal is one whatever became of the row before: of one that had been in doubt it makes a failed one.
        """
        if fate is ResponseKind.SENT:
            self.proven = True
            self._streak = 0
        elif fate is ResponseKind.REFUSED:
            self._streak += 1
            if not self.proven and self._streak >= FIRST_REFUSALS:
                return f"the API refused the first {self._streak} events; none was accepted"
            if self.proven and self._max_refused and self._streak >= self._max_refused:
                return f"the API refused {self._streak} events in a row"
        return ""
