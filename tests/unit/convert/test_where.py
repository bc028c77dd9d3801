"""`where`: each test by itself, and all of them against a row-by-row reading of the rules."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.convert.building import events, found_problems


def kept(cells: list[str | None], *tests: dict[str, Any]) -> list[bool]:
    where = [{"column": "cell"} | test for test in tests]
    found: list[bool] = events({"cell": cells}, subscriber={"id": {"const": "1"}}, where=where).passes_filter.tolist()
    return found


@pytest.mark.parametrize(
    ("test", "yes", "no"),
    [
        ({"in": ["paid", "partly"]}, ["paid", " partly "], ["PAID", "paid up", "", None]),
        ({"not_in": ["test", "void"]}, ["paid", "", None, "TEST"], ["test", " void"]),
        ({"equals": "paid"}, ["paid", "paid "], ["Paid", None]),
        ({"not_equals": "pos"}, ["web", None, " "], ["pos"]),
        ({"equals": 5}, ["5", "5.0", "+5", "05", "5e0"], ["5.1", "five", None]),
        ({"equals": "5"}, ["5"], ["5.0"]),
        ({"in": [1.5, "x"]}, ["1.50", "x"], ["15", None]),
        ({"equals": True}, ["true", "TRUE"], ["yes", "1", None]),
        ({"not_equals": False}, ["true", None], ["False"]),
        ({"matches": "^gi"}, ["gift", " give"], ["a gift", None]),
        ({"matches": "(?i)TEST"}, ["a test"], ["tes"]),
        ({"not_matches": "^-"}, ["9", "1-2", "", None], ["-9", " -9"]),
        ({"empty": True}, ["", "  ", None], ["x"]),
        ({"empty": False}, ["x"], ["", None]),
        ({"above": 0}, ["0.01", "1e3", "$5"], ["0", "-1", "many", None, "nan"]),
        ({"above": 5}, ["1,250.00", "1.250,00", "7,5", "$1,250.50"], ["4,99", "-1.250,00", "1,250"]),
        ({"below": 10.5}, ["10.49", "-3"], ["10.5", "11", None]),
    ],
)
def test_a_test(test: dict[str, Any], yes: list[str | None], no: list[str | None]) -> None:
    assert kept(yes, test) == [True] * len(yes)
    assert kept(no, test) == [False] * len(no)


def test_rows_that_are_left_out_have_no_problems() -> None:
    made = events(
        {"id": ["1", "2"], "status": ["paid", "void"], "total": ["x", "y"]},
        where=[{"column": "status", "equals": "paid"}],
        value="total",
        key="total",
    )
    assert made.passes_filter.tolist() == [True, False]
    assert found_problems(made) == {("value.not_a_number", "value", 0, "x")}


def number(cell: str) -> Decimal | None:
    try:
        found = Decimal(cell)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def holds(cell: str | None, word: str, wanted: Any) -> bool:
    """One test for one cell, as the language's documentation tells it."""
    text = (cell or "").strip() or None

    def is_one(scalar: Any) -> bool:
        if text is None:
            return False
        if isinstance(scalar, bool):
            return text.lower() == str(scalar).lower()
        if isinstance(scalar, str):
            return text == scalar.strip()
        return number(text) == Decimal(str(scalar))

    size = None if text is None else number(text)
    match word:
        case "in" | "not_in":
            return any(map(is_one, wanted)) == (word == "in")
        case "equals" | "not_equals":
            return is_one(wanted) == (word == "equals")
        case "matches" | "not_matches":
            return (text is not None and re.search(wanted, text) is not None) == (word == "matches")
        case "empty":
            return (text is None) == bool(wanted)
        case "above":
            return size is not None and float(size) > float(wanted)
        case _:
            return size is not None and float(size) < float(wanted)


cells = st.none() | st.sampled_from(
    ["", " ", "paid", " paid", "void", "5", "5.0", "-5", "0.1", "true", "TRUE", "1e2", "x 5"]
)
scalars = st.sampled_from(["paid", "void", "5", "true", 5, -5, 0.1, 100, True, False])
tests = st.one_of(
    st.tuples(st.sampled_from(["in", "not_in"]), st.lists(scalars, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["equals", "not_equals"]), scalars),
    st.tuples(st.sampled_from(["matches", "not_matches"]), st.sampled_from(["^p", "5", "a|x", "^$"])),
    st.tuples(st.just("empty"), st.booleans()),
    st.tuples(st.sampled_from(["above", "below"]), st.sampled_from([0.0, 5.0, -1.0, 0.1])),
)


@given(st.lists(cells, min_size=1), st.lists(tests, max_size=3))
def test_a_row_is_kept_if_every_test_holds_for_it(column: list[str | None], given_tests: list[tuple[str, Any]]) -> None:
    expected = [all(holds(cell, word, wanted) for word, wanted in given_tests) for cell in column]
    assert kept(column, *({word: wanted} for word, wanted in given_tests)) == expected
