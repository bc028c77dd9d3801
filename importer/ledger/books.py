"""What the ledger tells of a run: its totals, every row in source order, and what is about to be sent.

Changes nothing, and may run beside a delivery.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.exact import Sums, token
from importer.ledger import planning
from importer.ledger.database import Database
from importer.ledger.packing import unpack
from importer.ledger.tables import CLAIMED, RUN_BITS, ids
from importer.model import (
    ArrowArray,
    ArrowTable,
    Counts,
    Pause,
    PauseKind,
    PendingSummary,
    RowBatch,
    Run,
    RunSource,
    RunState,
    State,
)

_NO_REASONS = pa.table(
    {"row": pa.array([], pa.int64())} | {name: pa.array([], pa.string()) for name in ("code", "field", "value")}
)
_COLUMNS = {
    "line": pa.int64(),
    "state": pa.string(),
    "http_status": pa.int16(),
    "attempts": pa.int32(),
    "key": pa.string(),
    "subscriber": pa.string(),
    "type": pa.string(),
    "sent_at": pa.float64(),
    "latency_ms": pa.float64(),
    "code": pa.string(),
    "message": pa.string(),
    "value": pa.string(),
    "currency": pa.string(),
    "event_time": pa.int64(),
}
_ORDER = (
    "row", "line", "state", "http_status", "attempts", "key", "subscriber", "type", "sent_at", "latency_ms", "code",
    "message", "leader", "leader_source", "leader_state", "value", "currency", "event_time",
)  # fmt: skip

_TYPES = 20
_NO_TIME = -(2**63 - 1)


def counts(database: Database, run: Run) -> Counts:
    """See `Ledger.counts`: rows read come from what the readers counted, states from the rows themselves."""
    read = database.value("SELECT COALESCE(SUM(rows), 0) FROM source WHERE run = $1", run.no)
    by_state = dict.fromkeys(State, 0)
    for state, number in database.rows(
        "SELECT state, COUNT(*) FROM row WHERE id BETWEEN $1 AND $2 GROUP BY state", *ids(run)
    ):
        by_state[State.PENDING if state == CLAIMED else State(state)] += number
    return Counts(read=read, by_state=by_state)


def has_pending(database: Database, run: Run) -> bool:
    """See `Ledger.has_pending`; as `counts` has it, but the first such row is enough."""
    return _has(database, run, State.PENDING, CLAIMED)


def is_open(database: Database, run: Run) -> bool:
    """Whether the run still has rows to send or to resolve."""
    return _has(database, run, State.PENDING, CLAIMED, State.IN_DOUBT)


def _has(database: Database, run: Run, *states: str) -> bool:
    chosen = ", ".join(f"'{state}'" for state in states)
    sql = f"SELECT EXISTS (SELECT 1 FROM row WHERE id BETWEEN $1 AND $2 AND state IN ({chosen}))"
    return bool(database.value(sql, *ids(run)))


@dataclass(frozen=True, slots=True)
class PendingElsewhere:
    """Rows that another run has, and has not delivered."""

    run_id: str
    rows: int
    state: RunState
    in_doubt: int
    """How many of the rows may have arrived: they wait for `importer resolve` or `importer retry` of that run."""
    alive: bool
    """A process works on that run now."""


def pending_elsewhere(database: Database, run: Run) -> list[tuple[int, str, str, int, int]]:
    """The runs that hold rows of this one undelivered: (number, id, state, rows, of them may have arrived)."""
    return database.rows(
        "SELECT r.no, r.id, r.state, COUNT(*), SUM(CASE WHEN e.state IN ($1, $2) THEN 1 ELSE 0 END)"
        f" FROM row m JOIN row e ON e.id = m.other JOIN run r ON r.no = e.id >> {RUN_BITS}"
        " WHERE m.id BETWEEN $3 AND $4 AND m.state = $5 AND r.no <> $6 AND e.state IN ($7, $8, $1, $2)"
        " GROUP BY r.no, r.id, r.state ORDER BY r.no",
        State.IN_DOUBT,
        State.FAILED,
        *ids(run),
        State.DUPLICATE,
        run.no,
        State.PENDING,
        CLAIMED,
    )


def pauses(database: Database, run: Run) -> list[Pause]:
    """A run's pauses, in their order."""
    found = database.rows("SELECT kind, begun, ended FROM pause WHERE run = $1 ORDER BY begun, kind", run.no)
    return [Pause(PauseKind(kind), begun, ended) for kind, begun, ended in found]


def batches(database: Database, run: Run, *, raw_rows: bool) -> Iterator[RowBatch]:
    """See `Ledger.batches`. Between two chunks no transaction is open, so that a slow reader hinders nobody."""
    known = planning.sources(database, run)
    found = planning.chunks(database, run)
    for first_id, number, first_row, count in zip(*(column.to_pylist() for column in found.columns), strict=True):
        yield _batch(database, (first_id, first_row, count), _Sources(run, known, number), raw_rows=raw_rows)


class _Sources:
    """A run's sources, seen from one of them."""

    def __init__(self, run: Run, known: Sequence[RunSource], number: int) -> None:
        self._begin = ids(run)[0]
        self._names = [source.source.name for source in known]
        self._starts = np.cumsum([0, *(source.rows for source in known)])
        self._own = next(at for at, source in enumerate(known) if source.no == number)
        self.here = known[self._own].source

    def heads(self, head_ids: ArrowArray) -> dict[str, ArrowArray]:
        """Row number and source of the rows with these ids; null where there is none, the source also if it is this."""
        absent = head_ids.is_null().to_numpy(zero_copy_only=False)
        at = head_ids.fill_null(self._begin).to_numpy() - self._begin
        # The last source that starts at or before the place: empty ones start where the next one does.
        source = np.searchsorted(self._starts, at, side="right") - 1
        return {
            "leader": pa.array(at - self._starts[source] + 1, mask=absent),
            "leader_source": pa.array(self._names).take(pa.array(source, mask=absent | (source == self._own))),
        }


def _batch(database: Database, chunk: tuple[int, int, int], sources: _Sources, *, raw_rows: bool) -> RowBatch:
    first_id, first_row, count = chunk
    found = database.query(
        f"SELECT {', '.join(f'r.{name}' for name in _COLUMNS)}, r.group_head, h.state AS head_state"
        " FROM row r LEFT JOIN row h ON h.id = r.group_head WHERE r.id BETWEEN $1 AND $2 ORDER BY r.id",
        first_id,
        first_id + count - 1,
    )
    arrays = {name: column(found, name, kind) for name, kind in _COLUMNS.items()}
    arrays["state"] = _outside(arrays["state"])
    arrays["row"] = pa.array(np.arange(first_row, first_row + found.num_rows))
    arrays |= sources.heads(column(found, "group_head", pa.int64()))
    arrays["leader_state"] = _outside(column(found, "head_state", pa.string()))
    ((reasons, records),) = database.rows(
        f"SELECT reasons, {'raw_rows' if raw_rows else 'NULL'} FROM chunk WHERE first_id = $1", first_id
    )
    return RowBatch(
        source=sources.here,
        table=pa.table({name: arrays[name] for name in _ORDER}),
        reasons=_NO_REASONS if reasons is None else unpack(reasons).select(_NO_REASONS.column_names),
        raw_rows=None if records is None else unpack(records),
    )


def column(table: ArrowTable, name: str, kind: pa.DataType) -> ArrowArray:
    """A column as this type; one that is empty throughout comes from SQLite as integers."""
    found = table.column(name).combine_chunks()
    return pa.nulls(len(found), kind) if found.null_count == len(found) else found.cast(kind)


def _outside(states: ArrowArray) -> ArrowArray:
    """States as others see them: a claimed row of a living run is still pending."""
    return pc.if_else(pc.equal(states, CLAIMED), State.PENDING.value, states)


def pending_summary(database: Database, run: Run) -> PendingSummary:
    """What delivery is about to do; sums are exact, and purchases and refunds are kept apart."""
    pending = f"FROM row WHERE id BETWEEN {ids(run)[0]} AND {ids(run)[1]} AND state = '{State.PENDING}'"
    sums, times = Sums(), []
    for batch in database.batches(
        "SELECT COALESCE(type, ''), COALESCE(currency, ''), COALESCE(value, ''),"
        f" COALESCE(event_time, {_NO_TIME}) {pending}"
    ):
        kinds, currencies, values, moments = batch.columns
        sums.add((kinds, currencies, pa.repeat("", len(kinds))), values)
        known = pc.min_max(moments.filter(pc.not_equal(moments, _NO_TIME))).as_py()
        times += [moment for moment in known.values() if moment is not None]
    types: Counter[str] = Counter()
    for (kind, _, _), (events, _, _) in sums.found.items():
        types[kind] += events
    ranked = sorted(sums.found.items(), key=lambda one: (-one[1][1], one[0]))
    lanes = database.rows(
        f"SELECT COUNT(*) AS events, MIN(id) AS first {pending} GROUP BY lane ORDER BY events DESC, first LIMIT 1"
    )
    most, first = lanes[0] if lanes else (0, 0)
    return PendingSummary(
        events=types.total(),
        # By e-mail, else phone, else id, as a check counts them; lanes join more, and say who gets the most.
        subscribers=database.value(f"SELECT COUNT(DISTINCT lower(subscriber)) {pending}"),
        most_for_one=most,
        most_subscriber=database.value("SELECT subscriber FROM row WHERE id = $1", first) or "",
        types=tuple(sorted(types.items(), key=lambda one: (-one[1], one[0]))[:_TYPES]),
        totals=tuple((kind, money, valued, token(total)) for (kind, money, _), (_, valued, total) in ranked if valued),
        oldest=min(times) / 1e6 if times else None,
        newest=max(times) / 1e6 if times else None,
        example=database.value(f"SELECT body FROM row WHERE id = (SELECT MIN(id) {pending})") or b"",
    )
