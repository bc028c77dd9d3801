"""The ways in which a group's values become one, each for a whole column and all groups at once.

This module owns what each word of ``aggregate`` means. All of them can be applied in two rounds, first to the rows of
a chunk, then to what came of several chunks (a ``count`` is a sum then), and give the same as in one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.exact import DecimalColumn, sums
from importer.group.columns import Column
from importer.group.layout import NONE, Layout
from importer.mapping.rules import CHOOSING
from importer.model import ArrowArray, Bools, Int64s


@dataclass(frozen=True, slots=True)
class Values:
    """A column of rows, or of parts of groups."""

    values: ArrowArray
    """Null: absent, or faulty."""
    faulty: Bools
    """True where shaping found fault with the cell."""
    ranks: ArrowArray | None = None
    """Integers by which the values are compared, where they do not compare themselves (times)."""


@dataclass(frozen=True, slots=True)
class Aggregated:
    """A column of groups."""

    values: ArrowArray
    ranks: ArrowArray | None
    used: Bools
    """Of each row that went in: whether a fault of it is one of the group, because its value counts."""


def aggregate(column: Column, layout: Layout, given: Values) -> Aggregated:
    """One value per group, in the groups' order; a group without values has null, or the count ``0``."""
    valid = _valid(given.values)
    if column.how in CHOOSING:
        candidates = valid | given.faulty
        chosen = layout.first(candidates) if column.how == "first" else layout.last(candidates)
        used = np.zeros(len(valid), np.bool_)
        used[chosen[chosen != NONE]] = True
        return Aggregated(_taken(given.values, chosen), None, used)
    every = np.ones(len(valid), np.bool_)
    if column.how in ("min", "max"):
        ranks = _ranks(column, given, valid)
        chosen = layout.least(valid, ranks if column.how == "min" else -ranks)
        taken_ranks = None if given.ranks is None else _taken(given.ranks, chosen)
        return Aggregated(_taken(given.values, chosen), taken_ranks, every)
    if column.how == "count":
        return Aggregated(pa.array(layout.counts(valid)).cast(pa.string()), None, every)
    positions, groups, starts = layout.ordered(valid)
    values = given.values.take(pa.array(positions))
    made = _joined(values, starts, column.separator) if column.how == "join" else _added(values, starts)
    at = np.full(layout.count, NONE)
    at[groups] = np.arange(len(groups))
    return Aggregated(_taken(made, at), None, every)


def _added(tokens: ArrowArray, starts: Int64s) -> ArrowArray:
    return sums(DecimalColumn.of(tokens), starts).tokens()


def _joined(texts: ArrowArray, starts: Int64s, separator: str) -> ArrowArray:
    offsets = pa.array(np.append(starts, len(texts)), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts), separator)


def _ranks(column: Column, given: Values, valid: Bools) -> Int64s:
    """Integers in the order of the values; anything where there is none."""
    ranks = np.zeros(len(valid), np.int64)
    if given.ranks is not None:
        ranks[valid] = given.ranks.drop_null().to_numpy()
    elif column.is_number:
        ranks[valid] = DecimalColumn.of(given.values.drop_null()).ranks()
    else:
        ranks[valid] = pc.rank(given.values.drop_null(), tiebreaker="dense").to_numpy().astype(np.int64)
    return ranks


def _valid(values: ArrowArray) -> Bools:
    found: Bools = values.is_valid().to_numpy(zero_copy_only=False)
    return found


def _taken(values: ArrowArray, at: Int64s) -> ArrowArray:
    return values.take(pa.array(at, mask=at == NONE))
