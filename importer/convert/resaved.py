"""Rejects that a European spreadsheet saved: semicolons between the cells, and a comma where the mapping has a dot."""

from __future__ import annotations

import pyarrow.compute as pc

from importer.mapping.model import ImportMapping, ValueMapping
from importer.model import Chunk, Source
from importer.roundtrip import is_rejects

_COMMA_DECIMALS = r"^\s*[-+]?[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})\s*$"
"""No other number is written so: between groups of three digits a comma may be a thousands sign."""


def may_be_resaved(source: Source) -> bool:
    """Whether the source is a file of rejects with semicolons."""
    return source.dialect.delimiter == ";" and not source.dialect.sheet and is_rejects(source.columns or ())


def number_columns(mapping: ImportMapping) -> tuple[str, ...]:
    """The columns whose numbers the mapping reads with a dot."""
    found = [name for target, one in mapping.fields() if _has_dot(target, one) for name in one.own_columns()]
    return tuple(dict.fromkeys(found))


def has_comma_decimals(chunk: Chunk, columns: tuple[str, ...]) -> bool:
    """Whether a cell of these columns has a decimal comma."""
    there = (chunk.table.column(name) for name in columns if name in chunk.table.column_names)
    return any(pc.any(pc.match_substring_regex(cells, _COMMA_DECIMALS)).as_py() for cells in there)


def with_both_signs(mapping: ImportMapping) -> ImportMapping:
    """The mapping, taking either decimal sign where it takes a dot; what can be read in two ways is no number then."""
    properties = {name: _both(f"properties.{name}", one) for name, one in mapping.properties.items()}
    value = None if mapping.value is None else _both("value", mapping.value)
    return mapping.model_copy(update={"value": value, "properties": properties})


def _has_dot(target: str, one: ValueMapping) -> bool:
    is_number = target == "value" or one.as_ in ("number", "integer")
    return is_number and one.decimal in (None, ".") and one.thousands is None


def _both(target: str, one: ValueMapping) -> ValueMapping:
    """The value, and those that it chooses from or calculates with, with either sign."""
    inner = {
        name: tuple(_both("value" if target == "value" or name != "first_of" else target, part) for part in parts)
        for name in ("first_of", "product_of", "sum_of", "difference_of")
        if (parts := getattr(one, name, None))
    }
    signs = {"decimal": (".", ",")} if _has_dot(target, one) else {}
    return one.model_copy(update={**inner, **signs})
