"""The column rules against the same rules written down row by row, over random rows."""

import json
import math

from babel.core import get_global
from babel.numbers import get_currency_precision
from hypothesis import given, settings
from hypothesis import strategies as st
from iso4217 import Currency

from importer.model import Kind
from importer.validate import validate
from tests.support.events import Row, make_events, sliced

KINDS: dict[str, Kind] = {"note": "text", "count": "integer", "gift": "boolean", 'a "key"': "text"}
CURRENT = {currency.code: currency.exponent for currency in Currency}


def is_letter_or_digit(character: str) -> bool:
    return character.isascii() and character.isalnum()


def is_label(label: str) -> bool:
    return (
        1 <= len(label) <= 63
        and all(is_letter_or_digit(c) or c == "-" for c in label)
        and not label.startswith("-")
        and not label.endswith("-")
    )


def is_email(text: str) -> bool:
    if text.count("@") != 1 or len(text) > 254:
        return False
    local, domain = text.split("@")
    atoms, labels = local.split("."), domain.split(".")
    return (
        len(local) <= 64
        and all(atom and all(is_letter_or_digit(c) or c in "!#$%&'*+/=?^_`{|}~-" for c in atom) for atom in atoms)
        and len(labels) >= 2
        and all(is_label(label) for label in labels)
        and not labels[-1].isdigit()
    )


def is_phone(text: str) -> bool:
    digits = text[1:]
    return text[:1] == "+" and digits.isascii() and digits.isdigit() and digits[0] != "0" and 7 <= len(digits) <= 15


def currency_code(text: str) -> str | None:
    if text in CURRENT:
        return "currency.not_money" if CURRENT[text] is None else None
    return "currency.retired" if text in get_global("all_currencies") and text != "CNH" else "currency.unknown"


def places(currency: str | None) -> int:
    """Decimals of a currency's amounts; any number of them where there is no such currency."""
    if currency is None or currency_code(currency) in ("currency.unknown", "currency.not_money"):
        return 400
    exponent = CURRENT.get(currency)
    return get_currency_precision(currency) if exponent is None else exponent


def oracle(row: Row) -> set[tuple[str, str]]:
    if not row.passes_filter:
        return set()
    found: set[tuple[str, str]] = set()
    if (row.id or "").strip() == "" and row.email is None and row.phone is None:
        found.add(("subscriber.missing", "subscriber"))
    if row.email is not None and not is_email(row.email):
        found.add(("email.invalid", "subscriber.email"))
    if row.phone is not None and not is_phone(row.phone):
        found.add(("phone.invalid", "subscriber.phone"))
    if row.type is None or not row.type.strip():
        found.add(("type.missing", "type"))
    if row.value is not None and not math.isfinite(float(row.value)):
        found.add(("value.not_finite", "value"))
    if row.currency is not None and (code := currency_code(row.currency)):
        found.add((code, "value_currency"))
    if row.value is not None and len(row.value.partition(".")[2]) > places(row.currency):
        found.add(("value.decimals", "value"))
    return found | set(of_properties(row))


def of_properties(row: Row) -> list[tuple[str, str]]:
    present = {name: text for name, text in row.properties.items() if text is not None}
    found = [
        ("property.text_too_long", f"properties.{name}")
        for name, text in present.items()
        if KINDS[name] == "text" and len(text.encode()) > 2_048
    ]
    encoded = {name: text if KINDS[name] == "text" else json.loads(text) for name, text in present.items()}
    if len(json.dumps(encoded, ensure_ascii=False, separators=(",", ":")).encode()) > 8_192:
        found.append(("properties.too_large", "properties"))
    return found


emails = st.one_of(
    st.text("ab.@-1é_ ", max_size=12),
    st.builds(
        "{}@{}.{}".format, st.text("aA.1+", max_size=70), st.text("b-.1B", max_size=70), st.text("c1-C", max_size=66)
    ),
    st.sampled_from(["ann@example.com", "ann@" + "b" * 63 + ".org", "ann@" + "b" * 64 + ".org"]),
)
texts = st.one_of(
    st.text(max_size=8),
    st.builds(
        lambda unit, times: unit * times, st.sampled_from(["a", "é", "😀", '"', "\n", "\x01"]), st.integers(500, 2_100)
    ),
)
rows = st.builds(
    Row,
    id=st.none() | st.sampled_from(["7", "", " "]),
    email=st.none() | emails,
    phone=st.none() | st.from_regex(r"\A\+?[0-9]{5,17}\n?\Z"),
    type=st.none() | st.sampled_from(["purchase", "", "\t"]),
    value=st.none() | st.from_regex(r"\A-?[0-9]{1,3}(\.[0-9]{1,3}|e[0-9]{1,3})?\Z"),
    currency=st.none() | st.sampled_from(["EUR", "eur", "HRK", "XAU", "XXX", "CNH", "ZZZ", ""]),
    properties=st.fixed_dictionaries(
        {
            "note": st.none() | texts,
            "count": st.none() | st.integers().map(str),
            "gift": st.none() | st.sampled_from(["true", "false"]),
            'a "key"': st.none() | texts,
        }
    ),
    passes_filter=st.sampled_from([True, True, True, False]),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(rows, max_size=20), st.booleans())
def test_the_rules_over_columns_say_what_the_rules_row_by_row_say(batch: list[Row], strict: bool) -> None:
    """Every code and field of every row, and which rows may be sent."""
    verdict = validate(sliced(make_events(batch, KINDS)), strict=strict)
    found: list[set[tuple[str, str]]] = [set() for _ in batch]
    for problems in verdict.violations:
        for position in problems.positions.tolist():
            assert (problems.code, problems.field) not in found[position], "one reason per rule and field"
            found[position].add((problems.code, problems.field))
    assert found == [oracle(row) for row in batch]
    lenient = {("value.decimals", "value")} | (set() if strict else {("currency.retired", "value_currency")})
    assert verdict.valid.tolist() == [row.passes_filter and not oracle(row) - lenient for row in batch]
