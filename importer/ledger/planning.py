"""Writing a plan: sources, chunks and their rows, until all is read and the plan is sealed.

Until a run is sealed no other process cares for it: its rows are written in short transactions that do not wait for
the disk; the last one, which makes it READY, does, and with it all that was written before.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa

from importer.columns import whole
from importer.ledger.books import PENDING_COLUMNS, PendingTotals
from importer.ledger.identities import Hasher, Lanes, first_of
from importer.ledger.repeats import TEMPORARY, Deduplicator, PlannedKeys
from importer.ledger.rows import write
from importer.ledger.runs import RunRepository
from importer.ledger.tables import ids, of_run, steps
from importer.model import (
    PendingSummary,
    PlannedChunk,
    RoutedChunk,
    Run,
    RunState,
    Source,
    State,
    StoredChunk,
)

if TYPE_CHECKING:
    from importer.model import ArrowArray, Bools


class _Plan(msgspec.Struct):
    """What is known of a run while it is planned."""

    run: Run
    lanes: Lanes
    first: int
    """The id of the run's first row."""
    next_id: int
    keys: PlannedKeys = msgspec.field(default_factory=PlannedKeys)
    ordered: bool = False
    rows: Counter[int] = msgspec.field(default_factory=Counter)
    """Of each source, so far."""
    first_events: dict[int, int] = {}
    """The hash of each source's first event."""
    newest: tuple[int, int] = (0, 0)
    """The number and the first id of the source that was added last."""
    totals: PendingTotals | None = msgspec.field(default_factory=PendingTotals)
    """None where not all rows come by as they will be sent."""

    def close(self) -> None:
        self.lanes.close()
        self.keys.close()
        self.forget_totals()

    def forget_totals(self) -> None:
        if self.totals is not None:
            self.totals.close()
            self.totals = None


class PlanWriter(RunRepository):
    """The ledger as planning fills it. A run is in planning until `seal`."""

    _plan: _Plan | None = None
    _planned: tuple[int, int, PendingSummary] | None = None
    """What the run that was sealed last is about to do, its number, and how much had changed in the ledger by then."""

    @cached_property
    def hasher(self) -> Hasher:
        """What makes hashes by this ledger's secret."""
        return Hasher(self._db.value("SELECT secret FROM ledger"))

    def _planning(self, run: Run) -> _Plan:
        if self._plan is None or self._plan.run.no != run.no:
            self._end_planning()
            first = ids(run)[0]
            self._plan = _Plan(run, Lanes(self._db), first, first)
        return self._plan

    def _end_planning(self) -> None:
        """Drop what was noted for the time of the planning."""
        if self._plan is not None:
            plan, self._plan = self._plan, None
            plan.close()

    def add_source(self, run: Run, source: Source, at: int | None = None) -> int:
        """Register the next source of a run; returns its number for `add_chunk`.

        ``at``: how many rows of all accounts are before it, if not all that were stored are.
        """
        plan = self._planning(run)
        if at is not None:
            plan.next_id = plan.first + at
        with self._db.transaction(private=True):
            self._db.execute(
                "INSERT INTO source (run, name, path, dialect, columns, first_id) VALUES ($1, $2, $3, $4, $5, $6)",
                run.no,
                source.name,
                source.path,
                json.dumps(msgspec.structs.asdict(source.dialect)),
                None if source.columns is None else json.dumps(source.columns),
                plan.next_id,
            )
            number = int(self._db.value("SELECT MAX(no) FROM source WHERE run = $1", run.no))
        plan.newest = number, plan.next_id
        return number

    def add_chunk(
        self,
        run: Run,
        source_no: int,
        chunk: PlannedChunk,
        mine: Bools | None = None,
        at: int | None = None,
    ) -> None:
        """Store the next chunk of the source that was added last, unless a worker has written it.

        ``mine``, shape (count,): the rows that belong to this run; the others leave gaps among its ids. ``at``: as for
        `add_source`.
        """
        assert not isinstance(chunk, RoutedChunk)
        plan = self._planning(run)
        first = plan.next_id if at is None else plan.first + at
        plan.next_id = first + chunk.count
        made = write(self._db, source_no, first, chunk, mine) if isinstance(chunk, StoredChunk) else chunk
        if plan.totals is not None and isinstance(chunk, StoredChunk) and mine is None and not made.ties.size:
            plan.totals.add(_pending_columns(chunk, first))
        else:
            plan.forget_totals()
        plan.lanes.note(made.ties, by_id=made.by_id)
        plan.keys.note(made.keys)
        plan.ordered = plan.ordered or made.ordered
        plan.rows[source_no] += made.own
        if made.first_body is not None and source_no not in plan.first_events:
            plan.first_events[source_no] = self.hasher.events(pa.array([made.first_body]))[0].as_py()

    def close_source(self, run: Run, source_no: int, *, digest: str, error: str = "", others: int = 0) -> None:
        """The source was read to its end, or to its error; ``digest`` is empty where the content is not known.

        ``others``: how many of its rows belong to other accounts.

        Of a source that broke off nothing is sent: its digest is not the whole file's, so that its rows could not be
        distinguished from those of the whole file when that comes.
        """
        plan = self._planning(run)
        with self._db.transaction(private=True):
            self._db.execute(
                "UPDATE source SET digest = $1, error = $2, rows = $3, others = $4, first_event = $5 WHERE no = $6",
                digest,
                error,
                plan.rows[source_no] + others,
                others,
                plan.first_events.get(source_no),
                source_no,
            )
            if error:
                plan.forget_totals()
                # Workers may have written parts that follow the broken one; now that there is an error, no more come.
                for table, column in (("row", "id"), ("chunk", "first_id")):
                    behind = f"{of_run(run, column)} AND {column} >= {plan.next_id}"
                    self._db.execute(f"DELETE FROM {table} WHERE {behind}")
                self._db.execute(
                    f"UPDATE row SET state = '{State.INVALID}', code = 'source.incomplete', message = $1"
                    f" WHERE id >= (SELECT first_id FROM source WHERE no = {source_no}) AND id < {plan.next_id}"
                    f" AND state = '{State.PENDING}'",
                    error,
                )

    def seal(self, run: Run, *, again: bool = False) -> Run:
        """Planning is complete: lanes and order are settled, what was delivered before is marked; state READY.

        Pending rows of interrupted runs with the same content are taken over. With ``again``, only what the run itself
        repeats is marked. Either the run is READY with all that it repeats marked, or no other run has changed. One
        importer of an account seals at a time; deliveries go on beside it, for every transaction but the last is
        short, and the last one only changes the rows that are taken over.
        """
        plan = self._planning(run)
        last = plan.next_id - 1
        with self._sealing():
            self._db.analyze("row")
            plan.lanes.settle(plan.first, last)
            repeats = Deduplicator(self._db, run, last, plan.keys, alive=self._others_alive(run), again=again)
            with self._db.temporary(**TEMPORARY):
                repeats.mark()
                if plan.ordered:
                    self._write_places(plan, last)
                with self._db.transaction():
                    repeats.take_over()
                    self._db.execute(
                        f"UPDATE run SET state = '{RunState.READY}', ordered = {int(plan.ordered)} WHERE no = {run.no}"
                    )
            sealed = self.run(run.id, everywhere=True)
            if plan.totals is not None and not repeats.marked:
                self._planned = run.no, self._db.changes, self._summed_up(sealed, plan.totals)
        self._end_planning()
        self._db.checkpoint()
        return sealed

    def pending_summary(self, run: Run) -> PendingSummary:
        """See `RunReader.pending_summary`; what came by while it was planned holds until something changes."""
        if self._planned is not None and self._planned[:2] == (run.no, self._db.changes):
            return self._planned[2]
        return super().pending_summary(run)

    def _sealing(self) -> AbstractContextManager[None]:
        """Be the only importer that seals a plan, or settles rows by what other runs have."""
        return self._db.exclusive("seal", "completing its plan")

    def _write_places(self, plan: _Plan, last: int) -> None:
        """Number the pending rows in order of delivery; sorted once, then written in steps."""
        with self._db.temporary(sorted="place INTEGER PRIMARY KEY, id INTEGER"):
            self._db.execute(
                "INSERT INTO sorted SELECT ROW_NUMBER() OVER (ORDER BY order_value NULLS FIRST, id), id FROM row"
                f" WHERE id BETWEEN {plan.first} AND {last} AND state = '{State.PENDING}'"
            )
            for after, upto in steps(self._db, "sorted", "place", 0):
                with self._db.transaction(private=True):
                    self._db.execute(
                        f"INSERT INTO place SELECT {plan.run.no}, place, id FROM sorted"
                        f" WHERE place > {after} AND place <= {upto}"
                    )


def _pending_columns(chunk: StoredChunk, first: int) -> list[ArrowArray]:
    """The chunk's `PENDING_COLUMNS`; its first row has that id."""
    absent = {"event_time": pa.nulls(chunk.count, pa.int64())}
    made = {"id": pa.array(np.arange(first, first + chunk.count)), "lane": pa.array(first_of(*chunk.identifiers))}
    columns = absent | {name: whole(chunk.rows.column(name)) for name in chunk.rows.column_names} | made
    return [columns[name] for name in PENDING_COLUMNS]
