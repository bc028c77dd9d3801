"""Writing a plan: sources, chunks and their rows, until all is read and the plan is sealed.

Until a run is sealed no other process cares for it: its rows are written in short transactions that do not wait for
the disk; the last one, which makes it READY, does, and with it all that was written before.
"""

from __future__ import annotations

import dataclasses
import json
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.ledger.dedupe import TEMPORARY, Deduplicator
from importer.ledger.identities import Hasher, Lanes
from importer.ledger.runs import RunRepository
from importer.ledger.tables import ids, pack, steps
from importer.model import EncodedChunk, Run, RunState, Source, State

if TYPE_CHECKING:
    from importer.model import ArrowArray, Bools, Int64s


@dataclasses.dataclass(slots=True)
class _Plan:
    """What is known of a run while it is planned."""

    run: Run
    lanes: Lanes
    first: int
    """The id of the run's first row."""
    next_id: int
    ordered: bool = False
    begun: set[int] = dataclasses.field(default_factory=set)
    """The sources whose first event was noted."""


class PlanWriter(RunRepository):
    """The ledger as planning fills it. A run is in planning until `seal`."""

    _plan: _Plan | None = None

    @cached_property
    def _hasher(self) -> Hasher:
        return Hasher(self._db.value("SELECT secret FROM ledger"))

    def _planning(self, run: Run) -> _Plan:
        if self._plan is None or self._plan.run.no != run.no:
            self._end_planning()
            first = ids(run)[0]
            self._plan = _Plan(run, Lanes(self._db, self._hasher), first, first)
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
                json.dumps(dataclasses.asdict(source.dialect)),
                None if source.columns is None else json.dumps(source.columns),
                plan.next_id,
            )
            return int(self._db.value("SELECT MAX(no) FROM source WHERE run = $1", run.no))

    def add_chunk(
        self, run: Run, source_no: int, prepared: EncodedChunk, mine: Bools | None = None, at: int | None = None
    ) -> None:
        """Store the next chunk of the source that was added last, in one transaction.

        ``mine``, shape (count,): the rows that belong to this run; the others leave gaps among its ids. ``at``: as for
        `add_source`.
        """
        plan = self._planning(run)
        first, span = plan.next_id if at is None else plan.first + at, prepared.count
        offsets = np.arange(span) if mine is None else np.flatnonzero(mine)
        if not len(offsets):
            return
        plan.next_id = first + span
        if len(offsets) < span:
            prepared = _part(prepared, offsets)
        lanes, subscribers = plan.lanes.add(prepared.identities)
        rows = {
            "id": pa.array(first + offsets),
            "state": prepared.states,
            "line": pa.array(prepared.lines),
            "lane": pa.array(lanes),
            "subscriber": prepared.subscribers,
            "type": prepared.types,
            "value": prepared.values,
            "currency": prepared.currencies,
            "event_time": prepared.event_time,
            "order_value": None if prepared.places is None else _sortable(prepared.places),
            "group_head": _group_heads(prepared, plan.first),
            "origin": self._origins(run, prepared),
            "key": prepared.keys,
            **self._keys(prepared, pa.array(subscribers)),
            "body": prepared.bodies,
        }
        chunk = {
            "first_id": [first],
            "source": [source_no],
            "first_row": [prepared.first_row],
            "count": [span],
            "reasons": pa.array([pack(prepared.reasons) if prepared.reasons.num_rows else None], pa.binary()),
            "raw_rows": pa.array([None if prepared.raw_rows is None else pack(prepared.raw_rows)], pa.binary()),
        }
        plan.ordered = plan.ordered or prepared.places is not None
        with self._db.transaction(private=True):
            self._db.insert("chunk", chunk)
            self._db.insert("row", {name: column for name, column in rows.items() if column is not None})
            self._db.execute("UPDATE source SET rows = rows + $1 WHERE no = $2", prepared.count, source_no)
            if source_no not in plan.begun and len(begin := prepared.bodies.drop_null().slice(0, 1)):
                first_event = self._hasher.events(begin)[0].as_py()
                self._db.execute("UPDATE source SET first_event = $1 WHERE no = $2", first_event, source_no)
                plan.begun.add(source_no)

    def _keys(self, prepared: EncodedChunk, subscribers: ArrowArray) -> dict[str, ArrowArray]:
        """What makes keys and the events behind them comparable, for the rows that are to be sent."""
        if prepared.keys is None:
            return {}
        pending = pc.and_(pc.is_valid(prepared.bodies), pc.is_valid(prepared.keys))
        return {
            "key_hash": self._hasher.keys(pc.if_else(pending, prepared.keys, None)),
            "event_hash": self._hasher.events(pc.if_else(pending, prepared.bodies, None)),
            "subscriber_hash": pc.if_else(pending, subscribers, None),
        }

    def _origins(self, run: Run, prepared: EncodedChunk) -> ArrowArray | None:
        """The ids of the rows that this chunk's rows correct; null where a row corrects none."""
        if prepared.origins is None or prepared.origins.column("run").null_count == prepared.count:
            return None
        where = prepared.origins.select(["run", "source"]).combine_chunks()
        known = {
            (run_id, source): self._source_of(run, run_id, source)
            for run_id, source in set(zip(*(column.to_pylist() for column in where.columns), strict=True))
            if run_id is not None and source is not None
        }
        found: list[int | None] = []
        for run_id, source, row in zip(*(column.to_pylist() for column in prepared.origins.columns), strict=True):
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


def _part(prepared: EncodedChunk, offsets: Int64s) -> EncodedChunk:
    """Some of a chunk's rows; ``first_row`` and what ``group_heads`` count stay those of the whole."""
    at = pa.array(offsets)

    def part(column: Any) -> Any:
        return None if column is None else column.take(at)

    heads, reasons = prepared.group_heads, prepared.reasons
    its = pc.is_in(reasons.column("row"), value_set=pa.array(prepared.first_row + offsets))
    whole = {"source", "first_row", "count", "lines", "group_heads", "identities", "reasons"}
    names = {one.name for one in dataclasses.fields(prepared)} - whole
    return dataclasses.replace(
        prepared,
        **{name: part(getattr(prepared, name)) for name in names},
        count=len(offsets),
        lines=prepared.lines[offsets],
        group_heads=None if heads is None else heads[offsets],
        identities=tuple(map(part, prepared.identities)),
        reasons=reasons.filter(its),
    )


def _group_heads(prepared: EncodedChunk, first: int) -> ArrowArray | None:
    if prepared.group_heads is None:
        return None
    return pa.array(prepared.group_heads + first, mask=prepared.group_heads < 0)


def _sortable(values: ArrowArray) -> ArrowArray:
    """Order values as bytes that sort as the values do; null stays null."""
    sign = np.uint64(1 << 63)
    if pa.types.is_integer(values.type):
        numbers = values.fill_null(0).cast(pa.int64()).to_numpy().view(np.uint64) ^ sign
    elif pa.types.is_floating(values.type):
        bits = (values.fill_null(0).to_numpy() + 0.0).view(np.uint64)
        numbers = np.where(bits & sign, ~bits, bits | sign)
    else:
        return values.cast(pa.binary())
    ordered = pa.Array.from_buffers(pa.binary(8), len(values), [None, pa.py_buffer(numbers.astype(">u8"))])
    return pc.if_else(values.is_valid(), ordered.cast(pa.binary()), None)
