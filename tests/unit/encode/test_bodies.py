"""The bytes that will be sent."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from importer.encode import encode
from importer.model import Kind
from importer.validate import validate
from tests.support.events import Row, make_events, sliced

SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[3] / "schemas" / "event.schema.json").read_text(encoding="utf-8"))
)
KINDS: dict[str, Kind] = {
    "note": "text",
    "count": "integer",
    "rate": "number",
    "gift": "boolean",
    "day": "date",
    "at": "datetime",
    'odd "key"\\\n😀': "text",
}


def bodies(rows: list[Row], kinds: dict[str, Kind] | None = None) -> list[bytes | None]:
    events = make_events(rows, kinds)
    found: list[bytes | None] = encode(events, validate(events, strict=False)).rows["body"].to_pylist()
    return found


def expected(row: Row, kinds: dict[str, Kind]) -> bytes:
    """The body built the slow way; tokens are put in for placeholders, so that their digits stay."""
    tokens: list[str] = []

    def token(text: str) -> str:
        tokens.append(text)
        return f"\ue000{len(tokens) - 1}\ue001"

    subscriber = {"id": row.id, "email": row.email, "phone": row.phone}
    body: dict[str, Any] = {"subscriber": {key: text for key, text in subscriber.items() if text is not None}}
    body["type"] = row.type
    if row.value is not None:
        body["value"] = token(row.value)
    if row.currency is not None:
        body["value_currency"] = row.currency
    quoted = {"text", "date", "datetime"}
    present = {name: row.properties[name] for name in kinds if row.properties.get(name) is not None}
    if present:
        body["properties"] = {
            name: text if kinds[name] in quoted else token(text or "") for name, text in present.items()
        }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    for number, each in enumerate(tokens):
        text = text.replace(f'"\ue000{number}\ue001"', each)
    return text.encode()


def test_a_full_event_in_canonical_order() -> None:
    row = Row(
        id="Qmp2g5",
        email="ann@example.com",
        phone="+37060000000",
        type="product_viewed",
        value="6.70",
        currency="USD",
        properties={
            "note": "wawaweewa",
            "count": "123",
            "rate": "4.50",
            "gift": "false",
            "day": "2024-02-29",
            "at": "2024-02-29T10:00:00+02:00",
        },
    )
    wanted = (
        b'{"subscriber":{"id":"Qmp2g5","email":"ann@example.com","phone":"+37060000000"},"type":"product_viewed",'
        b'"value":6.70,"value_currency":"USD","properties":{"note":"wawaweewa","count":123,"rate":4.50,"gift":false,'
        b'"day":"2024-02-29","at":"2024-02-29T10:00:00+02:00"}}'
    )
    assert bodies([row], KINDS) == [wanted]


def test_what_is_absent_is_left_out() -> None:
    assert bodies([Row()], KINDS) == [b'{"subscriber":{"email":"ann@example.com"},"type":"purchase"}']


@pytest.mark.parametrize("missing", range(16))
def test_commas_are_right_whichever_members_are_missing(missing: int) -> None:
    """One event without them, alone and beside one that has all."""
    full = {"a": "x", "b": "1", "c": "y"}
    kinds: dict[str, Kind] = {"a": "text", "b": "integer", "c": "text"}
    some = {name: text for bit, (name, text) in enumerate(full.items()) if missing & (1 << bit)}
    row = Row(id="7" if missing & 8 else None, properties=some)
    other = Row(id="8", email=None, phone="+37060000000", value="1", currency="EUR", properties=full)
    for batch in ([row], [row, other], [other, row]):
        assert bodies(batch, kinds) == [expected(each, kinds) for each in batch]


@pytest.mark.parametrize(
    "code", [*range(0x20), 0x22, 0x5C, 0x2F, 0x7F, 0x80, 0x9F, 0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFD, 0x1F600]
)
def test_every_character_arrives_as_it_is(code: int) -> None:
    """Only quote, backslash and U+0000 … U+001F are escaped; the rest is UTF-8."""
    row = Row(id=f"a{chr(code)}b", type=f"{chr(code)}x", properties={"note": chr(code) * 2})
    (body,) = bodies([row], KINDS)
    assert body == expected(row, KINDS)
    assert body is not None
    assert json.loads(body)["properties"]["note"] == chr(code) * 2


@pytest.mark.parametrize("token", ["0", "-0.0", "1.10", "12345678901234567890.123456789", "1e-7"])
def test_numbers_are_inserted_digit_by_digit(token: str) -> None:
    (body,) = bodies([Row(value=token, properties={"rate": token})], KINDS)
    assert body is not None
    read = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    assert (read["value"], read["properties"]["rate"]) == (Decimal(token), Decimal(token))
    assert body.count(f":{token}".encode()) == 2


def test_rows_that_are_not_sent_have_no_body_and_do_no_harm() -> None:
    rows = [
        Row(),
        Row(email=None),
        Row(type=None),
        Row(email=None, type=None, passes_filter=False, properties={"note": '"'}),
        Row(value="1e999", properties={"note": "x" * 9_000}),
        Row(properties={"count": "1"}),
    ]
    found = bodies(rows, KINDS)
    assert [body is not None for body in found] == [True, False, False, False, False, True]
    assert (found[0], found[5]) == (expected(rows[0], KINDS), expected(rows[5], KINDS))


def test_a_chunk_in_which_nothing_is_sent_has_no_bodies() -> None:
    assert bodies([Row(passes_filter=False), Row(type=None)], KINDS) == [None, None]
    assert bodies([], KINDS) == []


anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ue000\ue001"), max_size=12)
nasty = st.text('\x00\x01\x08\t\n\x0b\x0c\r\x1f "\\/\x7f\x85é€😀\u2028', max_size=8)
texts = st.one_of(anything, nasty)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9).map(str)
rows = st.builds(
    Row,
    id=st.none() | texts.map("i{}".format),  # shape leaves no text blank
    email=st.none() | st.sampled_from(["ann@example.com", "o'hara@example.org", "Ann.Lee+1@example.com", "no"]),
    phone=st.none() | st.sampled_from(["+37060000000", "1"]),
    type=st.none() | texts.map("{}t".format),
    value=st.none() | numbers,
    currency=st.none() | st.sampled_from(["EUR", "HRK", "eur"]),
    properties=st.fixed_dictionaries(
        {
            "note": st.none() | texts,
            "count": st.none() | st.integers().map(str),
            "rate": st.none() | numbers,
            "gift": st.none() | st.sampled_from(["true", "false"]),
            "day": st.none() | st.dates().map(str),
            "at": st.none() | st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
            'odd "key"\\\n😀': st.none() | texts,
        }
    ),
    passes_filter=st.sampled_from([True, True, True, False]),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(rows, max_size=12))
def test_bodies_are_what_json_dumps_writes_and_satisfy_the_schema(batch: list[Row]) -> None:
    """Byte for byte, for whatever characters and whichever members are absent."""
    events = sliced(make_events(batch, KINDS))
    verdict = validate(events, strict=False)
    found = encode(events, verdict).rows["body"].to_pylist()
    wanted = [expected(row, KINDS) if valid else None for row, valid in zip(batch, verdict.valid.tolist(), strict=True)]
    assert found == wanted
    for body in filter(None, found):
        SCHEMA.validate(json.loads(body))
