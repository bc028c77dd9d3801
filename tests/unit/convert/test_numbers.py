"""Numbers: every way of writing one, against `decimal`, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from importer.convert.arrays import ConversionError
from importer.convert.numbers import NumberForm, NumberReader, sortable
from tests.unit.convert.building import cell, outcomes, strings

NOT_A_NUMBER = "property.not_a_number"
NOT_FINITE = "property.not_finite"
NOT_AN_INTEGER = "property.not_an_integer"


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("12.50", {}, "12.5"),
        ("12.0", {}, "12"),
        ("100", {}, "100"),
        ("-0", {}, "0"),
        ("-0.00", {}, "0"),
        ("+5", {}, "5"),
        ("007", {}, "7"),
        (".5", {}, "0.5"),
        ("5.", {}, "5"),
        ("1e3", {}, "1000"),
        ("1.5E-3", {}, "0.0015"),
        ("12345678901234567890.123456789", {}, "12345678901234567890.123456789"),
        ("1e400", {}, NOT_FINITE),
        ("-1e99999999999999999999", {}, NOT_FINITE),
        ("1" * 310, {}, NOT_FINITE),
        ("1e-400", {}, "0"),
        ("0e999999999", {}, "0"),
        ("NaN", {}, NOT_FINITE),
        ("-inf", {}, NOT_FINITE),
        ("Infinity", {}, NOT_FINITE),
        ("1.#INF", {}, NOT_FINITE),
        ("ten", {}, NOT_A_NUMBER),
        ("1_000", {}, NOT_A_NUMBER),
        ("0x10", {}, NOT_A_NUMBER),
        ("1.2.3", {}, NOT_A_NUMBER),
        ("--5", {}, NOT_A_NUMBER),
        ("e5", {}, NOT_A_NUMBER),
        (".", {}, NOT_A_NUMBER),
        ("12%", {}, NOT_A_NUMBER),
        ("\u0661\u0662", {}, NOT_A_NUMBER),
        ("  7  ", {}, "7"),
        ("'12.50", {}, "12.5"),
        ("\u22125", {}, "-5"),
        ("(12.00)", {}, "-12"),
        ("($12.00)", {}, "-12"),
        ("$(12.00)", {}, "-12"),
        ("(12.00)$", {}, "-12"),
        ("12.00-", {}, "-12"),
        ("12,-", {"decimal": ","}, "12"),
        ("1.250,-- €", {"decimal": ",", "thousands": "."}, "1250"),
        ("CHF 12.-", {}, "12"),
        ("12,-", {}, NOT_A_NUMBER),
        ("1.250,-", {}, NOT_A_NUMBER),
        ("- 12.00", {}, "-12"),
        ("US$8.00", {}, "8"),
        ("R$ 12,50", {"decimal": ","}, "12.5"),
        ("8.00 EUR", {}, "8"),
        ("-EUR 8.00", {}, "-8"),
        ("1\u202f234,50 zł", {"decimal": ",", "thousands": " "}, "1234.5"),
        ("CHF 1'234.50", {"thousands": "'"}, "1234.5"),
        ("100 kr", {}, "100"),
        ("Rs. 100", {}, "100"),
        ("8.00 XYZ", {}, NOT_A_NUMBER),
        ("8.00 eur", {}, NOT_A_NUMBER),
        ("$8.00 EUR", {}, NOT_A_NUMBER),
        ("EUR", {}, NOT_A_NUMBER),
        ("-12-", {}, NOT_A_NUMBER),
        ("-(12)", {}, NOT_A_NUMBER),
        ("(-12)", {}, NOT_A_NUMBER),
        ("(12", {}, NOT_A_NUMBER),
        ("$8.00", {}, "8"),
        ("-$9.00", {}, "-9"),
        ("$-9.00", {}, "-9"),
        ("-$-9.00", {}, NOT_A_NUMBER),
        ("€ 12", {}, "12"),
        ("12,5 €", {"decimal": ","}, "12.5"),
        ("$8€", {}, NOT_A_NUMBER),
        ("50¢", {}, NOT_A_NUMBER),
        ("1,234.50", {}, "1234.5"),
        ("1,234,567", {}, "1234567"),
        ("1,150", {}, NOT_A_NUMBER),
        ("$1,150", {}, "1150"),
        ("1,150 USD", {}, "1150"),
        ("-£1,150", {}, "-1150"),
        ("€1,150", {}, NOT_A_NUMBER),
        ("1,150", {"decimal": "."}, "1150"),
        ("1,15", {"decimal": "."}, NOT_A_NUMBER),
        ("Dez 50", {}, NOT_A_NUMBER),
        ("12 euro", {}, NOT_A_NUMBER),
        ('="12.50"', {}, "12.5"),
        ("1,234.50", {"thousands": ","}, "1234.5"),
        ("1,23,456", {"thousands": ","}, "123456"),
        ("1,23,45", {"thousands": ","}, NOT_A_NUMBER),
        ("1234,567", {"thousands": ","}, NOT_A_NUMBER),
        ("0,123", {"thousands": ","}, NOT_A_NUMBER),
        ("1.234,56", {"decimal": ","}, "1234.56"),
        ("1.234.567", {"decimal": ","}, "1234567"),
        ("1.234", {"decimal": ","}, NOT_A_NUMBER),
        ("1.234", {"thousands": "."}, "1234"),
        ("1.234,56", {"thousands": "."}, "1234.56"),
        ("12.5", {"decimal": ","}, NOT_A_NUMBER),
        ("1,234.5", {"decimal": "."}, "1234.5"),
        ("1 234.50", {}, NOT_A_NUMBER),
        ("1 234.50", {"thousands": " "}, "1234.5"),
        ("1\u00a0234\u202f567", {"thousands": " "}, "1234567"),
        ("1'234.50", {"thousands": "'"}, "1234.5"),
        ("1\u2019234", {"thousands": "'"}, "1234"),
        ("1_234", {"thousands": "_"}, "1234"),
        ("1250", {"scale": -2}, "12.5"),
        ("-5", {"scale": -2}, "-0.05"),
        ("0", {"scale": -2}, "0"),
        ("1.5", {"scale": -2}, "0.015"),
        ("12", {"scale": 3}, "12000"),
        ("0", {"scale": 3}, "0"),
        ("-0", {"scale": 3}, "0"),
        ("0.0015", {"scale": 3}, "1.5"),
        ("1e308", {"scale": 3}, NOT_FINITE),
        ("9" * 300, {"scale": 12}, NOT_FINITE),
        ("9" * 300, {}, "9" * 300),
        ("", {}, None),
        (" \u00a0\t", {}, None),
        (None, {}, None),
    ],
)
def test_a_cell_as_a_number(text: str | None, words: dict[str, Any], expected: str | None) -> None:
    assert cell(text, **{"as": "number"}, **words) == expected


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("7", {}, "7"),
        ("7.0", {}, "7"),
        ("-7.00", {}, "-7"),
        ("7e3", {}, "7000"),
        ("9007199254740993", {}, "9007199254740993"),
        ("123456789012345678901234567890", {}, "123456789012345678901234567890"),
        ("7.5", {}, NOT_AN_INTEGER),
        ("many", {}, NOT_AN_INTEGER),
        ("inf", {}, NOT_FINITE),
        ("1250", {"scale": -2}, NOT_AN_INTEGER),
        ("1200", {"scale": -2}, "12"),
        ("1.234", {"thousands": "."}, "1234"),
        ("$5.00", {}, "5"),
    ],
)
def test_a_cell_as_an_integer(text: str, words: dict[str, Any], expected: str) -> None:
    assert cell(text, **{"as": "integer"}, **words) == expected


def canonical(number: Decimal) -> str:
    """The token by `decimal` alone."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if not number else text


finite = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e30"), max_value=Decimal("1e30"))


@given(st.lists(finite, min_size=1), st.booleans())
def test_decimals_however_written_keep_their_exact_value(numbers: list[Decimal], scientific: bool) -> None:
    texts = [str(number) if scientific else format(number, "f") for number in numbers]
    assert outcomes(NumberReader(NumberForm())(strings(texts))) == [canonical(number) for number in numbers]


@given(st.lists(st.decimals(-(10**12), 10**12, places=2), min_size=1), st.sampled_from(" '_,"))
def test_grouped_thousands_are_read_back(numbers: list[Decimal], separator: str) -> None:
    texts = [f"{number:,}".replace(",", separator) for number in numbers]
    reader = NumberReader(NumberForm(thousands=separator))
    assert outcomes(reader(strings(texts))) == [canonical(number) for number in numbers]


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1), st.integers(-12, 12))
def test_scale_moves_the_point_exactly(numbers: list[int], scale: int) -> None:
    expected = [canonical(Decimal(number).scaleb(scale)) for number in numbers]
    assert outcomes(NumberReader(NumberForm(scale=scale))(strings([str(number) for number in numbers]))) == expected


FORMS = [
    NumberForm(),
    NumberForm(decimal=","),
    NumberForm(decimal=",", is_decimal_named=True),
    NumberForm(thousands=","),
    NumberForm(decimal=",", thousands="."),
    NumberForm(thousands=" "),
    NumberForm(thousands="'"),
    NumberForm(decimal=".", is_decimal_named=True),
]
odd_texts = st.text(alphabet="0123456789" * 3 + ".,-+eE $€()' \u00a0_x", min_size=1, max_size=12)


@given(st.lists(odd_texts, min_size=1, max_size=30), st.sampled_from(FORMS), st.booleans())
@example(texts=["-0", "-00", "$-0", "0€"], form=NumberForm(), integers=True)
@example(texts=["$-9", "-$9", "9 $", "$ 9", "-9€", "$9$", "9"], form=NumberForm(), integers=False)
@example(texts=["$1 234", "1 234 €", "1 234"], form=NumberForm(thousands=" "), integers=False)
def test_a_whole_column_reads_like_each_of_its_texts(texts: list[str], form: NumberForm, integers: bool) -> None:
    """The fast path is only ever faster."""
    reader = NumberReader(form, integers=integers)
    refused = ConversionError.NOT_AN_INTEGER
    alone = [reader.read(text) for text in texts]
    expected = [refused if integers and not isinstance(one, ConversionError) and "." in one else one for one in alone]
    assert outcomes(reader(strings(texts))) == expected


@given(st.lists(st.text(max_size=8), min_size=1))
def test_no_text_raises_and_every_text_has_an_outcome(texts: list[str]) -> None:
    made = outcomes(NumberReader(NumberForm())(strings(texts)))
    assert all(one is not None for one in made)


def test_a_hostile_cell_takes_no_time() -> None:
    """Long runs of blanks, digits or groups are refused or read in linear time, and huge exponents not expanded."""
    texts = ["1" + " " * 200_000 + "x", "1" * 400_000 + "x", "1,234" * 100_000, "1e" + "9" * 200_000, "$" * 100_000]
    reader = NumberReader(NumberForm(thousands=","))
    refused = ConversionError.NOT_A_NUMBER
    assert outcomes(reader(strings(texts))) == [refused, refused, refused, ConversionError.NOT_FINITE, refused]


signs = st.sampled_from([("", "", False), ("-", "", True), ("\u2212", "", True), ("(", ")", True), ("", "-", True)])
currencies = st.sampled_from([("", ""), ("$", ""), ("", " €"), ("US$", ""), ("EUR\u00a0", ""), ("", " kr"), ("", "zł")])


@given(st.lists(st.tuples(st.integers(1, 10**9), signs, currencies, st.booleans()), min_size=1, max_size=8))
def test_money_keeps_its_amount_and_sign(rows: list[tuple[int, tuple[str, str, bool], tuple[str, str], bool]]) -> None:
    """However the minus and the currency stand around the amount, in one column."""
    texts, expected = [], []
    for cents, (before, after, negative), (ahead, behind), outside in rows:
        amount = f"{cents // 100}.{cents % 100:02}"
        if outside:
            texts.append(f"{before}{ahead}{amount}{behind}{after}")
        else:
            texts.append(f"{ahead}{before}{amount}{after}{behind}")
        expected.append((-1 if negative else 1) * Decimal(cents) / 100)
    tokens = outcomes(NumberReader(NumberForm())(strings(texts)))
    assert [Decimal(str(token)) for token in tokens] == expected


@given(st.lists(finite, min_size=1))
@example([Decimal(2**53), Decimal(2**53 + 1), Decimal("-0.1"), Decimal("-0.11"), Decimal(0), Decimal("1e-30")])
def test_sortable_texts_are_in_the_order_of_the_numbers(numbers: list[Decimal]) -> None:
    """Exactly, however large: a float takes 2**53 and 2**53 + 1 for the same."""
    keys = sortable(strings([canonical(number) for number in numbers])).to_pylist()
    by_key = sorted(zip(keys, numbers, strict=True))
    assert [number for _, number in by_key] == sorted(numbers)
    assert len(set(keys)) == len(set(numbers))
