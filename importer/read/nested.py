"""Paths into nested values.

What a path means in JSON and in Arrow's columns.

    user.email                              a key in an object in an object
    items.0.name                            the first element of a list
    event_params[coupon].value.string_value the element of a list of objects whose ``key`` is ``coupon``

A key that is spelled like the path, or like the beginning of it, wins: ``{"user.email": …}`` over ``{"user": {…}}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import where_true
from importer.mapping.columns import UnusedColumns
from importer.model import ArrowArray
from importer.read.arrow import elements_of, text_of

MISSING: Any = object()
"""What a path finds where nothing is."""
_LOOKUP_KEY = "key"
"""The key that ``[name]`` compares: BigQuery's exports write their parameters as ``{"key": …, "value": {…}}``."""

_FIRST = re.compile(r"\[([^\]]*)\]|[^.\[]+")


class Path(msgspec.Struct, frozen=True):
    """A path, or what is left of one on the way down."""

    text: str
    splits: tuple[tuple[str, Path], ...]
    """Every way to take a key from its beginning, the longest key first, with the rest; without the whole."""
    index: int | None
    """The position in a list that its first segment asks for."""
    lookup: str | None
    """The ``key`` of the list's element that its first segment asks for."""
    rest: Path | None
    """What follows the first segment."""

    @property
    def heads(self) -> tuple[str, ...]:
        """Keys under which the value may lie, most specific first."""
        return (self.text, *(head for head, _ in self.splits))


@cache
def parse(text: str) -> Path:
    """Take a path apart; a name without dots and brackets is a path of one key."""
    splits = tuple(
        (text[: found.start()], parse(text[found.start() :].removeprefix(".")))
        for found in reversed(list(re.finditer(r"[.\[]", text)))
        if 0 < found.start() < len(text) - 1
    )
    first = _FIRST.match(text)
    rest = text[first.end() :].removeprefix(".") if first else ""
    return Path(
        text,
        splits,
        index=int(first[0]) if first and first[0].isdecimal() else None,
        lookup=first[1] if first else None,
        rest=parse(rest) if rest else None,
    )


def find(value: Any, path: Path) -> Any:
    """What lies at ``path`` in a decoded JSON value; `MISSING` if nothing does."""
    if isinstance(value, dict):
        found = value.get(path.text, MISSING)
        for head, tail in path.splits:
            if found is not MISSING:
                break
            if head in value:
                found = find(value[head], tail)
        return found
    if isinstance(value, list):
        element = MISSING
        if path.index is not None:
            element = value[path.index] if path.index < len(value) else MISSING
        elif path.lookup is not None:
            keyed = (item for item in value if isinstance(item, dict) and item.get(_LOOKUP_KEY) == path.lookup)
            element = next(keyed, MISSING)
        return element if element is MISSING or path.rest is None else find(element, path.rest)
    return MISSING


def reach(array: ArrowArray, path: Path) -> ArrowArray | None:
    """The values at ``path`` in a column of a plain type, null where something on the way is missing.

    None if the path leads nowhere in values of this type.
    """
    kind = array.type
    if pa.types.is_list(kind):
        elements = _elements(array, path)
        return elements if elements is None or path.rest is None else reach(elements, path.rest)
    if pa.types.is_map(kind):
        is_named = pa.types.is_string(kind.key_type)
        return pc.map_lookup(array, pa.scalar(path.text), "first") if is_named else None
    names = [field.name for field in struct_fields(kind)]
    if path.text in names:
        return pc.struct_field(array, [names.index(path.text)])
    inside = (reach(pc.struct_field(array, [names.index(head)]), tail) for head, tail in path.splits if head in names)
    return next((found for found in inside if found is not None), None)


def _elements(array: ArrowArray, path: Path) -> ArrowArray | None:
    """One element of each list: by its position, or the first whose ``key`` is the one asked for."""
    flat, parents = elements_of(array)
    if path.index is not None:
        firsts = np.searchsorted(parents, parents)
        chosen = np.flatnonzero(np.arange(len(parents)) - firsts == path.index)
    elif path.lookup is not None and any(field.name == _LOOKUP_KEY for field in struct_fields(flat.type)):
        keys = pc.struct_field(flat, [flat.type.get_field_index(_LOOKUP_KEY)])
        hits = where_true(pc.equal(text_of(keys)[0], path.lookup))
        chosen = hits[np.unique(parents[hits], return_index=True)[1]]
    else:
        return None
    places = np.full(len(array), -1, np.int64)
    places[parents[chosen]] = chosen
    return flat.take(pa.array(places, mask=places < 0))


def struct_fields(kind: Any) -> list[Any]:
    """The fields of a struct's type; of another type none."""
    return [kind.field(at) for at in range(kind.num_fields)] if pa.types.is_struct(kind) else []


def members(row: dict[str, Any], unused: UnusedColumns) -> Iterator[tuple[str, Any]]:
    """The paths and values in a JSON object that nothing else of the mapping uses and `more_properties` takes."""
    inside = (
        (f"{prefix}.", found) for prefix in unused.prefixes if isinstance(found := find(row, parse(prefix)), dict)
    )
    for prefix, found in (("", row), *inside):
        for key, value in found.items():
            path = prefix + key
            is_used = isinstance(value, dict | list) and unused.is_reached(path)
            if value is not None and not is_used and unused.property_of(path) is not None:
                yield path, value
