"""One target of the mapping, compiled: its value mapping, its conversion, and the reason codes of what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import where_true, without
from importer.convert.arrays import ConversionError, Converted, DistinctValues, Errors
from importer.convert.cells import Cells, spelled
from importer.convert.datetimes import TimeForm, TimeReader
from importer.convert.filters import ColumnForms
from importer.convert.identities import IdReader, PhoneReader, emails
from importer.convert.numbers import NumberForm, NumberReader
from importer.convert.values import picker
from importer.mapping.model import Scalar, ValueMapping
from importer.model import ArrowArray, Kind, Violations

Converter: TypeAlias = Callable[..., Converted]
"""A column → the same converted; times and phones also take the column that names their zones or countries."""

IDENTITIES = ("subscriber.id", "subscriber.email", "subscriber.phone", "key", "group_by")
"""Targets that identify subscribers, keys or groups."""
_IMPLIED: dict[str, Kind] = {"value": "number", "order_by": "datetime"}
"""The kinds of targets that are not text if the mapping says nothing."""
_LATER = {"as_", "aggregate", "separator"}
"""Words that change no cell: a field's kind says the first, the others are for groups."""


class Filled(msgspec.Struct, frozen=True):
    """A target's column in one chunk."""

    texts: ArrowArray
    """As picked, before the conversion: what reasons show."""
    converted: Converted
    """Its errors include nested cells."""
    found: ArrowArray
    """The texts before identities were normalized: what reasons for a missing one show."""
    aside: ArrowArray | None = None
    """The column that names its zone or its country, if there is one: what the reasons for those show."""
    violations: tuple[Violations, ...] = ()
    """Cells that a test of `cases` could not read."""

    def shown(self, error: ConversionError) -> ArrowArray:
        """The texts that reasons for this error show."""
        of_aside = error in (ConversionError.UNKNOWN_ZONE, ConversionError.UNKNOWN_COUNTRY) and self.aside is not None
        return pc.coalesce(self.aside, self.texts) if of_aside else self.texts


class Field:
    """What fills a target."""

    def __init__(self, target: str, pick: ValueMapping, forms: ColumnForms) -> None:
        is_identity = target in IDENTITIES
        self.kind = kind_of(target, pick)
        is_name = is_identity or target == "type"  # `NULL` is no type either
        self._pick = picker(pick, forms, identity=is_name)
        self._convert = _converter(target, pick, self.kind)
        self._column = pick.column if is_identity and pick.lookup is None else None
        asides = pick.asides()
        self._aside = picker(asides[0], forms) if asides else None
        self._takes_nested = pick.as_ == "text"
        said = pick.model_dump(mode="json", exclude_defaults=True, exclude=_LATER)
        self.recipe = json.dumps([self.kind, self._takes_nested, target if is_name else "", said])
        """Fields of one recipe make the same of every cell."""

    def __call__(self, cells: Cells) -> Filled:
        """Fill the target from these cells."""
        picked = self._pick(cells)
        texts, errors = picked.texts, Errors()
        if picked.nested is not None and not self._takes_nested:
            nested = pc.and_(picked.nested, pc.is_valid(texts))
            positions = where_true(nested)
            if len(positions):
                errors = ((ConversionError.NESTED, positions),)
                texts = without(texts, nested)
        aside = None if self._aside is None else self._aside(cells).texts
        converted = self._convert(texts) if aside is None else self._convert(texts, aside)
        found = picked.texts if self._column is None else cells.column(self._column).texts
        made = Converted(converted.values, errors + converted.errors, converted.instants)
        return Filled(picked.texts, made, found, aside, picked.violations)

    def converted(self, scalar: Scalar | None) -> str | None:
        """What a constant of the mapping becomes; null if there is none, or if it cannot be converted."""
        if scalar is None:
            return None
        text = pa.array([spelled(scalar)])
        made = self._convert(text) if self._aside is None else self._convert(text, pa.nulls(1, pa.string()))
        value: str | None = None if made.errors else made.values[0].as_py()
        return value


def kind_of(target: str, pick: ValueMapping) -> Kind:
    """``as``, else number for a calculation, else what the target implies, else what a property's ``const`` is."""
    if pick.as_ is not None:
        return pick.as_
    if pick.operands():
        return "number"
    if target in _IMPLIED:
        return _IMPLIED[target]
    if not target.startswith("properties.") or isinstance(pick.const, str | None):
        return "text"
    if isinstance(pick.const, bool):
        return "boolean"
    return "integer" if isinstance(pick.const, int) else "number"


def _converter(target: str, pick: ValueMapping, kind: Kind) -> Converter:
    if target == "subscriber.phone":
        return PhoneReader(pick.country if isinstance(pick.country, str) else None)
    if target == "subscriber.email":
        return emails
    if target == "value_currency":
        return lambda texts: Converted(pc.utf8_upper(texts))
    numbers = NumberReader(NumberForm.of(pick), integers=kind == "integer") if kind in ("integer", "number") else None
    if target in IDENTITIES and kind in ("text", "integer", "number"):
        return IdReader(numbers, has_prefix=pick.template is not None and pick.template.count("{") == 1)
    if kind in ("date", "datetime"):
        return TimeReader(TimeForm.of(pick, dates=kind == "date"))
    return numbers or (booleans if kind == "boolean" else Converted)


_WORDS = {"true": "true", "yes": "true", "y": "true", "t": "true", "1": "true", "on": "true"}
_WORDS |= {"false": "false", "no": "false", "n": "false", "f": "false", "0": "false", "off": "false"}
_KEYS, _TOKENS = pa.array(_WORDS), pa.array(_WORDS.values())


def booleans(texts: ArrowArray) -> Converted:
    """true/false, yes/no, y/n, t/f, 1/0, on/off in any case → ``true`` or ``false``.

    So are what tables of floats (``1.0``) and spreadsheets (an apostrophe before it) have made of them.
    """
    tokens = _TOKENS.take(pc.index_in(pc.ascii_lower(texts), value_set=_KEYS))
    odd = DistinctValues.of(texts, pc.is_valid(tokens), _odd_boolean)
    return Converted(odd.put_into(tokens, str), odd.errors())


def _odd_boolean(text: str) -> str | ConversionError:
    return _WORDS.get(text.removeprefix("'").removesuffix(".0").lower(), ConversionError.NOT_A_BOOLEAN)


_PREFIXES = {"subscriber.id": "id", "subscriber.phone": "phone", "key": "key"}


def code_of(target: str, error: ConversionError) -> str:
    """The reason code of an error: some targets have codes of their own, the rest share the properties'."""
    if target == "group_by":
        own = (ConversionError.ROUNDED, ConversionError.DECIMAL)
        return f"group.{error}" if error in own else "group.invalid"
    if target in _PREFIXES and error in _OF_IDENTITIES:
        return f"{_PREFIXES[target]}.{error}"
    if target == "order_by":
        said = error in (ConversionError.AMBIGUOUS_DATE, ConversionError.UNKNOWN_ZONE)
        return f"order_by.{error}" if said else "order_by.invalid"
    if target == "value":
        return "value.not_finite" if error is ConversionError.NOT_FINITE else "value.not_a_number"
    return f"property.{error}"


_OF_IDENTITIES = (
    ConversionError.ROUNDED,
    ConversionError.DECIMAL,
    ConversionError.NO_COUNTRY,
    ConversionError.UNKNOWN_COUNTRY,
    ConversionError.NOT_A_PHONE,
    ConversionError.AMBIGUOUS_PHONE,
)
