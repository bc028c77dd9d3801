"""The rules of the endpoint's page, for one event: the oracle that the importer's validation is compared with.

Each rule is written from the parameter table of "Create custom event"; where that is silent the docstring says what was
decided. `parse` turns a request's body into JSON, `check` judges it.
"""

from __future__ import annotations

import functools
import math
import re
import string
from collections.abc import Callable
from typing import Any, Self, TypeAlias

import msgspec
from iso4217 import Currency

Errors: TypeAlias = dict[str, list[str]]
"""What is wrong, per field in dotted form; empty for an acceptable event."""

TEXT_BYTES = 2_048
"""A property's text: "must not exceed 2KB"."""
PROPERTIES_BYTES = 8_192
"""All properties as compact JSON: "total properties size must not exceed 8KB"."""


class Number(float):
    """A JSON number with a fraction or an exponent, that remembers how it was written.

    ``1e400`` is infinite here, which lets `check` name the field at fault.
    """

    __slots__ = ("token",)
    token: str

    def __new__(cls, token: str) -> Self:
        """From the digits as they came."""
        number = super().__new__(cls, token)
        number.token = token
        return number


class NotJsonError(ValueError):
    """The body is not JSON; the message says why."""


_decoder = msgspec.json.Decoder(float_hook=Number)
_encode = msgspec.json.Encoder().encode


def parse(body: bytes) -> Any:
    """Decode a body: str, int, `Number`, bool, None, list and dict; of a repeated key the last value counts.

    Raises:
        NotJsonError: malformed, not UTF-8, a lone surrogate, NaN, nested a thousand deep, or an integer of thousands
            of digits.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise NotJsonError(str(problem)) from problem
    except RecursionError as problem:
        raise NotJsonError("it is nested too deep") from problem


def _compact_size(value: str | float | bool) -> int:
    """Bytes that a value takes in compact UTF-8 JSON, a number as it was written."""
    return len(value.token) if isinstance(value, Number) else len(_encode(value))


def check(payload: Any, *, refuse_retired: bool = False) -> Errors:
    """Judge a decoded JSON object against every rule; all that is wrong is named at once.

    Decided where the page is silent: null is no value anywhere; a text of blanks is empty; unknown fields are ignored;
    ``value`` and ``value_currency`` need not come together; retired currencies pass unless ``refuse_retired``.
    """
    errors: Errors = {}
    _check_subscriber(payload.get("subscriber"), errors)
    kind = payload.get("type")
    if not isinstance(kind, str) or not kind.strip():
        errors["type"] = ["The type field is required and must be a non-empty string."]
    if "value" in payload and not _is_finite_number(payload["value"]):
        errors["value"] = ["The value must be a finite number."]
    if "value_currency" in payload and (problem := _currency_problem(payload["value_currency"], refuse_retired)):
        errors["value_currency"] = [problem]
    if "properties" in payload:
        _check_properties(payload["properties"], errors)
    return errors


def _check_subscriber(subscriber: Any, errors: Errors) -> None:
    if not isinstance(subscriber, dict):
        errors["subscriber"] = ["The subscriber field is required and must be an object."]
        return
    named = False
    for name, is_valid, problem in _IDENTIFIERS:
        if name in subscriber:
            named = True
            value = subscriber[name]
            if not isinstance(value, str) or not (is_valid(value) or value == _PLACEHOLDERS.get(name)):
                errors[f"subscriber.{name}"] = [problem]
    if not named:
        errors["subscriber"] = ["The subscriber must contain at least one of: id, email, phone."]


_ATEXT = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~")
_LETTERS_DIGITS_HYPHEN = frozenset(string.ascii_letters + string.digits + "-")
_PHONE = re.compile(r"(?:\+|00)[1-9][0-9]{6,14}")


def is_email(text: str) -> bool:
    """Whether ``text`` is a mailbox in the form people have them.

    RFC 5321, 4.1.2, without quoted local parts and address literals: a dot-string of at most 64 characters, ``@``, and
    a domain of two or more labels (at most 63 letters, digits and inner hyphens each), the last not all digits
    (RFC 3696, 2); at most 254 characters of ASCII in all. An international domain is written in its ``xn--`` form.
    """
    if len(text) > 254 or not text.isascii():
        return False
    local, _, domain = text.rpartition("@")
    labels = domain.split(".")
    return (
        len(local) <= 64
        and all(atom and _ATEXT.issuperset(atom) for atom in local.split("."))
        and len(labels) > 1
        and all(0 < len(label) <= 63 and "-" not in (label[0], label[-1]) for label in labels)
        and all(map(_LETTERS_DIGITS_HYPHEN.issuperset, labels))
        and not labels[-1].isdigit()
    )


def is_phone(text: str) -> bool:
    """Whether ``text`` is ``+`` or ``00``, then 7 to 15 digits that begin with a country code (E.164; never a 0)."""
    return _PHONE.fullmatch(text) is not None


_IDENTIFIERS: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("id", str.strip, "The subscriber.id must be a non-empty string."),
    ("email", is_email, "The subscriber.email must be a valid e-mail address."),
    ("phone", is_phone, "The subscriber.phone must be a phone number including its country code, as in +37061234567."),
)


_PLACEHOLDERS = {"email": "[email protected]", "phone": "+1xxxxxxxxx"}
"""What is in the page's own examples for an address and a number: pasted, they get the page's own answer."""


def _is_finite_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer above all floats: the page's `float` cannot hold it
        return False


def _currency_problem(code: Any, refuse_retired: bool) -> str | None:
    if not isinstance(code, str):
        return "The value_currency must be a string."
    if code in _NOT_MONEY:
        return "The value_currency is not a currency that payments are made in."
    if code in _CURRENT:
        return None
    if code in _ever_used():
        return "The value_currency is no longer in use." if refuse_retired else None
    return "The value_currency must be an ISO 4217 currency code."


# Codes are upper case in ISO 4217, and so they must be here.
_CURRENT = frozenset(currency.code for currency in Currency if currency.exponent is not None)
_NOT_MONEY = frozenset(currency.code for currency in Currency if currency.exponent is None)
"""Metals, funds, tests and "no currency": whatever ISO 4217 gives no minor unit."""


@functools.cache
def _ever_used() -> frozenset[str]:
    from babel.numbers import list_currencies  # only rare events need it, and it takes 50 ms to load

    # The offshore yuan has a code in the CLDR, but never had one in ISO 4217.
    return frozenset(list_currencies()) - {"CNH"}


def _check_properties(properties: Any, errors: Errors) -> None:
    if not isinstance(properties, dict):
        errors["properties"] = ["The properties must be an object."]
        return
    size = 2 + max(len(properties) - 1, 0)  # {} and the commas
    for name, value in properties.items():
        if problem := _property_problem(value):
            errors[f"properties.{name}"] = [problem]
        else:
            size += _compact_size(name) + 1 + _compact_size(value)
    if size > PROPERTIES_BYTES:
        errors["properties"] = [f"The properties must not exceed {PROPERTIES_BYTES} bytes; these take {size}."]


def _property_problem(value: Any) -> str | None:
    if isinstance(value, str):
        size = len(value) if value.isascii() else len(value.encode())
        return None if size <= TEXT_BYTES else f"The text must not exceed {TEXT_BYTES} bytes; this one takes {size}."
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return None if _is_finite_number(value) else "The number must be finite."
    return "The properties are flat: a value must be a string, an integer, a decimal or a boolean."
