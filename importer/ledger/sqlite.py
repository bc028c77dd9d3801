"""The ledger in one SQLite file: the front door that joins the ledger's rooms.

This module owns opening and closing, and which account and endpoint a ledger speaks for; each method's work is done
by the module named in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from importer.ledger import delivery, halts, memory, pending_summary, planning, pruning, reporting, settling
from importer.ledger.database import Database
from importer.ledger.packing import Packed
from importer.ledger.planning import Planner
from importer.ledger.runs import Register, RunLock
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


class SqliteLedger:
    """See `importer.ledger.interface.Ledger`; scoped to one account at one endpoint."""

    def __init__(self, path: Path, *, account: str, endpoint: str) -> None:
        self._db = Database(path)
        self._register = Register(self._db, account, endpoint)
        self._packed = Packed(self._db)
        self._queue = delivery.Queue(self._db, self._packed)
        self._planner: Planner | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SqliteLedger {self._db.path}>"

    @property
    def path(self) -> Path:
        """Where the ledger lives."""
        return self._db.path

    def close(self) -> None:
        """Close the database."""
        try:
            self._end_planning()
        finally:
            self._db.close()

    # Runs

    def create_run(
        self, *, mapping_name: str, mapping_text: str, mapping_digest: str, options: Mapping[str, Any]
    ) -> Run:
        """Register a run in state PLANNING."""
        return self._register.create(
            mapping_name=mapping_name, mapping_text=mapping_text, mapping_digest=mapping_digest, options=options
        )

    def run(self, run_id: str) -> Run:
        """Find a run by its id or an unambiguous beginning of it; raises `UsageError` if there is none."""
        return self._register.find(run_id)

    def runs(self) -> list[Run]:
        """All runs of this account and endpoint, newest first."""
        return self._register.all()

    def set_state(self, run: Run, state: RunState, *, stop_reason: str = "") -> Run:
        """Record how far the run has come."""
        return self._register.set_state(run, state, stop_reason)

    def discard(self, run: Run) -> None:
        """Forget a run that was interrupted in planning; any other is kept."""
        self._register.discard(run)
        self._end_planning(run)

    def lock(self, run: Run) -> RunLock:
        """The lock of whoever works on the run."""
        return self._register.lock(run.id)

    def recover(self, run: Run) -> int:
        """Put what a killed importer had claimed in doubt; only for the holder of the run's lock."""
        return delivery.recover(self._db, run)

    # Planning

    def add_source(self, run: Run, source: Source) -> int:
        """Register the next source of a run."""
        return self._planning(run).add_source(source)

    def add_chunk(self, run: Run, source_no: int, prepared: EncodedChunk) -> None:
        """Store a chunk's rows, their events, reasons and originals, in one transaction."""
        self._planning(run).add_chunk(source_no, prepared)

    def close_source(self, run: Run, source_no: int, *, digest: str, error: str = "") -> None:
        """The source was read to its end, or to its error."""
        self._planning(run).close_source(source_no, digest, error)

    def seal(self, run: Run, *, again: bool = False) -> Run:
        """Planning is complete: lanes are settled, what was delivered before is marked; state READY."""
        others = self._register.alive() - {run.id}
        self._planning(run).seal(again=again, alive=others)
        self._planner = None
        return self._register.find(run.id)

    def repeats(self, run: Run) -> list[str]:
        """What the user should know of rows that were planned or delivered before, a sentence each."""
        return memory.repeats(self._db, run)

    def pending_summary(self, run: Run) -> PendingSummary:
        """What delivery is about to do."""
        return pending_summary.pending_summary(self._db, run)

    # Delivery

    def queue(
        self, run: Run, *, after: tuple[Any, int] | None, count: int, lane: int | None = None
    ) -> list[tuple[Any, int, int]]:
        """The next pending rows behind ``after`` (of one lane), in order of delivery: (place, row id, lane)."""
        return self._queue.page(run, after, count, lane)

    def commit(self, outcomes: Sequence[Outcome], claims: Sequence[int]) -> list[Claim]:
        """Make outcomes durable, then the intent to send the rows ``claims``; returns their bodies."""
        return self._queue.commit(outcomes, claims)

    def note_halt(self, run: Run, halt: Pause) -> None:
        """Remember a time in which the run sent nothing."""
        halts.note(self._db, run, halt)

    def has_pending(self, run: Run) -> bool:
        """Whether a row waits to be sent."""
        return reporting.has_pending(self._db, run)

    def doubtful_lanes(self, run: Run) -> set[int]:
        """The lanes that hold a row in doubt."""
        return self._queue.doubtful_lanes(run)

    # Settling

    def doubtful(self, run: Run) -> list[tuple[int, str, int, int, str, str]]:
        """The rows in doubt: (ledger id, source name, row, line, subscriber, code)."""
        return settling.doubtful(self._db, self._packed, run)

    def resolve(self, run: Run, state: State, rows: Sequence[int] | None = None) -> int:
        """Settle rows in doubt as SENT or PENDING, and the run as finished or to be resumed; returns how many rows."""
        return settling.resolve(self._db, run, state, rows)

    def retry(self, run: Run) -> tuple[int, int]:
        """Put refused and failed rows back; returns how many, and how many were delivered elsewhere meanwhile."""
        return settling.retry(self._db, run)

    def release(self, run: Run) -> int:
        """Put what is in doubt back into the queue; returns how many rows."""
        return settling.release(self._db, run)

    def take_back(self, run: Run, *, doubts: bool = False) -> int:
        """Undo `release` and `retry` for the rows that still wait; returns how many."""
        return settling.take_back(self._db, run, doubts=doubts)

    def drop_bodies(self, run: Run) -> None:
        """Forget the bodies of delivered rows."""
        settling.drop_bodies(self._db, run)

    def is_open(self, run: Run) -> bool:
        """Whether the run still has rows to send or to settle."""
        return pruning.is_open(self._db, run)

    def prune(self, run: Run) -> None:
        """Forget what an old run told; what "never twice" needs of it stays."""
        pruning.prune(self._db, run)

    def shrink(self) -> None:
        """Give freed space back to the disk."""
        pruning.shrink(self._db)

    # Reporting

    def counts(self, run: Run) -> Counts:
        """The run's books."""
        return reporting.counts(self._db, run)

    def sources(self, run: Run) -> list[RunSource]:
        """The run's sources, in the order they were read."""
        return planning.sources(self._db, run)

    def halts(self, run: Run) -> list[Pause]:
        """The times in which the run sent nothing, in their order."""
        return halts.halts(self._db, run)

    def batches(self, run: Run, *, raw_rows: bool = False) -> Iterator[RowBatch]:
        """Every row of the run, in source order, a planned chunk at a time."""
        return reporting.batches(self._db, run, raw_rows=raw_rows)

    def _planning(self, run: Run) -> Planner:
        if self._planner is None or self._planner.run.no != run.no:
            self._end_planning()
            self._planner = Planner(self._db, run)
        return self._planner

    def _end_planning(self, run: Run | None = None) -> None:
        """Drop what the planning, that of ``run`` alone if one is given, has noted for its time."""
        if self._planner is not None and (run is None or self._planner.run.no == run.no):
            planner, self._planner = self._planner, None
            planner.close()
