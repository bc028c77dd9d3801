"""`more_properties`: columns that nothing else uses, as members of the event's properties, of the types they came with.

All of a row's are one text, the inside of a JSON object, since each row of JSON may have other ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import LONGEST_TEXT, absent, holds, violations, where_true, without
from importer.convert.cells import Cells
from importer.convert.numbers import NumberForm, NumberReader
from importer.json_columns import Member, joined, object_pieces
from importer.mapping.columns import UnusedColumns
from importer.model import ArrowArray, Chunk, Violations

_BOOLEANS = pa.array(["true", "false"])
_NUMBERS = NumberReader(NumberForm())


def more_properties(
    chunk: Chunk, cells: Cells, unused: UnusedColumns, others: Mapping[str, ArrowArray]
) -> tuple[ArrowArray, list[Violations]]:
    """The members of each row, null where it has none; and the cells that cannot be properties.

    ``others`` are the columns of the properties that the mapping names, by their targets.
    """
    members: list[Member] = []
    found: list[Violations] = []
    filled: dict[str, ArrowArray] = {}
    for column in chunk.table.column_names:
        name = unused.property_of(column)
        if name is None:
            continue
        target = f"properties.{name}"
        texts, nested = cells.column(column).texts, chunk.nested.get(column)
        if nested is not None:
            found += violations("property.nested", target, pc.and_(nested, pc.is_valid(texts)), texts)
            texts = without(texts, nested)
        before = filled.get(target, pc.is_valid(others[target]) if target in others else None)
        if before is not None:
            twice = pc.and_(before, pc.is_valid(texts))
            found += violations("property.repeated", target, twice, texts)
            texts = without(texts, twice)
        filled[target] = pc.is_valid(texts) if before is None else pc.or_(before, pc.is_valid(texts))
        made, broken = _members(name, target, texts, chunk.literal.get(column))
        members += made
        found += broken
    return _joined(members, cells.count), found


def _members(
    name: str, target: str, texts: ArrowArray, literal: ArrowArray | None
) -> tuple[list[Member], list[Violations]]:
    """A column as members: its texts, and its numbers and booleans."""
    found: list[Violations] = []
    members = []
    if literal is not None and holds(literal):
        tokens = without(texts, pc.invert(literal))
        texts = without(texts, literal)
        is_boolean = pc.is_in(tokens, value_set=_BOOLEANS)
        numbers = _NUMBERS(without(tokens, is_boolean))
        for error, positions in numbers.errors:
            found.append(Violations(f"property.{error}", target, positions, tokens.take(pa.array(positions))))
        members.append(Member(name, pc.if_else(is_boolean, tokens, numbers.values), quoted=False))
    lengths = pc.binary_length(texts)
    positions = where_true(pc.greater(lengths, LONGEST_TEXT))
    if len(positions):
        sizes = [f"{size:,} bytes" for size in lengths.take(pa.array(positions)).to_pylist()]
        found.append(Violations("property.text_too_long", target, positions, pa.array(sizes)))
    members.append(Member(name, texts, quoted=True))
    return [one for one in members if one.values.null_count < len(one.values)], found


def _joined(members: list[Member], count: int) -> ArrowArray:
    if not members:
        return absent(count)
    pieces, there = object_pieces(members, count)
    # A null separator makes a null row, whatever its pieces.
    separator = "" if there is None else pc.if_else(there, "", pa.scalar(None, pa.string()))
    return joined(pieces, separator)
