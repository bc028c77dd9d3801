"""Which row may leave next: one at a time in each lane, older rows first, while other lanes overtake.

All of it is synchronous and in memory; the ledger's queue is read page by page, by the caller.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence

from importer.ledger.queue import Position

PAGE = 1_000
"""Rows in a page."""
LOOKAHEAD = 100_000
"""Rows that wait behind others of their lane, some 12 MB: while there are so many, no page is read."""


class Lanes:
    """The rows in memory, by lane.

    A lane is *open* from the moment one of its rows is ready until its last known row is done. Of an open lane, one
    row at most is ready or out; the others wait in it.
    """

    def __init__(self, *, blocked: Iterable[int] = (), page: int = PAGE, lookahead: int = LOOKAHEAD) -> None:
        self.page = page
        self._lookahead = lookahead
        self._ready: list[tuple[int, int, int]] = []
        """A heap of (number, row id, lane), the number counting rows as they were read."""
        self._waiting: dict[int, deque[tuple[int, int]]] = {}
        """Per open lane, (number, row id) of the rows behind its head."""
        self._out: dict[int, tuple[int, int]] = {}
        """Rows taken and not yet done: id → (number, lane)."""
        self._blocked = set(blocked)
        self._held = 0
        """Rows that wait."""
        self._number = 0
        self.cursor: Position | None = None
        """Behind what the next page begins."""
        self._ended = False

    @property
    def idle(self) -> bool:
        """Whether nothing is left to send but what is held back behind a blocked lane."""
        return self._ended and not self._ready and not self._out

    @property
    def ready(self) -> int:
        """How many rows could be taken now."""
        return len(self._ready)

    def take(self, count: int) -> list[int]:
        """Row ids to send next, at most ``count``, oldest first; they are out until `done` or `give_back`."""
        taken: list[int] = []
        while self._ready and len(taken) < count:
            number, row_id, lane = heapq.heappop(self._ready)
            self._out[row_id] = (number, lane)
            taken.append(row_id)
        return taken

    def done(self, row_id: int) -> None:
        """It is known what became of the row: the next of its lane may go."""
        lane = self._out.pop(row_id)[1]
        if lane in self._blocked:
            return
        if waiting := self._waiting[lane]:
            self._held -= 1
            heapq.heappush(self._ready, (*waiting.popleft(), lane))
        else:
            del self._waiting[lane]

    def give_back(self, row_id: int) -> None:
        """The row was not accepted: it is its lane's head again."""
        number, lane = self._out.pop(row_id)
        heapq.heappush(self._ready, (number, row_id, lane))

    def defer(self, row_id: int) -> None:
        """As `give_back`, but all rows that are ready now go first."""
        self._number += 1
        heapq.heappush(self._ready, (self._number, row_id, self._out.pop(row_id)[1]))

    def block(self, row_id: int) -> None:
        """The row is done, but its lane waits for the user: nothing more of it leaves."""
        lane = self._out.pop(row_id)[1]
        self._blocked.add(lane)
        self._held -= len(self._waiting.pop(lane, ()))

    def wants_rows(self) -> bool:
        """Whether the page behind ``cursor`` is to be read now, and handed to `add_rows`."""
        return not self._ended and len(self._ready) < self.page // 2 and self._held < self._lookahead

    def add_rows(self, rows: Sequence[tuple[int | None, int, int]]) -> None:
        """A page: (place, row id, lane) in order of delivery."""
        self._ended = len(rows) < self.page
        for place, row_id, lane in rows:
            self.cursor = (place, row_id)
            if lane in self._blocked:
                continue
            self._number += 1
            if (waiting := self._waiting.get(lane)) is not None:
                waiting.append((self._number, row_id))
                self._held += 1
            else:
                self._waiting[lane] = deque()
                heapq.heappush(self._ready, (self._number, row_id, lane))
