"""One target of the mapping, compiled: its pick, its conversion, and what it says of cells that cannot be converted.

Owns which conversion a target gets and which code a fault has there. Leaves picking to ``picks``, converting to
``kinds`` and ``phones``, and where the result goes to ``shaper``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow.compute as pc

from importer.convert.arrays import where_true, without
from importer.convert.faults import Converted, Fault, Faults
from importer.convert.ids import IdReader
from importer.convert.kinds import Converter, converter
from importer.convert.numbers import NumberForm, NumberReader
from importer.convert.phones import PhoneReader
from importer.convert.picks import Cells, picker
from importer.mapping.model import Pick
from importer.model import ArrowArray, Kind

_LATER = {"as_", "aggregate", "separator"}
"""Words that change no cell: a field's kind says the first, the others are for groups."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A target's column in one chunk."""

    texts: ArrowArray
    """As picked, before the conversion: what problems show."""
    converted: Converted
    """Its faults include what is nested."""
    aside: ArrowArray | None = None
    """What stands in the column of its zone or its country, if there is one: what their problems show."""

    def shown(self, fault: Fault) -> ArrowArray:
        """The texts that problems of this kind show."""
        of_aside = fault in (Fault.UNKNOWN_ZONE, Fault.UNKNOWN_COUNTRY) and self.aside is not None
        return pc.coalesce(self.aside, self.texts) if of_aside else self.texts


class Field:
    """What fills a target."""

    def __init__(self, pick: Pick, kind: Kind, convert: Converter | None = None) -> None:
        self.kind: Kind = kind
        self._pick = picker(pick)
        self._convert = convert or converter(pick, kind)
        asides = pick.asides()
        self._aside = picker(asides[0]) if asides else None
        self._takes_nested = pick.as_ == "text"
        said = pick.model_dump(mode="json", exclude_defaults=True, exclude=_LATER)
        self._recipe = json.dumps([kind, self._takes_nested, repr(convert), said])

    def __eq__(self, other: object) -> bool:
        """Fields that make the same of every cell are equal, and worked out once per chunk."""
        return isinstance(other, Field) and self._recipe == other._recipe

    def __hash__(self) -> int:
        return hash(self._recipe)

    def __call__(self, cells: Cells) -> Filled:
        """Fill the target from these cells."""
        picked = self._pick(cells)
        texts, faults = picked.texts, Faults()
        if picked.nested is not None and not self._takes_nested:
            nested = pc.and_(picked.nested, pc.is_valid(texts))
            positions = where_true(nested)
            if len(positions):
                faults = ((Fault.NESTED, positions),)
                texts = without(texts, nested)
        aside = None if self._aside is None else self._aside(cells).texts
        converted = self._convert(texts) if aside is None else self._convert(texts, aside)
        return Filled(picked.texts, Converted(converted.values, faults + converted.faults, converted.instants), aside)


def phone_field(pick: Pick) -> Field:
    """The field of ``subscriber.phone``."""
    return Field(pick, "text", PhoneReader(pick.country if isinstance(pick.country, str) else None))


def id_field(pick: Pick, kind: Kind) -> Field:
    """The field of what tells subscribers, keys or groups apart."""
    if kind == "text":
        return Field(pick, kind, IdReader())
    if kind in ("integer", "number"):
        return Field(pick, kind, IdReader(NumberReader(NumberForm.of(pick), integers=kind == "integer")))
    return Field(pick, kind)


_IDS = {"subscriber.id": "id", "key": "key", "group_by": "group"}


def code_of(field: str, fault: Fault) -> str:
    """The reason code of a fault: the value and phones have codes of their own, the rest share the properties'."""
    if fault is Fault.ROUNDED and field in _IDS:
        return f"{_IDS[field]}.rounded"
    if fault in (Fault.ROUNDED, Fault.NO_COUNTRY, Fault.UNKNOWN_COUNTRY):
        return f"phone.{fault}"
    if field == "group_by":
        return "group.invalid"
    if field == "order_by":
        return f"order_by.{fault}" if fault in (Fault.AMBIGUOUS_DATE, Fault.UNKNOWN_ZONE) else "order_by.invalid"
    if field == "value":
        return "value.not_finite" if fault is Fault.NOT_FINITE else "value.not_a_number"
    return f"property.{fault}"
