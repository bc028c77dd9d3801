"""Ids: what a spreadsheet did to them is undone where it can be, and refused where it cannot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.convert.building import events, found_problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'9013808660771", "9013808660771"),
        ("'x1", "'x1"),
        ("0042", "0042"),
        ("O'Hara", "O'Hara"),
        ("17850.0", "17850.0"),
        ("1234567890123456789", "1234567890123456789"),
        ("12E4", "12E4"),
        ("9E11", "9E11"),
        ("a9.2E+11", "a9.2E+11"),
        ("Qm9E+12x", "Qm9E+12x"),
    ],
)
def test_an_id_stays_as_it_is_but_for_the_apostrophe_that_kept_its_digits_text(text: str, expected: str) -> None:
    """No real id is an apostrophe and digits. Keys are ids; e-mails and properties stay as found."""
    made = events({"id": [text]}, key="id", properties={"it": "id"})
    assert not made.violations
    assert made.subscriber_id.to_pylist() == [expected]
    assert made.key is not None
    assert made.key.to_pylist() == [expected]
    assert made.properties[0].values.to_pylist() == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17850.0", "17850"),
        ("17850", "17850"),
        ("'17850.00", "17850"),
        ("00123", "123"),
        ("1234567890123456789.0", "1234567890123456789"),
    ],
)
def test_as_integer_takes_the_point_off_an_id(text: str, expected: str) -> None:
    pick = {"column": "c", "as": "integer"}
    made = events({"c": [text]}, subscriber={"id": pick}, key=pick)
    assert not made.violations
    assert made.subscriber_id.to_pylist() == [expected]
    assert made.key is not None
    assert made.key.to_pylist() == [expected]


@pytest.mark.parametrize("text", ["9.23E+11", "9,23E+11", "1E+15", "'4.477e+11"])
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


@given(st.lists(st.from_regex("[A-Za-z0-9_.-]{1,20}", fullmatch=True), min_size=1))
def test_other_ids_come_out_as_they_went_in(texts: list[str]) -> None:
    """Without a plus nothing is a rounded number."""
    made = events({"id": texts})
    assert made.subscriber_id.to_pylist() == texts
    assert not made.violations
