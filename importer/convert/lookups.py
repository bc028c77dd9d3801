"""Another file's answers by a key: a table whose keys are found by their hashes, for whole columns at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import absent
from importer.model import ArrowArray, Int64s


class LookupTable:
    """Columns of a file by a key; the keys are kept in the order of their hashes."""

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

    def find(self, keys: ArrowArray, column: str) -> ArrowArray:
        """The column's text for each key; null where the key is null or not in the table."""
        if not len(self._keys):
            return absent(len(keys))
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
        return answers.take(distinct.indices)


def _hashes(texts: ArrowArray) -> Int64s:
    """Python's own hashes, which differ from one process to the next and are used in one only."""
    return np.fromiter(map(hash, texts.to_pylist()), np.int64, len(texts))
