"""What a conversion gives back: canonical texts, and the positions that could not be converted, by fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from importer.convert.arrays import Leftovers
from importer.model import ArrowArray, Int64s


class Fault(StrEnum):
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
    NO_COUNTRY = "no_country"
    UNKNOWN_COUNTRY = "unknown_country"


Faults: TypeAlias = tuple[tuple[Fault, Int64s], ...]
"""Positions per fault, ascending; a position has one fault at most."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A column after its conversion."""

    values: ArrowArray
    """Canonical text, null where absent or faulty (phones: as found where faulty)."""
    faults: Faults = ()
    instants: ArrowArray | None = None
    """For dates and times: int64 microseconds since the epoch (naive times taken as UTC), null like ``values``."""


def faults_of(leftovers: Leftovers[Any]) -> Faults:
    """The faults among the results of what a fast path left over."""
    found = [fault for fault in Fault if any(result is fault for result in leftovers.results)]
    return tuple((fault, leftovers.at([result is fault for result in leftovers.results])) for fault in found)


def together(count: int, parts: Sequence[tuple[Int64s, Converted]]) -> Converted:
    """A column of ``count`` rows out of parts that were converted apart, each with its rows; the rest is null."""
    places = np.concatenate([rows for rows, _ in parts]) if parts else np.empty(0, np.int64)
    backwards = np.full(count, -1, np.int64)
    backwards[places] = np.arange(len(places))
    source = pa.array(backwards, mask=backwards < 0)

    def joined(arrays: Sequence[ArrowArray], kind: Any) -> ArrowArray:
        return pa.chunked_array(arrays, kind).combine_chunks().take(source)

    faults: dict[Fault, list[Int64s]] = {}
    for rows, part in parts:
        for fault, positions in part.faults:
            faults.setdefault(fault, []).append(rows[positions])
    values = joined([part.values for _, part in parts], pa.string())
    instants = [part.instants for _, part in parts if part.instants is not None]
    found = tuple((fault, np.sort(np.concatenate(positions))) for fault, positions in faults.items())
    return Converted(values, found, joined(instants, pa.int64()) if len(instants) == len(parts) else None)
