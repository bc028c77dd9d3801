"""Phones: what is brought into E.164, what has a reason of its own, and what is left to validation."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.convert.arrays import ConversionError
from importer.convert.identities import PhoneReader
from tests.unit.convert.building import events, found_problems, strings


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("+37061234567", None, "+37061234567"),
        ("+370 612-34.567", None, "+37061234567"),
        ("+370\u00a0(612)\u202f34567", None, "+37061234567"),
        ("\u202a+37061234567\u202c", None, "+37061234567"),
        ("(+370) 612/34567", None, "+37061234567"),
        ("0037061234567", None, "+37061234567"),
        ("00 370 612 34567", "US", "+37061234567"),
        ("'+37061234567", None, "+37061234567"),
        ("tel:+370-612-34567", None, "+37061234567"),
        ("+44 (0)20 7946 0018", None, "+442079460018"),
        ("+39 (0)6 6982", None, "+39066982"),
        ("861234567", "LT", "+37061234567"),
        ("(8-612) 34567", "LT", "+37061234567"),
        ("61234567", "LT", "+37061234567"),
        ("37061234567", "LT", "+37061234567"),
        ("'861234567", "LT", "+37061234567"),
        ("(202) 555-0144", "US", "+12025550144"),
        ("861234567.0", "LT", "+37061234567"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("06 6982", "IT", "+39066982"),
        ("+490176 12345678", None, "+4917612345678"),
        ("+44020 7946 0018", None, "+442079460018"),
        ("0049 0176 12345678", None, "+4917612345678"),
        ("+39 06 6982 0000", None, "+390669820000"),
    ],
)
def test_a_phone(text: str, country: str | None, expected: str) -> None:
    assert PhoneReader(country)(strings([text])).values.to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("call me", "US"),
        ("+1 202", "US"),
        ("12345", "US"),
        ("202-555-0144 x12", "US"),
        ("+370612345678901234", None),
        ("n/a?", None),
        ("555-0123", "US"),  # no area code
        ("1234567", "DE"),  # neither a prefix of an area code, nor a number in use
        ("+1 555-0123", None),
        ("+0 123 456 789", None),
    ],
)
def test_what_is_no_phone_stays_as_found_with_its_reason(text: str, country: str | None) -> None:
    made = events({"p": [text]}, subscriber={"phone": {"column": "p"} | ({"country": country} if country else {})})
    assert made.phone.to_pylist() == [text]
    assert found_problems(made) == {("phone.invalid", "subscriber.phone", 0, text)}


def test_a_number_that_can_be_read_two_ways_is_refused() -> None:
    """Without its plus a number may be a national one that begins with its country's code, or an international one."""
    made = events({"p": ["4917612345678"]}, subscriber={"phone": {"column": "p", "country": "DE"}})
    assert found_problems(made) == {("phone.ambiguous", "subscriber.phone", 0, "4917612345678")}


@pytest.mark.parametrize("text", ["9.23E+11", "9,23E+11", "4.477e11", "'3.7061E+10", "+3.7E+10"])
@pytest.mark.parametrize("country", [None, "LT"])
def test_a_rounded_number_has_lost_its_digits(text: str, country: str | None) -> None:
    assert PhoneReader(country).read(text) is ConversionError.ROUNDED


@pytest.mark.parametrize("text", ["(202) 555-0144", "861234567", "37061234567", "861234567.0"])
def test_a_national_number_needs_a_country(text: str) -> None:
    assert PhoneReader().read(text) is ConversionError.NO_COUNTRY


def test_problems_name_the_phone_and_keep_its_text() -> None:
    made = events({"p": ["861234567", "9.2E+11", None, "+37061234567"]}, subscriber={"phone": "p"})
    assert found_problems(made) == {
        ("phone.no_country", "subscriber.phone", 0, "861234567"),
        ("phone.rounded", "subscriber.phone", 1, "9.2E+11"),
    }
    assert made.phone.to_pylist() == ["861234567", "9.2E+11", None, "+37061234567"]


def test_every_country_s_example_numbers_come_out_as_the_numbering_plans_say() -> None:
    """National and international writing of one number are one subscriber."""
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number(country)
        assert number is not None
        if not phonenumbers.is_valid_number(number):
            continue
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        kinds = (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        written = [phonenumbers.format_number(number, kind) for kind in kinds]
        assert [PhoneReader(country).read(text) for text in written] == [e164, e164], country


written_numbers = st.text(alphabet="0123456789" * 3 + "+ ().-/eE,'", min_size=1, max_size=20)


@given(st.lists(written_numbers | st.text(max_size=8), min_size=1), st.sampled_from([None, "LT", "US"]))
def test_a_whole_column_reads_like_each_of_its_texts(texts: list[str], country: str | None) -> None:
    reader = PhoneReader(country)
    made = reader(strings(texts))
    faulty = {position: fault for fault, positions in made.errors for position in positions.tolist()}
    found = [faulty.get(position, value) for position, value in enumerate(made.values.to_pylist())]
    assert all(made.values[position].as_py() == texts[position] for position in faulty)
    assert found == [reader.read(text) for text in texts]


def test_a_column_may_name_each_phone_s_country() -> None:
    """A national number is of the country beside it; international numbers need none."""
    made = events(
        {
            "p": ["861234567", "(202) 555-0144", "+44 20 7946 0018", "0037061234567", "861234567", "861234567", "?"],
            "c": ["LT", "us", "Narnia", None, None, "Lithuania", "UK"],
        },
        subscriber={"phone": {"column": "p", "country": {"column": "c"}}},
    )
    assert made.phone.to_pylist()[:4] == ["+37061234567", "+12025550144", "+442079460018", "+37061234567"]
    assert found_problems(made) == {
        ("phone.no_country", "subscriber.phone", 4, "861234567"),
        ("phone.unknown_country", "subscriber.phone", 5, "Lithuania"),
        ("phone.invalid", "subscriber.phone", 6, "?"),
    }


def test_a_country_can_be_translated_and_have_a_default() -> None:
    country = {"column": "c", "map": {"Lithuania": "LT"}, "default": "US"}
    made = events(
        {"p": ["861234567", "(202) 555-0144"], "c": ["Lithuania", " "]},
        subscriber={"phone": {"column": "p", "country": country}},
    )
    assert made.phone.to_pylist() == ["+37061234567", "+12025550144"]
    assert not made.violations


@given(st.lists(st.tuples(written_numbers, st.sampled_from([None, "LT", "us", "XX"])), min_size=1))
def test_phones_with_countries_read_like_each_alone(rows: list[tuple[str, str | None]]) -> None:
    texts, countries = [row[0] for row in rows], [row[1] for row in rows]
    made = PhoneReader()(strings(texts), strings(countries))
    faulty = {position: fault for fault, positions in made.errors for position in positions.tolist()}
    found = [faulty.get(position, value) for position, value in enumerate(made.values.to_pylist())]
    assert found == [PhoneReader(country and country.upper()).read(text) for text, country in rows]
