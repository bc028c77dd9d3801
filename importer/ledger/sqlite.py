"""The ledger in one SQLite file, as the other rooms use it; see `importer.ledger.interface.Ledger`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from importer.errors import LedgerError, UsageError
from importer.ledger import books, imports, planning, queue, resolve, upkeep
from importer.ledger.books import PendingElsewhere
from importer.ledger.database import CHECKPOINT_SECONDS, Database, file_lock
from importer.ledger.hashing import Hasher
from importer.ledger.planning import Planner
from importer.ledger.repeats import repeats
from importer.ledger.runs import RunLock, RunRepository
from importer.ledger.tables import TABLES, VERSION
from importer.ledger.version1 import carry_over
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
    """A ledger file, for one account at one endpoint."""

    def __init__(self, path: Path, *, account: str, endpoint: str) -> None:
        self.notes: list[str] = []
        """Sentences to say to the user, on what opening the file has changed."""
        self._db = Database(path)
        try:
            self._open()
            self._hasher = Hasher(self._db.value("SELECT secret FROM ledger"))
        except BaseException:
            self._db.close()
            raise
        if self._db.made_private:
            self.notes.append(f"the ledger {path} was readable by others; it is private now")
        self._runs = RunRepository(self._db, account, endpoint)
        self._planner: Planner | None = None
        self._counted = False
        """The generation was counted up since the last checkpoint."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SqliteLedger {self._db.path}>"

    def _open(self) -> None:
        """Make the tables of a new file; carry an older ledger over; refuse what is none, or has lost commits."""
        path = self._db.path
        if self._db.version() < VERSION:
            # Two processes that turn a new file to WAL at once get "database is locked" without any waiting.
            with file_lock(path, "new"):
                if self._db.version() == 0:
                    self._create()
                elif self._db.version() == 1:
                    self.notes.append(carry_over(self._db))
        if (version := self._db.version()) != VERSION:
            raise LedgerError(
                f"{path} was written by a newer version of importer (ledger version {version}, not {VERSION})",
                hint="use the importer that wrote it",
            )
        upkeep.refuse_older(self._db)

    def _create(self) -> None:
        if not self._db.is_empty():
            raise LedgerError(
                f"{self._db.path} is a database of another program", hint="name another file with --ledger FILE"
            )
        secret = f"INSERT INTO ledger (version, secret) VALUES ({VERSION}, x'{secrets.token_hex(16)}')"
        self._db.create((*TABLES, secret), VERSION)

    @property
    def path(self) -> Path:
        return self._db.path

    def close(self) -> None:
        try:
            self._end_planning()
        finally:
            self._db.close()

    # Runs

    def create_run(
        self, *, mapping_name: str, mapping_text: str, mapping_digest: str, options: Mapping[str, Any]
    ) -> Run:
        return self._runs.create(
            mapping_name=mapping_name, mapping_text=mapping_text, mapping_digest=mapping_digest, options=options
        )

    def run(self, run_id: str, *, everywhere: bool = False) -> Run:
        return self._runs.find(run_id, everywhere=everywhere)

    def runs(self, *, everywhere: bool = False) -> list[Run]:
        return self._runs.all(everywhere=everywhere)

    def set_state(self, run: Run, state: RunState, *, stop_reason: str = "") -> Run:
        run = self._runs.set_state(run, state, stop_reason)
        self._checkpoint()
        return run

    def discard(self, run: Run) -> None:
        self._runs.discard(run)
        self._end_planning(run)

    def withdraw(self, run: Run) -> bool:
        if gone := imports.never_began(self._db, run):
            self._runs.discard(run, RunState.READY, RunState.STOPPED)
        return gone

    def lock(self, run: Run) -> RunLock:
        return self._runs.lock(run.id)

    def is_alive(self, run: Run) -> bool:
        return self._runs.is_alive(run.id)

    def recover(self, run: Run) -> int:
        return queue.recover(self._db, run)

    # Planning

    def add_source(self, run: Run, source: Source) -> int:
        return self._planning(run).add_source(source)

    def add_chunk(self, run: Run, source_no: int, prepared: EncodedChunk) -> None:
        self._planning(run).add_chunk(source_no, prepared)

    def close_source(self, run: Run, source_no: int, *, digest: str, error: str = "") -> None:
        self._planning(run).close_source(source_no, digest, error)

    def seal(self, run: Run, *, again: bool = False) -> Run:
        self._planning(run).seal(again=again, alive=lambda: self._others_alive(run))
        self._planner = None
        self._checkpoint()
        return self._runs.find(run.id, everywhere=True)

    def _others_alive(self, run: Run) -> frozenset[str]:
        self._runs.discard_dead_plans()
        return self._runs.alive() - {run.id}

    def repeats(self, run: Run) -> list[str]:
        return repeats(self._db, run)

    def pending_summary(self, run: Run) -> PendingSummary:
        return books.pending_summary(self._db, run)

    def pending_elsewhere(self, run: Run) -> tuple[PendingElsewhere, ...]:
        return tuple(
            PendingElsewhere(run_id, rows, RunState(state), in_doubt, alive=self._runs.is_alive(run_id))
            for _, run_id, state, rows, in_doubt in books.pending_elsewhere(self._db, run)
        )

    # Delivery

    def queue(
        self, run: Run, *, after: tuple[Any, int] | None, count: int, lane: int | None = None
    ) -> list[tuple[Any, int, int]]:
        return queue.page(self._db, run, after, count, lane)

    def commit(self, outcomes: Sequence[Outcome], claims: Sequence[int]) -> list[Claim]:
        generation = None
        with self._db.transaction():
            if not self._counted:
                generation = upkeep.count_up(self._db)
            claimed = queue.commit(self._db, outcomes, claims)
        if generation is not None:
            upkeep.note(self.path, generation)
            self._counted = True
        if self._db.checkpoint(every=CHECKPOINT_SECONDS):
            self._counted = False
        return claimed

    def _checkpoint(self) -> None:
        self._db.checkpoint()
        self._counted = False

    def note_halt(self, run: Run, halt: Pause) -> None:
        queue.note_pause(self._db, run, halt)

    def has_pending(self, run: Run) -> bool:
        return books.has_pending(self._db, run)

    def doubtful_lanes(self, run: Run) -> set[int]:
        return queue.doubtful_lanes(self._db, run)

    # Resolving

    def doubtful(self, run: Run) -> list[tuple[int, str, int, int, str, str]]:
        return resolve.doubtful(self._db, run)

    def resolve(self, run: Run, state: State, rows: Sequence[int] | None = None, *, note: str = "") -> int:
        return resolve.resolve(self._db, run, state, rows, note)

    def give_up(self, run: Run, places: Sequence[int], note: str) -> int:
        return imports.give_up(self._db, run, places, note)

    def retry(self, run: Run) -> tuple[int, int]:
        with planning.sealing(self.path):
            return resolve.retry(self._db, run)

    def release(self, run: Run) -> int:
        return resolve.release(self._db, run)

    def take_back(self, run: Run, *, doubts: bool = False) -> int:
        return resolve.take_back(self._db, run, doubts=doubts)

    # Forgetting

    def drop_bodies(self, run: Run) -> None:
        upkeep.drop_bodies(self._db, run)

    def is_open(self, run: Run) -> bool:
        return books.is_open(self._db, run)

    def prune(self, run: Run) -> None:
        upkeep.prune(self._db, run)

    def forget(self, subscriber: str) -> int:
        working = [run.id for run in self.runs() if self.is_alive(run) and not self.lock(run).held]
        if working:
            raise UsageError(
                f"run {working[0]} is being worked on by another process",
                hint="wait for it, or stop it, then run the same command again",
            )
        scope = self._runs.scope()
        return 0 if scope is None else upkeep.forget(self._db, self._hasher, scope, subscriber)

    def shrink(self) -> None:
        self._db.shrink()

    # Imports of several runs

    def import_of(self, run: Run) -> list[Run]:
        known = {one.no: one for one in self._runs.all(everywhere=True)}
        return [known[number] for number in imports.numbers(self._db, run)]

    def import_counts(self, runs: Sequence[Run]) -> Counts:
        return imports.counts(self._db, runs)

    def places_of_older(self, run: Run) -> list[int]:
        return imports.places_of_older(self._db, run)

    # Reporting

    def counts(self, run: Run) -> Counts:
        return books.counts(self._db, run)

    def sources(self, run: Run) -> list[RunSource]:
        return planning.sources(self._db, run)

    def halts(self, run: Run) -> list[Pause]:
        return books.pauses(self._db, run)

    def batches(self, run: Run, *, raw_rows: bool = False) -> Iterator[RowBatch]:
        return books.batches(self._db, run, raw_rows=raw_rows)

    def _planning(self, run: Run) -> Planner:
        if self._planner is None or self._planner.run.no != run.no:
            self._end_planning()
            self._planner = Planner(self._db, self._hasher, run)
        return self._planner

    def _end_planning(self, run: Run | None = None) -> None:
        """Drop what the planning, that of ``run`` alone if one is given, has noted for its time."""
        if self._planner is not None and (run is None or self._planner.run.no == run.no):
            planner, self._planner = self._planner, None
            planner.close()
