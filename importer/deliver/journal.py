"""Group commits: outcomes go to the ledger, claims come from it, on a thread of their own.

This module owns the promise that a claim is durable before its request leaves, and that the event loop never waits for
the disk. It does not decide what is sent: that is the delivery's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from importer.deliver.lanes import Fetch, Lanes
from importer.deliver.rate_limit import Pacer
from importer.ledger.interface import DeliveryQueue
from importer.model import Claim, Outcome, Run, State


class Journal:
    """The queue's near end: what is claimed and not yet sent, and what is done and not yet durable."""

    def __init__(self, store: DeliveryQueue, run: Run, lanes: Lanes) -> None:
        self._store = store
        self._run = run
        self._lanes = lanes
        self._outcomes: list[Outcome] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self.claimed: deque[Claim] = deque()
        """Durably claimed, not yet sent."""
        self._pause = 0.0
        """Seconds that a turn takes, averaged over the last ones."""

    def __repr__(self) -> str:
        return f"<Journal {len(self.claimed)} claimed, {len(self._outcomes)} to commit>"

    @property
    def dirty(self) -> bool:
        """Whether outcomes wait to be committed."""
        return bool(self._outcomes)

    def record(self, outcome: Outcome) -> None:
        """Note an outcome; it is durable after the next `turn`."""
        self._outcomes.append(outcome)

    def give_back_unsent(self, at: float) -> None:
        """Nothing more is to be sent: what was claimed and did not leave is pending again."""
        while self.claimed:
            claim = self.claimed.popleft()
            self.record(unsent(claim, at))
            self._lanes.give_back(claim.id)

    async def turn(self, room: int) -> bool:
        """Commit the outcomes so far, claim up to ``room`` rows more, and read ahead; whether there was anything to do.

        Raises `LedgerError`; the outcomes are then kept for another try.
        """
        outcomes = self._outcomes
        claims = self._lanes.take(room)
        fetches = self._lanes.wanted()
        if not (outcomes or claims or fetches):
            return False
        self._outcomes = []
        try:
            loop = asyncio.get_running_loop()
            began = loop.time()
            claimed, pages = await loop.run_in_executor(self._thread, self._step, outcomes, claims, fetches)
        except BaseException:
            self._outcomes = outcomes + self._outcomes
            for row_id in claims:
                self._lanes.give_back(row_id)
            raise
        self._pause += (loop.time() - began - self._pause) / 4
        kept = {claim.id for claim in claimed}
        for row_id in claims:
            if row_id not in kept:  # another run took the row over
                self._lanes.done(row_id)
        for fetch, rows in pages:
            self._lanes.feed(fetch, rows)
        self.claimed.extend(claimed)
        return True

    def low_water(self, pacer: Pacer, now: float) -> float:
        """So few claims would be gone by the middle of the next turn, were it to begin now.

        Earlier turns would be more and smaller ones, and their thread in the event loop's way: an eighth more CPU.
        """
        used = (pacer.rate(now) or 0.0) * self._pause / 2
        window = pacer.window(now)
        return min(max(used, window / 8), window / 2)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _step(
        self, outcomes: list[Outcome], claims: list[int], fetches: list[Fetch]
    ) -> tuple[list[Claim], list[tuple[Fetch, list[tuple[Any, int, int]]]]]:
        claimed = self._store.commit(outcomes, claims) if outcomes or claims else []
        return claimed, [
            (fetch, self._store.queue(self._run, after=fetch.after, count=fetch.count, lane=fetch.lane))
            for fetch in fetches
        ]


def unsent(claim: Claim, at: float) -> Outcome:
    """The outcome of a claim that never left."""
    return Outcome(
        id=claim.id,
        state=State.PENDING,
        attempts=claim.attempts,
        http_status=None,
        code="",
        message="",
        at=at,
        latency=None,
    )
