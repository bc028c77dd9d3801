"""Another file's answers by a key, for whole columns at once.

Up to a bound they are a table in memory, whose keys are found by their hashes; beyond it a table of a temporary SQLite
database, which has no name and goes with the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import absent
from importer.model import ArrowArray, Int64s


class Lookups(Protocol):
    """One file's answers, or several files'."""

    def find(self, keys: ArrowArray, column: str) -> tuple[ArrowArray, ArrowArray]:
        """The column's text for each key, null where the key is null or not there; and which keys are there."""


class LookupDatabase:
    """Columns of a file by a key, on the disk."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = {name: f"c{at}" for at, name in enumerate(columns)}
        # Chunks are converted on several threads, one after the other.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        names = ", ".join(self._columns.values())
        self._database.execute(f"CREATE TABLE answers (line TEXT, key TEXT, {names})")
        self._database.execute("CREATE TEMP TABLE wanted (at INTEGER PRIMARY KEY, key TEXT)")

    def add(self, lines: ArrowArray, keys: ArrowArray, columns: Mapping[str, ArrowArray]) -> None:
        """Add rows, each with the words that name its line."""
        parts = [lines, keys, *(columns[name] for name in self._columns)]
        marks = ", ".join("?" * len(parts))
        rows = zip(*(part.to_pylist() for part in parts), strict=True)
        self._database.executemany(f"INSERT INTO answers VALUES ({marks})", rows)

    def close_rows(self) -> None:
        """Make the index, when all rows are added."""
        self._database.execute("CREATE INDEX by_key ON answers (key)")

    def contradictions(self, most: int) -> list[tuple[str, str]]:
        """Lines of rows whose keys are equal and whose answers are not; of each key one pair at most."""
        differ = " OR ".join(f"one.{name} IS NOT other.{name}" for name in self._columns.values())
        found = self._database.execute(
            "SELECT one.line, min(other.line) FROM (SELECT key, min(rowid) AS head FROM answers GROUP BY key "
            "HAVING count(*) > 1) AS several CROSS JOIN answers AS one ON one.rowid = head "
            f"CROSS JOIN answers AS other ON other.key = several.key AND ({differ}) GROUP BY several.key LIMIT ?",
            (most,),
        )
        return list(found)

    def find(self, keys: ArrowArray, column: str) -> tuple[ArrowArray, ArrowArray]:
        """See `Lookups.find`."""
        distinct = keys.dictionary_encode()
        wanted: list[str] = distinct.dictionary.to_pylist()
        self._database.execute("DELETE FROM wanted")
        self._database.executemany("INSERT INTO wanted VALUES (?, ?)", enumerate(wanted))
        answers: list[str | None] = [None] * len(wanted)
        there = [False] * len(wanted)
        query = f"SELECT at, {self._columns[column]} FROM wanted CROSS JOIN answers USING (key)"
        for at, answer in self._database.execute(query):
            answers[at], there[at] = answer, True
        codes = distinct.indices
        is_there = pc.fill_null(pa.array(there, pa.bool_()).take(codes), fill_value=False)
        return pa.array(answers, pa.string()).take(codes), is_there


_CACHE_KIB = 64 << 10


class LookupTable:
    """Columns of a file by a key, in memory; the keys are kept in the order of their hashes."""

    def __init__(self, keys: ArrowArray, columns: Mapping[str, ArrowArray]) -> None:
        hashes = _hashes(keys)
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._keys = keys.take(pa.array(order))
        self._columns = {name: column.take(pa.array(order)) for name, column in columns.items()}
        self._order = order

    def contradictions(self) -> list[tuple[int, int]]:
        """Pairs of positions whose keys are equal and whose answers are not; of each key one pair at most."""
        found = []
        for at in np.flatnonzero(self._hashes[1:] == self._hashes[:-1]).tolist():
            same_key = self._keys[at].equals(self._keys[at + 1])
            if same_key and any(not one[at].equals(one[at + 1]) for one in self._columns.values()):
                found.append((int(self._order[at]), int(self._order[at + 1])))
        return found

    def find(self, keys: ArrowArray, column: str) -> tuple[ArrowArray, ArrowArray]:
        """See `Lookups.find`."""
        if not len(self._keys):
            return absent(len(keys)), pa.repeat(pa.scalar(value=False), len(keys))
        distinct = keys.dictionary_encode()
        wanted, hashes = distinct.dictionary, _hashes(distinct.dictionary)
        at = np.searchsorted(self._hashes, hashes)
        places = np.full(len(wanted), -1, np.int64)
        is_open = np.ones(len(wanted), np.bool_)
        # Keys of one hash are neighbours; almost always there is one.
        while is_open.any():
            is_open &= at < len(self._hashes)
            is_open[is_open] = self._hashes[at[is_open]] == hashes[is_open]
            rows = np.flatnonzero(is_open)
            equal = pc.equal(self._keys.take(pa.array(at[rows])), wanted.take(pa.array(rows)))
            hits = rows[equal.to_numpy(zero_copy_only=False)] if len(rows) else rows
            places[hits] = at[hits]
            is_open[hits] = False
            at[is_open] += 1
        answers = self._columns[column].take(pa.array(places, mask=places < 0))
        there = pc.fill_null(pa.array(places >= 0).take(distinct.indices), fill_value=False)
        return answers.take(distinct.indices), there


def _hashes(texts: ArrowArray) -> Int64s:
    """Python's own hashes, which differ from one process to the next and are used in one only."""
    return np.fromiter(map(hash, texts.to_pylist()), np.int64, len(texts))
