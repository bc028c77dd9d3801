"""Writing a plan: sources, chunks and their rows, and what must hold once all is read.

This module owns the way from `EncodedChunk` chunks to the ledger's tables, lanes and places included. Which rows were
delivered before is `ledger.memory`'s question, asked when the plan is sealed.

Until then nobody but this process cares for the run. So all that concerns its own rows alone is done in transactions
of its own, and other importers wait only for the last one, in which the plan is sealed. That one alone waits for the
disk, for all that was written before it: a run that is not sealed is forgotten in any case.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.json_columns import escape
from importer.ledger import memory
from importer.ledger.database import Database
from importer.ledger.identities import Identities
from importer.ledger.packing import pack, pack_bodies
from importer.ledger.schema import CODES, ids
from importer.model import ArrowTable, Dialect, EncodedChunk, Run, RunSource, RunState, Source, State
from importer.texts import joint, text_bytes

if TYPE_CHECKING:
    import sqlite3

    from importer.model import Int64s

_CODE_ORDER = pa.array([state.value for state in sorted(CODES, key=lambda state: CODES[state])])

_AT_ONCE = 50_000
"""Places written in one transaction."""


class Planner:
    """One run's plan while it is written; lives as long as the planning does."""

    def __init__(self, database: Database, run: Run) -> None:
        self.run = run
        self._db = database
        self._identities = Identities()
        self._next_id = ids(run.no)[0]
        self._placed = False

    def add_source(self, source: Source) -> int:
        """See `Ledger.add_source`."""
        with self._db.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO source (run, name, path, dialect, columns, first_id) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    self.run.no,
                    source.name,
                    source.path,
                    json.dumps(dataclasses.asdict(source.dialect)),
                    None if source.columns is None else json.dumps(source.columns),
                    self._next_id,
                ),
            )
            return int(cursor.lastrowid or 0)

    def add_chunk(self, source_no: int, prepared: EncodedChunk) -> None:
        """See `Ledger.add_chunk`."""
        if not prepared.count:
            return
        first = self._next_id
        with self._db.explained():
            lanes = self._identities.lanes(prepared.identities)
        chunk = (
            first,
            source_no,
            prepared.first_row,
            prepared.count,
            lanes.tobytes(),
            pack(_facts(prepared)),
            pack(prepared.reasons) if prepared.reasons.num_rows else None,
            None if prepared.raw_rows is None else pack(prepared.raw_rows),
        )
        with self._db.draft() as connection:
            connection.execute("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)", chunk)
            _add_rows(connection, prepared, first)
            connection.executemany("INSERT INTO member VALUES (?, ?)", self._members(prepared, first))
            connection.executemany("INSERT INTO body VALUES (?, ?)", pack_bodies(prepared.bodies, first))
            connection.execute("UPDATE source SET rows = rows + ? WHERE no = ?", (prepared.count, source_no))
        self._note_places(prepared, first, lanes)
        self._next_id += prepared.count

    def _members(self, prepared: EncodedChunk, first: int) -> Iterator[tuple[int, int]]:
        if prepared.group_heads is None:
            return iter(())
        at = np.flatnonzero(prepared.group_heads >= 0)
        return zip((at + first).tolist(), (prepared.group_heads[at] + ids(self.run.no)[0]).tolist(), strict=True)

    def close_source(self, source_no: int, digest: str, error: str) -> None:
        """See `Ledger.close_source`. Of a source that broke off nothing is sent.

        Its digest is not the whole file's, so that nobody could tell its rows from those of the whole file when that
        comes.
        """
        with self._db.transaction() as connection:
            connection.execute("UPDATE source SET digest = ?, error = ? WHERE no = ?", (digest, error, source_no))
            if error:
                connection.execute(
                    "UPDATE row SET state = ?, code = 'source.incomplete', message = ?"
                    " WHERE id >= (SELECT first_id FROM source WHERE no = ?) AND id < ? AND state = ?",
                    (CODES[State.INVALID], error, source_no, self._next_id, CODES[State.PENDING]),
                )

    def seal(self, *, again: bool, alive: Collection[str]) -> None:
        """See `SqliteLedger.seal`. Either the run is READY with all that it repeats marked, or nothing has happened.

        ``alive`` holds the ids of the other runs that some process works on now.
        """
        self._rename_lanes()
        self._write_places()
        with self._db.explained():
            keys = memory.Keys(self._db.connection, self.run)
        with self._db.transaction() as connection:
            if not again and memory.mark_repeated_rows(connection, self.run, alive):
                keys.collect()
            keys.claim(again=again, alive=alive)
            connection.execute("UPDATE run SET state = ? WHERE no = ?", (RunState.READY, self.run.no))
        self.close()

    def close(self) -> None:
        """Drop what was noted for the time of the planning."""
        with self._db.explained():
            self._identities.close()
            if self._placed:
                self._db.connection.execute("DROP TABLE temp.placed")
                self._placed = False

    def _rename_lanes(self) -> None:
        """Give the rows of lanes that a later row tied together their common lane."""
        old, new = self._identities.renamed()
        if not len(old):
            return
        bounds = ids(self.run.no)
        execute = self._db.connection.execute
        with self._db.explained():
            chunks = execute("SELECT first_id FROM chunk WHERE first_id BETWEEN ? AND ?", bounds).fetchall()
        for (first,) in chunks:
            with self._db.transaction():
                (blob,) = execute("SELECT lanes FROM chunk WHERE first_id = ?", (first,)).fetchone()
                lanes = _renamed(np.frombuffer(blob, dtype=np.int64), old, new)
                execute("UPDATE chunk SET lanes = ? WHERE first_id = ?", (lanes.tobytes(), first))

    def _note_places(self, prepared: EncodedChunk, first: int, lanes: Int64s) -> None:
        if prepared.places is None:
            return
        here = np.flatnonzero(pc.is_valid(prepared.bodies).to_numpy(zero_copy_only=False))
        places = prepared.places.take(pa.array(here)).to_pylist()
        with self._db.explained():
            if not self._placed:
                self._db.connection.execute("CREATE TEMP TABLE placed (place, id INTEGER, lane INTEGER)")
                self._placed = True
            with self._db.scratch() as connection:
                rows = zip(places, (here + first).tolist(), lanes[here].tolist(), strict=True)
                connection.executemany("INSERT INTO temp.placed VALUES (?, ?, ?)", rows)

    def _write_places(self) -> None:
        """Sort once, then write in the order of the table, which costs the same per row however many there are."""
        if not self._placed:
            return
        old, new = self._identities.renamed()
        renamed = dict(zip(old.tolist(), new.tolist(), strict=True))
        with self._db.explained():
            noted = self._db.connection.execute("SELECT place, id, lane FROM temp.placed ORDER BY place, id")
            while rows := noted.fetchmany(_AT_ONCE):
                with self._db.transaction() as connection:
                    connection.executemany(
                        "INSERT INTO place VALUES (?, ?, ?, ?)",
                        ((self.run.no, place, row_id, renamed.get(lane, lane)) for place, row_id, lane in rows),
                    )


def sources(database: Database, run: Run) -> list[RunSource]:
    """See `Ledger.sources`."""
    with database.explained():
        found = database.connection.execute(
            "SELECT no, name, path, dialect, columns, digest, rows, error FROM source WHERE run = ? ORDER BY no",
            (run.no,),
        ).fetchall()
    return [
        RunSource(no=no, source=_source(name, path, dialect, columns), digest=digest, rows=rows, error=error)
        for no, name, path, dialect, columns, digest, rows, error in found
    ]


def _source(name: str, path: str | None, dialect: str, columns: str | None) -> Source:
    header = None if columns is None else tuple(json.loads(columns))
    return Source(name=name, path=path, dialect=Dialect(**json.loads(dialect)), columns=header)


def _facts(prepared: EncodedChunk) -> ArrowTable:
    """What reports and the outlook say of each row; all that repeats itself is dictionary-encoded."""
    facts = {
        "line": pa.array(prepared.lines),
        "subscriber": prepared.subscribers,
        "type": prepared.types.dictionary_encode(),
        "value": prepared.values,
        "currency": prepared.currencies.dictionary_encode(),
        "leader": pa.nulls(prepared.count, pa.int64()),
        "event_time": pa.nulls(prepared.count, pa.int64()) if prepared.event_time is None else prepared.event_time,
    }
    if prepared.group_heads is not None:
        facts["leader"] = pa.array(prepared.group_heads, mask=prepared.group_heads < 0)
    return pa.table(facts)


def _add_rows(connection: sqlite3.Connection, prepared: EncodedChunk, first: int) -> None:
    """A row's state and key, for all rows in one statement: a third of what a statement for each would take."""
    states = pc.index_in(prepared.states, value_set=_CODE_ORDER)
    keys = pa.nulls(prepared.count, pa.string()) if prepared.keys is None else prepared.keys
    if (text_bytes(keys) == 0).any():  # where SQLite's JSON would end
        rows = zip(range(first, first + prepared.count), states.to_pylist(), keys.to_pylist(), strict=True)
        connection.executemany("INSERT INTO row (id, state, key) VALUES (?, ?, ?)", rows)
        return
    # A number is the state of a row without a key; of one with a key, the state is its text's first character.
    numbers = states.cast(pa.string())
    texts = pc.coalesce(pc.binary_join_element_wise('"', numbers, escape(keys), '"', ""), numbers)
    connection.execute(
        "INSERT INTO row (id, state, key) SELECT ? + key, substr(value, 1, 1) + 0,"
        " CASE type WHEN 'text' THEN substr(value, 2) END FROM json_each(?)",
        (first, f"[{joint(texts, ',')[0].as_py()}]"),
    )


def _renamed(lanes: Int64s, old: Int64s, new: Int64s) -> Int64s:
    at = np.minimum(np.searchsorted(old, lanes), len(old) - 1)
    return np.where(old[at] == lanes, new[at], lanes)
