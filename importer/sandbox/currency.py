"""Which currency codes an event may carry.

Owns the sandbox's reading of ISO 4217; the lists themselves are the ``iso4217`` package's (current codes) and the
CLDR's, through Babel (codes of the past).
"""

from __future__ import annotations

import functools
from typing import Literal

from iso4217 import Currency

_CURRENT = frozenset(currency.code for currency in Currency if currency.exponent is not None)
_NOT_MONEY = frozenset(currency.code for currency in Currency if currency.exponent is None)
"""Metals, funds, tests and "no currency": whatever ISO 4217 gives no minor unit."""

Standing = Literal["current", "retired", "not_money", "unknown"]


def standing(code: str) -> Standing:
    """How a code stands in ISO 4217; codes are upper case there, and so they must be here."""
    if code in _CURRENT:
        return "current"
    if code in _NOT_MONEY:
        return "not_money"
    return "retired" if code in _ever_used() else "unknown"


@functools.cache
def _ever_used() -> frozenset[str]:
    from babel.numbers import list_currencies  # asked for by rare events only, and it costs 50 ms

    # The offshore yuan has a code in the CLDR, but never had one in ISO 4217.
    return frozenset(list_currencies()) - {"CNH"}
