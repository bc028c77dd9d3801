"""What a function of the user's makes of rows, and what is taken back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from importer.convert import RowMapper
from importer.errors import TransformError
from importer.mapping.model import ImportMapping
from importer.model import Chunk, Dialect, Events, Source
from importer.read import text_of
from importer.transform import Transform

IMPORTS = """import datetime as dt
from decimal import Decimal
import numpy as np
import pandas as pd
NAIVE = pd.Timestamp("2026-01-31 08:15:00.000000001")
"""
MAPPING = ImportMapping.model_validate({
    "version": 1,
    "key": "order",
    "subscriber": {"id": "customer"},
    "type": {"const": "purchase"},
    "properties": {"order": "order", "note": "note", "tags": "tags"},
})  # fmt: skip


def transformed(tmp_path: Path, body: str) -> Events:
    """The events of four rows after ``body`` has changed the DataFrame ``df``."""
    (tmp_path / "clean.py").write_text(f"{IMPORTS}def clean(df):\n    {body}\n    return df\n")
    table = pa.table(
        {
            "order": ["5", "6", "7", "8"],
            "customer": ["1234567890123456789", "1234567890123456788", "3", "4"],
            "note": pa.array(["a", "b", None, "d"], pa.string()),
            "tags": ['["x"]', '["y"]', None, "z"],
        }
    )
    rows = np.arange(1, 5)
    nested = {"tags": pa.array([True, True, False, False])}
    source = Source("orders.jsonl", None, Dialect("jsonl"), None)
    chunk = Chunk(source, 1, 4, table, rows, rows, (), nested, None)
    changed, remaining = Transform(f"{tmp_path / 'clean.py'}:clean", text_of)(chunk)
    return RowMapper(MAPPING)(changed, remaining)


def columns(made: Events) -> dict[str, Any]:
    assert made.key is not None
    found = {one.name: one.values.to_pylist() for one in made.properties}
    return {"key": made.key.to_pylist(), "id": made.subscriber_id.to_pylist(), **found}


def test_rows_that_are_left_keep_their_integers(tmp_path: Path) -> None:
    """Also those of 19 digits, whatever rows are left out, and in whatever order they come."""
    made = transformed(
        tmp_path,
        "df = df.astype({'order': 'int64', 'customer': 'int64'}); df = df[df.order != 6][::-1]",
    )
    assert made.passes_filter.tolist() == [True, False, True, True]
    found = columns(made)
    assert [found["key"][row] for row in (0, 2, 3)] == ["5", "7", "8"]
    assert [found["id"][row] for row in (0, 2, 3)] == ["1234567890123456789", "3", "4"]
    filtered = [(one.code, one.field, one.positions.tolist()) for one in made.violations if "filtered" in one.code]
    assert filtered == [("filtered.transform", "--transform", [1])]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("df['note'] = [1.5, np.nan, 2.0, 3.0]", ["1.5", None, "2", "3"]),
        ("df['note'] = pd.Series([1, np.nan, 'x', None], index=df.index, dtype=object)", ["1", None, "x", None]),
        ("df['note'] = [True, 'x', pd.NA, pd.NaT]", ["true", "x", None, None]),
        (
            "df['note'] = pd.to_datetime(['2026-01-31 08:15', None, None, None])",
            ["2026-01-31T08:15:00", None, None, None],
        ),
        ("df['note'] = pd.period_range('2026-01', periods=4, freq='M')", ["2026-01", "2026-02", "2026-03", "2026-04"]),
        ("df['note'] = pd.to_timedelta([90, -1, None, 0], unit='m')", ["PT5400S", "-PT60S", None, "PT0S"]),
        (
            "df['note'] = pd.Series([2**70, 1j, dt.date(2026, 1, 31), Decimal('1E+3')], df.index, dtype=object)",
            ["1180591620717411303424", "1j", "2026-01-31", "1000"],
        ),
        (
            "df['note'] = pd.Series([b'x', NAIVE.tz_localize('UTC'), NAIVE.tz_localize('Japan'), NAIVE], df.index)",
            [
                "x",
                "2026-01-31T08:15:00.000000001Z",
                "2026-01-31T08:15:00.000000001+09:00",
                "2026-01-31T08:15:00.000000001",
            ],
        ),
        (
            "df['note'] = pd.Series([dt.date(2026, 1, 31), dt.datetime(2026, 1, 31, 8), None, None], df.index)",
            ["2026-01-31", "2026-01-31T08:00:00", None, None],
        ),
    ],
)
def test_missing_values_are_empty_cells(tmp_path: Path, body: str, expected: list[str | None]) -> None:
    assert columns(transformed(tmp_path, body))["note"] == expected


def test_nested_values_keep_their_mark(tmp_path: Path) -> None:
    """Whether the function leaves them alone, changes them, or makes new ones beside text."""
    for body, nested in (
        ("df['order'] = df['order']", [0, 1]),
        ("df.loc[1, 'tags'] = 'plain'", [1]),
        ("df['tags'] = [{'a': 1}, 'text', ['b'], None]", [0, 2]),
        ("df['tags'] = [{'a': 1}, {'a': 'x'}, ['b', 1], None]", [0, 1, 2]),
    ):
        made = transformed(tmp_path, body)
        found = [one.positions.tolist() for one in made.violations if one.code == "property.nested"]
        assert found == [nested], body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("df['note'] = ['a', 'b', b'\\xff', None]", "returned what is no text, in row 3, column note"),
        ("df = pd.concat([df, df[['note']]], axis=1)", r"come twice: \['note', 'note'\]"),
        ("df.index = pd.MultiIndex.from_product([df.index, [0]])", r"rows that it was not given.*\[\(1, 0\)"),
    ],
)
def test_what_cannot_be_taken_back_is_an_error(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(TransformError, match=words):
        transformed(tmp_path, body)


def test_what_the_function_prints_is_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformed(tmp_path, "print('seen')")
    assert capsys.readouterr() == ("", "seen\n")
