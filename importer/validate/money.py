"""Rules on the event's type, its value and the value's currency.

This module owns which currency codes are current, retired, or no money. The page asks for an ISO 4217 code "(e.g.
USD, EUR)": codes are upper case, and a lower-case one (Stripe's exports) is refused with the hint to ``upper: true``,
because the API says nowhere that it takes them. A value without a currency, and the other way round, is allowed: the
page has them as two optional parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
from iso4217 import Currency

from importer.model import ArrowArray, Events, Violations
from importer.validate.columns import absent, not_finite, problems


def check(events: Events) -> Iterator[Violations]:
    """Every rule on type, value and value_currency."""
    yield from problems("type.missing", "type", absent(events.type), events.type)
    if events.value.null_count < len(events.value):
        yield from problems("value.not_finite", "value", not_finite(events.value), events.value)
    yield from _currency(events.value_currency)


def _currency(values: ArrowArray) -> Iterator[Violations]:
    odd = pc.invert(pc.is_in(values, CURRENT, skip_nulls=True))
    odd = pc.and_(odd, values.is_valid())
    if not odd.true_count:
        return
    no_money = pc.is_in(values, NOT_MONEY)
    retired = pc.is_in(values, retired_currencies())
    unknown = pc.and_not(odd, pc.or_(no_money, retired))
    for code, broken in (
        ("currency.unknown", unknown),
        ("currency.not_money", no_money),
        ("currency.retired", retired),
    ):
        yield from problems(code, "value_currency", broken, values)


@cache
def retired_currencies() -> ArrowArray:
    """Codes that CLDR knows and ISO 4217 no longer lists; CLDR is read only where a code is odd.

    CLDR also lists CNH, which is in use but never was an ISO 4217 code: its entry is open-ended without being tender.
    """
    from babel.core import get_global

    current = {currency.code for currency in Currency}
    never_official = {
        code
        for periods in get_global("territory_currencies").values()
        for code, _, until, tender in periods
        if until is None and not tender
    }
    return pa.array(sorted(set(get_global("all_currencies")) - current - never_official))


# ISO 4217 gives metals, bond units, tests and "no currency" (XAU, XDR, XTS, XXX …) no minor unit.
CURRENT = pa.array(sorted(currency.code for currency in Currency if currency.exponent is not None))
NOT_MONEY = pa.array(sorted(currency.code for currency in Currency if currency.exponent is None))
