"""What Arrow lacks: plain arrays out of columns, masks as numpy, and work on distinct leftovers.

Owns no rule of the mapping language; every function is about arrays alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, ArrowTable, Bools, Int64s

T = TypeVar("T")


def text_column(table: ArrowTable, name: str) -> ArrowArray:
    """The column as one plain ``string`` array; all null if the table has no such column."""
    place = table.schema.get_field_index(name)
    if place < 0:
        return absent(table.num_rows)
    column = table.column(place).combine_chunks()
    return column if column.type == pa.string() else column.cast(pa.string())


def absent(count: int) -> ArrowArray:
    """Strings, all null."""
    return pa.nulls(count, pa.string())


def flags(mask: ArrowArray) -> Bools:
    """A boolean Arrow array as numpy; null counts as false."""
    if mask.null_count:
        mask = pc.fill_null(mask, fill_value=False)
    found: Bools = mask.to_numpy(zero_copy_only=False)
    return found


def where_true(mask: ArrowArray) -> Int64s:
    """Positions at which the mask is true, ascending."""
    return np.flatnonzero(flags(mask)).astype(np.int64, copy=False)


def holds(mask: ArrowArray) -> bool:
    """Whether it is true anywhere."""
    return bool(pc.any(mask).as_py())


def without(texts: ArrowArray, mask: ArrowArray) -> ArrowArray:
    """The texts, null where the mask is true."""
    return pc.if_else(mask, None, texts) if holds(mask) else texts


def without_positions(texts: ArrowArray, positions: Int64s) -> ArrowArray:
    """The texts, null at these positions."""
    if not len(positions):
        return texts
    mask: Bools = np.zeros(len(texts), dtype=np.bool_)
    mask[positions] = True
    return pc.if_else(pa.array(mask), None, texts)


def without_blanks(texts: ArrowArray) -> ArrowArray:
    """The texts, null where they are empty or only white space."""
    blank = pc.or_(pc.equal(texts, ""), pc.utf8_is_space(texts))
    return without(texts, blank)


@dataclass(frozen=True, slots=True)
class Leftovers(Generic[T]):
    """What a fast path left over, worked out once per distinct text.

    ``results[codes[i]]`` belongs to position ``positions[i]``.
    """

    positions: Int64s
    results: tuple[T, ...]
    codes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: ArrowArray, done: ArrowArray, function: Callable[[str], T]) -> Leftovers[T]:
        """Apply the function to the distinct texts that are neither null nor done."""
        left = pc.and_(pc.invert(pc.fill_null(done, fill_value=False)), pc.is_valid(texts))
        positions = where_true(left)
        if not len(positions):
            return cls(positions, (), np.empty(0, np.int64))
        encoded = texts.take(pa.array(positions)).dictionary_encode()
        results = tuple(function(text) for text in encoded.dictionary.to_pylist())
        return cls(positions, results, encoded.indices.to_numpy().astype(np.int64, copy=False))

    def at(self, chosen: Sequence[bool]) -> Int64s:
        """Positions whose result is chosen (one flag per result), ascending."""
        return self.positions[np.array(chosen, dtype=np.bool_)[self.codes]] if self.results else self.positions

    def scattered(self, values: ArrowArray, pick: Callable[[T], str | int | None]) -> ArrowArray:
        """The values, each left-over position replaced by what ``pick`` makes of its result."""
        if not self.results:
            return values
        replacements = pa.array([pick(result) for result in self.results], values.type).take(pa.array(self.codes))
        mask: Bools = np.zeros(len(values), dtype=np.bool_)
        mask[self.positions] = True
        return pc.replace_with_mask(values, pa.array(mask), replacements)
