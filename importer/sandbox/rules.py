"""The rules of the endpoint's page, for one event: the oracle that the importer's validation is compared with.

Owns what makes an event acceptable and the API's words for what does not. Each rule is written from the parameter table
of "Create custom event"; where that is silent the docstring says what was decided. It leaves bytes to ``payload`` and
status codes to ``endpoint``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from importer.sandbox.address import is_email, is_phone
from importer.sandbox.currency import standing
from importer.sandbox.payload import compact_size

Errors: TypeAlias = dict[str, list[str]]
"""What is wrong, per field in dotted form; empty for an acceptable event."""

TEXT_BYTES = 2_048
"""A property's text: "must not exceed 2KB"."""
PROPERTIES_BYTES = 8_192
"""All properties as compact JSON: "total properties size must not exceed 8KB"."""


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


_IDENTIFIERS: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("id", str.strip, "The subscriber.id must be a non-empty string."),
    ("email", is_email, "The subscriber.email must be a valid e-mail address."),
    ("phone", is_phone, "The subscriber.phone must be a phone number including its country code, as in +37061234567."),
)


_PLACEHOLDERS = {"email": "[email protected]", "phone": "+1xxxxxxxxx"}
"""What stands in the page's own examples for an address and a number: whoever pastes one gets the page's own answer."""


def _is_finite_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the floats: the page's `float` cannot hold it
        return False


def _currency_problem(code: Any, refuse_retired: bool) -> str | None:
    if not isinstance(code, str):
        return "The value_currency must be a string."
    match standing(code):
        case "current":
            return None
        case "retired":
            return "The value_currency is no longer in use." if refuse_retired else None
        case "not_money":
            return "The value_currency is not a currency that payments are made in."
        case _:
            return "The value_currency must be an ISO 4217 currency code."


def _check_properties(properties: Any, errors: Errors) -> None:
    if not isinstance(properties, dict):
        errors["properties"] = ["The properties must be an object."]
        return
    size = 2 + max(len(properties) - 1, 0)  # {} and the commas
    for name, value in properties.items():
        if problem := _property_problem(value):
            errors[f"properties.{name}"] = [problem]
        else:
            size += compact_size(name) + 1 + compact_size(value)
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
