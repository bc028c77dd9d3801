"""The rules of the endpoint's page, each with what it accepts and refuses at its limits."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.sandbox.rules import NotJsonError, check, parse

SUBSCRIBER = {"id": "Qmp2g5"}


def judged(**fields: Any) -> dict[str, list[str]]:
    """The errors of a minimal event with these fields."""
    return check(parse(json.dumps({"subscriber": SUBSCRIBER, "type": "order", **fields}).encode()))


def judged_text(fields: str) -> dict[str, list[str]]:
    """The same for fields written as JSON text, for numbers that Python would write differently."""
    return check(parse(b'{"subscriber":{"id":"x"},"type":"order",' + fields.encode() + b"}"))


@pytest.mark.parametrize(
    "subscriber",
    [
        {"id": "1"},
        {"email": "a@example.com"},
        {"phone": "+3706123"},
        {"id": "x", "email": "a@example.com", "phone": "0037061234567"},
        {"id": "x", "nickname": 7},
    ],
)
def test_any_one_identifier_is_enough(subscriber: dict[str, Any]) -> None:
    assert judged(subscriber=subscriber) == {}


@pytest.mark.parametrize("subscriber", [None, [], "x", 7])
def test_the_subscriber_must_be_an_object(subscriber: Any) -> None:
    assert judged(subscriber=subscriber) == {"subscriber": ["The subscriber field is required and must be an object."]}


def test_the_subscriber_must_be_there() -> None:
    assert list(check({"type": "order"})) == ["subscriber"]


@pytest.mark.parametrize("subscriber", [{}, {"name": "Ada"}])
def test_a_subscriber_without_identifier_is_refused(subscriber: dict[str, Any]) -> None:
    assert judged(subscriber=subscriber) == {
        "subscriber": ["The subscriber must contain at least one of: id, email, phone."]
    }


@pytest.mark.parametrize("value", ["", " ", 7, 7.5, True, None, [], {}])
@pytest.mark.parametrize("name", ["id", "email", "phone"])
def test_an_identifier_must_be_a_filled_string(name: str, value: Any) -> None:
    assert list(judged(subscriber={name: value})) == [f"subscriber.{name}"]
    assert list(judged(subscriber={"id": "x", "email": "a@example.com", "phone": "+3706123"} | {name: value})) == [
        f"subscriber.{name}"
    ]


@pytest.mark.parametrize("kind", ["x", "product_viewed", "žiūrėta", "a b"])
def test_a_type_is_any_filled_string(kind: str) -> None:
    assert judged(type=kind) == {}


@pytest.mark.parametrize("kind", ["", "  ", None, 7, True, ["x"], {"a": 1}])
def test_a_type_that_is_no_filled_string_is_refused(kind: Any) -> None:
    assert list(judged(type=kind)) == ["type"]


@pytest.mark.parametrize("value", ["0", "-1", "6.7", "1e308", "1e-400", "123456789012345678901234567890", "-0.0"])
def test_a_value_is_any_finite_number(value: str) -> None:
    assert judged_text(f'"value":{value}') == {}


@pytest.mark.parametrize("value", ["1e400", "-1e400", '"6.7"', "true", "false", "null", "[]", "{}", "1" + "0" * 400])
def test_a_value_that_is_no_finite_number_is_refused(value: str) -> None:
    assert judged_text(f'"value":{value}') == {"value": ["The value must be a finite number."]}


@pytest.mark.parametrize("code", ["EUR", "USD", "JPY", "KWD", "CLF"])
def test_a_current_currency_is_accepted(code: str) -> None:
    assert judged(value_currency=code) == {}


@pytest.mark.parametrize("code", ["HRK", "LTL", "BGN", "DEM"])
def test_a_retired_currency_is_accepted_unless_told_otherwise(code: str) -> None:
    payload = {"subscriber": SUBSCRIBER, "type": "order", "value_currency": code}
    assert check(payload) == {}
    assert check(payload, refuse_retired=True) == {"value_currency": ["The value_currency is no longer in use."]}


@pytest.mark.parametrize("code", ["XAU", "XAG", "XTS", "XXX", "XDR"])
def test_a_code_without_minor_unit_is_refused(code: str) -> None:
    assert judged(value_currency=code) == {
        "value_currency": ["The value_currency is not a currency that payments are made in."]
    }


@pytest.mark.parametrize("code", ["", "eur", "EURO", "EU", "QQQ", " EUR", "€", 978, None])
def test_what_is_no_currency_code_is_refused(code: Any) -> None:
    assert list(judged(value_currency=code)) == ["value_currency"]


@pytest.mark.parametrize("value", ["", "x", "2026-03-18", 0, -7, 10**30, 4.5, True, False])
def test_a_property_is_a_string_a_number_or_a_boolean(value: Any) -> None:
    assert judged(properties={"p": value}) == {}


@pytest.mark.parametrize("value", ["null", "[]", "{}", "[1]", '{"a":1}', "1e400"])
def test_a_property_of_another_kind_is_refused(value: str) -> None:
    assert list(judged_text(f'"properties":{{"good":1,"p":{value}}}')) == ["properties.p"]


@pytest.mark.parametrize("properties", [[], None, "x", 7])
def test_properties_must_be_an_object(properties: Any) -> None:
    assert judged(properties=properties) == {"properties": ["The properties must be an object."]}


def test_no_properties_are_fine() -> None:
    assert judged(properties={}) == {}


@pytest.mark.parametrize("text", ["x" * 2_048, "ž" * 1_024, "😀" * 512])
def test_a_text_of_2048_bytes_is_accepted_and_one_byte_more_is_not(text: str) -> None:
    assert judged(properties={"p": text}) == {}
    assert judged(properties={"p": text + "x"}) == {
        "properties.p": ["The text must not exceed 2048 bytes; this one takes 2049."]
    }


def test_properties_of_8192_bytes_are_accepted_and_one_byte_more_is_not() -> None:
    """Counted as compact UTF-8 JSON, whatever the blanks and escapes they arrived with."""
    properties: dict[str, Any] = {f"p{n}": "ž" * 1_000 for n in range(4)} | {"é": 1.5, "b": True, "n": 7, "q": '"\n'}
    room = 8_192 - len(json.dumps(properties, ensure_ascii=False, separators=(",", ":")).encode()) - len(',"r":""')
    properties["r"] = "x" * room
    assert judged(properties=properties) == {}
    properties["r"] += "x"
    assert judged(properties=properties) == {
        "properties": ["The properties must not exceed 8192 bytes; these take 8193."]
    }


def test_a_number_counts_as_it_was_written() -> None:
    digits = "0." + "5" * 8_100
    room = 8_192 - len(f'{{"a":{digits},"b":""}}')
    assert judged_text(f'"properties":{{"a":{digits},"b":"{"x" * room}"}}') == {}
    assert list(judged_text(f'"properties":{{"a":{digits},"b":"{"x" * (room + 1)}"}}')) == ["properties"]


def test_everything_wrong_is_named_at_once() -> None:
    event = {
        "subscriber": {"id": 7, "email": "nobody", "phone": "123"},
        "type": "",
        "value": "6.7",
        "value_currency": "eur",
        "properties": {"a": None, "b": "x" * 3_000, "c": 1},
    }
    assert list(check(event)) == [
        "subscriber.id",
        "subscriber.email",
        "subscriber.phone",
        "type",
        "value",
        "value_currency",
        "properties.a",
        "properties.b",
    ]


def test_unknown_fields_are_ignored() -> None:
    assert judged(occurred_at=None, nested={"a": [1]}) == {}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'a':1}", b'{"value":NaN}', b'{"value":Infinity}', b'{"a":"\xff"}', b'{"a":"\\ud800"}', b"[" * 9_999,
     b'{"a":1}{"a":1}', b'\xef\xbb\xbf{"a":1}', b'{"a":"\n"}', b"9" * 5_000],
)  # fmt: skip
def test_what_is_not_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        parse(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["subscriber", "type", "value", "value_currency", "properties", "id", "email", "phone"])


@given(st.dictionaries(fields, json_values | st.dictionaries(fields, json_values, max_size=4)))
def test_any_object_is_judged_and_every_error_names_its_field(payload: dict[str, Any]) -> None:
    for field, messages in check(payload).items():
        assert field.split(".")[0] in {"subscriber", "type", "value", "value_currency", "properties"}
        assert all(message.endswith(".") for message in messages)
