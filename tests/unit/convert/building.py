"""Chunks and mappings written down by hand, for the tests of shaping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from importer.convert import RowMapper
from importer.convert.arrays import ConversionError, Converted
from importer.mapping.model import ImportMapping, ValueMapping
from importer.model import Chunk, Dialect, Events, Source

SOURCE = Source(name="orders.csv", path=None, dialect=Dialect(format="csv"), columns=None)
Cells = Sequence[str | None]


def convert(chunk: Chunk, mapping: ImportMapping) -> Events:
    return RowMapper(mapping)(chunk)


def strings(values: Cells) -> Any:
    return pa.array(values, pa.string())


def chunk(columns: Mapping[str, Cells], *, nested: Mapping[str, Sequence[bool]] | None = None) -> Chunk:
    """A chunk of these columns, whose rows start at line 2."""
    table = pa.table({name: strings(values) for name, values in columns.items()})
    count = table.num_rows
    rows = np.arange(1, count + 1, dtype=np.int64)
    flags = {name: pa.array(values, pa.bool_()) for name, values in (nested or {}).items()}
    return Chunk(SOURCE, 1, count, table, rows, rows + 1, (), flags, None)


def mapping(**targets: Any) -> ImportMapping:
    """A mapping with a type and a subscriber, unless told otherwise."""
    whole = {"version": 1, "subscriber": {"id": "id"}, "type": {"const": "purchase"}} | targets
    return ImportMapping.model_validate(whole)


def events(columns: Mapping[str, Cells], **targets: Any) -> Events:
    """The events that a mapping makes of columns."""
    return convert(chunk(columns), mapping(**targets))


def pick(**words: Any) -> ValueMapping:
    """A pick of the column ``cell``, unless told otherwise."""
    return ValueMapping.model_validate(
        words if words.keys() & {"const", "first_of", "template"} else {"column": "cell"} | words
    )


def cell(text: str | None, **words: Any) -> str | None:
    """What becomes of one cell as a property: its value, or the code of what is wrong with it."""
    made = events({"id": ["1"], "cell": [text]}, properties={"it": pick(**words)})
    if made.violations:
        (problem,) = made.violations
        assert (problem.field, problem.positions.tolist()) == ("properties.it", [0])
        return problem.code
    value: str | None = made.properties[0].values[0].as_py()
    return value


def outcomes(converted: Converted) -> list[str | ConversionError | None]:
    """A converted column as a list: the value, or the fault in its place."""
    found: list[str | ConversionError | None] = converted.values.to_pylist()
    for fault, positions in converted.errors:
        for position in positions.tolist():
            assert found[position] is None, "a fault has no value"
            found[position] = fault
    return found


def found_problems(made: Events) -> set[tuple[str, str, int, str]]:
    """Every problem as (code, field, position, value)."""
    return {
        (problem.code, problem.field, position, value)
        for problem in made.violations
        for position, value in zip(problem.positions.tolist(), problem.values.to_pylist(), strict=True)
    }
