"""What the rules make of a chunk as a whole."""

import pytest

from importer.reasons import REASONS
from importer.validate import validate
from tests.support.events import Row, make_events, problem, sliced


def test_good_rows_are_valid_without_a_word() -> None:
    verdict = validate(make_events([Row(), Row(id="7", value="1.5", currency="EUR")]), strict=True)
    assert verdict.violations == ()
    assert verdict.valid.tolist() == [True, True]


def test_a_chunk_without_rows_has_no_problems() -> None:
    verdict = validate(make_events([], {"a": "text", "n": "integer"}), strict=True)
    assert verdict.violations == ()
    assert verdict.valid.tolist() == []


def test_a_row_gets_all_its_reasons() -> None:
    bad = Row(
        email="no", phone="12", type=None, value="1e999", currency="XAU", properties={"note": "x" * 9_000, "n": "1e999"}
    )
    verdict = validate(make_events([bad], {"note": "text", "n": "number"}), strict=False)
    assert [(p.code, p.field) for p in verdict.violations] == [
        ("email.invalid", "subscriber.email"),
        ("phone.invalid", "subscriber.phone"),
        ("type.missing", "type"),
        ("value.not_finite", "value"),
        ("currency.not_money", "value_currency"),
        ("property.text_too_long", "properties.note"),
        ("property.not_finite", "properties.n"),
        ("properties.too_large", "properties"),
    ]
    assert verdict.valid.tolist() == [False]


def test_rows_that_where_left_out_have_no_problems() -> None:
    events = make_events(
        [Row(email="no", passes_filter=False), Row(email="no"), Row(passes_filter=False)],
        violations=[problem("value.not_a_number", "value", 0, 1), problem("key.missing", "key", 2)],
    )
    verdict = validate(events, strict=False)
    assert [(p.code, p.positions.tolist(), p.values.to_pylist()) for p in verdict.violations] == [
        ("value.not_a_number", [1], ["as found"]),
        ("email.invalid", [1], ["no"]),
    ]
    assert verdict.valid.tolist() == [False, False, False]


def test_what_shaping_found_is_taken_over_and_makes_the_row_invalid() -> None:
    events = make_events([Row(), Row(), Row()], violations=[problem("property.not_a_date", "properties.at", 1)])
    verdict = validate(events, strict=False)
    assert [(p.code, p.field, p.positions.tolist()) for p in verdict.violations] == [
        ("property.not_a_date", "properties.at", [1])
    ]
    assert verdict.valid.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("code", "field", "row"),
    [
        ("value.not_finite", "value", Row(value="NaN")),
        ("property.not_finite", "properties.n", Row(properties={"n": "Infinity"})),
    ],
)
def test_a_cell_that_shaping_found_fault_with_gets_one_reason(code: str, field: str, row: Row) -> None:
    events = make_events([row], {"n": "number"}, violations=[problem(code, field, 0)])
    assert [p.values.to_pylist() for p in validate(events, strict=False).violations] == [["as found"]]


def test_a_property_that_shaping_found_fault_with_does_not_hide_the_size_of_all() -> None:
    row = Row(properties={f"text {n}": "x" * 2_000 for n in range(5)})
    events = make_events(
        [row], dict.fromkeys(row.properties, "text"), violations=[problem("property.nested", "properties.text 0", 0)]
    )
    assert [p.code for p in validate(events, strict=False).violations] == ["property.nested", "properties.too_large"]


def test_strict_lifts_warnings_of_the_page_only() -> None:
    events = make_events([Row(currency="HRK")])
    assert validate(events, strict=False).valid.tolist() == [True]
    assert validate(events, strict=True).valid.tolist() == [False]


def test_positions_ascend_and_values_are_untouched() -> None:
    rows = [Row(email="bad " + "x" * 500), Row(), Row(email="tab\t"), Row(email="é")]
    (found,) = validate(make_events(rows), strict=False).violations
    assert found.positions.tolist() == [0, 2, 3]
    assert found.values.to_pylist() == ["bad " + "x" * 500, "tab\t", "é"]


def test_slices_of_longer_arrays_are_judged_by_their_own_rows() -> None:
    rows = [Row(email="no", value="1", properties={"a": "x" * 2_049}), Row(value="1", properties={"a": "fine"})]
    whole = make_events(rows, {"a": "text"})
    ours, cut = validate(whole, strict=False), validate(sliced(whole), strict=False)
    assert [(p.code, p.positions.tolist()) for p in cut.violations] == [
        (p.code, p.positions.tolist()) for p in ours.violations
    ]
    assert cut.valid.tolist() == [False, True]


def test_every_code_found_is_in_the_documented_list() -> None:
    bad = Row(email=None, phone=None, type=None, value="NaN", currency="eur", properties={"a": "x" * 9_000})
    for found in validate(make_events([bad], {"a": "text"}), strict=False).violations:
        assert found.code in REASONS
