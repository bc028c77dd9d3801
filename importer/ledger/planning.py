"""Writing a plan: sources, chunks and their rows, until all is read and the plan is sealed.

Until a run is sealed no other process cares for it: its rows are written in short transactions that do not wait for
the disk; the last one, which makes it READY, does, and with it all that was written before.

A chunk is made and written by the process that plans, or by a worker, in one transaction, which may come again and
late: a worker dies after its commit and another one gets the part, the answer to a commit is lost, a worker that was
given up comes back. What is there already stays as it is, and nothing is written for a source that has an error or for
a run that is not in planning any more.
"""

from __future__ import annotations

import json
import platform
import threading
from collections import Counter
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import whole, without
from importer.errors import LedgerError, UsageError
from importer.ledger.books import PENDING_COLUMNS, PendingTotals
from importer.ledger.database import ConnectionLostError, Database
from importer.ledger.identities import Hasher, Lanes, first_of, ties_of
from importer.ledger.location import PostgresLocation
from importer.ledger.postgres import PostgresDialect
from importer.ledger.repeats import TEMPORARY, Deduplicator, PlannedKeys
from importer.ledger.runs import RunRepository
from importer.ledger.tables import RUN_BITS, ids, of_run, pack, steps
from importer.model import (
    PendingSummary,
    PlannedChunk,
    RoutedChunk,
    Run,
    RunState,
    Source,
    State,
    StoredChunk,
    WrittenChunk,
)

if TYPE_CHECKING:
    from importer.model import ArrowArray, Bools, EncodedChunk, Int64s


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


# A chunk

_KEYS = ("id", "key_hash", "event_hash", "subscriber_hash")


class Place(msgspec.Struct, frozen=True):
    """Where a worker writes the rows of a source."""

    location: PostgresLocation
    source_no: int
    first_id: int
    """The id of the source's first row."""

    def without_password(self) -> Place:
        """The same; who goes there finds a password by itself."""
        return msgspec.structs.replace(self, location=PostgresLocation(str(self.location)))


def part_of(stored: StoredChunk, offsets: Int64s) -> StoredChunk:
    """Some of a chunk's rows; ``first_row`` stays that of the whole."""
    at = pa.array(offsets)

    def part(column: Any) -> Any:
        return None if column is None else column.take(at)

    by_id, email, phone = stored.identifiers
    its = pc.is_in(stored.reasons.column("row"), value_set=pa.array(stored.first_row + offsets))
    return msgspec.structs.replace(
        stored,
        count=len(offsets),
        rows=part(stored.rows),
        identifiers=(by_id[offsets], email[offsets], phone[offsets]),
        reasons=stored.reasons.filter(its),
        raw_rows=part(stored.raw_rows),
        origins=part(stored.origins),
        accounts=part(stored.accounts),
    )


def store(prepared: EncodedChunk, hasher: Hasher) -> StoredChunk:
    """What the ledger with that secret stores of a chunk."""
    by_id, email, phone = (hasher.identifiers(column, kind) for kind, column in enumerate(prepared.identities))
    rows = {name: whole(prepared.rows.column(name)) for name in prepared.rows.column_names}
    if "order_value" in rows:
        rows["order_value"] = _sortable(rows["order_value"])
    if "key" in rows:  # what makes keys, and the events behind them, comparable for the rows that are to be sent
        others = pc.or_(pc.is_null(rows["body"]), pc.is_null(rows["key"]))
        rows["key_hash"] = hasher.keys(without(rows["key"], others))
        rows["event_hash"] = hasher.events(without(rows["body"], others))
        rows["subscriber_hash"] = without(pa.array(first_of(email, phone, by_id)), others)
    return StoredChunk(
        prepared.first_row,
        prepared.count,
        pa.table(rows),
        (by_id, email, phone),
        prepared.reasons,
        prepared.raw_rows,
        prepared.origins,
        prepared.accounts,
    )


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


def write(
    database: Database, source_no: int, first: int, stored: StoredChunk, mine: Bools | None = None
) -> WrittenChunk:
    """Write a chunk whose first row has that id, unless it is there already.

    ``mine``, shape (count,): the rows that are written; the others leave gaps. Raises `LedgerError` where the source is
    not read any more.
    """
    run_no, span = first >> RUN_BITS, stored.count
    offsets = np.arange(span) if mine is None else np.flatnonzero(mine)
    if len(offsets) < span:
        stored = part_of(stored, offsets)
    by_id, email, phone = stored.identifiers
    lanes = first_of(by_id, email, phone)
    rows = {name: stored.rows.column(name) for name in stored.rows.column_names}
    rows["lane"] = pa.array(lanes)
    if (heads := rows.get("group_head")) is not None:
        rows["group_head"] = pc.add(heads, ids(run_no)[0])
    if (origins := _origins(database, run_no, stored)) is not None:
        rows["origin"] = origins
    rows["id"] = pa.array(first + offsets)
    if len(offsets):
        _insert(database, source_no, first, stored, span, rows)
    keys = pa.table({name: rows[name] for name in _KEYS}) if "key_hash" in rows else None
    bodies = stored.rows.column("body")
    at = pc.index(bodies.is_valid(), True).as_py()  # the value to look for
    return WrittenChunk(
        stored.first_row,
        span,
        len(offsets),
        ties_of(lanes, email, phone),
        by_id=bool((lanes == by_id).all()),
        ordered="order_value" in rows,
        first_body=None if at < 0 else bodies[at].as_py(),
        keys=None if keys is None else keys.filter(pc.is_valid(keys.column("key_hash"))).combine_chunks(),
    )


def _insert(
    database: Database, source_no: int, first: int, stored: StoredChunk, span: int, rows: dict[str, Any]
) -> None:
    reasons = pack(stored.reasons) if stored.reasons.num_rows else None
    raw_rows = None if stored.raw_rows is None else pack(stored.raw_rows)
    with database.transaction(private=True):
        new = database.execute(
            "INSERT INTO chunk (first_id, source, first_row, count, reasons, raw_rows)"
            f" SELECT {first}, s.no, {stored.first_row}, {span}, $1, $2 FROM source s JOIN run r ON r.no = s.run"
            f" WHERE s.no = {source_no} AND s.error = '' AND r.state = '{RunState.PLANNING}'"
            f"{database.dialect.for_share} ON CONFLICT DO NOTHING",
            table=pa.table({"$1": pa.array([reasons], pa.binary()), "$2": pa.array([raw_rows], pa.binary())}),
        )
        if new:
            database.insert("row", rows)
        elif not database.value(f"SELECT 1 FROM chunk WHERE first_id = {first} AND source = {source_no}"):
            raise LedgerError(
                f"another importer has given up the run that this one plans in {database.dialect.name}",
                hint="run the same command again",
            )


_here = threading.local()
"""Of a worker's thread: its connection, and where to."""


def write_there(place: Place, stored: StoredChunk, mine: Bools | None = None) -> WrittenChunk:
    """On a worker: `write` a chunk with this thread's connection; with a new one where that was lost.

    The server ends a connection that is idle for a while; the next chunk begins a new one. Raises `LedgerError`.
    """
    try:
        if getattr(_here, "location", None) != place.location:
            if (old := getattr(_here, "database", None)) is not None:
                old.close()
            _here.database = Database(PostgresDialect(place.location, worker=True))
            _here.location = place.location
        chunk = (place.source_no, place.first_id + stored.first_row - 1, stored, mine)
        try:
            return write(_here.database, *chunk)
        except ConnectionLostError:
            return write(_here.database, *chunk)
    except (LedgerError, UsageError) as error:
        error.message = f"a worker on {platform.node()} cannot write into the ledger: {error.message}"
        raise


def _origins(database: Database, run_no: int, stored: StoredChunk) -> ArrowArray | None:
    """The ids of the rows that a chunk's rows correct, the first version of each; null where a row corrects none."""
    if stored.origins is None:
        return None
    run, source, row = (whole(stored.origins.column(name)) for name in ("run", "source", "row"))
    there = pc.and_(pc.and_(run.is_valid(), source.is_valid()), row.is_valid())
    if not there.true_count:
        return None
    asked = pa.table({"$1": pa.array(np.arange(len(run))), "$2": run, "$3": source, "$4": row}).filter(there)
    found = database.query(
        "SELECT CAST($1 AS BIGINT), COALESCE(w.origin, w.id) FROM run own JOIN run r ON r.scope = own.scope"
        " AND r.id = $2 JOIN source s ON s.no = (SELECT MIN(no) FROM source WHERE run = r.no AND name = $3)"
        " JOIN row w ON w.id = s.first_id + $4 - 1 AND w.id < s.first_id + s.rows AND w.id >= s.first_id"
        f" WHERE own.no = {run_no}",
        table=asked,
    )
    at = pc.index_in(pa.array(np.arange(len(run))), value_set=whole(found.column(0)).cast(pa.int64()))
    return whole(found.column(1)).cast(pa.int64()).take(at)
