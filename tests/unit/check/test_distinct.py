"""Counting distinct texts: exact up to the bound, a good estimate beyond it."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.columns import Distinct

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=30)


@given(st.lists(TEXTS, max_size=4), st.integers(1, 10))
def test_it_counts_as_a_set_does_however_texts_are_cut_into_columns(
    columns: list[list[str | None]], bound: int
) -> None:
    distinct = Distinct(bound=1_000)
    for texts in columns:
        distinct.add(pa.array(["before", *texts], pa.string()).slice(1))
    expected = {text for texts in columns for text in texts if text is not None}
    assert distinct.count() == len(expected)
    assert distinct.is_exact


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 17, 63, 64, 65, 511])
def test_one_byte_makes_a_text_another_wherever_it_stands(length: int) -> None:
    texts = ["a" * length] + ["a" * at + "b" + "a" * (length - at - 1) for at in range(length)]
    distinct = Distinct(bound=1_000)
    distinct.add(pa.array(texts))
    assert distinct.count() == length + 1


def test_beyond_the_bound_it_estimates_and_says_so() -> None:
    distinct = Distinct(bound=10_000)
    for start in range(0, 200_000, 20_000):
        distinct.add(pa.array([f"person{number}@example.com" for number in range(start, start + 30_000)]))
    assert not distinct.is_exact
    assert distinct.count() == pytest.approx(210_000, rel=0.05)
