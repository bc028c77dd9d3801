"""Another file's answers by a key, for whole columns at once.

Rows are found by the hashes of their keys. Up to a bound they are a table in memory; beyond it one of a temporary
database, in the order of the hashes. A *place* is a number that says which line of which file a row is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import absent, flags, hashes, where_true, without_blanks
from importer.model import ArrowArray, Int64s
from importer.temporary import TemporaryDatabase


class LookupRows(Protocol):
    """The rows of a lookup's files."""

    def find(self, keys: ArrowArray, column: str) -> tuple[ArrowArray, ArrowArray]:
        """The column's text for each key, null where the key is null or not there; and which keys are there."""

    def contradictions(self, most: int) -> list[tuple[int, int]]:
        """Places of rows whose keys are equal and whose answers are not; of each key one pair at least."""


@dataclass(frozen=True, slots=True)
class Lookups:
    """One file's answers, or several files'."""

    rows: LookupRows
    by_value: bool = False
    """Whether zeros in front of a key of digits do not count."""

    def find(self, keys: ArrowArray, column: str) -> tuple[ArrowArray, ArrowArray]:
        """See `LookupRows.find`."""
        return self.rows.find(without_zeros(keys) if self.by_value else keys, column)


def without_zeros(keys: ArrowArray) -> ArrowArray:
    """Keys of digits without the zeros in front."""
    return pc.replace_substring_regex(keys, "^0+([0-9]+)$", r"\1")


class LookupTable:
    """Columns of a file by a key, in memory."""

    def __init__(self, places: ArrowArray, keys: ArrowArray, columns: Mapping[str, ArrowArray]) -> None:
        found = _hashes(keys)
        order = np.argsort(found, kind="stable")
        self._hashes = found[order]
        self._order = order.astype(np.uint32)
        self._places = places
        self._keys = keys
        self._columns = columns

    def contradictions(self, most: int) -> list[tuple[int, int]]:
        """See `LookupRows.contradictions`."""
        same = np.flatnonzero(self._hashes[1:] == self._hashes[:-1])
        one, other = pa.array(self._order[same]), pa.array(self._order[same + 1])
        differ = [_differ(column.take(one), column.take(other)) for column in self._columns.values()]
        doubts = where_true(pc.and_(pc.equal(self._keys.take(one), self._keys.take(other)), reduce(pc.or_, differ)))
        pairs = (self._places.take(rows.take(pa.array(doubts[:most]))).to_pylist() for rows in (one, other))
        return list(zip(*pairs, strict=True))

    def find(self, keys: ArrowArray, column: str) -> tuple[ArrowArray, ArrowArray]:
        """See `LookupRows.find`."""
        if not len(self._keys):
            return absent(len(keys)), pa.repeat(pa.scalar(value=False), len(keys))
        distinct = keys.dictionary_encode()
        wanted, its = distinct.dictionary, _hashes(distinct.dictionary)
        at = np.empty(len(wanted), np.int64)
        # In the order of the table, for what is near in memory is found sooner.
        by_hash = np.argsort(its)
        at[by_hash] = np.searchsorted(self._hashes, its[by_hash])
        rows = np.full(len(wanted), -1, np.int64)
        is_open = np.ones(len(wanted), np.bool_)
        # Keys of one hash are neighbours; almost always there is one.
        while is_open.any():
            is_open &= at < len(self._hashes)
            is_open[is_open] = self._hashes[at[is_open]] == its[is_open]
            asked = np.flatnonzero(is_open)
            candidates = self._order[at[asked]]
            hits = flags(pc.equal(self._keys.take(pa.array(candidates)), wanted.take(pa.array(asked))))
            rows[asked[hits]] = candidates[hits]
            is_open[asked[hits]] = False
            at[is_open] += 1
        answers = self._columns[column].take(pa.array(rows, mask=rows < 0))
        there = pc.fill_null(pa.array(rows >= 0).take(distinct.indices), fill_value=False)
        return answers.take(distinct.indices), there


class LookupDatabase:
    """Columns of a file by a key, on the disk. Add rows, `close_rows`, then ask."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = {name: f"c{at}" for at, name in enumerate(columns)}
        self._database = TemporaryDatabase("a lookup")
        self._names = ", ".join(self._columns.values())
        self._database.execute(f"CREATE TABLE read (hash INTEGER, key TEXT, place INTEGER, {self._names})")
        self._database.execute("CREATE TABLE wanted (hash INTEGER)")

    def add(self, places: ArrowArray, keys: ArrowArray, columns: Mapping[str, ArrowArray]) -> None:
        """Add rows."""
        answers = {own: columns[name] for name, own in self._columns.items()}
        table = {"hash": pa.array(_hashes(keys)), "key": keys, "place": places, **answers}
        self._database.insert("read", pa.table(table))

    def close_rows(self) -> None:
        """Sort the rows, when all are added: rows that come in order are written a page after the other."""
        columns = f"hash INTEGER, key TEXT, place INTEGER, {self._names}, PRIMARY KEY (hash, key, place)"
        self._database.execute(f"CREATE TABLE answers ({columns}) WITHOUT ROWID")
        self._database.execute("INSERT INTO answers SELECT * FROM read ORDER BY hash, key, place")
        self._database.execute("DROP TABLE read")

    def contradictions(self, most: int) -> list[tuple[int, int]]:
        """See `LookupRows.contradictions`."""
        differ = " OR ".join(f"one.{name} IS NOT other.{name}" for name in self._columns.values())
        found = self._database.query(
            "SELECT one.place AS one, min(other.place) AS other FROM (SELECT hash, key, min(place) AS place "
            "FROM answers GROUP BY hash, key HAVING count(*) > 1) AS several CROSS JOIN answers AS one "
            "USING (hash, key, place) CROSS JOIN answers AS other ON other.hash = several.hash "
            f"AND other.key = several.key AND ({differ}) GROUP BY one.place LIMIT {most}",
        )
        return [(row["one"], row["other"]) for row in found.to_pylist()]

    def find(self, keys: ArrowArray, column: str) -> tuple[ArrowArray, ArrowArray]:
        """See `LookupRows.find`."""
        distinct = keys.dictionary_encode()
        self._database.execute("DELETE FROM wanted")
        # In the order of the table, so that each of its pages is read once.
        self._database.insert("wanted", pa.table({"hash": np.sort(_hashes(distinct.dictionary))}))
        query = f"SELECT key, ifnull({self._columns[column]}, '') FROM wanted CROSS JOIN answers USING (hash)"
        known, answers = (part.cast(pa.string()).combine_chunks() for part in self._database.query(query).columns)
        rows = pc.index_in(distinct.dictionary, value_set=known)
        there = pc.fill_null(pc.is_valid(rows).take(distinct.indices), fill_value=False)
        return without_blanks(answers.take(rows).take(distinct.indices)), there


def _hashes(texts: ArrowArray) -> Int64s:
    return hashes(texts).view(np.int64)


def _differ(one: ArrowArray, other: ArrowArray) -> ArrowArray:
    """Where the texts are not the same; two nulls are."""
    return pc.fill_null(pc.not_equal(one, other), pc.xor(pc.is_null(one), pc.is_null(other)))
