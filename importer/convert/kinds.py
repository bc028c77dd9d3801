"""Which conversion ``as`` means, and the conversions that need no room of their own: text and booleans.

Leaves numbers to ``numbers``, dates and times to ``times``, phones to ``phones``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import Leftovers
from importer.convert.faults import Converted, Fault, faults_of
from importer.convert.numbers import NumberForm, NumberReader
from importer.convert.times import TimeForm, TimeReader
from importer.mapping.model import Pick
from importer.model import ArrowArray, Kind

Converter: TypeAlias = Callable[..., Converted]
"""A column → the same converted; times and phones also take the column that names their zones or countries."""

_WORDS = {"true": "true", "yes": "true", "y": "true", "t": "true", "1": "true", "on": "true"}
_WORDS |= {"false": "false", "no": "false", "n": "false", "f": "false", "0": "false", "off": "false"}
_KEYS = pa.array(_WORDS)
_TOKENS = pa.array(_WORDS.values())


def kind_of(pick: Pick) -> Kind:
    """The kind a property has: ``as``, else number for a product, else what a ``const`` is in YAML, else text."""
    if pick.as_ is not None:
        return pick.as_
    if pick.product_of is not None:
        return "number"
    if isinstance(pick.const, bool):
        return "boolean"
    if isinstance(pick.const, int):
        return "integer"
    return "number" if isinstance(pick.const, float) else "text"


def converter(pick: Pick, kind: Kind) -> Converter:
    """The conversion of a pick's texts to a kind."""
    if kind in ("integer", "number"):
        return NumberReader(NumberForm.of(pick), integers=kind == "integer")
    if kind in ("date", "datetime"):
        return TimeReader(TimeForm.of(pick, dates=kind == "date"))
    return booleans if kind == "boolean" else Converted


def booleans(texts: ArrowArray) -> Converted:
    """true/false, yes/no, y/n, t/f, 1/0, on/off in any case → ``true`` or ``false``.

    So are what tables of floats (``1.0``) and spreadsheets (an apostrophe before it) have made of them.
    """
    tokens = _TOKENS.take(pc.index_in(pc.ascii_lower(texts), value_set=_KEYS))
    odd = Leftovers.of(texts, pc.is_valid(tokens), _odd_boolean)
    values = odd.scattered(tokens, lambda found: None if isinstance(found, Fault) else found)
    return Converted(values, faults_of(odd))


def _odd_boolean(text: str) -> str | Fault:
    return _WORDS.get(text.removeprefix("'").removesuffix(".0").lower(), Fault.NOT_A_BOOLEAN)
