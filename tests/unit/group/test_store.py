"""Tables that wait: what is put on a shelf comes back, whole and in order, whatever went to disk."""

from __future__ import annotations

import errno
import tempfile
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.errors import SpaceError
from importer.group.store import Store


def table(*values: int) -> Any:
    return pa.table({"value": pa.array(values, pa.int64())})


@settings(deadline=None)
@given(st.integers(0, 200), st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 9), max_size=5))))
def test_each_shelf_gives_back_what_it_was_given(in_memory: int, puts: list[tuple[str, list[int]]]) -> None:
    with Store(in_memory=in_memory) as store:
        for shelf, values in puts:
            store.put(shelf, table(*values))
        for shelf in "ab":
            given_to_it = [value for name, values in puts if name == shelf for value in values]
            found = store.take_all(shelf)
            assert ([] if found is None else found["value"].to_pylist()) == given_to_it
            assert store.take_all(shelf) is None


@settings(deadline=None)
@given(st.integers(0, 200), st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5)))
def test_a_shelf_can_be_emptied_onto_another(in_memory: int, puts: list[list[int]]) -> None:
    with Store(in_memory=in_memory) as store:
        for values in puts:
            store.put("from", table(*values))
        for one in store.take("from"):
            store.put("to", one)
        assert store.size("to") == 8 * sum(map(len, puts))
        found = store.take_all("to")
        assert ([] if found is None else found["value"].to_pylist()) == [value for values in puts for value in values]


def test_a_disk_without_room_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", "/small")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with Store(in_memory=1) as store, pytest.raises(SpaceError) as caught:
        store.put("shelf", table(1))
    assert str(caught.value) == (
        "error: the rows that wait for their groups cannot be kept in /small: No space left on device"
        "\n\nhint: make room there, or name a directory with room for a copy of the files: TMPDIR=/that/directory"
    )


def test_where_no_directory_for_temporary_files_can_be_used_this_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """So Python finds where /tmp, /var/tmp and the working directory are full."""

    def none() -> Any:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", none)
    with Store(in_memory=1) as store, pytest.raises(SpaceError, match="a temporary file: No usable temporary"):
        store.put("shelf", table(1))
