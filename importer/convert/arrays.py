"""What the conversion of a column gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import mask_of, where_true
from importer.model import ArrowArray, Int64s

T = TypeVar("T")


class ConversionError(StrEnum):
    """Why a text could not be converted: the last part of a reason code (``property.not_a_number``)."""

    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    NOT_AN_INTEGER = "not_an_integer"
    NOT_A_BOOLEAN = "not_a_boolean"
    NOT_A_DATE = "not_a_date"
    AMBIGUOUS_DATE = "ambiguous_date"
    UNKNOWN_ZONE = "unknown_zone"
    NESTED = "nested"
    ROUNDED = "rounded"
    DECIMAL = "decimal"
    NO_COUNTRY = "no_country"
    UNKNOWN_COUNTRY = "unknown_country"
    NOT_A_PHONE = "invalid"
    AMBIGUOUS_PHONE = "ambiguous"


Errors: TypeAlias = tuple[tuple[ConversionError, Int64s], ...]
"""Errors with ascending positions; a position has one error at most."""


class Converted(msgspec.Struct, frozen=True):
    """A column after its conversion."""

    values: ArrowArray
    """Canonical text, null where absent or in error (phones: as found where in error)."""
    errors: Errors = ()
    instants: ArrowArray | None = None
    """For dates and times: int64 microseconds since the epoch (naive times taken as UTC), null like ``values``."""


class DistinctValues(msgspec.Struct, Generic[T], frozen=True):
    """A function's results for the distinct texts among those that a vectorised step left over.

    ``results[codes[i]]`` belongs to position ``positions[i]``.
    """

    positions: Int64s
    results: tuple[T, ...]
    codes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: ArrowArray, done: ArrowArray | None, function: Callable[[str], T]) -> DistinctValues[T]:
        """Apply the function to each distinct text that is neither null nor ``done`` (booleans; None: no text is)."""
        left = pc.is_valid(texts)
        if done is not None:
            left = pc.and_not(left, pc.fill_null(done, fill_value=False))
        positions = where_true(left)
        if not len(positions):
            return cls(positions, (), np.empty(0, np.int64))
        encoded = texts.take(pa.array(positions)).dictionary_encode()
        results = tuple(function(text) for text in encoded.dictionary.to_pylist())
        return cls(positions, results, encoded.indices.to_numpy().astype(np.int64, copy=False))

    def at(self, chosen: Sequence[bool]) -> Int64s:
        """Ascending positions whose result is chosen (one flag per result)."""
        return self.positions[np.array(chosen, dtype=np.bool_)[self.codes]] if self.results else self.positions

    def errors(self) -> Errors:
        """The positions whose result is a `ConversionError`."""
        found = dict.fromkeys(result for result in self.results if isinstance(result, ConversionError))
        return tuple((error, self.at([result is error for result in self.results])) for error in found)

    def put_into(self, values: ArrowArray, value: Callable[[T], str | int | None]) -> ArrowArray:
        """The values, with ``value(result)`` at each position that was left over."""
        if not self.results:
            return values
        made = [None if isinstance(result, ConversionError) else value(result) for result in self.results]
        replacements = pa.array(made, values.type).take(pa.array(self.codes))
        return pc.replace_with_mask(values, pa.array(mask_of(self.positions, len(values))), replacements)
