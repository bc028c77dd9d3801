"""The whole: every target of a mapping, all reasons of a row, order, key and time, however rows are cut into chunks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from importer.convert import RowMapper
from importer.model import Chunk, Events
from tests.unit.convert.building import chunk, convert, events, found_problems, mapping

EVERYTHING = mapping(
    where=[{"column": "status", "not_in": ["void"]}],
    order_by="at",
    key={"template": "{id}-{status}"},
    subscriber={"id": "id", "email": "email", "phone": {"first_of": ["phone", "phone 2"], "country": "LT"}},
    type={"column": "status", "map": {"paid": "purchase"}, "default": "visit"},
    value={"column": "total", "decimal": ","},
    value_currency={"column": "currency", "upper": True, "default": "EUR"},
    properties={
        "at": {"column": "at", "as": "datetime"},
        "local": {"column": "at", "as": "datetime", "timezone": "Europe/Vilnius"},
        "day": {"column": "day", "as": "date", "format": ["%Y-%m-%d", "%d.%m.%Y"]},
        "count": {"column": "count", "as": "integer"},
        "ok": {"column": "ok", "as": "boolean"},
        "sku": {"column": "id", "extract": "([0-9]+)"},
        "batch": {"const": 7},
    },
)

SHAPER = RowMapper(EVERYTHING)


def test_every_target_of_a_row() -> None:
    made = convert(
        chunk(
            {
                "id": [" A-17 "],
                "email": [" Ann@Example.com"],
                "phone": [""],
                "phone 2": ["8 612 34567"],
                "status": ["paid"],
                "total": ["1.234,50"],
                "currency": ["usd"],
                "at": ["2024-07-01 12:00:00"],
                "day": ["1.7.2024"],
                "count": ["3.0"],
                "ok": ["Yes"],
            }
        ),
        EVERYTHING,
    )
    assert made.violations == ()
    found = [made.subscriber_id, made.email, made.phone, made.type, made.value, made.value_currency]
    found += [made.key, made.order_value, made.event_time]
    noon = 1_719_835_200_000_000
    expected = ["A-17", "Ann@Example.com", "+37061234567", "purchase", "1234.5", "USD", "A-17-paid", noon, noon]
    assert [column[0].as_py() for column in found if column is not None] == expected
    assert {one.name: (one.kind, one.values[0].as_py()) for one in made.properties} == {
        "at": ("datetime", "2024-07-01T12:00:00"),
        "local": ("datetime", "2024-07-01T12:00:00+03:00"),
        "day": ("date", "2024-07-01"),
        "count": ("integer", "3"),
        "ok": ("boolean", "true"),
        "sku": ("text", "17"),
        "batch": ("integer", "7"),
    }


def test_a_row_gets_all_its_reasons() -> None:
    made = convert(
        chunk(
            {
                "id": [None],
                "phone": ["9.2E+11"],
                "status": ["paid"],
                "total": ["free"],
                "at": ["soon"],
                "day": ["2024-02-30"],
                "count": ["1,5"],
                "ok": ["maybe"],
            }
        ),
        EVERYTHING,
    )
    assert [(problem.code, problem.field, problem.values.to_pylist()) for problem in made.violations] == [
        ("phone.rounded", "subscriber.phone", ["9.2E+11"]),
        ("value.not_a_number", "value", ["free"]),
        ("property.not_a_date", "properties.at", ["soon"]),
        ("property.not_a_date", "properties.local", ["soon"]),
        ("property.not_a_date", "properties.day", ["2024-02-30"]),
        ("property.not_an_integer", "properties.count", ["1,5"]),
        ("property.not_a_boolean", "properties.ok", ["maybe"]),
        ("order_by.invalid", "order_by", ["soon"]),
        ("key.missing", "key", [""]),
    ]


def test_a_calculation_with_what_is_no_number_is_none() -> None:
    """Even where the text that shows it would read as one: ``€ - 5``, ``5 - €``."""
    cells = ["€", "EUR", "-", "+", "(", "$", "kr", "x"]
    for words in ("product_of", "sum_of", "difference_of"):
        for operands in (["a", {"const": 5}], [{"const": 5}, "a"]):
            made = events({"id": ["1"] * len(cells), "a": cells}, value={words: operands})
            assert made.value.null_count == len(cells)
            (found,) = made.violations
            assert (found.code, found.positions.tolist()) == ("value.not_a_number", [*range(len(cells))])


def test_a_currency_that_will_be_left_out_makes_no_major_units() -> None:
    """1999 cents of no known currency are not 1999 of none, and not 1999 of the default."""
    cells: dict[str, list[str | None]] = {"id": ["1"] * 4, "n": ["1999"] * 4, "c": ["EURO", "jpy", "XAU", None]}
    currency = {"column": "c", "on_invalid": "omit"}
    made = events(cells, value={"column": "n", "minor_units": True}, value_currency=currency)
    (found,) = made.violations
    assert (found.code, found.positions.tolist()) == ("currency.missing", [0, 2, 3])
    currency |= {"default": "EUR"}
    made = events(cells, value={"column": "n", "minor_units": True}, value_currency=currency)
    assert (made.value.to_pylist(), made.violations) == (["19.99", "1999", "19.99", "19.99"], ())


def test_a_value_that_is_left_out_has_no_currency_that_differs() -> None:
    words = {"column": "n", "on_invalid": "omit", "default": "5"}
    made = events({"id": ["1"], "n": ["$ free"]}, value=words, value_currency={"const": "EUR"})
    assert [one.code for one in made.violations] == ["field.omitted"]
    assert made.value.to_pylist() == ["5"]


def test_a_test_that_cannot_read_its_cell_is_a_reason_wherever_its_value_is_used() -> None:
    def cases(one: str, other: str) -> dict[str, Any]:
        use = [{"when": [{"column": "d", "above": 0}], "use": {"const": one}}, {"use": {"const": other}}]
        return {"cases": use}

    zone, place = cases("Europe/Vilnius", "Asia/Tokyo"), cases("LT", "LV")
    uses: list[dict[str, Any]] = [
        {"value": {"product_of": ["n", cases("1", "2")]}},
        {"value": {"sum_of": ["n", {"first_of": [cases("1", "2"), "n"]}]}},
        {"properties": {"at": {"column": "at", "as": "datetime", "timezone": zone}}},
        {"properties": {"a": {"template": "{x}", "parts": {"x": cases("1", "2")}}}},
        {"subscriber": {"id": "id", "phone": {"column": "phone", "country": place, "on_invalid": "omit"}}},
        {"group_by": cases("1", "2")},
        {"order_by": {**cases("1", "2"), "as": "integer"}},
        {"key": cases("1", "2")},
    ]
    cells = {"id": ["1", "2"], "n": ["3", "3"], "at": ["2026-01-31 08:15"] * 2, "phone": ["861234567"] * 2}
    for words in uses:
        made = events({**cells, "d": ["1", "oops"]}, **words)
        found = [one for one in made.violations if one.code == "where.not_a_number"]
        assert [(one.positions.tolist(), one.values.to_pylist()) for one in found] == [([1], ["oops"])], words


def test_the_place_in_order_has_the_kind_that_is_asked_for() -> None:
    cells: dict[str, list[str | None]] = {
        "id": ["1", "2", "3", "4"],
        "cell": ["10", "9.5", None, "99999999999999999999"],
    }
    bad = "order_by.invalid"
    expected: dict[str, tuple[Any, list[Any], list[int]]] = {
        "integer": (pa.int64(), [10, None, None, None], [1, 2, 3]),
        "number": (pa.string(), ["150021", "1500195", None, "1502099999999999999999999"], [2]),
        "text": (pa.string(), ["10", "9.5", None, "99999999999999999999"], [2]),
    }
    for kind, (place_type, places, invalid) in expected.items():
        made = events(cells, order_by={"column": "cell", "as": kind})
        assert made.order_value is not None
        assert (made.order_value.type, made.order_value.to_pylist()) == (place_type, places)
        assert {(code, position) for code, _, position, _ in found_problems(made)} == {(bad, one) for one in invalid}


def test_the_source_s_own_time_is_order_by_s_else_the_first_date_s() -> None:
    cells: dict[str, list[str | None]] = {
        "id": ["1", "2"],
        "a": ["2024-01-01", None],
        "b": ["2024-01-02T00:00:00+02:00", "?"],
        "n": ["1", "2"],
    }
    properties = {"n": "n", "b": {"column": "b", "as": "datetime"}, "a": {"column": "a", "as": "date"}}
    day = 1_704_067_200_000_000
    for order_by, expected in (
        ("a", [day, None]),
        ({"column": "n", "as": "integer"}, [day + 22 * 3_600_000_000, None]),
    ):
        made = events(cells, order_by=order_by, properties=properties)
        assert made.event_time is not None
        assert made.event_time.to_pylist() == expected
    assert events(cells, properties={"n": "n"}).event_time is None


def test_without_key_and_order_there_is_none() -> None:
    made = events({"id": ["1"]})
    assert (made.key, made.order_value, made.event_time) == (None, None, None)
    assert made.email.to_pylist() == made.value.to_pylist() == [None]


def test_a_chunk_without_rows_has_columns_without_rows() -> None:
    """A chunk of nothing but spoiled rows."""
    made = convert(chunk({"id": [], "at": [], "total": []}), EVERYTHING)
    assert (len(made.subscriber_id), len(made.key or ()), made.passes_filter.shape, made.violations) == (0, 0, (0,), ())


CELLS = """
x|5|5.50|1.234,56|$5|-0|1e400|2024-01-31|2024-01-31 08:15:00|31.1.2024|2024-03-31 03:30:00|2024-01-31T08:15:00Z
2024-02-30|+37061234567|861234567|9E+11|paid|void|true|maybe|ann@example.com|'17|\x00| |
"""
texts = st.sampled_from(CELLS.strip("\n").replace("\n", "|").split("|"))
NAMES = ["id", "email", "phone", "phone 2", "status", "total", "currency", "at", "day", "count", "ok"]
rows = st.lists(st.tuples(*(st.none() | texts for _ in NAMES)), min_size=1, max_size=12)


def summary(made: list[Events]) -> tuple[Any, ...]:
    """Events of consecutive chunks as plain values, positions counted through."""
    columns: dict[str, list[Any]] = {}
    problems: set[tuple[str, str, int, str]] = set()
    start = 0
    for one in made:
        found = {
            name: getattr(one, name) for name in ("subscriber_id", "email", "phone", "type", "value", "value_currency")
        }
        found |= {name: getattr(one, name) for name in ("key", "order_value", "event_time")}
        found |= {f"properties.{each.name}": each.values for each in one.properties}
        for name, values in found.items():
            columns.setdefault(name, []).extend(values.to_pylist())
        columns.setdefault("kept", []).extend(one.passes_filter.tolist())
        problems |= {(code, field, start + position, value) for code, field, position, value in found_problems(one)}
        start += len(one.passes_filter)
    return columns, problems


def cut(whole: Chunk, places: list[int]) -> list[Chunk]:
    edges = [0, *sorted(place for place in places if place < whole.count), whole.count]
    return [
        replace(
            whole,
            first_row=start + 1,
            count=end - start,
            table=whole.table.slice(start, end - start),
            rows=whole.rows[start:end],
            lines=whole.lines[start:end],
        )
        for start, end in itertools.pairwise(edges)
        if end > start
    ]


@settings(max_examples=30)
@given(rows, st.lists(st.integers(1, 11), max_size=4))
def test_how_rows_are_cut_into_chunks_does_not_matter(
    made_rows: list[tuple[str | None, ...]], places: list[int]
) -> None:
    whole = chunk(dict(zip(NAMES, map(list, zip(*made_rows, strict=True)), strict=True)))
    assert summary([SHAPER(part) for part in cut(whole, places)]) == summary([SHAPER(whole)])


@settings(max_examples=30)
@given(rows)
def test_every_array_has_the_rows_of_the_chunk_and_positions_ascend(made_rows: list[tuple[str | None, ...]]) -> None:
    made = SHAPER(chunk(dict(zip(NAMES, map(list, zip(*made_rows, strict=True)), strict=True))))
    columns = [made.subscriber_id, made.email, made.phone, made.type, made.value, made.value_currency]
    columns += [one.values for one in made.properties]
    assert {(column.type, len(column)) for column in columns} == {(pa.string(), len(made_rows))}
    for problem in made.violations:
        assert (np.diff(problem.positions) > 0).all()
        assert len(problem.values) == len(problem.positions)
        assert problem.values.null_count == 0
        assert made.passes_filter[problem.positions].all() or problem.code.startswith("filtered.")


@settings(max_examples=50)
@given(st.lists(st.none() | st.text(max_size=10), min_size=1, max_size=8))
def test_no_cell_raises(cells: list[str | None]) -> None:
    columns: dict[str, list[str | None]] = dict.fromkeys(NAMES, cells)
    SHAPER(chunk(columns))
