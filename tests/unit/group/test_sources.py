"""What a group means where sources end, break off, repeat each other, or hold what cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from importer.errors import SpaceError
from importer.model import ArrowTable, Violations
from importer.spill import Extent, SpillFile
from tests.unit.group.building import File, Row, group
from tests.unit.group.test_grouped import mapping

ROOT = Path(__file__).parents[3]
SUM: dict[str, Any] = {"column": "q", "as": "number", "aggregate": "sum"}
NOT_A_NUMBER = "property.not_a_number"
INVALID_ROW = "group.invalid_row"
INCOMPLETE = "group.incomplete"
CONFLICT = "group.conflict"
REPEATED = "group.repeated"
DIFFERS = "group.differs"


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
        (0, DIFFERS, "properties.first", "1 in row 1, 3 in row 3"),
        (4, NOT_A_NUMBER, "properties.last", "two"),
        (3, INVALID_ROW, "properties.last", "row 5"),
        (5, NOT_A_NUMBER, "properties.first", "two"),
    }


def test_groups_of_a_source_that_broke_off_are_not_sent() -> None:
    """Its lost rows may belong to any of them, but not to groups that it never mentioned."""
    files = (file("a.csv", row("x"), row("y")), file("b.csv", row("x"), row("z"), breaks_off=True))
    made = group(mapping(), *files)
    assert made.errors == ["b.csv"]
    assert made.violations == {
        (0, INCOMPLETE, "", "b.csv broke off"),
        (2, INCOMPLETE, "", "b.csv broke off"),
        (3, INCOMPLETE, "", "b.csv broke off"),
    }


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


def test_what_where_leaves_out_has_no_other_reasons() -> None:
    words = mapping(where=[{"column": "s", "equals": "paid"}], properties={"sum": SUM}, key="t")
    made = group(words, file("a.csv", row("x", "two"), row(None, "two"), row("x", "1")))
    assert made.passes_filter == [False, False, False]
    assert made.violations == {(row, "filtered.where", "s equals paid", "") for row in range(3)}


def test_rows_that_cannot_be_read_stay_where_they_stood() -> None:
    made = group(mapping(), file("a.csv", None, row("x"), None, row("x"), sizes=(1, 3)), file("b.csv", None))
    assert made.group_heads == [-2, -1, -2, 1, -2]


def test_a_run_of_nothing_is_nothing() -> None:
    assert group(mapping(), file("a.csv"), file("b.csv")).group_heads == []


def test_sums_are_exact_beyond_64_bits_and_beyond_doubles() -> None:
    most = str(2**63 - 1)
    made = group(mapping(properties={"sum": SUM}), file("a.csv", row("x", most), row("x", most), row("x", "0.000001")))
    assert made.events[0]["sum"] == f"{2 * (2**63 - 1)}.000001"


def test_rows_that_differ_in_who_the_event_is_about_are_all_invalid_and_named() -> None:
    """A blank is no difference, and neither is an address in capitals."""
    words = mapping(subscriber={"id": "id", "email": "t"})
    rows = (
        row("x", t="ada@example.com"),
        row("y", t="Bo@example.com"),
        row("x", t=None),
        row("x", t="zoe@example.com"),
        row("y", t="bo@EXAMPLE.com"),
    )
    made = group(words, file("a.csv", *rows[:3]), file("b.csv", *rows[3:]))
    near = "ada@example.com in row 1, zoe@example.com in b.csv, row 1"
    far = "ada@example.com in a.csv, row 1, zoe@example.com in row 1"
    assert made.violations == {
        (0, CONFLICT, "subscriber.email", near),
        (2, CONFLICT, "subscriber.email", near),
        (3, CONFLICT, "subscriber.email", far),
    }


def test_no_sum_is_made_of_two_currencies() -> None:
    words = mapping(value=SUM | {"as": None}, value_currency={"column": "s", "default": "GBP"})
    made = group(words, file("a.csv", row("x", s="EUR"), row("x", s="USD"), row("y", s="EUR"), row("y")))
    value = "EUR in row 1, USD in row 2"
    assert made.violations == {(0, CONFLICT, "value_currency", value), (1, CONFLICT, "value_currency", value)}


def test_orders_that_several_files_have_whole_are_not_made_into_one() -> None:
    """Two nights' exports that overlap, or two shops with the same number and the same customer."""
    words = mapping(key={"first_of": ["t", "g"]}, value="q", properties={"n": {"column": "p", "aggregate": "join"}})
    order, line = row("x", "25", t="501", p="Mug"), row("x", None, p="Cup")
    repeated = group(words, file("a.csv", order, line), file("b.csv", row("y", "1"), order, row("x", None, p="Hat")))
    assert repeated.violations == {
        (0, REPEATED, "", "row 1 and b.csv, row 2"),
        (1, REPEATED, "", "row 1 and b.csv, row 2"),
        (3, REPEATED, "", "a.csv, row 1 and row 2"),
        (4, REPEATED, "", "a.csv, row 1 and row 2"),
    }
    for other in (row("x", "99", t="901", p="Lamp"), row("x", "25", t="901", p="Lamp")):
        made = group(words, file("a.csv", order), file("b.csv", other))
        assert {code for _, code, *_ in made.violations} == {REPEATED}


def test_an_order_whose_lines_go_on_in_the_next_file_is_one() -> None:
    words = mapping(key={"first_of": ["t", "g"]}, value="q", properties={"n": {"column": "p", "aggregate": "join"}})
    made = group(words, file("a.csv", row("x", "25", t="501", p="Mug")), file("b.csv", row("x", None, p="Cup")))
    assert (made.violations, made.events[0]["n"]) == (set(), "Mug, Cup")


def test_a_row_that_two_files_have_is_not_added_up_twice() -> None:
    """Nor without a key; where nothing is added up, the row says nothing new and the group is one event."""
    night, next_night = file("a.csv", row("x"), row("y", "7")), file("b.csv", row("y", "7"), row("z"))
    made = group(mapping(value=SUM | {"as": None}), night, next_night)
    assert made.violations == {
        (1, REPEATED, "", "row 2 and b.csv, row 1"),
        (2, REPEATED, "", "a.csv, row 2 and row 1"),
    }
    made = group(mapping(value="q"), night, next_night)
    assert (made.violations, made.events[1]["value"]) == (set(), "7")
    made = group(mapping(value="q"), night, file("b.csv", row("y", "8")))
    assert {code for _, code, *_ in made.violations} == {REPEATED}


def test_rows_that_differ_in_what_the_first_one_says_are_named() -> None:
    """Blank cells, numbers written in two ways, and what the mapping itself calls the first are no difference."""
    words = mapping(
        value="q",
        key={"first_of": ["t", "g"]},
        properties={"o'clock": "at", "said": {"column": "p", "aggregate": "first"}},
    )
    rows = (
        row("x", "5", t="k", at="1", p="1"),
        row("x", "5.00", p="2"),
        row("x", None),
        row("x", "6"),
        row("y", "1", at="1"),
        row("y", None, at="2"),
        row("y", None, at="3"),
        row("z", t="k1"),
        row("z", t="k2"),
    )
    made = group(words, file("a.csv", *rows[:6]), file("b.csv", *rows[6:]))
    assert made.violations == {
        (0, DIFFERS, "value", "5 in row 1, 6 in row 4"),
        (4, DIFFERS, "properties.o'clock", "1 in row 5, 2 in row 6"),
        (7, DIFFERS, "key", "k1 in row 2, k2 in row 3"),
    }


def test_members_of_more_properties_in_which_rows_differ_are_named() -> None:
    words = mapping(more_properties={"columns": "*"})
    said = ('"a": 1, "b": "x"', '"a": 1, "b": "y"', '"c": 2')
    more = pa.array(said)
    made = group(
        words,
        file("a.csv", row("x"), row("x"), row("x")),
        change=lambda one: replace(one, more_properties=more),
    )
    assert {one for one in made.violations if one[1] == DIFFERS} == {
        (0, DIFFERS, "properties.b", '"x" in row 1, "y" in row 2')
    }


def test_groups_beside_an_unreadable_row_wait_for_it() -> None:
    """It may belong to the group before, to the group after, or to one that goes on behind it; not to others."""
    rows = (row("x"), row("w"), row(None), None, None, row("y"), row("y"), row("x"), row("z"))
    made = group(mapping(), file("a.csv", *rows), file("b.csv", row("v")))
    incomplete = {(place, value) for place, code, _, value in made.violations if code == INCOMPLETE}
    assert incomplete == {(place, "row 4 cannot be read") for place in (0, 1, 5, 6, 7)}


def test_a_group_that_an_unreadable_row_of_another_source_interrupts_waits_too() -> None:
    made = group(mapping(), file("a.csv", row("x"), row("y"), None), file("b.csv", row("z"), row("x")))
    assert {(place, value) for place, _, _, value in made.violations} == {
        (0, "row 3 cannot be read"),
        (1, "row 3 cannot be read"),
        (4, "a.csv, row 3 cannot be read"),
    }


def test_a_test_that_cannot_read_a_cell_makes_its_group_invalid_and_never_filters_it() -> None:
    """Conversion says so with an error of the row whose field is `where`."""
    words = mapping(where=[{"column": "s", "equals": "paid"}])
    unread = Violations("row.unreadable", "where", np.array([1]), pa.array(["12 euro"]))
    made = group(
        words, file("a.csv", row("x"), row("x"), row("y")), change=lambda one: replace(one, violations=(unread,))
    )
    assert made.passes_filter == [True, True, False]
    assert made.violations == {
        (1, "row.unreadable", "where", "12 euro"),
        (0, INVALID_ROW, "where", "row 2"),
        (2, "filtered.where", "s equals paid", ""),
    }


def test_a_warning_about_a_row_is_one_about_its_event() -> None:
    """So with `--strict` the event is not sent."""
    warned = Violations("currency.retired", "value_currency", np.array([1]), pa.array(["HRK"]))
    made = group(mapping(), file("a.csv", row("x"), row("x")), change=lambda one: replace(one, violations=(warned,)))
    assert made.violations == {(place, "currency.retired", "value_currency", "HRK") for place in (0, 1)}


def test_every_row_that_a_test_leaves_out_names_the_test_and_its_own_cell() -> None:
    words = mapping(where=[{"column": "s", "equals": "paid"}])
    rows = (row("x", s="paid"), row("y", s="open"), row("y"), row(None, s="lost"))
    made = group(words, file("a.csv", *rows))
    assert made.passes_filter == [True, False, False, False]
    assert made.violations == {
        (1, "filtered.where", "s equals paid", "open"),
        (2, "filtered.where", "s equals paid", ""),
        (3, "filtered.where", "s equals paid", "lost"),
    }


def test_cells_pass_through_as_they_are() -> None:
    """Zero bytes, quotes, and texts that look like marks or numbers."""
    texts = ["a\x00b", "!", "=1", "'", "00.10", "é😀"]
    words = mapping(properties={"joined": {"column": "t", "aggregate": "join"}, "t": "t"})
    made = group(words, file("a.csv", *(row("x", t=text) for text in texts), row("y\x00", t="!"), row("y", t="2")))
    assert [(one["joined"], one["t"]) for one in made.events.values()] == [
        (", ".join(texts), texts[0]), ("!", "!"), ("2", "2"),
    ]  # fmt: skip


def test_a_disk_without_room_is_said_to_be_one() -> None:
    """A limit on the size of files stands for a full disk."""
    code = (
        "import resource, sys; from tests.unit.group import test_sources as t\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))\n"
        "try: t.group(t.mapping(), t.file('a.csv', *[t.row(str(n)) for n in range(20_000)]))\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.startswith("error: the rows that wait for their groups cannot be kept in /"), done.stderr
    assert "hint: make room there, or name a directory with room for three copies of the files: TMPDIR=" in done.stdout


def test_a_disk_that_fills_up_while_groups_are_made_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are still being read then; that does not hide the reason."""
    written = SpillFile.write_table

    def write_table(self: SpillFile, table: ArrowTable) -> Extent:
        if "head" in table.column_names:
            raise SpaceError("the disk is full")
        return written(self, table)

    monkeypatch.setattr(SpillFile, "write_table", write_table)
    with pytest.raises(SpaceError, match="the disk is full"):
        group(mapping(), file("a.csv", row("x"), row("y")))


@pytest.mark.parametrize("size", [1, 200, 400])
def test_groups_are_whole_however_the_rows_are_cut(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("importer.group._BLOCK_BYTES", size)
    keys = ["x", "y", "x", "z", "z", "x", "w", "x"]
    made = group(mapping(properties={"sum": SUM}), file("a.csv", *map(row, keys), sizes=(2, 1)))
    assert {place: event["sum"] for place, event in made.events.items()} == {0: "4", 1: "1", 3: "2", 6: "1"}
    assert made.group_heads == [-1, -1, 0, -1, 3, 0, -1, 0]
