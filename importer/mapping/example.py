"""Mapping by example: rows, and the events or the reasons that must come of them.

This module owns the words of `tests`. Running them through the real stages is ``pipeline.examples``'s.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from importer.mapping import rules
from importer.mapping.mistakes import Given, Mistake, Model

_Text = Annotated[str, BeforeValidator(rules.as_text), WithJsonSchema({"type": ["string", "integer"]})]
_Number = Annotated[int, Strict()] | Annotated[float, Strict(), Field(allow_inf_nan=False)]
_Value = str | bool | int | float


class ExpectedSubscriber(Model):
    """Who an expected event is about."""

    id: _Text | None = None
    """The id that is sent."""
    email: _Text | None = None
    """The e-mail address that is sent."""
    phone: _Text | None = None
    """The phone that is sent, such as +37061234567."""


class ExpectedEvent(Model):
    """An event as the API gets it, whole: what is not named must not be there."""

    subscriber: ExpectedSubscriber | None = None
    """Who the event is about."""
    type: _Text | None = None
    """The event's type."""
    value: _Number | None = None
    """The event's value."""
    value_currency: _Text | None = None
    """The value's currency."""
    properties: abc.Mapping[str, _Value] | None = None
    """All its properties."""


class ExpectedReason(Model):
    """A reason of the report: why a row is refused, or what it is warned of. A bare text is its code."""

    code: Annotated[str, AfterValidator(rules.reason_code)]
    """The reason's code, such as email.invalid."""
    row: Annotated[int, Strict(), Field(ge=1)] | None = None
    """The row's number among those of the example, from 1. Any, if it is not said."""
    field: _Text | None = None
    """The target at fault, such as subscriber.email. Any, if it is not said."""

    @classmethod
    def written(cls, data: Any) -> Any:
        """A bare text is a code."""
        return {"code": data} if isinstance(data, str) else data


class Example(Model):
    """Rows, and what must come of them: these events and these reasons, and no others, in this order.

    A row that makes neither is left out by `where`, or joined to another one.
    """

    name: _Text | None = None
    """What the example shows, in a few words."""
    rows: str | Annotated[tuple[abc.Mapping[str, Any], ...], Field(min_length=1)]
    """Rows as columns and their cells; or a text that is read as a file of the mapping's `source` would be."""
    events: tuple[ExpectedEvent, ...] | None = None
    """The events that come out, in the order of the rows."""
    reasons: tuple[ExpectedReason, ...] | None = None
    """The reasons that come out, in the order of the rows."""

    @classmethod
    def clashes(cls, given: Given) -> Iterator[Mistake]:
        """Something must be expected, be it nothing."""
        if not given.has_unknown and given.values.get("events") is None and given.values.get("reasons") is None:
            hint = "write `events: []` if no event comes of the rows"
            yield Mistake((), "an example of `tests` has `events`, `reasons`, or both", hint)
