"""Faults that somebody orders while the sandbox runs: the next so many events meet them.

Owns the orders and their order. What a fault does is ``mischief``'s; by which button it is ordered, ``page``'s.
"""

from __future__ import annotations

from collections import deque

from importer.sandbox.faults import Fault

MOST = 10_000
"""Events that one order may hit."""
_ORDERS = 100
"""Orders that may wait."""

OFFERED = {
    Fault.ERROR: "answer 500 (not accepted)",
    Fault.TOO_MANY: "answer 429, try again in 1 s",
    Fault.DROP_BEFORE: "drop the connection (not accepted)",
    Fault.DROP_AFTER_ACCEPT: "accept, then drop the connection",
    Fault.ERROR_AFTER_ACCEPT: "accept, then answer 500",
    Fault.GARBAGE: "accept, then answer what is not JSON",
    Fault.HTML: "answer 502 with a page of HTML",
}
"""What can be ordered, in words."""


class Injection:
    """Orders, the oldest first."""

    def __init__(self) -> None:
        self._orders: deque[tuple[Fault, int]] = deque()

    @property
    def waiting(self) -> tuple[tuple[Fault, int], ...]:
        """What is still to come: fault and number of events."""
        return tuple(self._orders)

    def order(self, fault: Fault, count: int) -> bool:
        """Let the next ``count`` events behind those of earlier orders meet a fault; False if that cannot be."""
        if fault not in OFFERED or not 1 <= count <= MOST or len(self._orders) >= _ORDERS:
            return False
        self._orders.append((fault, count))
        return True

    def clear(self) -> None:
        """Forget all orders."""
        self._orders.clear()

    def take(self) -> Fault | None:
        """The next event's fault; None, mostly."""
        if not self._orders:
            return None
        fault, count = self._orders[0]
        if count > 1:
            self._orders[0] = (fault, count - 1)
        else:
            self._orders.popleft()
        return fault
