"""From values that break a rule to the line of the mapping that would mend it."""

from pathlib import Path

import pytest

from importer.mapping.load import loads
from importer.suggest.advise import Finding, propose
from tests.support.program import importer

PHONES = ("+12025550143", "+12025550144")


def line(pick: str, code: str, *values: str, phones: tuple[str, ...] = (), is_common: bool = True) -> str | None:
    """What to write instead of a mapping's line."""
    target, _, _ = pick.partition(":")
    head = "version: 1\ntype: {const: a}\n"
    if target in {"email", "phone"}:
        text, field = f"{head}subscriber: {{{pick}}}\n", f"subscriber.{target}"
    elif target in {"value", "value_currency", "order_by"}:
        text, field = f"{head}subscriber: {{email: E}}\n{pick}\n", target
    else:
        text, field = f"{head}subscriber: {{email: E}}\nproperties: {{{pick}}}\n", f"properties.{target}"
    found = propose(loads(text, "m.yaml").mapping, Finding(code, field, values, is_common), phones=phones)
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
        ("value: Total", "value.not_a_number", ["$1,150"], 'value: {column: Total, decimal: ".", thousands: ","}'),
        ("qty: {column: Q, as: integer}", "property.not_an_integer", ["1.5"], "qty: {column: Q, as: number}"),
        ("at: {column: At, as: date}", "property.not_a_date", ["31/01/2026"],
         "at: {column: At, as: date, format: dmy}"),
        ("order_by: At", "order_by.ambiguous_date", ["01/31/2026", "02/03/2026"],
         "order_by: {column: At, format: mdy}"),
        ("at: {column: At, as: datetime}", "property.not_a_date", ["1793002500123"],
         "at: {column: At, as: datetime, format: ms}"),
        ("ok: {column: Ok, as: boolean}", "property.not_a_boolean", ["ja", "nein"],
         "ok: {column: Ok, as: boolean, map: {ja: true, nein: false}}"),
        ("value_currency: C", "currency.unknown", ["€"], 'value_currency: {column: C, map: {"€": EUR}}'),
        ("email: Mail", "email.invalid", ["n/a", "-"], 'email: {column: Mail, map: {n/a: null, "-": null}}'),
        ("tags: Tags", "property.nested", ['["a"]'], "tags: {column: Tags, as: text}"),
    ],
)  # fmt: skip
def test_what_the_values_have_in_common_becomes_a_line(pick: str, code: str, values: list[str], advised: str) -> None:
    assert line(pick, code, *values) == advised


def test_the_country_of_national_phones_is_that_of_all_the_others() -> None:
    assert line("phone: P", "phone.no_country", "2025550145", phones=PHONES) == ("phone: {column: P, country: US}")
    assert line("phone: P", "phone.no_country", "2025550145") is None
    mixed = (*PHONES, "+37061234567")
    assert line("phone: P", "phone.no_country", "2025550145", phones=mixed) is None


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
        ("points: {column: P, as: number}", "property.not_a_number", ["1,234"]),
        ("value: Total", "value.not_a_number", ["1.234", "12,50", "1,234"]),
        ("value: Total", "value.not_a_number", ["Dez 50", "Okt 25"]),
        ("value: Total", "value.not_a_number", ["12.50 points", "7 points"]),
        ("value: Total", "value.not_a_number", ["free"]),
        ("email: Mail", "email.invalid", ["john smith@example.com", "o,brien@example.com"]),
        ("email: Mail", "email.invalid", ["guest"]),
        ("note: Note", "property.text_too_long", ["3,000 bytes"]),
        ("value_currency: C", "currency.unknown", ["$"]),
        ("value: Total", "value.not_a_number", ["12,50", "seven"]),
        ("at: {column: At, as: date}", "property.ambiguous_date", ["01/02/2026"]),
        ("value_currency: C", "currency.unknown", ["eur", "Euros"]),
        ("email: Mail", "email.invalid", ["ada at example"]),
    ],
)
def test_where_the_values_leave_a_choice_there_is_no_advice(pick: str, code: str, values: list[str]) -> None:
    assert line(pick, code, *values) is None


def advised(here: Path, rows: str, mapping: str) -> tuple[str, str]:
    """What `check` shows of these rows, and what of it is advice."""
    (here / "x.csv").write_text(rows, encoding="utf-8")
    (here / "m.yaml").write_text(f"version: 1\nsubscriber: {{email: email}}\ntype: {{const: a}}\n{mapping}")
    shown = importer("check", str(here / "x.csv"), "-m", str(here / "m.yaml")).stderr
    return shown, "\n".join(line for line in shown.splitlines() if "m.yaml" in line or line.startswith("      "))


def test_a_line_that_would_break_other_rows_is_not_advised(tmp_path: Path) -> None:
    """Three amounts have a comma; read with it, all the others would be invalid."""
    good = "".join(f"p{n}@example.com,{n}.50\n" for n in range(30))
    bad = "".join(f'q{n}@example.com,"{n},75"\n' for n in range(3))
    shown, lines = advised(tmp_path, f"email,total\n{good}{bad}", "value: total\n")
    assert "3 x value.not_a_number" in shown
    assert "decimal" not in lines


def test_a_line_that_helps_rows_far_below_the_first_is_advised(tmp_path: Path) -> None:
    good = "p@example.com;5\n" * 12_000
    _, lines = advised(tmp_path, f"email;total\n{good}q@example.com;1,75\n", "value: total\n")
    assert 'value: {column: total, decimal: ","}' in lines


@pytest.mark.parametrize("cells", [["54,90", "Dez 50", "30,00", "Okt 25"], ["12 euro", "7 euro", "1"]])
def test_text_around_numbers_is_never_cut_away(cells: list[str], tmp_path: Path) -> None:
    rows = "".join(f'p{n}@example.com,"{cell}"\n' for n, cell in enumerate(cells))
    _, lines = advised(tmp_path, f"email,total\n{rows}", 'value: {column: total, decimal: ","}\n')
    assert "extract" not in lines


def test_a_damaged_address_is_never_cut_out_of_its_text(tmp_path: Path) -> None:
    rows = 'john smith@example.com\n"o,brien@example.com"\nada@example.com\n'
    shown, lines = advised(tmp_path, f"email\n{rows}", "")
    assert "2 x email.invalid" in shown
    assert "extract" not in lines
