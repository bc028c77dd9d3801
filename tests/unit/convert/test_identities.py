"""Identities: one spelling for what names one subscriber, key or group, and none for what names nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.convert.building import events, found_problems


def identities(text: str | None, **words: Any) -> list[str | None]:
    """What one cell becomes as id, key and group."""
    pick = {"column": "c"} | words
    made = events(
        {"c": [text], "e": ["ann@example.com"]}, subscriber={"id": pick, "email": "e"}, key=pick, group_by=pick
    )
    assert made.key is not None
    assert made.membership is not None
    return [made.subscriber_id[0].as_py(), made.key[0].as_py(), made.membership.keys[0].as_py()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'9013808660771", "9013808660771"),
        ("'x1", "'x1"),
        ("0042", "0042"),
        ("O'Hara", "O'Hara"),
        ("17850.0", "17850"),
        ("'17850.00", "17850"),
        ("-5.0", "-5"),
        ("0.0", "0"),
        ("00123.0", "00123.0"),
        ("1.0.0", "1.0.0"),
        ("10.10", "10.10"),
        ("1234567890123456789", "1234567890123456789"),
        ("1234567890123456789.0", "1234567890123456789"),
        ("12E4", "12E4"),
        ("9E11", "9E11"),
        ("a9.2E+11", "a9.2E+11"),
        ("Qm9E+12x", "Qm9E+12x"),
        ('="00123"', "00123"),
        ("\u200b1001\ufeff", "1001"),
        ("\u00a01001\u200d ", "1001"),
        ("10\u200b01", "10\u200b01"),
        ("nobody", "nobody"),
        ("nullable-1", "nullable-1"),
    ],
)
def test_one_identity_has_one_spelling(text: str, expected: str) -> None:
    assert identities(text) == [expected] * 3


@pytest.mark.parametrize("text", ["17850.0", "1001.50", "'42", "NULL", "undefined"])
def test_properties_stay_as_found(text: str) -> None:
    made = events({"id": ["1"], "c": [text]}, properties={"it": "c"})
    assert made.properties[0].values.to_pylist() == [text]


NO_IDENTIFIER = [
    "NULL",
    "null",
    "None",
    "nan",
    "NaN",
    "undefined",
    "\\N",
    "N/A",
    "n/a",
    "#N/A",
    "[object Object]",
    "<NA>",
    "#REF!",
    "-",
    "\u2014",
]


@pytest.mark.parametrize("text", [*NO_IDENTIFIER, " NULL ", "\u200bNULL", "\ufeff", '="NULL"'])
def test_words_that_name_nobody_are_no_identity(text: str) -> None:
    assert identities(text) == [None] * 3


@pytest.mark.parametrize("text", NO_IDENTIFIER)
def test_a_word_that_names_nobody_is_a_missing_key_or_group_and_no_subscriber(text: str) -> None:
    cells = {"c": [text], "e": [text]}
    assert found_problems(events(cells, subscriber={"email": "e"}, key="c")) == {("key.missing", "key", 0, text)}
    assert found_problems(events(cells, subscriber={"email": "e"}, group_by="c")) == {
        ("group.missing", "group_by", 0, text)
    }
    made = events(cells, subscriber={"id": "c", "email": "e", "phone": "c"})
    assert [made.subscriber_id[0].as_py(), made.email[0].as_py(), made.phone[0].as_py()] == [None] * 3


def test_a_word_that_names_nobody_is_no_type_either() -> None:
    made = events(
        {"c": ["NULL", "sale\u200b", "-"], "e": ["a@example.com"] * 3}, type={"column": "c"}, properties={"it": "c"}
    )
    assert made.type.to_pylist() == [None, "sale", None]
    assert made.properties[0].values.to_pylist() == ["NULL", "sale\u200b", "-"]


def test_identities_inside_templates_and_alternatives_are_normalized_too() -> None:
    made = events(
        {"shop": ["north", "north", "north"], "order": ["1001.0", "NULL", '="00123"'], "u": ["undefined", "u2", "u3"]},
        subscriber={"id": {"first_of": ["u", {"template": "guest {order}"}]}},
        key={"template": "{shop}-{order}"},
    )
    assert made.key is not None
    assert made.key.to_pylist() == ["north-1001", None, "north-00123"]
    assert made.subscriber_id.to_pylist() == ["guest 1001", "u2", "u3"]
    assert found_problems(made) == {("key.missing", "key", 1, "")}


def test_identities_that_are_extracted_are_normalized_too() -> None:
    for cell, expected in (("id: 17850.0", "17850"), ("id: NULL", None), ("id: '00123", "00123"), ("none", None)):
        assert identities(cell, extract="id: (.*)") == [expected] * 3
    assert identities("id: N/A", extract="id: (.*)", map={"N/A": "till"}) == ["till"] * 3


def test_a_word_that_the_mapping_replaces_is_the_mapping_s() -> None:
    assert identities("N/A", map={"N/A": "till"}) == ["till"] * 3
    made = events({"c": ["NULL"]}, subscriber={"id": {"column": "c", "default": "guest"}})
    assert made.subscriber_id.to_pylist() == ["guest"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("17850.0", "17850"), ("17850", "17850"), ("'17850.00", "17850"), ("00123", "123")],
)
def test_as_integer_makes_a_number_of_an_id(text: str, expected: str) -> None:
    assert identities(text, **{"as": "integer"}) == [expected] * 3


@pytest.mark.parametrize("text", ["9.23E+11", "9,23E+11", "1E+15", "'4.477e+11", "1.2E+18", "1.001e3"])
@pytest.mark.parametrize("kind", ["text", "integer", "number"])
def test_a_rounded_number_is_no_id(text: str, kind: str) -> None:
    """Its digits are lost: as a key it would swallow other orders, as a group join them."""
    pick = {"column": "c", "as": kind}
    made = events({"c": [text, "7", None]}, subscriber={"id": pick}, key={**pick, "default": "1"}, group_by=pick)
    assert found_problems(made) >= {
        ("id.rounded", "subscriber.id", 0, text),
        ("key.rounded", "key", 0, text),
        ("group.rounded", "group_by", 0, text),
    }
    assert made.subscriber_id.to_pylist() == [None, "7", None]


def test_a_rounded_number_is_found_among_the_parts_of_a_key() -> None:
    made = events({"id": ["1", "2"], "a": ["9.23E+11", "7"], "b": ["1", "2"]}, key={"template": "{a}-{b}"})
    assert found_problems(made) == {("key.rounded", "key", 0, "9.23E+11-1")}


def test_an_id_with_decimals_is_sent_with_a_warning() -> None:
    made = events({"c": ["17.5", "17.0", "v1.5"]}, subscriber={"id": "c"}, key="c", group_by="c")
    assert made.subscriber_id.to_pylist() == ["17.5", "17", "v1.5"]
    assert found_problems(made) == {
        ("id.decimal", "subscriber.id", 0, "17.5"),
        ("key.decimal", "key", 0, "17.5"),
        ("group.decimal", "group_by", 0, "17.5"),
    }


@given(st.lists(st.from_regex("[A-Za-z0-9_-]{1,20}", fullmatch=True).map(lambda text: f"id{text}"), min_size=1))
def test_other_ids_come_out_as_they_went_in(texts: list[str]) -> None:
    made = events({"id": texts})
    assert made.subscriber_id.to_pylist() == texts
    assert not made.violations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada Lovelace <ada@example.com>", "ada@example.com"),
        ('"Lovelace, Ada" <ada@example.com>', "ada@example.com"),
        ("<ada@example.com>", "ada@example.com"),
        ("mailto:ada@example.com", "ada@example.com"),
        ("MAILTO:Ada@Example.com", "Ada@Example.com"),
        ("Ada <mailto:ada@example.com>", "ada@example.com"),
        ('"ada@example.com"', "ada@example.com"),
        ("'ada@example.com'", "ada@example.com"),
        ("[ada@example.com]", "ada@example.com"),
        ("(ada@example.com)", "ada@example.com"),
        (" ada@example.com\u200b", "ada@example.com"),
        ('="ada@example.com"', "ada@example.com"),
        ("ada.o'brien@example.com", "ada.o'brien@example.com"),
    ],
)
def test_an_address_is_taken_out_of_forms_without_doubt(text: str, expected: str) -> None:
    assert events({"e": [text]}, subscriber={"email": "e"}).email.to_pylist() == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "john smith@example.com",
        "o,brien@example.com",
        "john smith <john smith@example.com>",
        "ada@example.com, bo@example.com",
        "Ada <ada@example.com> <bo@example.com>",
        "ada@example.com <bo@example.com>",
        "Ada ada@example.com",
        "e-mail: ada@example.com",
        "<ada@example.com",
        "mailto:ada@example.com?subject=x",
        "ada@exam\u200bple.com",
        "(ada@example.com]",
    ],
)
def test_an_address_is_never_cut_out_of_damaged_text(text: str) -> None:
    assert events({"e": [text]}, subscriber={"email": "e"}).email.to_pylist() == [text]
