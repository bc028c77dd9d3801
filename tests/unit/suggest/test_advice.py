"""From values that break a rule to the line of the mapping that would mend it."""

import pytest

from importer.mapping.load import loads
from importer.suggest.advice import Context, Finding, advise

PHONES = ("+12025550143", "+12025550144", "+37061234567")


def line(pick: str, code: str, *values: str, context: Context | None = None, is_common: bool = True) -> str | None:
    """What to write instead of a mapping's line."""
    target, _, _ = pick.partition(":")
    head = "version: 1\ntype: {const: a}\n"
    if target in {"email", "phone"}:
        text, field = f"{head}subscriber: {{{pick}}}\n", f"subscriber.{target}"
    elif target in {"value", "value_currency", "order_by"}:
        text, field = f"{head}subscriber: {{email: E}}\n{pick}\n", target
    else:
        text, field = f"{head}subscriber: {{email: E}}\nproperties: {{{pick}}}\n", f"properties.{target}"
    found = advise(loads(text, "m.yaml").mapping, Finding(code, field, values, is_common), context or Context())
    if found is None:
        return None
    loads(text.replace(pick, found.line), "m.yaml")  # what is advised is sound
    return found.line


@pytest.mark.parametrize(
    ("pick", "code", "values", "advised"),
    [
        ("value: Total", "value.not_a_number", ["12,50", "7,00"], 'value: {column: Total, decimal: ","}'),
        ("value: Total", "value.not_a_number", ["1.234,50"], 'value: {column: Total, decimal: ",", thousands: "."}'),
        ("value: Total", "value.not_a_number", ["1 234.50"], 'value: {column: Total, decimal: ".", thousands: " "}'),
        ("value: Total", "value.not_a_number", ["n/a"], "value: {column: Total, map: {n/a: null}}"),
        ("value: Total", "value.not_a_number", ["12.50 points", "7 points"],
         'value: {column: Total, extract: "[-+]?[0-9][0-9.,]*"}'),
        ("qty: {column: Q, as: integer}", "property.not_an_integer", ["1.5"], "qty: {column: Q, as: number}"),
        ("at: {column: At, as: date}", "property.not_a_date", ["31/01/2026"],
         "at: {column: At, as: date, format: dmy}"),
        ("order_by: At", "order_by.ambiguous_date", ["01/31/2026", "02/03/2026"],
         "order_by: {column: At, format: mdy}"),
        ("at: {column: At, as: datetime}", "property.not_a_date", ["1793002500123"],
         "at: {column: At, as: datetime, format: ms}"),
        ("ok: {column: Ok, as: boolean}", "property.not_a_boolean", ["ja", "nein"],
         "ok: {column: Ok, as: boolean, map: {ja: true, nein: false}}"),
        ("value_currency: C", "currency.unknown", ["eur", "usd"], "value_currency: {column: C, upper: true}"),
        ("value_currency: C", "currency.unknown", ["€"], 'value_currency: {column: C, map: {"€": EUR}}'),
        ("email: Mail", "email.invalid", ["Ada <ada@example.com>"],
         r"email: {column: Mail, extract: '[^\s<>:;,]+@[^\s<>:;,]+\.[A-Za-z]{2,}'}"),
        ("email: Mail", "email.invalid", ["guest", "-"], 'email: {column: Mail, map: {guest: null, "-": null}}'),
        ("tags: Tags", "property.nested", ['["a"]'], "tags: {column: Tags, as: text}"),
        ("note: Note", "property.text_too_long", ["3,000 bytes"], 'note: {column: Note, extract: "(?s)^.{1,500}"}'),
    ],
)  # fmt: skip
def test_what_the_values_have_in_common_becomes_a_line(pick: str, code: str, values: list[str], advised: str) -> None:
    assert line(pick, code, *values) == advised


def test_the_country_of_national_phones_is_that_of_most_of_the_others() -> None:
    assert line("phone: P", "phone.no_country", "2025550145", context=Context(phones=PHONES)) == (
        "phone: {column: P, country: US}"
    )
    assert line("phone: P", "phone.no_country", "2025550145") is None


def test_dates_of_some_rows_do_not_take_the_form_of_the_others_away() -> None:
    assert line("at: {column: At, as: date}", "property.not_a_date", "31/01/2026", is_common=False) == (
        "at: {column: At, as: date, format: [ymd, dmy]}"
    )


def test_a_column_of_dates_keeps_one_order() -> None:
    pick = "at: {column: At, as: date, format: [dmy, s]}"
    assert line(pick, "property.not_a_date", "01/31/2026") == "at: {column: At, as: date, format: [s, mdy]}"
    assert line(pick, "property.not_a_date", "01/31/2026", is_common=False) is None


@pytest.mark.parametrize(
    ("pick", "code", "values"),
    [
        ("value: Total", "value.not_a_number", ["1,234"]),
        ("value: Total", "value.not_a_number", ["12,50", "seven"]),
        ("at: {column: At, as: date}", "property.ambiguous_date", ["01/02/2026"]),
        ("value_currency: C", "currency.unknown", ["eur", "Euros"]),
        ("email: Mail", "email.invalid", ["ada at example"]),
    ],
)
def test_where_the_values_leave_a_choice_there_is_no_advice(pick: str, code: str, values: list[str]) -> None:
    assert line(pick, code, *values) is None
