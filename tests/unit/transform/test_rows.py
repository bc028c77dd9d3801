"""What a function of the user's makes of rows, and what is taken back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from importer.convert import RowMapper
from importer.mapping.model import ImportMapping
from importer.model import Chunk, Dialect, Events, Source
from importer.read import text_of
from importer.transform import Transform

MAPPING = ImportMapping.model_validate({
    "version": 1,
    "key": "order",
    "subscriber": {"id": "customer"},
    "type": {"const": "purchase"},
    "properties": {"order": "order", "note": "note", "tags": "tags"},
})  # fmt: skip


def transformed(tmp_path: Path, body: str) -> Events:
    """The events of four rows after ``body`` has changed the DataFrame ``df``."""
    (tmp_path / "clean.py").write_text(f"import pandas as pd, numpy as np\ndef clean(df):\n    {body}\n    return df\n")
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
    ):
        made = transformed(tmp_path, body)
        found = [one.positions.tolist() for one in made.violations if one.code == "property.nested"]
        assert found == [nested], body
