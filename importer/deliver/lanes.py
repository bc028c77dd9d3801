"""Which row may leave next: one at a time in each lane, older rows first, while other lanes overtake.

All of it is synchronous and in memory; the ledger's queue is read through `Fetch` requests, for the caller to carry
out. At most about `LOOKAHEAD` rows are held. Where one lane is so long that its rows would fill that, its tail is
*paged out*: forgotten, and from then on fetched piece by piece, by itself. So a subscriber with 100,000 events costs
the others one more pass over the queue.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Position = tuple[Any, int]
"""A place in the order of delivery: (place, row id); places are all None, or all of one comparable type."""

PAGE = 1_000
"""Rows a fetch asks for."""
LOOKAHEAD = 20_000
"""Rows held in memory at the most, before long lanes are paged out."""
KEEP = 64
"""Rows that a lane keeps that is paged out."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the ledger's queue for ``count`` rows behind ``after``; of one lane only, if ``lane`` is not None."""

    after: Position | None
    count: int
    lane: int | None = None


class Lanes:
    """The rows in memory, by lane.

    A lane is *open* from the moment one of its rows is ready until its last known row is done. Of an open lane, one
    row at most is ready or out; the others wait in it.
    """

    def __init__(self, *, blocked: Iterable[int] = (), page: int = PAGE, lookahead: int = LOOKAHEAD) -> None:
        self._page = page
        self._lookahead = lookahead
        self._ready: list[tuple[int, int, int, Position]] = []
        """A heap of (number, row id, lane, position), the number counting rows as they were read."""
        self._waiting: dict[int, deque[tuple[int, Position]]] = {}
        """Per open lane, (number, position) of the rows behind its head."""
        self._out: dict[int, tuple[int, int, Position]] = {}
        """Rows taken and not yet done: id → (number, lane, position)."""
        self._paged_out: dict[int, Position | None] = {}
        """Lanes that the reading of the queue passes over, and behind what their own rows go on; None: they do not."""
        self._needs_rows: set[int] = set()
        """Open lanes that are paged out, with nothing in memory …"""
        self._fetching: set[int] = set()
        """… and those of which rows are on their way."""
        self._blocked = set(blocked)
        self._held = 0
        self._number = 0
        self._cursor: Position | None = None
        self._reading = False
        self._ended = False

    def __repr__(self) -> str:
        return (
            f"<Lanes {len(self._ready)} ready, {len(self._out)} out, {self._held} waiting,"
            f" {len(self._paged_out)} paged out{', all read' if self._ended else ''}>"
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is left to send but what is held back behind a blocked lane."""
        return self._ended and not self._ready and not (self._out or self._needs_rows or self._fetching)

    @property
    def ready(self) -> int:
        """How many rows could be taken now."""
        return len(self._ready)

    @property
    def held(self) -> int:
        """How many rows wait in memory behind the heads of their lanes."""
        return self._held

    def take(self, count: int) -> list[int]:
        """Row ids to send next, at most ``count``, oldest first; they are out until `done` or `give_back`."""
        taken: list[int] = []
        while self._ready and len(taken) < count:
            number, row_id, lane, position = heapq.heappop(self._ready)
            self._out[row_id] = (number, lane, position)
            taken.append(row_id)
        return taken

    def done(self, row_id: int) -> None:
        """It is known what became of the row: the next of its lane may go."""
        _, lane, _ = self._out.pop(row_id)
        if lane not in self._blocked:
            self._open_next(lane)

    def give_back(self, row_id: int) -> None:
        """The row was not accepted: it is its lane's head again."""
        number, lane, position = self._out.pop(row_id)
        heapq.heappush(self._ready, (number, row_id, lane, position))

    def defer(self, row_id: int) -> None:
        """As `give_back`, but all rows that are ready now go first."""
        _, lane, position = self._out.pop(row_id)
        self._number += 1
        heapq.heappush(self._ready, (self._number, row_id, lane, position))

    def block(self, row_id: int) -> None:
        """The row is done, but its lane waits for the user: nothing more of it leaves."""
        lane = self._out[row_id][1]
        self._blocked.add(lane)
        self._held -= len(self._waiting.pop(lane, ()))
        self.done(row_id)

    def pending_fetches(self) -> list[Fetch]:
        """What to fetch now; each is to be answered with `add_rows`."""
        fetches = []
        if not self._ended and not self._reading and len(self._ready) < self._page // 2:
            if self._held >= self._lookahead:
                self._page_out()
            if self._held < self._lookahead:
                self._reading = True
                fetches.append(Fetch(self._cursor, self._page))
        fetches += [Fetch(self._paged_out[lane], KEEP, lane) for lane in self._needs_rows]
        self._fetching |= self._needs_rows
        self._needs_rows = set()
        return fetches

    def add_rows(self, fetch: Fetch, rows: Sequence[tuple[Any, int, int]]) -> None:
        """The answer to a fetch: (place, row id, lane) in order of delivery."""
        if fetch.lane is not None:
            self._add_paged_out(fetch.lane, rows)
            return
        self._reading = False
        self._ended = len(rows) < fetch.count
        for place, row_id, lane in rows:
            self._cursor = (place, row_id)
            if lane not in self._blocked and lane not in self._paged_out:
                self._add(lane, self._cursor)

    def _add(self, lane: int, position: Position) -> None:
        self._number += 1
        waiting = self._waiting.get(lane)
        if waiting is None:
            self._waiting[lane] = deque()
            heapq.heappush(self._ready, (self._number, position[1], lane, position))
        else:
            waiting.append((self._number, position))
            self._held += 1

    def _open_next(self, lane: int) -> None:
        waiting = self._waiting[lane]
        if waiting:
            number, position = waiting.popleft()
            self._held -= 1
            heapq.heappush(self._ready, (number, position[1], lane, position))
        elif self._paged_out.get(lane):
            self._needs_rows.add(lane)
        else:
            del self._waiting[lane]

    def _page_out(self) -> None:
        """Forget the tails of the longest lanes until half the room is free."""
        longest = sorted(self._waiting, key=lambda lane: -len(self._waiting[lane]))
        for lane in longest:
            waiting = self._waiting[lane]
            if len(waiting) <= KEEP or self._held <= self._lookahead // 2:
                return
            while len(waiting) > KEEP:
                waiting.pop()
                self._held -= 1
            self._paged_out[lane] = waiting[-1][1]

    def _add_paged_out(self, lane: int, rows: Sequence[tuple[Any, int, int]]) -> None:
        self._fetching.discard(lane)
        for place, row_id, _ in rows:
            self._add(lane, (place, row_id))
        self._paged_out[lane] = (rows[-1][0], rows[-1][1]) if len(rows) == KEEP else None
        self._open_next(lane)
