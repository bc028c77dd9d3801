"""Picks and text steps: column, first_of, const, template, then trim, extract, lower/upper, map, default."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.convert.building import cell, chunk, convert, events, found_problems, mapping


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("  x  ", {}, "x"),
        ("\u00a0x\u2003", {}, "x"),
        ("  x  ", {"trim": False}, "  x  "),
        (" \t\n", {"trim": False}, None),
        ("", {}, None),
        ("a\x00b\x07", {}, "a\x00b\x07"),
        ("SKU-0042", {"extract": r"SKU-(\d+)"}, "0042"),
        ("SKU-0042", {"extract": r"\d+"}, "0042"),
        ("b2 a1", {"extract": r"(?:[a-z])(?P<n>\d)|(x)"}, "2"),
        ("none", {"extract": r"\d+"}, None),
        ("a=", {"extract": "a=(.*)"}, None),
        ("line one\nline two", {"extract": "two$"}, "two"),
        ("AbC", {"lower": True}, "abc"),
        ("élan", {"upper": True}, "ÉLAN"),
        ("paid", {"map": {"paid": "purchase"}}, "purchase"),
        ("paid up", {"map": {"paid": "purchase"}}, "paid up"),
        ("PAID", {"lower": True, "map": {"paid": "purchase"}}, "purchase"),
        ("none", {"map": {"none": None}}, None),
        ("none", {"map": {"none": None}, "default": "x"}, "x"),
        ("none", {"map": {"none": " "}, "default": "x"}, "x"),
        ("1", {"map": {"1": True}}, "true"),
        (None, {"default": "EUR"}, "EUR"),
        (" ", {"default": 5}, "5"),
        ("USD", {"default": "EUR"}, "USD"),
        (None, {"default": "x", "upper": True}, "x"),
        ("no digits", {"extract": r"\d+", "default": "0"}, "0"),
    ],
)
def test_a_cell_through_the_steps(text: str | None, words: dict[str, Any], expected: str | None) -> None:
    assert cell(text, **words) == expected


def test_default_comes_before_as() -> None:
    assert cell(None, **{"default": 7, "as": "integer"}) == "7"
    assert cell(None, **{"default": "7.5", "as": "integer"}) == "property.not_an_integer"


def test_the_first_pick_that_is_not_absent_wins() -> None:
    made = events(
        {"id": ["1", "2", "3", "4"], "a": ["A", " ", None, None], "b": ["b", "b2", "-", None]},
        properties={
            "it": {"first_of": ["a", {"column": "b", "upper": True, "map": {"-": None}}, {"const": "c"}], "lower": True}
        },
    )
    assert made.properties[0].values.to_pylist() == ["a", "b2", "c", "c"]


def test_a_template_is_absent_where_one_of_its_columns_is() -> None:
    made = events(
        {"id": ["1", "2", "3"], "a": [" Ada ", "Bo", None], "b": ["Lovelace", "", "Dee"]},
        properties={"it": {"template": "{{{a}}} {b}!"}, "raw": {"template": "<{a}>", "trim": False}},
    )
    assert made.properties[0].values.to_pylist() == ["{Ada} Lovelace!", None, None]
    assert made.properties[1].values.to_pylist() == ["< Ada >", "<Bo>", None]


def test_a_constant_property_keeps_the_kind_it_has_in_yaml() -> None:
    consts = {"text": "7", "integer": 7, "number": 7.5, "boolean": True}
    made = events({"id": ["1"]}, properties={name: {"const": value} for name, value in consts.items()})
    assert [(one.kind, one.values.to_pylist()) for one in made.properties] == [
        ("text", ["7"]),
        ("integer", ["7"]),
        ("number", ["7.5"]),
        ("boolean", ["true"]),
    ]


def test_a_column_that_the_source_lacks_is_absent() -> None:
    made = events(
        {"id": ["1", "2"]}, value="total", properties={"it": "gone"}, where=[{"column": "void", "empty": True}]
    )
    assert made.value.to_pylist() == made.properties[0].values.to_pylist() == [None, None]
    assert made.passes_filter.all()


def test_nested_cells_are_refused_unless_text_is_asked_for() -> None:
    """Every target names its own field; what an expression takes out of the JSON is text."""
    nested = ['{"a":1}', "plain", None]
    cells = chunk({"id": ["1", "2", "3"], "n": nested}, nested={"n": [True, False, False]})
    made = convert(
        cells,
        mapping(
            type={"first_of": ["id", "n"]},
            value="n",
            properties={
                "bare": "n",
                "text": {"column": "n", "as": "text"},
                "part": {"column": "n", "extract": '"a":([0-9])'},
                "made": {"template": "{n}/{id}"},
                "first": {"first_of": ["n", "id"]},
            },
        ),
    )
    assert found_problems(made) == {
        ("value.not_a_number", "value", 0, '{"a":1}'),
        ("value.not_a_number", "value", 1, "plain"),
        ("property.nested", "properties.bare", 0, '{"a":1}'),
        ("property.nested", "properties.made", 0, '{"a":1}/1'),
        ("property.nested", "properties.first", 0, '{"a":1}'),
    }
    columns = {one.name: one.values.to_pylist() for one in made.properties}
    assert columns == {
        "bare": [None, "plain", None],
        "text": nested,
        "part": ["1", None, None],
        "made": [None, "plain/2", None],
        "first": [None, "plain", "3"],
    }


@pytest.mark.parametrize("word", ["true", "Yes", "Y", "T", "1", "ON", "1.0", "'TRUE"])
def test_words_for_true(word: str) -> None:
    assert cell(word, **{"as": "boolean"}) == "true"


@pytest.mark.parametrize("word", ["FALSE", "no", "n", "f", "0", "off", "0.0", "'no"])
def test_words_for_false(word: str) -> None:
    assert cell(word, **{"as": "boolean"}) == "false"


@pytest.mark.parametrize("word", ["maybe", "2", "yess", "1.5", "-", "'"])
def test_other_words_are_no_boolean(word: str) -> None:
    assert cell(word, **{"as": "boolean"}) == "property.not_a_boolean"


@given(st.lists(st.text(max_size=6), min_size=1))
def test_trimming_is_what_python_calls_white_space(texts: list[str]) -> None:
    made = events({"id": texts}, properties={"it": "id", "raw": {"column": "id", "trim": False}})
    assert made.properties[0].values.to_pylist() == [text.strip() or None for text in texts]
    assert made.properties[1].values.to_pylist() == [text if text.strip() else None for text in texts]
