"""Keyed hashes, for what is only ever compared: identifiers, subscribers, events and keys.

The secret is in the ledger itself, so that the one file is all that a backup needs. The hashes keep addresses and
keys of forgotten rows from being read in the file, from being looked up in tables made elsewhere, and two ledgers from
being compared; who has the file can still try out an address that they guess.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.texts import LONGEST, hashes

if TYPE_CHECKING:
    from importer.model import ArrowArray, Int64s

NOBODY = 0
"""The hash of no identifier."""


class Hasher:
    """Hashes by a ledger's secret."""

    def __init__(self, secret: bytes) -> None:
        self._key_hash = blake2b(digest_size=16, key=secret)
        self._seed = int.from_bytes(secret[:8], "little")

    def identifiers(self, column: ArrowArray, kind: int) -> Int64s:
        """64-bit hashes of a column of identifiers, `NOBODY` where it is null.

        The kind goes into the hash, so that id 5 and phone 5 stay apart. A collision merges two subscribers' lanes,
        which costs time but never order.
        """
        rows = np.full(len(column), NOBODY, dtype=np.int64)
        found = hashes(column.drop_null(), seed=self._seed + kind).view(np.int64)
        found[found == NOBODY] = 1
        rows[column.is_valid().to_numpy(zero_copy_only=False)] = found
        return rows

    def keys(self, keys: ArrowArray) -> ArrowArray:
        """128-bit hashes of keys, ``binary``, null where there is none: so wide that no two keys ever share one."""
        return pa.array(
            [None if key is None else self.key(key) for key in keys.cast(pa.binary()).to_pylist()], pa.binary()
        )

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
