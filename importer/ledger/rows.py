"""A chunk as the ledger stores it, made and written by the process that plans, or by a worker.

A chunk is written in one transaction, which may come again and late: a worker dies after its commit and another one
gets the part, the answer to a commit is lost, a worker that was given up comes back. What is there already stays as it
is, and nothing is written for a source that has an error or for a run that is not in planning any more.
"""

from __future__ import annotations

import platform
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import whole
from importer.errors import LedgerError, UsageError
from importer.ledger.database import ConnectionLostError, Database
from importer.ledger.identities import Hasher, first_of, ties_of
from importer.ledger.location import PostgresLocation
from importer.ledger.postgres import PostgresDialect
from importer.ledger.tables import RUN_BITS, ids, pack
from importer.model import RunState, StoredChunk, WrittenChunk

if TYPE_CHECKING:
    from importer.model import ArrowArray, Bools, EncodedChunk, Int64s


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
        pending = pc.and_(pc.is_valid(rows["body"]), pc.is_valid(rows["key"]))
        rows["key_hash"] = hasher.keys(pc.if_else(pending, rows["key"], None))
        rows["event_hash"] = hasher.events(pc.if_else(pending, rows["body"], None))
        rows["subscriber_hash"] = pc.if_else(pending, pa.array(first_of(email, phone, by_id)), None)
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
