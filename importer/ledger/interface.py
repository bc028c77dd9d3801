"""What every ledger can do, whichever database keeps it, cut by who needs which part of it.

All methods are synchronous and may block on the disk. They may be called from any thread; one call waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from importer.ledger.books import PendingElsewhere
from importer.model import (
    Claim,
    Counts,
    EncodedChunk,
    Outcome,
    Pause,
    PendingSummary,
    RowBatch,
    Run,
    RunSource,
    RunState,
    Source,
    State,
)


class Lock(Protocol):
    """Held by the one process that works on a run; freed however that process ends."""

    @property
    def held(self) -> bool:
        """Whether this process holds it."""

    def try_acquire(self, *, patience: float = 0.0) -> bool:
        """Take the lock if nobody holds it, or gives it back within so many seconds."""

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""


class PlanWriter(Protocol):
    """The ledger as planning fills it. A run is in planning until `Ledger.seal`."""

    def add_source(self, run: Run, source: Source) -> int:
        """Register the next source of a run; returns its number for `add_chunk`."""

    def add_chunk(self, run: Run, source_no: int, prepared: EncodedChunk) -> None:
        """Store the next chunk of the source that was added last, in one transaction."""

    def close_source(self, run: Run, source_no: int, *, digest: str, error: str = "") -> None:
        """The source was read to its end, or to its error; ``digest`` is empty where the content is not known."""


class DeliveryQueue(Protocol):
    """The ledger as delivery empties it."""

    def queue(
        self, run: Run, *, after: tuple[Any, int] | None, count: int, lane: int | None = None
    ) -> list[tuple[Any, int, int]]:
        """The next ``count`` pending rows behind ``after`` (a place and a row id), of one lane if ``lane`` is given.

        In order of delivery: (place, row id, lane). Places are ranks; without ``order_by`` all are None.
        """

    def commit(self, outcomes: Sequence[Outcome], claims: Sequence[int]) -> list[Claim]:
        """Make outcomes durable, then the intent to send the rows ``claims``, all at once; returns their bodies.

        Rows that are not pending any longer, as another run took them over, are not claimed.
        """


class RunReader(Protocol):
    """The ledger as reports read it; changes nothing, and may go on beside a delivery."""

    def counts(self, run: Run) -> Counts:
        """The run's totals: rows as they were read, and where they stand now."""

    def sources(self, run: Run) -> list[RunSource]:
        """The run's sources, in the order they were read."""

    def halts(self, run: Run) -> list[Pause]:
        """The times in which the run sent nothing, in their order."""

    def batches(self, run: Run, *, raw_rows: bool = False) -> Iterator[RowBatch]:
        """Every row of the run, in source order, a planned chunk at a time."""

    def import_of(self, run: Run) -> list[Run]:
        """The run, and the runs of its corrected rows or of the rows that it corrects: one import, oldest first."""

    def import_counts(self, runs: Sequence[Run]) -> Counts:
        """Every original row of an import's runs once, in the state of the version that counts: sent, or the newest."""

    def places_of_older(self, run: Run) -> list[int]:
        """The places (0-based, over all sources) of the run's rows of which another run has the version that counts."""


class Ledger(PlanWriter, DeliveryQueue, RunReader, Protocol):
    """The durable queue between plan and deliver, and the memory of what was ever delivered.

    Raises `LedgerError` where the database cannot be used, `DiskFullError` where its disk has no room; what a
    method acknowledged by returning is durable.
    """

    @property
    def path(self) -> Path:
        """Where the ledger lives."""

    def close(self) -> None:
        """Leave the ledger; a second call does nothing."""

    # Runs

    def create_run(
        self, *, mapping_name: str, mapping_text: str, mapping_digest: str, options: Mapping[str, Any]
    ) -> Run:
        """Register a run in state PLANNING; this process holds its lock."""

    def run(self, run_id: str, *, everywhere: bool = False) -> Run:
        """Find a run by its id or an unambiguous beginning of it; raises `UsageError` if there is none.

        ``everywhere``: of whichever account and endpoint; `Run.account` and `Run.endpoint` tell which.
        """

    def runs(self, *, everywhere: bool = False) -> list[Run]:
        """The runs of this account and endpoint, or of all, newest first."""

    def is_alive(self, run: Run) -> bool:
        """Whether some process, this one included, works on the run now."""

    def set_state(self, run: Run, state: RunState, *, stop_reason: str = "") -> Run:
        """Record how far the run has come; stamps ``started_at`` and ``finished_at``."""

    def lock(self, run: Run) -> Lock:
        """The lock of whoever works on the run, the same object however often it is asked for."""

    def recover(self, run: Run) -> int:
        """Put what a killed importer had claimed in doubt, and the run to STOPPED if it was delivering.

        Only for the holder of the run's lock. Returns how many rows.
        """

    def discard(self, run: Run) -> None:
        """Forget a run that was interrupted in planning, and so never sent anything; any other is kept."""

    def withdraw(self, run: Run) -> bool:
        """Forget a planned run for which no request was made and which took no rows over; whether it is forgotten."""

    # From plan to delivery

    def seal(self, run: Run, *, again: bool = False) -> Run:
        """Planning is complete: lanes and order are settled, what was delivered before is marked; state READY.

        Pending rows of interrupted runs with the same content are taken over. With ``again``, only what the run itself
        repeats is marked. Should it fail, nothing of any other run has changed. Others can deliver beside it.
        """

    def repeats(self, run: Run) -> list[str]:
        """What the user should know of rows that were planned or delivered before, a sentence each."""

    def pending_summary(self, run: Run) -> PendingSummary:
        """What delivery is about to do."""

    def pending_elsewhere(self, run: Run) -> tuple[PendingElsewhere, ...]:
        """The other runs that hold rows of this one and have not delivered them."""

    def note_halt(self, run: Run, halt: Pause) -> None:
        """Remember a time in which the run sent nothing."""

    def has_pending(self, run: Run) -> bool:
        """Whether a row waits to be sent."""

    def doubtful_lanes(self, run: Run) -> set[int]:
        """The lanes that hold a row in doubt: with ``--strict-order`` they wait for the user."""

    # Resolving

    def doubtful(self, run: Run) -> list[tuple[int, str, int, int, str, str]]:
        """The rows in doubt, in source order: (ledger id, source name, row, line, subscriber, code)."""

    def resolve(self, run: Run, state: State, rows: Sequence[int] | None = None, *, note: str = "") -> int:
        """Resolve rows in doubt as SENT, PENDING or FAILED (given up), and the run with them; returns how many rows.

        ``rows`` are ledger ids; None means all; ``note`` is the user's reason. Raises `UsageError` for a row not in
        doubt; nothing is resolved then.
        """

    def give_up(self, run: Run, places: Sequence[int], note: str) -> int:
        """Leave invalid and refused rows out at the user's word (FILTERED, ``filtered.given_up``); returns how many.

        ``places`` are 0-based over the run's sources; ``note`` is the user's reason.
        """

    def retry(self, run: Run) -> tuple[int, int]:
        """Put refused and failed rows back into the queue.

        Returns how many, and how many others are not put back as another run has delivered them, or will.
        """

    def release(self, run: Run) -> int:
        """Put what is in doubt back into the queue, as ``--on-doubt resend`` asks; returns how many rows.

        It is still known that they may have been accepted, until they are answered for good.
        """

    def take_back(self, run: Run, *, doubts: bool = False) -> int:
        """Undo `release` and `retry` for the rows that still wait; with ``doubts``, of those that may have arrived."""

    def drop_bodies(self, run: Run) -> None:
        """Forget the bodies of rows that are done with, and raw records that no rejects file will need."""

    # Forgetting

    def is_open(self, run: Run) -> bool:
        """Whether the run still has rows to send or to resolve."""

    def prune(self, run: Run) -> None:
        """Forget the details of an old run; what "never twice" needs stays. Raises `UsageError` for an open run."""

    def forget(self, subscriber: str) -> int:
        """Remove a person from all runs of this account; what was sent to them is still never sent again.

        Returns how many rows. Raises `UsageError` while another process works on a run of the account.
        """

    def shrink(self) -> None:
        """Give freed space back to the disk; raises `LedgerError` while others use the ledger."""
