"""Reads a run from the ledger: its totals, every row in source order, and what is about to be sent.

Changes nothing, and may run beside a delivery.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import Hashes, hashes, whole
from importer.exact import Sums, token
from importer.ledger.database import Database
from importer.ledger.tables import CLAIMED, STEP, ids, of_run, unpack
from importer.model import (
    ArrowArray,
    ArrowTable,
    Counts,
    Dialect,
    Int64s,
    Pause,
    PauseKind,
    PendingSummary,
    RowBatch,
    Run,
    RunSource,
    RunState,
    Source,
    State,
)
from importer.spill import SortedSpill

_NO_REASONS = pa.table(
    {"row": pa.array([], pa.int64())} | {name: pa.array([], pa.string()) for name in ("code", "field", "value")}
)
_PLANNED = {
    "id": pa.int64(),
    "line": pa.int64(),
    "state": pa.string(),
    "key": pa.string(),
    "subscriber": pa.string(),
    "type": pa.string(),
    "value": pa.string(),
    "currency": pa.string(),
}
"""Columns of most rows."""
_SAID = {
    "http_status": pa.int16(),
    "attempts": pa.int32(),
    "sent_at": pa.float64(),
    "latency_ms": pa.float64(),
    "code": pa.string(),
    "message": pa.string(),
    "group_head": pa.int64(),
}
"""Columns that are empty as long as nothing is said of a row; of most rows of a new plan."""
_NOT_DELIVERED = pa.array([State.INVALID, State.REFUSED, State.IN_DOUBT, State.FAILED])
_TYPES = 20
PENDING_COLUMNS = ("id", "state", "type", "currency", "value", "event_time", "subscriber", "lane")
"""What `PendingTotals` looks at."""


def column(table: ArrowTable, name: str, kind: pa.DataType) -> ArrowArray:
    """A column as this type; one that is empty throughout comes from SQLite as integers."""
    found = whole(table.column(name))
    return pa.nulls(len(found), kind) if found.null_count == len(found) else found.cast(kind)


def _outside(states: ArrowArray) -> ArrowArray:
    """States as others see them: a claimed row of a living run is still pending."""
    claimed = pc.equal(states, CLAIMED)
    return pc.if_else(claimed, State.PENDING.value, states) if claimed.true_count else states


def _source(name: str, path: str | None, dialect: str, columns: str | None) -> Source:
    header = None if columns is None else tuple(json.loads(columns))
    known = Dialect.__struct_fields__  # an earlier version may have noted others
    facts = {name: value for name, value in json.loads(dialect).items() if name in known}
    return Source(name=name, path=path, dialect=Dialect(**facts), columns=header)


class RunReader:
    """The ledger as reports read it; changes nothing, and may go on beside a delivery."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def counts(self, run: Run) -> Counts:
        """The run's totals: rows as they were read, and their states now."""
        found = self._db.rows(f"SELECT state, COUNT(*) FROM row WHERE {of_run(run)} GROUP BY state")
        return self._counts(run, dict(found))

    def _counts(self, run: Run, found: Mapping[str, int]) -> Counts:
        own = "SELECT CAST(COALESCE(SUM(rows - others), 0) AS BIGINT) FROM source WHERE run = $1"
        by_state = dict.fromkeys(State, 0)
        for state, number in found.items():
            by_state[State.PENDING if state == CLAIMED else State(state)] += number
        # While it is planned, what is there has been read: a source's number of rows is noted when all are.
        planning = run.state is RunState.PLANNING
        return Counts(read=sum(by_state.values()) if planning else self._db.value(own, run.no), by_state=by_state)

    def others(self, run: Run) -> int:
        """How many rows of the run's sources belong to the runs of other accounts."""
        return int(self._db.value("SELECT COALESCE(SUM(others), 0) FROM source WHERE run = $1", run.no))

    def has_pending(self, run: Run) -> bool:
        """Whether a row waits to be sent."""
        return self._has(run, State.PENDING, CLAIMED)

    def is_open(self, run: Run) -> bool:
        """Whether the run still has rows to send or to resolve."""
        return self._has(run, State.PENDING, CLAIMED, State.IN_DOUBT)

    def _has(self, run: Run, *states: str) -> bool:
        chosen = ", ".join(f"'{state}'" for state in states)
        return bool(self._db.value(f"SELECT EXISTS (SELECT 1 FROM row WHERE {of_run(run)} AND state IN ({chosen}))"))

    def sources(self, run: Run) -> list[RunSource]:
        """The run's sources, in the order they were read."""
        found = self._db.rows(
            "SELECT no, name, path, dialect, columns, digest, rows - others, error FROM source WHERE run = $1"
            " ORDER BY no",
            run.no,
        )
        return [
            RunSource(no=no, source=_source(name, path, dialect, columns), digest=digest, rows=rows, error=error)
            for no, name, path, dialect, columns, digest, rows, error in found
        ]

    def _chunks(self, run: Run) -> ArrowTable:
        """A run's chunks: first_id, source, first_row, count."""
        return self._db.query(
            f"SELECT first_id, source, first_row, count FROM chunk WHERE {of_run(run, 'first_id')} ORDER BY first_id"
        )

    def pauses(self, run: Run) -> list[Pause]:
        """The times in which the run sent nothing, in their order."""
        found = self._db.rows("SELECT kind, begun, ended FROM pause WHERE run = $1 ORDER BY begun, kind", run.no)
        return [Pause(PauseKind(kind), begun, ended) for kind, begun, ended in found]

    def batches(self, run: Run, *, raw_rows: bool = False, times: bool = False) -> Iterator[RowBatch]:
        """Every row of the run, in source order, a planned chunk at a time.

        ``times``: with the events' own times. ``raw_rows``: with the raw records of those chunks in which a row, or
        its group's head, was not delivered.
        """
        known = self.sources(run)
        names, numbers = [one.source.name for one in known], [one.no for one in known]
        firsts = self._db.query("SELECT first_id FROM source WHERE run = $1 ORDER BY no", run.no).column(0).to_numpy()
        found = self._chunks(run)
        for first_id, number, first_row, count in zip(*(column.to_pylist() for column in found.columns), strict=True):
            own = numbers.index(number)
            columns = _PLANNED | ({"event_time": pa.int64()} if times else {})
            table, reasons, records = self._chunk(columns, first_id, first_row, count, raw_rows=raw_rows)
            heads = whole(table.column("group_head"))
            absent = heads.is_null().to_numpy(zero_copy_only=False)
            at = heads.fill_null(first_id).to_numpy()
            # The last source that starts at or before the place: empty ones start where the next one does.
            its = np.searchsorted(firsts, at, side="right") - 1
            elsewhere = pa.array(names).take(pa.array(its, mask=absent | (its == own)))
            table = table.append_column("leader", pa.array(at - firsts[its] + 1, mask=absent))
            yield RowBatch(
                source=known[own].source,
                table=table.append_column("leader_source", elsewhere),
                reasons=_NO_REASONS if reasons is None else unpack(reasons).select(_NO_REASONS.column_names),
                raw_rows=None if records is None else unpack(records),
                place=int(firsts[own]) - ids(run)[0],
            )

    def _chunk(
        self, columns: Mapping[str, pa.DataType], first_id: int, first_row: int, count: int, *, raw_rows: bool
    ) -> tuple[ArrowTable, bytes | None, bytes | None]:
        """What the ledger says of a chunk's rows, and its packed reasons and raw records."""
        here = f"r.id BETWEEN {first_id} AND {first_id + count - 1}"
        planned = self._db.query(
            f"SELECT {', '.join(f'r.{name}' for name in columns)} FROM row r WHERE {here} ORDER BY r.id"
        )
        arrays = {name: column(planned, name, kind) for name, kind in columns.items()}
        row_ids = arrays.pop("id").to_numpy()
        # By themselves, as each column of each row takes its time, empty or not; with the state that goes with them.
        anything = " OR ".join(f"r.{name} IS NOT NULL" for name in _SAID if name != "attempts")
        said = self._db.query(
            f"SELECT r.id, {', '.join(f'r.{name}' for name in _SAID)}, r.state AS now, h.state AS leader_state"
            f" FROM row r LEFT JOIN row h ON h.id = r.group_head WHERE {here} AND (r.attempts > 0 OR {anything})"
        )
        places = np.full(len(row_ids), -1)
        places[np.searchsorted(row_ids, column(said, "id", pa.int64()).to_numpy())] = np.arange(len(said))
        at = pa.array(places, mask=places < 0)
        kinds = _SAID | {"now": pa.string(), "leader_state": pa.string()}
        arrays |= {name: column(said, name, kind).take(at) for name, kind in kinds.items()}
        arrays["attempts"] = pc.fill_null(arrays["attempts"], 0)
        arrays["state"] = _outside(pc.coalesce(arrays.pop("now"), arrays["state"]))
        arrays["leader_state"] = _outside(arrays["leader_state"])
        arrays["row"] = pa.array(row_ids - first_id + first_row)
        states = (arrays["state"], arrays["leader_state"])
        raw_rows = raw_rows and any(pc.is_in(array, _NOT_DELIVERED).true_count for array in states)
        ((reasons, records),) = self._db.rows(
            f"SELECT reasons, {'raw_rows' if raw_rows else 'NULL'} FROM chunk WHERE first_id = $1", first_id
        )
        return pa.table(arrays), reasons, records

    def pending_summary(self, run: Run) -> PendingSummary:
        """What delivery is about to do. Raises `SpaceError` where the disk has no room for what is counted."""
        with closing(PendingTotals()) as totals:
            # The first row tells the columns' types, which else those of the first batch do, be they empty or not.
            typed = "SELECT 0 AS id, '' AS state, '' AS type, '' AS currency, '' AS value, 0, '' AS subscriber, 0"
            for batch in self._db.batches(
                f"{typed} UNION ALL SELECT {', '.join(PENDING_COLUMNS)} FROM row WHERE {of_run(run)}"
            ):
                totals.add(batch.columns)
            return self._summed_up(run, totals)

    def _summed_up(self, run: Run, totals: PendingTotals) -> PendingSummary:
        types: Counter[str] = Counter()
        for (kind, _, _), (events, _, _) in totals.sums.found.items():
            types[kind] += events
        ranked = sorted(totals.sums.found.items(), key=lambda one: (-one[1][1], one[0]))
        most, first = _most_frequent(totals.lanes)
        return PendingSummary(
            events=types.total(),
            # By e-mail, else phone, else id, as a check counts them; lanes join more, and say who gets the most.
            subscribers=sum(len(_starts(part["subscriber"])) for part in totals.people.parts(STEP)),
            most_for_one=most,
            most_subscriber=self._db.value("SELECT subscriber FROM row WHERE id = $1", first) or "",
            types=tuple(sorted(types.items(), key=lambda one: (-one[1], one[0]))[:_TYPES]),
            totals=tuple(
                (kind, money, valued, token(total)) for (kind, money, _), (_, valued, total) in ranked if valued
            ),
            oldest=totals.times[0] / 1e6 if totals.times else None,
            newest=totals.times[-1] / 1e6 if totals.times else None,
            example=self._db.value("SELECT body FROM row WHERE id = $1", totals.example) or b"",
            counts=self._counts(run, {state: count for state, count in totals.by_state.items() if state}),
        )


class PendingTotals:
    """What the pending rows of a run come to, and how many rows are in each state; at flat memory."""

    def __init__(self) -> None:
        self.by_state: Counter[str] = Counter()
        self.sums = Sums()
        self.times: list[int] = []
        """The first and the last, in microseconds since the epoch."""
        self.example: int | None = None
        """The id of the first pending row."""
        self.people = SortedSpill("the subscribers that are counted", subscriber="u8")
        self.lanes = SortedSpill("the lanes that are counted", lane="u8", id="i8")

    def add(self, columns: Sequence[ArrowArray]) -> None:
        """Add rows, in source order: their `PENDING_COLUMNS`."""
        states = columns[1]
        self.by_state.update({one["values"]: one["counts"] for one in pc.value_counts(states).to_pylist()})
        pending = pc.equal(states, State.PENDING)
        if not pending.true_count:
            return
        if pending.true_count < len(states):
            columns = [column.filter(pending) for column in columns]
        found, _, kinds, currencies, values, times, names, lanes = columns
        self.example = found[0].as_py() if self.example is None else self.example
        self.people.add(hashes(pc.utf8_lower(names.drop_null())))
        self.lanes.add(lanes.to_numpy().view(np.uint64), found.to_numpy())
        self.sums.add((kinds, currencies, pa.repeat("", len(kinds))), values)
        if times.null_count < len(times):
            known = [*self.times, *pc.min_max(times).as_py().values()]
            self.times = [min(known), max(known)]

    def close(self) -> None:
        """Forget them."""
        self.people.close()
        self.lanes.close()


def _most_frequent(lanes: SortedSpill) -> tuple[int, int]:
    """How many rows the largest lane has, and the id of its first row; of several lanes, the one that begins first."""
    best = (0, 0)  # the count's sign turned
    for part in lanes.parts(STEP):
        starts = _starts(part["lane"])
        counts = np.diff(np.append(starts, len(part)))
        most = int(counts.max())
        best = min(best, (-most, int(np.minimum.reduceat(part["id"], starts)[counts == most].min())))
    return -best[0], best[1]


def _starts(ascending: Hashes) -> Int64s:
    """Where each of them is for the first time."""
    return np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
