"""Which bytes of a block lie within quotes, for all of them at once, 64 bytes to a machine word.

This module owns settling blocks in which every quote stands where a quote may stand, which is nearly all of them; the
others are ``quotes``'s. The method is simdjson's (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019,
section 3.1.1): one bit for each byte, and a byte is within quotes if the bits of the quotes up to it add up to an odd
number. That takes a sixth of the time of finding the quotes and looking around each.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from importer.model import Bools, Int64s

_Words: TypeAlias = "npt.NDArray[np.uint64]"

_ONE, _LAST = np.uint64(1), np.uint64(63)
_DOUBLINGS = tuple(np.uint64(1 << power) for power in range(6))


def within_quotes(codes: npt.NDArray[np.uint8], places: Int64s, *, delimiter: bytes, quote: bytes) -> Bools | None:
    """Whether each of the places, none of them a quote's, lies within quotes; None where some quote is misplaced.

    The block begins outside of quotes. Within them, two quotes stand for one. A quote that opens must stand at the
    block's start or behind a delimiter, a line end or a quote, and one that closes before such or at the block's end.
    """
    quotes = codes == quote[0]
    edges = codes == delimiter[0]
    for code in b"\r\n":
        edges |= codes == code
    edges |= quotes
    quote_bits, edge_bits = _bits(quotes), _bits(edges)
    inside = _running_parity(quote_bits)
    before = edge_bits << _ONE
    before[1:] |= edge_bits[:-1] >> _LAST
    before[0] |= _ONE
    edge_bits[len(codes) >> 6] |= _ONE << np.uint64(len(codes) & 63)
    after = edge_bits >> _ONE
    after[:-1] |= edge_bits[1:] << _LAST
    if (quote_bits & ((inside & ~before) | (~inside & ~after))).any():
        return None
    found: Bools = ((inside[places >> 6] >> (places & 63).astype(np.uint64)) & _ONE).astype(np.bool_)
    return found


def _bits(mask: Bools) -> _Words:
    """A bit for each byte, the first the lowest, with room for one more."""
    packed = np.packbits(mask, bitorder="little")
    words = np.zeros((len(mask) >> 6) + 1, np.uint64)
    words.view(np.uint8)[: len(packed)] = packed
    return words


def _running_parity(bits: _Words) -> _Words:
    """Of each bit whether the bits up to it, itself included, add up to an odd number."""
    parity = bits.copy()
    for shift in _DOUBLINGS:
        parity ^= parity << shift
    carried = np.bitwise_xor.accumulate(parity >> _LAST)
    parity[1:] ^= np.uint64(0) - carried[:-1]
    return parity
