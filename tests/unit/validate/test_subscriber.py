"""Whom an event is about: id, e-mail, phone."""

import pytest

from importer.validate import validate
from tests.support.events import Row, make_events, problem

GOOD_EMAILS = [
    "a@b.co",
    "ann@example.com",
    "Ann.Lee+sale@mail.example.co.uk",
    "o'hara@example.com",
    "x_y-z@example.com",
    "!#$%&'*+/=?^_`{|}~-@example.com",
    "1@2.example",
    "a@1-2.example",
    "a@xn--bcher-kva.example",
    "a@example.xn--p1ai",
    "a@example.4ever",
    "a@example.4-ever",
    "a" * 64 + "@example.com",
    "a@" + "b" * 63 + ".example",
    "a@" + ".".join(["b" * 61] * 4) + ".cdef",  # 254 bytes
]
BAD_EMAILS = [
    "",
    " ",
    "@",
    "ann",
    "ann@",
    "@example.com",
    "ann@example",
    "ann@localhost",
    "ann@@example.com",
    "ann@bob@example.com",
    ".ann@example.com",
    "ann.@example.com",
    "ann..lee@example.com",
    "ann lee@example.com",
    "ann@exam ple.com",
    " ann@example.com",
    "ann@example.com ",
    "ann@example.com\n",
    "ann@example.com,bob@example.com",
    "ann@example.com;bob@example.com",
    "Ann <ann@example.com>",
    "<ann@example.com>",
    "mailto:ann@example.com",
    '"ann lee"@example.com',
    "ann@[192.0.2.1]",
    "ann@192.0.2.1",
    "ann@example.123",
    "ann@example.1-",
    "ann@-example.com",
    "ann@example-.com",
    "ann@example.-com",
    "ann@example.com-",
    "ann@.example.com",
    "ann@example..com",
    "ann@example.com.",
    "ann@exa_mple.com",
    "ann(at)example.com",
    "ann\x00@example.com",
    "ann\u200b@example.com",
    "a" * 65 + "@example.com",
    "jürgen@example.com",
    "ann@bücher.example",
    "ann@example.\u0441om",
    "ann\uff20example.com",
    "a@" + "b" * 64 + ".example",
    "a@mail." + "b" * 64 + ".example",
    "a@example." + "b" * 64,
    "a@" + ".".join(["b" * 61] * 4) + ".cdefg",  # 255 bytes
]
GOOD_PHONES = ["+1234567", "+37060000000", "+123456789012345"]
BAD_PHONES = ["", "+", "+123456", "+1234567890123456", "+0370600000", "37060000000", "0037060000000", "+370 600 00000",
              "+370-600", "+3706000000x", "+37060000000\n", "+٣٧٠٦٠٠٠٠٠٠٠", "9.23E+11", "'+37060000000"]  # fmt: skip


def codes(row: Row) -> list[tuple[str, str, str]]:
    verdict = validate(make_events([Row(), row]), strict=False)
    found = [(p.code, p.field, p.values.to_pylist()[0]) for p in verdict.violations]
    assert all(p.positions.tolist() == [1] for p in verdict.violations)
    assert verdict.valid.tolist() == [True, not found]
    return found


@pytest.mark.parametrize("email", GOOD_EMAILS)
def test_an_email_address_passes(email: str) -> None:
    assert codes(Row(email=email)) == []


@pytest.mark.parametrize("email", BAD_EMAILS)
def test_what_is_no_email_address_is_refused_with_its_text(email: str) -> None:
    assert codes(Row(email=email, id="7")) == [("email.invalid", "subscriber.email", email)]


@pytest.mark.parametrize("phone", GOOD_PHONES)
def test_an_e164_phone_number_passes(phone: str) -> None:
    assert codes(Row(email=None, phone=phone)) == []


@pytest.mark.parametrize("phone", BAD_PHONES)
def test_what_is_no_e164_phone_number_is_refused_with_its_text(phone: str) -> None:
    assert codes(Row(phone=phone)) == [("phone.invalid", "subscriber.phone", phone)]


@pytest.mark.parametrize(
    "row", [Row(email=None, id="7"), Row(email="ann@example.com"), Row(email=None, phone="+37060000000")]
)
def test_one_of_id_email_and_phone_is_enough(row: Row) -> None:
    assert codes(row) == []


def test_a_row_without_id_email_and_phone_has_no_subscriber() -> None:
    assert codes(Row(email=None)) == [("subscriber.missing", "subscriber", "")]


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0"])
def test_a_blank_id_is_no_subscriber(blank: str) -> None:
    assert codes(Row(email=None, id=blank)) == [("subscriber.missing", "subscriber", "")]


def test_a_blank_address_is_an_invalid_one_and_not_a_missing_subscriber_as_well() -> None:
    assert codes(Row(email="")) == [("email.invalid", "subscriber.email", "")]
    assert codes(Row(email=None, phone=" ")) == [("phone.invalid", "subscriber.phone", " ")]


def test_a_bad_phone_beside_a_good_email_still_refuses_the_row() -> None:
    """Sending it without the phone would lose what the user meant to send."""
    assert codes(Row(phone="12")) == [("phone.invalid", "subscriber.phone", "12")]


def test_a_phone_that_shaping_found_fault_with_is_not_blamed_twice() -> None:
    events = make_events(
        [Row(email=None, phone="0600"), Row(email=None, phone="0601")],
        violations=[problem("phone.no_country", "subscriber.phone", 0)],
    )
    verdict = validate(events, strict=False)
    assert [(p.code, p.positions.tolist()) for p in verdict.violations] == [
        ("phone.no_country", [0]),
        ("phone.invalid", [1]),
    ]
    assert verdict.valid.tolist() == [False, False]


def test_a_phone_that_shaping_could_not_keep_is_not_a_missing_subscriber() -> None:
    events = make_events([Row(email=None)], violations=[problem("phone.rounded", "subscriber.phone", 0)])
    assert [p.code for p in validate(events, strict=False).violations] == ["phone.rounded"]
