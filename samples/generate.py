"""Writes the sample exports beside it: ``python -m samples.generate``; the same bytes every time.

Everything in them is invented: addresses end in example.com, .org or .net, phone numbers lie in ranges that are
set aside for fiction. This file owns the sound rows; ``flaws.py`` owns what is wrong with some of them, and why.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from samples.flaws import (
    BROKEN_EVENT_LINES,
    EVENT_FLAWS,
    ORDER_FLAWS,
    PURCHASE_FLAWS,
    RAW_PURCHASES,
    REPEATED_PURCHASES,
)

HERE = Path(__file__).parent
PURCHASES, EVENTS, ORDERS = 3_000, 600, 400
UTC = dt.UTC

COLUMNS = (
    "order_id", "ordered_at", "first_name", "last_name", "email", "phone", "sender_id", "event", "total", "currency",
    "discount", "items", "quantity", "coupon", "gift", "delivery_date", "gift_message", "delivery_note",
)  # fmt: skip
FIRST_NAMES = (
    "Ada", "Björn", "Chloé", "Dimitra", "Emeka", "Fatima", "Gündüz", "Hana", "Ines", "João", "Kamala", "Łucja", "Mei",
    "Ngozi", "Olena", "Pádraig", "Quentin", "Rūta", "Siobhán", "Tomás", "Uma", "Vytautas", "Wiremu", "陽子", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Ångström", "Brown", "Čapek", "D'Arcy", "Eriksson", "Fitzgerald", "García", "Hoffmann", "Ivanova", "Jansen",
    "Kowalski", "Lindqvist", "Müller", "Nakamura", "O'Neill", "Petraitis", "Quispe", "Rossi", "Šimkus", "Tanaka",
)  # fmt: skip
GOODS = (
    ("Enamel mug, blue", "14.50"), ("Linen tea towel", "11.00"), ("Oak bread board, 40 cm", "39.90"),
    ('Candle "Autumn"', "18.25"), ("Wool throw", "79.00"), ("Notebook, dotted", "7.95"), ("Tea, 100 g", "9.40"),
    ("Crème brûlée dishes (4)", "24.00"), ("Poster “Vilnius”", "21.50"), ("Soap", "4.20"),
)  # fmt: skip
COUPONS = ("", "", "", "", "WELCOME10", "SPRING", "0042")
GIFT_MESSAGES = ("Happy birthday!", "With love,\nMum & Dad", 'For the "new" kitchen', "Ačiū už viską 🎁")
DELIVERY_NOTES = ("Leave at the door", "Ring twice,\nthen wait", "c/o reception; 2nd floor", "Třetí patro, vlevo")


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who does not exist."""

    id: str
    first_name: str
    last_name: str
    email: str
    phone: str
    """E.164, or empty."""


def customers(count: int = 450) -> list[Customer]:
    """Invented people; no two share an id, an address or a number."""
    rng = random.Random(20261)
    people = []
    for number in range(count):
        domain = ("example.com", "example.org", "example.net", "shop.example.com")[number % 4]
        american = f"+1{(202, 212, 303)[number % 3]}55501{number // 3:02d}"
        phone = american if number < 300 else f"+447700900{number}"
        people.append(
            Customer(
                id=f"{number:05d}",
                first_name=rng.choice(FIRST_NAMES),
                last_name=rng.choice(LAST_NAMES),
                email=f"customer{number:03d}{('', '+shop')[number % 7 == 0]}@{domain}",
                phone="" if number % 5 == 0 else phone,
            )
        )
    return people


def written(phone: str, rng: random.Random) -> str:
    """A number as people type it: with spaces, hyphens, or ``00`` for the plus."""
    if phone.startswith("+44"):
        return rng.choice((phone, f"+44 7700 {phone[-6:]}", f"0044 7700 {phone[-6:-3]} {phone[-3:]}"))
    if phone.startswith("+1"):
        return rng.choice((phone, f"+1 {phone[2:5]}-555-{phone[-4:]}", f"+1 ({phone[2:5]}) 555-{phone[-4:]}"))
    return phone


def purchase(number: int, at: dt.datetime, who: Customer, rng: random.Random) -> dict[str, str]:
    """One sound row of purchases.csv."""
    basket = [rng.choice(GOODS) for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))]
    total = sum((Decimal(price) for _, price in basket), Decimal())
    refund = rng.random() < 0.04
    row = {
        "order_id": f"A{100_000 + number}",
        "ordered_at": at.strftime("%Y-%m-%d %H:%M:%S"),
        "first_name": who.first_name,
        "last_name": who.last_name,
        "email": who.email if rng.random() < 0.92 or not who.phone else "",
        "phone": written(who.phone, rng) if rng.random() < 0.7 else "",
        "sender_id": who.id if rng.random() < 0.8 else "",
        "event": "Refund" if refund else rng.choice(("purchase", "purchase", "Purchase")),
        "total": f"{-total if refund else total}",
        "currency": rng.choice(("EUR", "EUR", "EUR", "USD", "GBP", "sek", "JPY")),
        "discount": rng.choice(("", "", "", "5", "2.50", "0")),
        "items": "; ".join(name for name, _ in basket),
        "quantity": str(len(basket)),
        "coupon": rng.choice(COUPONS),
        "gift": rng.choice(("no", "no", "no", "yes")),
        "delivery_date": (at + dt.timedelta(days=rng.randrange(2, 9))).date().isoformat(),
        "gift_message": rng.choice(GIFT_MESSAGES) if rng.random() < 0.1 else "",
        "delivery_note": rng.choice(DELIVERY_NOTES) if rng.random() < 0.15 else "",
    }
    if row["currency"] == "JPY":  # there is no smaller unit than the yen
        row["total"] = str(int(Decimal(row["total"]) * 100))
    return row if row["email"] or row["phone"] else {**row, "sender_id": who.id}


def purchases() -> bytes:
    """The content of purchases.csv: UTF-8 with one undecodable row, LF, quoted where needed."""
    rng = random.Random(20262)
    people = customers()
    day = dt.datetime(2024, 1, 2, tzinfo=UTC)
    lines: list[bytes] = [b",".join(name.encode() for name in COLUMNS) + b"\n"]
    for number in range(1, PURCHASES + 1):
        at = day + dt.timedelta(days=number // 4, seconds=rng.randrange(8 * 3600, 22 * 3600))
        row = purchase(number, at, rng.choice(people), rng)
        if number in RAW_PURCHASES:
            lines.append(RAW_PURCHASES[number].record)
            continue
        if number in REPEATED_PURCHASES:
            lines.append(lines[REPEATED_PURCHASES[number]])
            continue
        if number in PURCHASE_FLAWS:
            row |= PURCHASE_FLAWS[number].cells
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow(row)
        lines.append(text.getvalue().encode())
    return b"".join(lines)


def event(number: int, who: Customer, rng: random.Random) -> dict[str, Any]:
    """One sound object of events.jsonl; types differ from line to line, as in logs that grew over years."""
    at = dt.datetime(2026, 3, 1, 9, tzinfo=UTC) + dt.timedelta(minutes=37 * number)
    price = GOODS[number % len(GOODS)][1]
    record: dict[str, Any] = {
        "id": f"evt_{number:06d}",
        "event": ("product_viewed", "cart_updated", "checkout_started")[rng.randrange(3)],
        "user": {"sender_id": int(who.id) if number % 2 else str(int(who.id)), "email": who.email},
        "product": {
            "sku": f"SKU-{number % len(GOODS):03d}",
            "name": GOODS[number % len(GOODS)][0],
            "price": float(price) if number % 3 else price,
            "in_stock": bool(number % 4),
            "dimensions": {"weight_g": 50 * (number % 9), "colour": rng.choice(("red", "blue", None))},
        },
        "tags": ["new", "sale"] if number % 2 else [],
        "session": 9_007_199_254_740_993 + number,
        "occurred_at": at.isoformat(timespec="seconds"),
    }
    if who.phone:
        record["user"]["phone"] = who.phone
    if number > EVENTS // 2:  # a column that first appears late
        record["campaign"] = {"name": "spring-sale", "step": number % 3}
    return record


def events() -> bytes:
    """The content of events.jsonl: one object a line, and one line that broke off."""
    rng = random.Random(20263)
    people = customers()
    lines = []
    for number in range(1, EVENTS + 1):
        record = event(number, rng.choice(people), rng)
        if number in EVENT_FLAWS:
            for path, value in EVENT_FLAWS[number].changes.items():
                *parents, last = path.split(".")
                place = record
                for parent in parents:
                    place = place[parent]
                place[last] = value
        line = json.dumps(record, ensure_ascii=False)
        lines.append(line[: len(line) // 3] if number in BROKEN_EVENT_LINES else line)
    return "".join(f"{line}\n" for line in lines).encode()


ORDER_SCHEMA = pa.schema(
    {
        "order_id": pa.int64(),
        "customer": pa.struct(
            {
                "sender_id": pa.string(),
                "email": pa.string(),
                "phone": pa.string(),
                "address": pa.struct({"city": pa.string(), "country": pa.string()}),
            }
        ),
        "total": pa.decimal128(18, 4),
        "currency": pa.dictionary(pa.int8(), pa.string()),
        "paid": pa.bool_(),
        "weight_kg": pa.float64(),
        "lines": pa.int16(),
        "placed_at": pa.timestamp("us", tz="UTC"),
        "packed_at": pa.timestamp("ms"),
        "ships_on": pa.date32(),
    }
)


def order(number: int, who: Customer, rng: random.Random) -> dict[str, Any]:
    """One sound row of orders.parquet."""
    at = dt.datetime(2025, 6, 1, 7, 30, tzinfo=UTC) + dt.timedelta(minutes=93 * number, microseconds=number)
    city = rng.choice((("Kaunas", "LT"), ("Köln", "DE"), ("Sligo", "IE"), (None, "US")))
    return {
        "order_id": 7_000_000_000_000_000_000 + number,
        "customer": {
            "sender_id": who.id,
            "email": who.email,
            "phone": who.phone or None,
            "address": {"city": city[0], "country": city[1]} if number % 11 else None,
        },
        "total": Decimal(rng.randrange(100, 90_000_000) // 100).scaleb(-2) if number % 50 else None,
        "currency": rng.choice(("EUR", "USD")),
        "paid": None if number % 13 == 0 else number % 3 != 0,
        "weight_kg": rng.randrange(1, 400) / 8,
        "lines": number % 7 + 1,
        "placed_at": at,
        "packed_at": None if number % 9 == 0 else at.replace(tzinfo=None, microsecond=0) + dt.timedelta(hours=5),
        "ships_on": at.date() + dt.timedelta(days=2),
    }


def orders() -> pa.Table:
    """The content of orders.parquet."""
    rng = random.Random(20264)
    people = customers()
    rows = []
    for number in range(1, ORDERS + 1):
        row = order(number, rng.choice(people), rng)
        if number in ORDER_FLAWS:
            row |= ORDER_FLAWS[number].changes
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=ORDER_SCHEMA)


def main() -> None:
    """Write all samples."""
    (HERE / "purchases.csv").write_bytes(purchases())
    (HERE / "events.jsonl").write_bytes(events())
    pq.write_table(orders(), HERE / "orders.parquet", row_group_size=150, compression="zstd")


if __name__ == "__main__":
    main()
