"""Another file's answers by a key, for whole columns at once.

Rows are found by the hashes of their keys. Up to a bound they are a table in memory; more are one of a temporary
database, in the order of the hashes. A *place* is a number that says which line of which file a row is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import hashes, where_true, without_blanks
from importer.model import ArrowArray, ArrowTable, Int64s
from importer.spill import TemporaryDatabase

_MOST_IN_MEMORY = 64 << 20
"""Bytes of rows that are kept in memory; more go to a temporary database."""


class Lookups:
    """Columns of a file by a key. Add rows, `close_rows`, then ask."""

    def __init__(self, columns: Sequence[str], *, by_value: bool) -> None:
        """``by_value``: zeros in front of a key of digits do not count."""
        self._columns = {name: f"c{at}" for at, name in enumerate(columns)}
        self._by_value = by_value
        texts = ("key", *self._columns.values())
        numbers = [("hash", pa.int64()), ("place", pa.int64())]
        self._schema = pa.schema([*numbers, *((name, pa.string()) for name in texts)])
        self._parts: list[ArrowTable] = [self._schema.empty_table()]
        self._size = 0
        self._database: TemporaryDatabase | None = None
        self._asked: tuple[ArrowArray, ArrowArray, ArrowTable] | None = None

    def add(self, places: ArrowArray, keys: ArrowArray, columns: Mapping[str, ArrowArray]) -> None:
        """Add rows; those without a key are left out."""
        there, keys = keys.is_valid(), self._spelled(keys).drop_null()
        texts = {self._columns[name]: answers.filter(there) for name, answers in columns.items()}
        facts = {"hash": _hashes(keys), "place": places.filter(there), "key": keys}
        self._parts.append(pa.table({**facts, **texts}, self._schema))
        self._size += self._parts[-1].nbytes
        if self._size > _MOST_IN_MEMORY:
            self._database = self._database or TemporaryDatabase("a lookup")
            for part in self._parts:
                self._database.insert("read", part)
            self._parts = []

    def close_rows(self) -> None:
        """Sort the rows by their hashes, when all are added."""
        if self._database is None:
            rows = pa.concat_tables(self._parts)
            self._rows = rows.take(np.argsort(rows["hash"].to_numpy(), kind="stable")).combine_chunks()
            self._hashes = self._rows["hash"].to_numpy()
            return
        columns = f"hash INTEGER, place INTEGER, key TEXT, {', '.join(self._columns.values())}"
        self._database.execute(f"CREATE TABLE answers ({columns}, PRIMARY KEY (hash, key, place)) WITHOUT ROWID")
        # Rows that come in order are written a page after the other.
        self._database.execute("INSERT INTO answers SELECT * FROM read ORDER BY hash, key, place")
        self._database.execute("DROP TABLE read")
        self._database.execute("CREATE TABLE wanted (hash INTEGER)")

    def contradictions(self, most: int) -> list[tuple[int, int]]:
        """Places of rows whose keys are equal and whose answers are not; of each key one pair at least."""
        if self._database is None:
            keys, places = self._rows["key"].combine_chunks(), self._rows["place"]
            first = pc.index_in(keys, value_set=keys)
            answers = (self._rows[name].combine_chunks() for name in self._columns.values())
            rows = where_true(reduce(pc.or_, [_differ(texts, texts.take(first)) for texts in answers]))[:most]
            return list(zip(places.take(first.take(rows)).to_pylist(), places.take(rows).to_pylist(), strict=True))
        differ = " OR ".join(f"one.{name} IS NOT other.{name}" for name in self._columns.values())
        found = self._database.query(
            "SELECT one.place AS one, min(other.place) AS other FROM (SELECT hash, key, min(place) AS place "
            "FROM answers GROUP BY hash, key HAVING count(*) > 1) AS several CROSS JOIN answers AS one "
            "USING (hash, key, place) CROSS JOIN answers AS other ON other.hash = several.hash "
            f"AND other.key = several.key AND ({differ}) GROUP BY one.place LIMIT {most}",
        )
        return [(row["one"], row["other"]) for row in found.to_pylist()]

    def find(self, keys: ArrowArray, column: str) -> tuple[ArrowArray, ArrowArray]:
        """The column's text for each key, null where the key is null or not there; and which keys are there."""
        # Several columns are often asked for by the same keys.
        if self._asked is None or not self._asked[0].equals(keys):
            distinct = self._spelled(keys).dictionary_encode()
            # In the order of the rows, for what is near is found sooner.
            known = self._known(np.sort(_hashes(distinct.dictionary)))
            rows = pc.index_in(distinct.dictionary, value_set=known["key"].combine_chunks().cast(pa.string()))
            self._asked = keys, rows.take(distinct.indices), known
        _, rows, known = self._asked
        answers = known[self._columns[column]].combine_chunks().cast(pa.string())
        return without_blanks(answers.take(rows)), rows.is_valid()

    def _known(self, wanted: Int64s) -> ArrowTable:
        """The rows whose keys have these hashes, ascending ones."""
        if self._database is None:
            begins, ends = (np.searchsorted(self._hashes, wanted, side) for side in ("left", "right"))
            counts = ends - begins
            return self._rows.take(np.repeat(ends - np.cumsum(counts), counts) + np.arange(counts.sum()))
        self._database.execute("DELETE FROM wanted")
        self._database.insert("wanted", pa.table({"hash": wanted}))
        names = ", ".join(f"ifnull({name}, '') AS {name}" for name in self._columns.values())
        return self._database.query(f"SELECT key, {names} FROM wanted CROSS JOIN answers USING (hash)")

    def _spelled(self, keys: ArrowArray) -> ArrowArray:
        return pc.replace_substring_regex(keys, "^0+([0-9]+)$", r"\1") if self._by_value else keys


def _hashes(texts: ArrowArray) -> Int64s:
    return hashes(texts).view(np.int64)


def _differ(one: ArrowArray, other: ArrowArray) -> ArrowArray:
    """Where the texts are not the same; two nulls are."""
    return pc.fill_null(pc.not_equal(one, other), pc.xor(pc.is_null(one), pc.is_null(other)))
