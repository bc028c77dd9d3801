"""Amounts and the currency of their row: minor units, and signs of another currency."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import holds, where_true
from importer.convert.numbers import shifted
from importer.currencies import contradicts, decimals
from importer.model import ArrowArray, Int64s

_NO_SIGN = r"[0-9.,'’_()+\-−\s]+|^[0-9.,]+[eE][+-]?[0-9]+$"  # noqa: RUF001 # what amounts are written with


def from_minor_units(tokens: ArrowArray, currencies: ArrowArray) -> tuple[ArrowArray, Int64s]:
    """Amounts in minor units (cents) → major ones by the decimals of each row's currency (JPY 0, EUR 2, KWD 3).

    Beside them the positions of amounts whose row has no currency. An unknown currency is an error of its own, so its
    amounts stay as they are.
    """
    for code in pc.unique(currencies.filter(pc.is_valid(tokens))).drop_null().to_pylist():
        places = decimals(code)
        if places:
            mask = pc.fill_null(pc.and_(pc.equal(currencies, code), pc.is_valid(tokens)), fill_value=False)
            tokens = pc.replace_with_mask(tokens, mask, shifted(tokens.filter(mask), -places))
    return tokens, where_true(pc.and_(pc.is_valid(tokens), pc.is_null(currencies)))


def contradicting(texts: ArrowArray, tokens: ArrowArray, currencies: ArrowArray) -> Int64s:
    """Positions of amounts that are written with the sign or code of another currency than the row's."""
    signed = pc.and_(pc.match_substring_regex(texts, r"[^0-9.,'’_()+\-−\seE]"), pc.is_valid(tokens))  # noqa: RUF001
    signed = pc.fill_null(pc.and_(signed, pc.is_valid(currencies)), fill_value=False)
    if not holds(signed):
        return np.empty(0, np.int64)
    signs = pc.replace_substring_regex(texts.filter(signed), _NO_SIGN, "")
    pairs = pc.binary_join_element_wise(signs, currencies.filter(signed), "\x1f").dictionary_encode()
    wrong = pa.array([contradicts(*pair.split("\x1f")) for pair in pairs.dictionary.to_pylist()])
    return where_true(signed)[where_true(wrong.take(pairs.indices))]
