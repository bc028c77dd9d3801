"""Currencies: which codes are current, retired or no money, their decimals, and the signs that are written for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc
from iso4217 import Currency

from importer.columns import where_true
from importer.model import ArrowArray, Int64s

CURRENT = {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}
"""Current ISO 4217 codes, and how many decimals their amounts have (JPY 0, EUR 2, KWD 3)."""
NOT_MONEY = frozenset(currency.code for currency in Currency if currency.exponent is None)
"""Codes to which ISO 4217 gives no decimals: metals, bond units, tests and "no currency" (XAU, XDR, XTS, XXX …)."""

_DOLLARS = (
    "ARS AUD BBD BMD BND BRL BSD BZD CAD CLP COP CUP CVE DOP FJD GYD HKD JMD KYD LRD MOP MXN NAD NIO NZD SBD SGD SRD"
    " TOP TTD TWD USD UYU WST XCD"
)
SIGNS: dict[str, frozenset[str]] = {
    sign: frozenset(codes.split())
    for sign, codes in {
        "$": _DOLLARS, "£": "GBP EGP FKP GIP LBP SDG SHP SSP SYP", "€": "EUR", "¥": "JPY CNY", "￥": "JPY CNY",
        "₹": "INR", "₩": "KRW KPW", "₪": "ILS", "₫": "VND", "₱": "PHP", "₽": "RUB", "₺": "TRY", "₴": "UAH",
        "₦": "NGN", "฿": "THB", "₡": "CRC", "₲": "PYG", "₸": "KZT", "₼": "AZN", "₾": "GEL", "₿": "", "¤": "",
        "₵": "GHS", "₭": "LAK", "₮": "MNT",
        "Kč": "CZK", "Ft": "HUF", "kn": "HRK", "kr": "SEK NOK DKK ISK", "kr.": "SEK NOK DKK ISK", "lei": "RON MDL",
        "zł": "PLN", "лв": "BGN", "лв.": "BGN", "руб": "RUB BYN", "руб.": "RUB BYN", "грн": "UAH", "грн.": "UAH",
        "Rs": "INR PKR LKR NPR MUR SCR", "Rs.": "INR PKR LKR NPR MUR SCR", "Rp": "IDR", "Rp.": "IDR", "RM": "MYR",
        "TL": "TRY", "Fr": "CHF", "Fr.": "CHF", "S/": "PEN", "S/.": "PEN",
    }.items()
}  # fmt: skip
"""Signs and abbreviations of amounts, and the currencies that are written with them (none: any)."""
_PREFIXED_DOLLARS = {"US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "HK$": "HKD",
                     "S$": "SGD", "MX$": "MXN", "R$": "BRL", "NT$": "TWD"}  # fmt: skip


def contradicts(one: str, other: str) -> bool:
    """Whether no currency is written with both of these signs or codes (``$``, ``USD``, ``kr``)."""
    codes = currencies_of(one)
    return bool(codes) and bool(currencies_of(other)) and codes.isdisjoint(currencies_of(other))


def currencies_of(sign: str) -> frozenset[str]:
    """The currencies that are written with this sign or code; empty: any may be. ``RD$`` is one of the dollars."""
    if sign in _PREFIXED_DOLLARS:
        return frozenset({_PREFIXED_DOLLARS[sign]})
    for known in (sign, sign[-1:]):
        if known in SIGNS:
            return SIGNS[known]
    return frozenset({sign} if sign in NOT_MONEY or decimals(sign) is not None else ())


def contradicting(signs: ArrowArray, others: ArrowArray) -> Int64s:
    """Positions at which the two contradict each other; null contradicts nothing."""
    pairs = pc.binary_join_element_wise(signs, others, "\x1f").dictionary_encode()
    wrong = pa.array([contradicts(*pair.split("\x1f")) for pair in pairs.dictionary.to_pylist()], pa.bool_())
    return where_true(wrong.take(pairs.indices))


def agreed(signs: Sequence[ArrowArray]) -> ArrowArray:
    """Of each row's signs the one that says most, empty where it has none; null where they contradict each other."""
    together = pc.binary_join_element_wise(*(one.fill_null("") for one in signs), " ").dictionary_encode()
    found = pa.array([_agreed(text.split()) for text in together.dictionary.to_pylist()], pa.string())
    return found.take(together.indices)


def _agreed(signs: Sequence[str]) -> str | None:
    if any(contradicts(one, other) for one, other in combinations(signs, 2)):
        return None
    return min(signs, key=lambda sign: len(currencies_of(sign)) or len(CURRENT), default="")


def decimals(code: str) -> int | None:
    """How many decimals amounts in this currency have; None for what is no currency, current or retired."""
    if code in CURRENT:
        return CURRENT[code]
    if code not in retired():
        return None
    from babel.core import get_global

    fractions = get_global("currency_fractions")
    return int(fractions.get(code, fractions["DEFAULT"])[0])


@cache
def retired() -> frozenset[str]:
    """Codes that CLDR knows and ISO 4217 no longer lists; CLDR is read only for a code that ISO 4217 does not list.

    CLDR also lists CNH, which is in use but never was an ISO 4217 code: its entry is open-ended without being tender.
    """
    from babel.core import get_global

    never_official = {
        code
        for periods in get_global("territory_currencies").values()
        for code, _, until, tender in periods
        if until is None and not tender
    }
    return frozenset(get_global("all_currencies")) - CURRENT.keys() - NOT_MONEY - never_official
