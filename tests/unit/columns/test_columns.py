"""The quick looks at columns of text say the same as looking at each text does."""

from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.columns import hashes, matches, text_bounds, text_bytes, trimmed
from importer.model import ArrowArray

TEXTS = st.lists(st.none() | st.text(alphabet="a1 \n\t\u00a0é~!", max_size=4), max_size=12)
WORDS = st.lists(st.none() | st.sampled_from(["", "7", "42", "4a", "7\n42", "7\n", "\n"]), max_size=6)
WHOLE_NUMBER = "^[0-9]+$"


def column(texts: list[str | None]) -> ArrowArray:
    """The texts in the middle of a longer column, as slices of chunks are."""
    return pa.array(["before", *texts, "behind"], pa.string()).slice(1, len(texts))


@given(WORDS)
def test_an_expression_matches_the_same_texts_as_one_by_one(texts: list[str | None]) -> None:
    assert matches(column(texts), WHOLE_NUMBER).equals(pc.match_substring_regex(column(texts), WHOLE_NUMBER))


@pytest.mark.parametrize("texts", [["7", None, "42"], ["7"], [None], [], ["7", ""], ["", "7"], ["7\n42"], ["7", "x"]])
def test_nulls_empty_texts_and_line_feeds_match_as_they_do_one_by_one(texts: list[str | None]) -> None:
    assert matches(column(texts), WHOLE_NUMBER).equals(pc.match_substring_regex(column(texts), WHOLE_NUMBER))


@given(TEXTS)
def test_trimming_takes_white_space_away_and_leaves_no_empty_text(texts: list[str | None]) -> None:
    expected = [None if text is None else text.strip() or None for text in texts]
    assert trimmed(column(texts)).to_pylist() == expected


@given(TEXTS)
def test_bounds_cut_the_bytes_into_the_texts(texts: list[str | None]) -> None:
    data, bounds = text_bytes(column(texts)).tobytes(), text_bounds(column(texts)).tolist()
    cut = [data[begin:end].decode() for begin, end in pairwise(bounds)]
    assert cut == [text or "" for text in texts]


@given(st.lists(st.text(max_size=20), max_size=12))
def test_equal_texts_have_equal_hashes_and_others_do_not(texts: list[str]) -> None:
    found = dict(zip(texts, hashes(column(list(texts))).tolist(), strict=True))
    assert len(set(found.values())) == len(set(texts))
    assert hashes(column(list(texts))).tolist() == [found[text] for text in texts]


def test_a_seed_makes_other_hashes_of_the_same_texts() -> None:
    texts = column(["5", "a@example.com"])
    assert not (hashes(texts) == hashes(texts, seed=1)).any()
