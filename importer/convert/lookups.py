"""Another file's answers by a key, for whole columns at once; on the disk, so that a file may be of any size.

A *place* is a number that says which line of which file a row is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import hashes, without_blanks
from importer.model import ArrowArray, ArrowTable, Int64s
from importer.temporary import TemporaryDatabase


class Lookups:
    """Columns of a file by a key, in the order of the keys' hashes. Add rows, `close_rows`, then ask."""

    def __init__(self, columns: Sequence[str], *, by_value: bool) -> None:
        """``by_value``: zeros in front of a key of digits do not count."""
        self._columns = {name: f"c{at}" for at, name in enumerate(columns)}
        self._by_value = by_value
        self._asked: tuple[ArrowArray, ArrowArray, ArrowTable] | None = None
        self._database = TemporaryDatabase("a lookup")
        self._names = ", ".join(self._columns.values())
        self._database.execute(f"CREATE TABLE read (hash INTEGER, key TEXT, place INTEGER, {self._names})")
        self._database.execute("CREATE TABLE wanted (hash INTEGER)")

    def add(self, places: ArrowArray, keys: ArrowArray, columns: Mapping[str, ArrowArray]) -> None:
        """Add rows; those without a key are left out."""
        table = {
            "key": self._spelled(keys),
            "place": places,
            **{self._columns[name]: columns[name] for name in columns},
        }
        rows = pa.table(table).filter(keys.is_valid())
        self._database.insert("read", rows.append_column("hash", pa.array(_hashes(rows["key"].combine_chunks()))))

    def close_rows(self) -> None:
        """Sort the rows, when all are added: rows that come in order are written a page after the other."""
        columns = f"hash INTEGER, key TEXT, place INTEGER, {self._names}, PRIMARY KEY (hash, key, place)"
        self._database.execute(f"CREATE TABLE answers ({columns}) WITHOUT ROWID")
        self._database.execute("INSERT INTO answers SELECT * FROM read ORDER BY hash, key, place")
        self._database.execute("DROP TABLE read")

    def contradictions(self, most: int) -> list[tuple[int, int]]:
        """Places of rows whose keys are equal and whose answers are not; of each key one pair at least."""
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
            self._database.execute("DELETE FROM wanted")
            # In the order of the table, so that each of its pages is read once.
            self._database.insert("wanted", pa.table({"hash": np.sort(_hashes(distinct.dictionary))}))
            names = ", ".join(f"ifnull({name}, '') AS {name}" for name in self._columns.values())
            known = self._database.query(f"SELECT key, {names} FROM wanted CROSS JOIN answers USING (hash)")
            rows = pc.index_in(distinct.dictionary, value_set=known["key"].combine_chunks().cast(pa.string()))
            self._asked = keys, rows.take(distinct.indices), known
        _, rows, known = self._asked
        answers = known[self._columns[column]].combine_chunks().cast(pa.string())
        return without_blanks(answers.take(rows)), rows.is_valid()

    def _spelled(self, keys: ArrowArray) -> ArrowArray:
        return pc.replace_substring_regex(keys, "^0+([0-9]+)$", r"\1") if self._by_value else keys


def _hashes(texts: ArrowArray) -> Int64s:
    return hashes(texts).view(np.int64)
