"""Data written as YAML is read back as the same data."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from importer.mapping.positions import parse
from importer.suggest.decide import flow

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "null",
        "no",
        "012",
        "1e3",
        "- a",
        "a: b",
        "# a",
        "{a}",
        "it's",
        "\\d+",
        "\ufeff",
        "\x85",
        "~",
        "2026-01-31",
        "a  b",
    ]
)
WORDS = TEXTS | st.booleans() | st.integers(-(10**12), 10**12) | st.none()
DATA = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
).filter(lambda data: not _has_bare_column(data))


def _has_bare_column(data: Any) -> bool:
    """A pick that is nothing but a column is written as its name."""
    if isinstance(data, dict):
        return list(data) == ["column"] or any(map(_has_bare_column, data.values()))
    return isinstance(data, list) and any(map(_has_bare_column, data))


@given(DATA)
def test_any_data_comes_back(data: Any) -> None:
    tree = parse(f"word: {flow(data)}\n", "m.yaml")
    assert not tree.problems
    assert tree.data == {"word": data}


def test_a_pick_that_is_only_a_column_is_its_name() -> None:
    assert flow({"first_of": [{"column": "Phone"}, {"column": "Tel", "lower": True}]}) == (
        "{first_of: [Phone, {column: Tel, lower: true}]}"
    )


def test_a_country_that_a_column_names_stays_apart_from_one_that_is_named() -> None:
    assert flow({"column": "Phone", "country": {"column": "Land"}}) == "{column: Phone, country: {column: Land}}"
