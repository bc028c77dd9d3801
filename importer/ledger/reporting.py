"""The ledger's story of a run, for reports: its books, and every row in source order.

This module owns reading; it changes nothing, and may run beside a delivery.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from importer.ledger import planning
from importer.ledger.database import Database
from importer.ledger.packing import unpack
from importer.ledger.schema import CLAIMED, CODES, STATES, ids
from importer.model import ArrowArray, Counts, RowBatch, Run, RunSource, State

_STATE_NAMES = pa.array(
    [STATES.get(code, State.PENDING).value for code in range(CLAIMED + 1)]
)  # a claimed row of a living run is, for whoever looks on, still pending

_OUTCOME = (
    ("state", pa.int8()),
    ("http_status", pa.int16()),
    ("attempts", pa.int32()),
    ("key", pa.string()),
    ("sent_at", pa.float64()),
    ("latency_ms", pa.float64()),
    ("code", pa.string()),
    ("message", pa.string()),
)
_NO_REASONS = pa.table(
    {"row": pa.array([], pa.int64())} | {name: pa.array([], pa.string()) for name in ("code", "field", "value")}
)
_ORDER = (
    "row", "line", "state", "http_status", "attempts", "key", "subscriber", "type", "sent_at", "latency_ms", "code",
    "message", "leader", "leader_source", "leader_state", "value", "currency", "event_time",
)  # fmt: skip


def counts(database: Database, run: Run) -> Counts:
    """See `Ledger.counts`: rows read come from what the readers counted, states from the rows themselves."""
    with database.explained():
        (read,) = database.connection.execute(
            "SELECT COALESCE(SUM(rows), 0) FROM source WHERE run = ?", (run.no,)
        ).fetchone()
        found = database.connection.execute(
            "SELECT state, COUNT(*) FROM row WHERE id BETWEEN ? AND ? GROUP BY state", ids(run.no)
        ).fetchall()
    by_state = dict.fromkeys(CODES, 0)
    for code, number in found:
        by_state[STATES.get(code, State.PENDING)] += number
    return Counts(read=read, by_state=by_state)


def has_pending(database: Database, run: Run) -> bool:
    """See `Ledger.has_pending`; as `counts` has it, but the first such row is enough."""
    with database.explained():
        (found,) = database.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM row WHERE id BETWEEN ? AND ? AND state IN (?, ?))",
            (*ids(run.no), CODES[State.PENDING], CLAIMED),
        ).fetchone()
    return bool(found)


def batches(database: Database, run: Run, *, raw_rows: bool) -> Iterator[RowBatch]:
    """See `Ledger.batches`. Between two chunks no transaction is open, so that a slow reader hinders nobody."""
    known = planning.sources(database, run)
    with database.explained():
        found = database.connection.execute(
            "SELECT first_id, source FROM chunk WHERE first_id BETWEEN ? AND ? ORDER BY first_id", ids(run.no)
        ).fetchall()
    for first_id, number in found:
        with database.explained():
            batch = _batch(database, first_id, _Sources(run, known, number), raw_rows=raw_rows)
        yield batch


class _Sources:
    """A run's sources, seen from one of them."""

    def __init__(self, run: Run, known: Sequence[RunSource], number: int) -> None:
        self._begin = ids(run.no)[0]
        self._names = [source.source.name for source in known]
        self._starts = np.cumsum([0, *(source.rows for source in known)])
        self._own = next(at for at, source in enumerate(known) if source.no == number)
        self.here = known[self._own].source

    def group_heads(self, database: Database, places: ArrowArray) -> dict[str, ArrowArray]:
        """Row number, source and state of the rows at these places of the run; null where there is none."""
        if places.null_count == len(places):
            kinds = {"leader": pa.int64(), "leader_source": pa.string(), "leader_state": pa.string()}
            return {name: pa.nulls(len(places), kind) for name, kind in kinds.items()}
        absent = places.is_null().to_numpy(zero_copy_only=False)
        at = places.fill_null(0).to_numpy()
        # The last source that starts at or before the place: empty ones start where the next one does.
        source = np.searchsorted(self._starts, at, side="right") - 1
        distinct, inverse = np.unique(at, return_inverse=True)
        found = database.connection.execute(
            "SELECT r.state FROM json_each(?) j JOIN row r ON r.id = j.value ORDER BY r.id",
            (json.dumps((distinct + self._begin).tolist()),),
        ).fetchall()
        states = np.fromiter((state for (state,) in found), dtype=np.int64, count=len(found))[inverse]
        return {
            "leader": pa.array(at - self._starts[source] + 1, mask=absent),
            "leader_source": pa.array(self._names).take(pa.array(source, mask=absent | (source == self._own))),
            "leader_state": _STATE_NAMES.take(pa.array(states, mask=absent)),
        }


def _batch(database: Database, first_id: int, sources: _Sources, *, raw_rows: bool) -> RowBatch:
    wanted = "originals" if raw_rows else "NULL"
    first_row, count, packed, reasons, records = database.connection.execute(
        f"SELECT first_row, count, facts, reasons, {wanted} FROM chunk WHERE first_id = ?", (first_id,)
    ).fetchone()
    facts = unpack(packed).combine_chunks()
    arrays = _outcomes(database, first_id, count)
    arrays["row"] = pa.array(range(first_row, first_row + count), pa.int64())
    arrays["type"] = facts.column("type").cast(pa.string())
    arrays["currency"] = facts.column("currency").cast(pa.string())
    arrays |= {name: facts.column(name) for name in ("line", "subscriber", "value", "event_time")}
    arrays |= sources.group_heads(database, facts.column("leader").chunk(0) if count else pa.array([], pa.int64()))
    return RowBatch(
        source=sources.here,
        table=pa.table({name: arrays[name] for name in _ORDER}),
        reasons=_NO_REASONS if reasons is None else unpack(reasons).select(_NO_REASONS.column_names),
        raw_rows=None if records is None else unpack(records),
    )


def _outcomes(database: Database, first_id: int, count: int) -> dict[str, ArrowArray]:
    rows = database.connection.execute(
        "SELECT state, http_status, attempts, key, at, latency_ms, code, message FROM row"
        " WHERE id BETWEEN ? AND ? ORDER BY id",
        (first_id, first_id + count - 1),
    ).fetchall()
    columns = zip(*rows, strict=True) if rows else ([] for _ in _OUTCOME)
    arrays = {name: pa.array(values, kind) for (name, kind), values in zip(_OUTCOME, columns, strict=True)}
    arrays["state"] = _STATE_NAMES.take(arrays["state"])
    return arrays
