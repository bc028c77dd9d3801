"""Pairs put aside on disk are found again, by key and all of them."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import DiskFullError
from importer.ledger import planning
from importer.ledger.identities import Identities
from importer.ledger.spill import Spill
from tests.support.ledgers import SOURCE, chunk, new_run, open_ledger, planned

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


@pytest.mark.parametrize(
    ("place", "where", "why"),
    [
        ("/small", "/small", OSError(errno.ENOSPC, "No space left on device")),
        (None, "a temporary file", FileNotFoundError(errno.ENOENT, "No usable temporary directory found")),
    ],
)
def test_a_disk_without_room_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str | None, where: str, why: OSError
) -> None:
    """It need not be the ledger's; the same plan goes well once there is room."""

    def full() -> Any:
        raise why

    monkeypatch.setattr(planning, "Identities", partial(Identities, in_memory=1))
    with open_ledger(tmp_path) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "tempdir", place)
            patch.setattr(tempfile, "TemporaryFile", full)
            run = new_run(ledger)
            number = ledger.add_source(run, SOURCE)
            with pytest.raises(DiskFullError) as caught:
                ledger.add_chunk(run, number, chunk(["a@example.org", "b@example.org"]))
            ledger.discard(run)
        assert len(ledger.queue(planned(ledger, chunk(["a@example.org", "b@example.org"])), after=None, count=9)) == 2
    assert str(caught.value) == (
        f"error: the subscribers beyond memory's share cannot be kept in {where}: {why.strerror}; what was acknowledged"
        " before is safe\n\nhint: make room there, or name a directory with room: TMPDIR=/that/directory; then the same"
        " command again"
    )


def test_a_file_that_cannot_be_written_to_its_end_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w+b", buffering=1 << 20) as file:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: file)
        spill = Spill()
        with pytest.raises(DiskFullError):
            spill.add(integers([1]), integers([2]))
        spill.close()
        assert file.closed


@pytest.mark.parametrize("closing", [False, True], ids=["forgotten", "with the ledger"])
def test_a_plan_that_is_given_up_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closing: bool
) -> None:
    """Neither an open file, which is a warning, nor what the next plan would stumble over."""
    monkeypatch.setattr(planning, "Identities", partial(Identities, in_memory=1))
    one = chunk(["a@example.org", "b@example.org"], places=[1, 2])
    with open_ledger(tmp_path) as ledger:
        run = new_run(ledger)
        ledger.add_chunk(run, ledger.add_source(run, SOURCE), one)
        if not closing:
            ledger.discard(run)
            assert len(ledger.queue(planned(ledger, one), after=None, count=9)) == 2
