"""Texts that are cut at a character, with a warning."""

from __future__ import annotations

from importer.validate import fitted
from tests.unit.convert.building import events, found_problems


def test_a_text_is_cut_at_a_character_and_the_row_says_so() -> None:
    """`property.cut` is a warning; a text that fits is left alone."""
    made = fitted(events({"id": ["1", "2"], "t": ["aéb", "ab"]}, properties={"t": {"column": "t", "max_bytes": 2}}))
    assert made.properties[0].values.to_pylist() == ["a", "ab"]
    assert found_problems(made) == {("property.cut", "properties.t", 0, "aéb")}
