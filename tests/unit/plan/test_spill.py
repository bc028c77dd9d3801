"""Rows that wait on the disk come back in the order of a hash."""

from __future__ import annotations

from contextlib import closing

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from importer.spill import SortedSpill

HASHES = st.sampled_from([0, 1, 255 << 56, (1 << 64) - 1]) | st.integers(0, (1 << 64) - 1)


@given(st.lists(st.lists(HASHES, max_size=20), max_size=5), st.integers(1, 30))
def test_rows_come_back_by_hash(blocks: list[list[int]], most: int) -> None:
    expected = sorted((one, place) for place, one in enumerate(one for block in blocks for one in block))
    with closing(SortedSpill("rows", hash="u8", place="i8")) as spill:
        added = 0
        for block in blocks:
            spill.add(np.array(block, np.uint64), np.arange(added, added + len(block)))
            added += len(block)
        parts = [part.tolist() for part in spill.parts(most)]
    found = [row for part in parts for row in part]
    assert [one for one, _ in found] == [one for one, _ in expected]
    assert sorted(found) == expected
    hashes = [{one for one, _ in part} for part in parts]
    assert sum(map(len, hashes)) == len(set().union(*hashes))
    assert all(len(part) <= most or len({one >> 56 for one, _ in part}) == 1 for part in parts)
