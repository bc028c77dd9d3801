"""Which columns become properties, under which names, and how their cells are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from importer.suggest.decide import Draft
from importer.suggest.profile import Column
from importer.suggest.vocabulary import fit, is_warehouse, plain

_FEW = 25
"""In a file with so few columns all are sent that hold nothing personal."""
_MOST = 15
"""Properties taken from a wider file."""
_GENERIC = ("id", "name", "key", "value", "type", "code")
"""Names that say little without what they are within."""
_ROOM = 1_000
"""Bytes up to which a group's items are joined; a property holds 2,048, and other groups may be longer."""
_TELLING = ("key", "quantity", "item", "status", "country", "price", "type", "value")


def decide_properties(made: Draft) -> dict[str, Any]:
    """Fill ``properties``; returns those left out, by their names, for comments."""
    properties: dict[str, Any] = made.words.setdefault("properties", {})
    columns = made.sample.columns
    for one in columns:
        if one.name in made.used and f"{{{one.name}}}" in str(made.words.get("key")):
            properties[_name(one.name, properties) if plain(one.name) != "id" else "id"] = one.name
    left: dict[str, Any] = {}
    for one in sorted(columns, key=_importance):
        if one.nested or one.name in made.used or not one.distinct or is_warehouse(one.name):
            continue
        pick = _property(made, one)
        is_telling = len(columns) <= _FEW or _importance(one) < len(_TELLING)
        is_wanted = is_telling and len(properties) < _MOST and not _is_personal(one) and pick is not None
        if is_wanted and pick is not None and pick.get("aggregate") == "count":
            properties.setdefault("items", pick)  # how many items there are is worth telling once
        else:
            name = _name(one.name, properties, left)
            (properties if is_wanted else left)[name] = pick or {"column": one.name, "aggregate": "join"}
    if not properties and not any(word.startswith("properties.") for word in made.opens):
        del made.words["properties"]
    return left


def _importance(one: Column) -> int:
    return next((at for at, role in enumerate(_TELLING) if fit(one.name, role)), len(_TELLING))


def _is_personal(one: Column) -> bool:
    return one.emails > 0.1 or any(fit(one.name, role) for role in ("personal", "phone", "email"))


def _property(made: Draft, one: Column) -> dict[str, Any] | None:
    """The pick of a column; None where a group's rows differ in it, and nothing says how to make one of them."""
    pick = {"column": one.name, **_read_as(one)}
    if made.group is None or not one.varies_within(made.group):
        return pick
    if fit(one.name, "quantity") and pick.get("as") in ("integer", "number"):
        return {**pick, "aggregate": "sum"}
    if not fit(one.name, "item"):
        return None
    sizes: Counter[str] = Counter()
    for at, cell in zip(made.group.cells, one.cells, strict=True):
        sizes[at] += len(cell.encode("utf-8", "surrogatepass")) + 2
    return {"column": one.name, "aggregate": "join" if max(sizes.values(), default=0) <= _ROOM else "count"}


def _read_as(one: Column) -> dict[str, Any]:
    """How its cells are read; as text, wherever one of them could not be."""
    if one.is_flag:
        return {"as": "boolean"}
    times = one.times if fit(one.name, "time") else None
    if times is not None and times.share == 1 and not times.other and times.format in ("", "s", "ms", "us"):
        return times.words()
    read = one.money if fit(one.name, "value") or fit(one.name, "price") else one.numbers
    if read is None or read.share < 1 or read.other is not None or _is_code(one):
        return {}
    if fit(one.name, "quantity") and read.whole:
        return {"as": "integer", **read.style.words()}
    return {"as": "number", **read.style.words()} if not read.whole or read.sign or read.style.thousands else {}


def _is_code(one: Column) -> bool:
    """Whether its digits are a name: an order's number, a code with zeros in front."""
    words = {"id", "code", "sku", "zip", "no", "nr"}
    named = fit(one.name, "key") or fit(one.name, "person") or words.intersection(plain(one.name).split())
    return bool(named) or any((cell[:1] == "0" and cell[1:2].isdigit()) or len(cell) > 15 for cell in one.distinct)


def _name(column: str, *taken: Mapping[str, Any]) -> str:
    """A property's name for a column: its words in small letters, or the column's own name if it has none of ours."""
    outer, _, last = column.rpartition(".")
    if last in _GENERIC and outer:
        last = f"{outer.rpartition('.')[2]} {last}"
    wanted = name = plain(last).replace(" ", "_") or " ".join(column.split())
    number = 2
    while any(name in names for names in taken):
        name, number = f"{wanted}_{number}", number + 1
    return name
