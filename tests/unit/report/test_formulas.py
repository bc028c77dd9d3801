"""Cells that a spreadsheet would take for a formula, and the way back."""

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer import roundtrip

CELLS = st.text(alphabet=st.sampled_from("'=+-@\t\r\n＝＋－＠0123456789., eE()ab"), max_size=8) | st.text(max_size=8)


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "\t=1", "\r=1", "\n=1", "＝1", "+1+2", "-A1", "+1 (555) 10"],
)
def test_a_formula_gets_an_apostrophe(cell: str) -> None:
    assert roundtrip.harmless(cell) == "'" + cell


@pytest.mark.parametrize(
    "cell", ["-12.50", "+370 612 34567", "-1.234,56", "-", "-1e5", "", "a=b", "'t Hooft", "'+3706"]
)
def test_a_number_a_phone_and_plain_text_stay(cell: str) -> None:
    assert roundtrip.harmless(cell) == cell


@settings(deadline=None)  # a shared machine stalls now and then
@given(CELLS)
@example("'=1")
@example("''=1")
def test_the_way_back_restores_every_cell(cell: str) -> None:
    assert roundtrip.original_cell(roundtrip.harmless(cell)) == cell


@settings(deadline=None)  # a shared machine stalls now and then
@given(st.lists(st.none() | CELLS, max_size=6))
@example(["=1", None, "+370\n", "-1e5\n", "'=", "''=2"])
def test_columns_and_single_cells_follow_one_rule(cells: list[str | None]) -> None:
    column = pa.array(cells, pa.string())
    harmless = roundtrip.harmless_column(column)
    assert harmless.to_pylist() == [None if cell is None else roundtrip.harmless(cell) for cell in cells]
    assert roundtrip.original(harmless).to_pylist() == cells
    assert roundtrip.original(column).to_pylist() == [None if c is None else roundtrip.original_cell(c) for c in cells]


def test_rejects_are_known_by_their_header() -> None:
    assert roundtrip.is_rejects(("Email", *roundtrip.APPENDED))
    assert not roundtrip.is_rejects(("Email", "importer"))
