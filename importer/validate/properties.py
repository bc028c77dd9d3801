"""Rules on the properties: each text at most 2KB, all of them at most 8KB.

This module owns how those sizes are counted: 2,048 bytes of UTF-8 before escaping, and 8,192 bytes of the compact JSON
object that is sent. Whether a cell is a number, a boolean or a date is ``shape``'s. Integers pass up to the largest
float64: the page says integers and names no width, and a 19-digit id must keep its digits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.json_columns import LONGEST_ESCAPE, Member, concatenate, needs_escapes, object_pieces
from importer.model import ArrowArray, Events, Int64s, Property, Violations
from importer.validate.columns import not_finite, positions_of, problems, sizes

LONGEST_TEXT = 2_048
"""Bytes of UTF-8 in one text value."""
LARGEST_OBJECT = 8_192
"""Bytes of compact JSON that all properties take together."""


def check(events: Events) -> Iterator[Violations]:
    """Every rule on properties."""
    for each in events.properties:
        field = f"properties.{each.name}"
        if each.kind in ("integer", "number"):
            yield from problems("property.not_finite", field, not_finite(each.values), each.values)
        elif each.kind != "boolean":
            lengths = pc.binary_length(each.values)
            positions = positions_of(pc.greater(lengths, LONGEST_TEXT))
            yield from sizes("property.text_too_long", field, positions, lengths.take(pa.array(positions)))
    yield from _too_large(events.properties)


def _too_large(properties: tuple[Property, ...]) -> Iterator[Violations]:
    members = [Member.of_property(each) for each in properties]
    suspects = _suspects(members)
    if not len(suspects):
        return
    rows = pa.array(suspects)
    picked = [Member(member.key, member.values.take(rows), member.quoted) for member in members]
    taken = pc.binary_length(concatenate(object_pieces(picked)))
    too_large = positions_of(pc.greater(taken, LARGEST_OBJECT))
    yield from sizes("properties.too_large", "properties", suspects[too_large], taken.take(pa.array(too_large)))


def _suspects(members: list[Member]) -> Int64s:
    """Rows whose object may be too large by an upper bound of its size: only those are encoded to be measured."""
    growths = [_growth(member) for member in members]
    constant = 2 + sum(len((member.before() + member.after()).encode()) + 1 for member in members)
    most = [pc.max(pc.binary_length(member.values)).as_py() or 0 for member in members]
    if constant + sum(length * growth for length, growth in zip(most, growths, strict=True)) <= LARGEST_OBJECT:
        return np.empty(0, np.int64)
    bounds = sum(_lengths(member.values) * growth for member, growth in zip(members, growths, strict=True))
    return np.flatnonzero(bounds + constant > LARGEST_OBJECT).astype(np.int64)


def _growth(member: Member) -> int:
    return LONGEST_ESCAPE if member.quoted and needs_escapes(member.values) else 1


def _lengths(values: ArrowArray) -> Int64s:
    lengths: Int64s = pc.binary_length(values).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths
