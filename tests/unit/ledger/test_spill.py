"""Pairs put aside on disk are found again, by key and all of them."""

from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from importer.ledger.spill import Spill

KEYS = st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)
PAIRS = st.lists(st.dictionaries(KEYS, st.integers(0, 99), max_size=12), max_size=4)


def integers(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def spilled(stretches: list[dict[int, int]], block: int) -> Spill:
    spill = Spill(block=block)
    for pairs in stretches:
        keys = sorted(pairs)
        spill.add(integers(keys), integers([pairs[key] for key in keys]))
    return spill


@given(stretches=PAIRS, more=st.sets(KEYS, max_size=12), block=st.integers(1, 5))
def test_what_was_put_aside_is_found_and_nothing_else(
    stretches: list[dict[int, int]], more: set[int], block: int
) -> None:
    """Of a key that was put aside twice, every value."""
    wanted = sorted(more.union(*stretches))
    with contextlib.closing(spilled(stretches, block)) as spill:
        places, values = spill.find(integers(wanted))
    found = sorted((wanted[place], value) for place, value in zip(places.tolist(), values.tolist(), strict=True))
    assert found == sorted(pair for pairs in stretches for pair in pairs.items())


@given(stretches=PAIRS, block=st.integers(1, 5), parts=st.integers(1, 7))
def test_ranges_hold_every_pair_once_and_a_keys_pairs_together(
    stretches: list[dict[int, int]], block: int, parts: int
) -> None:
    with contextlib.closing(spilled(stretches, block)) as spill:
        ranges = [list(zip(keys.tolist(), values.tolist(), strict=True)) for keys, values in spill.in_ranges(parts)]
    assert sorted(pair for pairs in ranges for pair in pairs) == sorted(
        pair for pairs in stretches for pair in pairs.items()
    )
    keys = [key for pairs in ranges for key in {key for key, _ in pairs}]
    assert len(keys) == len(set(keys))


def test_after_closing_nothing_is_left() -> None:
    spill = spilled([{5: 1}], 2)
    assert spill
    spill.close()
    assert not spill
    assert spill.find(integers([5]))[0].tolist() == []
