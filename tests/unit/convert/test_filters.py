"""`where`: each test by itself, and all of them against a row-by-row reading of the rules."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
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
        ({"above": 0}, ["0.01", "1e3", "$5", "many", "12 euro", "nan"], ["0", "-1", None]),
        ({"above": 5}, ["1,250.00", "1.250,00", "7,5", "$1,250.50", "1,250"], ["4,99", "-1.250,00"]),
        ({"below": 10.5}, ["10.49", "-3"], ["10.5", "11", None]),
    ],
)
def test_a_test(test: dict[str, Any], yes: list[str | None], no: list[str | None]) -> None:
    assert kept(yes, test) == [True] * len(yes)
    assert kept(no, test) == [False] * len(no)


@pytest.mark.parametrize(
    ("words", "cell", "expected"),
    [
        ({}, "12 euro", "where.not_a_number"),
        ({}, "1,250", "where.not_a_number"),
        ({}, "NULL", "where.not_a_number"),
        ({"value": "cell"}, "1,250.00", ""),
        ({"value": {"column": "cell", "decimal": ","}}, "1.250,00", ""),
        ({"value": {"column": "cell", "decimal": ","}}, "1.250", "where.not_a_number"),
        ({"value": {"column": "cell", "thousands": ","}}, "1,250", ""),
        ({"value": {"product_of": ["id", {"column": "cell", "decimal": ","}]}}, "0,5", ""),
        ({"value": {"column": "cell", "scale": -2}}, "1", ""),
    ],
)
def test_a_number_is_read_as_the_mapping_reads_its_column(words: dict[str, Any], cell: str, expected: str) -> None:
    """A cell that a numeric test cannot read is never filtered: its row is invalid, and names the test."""
    made = events({"id": ["1"], "cell": [cell]}, where=[{"column": "cell", "above": 0}], **words)
    assert made.passes_filter.tolist() == [True]
    found = {(code, field) for code, field, _, _ in found_problems(made) if code.startswith("where")}
    assert found == ({(expected, "cell above 0")} if expected else set())


def test_a_filtered_row_carries_the_first_test_that_left_it_out() -> None:
    """Whatever another test cannot read, a row that fails one is not wanted."""
    made = events(
        {"id": ["1", "2", "3", "4"], "status": ["paid", "void", "void", "paid"], "total": ["0", "x", "1", "y"]},
        where=[{"column": "total", "above": 0}, {"column": "status", "not_in": ["void", "test"]}],
    )
    assert made.passes_filter.tolist() == [False, False, False, True]
    assert found_problems(made) == {
        ("filtered.where", "total above 0", 0, "0"),
        ("filtered.where", "status not in void, test", 1, "void"),
        ("filtered.where", "status not in void, test", 2, "void"),
        ("where.not_a_number", "total above 0", 3, "y"),
    }


def test_a_test_of_groups_takes_what_it_cannot_read_and_says_so() -> None:
    made = events(
        {"id": ["1", "1", "2"], "total": ["x", None, "5"]}, group_by="id", where=[{"column": "total", "above": 0}]
    )
    assert made.membership is not None
    (test,) = made.membership.tests
    assert (test.words, test.passes.to_pylist()) == ("total above 0", [True, None, True])
    assert found_problems(made) == {("where.not_a_number", "total above 0", 0, "x")}


def test_rows_that_are_left_out_have_no_other_problems() -> None:
    made = events(
        {"id": ["1", "2"], "status": ["paid", "void"], "total": ["x", "y"]},
        where=[{"column": "status", "equals": "paid"}],
        value="total",
        key="total",
    )
    assert made.passes_filter.tolist() == [True, False]
    assert found_problems(made) == {
        ("filtered.where", "status equals paid", 1, "void"),
        ("value.not_a_number", "value", 0, "x"),
    }


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
            return text is not None and (size is None or float(size) > float(wanted))
        case _:
            return text is not None and (size is None or float(size) < float(wanted))


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


@pytest.mark.parametrize(
    ("words", "test", "yes", "no"),
    [
        ({}, {"since": "2026-01-31"}, ["2026-01-31", "2026-01-31T00:00:00Z"], ["2026-01-30 23:59", "", None]),
        ({}, {"before": "2026-01-31T12:00"}, ["2026-01-31 11:59:59", "2026-01-31"], ["2026-01-31T12:00:00", None]),
        ({}, {"since": "2026-01-31T00:00+02:00"}, ["2026-01-30T22:00:00Z"], ["2026-01-30T21:59:59Z"]),
        ({}, {"since": "2026-01-31", "format": "dmy"}, ["31.01.2026"], ["30.1.2026"]),
        (
            {"order_by": {"column": "cell", "format": "mdy", "timezone": "America/New_York"}},
            {"before": "2026-02-01T00:00Z"},
            ["01/31/2026 18:59"],
            ["01/31/2026 19:00"],
        ),
        (
            {"properties": {"on": {"column": "cell", "as": "date", "format": "%Y%m%d"}}},
            {"since": "2026-01-31"},
            ["20260131"],
            ["20260130"],
        ),
        (
            {"properties": {"on": {"column": "cell", "as": "datetime", "timezone": {"column": "zone"}}}},
            {"since": "2026-01-31T12:00"},
            ["2026-01-31T12:00:00"],
            ["2026-01-31T11:59:59"],
        ),
        (
            {
                "properties": {
                    "on": {"first_of": [{"column": "cell", "map": {"-": None}}], "as": "datetime", "format": "s"}
                }
            },
            {"since": "1970-01-02"},
            ["86400"],
            ["86399"],
        ),
    ],
)
def test_a_time_is_read_as_the_mapping_reads_its_column(
    words: dict[str, Any], test: dict[str, Any], yes: list[str | None], no: list[str | None]
) -> None:
    count = len(yes + no)
    columns: dict[str, list[str | None]] = {"id": ["1"] * count, "cell": yes + no, "zone": ["Asia/Tokyo"] * count}
    made = events(columns, where=[{"column": "cell"} | test], **words)
    assert made.passes_filter.tolist() == [True] * len(yes) + [False] * len(no)


def test_how_long_ago_counts_from_the_run() -> None:
    now = datetime.now(UTC)
    ages = (timedelta(days=29, hours=23), timedelta(days=30, minutes=1), timedelta(hours=11), timedelta(hours=13))
    cells: list[str | None] = [(now - age).isoformat() for age in ages]
    assert kept(cells, {"since": "30d"}) == [True, False, True, True]
    assert kept(cells, {"before": "12h"}) == [True, True, False, True]
    today, then = now.date(), now.date() - timedelta(days=30)
    dates: list[str | None] = [str(today), str(then), str(then - timedelta(days=1))]
    made = events(
        {"id": ["1"] * 3, "cell": dates},
        where=[{"column": "cell", "since": "30d"}],
        properties={"on": {"column": "cell", "as": "date"}},
    )
    assert made.passes_filter.tolist() == [True, True, False]


def test_a_time_that_cannot_be_read_is_never_filtered() -> None:
    made = events(
        {"id": ["1", "2", "3"], "day": ["soon", "03/04/2026", None]}, where=[{"column": "day", "since": "2026-01-01"}]
    )
    assert made.passes_filter.tolist() == [True, True, False]
    assert found_problems(made) == {
        ("where.not_a_date", "day since 2026-01-01", 0, "soon"),
        ("where.not_a_date", "day since 2026-01-01", 1, "03/04/2026"),
        ("filtered.where", "day since 2026-01-01", 2, ""),
    }


def test_any_is_one_of_several_tests() -> None:
    """A row that passes one of them needs no answer of the others; their doubts are only those of rows that fail."""
    made = events(
        {"id": ["1"] * 5, "status": ["paid", "open", "paid", "open", None], "total": ["x", "x", "0", "0", "2"]},
        where=[{"any": [{"column": "status", "equals": "paid"}, {"column": "total", "above": 1}]}],
    )
    assert made.passes_filter.tolist() == [True, True, True, False, True]
    assert found_problems(made) == {
        ("where.not_a_number", "total above 1", 1, "x"),
        ("filtered.where", "status equals paid or total above 1", 3, "open, 0"),
    }


def test_any_of_a_group() -> None:
    made = events(
        {"id": ["1", "1", "2"], "a": [None, "x", None], "b": [None, None, "y"]},
        group_by="id",
        where=[{"any": [{"column": "a", "equals": "x"}, {"column": "b", "equals": "z"}]}],
    )
    assert made.membership is not None
    (test,) = made.membership.tests
    assert (test.passes.to_pylist(), test.blank) == ([None, True, False], False)


def test_a_case_asks_by_time_and_any() -> None:
    kind = {
        "cases": [
            {"when": [{"any": [{"column": "day", "before": "2026-01-01"}, {"column": "old", "equals": True}]}],
             "use": {"const": "old"}},
            {"use": {"const": "new"}},
        ]
    }  # fmt: skip
    made = events(
        {"id": ["1"] * 4, "day": ["2025-12-31", "2026-01-01", "x", "x"], "old": ["", "", "true", ""]}, type=kind
    )
    assert made.type.to_pylist() == ["old", "new", "old", "new"]
    assert found_problems(made) == {("where.not_a_date", "day before 2026-01-01", 3, "x")}
