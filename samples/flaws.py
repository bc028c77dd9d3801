"""What is wrong with some rows of the samples, and the reason codes an import must give for them; row 1 is the first.

`generate.py` puts these into otherwise sound exports; the tests compare a run's report with the codes here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Flaw:
    """Cells that replace a sound row's, and what the report must say of the row."""

    cells: Mapping[str, str]
    codes: tuple[str, ...]
    """In any order; empty for what looks odd but is fine."""
    state: str = "invalid"


@dataclass(frozen=True, slots=True)
class RawFlaw:
    """A record that no CSV writer would write."""

    record: bytes
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NestedFlaw:
    """Values by dotted path (JSONL) or column (Parquet) that replace a sound row's."""

    changes: Mapping[str, Any]
    codes: tuple[str, ...]


NOBODY = {"email": "", "phone": "", "sender_id": ""}

PURCHASE_FLAWS: Mapping[int, Flaw] = {
    # Who it is about.
    40: Flaw(NOBODY, ("subscriber.missing",)),
    41: Flaw({**NOBODY, "email": "   "}, ("subscriber.missing",)),
    75: Flaw({"email": "customer at example.com"}, ("email.invalid",)),
    76: Flaw({"email": "customer@example..com"}, ("email.invalid",)),
    77: Flaw({"email": "one@example.com, two@example.com"}, ("email.invalid",)),
    130: Flaw({"phone": "+1 call me"}, ("phone.invalid",)),
    131: Flaw({"phone": "+1 202"}, ("phone.invalid",)),
    180: Flaw({"phone": "(202) 555-0143"}, ("phone.no_country",)),
    181: Flaw({"phone": "07700 900123"}, ("phone.no_country",)),
    230: Flaw({"phone": "4.477E+11"}, ("phone.rounded",)),
    # What happened.
    300: Flaw({"event": ""}, ("type.missing",)),
    340: Flaw({"event": "test"}, ("filtered.where",), state="filtered"),
    341: Flaw({"event": "TEST", **NOBODY}, ("filtered.where",), state="filtered"),
    400: Flaw({"total": "n/a"}, ("value.not_a_number",)),
    401: Flaw({"total": "12,50"}, ("value.not_a_number",)),
    440: Flaw({"total": "Infinity"}, ("value.not_finite",)),
    441: Flaw({"total": "NaN"}, ("value.not_finite",)),
    460: Flaw({"total": "9.999", "currency": "EUR"}, ("value.decimals",), state="sent"),
    461: Flaw({"total": "$12.50", "currency": "EUR"}, ("value.other_currency",)),
    500: Flaw({"currency": "EURO"}, ("currency.unknown",)),
    501: Flaw({"currency": "US$"}, ("currency.unknown",)),
    540: Flaw({"currency": "XAU"}, ("currency.not_money",)),
    541: Flaw({"currency": "xts"}, ("currency.not_money",)),
    580: Flaw({"currency": "HRK"}, ("currency.retired",), state="sent"),
    581: Flaw({"currency": "LTL"}, ("currency.retired",), state="sent"),
    # Properties.
    650: Flaw({"quantity": "1.5"}, ("property.not_an_integer",)),
    651: Flaw({"quantity": "two"}, ("property.not_an_integer",)),
    700: Flaw({"discount": "10%"}, ("property.not_a_number",)),
    740: Flaw({"discount": "-Infinity"}, ("property.not_finite",)),
    800: Flaw({"gift": "perhaps"}, ("property.not_a_boolean",)),
    850: Flaw({"delivery_date": "2024-02-30"}, ("property.not_a_date",)),
    851: Flaw({"delivery_date": "next week"}, ("property.not_a_date",)),
    900: Flaw({"delivery_note": "x" * 2049}, ("property.text_too_long",)),
    901: Flaw({"delivery_note": "é" * 1025}, ("property.text_too_long",)),
    902: Flaw({"delivery_note": "é" * 1024}, (), state="sent"),
    950: Flaw(
        dict.fromkeys(("items", "coupon", "gift_message", "delivery_note", "last_name"), "y" * 2000),
        ("properties.too_large",),
    ),
    # Order and key.
    1000: Flaw({"ordered_at": "yesterday"}, ("order_by.invalid", "property.not_a_date")),
    1050: Flaw({"order_id": ""}, ("key.missing",)),
    1099: Flaw({}, ("key.conflict",)),
    1100: Flaw({"order_id": "A101099"}, ("key.conflict",)),
    1151: Flaw({}, ("duplicate.key",), state="duplicate"),
    1160: Flaw({"order_id": "1160.5"}, ("key.decimal",), state="sent"),
    1170: Flaw({"sender_id": "11.7"}, ("id.decimal",), state="sent"),
    # Several at once.
    1200: Flaw(
        {"email": "nobody@", "total": "free", "currency": "???", "quantity": "many"},
        ("email.invalid", "value.not_a_number", "currency.unknown", "property.not_an_integer"),
    ),
    # Odd, but fine.
    1300: Flaw({"items": "=SUM(A1:A9)", "coupon": "007"}, (), state="sent"),
    1301: Flaw({**NOBODY, "sender_id": "00000000000000000042"}, (), state="sent"),
    1302: Flaw({"total": "", "currency": ""}, (), state="sent"),
    1303: Flaw({"total": "1e3"}, (), state="sent"),
}

REPEATED_PURCHASES: Mapping[int, int] = {1151: 1150}
"""Rows that are another row again, to the letter, and that row."""

RAW_PURCHASES: Mapping[int, RawFlaw] = {
    1400: RawFlaw(b"A101400,2024-12-17 10:00:00,Too,Short\n", ("row.ragged",)),
    1401: RawFlaw(
        b"A101401,2024-12-17 10:05:00,Too,Long,long@example.com,,00001,purchase,9.40,EUR,,Tea, 100 g,1,,no,,,,\n",
        ("row.ragged",),
    ),
    1420: RawFlaw(
        b"order_id,ordered_at,first_name,last_name,email,phone,sender_id,event,total,currency,discount,items,quantity,"
        b"coupon,gift,delivery_date,gift_message,delivery_note\n",
        ("row.repeated_header",),
    ),
    1450: RawFlaw(
        b"A101450,2024-12-29 11:00:00,Ren\xe9,Latin,rene@example.com,,00002,purchase,4.20,EUR,,Soap,1,,no,,,\n",
        ("row.undecodable",),
    ),
    3000: RawFlaw(
        b'A103000,2026-01-21 12:00:00,Never,Closed,never@example.com,,00003,purchase,4.20,EUR,,"Soap,1,,no,,,\n',
        ("row.unclosed_quote",),
    ),
}

EVENT_FLAWS: Mapping[int, NestedFlaw] = {
    100: NestedFlaw({"product.name": ["Enamel mug", "blue"]}, ("property.nested",)),
    101: NestedFlaw({"product.dimensions.weight_g": {"net": 50}}, ("property.nested",)),
    150: NestedFlaw({"user": None}, ("subscriber.missing",)),
    200: NestedFlaw({"product.price": "on request"}, ("value.not_a_number",)),
    250: NestedFlaw({"product.in_stock": "sometimes"}, ("property.not_a_boolean",)),
    300: NestedFlaw({"event": None}, ("type.missing",)),
    350: NestedFlaw({"campaign": None}, ()),
    400: NestedFlaw({"occurred_at": "2026-13-01T00:00:00Z"}, ("order_by.invalid", "property.not_a_date")),
}

BROKEN_EVENT_LINES: Mapping[int, tuple[str, ...]] = {450: ("row.not_json",)}

ORDER_FLAWS: Mapping[int, NestedFlaw] = {
    60: NestedFlaw({"customer": None}, ("subscriber.missing",)),
    120: NestedFlaw({"currency": "ZZZ"}, ("currency.unknown",)),
    180: NestedFlaw({"weight_kg": float("nan")}, ()),
    181: NestedFlaw({"weight_kg": float("inf")}, ("property.not_finite",)),
    240: NestedFlaw(
        {"customer": {"sender_id": None, "email": "info(at)example.com", "phone": None, "address": None}},
        ("email.invalid",),
    ),
    300: NestedFlaw({"placed_at": dt.datetime(1969, 7, 20, 20, 17, tzinfo=dt.UTC)}, ()),
}
