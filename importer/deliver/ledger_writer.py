"""Group commits: outcomes go to the ledger, claims come from it, on a thread of their own.

A claim is durable before its request leaves, and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from importer.deliver.lanes import Lanes
from importer.ledger.queue import DeliveryQueue
from importer.model import Claim, Outcome, Run


class LedgerWriter:
    """What is claimed and not yet sent, and what is done and not yet durable."""

    def __init__(self, store: DeliveryQueue, run: Run, lanes: Lanes) -> None:
        self._store = store
        self._run = run
        self._lanes = lanes
        self._outcomes: list[Outcome] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self.claimed: deque[Claim] = deque()
        """Durably claimed, not yet sent."""

    @property
    def has_outcomes(self) -> bool:
        """Whether outcomes wait to be committed."""
        return bool(self._outcomes)

    def sending_stops(self) -> str:
        """Why nothing more may be sent, in words; empty while all is well. See `RunRepository.sending_stops`."""
        return self._store.sending_stops()

    def record(self, outcome: Outcome) -> None:
        """Note an outcome; it is durable after the next `flush`."""
        self._outcomes.append(outcome)

    async def flush(self, room: int) -> bool:
        """Commit the outcomes so far, claim up to ``room`` rows more, and read ahead; whether there was anything to do.

        Raises `LedgerError`; the outcomes are then kept for another try.
        """
        outcomes = self._outcomes
        rows = self._lanes.take(room)
        reading = self._lanes.wants_rows()
        if not (outcomes or rows or reading):
            return False
        self._outcomes = []
        try:
            loop = asyncio.get_running_loop()
            claimed, page = await loop.run_in_executor(self._thread, self._step, outcomes, rows, reading)
        except BaseException:
            self._outcomes = outcomes + self._outcomes
            for row_id in rows:
                self._lanes.give_back(row_id)
            raise
        kept = {claim.id for claim in claimed}
        for row_id in rows:
            if row_id not in kept:  # another run took the row over, or its last answer proved unreliable
                self._lanes.done(row_id)
        if page is not None:
            self._lanes.add_rows(page)
        self.claimed.extend(claimed)
        return True

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _step(
        self, outcomes: list[Outcome], rows: list[int], reading: bool
    ) -> tuple[list[Claim], list[tuple[int | None, int, int]] | None]:
        claimed = self._store.commit(outcomes, rows) if outcomes or rows else []
        page = self._store.queue(self._run, self._lanes.cursor, self._lanes.page) if reading else None
        return claimed, page
