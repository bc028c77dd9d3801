"""How a rule's mask becomes problems, and what every rule asks of a column.

This module owns the shared handling of Arrow columns; the rules themselves are in the modules beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, Int64s, Violations
from importer.texts import text_bytes

LONGEST_FINITE = 308
"""A token of digits (with a point and a sign) this short is below 1.8e308, the largest float64."""


def problems(code: str, field: str, broken: ArrowArray, values: ArrowArray) -> Iterator[Violations]:
    """The rows where the boolean array ``broken`` is true (null: fine), with their values; nothing if there is none."""
    positions = positions_of(broken)
    if len(positions):
        yield Violations(code, field, positions, values.take(pa.array(positions)).fill_null(""))


def sizes(code: str, field: str, positions: Int64s, counts: ArrowArray) -> Iterator[Violations]:
    """Problems whose value is a size: ``2,049 bytes``."""
    if len(positions):
        values = pa.array([f"{count:,} bytes" for count in counts.to_pylist()], pa.string())
        yield Violations(code, field, positions, values)


def positions_of(mask: ArrowArray) -> Int64s:
    """0-based positions where a boolean array is true; null counts as false."""
    if not mask.true_count:
        return np.empty(0, np.int64)
    return np.flatnonzero(mask.fill_null(fill_value=False).to_numpy(zero_copy_only=False)).astype(np.int64)


def absent(values: ArrowArray) -> ArrowArray:
    """Whether a text is null, empty or blank, which the API's framework takes for the same; never null."""
    if values.null_count == len(values):
        return values.is_null()
    blank = pc.or_(pc.utf8_is_space(values), pc.equal(pc.binary_length(values), 0))
    return blank.fill_null(fill_value=True)


def not_finite(values: ArrowArray) -> ArrowArray:
    """Whether a JSON number token is beyond float64, or no number at all (``NaN``); null where the token is.

    The page says float: a token that a float64 takes for infinite would arrive as something else. Ordinary tokens
    are short and have no exponent, so hardly any is ever parsed.
    """
    lengths = pc.binary_length(values)
    suspect = pc.greater(lengths, LONGEST_FINITE)
    if text_bytes(values).max(initial=0) > ord("9"):
        suspect = pc.or_(suspect, pc.match_substring_regex(values, "[^0-9.+-]"))
    if not suspect.true_count:
        return suspect
    found = values.filter(suspect)
    return pc.replace_with_mask(
        suspect, suspect.fill_null(fill_value=False), pa.array([not _finite(t) for t in found.to_pylist()])
    )


def _finite(token: str) -> bool:
    try:
        return math.isfinite(float(token))
    except ValueError:
        return False
