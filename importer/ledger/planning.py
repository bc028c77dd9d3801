"""Writing a plan: sources, chunks and their rows, until all is read and the plan is sealed.

Until a run is sealed no other process cares for it: its rows are written in short transactions that do not wait for
the disk; the last one, which makes it READY, does, and with it all that was written before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import Timeout

from importer.errors import LedgerError
from importer.ledger import packing
from importer.ledger.database import Database, file_lock
from importer.ledger.dedupe import Deduplicator
from importer.ledger.hashing import Hasher
from importer.ledger.lanes import Lanes
from importer.ledger.tables import ids, steps
from importer.model import ArrowTable, Dialect, EncodedChunk, Run, RunSource, RunState, Source, State

if TYPE_CHECKING:
    from importer.model import ArrowArray

SEAL_SECONDS = 900.0
"""How long to wait for another importer that seals a plan."""


class Planner:
    """One run's plan while it is written; lives as long as the planning does."""

    def __init__(self, database: Database, hasher: Hasher, run: Run) -> None:
        self.run = run
        self._db = database
        self._hasher = hasher
        self._lanes = Lanes(database, hasher)
        self._first = self._next_id = ids(run)[0]
        self._ordered = False
        self._begun: set[int] = set()
        """The sources whose first event was noted."""

    def add_source(self, source: Source) -> int:
        """See `Ledger.add_source`."""
        with self._db.transaction(durable=False):
            self._db.execute(
                "INSERT INTO source (run, name, path, dialect, columns, first_id) VALUES ($1, $2, $3, $4, $5, $6)",
                self.run.no,
                source.name,
                source.path,
                json.dumps(dataclasses.asdict(source.dialect)),
                None if source.columns is None else json.dumps(source.columns),
                self._next_id,
            )
            return int(self._db.value("SELECT MAX(no) FROM source WHERE run = $1", self.run.no))

    def add_chunk(self, source_no: int, prepared: EncodedChunk) -> None:
        """See `Ledger.add_chunk`."""
        if not prepared.count:
            return
        first = self._next_id
        lanes, subscribers = self._lanes.add(prepared.identities)
        numbers = pa.array(np.arange(first, first + prepared.count))
        rows = {
            "id": numbers,
            "state": prepared.states,
            "line": pa.array(prepared.lines),
            "lane": pa.array(lanes),
            "subscriber": prepared.subscribers,
            "type": prepared.types,
            "value": prepared.values,
            "currency": prepared.currencies,
            "event_time": prepared.event_time,
            "order_value": prepared.places,
            "group_head": self._group_heads(prepared),
            "origin": self._origins(prepared),
            "key": prepared.keys,
            **self._keys(prepared, pa.array(subscribers)),
            "body": prepared.bodies,
        }
        self._ordered = self._ordered or prepared.places is not None
        with self._db.transaction(durable=False):
            self._db.execute(
                "INSERT INTO chunk VALUES ($1, $2, $3, $4, $5, $6)",
                first,
                source_no,
                prepared.first_row,
                prepared.count,
                packing.pack(prepared.reasons) if prepared.reasons.num_rows else None,
                None if prepared.raw_rows is None else packing.pack(prepared.raw_rows),
            )
            insert(self._db, "row", {name: column for name, column in rows.items() if column is not None})
            self._db.execute("UPDATE source SET rows = rows + $1 WHERE no = $2", prepared.count, source_no)
            if source_no not in self._begun and len(begin := prepared.bodies.drop_null().slice(0, 1)):
                first_event = self._hasher.events(begin)[0].as_py()
                self._db.execute("UPDATE source SET first_event = $1 WHERE no = $2", first_event, source_no)
                self._begun.add(source_no)
        self._next_id += prepared.count

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

    def _group_heads(self, prepared: EncodedChunk) -> ArrowArray | None:
        if prepared.group_heads is None:
            return None
        return pa.array(prepared.group_heads + self._first, mask=prepared.group_heads < 0)

    def _origins(self, prepared: EncodedChunk) -> ArrowArray | None:
        """The ids of the rows that this chunk's rows correct; null where a row is nobody's correction."""
        if prepared.origins is None or prepared.origins.column("run").null_count == prepared.count:
            return None
        where = prepared.origins.select(["run", "source"]).combine_chunks()
        known = {
            (run, source): self._source_of(run, source)
            for run, source in set(zip(*(column.to_pylist() for column in where.columns), strict=True))
            if run is not None and source is not None
        }
        found: list[int | None] = []
        for run, source, row in zip(*(column.to_pylist() for column in prepared.origins.columns), strict=True):
            first, count = known.get((run, source), (0, 0))
            found.append(first + row - 1 if row is not None and 1 <= row <= count else None)
        return self._roots(pa.array(found, pa.int64()))

    def _source_of(self, run: str, source: str) -> tuple[int, int]:
        """The first id and the number of rows of a source in an earlier run of this account; (0, 0) if unknown."""
        found = self._db.rows(
            "SELECT s.first_id, s.rows FROM run r JOIN source s ON s.run = r.no JOIN run own ON own.scope = r.scope"
            " WHERE r.id = $1 AND s.name = $2 AND own.no = $3 ORDER BY s.no LIMIT 1",
            run,
            source,
            self.run.no,
        )
        return (int(found[0][0]), int(found[0][1])) if found else (0, 0)

    def _roots(self, origins: ArrowArray) -> ArrowArray:
        """The rows that a correction of a correction goes back to."""
        asked = pa.table({"$1": origins.drop_null()})
        found = self._db.query("SELECT id, COALESCE(origin, id) FROM row WHERE id = $1", table=asked)
        roots = dict(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True))
        return pa.array([roots.get(one) for one in origins.to_pylist()], pa.int64())

    def close_source(self, source_no: int, digest: str, error: str) -> None:
        """See `Ledger.close_source`. Of a source that broke off nothing is sent.

        Its digest is not the whole file's, so that its rows could not be told from those of the whole file when that
        comes.
        """
        with self._db.transaction(durable=False):
            self._db.execute("UPDATE source SET digest = $1, error = $2 WHERE no = $3", digest, error, source_no)
            if error:
                self._db.execute(
                    "UPDATE row SET state = $1, code = 'source.incomplete', message = $2"
                    " WHERE id >= (SELECT first_id FROM source WHERE no = $3) AND id < $4 AND state = $5",
                    State.INVALID,
                    error,
                    source_no,
                    self._next_id,
                    State.PENDING,
                )

    def seal(self, *, again: bool, alive: Callable[[], Collection[str]]) -> None:
        """See `Ledger.seal`. Either the run is READY with all that it repeats marked, or no other run has changed.

        One importer seals at a time; deliveries go on beside it, for every transaction but the last is short, and the
        last one only changes the rows that are taken over. ``alive`` gives the ids of the other runs that some process
        works on now.
        """
        last = self._next_id - 1
        with sealing(self._db.path):
            self._lanes.settle(self._first, last)
            with Deduplicator(self._db, self.run, alive=alive(), again=again) as repeats:
                repeats.mark()
                if self._ordered:
                    self._write_places(last)
                with self._db.transaction():
                    repeats.take_over()
                    self._db.execute(
                        "UPDATE run SET state = $1, ordered = $2 WHERE no = $3",
                        RunState.READY,
                        int(self._ordered),
                        self.run.no,
                    )
        self.close()

    def _write_places(self, last: int) -> None:
        """Number the pending rows in order of delivery; sorted once, then written in steps."""
        self._db.make_temporary("sorted", "place INTEGER PRIMARY KEY, id INTEGER")
        try:
            self._db.execute(
                "INSERT INTO sorted SELECT ROW_NUMBER() OVER (ORDER BY order_value, id), id FROM row"
                f" WHERE id BETWEEN {self._first} AND {last} AND state = '{State.PENDING}'"
            )
            for after, upto in steps(self._db, "sorted", "place", 0):
                with self._db.transaction(durable=False):
                    self._db.execute(
                        f"INSERT INTO place SELECT {self.run.no}, place, id FROM sorted"
                        " WHERE place > $1 AND place <= $2",
                        after,
                        upto,
                    )
        finally:
            self._db.execute("DROP TABLE sorted")

    def close(self) -> None:
        """Drop what was noted for the time of the planning."""
        self._lanes.close()


@contextlib.contextmanager
def sealing(path: Path) -> Iterator[None]:
    """Be the only importer that seals a plan, or settles rows by what other runs have."""
    lock = file_lock(path, "seal")
    try:
        lock.acquire(timeout=SEAL_SECONDS)
    except Timeout:
        raise LedgerError(
            f"another importer has been completing its plan in {path} for more than {SEAL_SECONDS / 60:.0f} minutes",
            hint="run the same command again when it has finished",
        ) from None
    try:
        yield
    finally:
        lock.release()


def insert(database: Database, table: str, columns: dict[str, Any]) -> None:
    """Add rows to a table, in the transaction that is open."""
    marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    database.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", table=pa.table(columns))


def sources(database: Database, run: Run) -> list[RunSource]:
    """See `Ledger.sources`."""
    found = database.rows(
        "SELECT no, name, path, dialect, columns, digest, rows, error FROM source WHERE run = $1 ORDER BY no", run.no
    )
    return [
        RunSource(no=no, source=_source(name, path, dialect, columns), digest=digest, rows=rows, error=error)
        for no, name, path, dialect, columns, digest, rows, error in found
    ]


def _source(name: str, path: str | None, dialect: str, columns: str | None) -> Source:
    header = None if columns is None else tuple(json.loads(columns))
    known = {field.name for field in dataclasses.fields(Dialect)}  # an earlier version may have noted others
    facts = {name: value for name, value in json.loads(dialect).items() if name in known}
    return Source(name=name, path=path, dialect=Dialect(**facts), columns=header)


def chunks(database: Database, run: Run) -> ArrowTable:
    """A run's chunks: first_id, source, first_row, count."""
    return database.query(
        "SELECT first_id, source, first_row, count FROM chunk WHERE first_id BETWEEN $1 AND $2 ORDER BY first_id",
        *ids(run),
    )
