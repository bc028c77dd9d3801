"""The syntax of e-mail addresses and phone numbers, at its limits."""

import pytest

from importer.sandbox.rules import is_email, is_phone


@pytest.mark.parametrize(
    "text",
    [
        "a@b.co",
        "ada.lovelace+news@example.com",
        "o'brien@example.co.uk",
        "!#$%&'*+-/=?^_`{|}~@example.org",
        "x" * 64 + "@example.com",
        "a@" + "b" * 63 + ".example",
        "a@1.2.example",
        "a@xn--bcher-kva.example",
        "UPPER@EXAMPLE.COM",
        ("x" * 64 + "@" + ("y" * 62 + ".") * 3)[: 254 - 3] + ".zz",
    ],
)
def test_an_address_in_the_usual_form_is_accepted(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nobody",
        "@example.com",
        "a@",
        "a@localhost",
        "a@b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@example..com",
        "a@.example.com",
        "a@example.com.",
        "a@-example.com",
        "a@example-.com",
        "a@exa_mple.com",
        "a b@example.com",
        " a@example.com",
        "a@example.com\n",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "Ada <a@example.com>",
        "a@example.com,b@example.com",
        "žana@example.com",
        "a@bücher.example",
        "x" * 65 + "@example.com",
        "a@" + "b" * 64 + ".example",
        "a@" + "b." * 126 + "co",
    ],
)
def test_what_has_another_form_is_refused(text: str) -> None:
    assert not is_email(text)


@pytest.mark.parametrize("text", ["+1234567", "+123456789012345", "001234567", "00123456789012345", "+37061234567"])
def test_a_phone_has_a_prefix_and_7_to_15_digits(text: str) -> None:
    assert is_phone(text)


@pytest.mark.parametrize(
    "text",
    ["", "+", "+123456", "+1234567890123456", "00123456", "001234567890123456", "37061234567", "+0123456789",
     "000123456789", "+370 612 34567", "+370-61234567", "+1xxxxxxxxx", "+٣٧٠٦١٢٣٤٥٦٧", "+37061234567\n",
     "++37061234567"],
)  # fmt: skip
def test_what_is_no_international_number_is_refused(text: str) -> None:
    assert not is_phone(text)
