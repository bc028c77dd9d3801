"""Who is who: keyed hashes of what is only ever compared, and which rows belong to one subscriber.

The hashes' secret is in the ledger itself, so that the one file is all that a backup needs. They keep addresses and
keys of forgotten rows from being read in the file, from being looked up in tables made elsewhere, and two ledgers from
being compared; who has the file can still try out an address that they guess.

Identifiers (id, e-mail, phone) that ever stand in one row name one subscriber, and rows that share an identifier,
directly or through others, share a lane. While chunks come in, a row's lane is the hash of its first identifier, and
what else the row shows is noted as a tie; when all rows are there, lanes that share an identifier become one. What no
row shows (that a@example.com and +370… are one person) cannot be known. Nothing is remembered after the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import LONGEST, hashes
from importer.ledger import tables
from importer.ledger.database import Database

if TYPE_CHECKING:
    from importer.model import ArrowArray, Int64s

NO_IDENTIFIER = 0
"""The hash of no identifier."""


class Hasher:
    """Hashes by a ledger's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._key_hash = blake2b(digest_size=16, key=secret)
        self._seed = int.from_bytes(secret[:8], "little")

    def __reduce__(self) -> tuple[type[Hasher], tuple[bytes]]:
        return Hasher, (self._secret,)

    def identifiers(self, column: ArrowArray, kind: int) -> Int64s:
        """64-bit hashes of a column of identifiers, `NO_IDENTIFIER` where it is null.

        The kind goes into the hash, so that id 5 and phone 5 stay apart. A collision merges two subscribers' lanes,
        which costs time but never order.
        """
        rows = np.full(len(column), NO_IDENTIFIER, dtype=np.int64)
        found = hashes(column.drop_null(), seed=self._seed + kind).view(np.int64)
        found[found == NO_IDENTIFIER] = 1
        rows[column.is_valid().to_numpy(zero_copy_only=False)] = found
        return rows

    def keys(self, keys: ArrowArray) -> ArrowArray:
        """128-bit hashes of keys, ``binary``, null where there is none: so wide that no two keys ever share one."""
        empty, found = self._key_hash, list[bytes | None]()
        for key in keys.cast(pa.binary()).to_pylist():
            if key is None:
                found.append(None)
            else:  # as `key` does, without a call for each
                hashed = empty.copy()
                hashed.update(key)
                found.append(hashed.digest())
        return pa.array(found, pa.binary())

    def key(self, key: bytes) -> bytes:
        """The hash of one key."""
        hashed = self._key_hash.copy()  # a third faster than a new one
        hashed.update(key)
        return hashed.digest()

    def events(self, bodies: ArrowArray) -> ArrowArray:
        """64-bit hashes of bodies, int64, null where there is none; they show whether an event has changed."""
        there = bodies.is_valid().to_numpy(zero_copy_only=False)
        found, hashed = bodies.drop_null(), np.zeros(len(bodies), dtype=np.int64)
        digests = hashes(found, seed=self._seed).view(np.int64)
        for at in np.flatnonzero(pc.binary_length(found).to_numpy() > LONGEST):
            digests[at] = np.frombuffer(self.key(found[int(at)].as_py())[:8], np.int64)[0]
        hashed[there] = digests
        return pa.array(hashed, mask=~there)


class Lanes:
    """The lanes of a run while it is planned; ties lie in a temporary table."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._tied = False
        self._by_id = True
        """Every lane is the hash of an id, and so none is an e-mail's or a phone's."""

    def note(self, ties: Int64s, *, by_id: bool) -> None:
        """Note what rows show besides their lanes; see `ties_of`."""
        self._by_id = self._by_id and by_id
        if not ties.size:
            return
        if not self._tied:
            self._db.make_temporary("tie", "identifier INTEGER, lane INTEGER")
            self._tied = True
        self._db.insert("tie", {"identifier": ties[0], "lane": ties[1]}, temporary=True)

    def settle(self, first: int, last: int) -> None:
        """Give the rows from id ``first`` to ``last`` their final lanes."""
        if not self._tied:
            return
        old, new = _components(np.concatenate([np.empty((2, 0), np.int64), *self._edges(first, last)], axis=1))
        self.close()
        if not len(old):
            return
        with self._db.temporary(renamed="old INTEGER PRIMARY KEY, new INTEGER"):
            self._db.insert("renamed", {"old": old, "new": new}, temporary=True)
            self._db.analyze("renamed")
            for begin in range(first, last + 1, tables.STEP):
                with self._db.transaction(private=True):
                    self._db.execute(
                        "UPDATE row SET lane = (SELECT new FROM renamed WHERE old = row.lane)"
                        f" WHERE id BETWEEN {begin} AND {min(begin + tables.STEP - 1, last)}"
                        " AND lane IN (SELECT old FROM renamed)"
                    )

    def _edges(self, first: int, last: int) -> Iterator[Int64s]:
        """Pairs of lanes that share an identifier, shape (2, n): those next to each other where they are sorted by it.

        An identifier is a lane itself where it is the first that a row shows.
        """
        lanes = "" if self._by_id else f" UNION SELECT lane, lane FROM row WHERE id BETWEEN {first} AND {last}"
        before = np.empty((2, 0), np.int64)
        for batch in self._db.batches(f"SELECT DISTINCT identifier, lane FROM tie{lanes} ORDER BY 1, 2"):
            pairs = np.concatenate([before, np.stack([batch.column(0).to_numpy(), batch.column(1).to_numpy()])], axis=1)
            same = pairs[0, 1:] == pairs[0, :-1]
            yield np.stack([pairs[1, :-1][same], pairs[1, 1:][same]])
            before = pairs[:, -1:]

    def close(self) -> None:
        """Drop what was noted."""
        if self._tied:
            self._tied = False
            self._db.execute("DROP TABLE tie")


def first_of(*columns: Int64s) -> Int64s:
    """The first hash of each row that is one."""
    first, *others = columns
    for other in others:
        first = np.where(first == NO_IDENTIFIER, other, first)
    return first


def ties_of(lanes: Int64s, *columns: Int64s) -> Int64s:
    """The identifiers that are not their row's lane, and that lane; shape (2, n), each pair once."""
    pairs = np.concatenate(
        [np.stack([other, lanes])[:, (other != NO_IDENTIFIER) & (other != lanes)] for other in columns], axis=1
    )
    pairs = pairs[:, np.lexsort(pairs)]
    keep = np.append(True, (pairs[:, 1:] != pairs[:, :-1]).any(axis=0))
    return pairs[:, keep[: pairs.shape[1]]]


def _components(edges: Int64s) -> tuple[Int64s, Int64s]:
    """The lanes of the edges that are to be called otherwise, ascending, and their new names.

    Takes as many rounds as the longest chain of ties, halved each time, which in real exports is one or two.
    """
    nodes, at = np.unique(edges, return_inverse=True)
    here, there = at.reshape(edges.shape)
    lowest = np.arange(len(nodes))
    while True:
        low = np.minimum(lowest[here], lowest[there])
        after = lowest.copy()
        np.minimum.at(after, lowest[here], low)
        np.minimum.at(after, lowest[there], low)
        after = after[after]
        if np.array_equal(after, lowest):
            break
        lowest = after
    changed = lowest != np.arange(len(nodes))
    return nodes[changed], nodes[lowest[changed]]
