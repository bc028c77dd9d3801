"""Which columns an event has, and how each becomes a group's.

This module owns the list of columns that stands for `Events` within this stage, there and back again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from importer.mapping.model import Aggregate, ImportMapping
from importer.model import ArrowArray, Events, Kind, Property

SHOWN = ("subscriber.id", "subscriber.email", "subscriber.phone", "type", "key")
"""What the report tells of every row, member or not."""

_SEPARATOR = ", "
_ATTRIBUTES = {
    "subscriber.id": "subscriber_id",
    "subscriber.email": "email",
    "subscriber.phone": "phone",
    "type": "type",
    "value": "value",
    "value_currency": "value_currency",
    "key": "key",
    "order_by": "order_value",
    "event_time": "event_time",
}
"""Columns that are none of the properties, and where `Events` has them."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of events."""

    target: str
    """As problems name it; ``occurred`` for the source's own time."""
    how: Aggregate
    kind: Kind
    """Of the rows' values."""
    separator: str = _SEPARATOR
    is_text: bool = True
    """Whether the values are texts or tokens; places in order and times may be numbers."""

    @property
    def is_number(self) -> bool:
        """Whether the values are number tokens."""
        return self.is_text and self.kind in ("integer", "number")

    @property
    def made(self) -> Kind:
        """The kind of what is made of a group's values."""
        return "integer" if self.how == "count" else "text" if self.how == "join" else self.kind

    def again(self) -> Column:
        """The same column for the second round, over what the first one made."""
        return replace(self, how="sum", kind="integer") if self.how == "count" else self

    def of(self, events: Events) -> ArrowArray:
        """Its values."""
        if self.target in _ATTRIBUTES:
            return getattr(events, _ATTRIBUTES[self.target])
        return self._property(events).values

    def ranks(self, events: Events) -> ArrowArray | None:
        """What its values are compared by, where that is not the values themselves and matters."""
        if self.how not in ("min", "max") or self.kind not in ("date", "datetime") or not self.is_text:
            return None
        return self._property(events).instants

    def _property(self, events: Events) -> Property:
        return next(one for one in events.properties if f"properties.{one.name}" == self.target)


def columns_of(mapping: ImportMapping, sample: Events) -> tuple[Column, ...]:
    """The columns that the mapping's events have; ``sample`` are any of its events."""
    picks = dict(mapping.picks())
    kinds: dict[str, Kind] = {f"properties.{one.name}": one.kind for one in sample.properties}
    kinds["value"] = "number"
    columns: list[Column] = []
    for target in (*_ATTRIBUTES, *kinds):
        pick = picks.get(target)
        if pick is None and not (target == "event_time" and sample.event_time is not None):
            continue
        if any(one.target == target for one in columns):
            continue
        columns.append(
            Column(
                target,
                how=(pick.aggregate if pick else None) or "first",
                kind=kinds.get(target, "text"),
                separator=_SEPARATOR if pick is None or pick.separator is None else pick.separator,
                is_text=target not in ("order_by", "event_time"),
            )
        )
    return tuple(columns)


def with_columns(events: Events, columns: Sequence[Column], values: Sequence[ArrowArray]) -> Events:
    """Events with these values in these columns, in the order of the columns; other columns stay as they are."""
    found: dict[str, Any] = {
        _ATTRIBUTES[c.target]: v for c, v in zip(columns, values, strict=True) if c.target in _ATTRIBUTES
    }
    properties = tuple(
        Property(c.target.removeprefix("properties."), c.made, v)
        for c, v in zip(columns, values, strict=True)
        if c.target not in _ATTRIBUTES
    )
    return replace(events, **found, properties=properties)
