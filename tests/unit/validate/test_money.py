"""Type, value and currency."""

import pytest

from importer.validate import validate
from tests.support.events import Row, make_events


def codes(row: Row, *, strict: bool = False) -> tuple[list[tuple[str, str, str]], bool]:
    verdict = validate(make_events([Row(), row]), strict=strict)
    found = [(p.code, p.field, p.values.to_pylist()[0]) for p in verdict.violations]
    assert all(p.positions.tolist() == [1] for p in verdict.violations)
    assert verdict.valid[0]
    return found, bool(verdict.valid[1])


@pytest.mark.parametrize("kind", [None, "", "  "])
def test_an_event_without_a_type_is_refused(kind: str | None) -> None:
    assert codes(Row(type=kind)) == ([("type.missing", "type", kind or "")], False)


@pytest.mark.parametrize("kind", ["purchase", "Placed Order", "заказ", "x" * 5_000])
def test_any_text_is_a_type(kind: str) -> None:
    """The page limits neither its length nor its characters."""
    assert codes(Row(type=kind)) == ([], True)


LARGEST = str(int(1.7976931348623157e308))


@pytest.mark.parametrize(
    "value", ["0", "-0.5", "12.50", "1e308", "1.7976931348623157e308", "1e-400", LARGEST, "0." + "0" * 400 + "1"]
)
def test_a_number_within_float64_is_a_value(value: str) -> None:
    assert codes(Row(value=value)) == ([], True)


@pytest.mark.parametrize(
    "value", ["1e309", "-1E+400", "9" + LARGEST, "99999e307", "NaN", "Infinity", "-Infinity", "nan", "inf"]
)
def test_a_number_beyond_float64_is_not_finite(value: str) -> None:
    assert codes(Row(value=value)) == ([("value.not_finite", "value", value)], False)


@pytest.mark.parametrize(
    "currency", ["EUR", "USD", "JPY", "KWD", "CLF", "XAF", "XOF", "XPF", "XCD", "XCG", "CHE", "BOV"]
)
def test_a_current_currency_passes(currency: str) -> None:
    assert codes(Row(value="1", currency=currency)) == ([], True)


@pytest.mark.parametrize(
    "currency", ["", " ", "eur", "Eur", "EURO", "EU", "E", "€", "EUR ", "978", "ABC", "CNH", "EUR\n", "\u0415UR"]
)
def test_what_is_no_iso_4217_code_is_refused(currency: str) -> None:
    """Lower case too: the page shows upper case only, and `upper: true` mends it."""
    assert codes(Row(value="1", currency=currency)) == ([("currency.unknown", "value_currency", currency)], False)


@pytest.mark.parametrize(
    "currency", ["XAU", "XAG", "XPT", "XPD", "XTS", "XXX", "XDR", "XSU", "XUA", "XBA", "XBB", "XBC", "XBD"]
)
def test_a_code_for_a_metal_a_test_or_no_currency_is_refused(currency: str) -> None:
    assert codes(Row(value="1", currency=currency)) == ([("currency.not_money", "value_currency", currency)], False)


@pytest.mark.parametrize("currency", ["HRK", "LTL", "BGN", "DEM", "FRF", "ITL", "ZWL", "CUC", "VEF"])
def test_a_retired_currency_is_a_warning_and_an_error_when_strict(currency: str) -> None:
    expected = [("currency.retired", "value_currency", currency)]
    assert codes(Row(value="1", currency=currency)) == (expected, True)
    assert codes(Row(value="1", currency=currency), strict=True) == (expected, False)


def test_value_and_currency_may_each_stand_alone() -> None:
    """The page has them as two optional parameters."""
    assert codes(Row(value="1")) == ([], True)
    assert codes(Row(currency="EUR")) == ([], True)
