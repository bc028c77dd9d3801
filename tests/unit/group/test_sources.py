"""What a group means where sources end, break off, repeat each other, or hold what cannot be used."""

from __future__ import annotations

from typing import Any

from tests.unit.group.building import File, Row, group
from tests.unit.group.test_grouped import mapping

SUM: dict[str, Any] = {"column": "q", "as": "number", "aggregate": "sum"}
NOT_A_NUMBER = "property.not_a_number"
INVALID_ROW = "group.invalid_row"


def row(key: str | None, quantity: str | None = "1", **more: str | None) -> Row:
    return {"g": key, "id": "1", "q": quantity, **more}


def file(name: str, *rows: Row | None, **more: Any) -> File:
    return File(name, rows, **more)


def test_a_group_goes_on_in_the_next_source() -> None:
    made = group(mapping(properties={"sum": SUM}), file("a.csv", row("x"), row("y")), file("b.csv", row("x", "0.1")))
    assert made.group_heads == [-1, -1, 0]
    assert {place: event["sum"] for place, event in made.events.items()} == {0: "1.1", 1: "1"}


def test_a_faulty_row_in_another_source_is_named_with_it() -> None:
    made = group(mapping(properties={"sum": SUM}), file("a.csv", row("x")), file("b.csv", row("y"), row("x", "two")))
    assert made.violations == {
        (2, NOT_A_NUMBER, "properties.sum", "two"),
        (0, INVALID_ROW, "properties.sum", "b.csv, row 2"),
    }


def test_first_and_last_mind_only_the_cell_they_take() -> None:
    number = {"column": "q", "as": "number"}
    words = mapping(properties={"first": number, "last": number | {"aggregate": "last"}})
    rows = (
        row("x", "1"),
        row("x", "two"),
        row("x", "3"),
        row("y", "1"),
        row("y", "two"),
        row("z", "two"),
        row("z", "1"),
    )
    made = group(words, file("a.csv", *rows))
    assert made.violations == {
        (4, NOT_A_NUMBER, "properties.last", "two"),
        (3, INVALID_ROW, "properties.last", "row 5"),
        (5, NOT_A_NUMBER, "properties.first", "two"),
    }


def test_groups_of_a_source_that_broke_off_are_not_sent() -> None:
    """Its lost rows may belong to any of them, but not to groups that it never mentioned."""
    files = (file("a.csv", row("x"), row("y")), file("b.csv", row("x"), row("z"), breaks_off=True))
    made = group(mapping(), *files)
    assert made.errors == ["b.csv"]
    assert made.violations == {(0, "group.incomplete", "", "b.csv"), (3, "group.incomplete", "", "b.csv")}


def test_a_copy_of_a_source_is_not_added_up() -> None:
    rows = (row("x"), row("x", "2"))
    files = (file("a.csv", *rows, digest="1"), file("copy.csv", *rows, digest="1"), file("b.csv", row("x"), digest="2"))
    made = group(mapping(properties={"sum": SUM}), *files)
    assert made.group_heads == [-1, 0, -1, 2, 0]
    assert {place: event["sum"] for place, event in made.events.items()} == {0: "4", 2: "3"}


def test_a_default_stands_in_for_a_whole_group() -> None:
    """A continuation row that comes first does not hide what a later row says."""
    words = mapping(properties={"t": {"column": "t", "default": "EUR"}, "sum": SUM | {"default": "7"}})
    made = group(words, file("a.csv", row("x", None), row("x", None, t="USD"), row("y", "2")))
    assert [(one["t"], one["sum"]) for one in made.events.values()] == [("USD", "7"), ("EUR", "2")]


def test_a_default_that_cannot_be_read_is_a_fault_of_the_groups_that_need_it() -> None:
    made = group(mapping(properties={"sum": SUM | {"default": "none"}}), file("a.csv", row("x", None), row("y")))
    assert made.violations == {(0, NOT_A_NUMBER, "properties.sum", "none")}


def test_a_key_may_stand_in_any_row_of_the_group() -> None:
    made = group(mapping(key="t"), file("a.csv", row("x"), row("x", t="k1"), row("y")))
    assert [one["key"] for one in made.events.values()] == ["k1", None]
    assert made.violations == {(2, "key.missing", "key", "")}


def test_a_group_has_its_place_in_order() -> None:
    late = {"column": "at", "aggregate": "max"}
    made = group(mapping(order_by=late), file("a.csv", row("x", at="2026-01-01"), row("x", at="2026-01-02"), row("y")))
    assert made.events[0]["place"] == 1_767_312_000_000_000
    assert made.violations == {(2, "order_by.invalid", "order_by", "")}


def test_what_where_leaves_out_has_no_reasons() -> None:
    words = mapping(where=[{"column": "s", "equals": "paid"}], properties={"sum": SUM}, key="t")
    made = group(words, file("a.csv", row("x", "two"), row(None, "two"), row("x", "1")))
    assert (made.passes_filter, made.violations) == ([False, False, False], set())


def test_rows_that_cannot_be_read_stay_where_they_stood() -> None:
    made = group(mapping(), file("a.csv", None, row("x"), None, row("x"), sizes=(1, 3)), file("b.csv", None))
    assert made.group_heads == [-2, -1, -2, 1, -2]


def test_a_run_of_nothing_is_nothing() -> None:
    assert group(mapping(), file("a.csv"), file("b.csv")).group_heads == []


def test_sums_are_exact_beyond_64_bits_and_beyond_doubles() -> None:
    most = str(2**63 - 1)
    made = group(mapping(properties={"sum": SUM}), file("a.csv", row("x", most), row("x", most), row("x", "0.000001")))
    assert made.events[0]["sum"] == f"{2 * (2**63 - 1)}.000001"
