"""Writing a plan: sources, chunks and their rows, until all is read and the plan is sealed.

Until a run is sealed no other process cares for it: its rows are written in short transactions that do not wait for
the disk; the last one, which makes it READY, does, and with it all that was written before.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.ledger.dedupe import TEMPORARY, Deduplicator
from importer.ledger.identities import Hasher, Lanes
from importer.ledger.rows import part_of
from importer.ledger.runs import RunRepository
from importer.ledger.tables import ids, pack, steps
from importer.model import Run, RunState, Source, State

if TYPE_CHECKING:
    from importer.model import ArrowArray, Bools, StoredChunk


class _Plan(msgspec.Struct):
    """What is known of a run while it is planned."""

    run: Run
    lanes: Lanes
    first: int
    """The id of the run's first row."""
    next_id: int
    ordered: bool = False
    begun: set[int] = set()
    """The sources whose first event was noted."""


class PlanWriter(RunRepository):
    """The ledger as planning fills it. A run is in planning until `seal`."""

    _plan: _Plan | None = None

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
            plan.lanes.close()

    def discard(self, run: Run, *states: RunState) -> None:
        """See `RunRepository.discard`."""
        super().discard(run, *states)
        if self._plan is not None and self._plan.run.no == run.no:
            self._end_planning()

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
            return int(self._db.value("SELECT MAX(no) FROM source WHERE run = $1", run.no))

    def add_chunk(
        self, run: Run, source_no: int, stored: StoredChunk, mine: Bools | None = None, at: int | None = None
    ) -> None:
        """Store the next chunk of the source that was added last, in one transaction.

        ``mine``, shape (count,): the rows that belong to this run; the others leave gaps among its ids. ``at``: as for
        `add_source`.
        """
        plan = self._planning(run)
        first, span = plan.next_id if at is None else plan.first + at, stored.count
        offsets = np.arange(span) if mine is None else np.flatnonzero(mine)
        if not len(offsets):
            return
        plan.next_id = first + span
        if len(offsets) < span:
            stored = part_of(stored, offsets)
        chunk = {
            "first_id": [first],
            "source": [source_no],
            "first_row": [stored.first_row],
            "count": [span],
            "reasons": pa.array([pack(stored.reasons) if stored.reasons.num_rows else None], pa.binary()),
            "raw_rows": pa.array([None if stored.raw_rows is None else pack(stored.raw_rows)], pa.binary()),
        }
        rows = {name: stored.rows.column(name) for name in stored.rows.column_names}
        rows["lane"] = pa.array(plan.lanes.add(stored.identifiers))
        if (heads := rows.get("group_head")) is not None:
            rows["group_head"] = pc.add(heads, plan.first)
        if (origins := self._origins(run, stored)) is not None:
            rows["origin"] = origins
        plan.ordered = plan.ordered or "order_value" in rows
        with self._db.transaction(private=True):
            self._db.insert("chunk", chunk)
            self._db.insert("row", {"id": pa.array(first + offsets), **rows})
            self._db.execute("UPDATE source SET rows = rows + $1 WHERE no = $2", stored.count, source_no)
            if source_no not in plan.begun and len(begin := stored.rows.column("body").drop_null().slice(0, 1)):
                first_event = self.hasher.events(begin.combine_chunks())[0].as_py()
                self._db.execute("UPDATE source SET first_event = $1 WHERE no = $2", first_event, source_no)
                plan.begun.add(source_no)

    def _origins(self, run: Run, stored: StoredChunk) -> ArrowArray | None:
        """The ids of the rows that this chunk's rows correct; null where a row corrects none."""
        if stored.origins is None or stored.origins.column("run").null_count == stored.count:
            return None
        where = stored.origins.select(["run", "source"]).combine_chunks()
        known = {
            (run_id, source): self._source_of(run, run_id, source)
            for run_id, source in set(zip(*(column.to_pylist() for column in where.columns), strict=True))
            if run_id is not None and source is not None
        }
        found: list[int | None] = []
        for run_id, source, row in zip(*(column.to_pylist() for column in stored.origins.columns), strict=True):
            first, count = known.get((run_id, source), (0, 0))
            found.append(first + row - 1 if row is not None and 1 <= row <= count else None)
        return self._roots(pa.array(found, pa.int64()))

    def _source_of(self, own: Run, run_id: str, source: str) -> tuple[int, int]:
        """The first id and the number of rows of a source in an earlier run of this account; (0, 0) if unknown."""
        found = self._db.rows(
            "SELECT s.first_id, s.rows FROM run r JOIN source s ON s.run = r.no JOIN run own ON own.scope = r.scope"
            " WHERE r.id = $1 AND s.name = $2 AND own.no = $3 ORDER BY s.no LIMIT 1",
            run_id,
            source,
            own.no,
        )
        return (int(found[0][0]), int(found[0][1])) if found else (0, 0)

    def _roots(self, origins: ArrowArray) -> ArrowArray:
        """The rows that a correction of a correction goes back to."""
        asked = pa.table({"$1": origins.drop_null()})
        found = self._db.query("SELECT id, COALESCE(origin, id) FROM row WHERE id = $1", table=asked)
        roots = dict(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True))
        return pa.array([roots.get(one) for one in origins.to_pylist()], pa.int64())

    def close_source(self, run: Run, source_no: int, *, digest: str, error: str = "", others: int = 0) -> None:
        """The source was read to its end, or to its error; ``digest`` is empty where the content is not known.

        ``others``: how many of its rows belong to other accounts.

        Of a source that broke off nothing is sent: its digest is not the whole file's, so that its rows could not be
        distinguished from those of the whole file when that comes.
        """
        plan = self._planning(run)
        with self._db.transaction(private=True):
            self._db.execute(
                "UPDATE source SET digest = $1, error = $2, rows = rows + $3, others = $3 WHERE no = $4",
                digest,
                error,
                others,
                source_no,
            )
            if error:
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
            repeats = Deduplicator(self._db, run, alive=self._others_alive(run), again=again)
            with self._db.temporary(**TEMPORARY):
                repeats.mark()
                if plan.ordered:
                    self._write_places(plan, last)
                with self._db.transaction():
                    repeats.take_over()
                    self._db.execute(
                        f"UPDATE run SET state = '{RunState.READY}', ordered = {int(plan.ordered)} WHERE no = {run.no}"
                    )
        self._end_planning()
        self._db.checkpoint()
        return self.run(run.id, everywhere=True)

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
