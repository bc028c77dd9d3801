"""What else an event tells: the properties, and the columns that are left out.

This module owns which columns are worth sending: what names an order, its items, its state. Names, addresses and
notes of people are left out unless the user says otherwise.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from importer.suggest.groups import varies
from importer.suggest.names import fit, plain
from importer.suggest.roles import Looked, Roles

if TYPE_CHECKING:
    from importer.suggest.draft import Draft

_FEW = 25
"""In a file with so few columns all are sent that hold nothing personal."""
_MOST = 15
"""Properties taken from a wider file."""
_GENERIC = ("id", "name", "key", "value", "type", "code")
"""Names that say little without what they lie within."""
_ROOM = 1_000
"""Bytes up to which a group's items are joined; a property holds 2,048, and other groups may be longer."""
_TELLING = ("key", "quantity", "item", "status", "country", "price", "type", "value")
_FLAGS = {"true", "false", "yes", "no", "y", "n", "t", "f", "on", "off"}
_FORMS = {"s", "ms", "us", ""}


def decide_properties(draft: Draft, roles: Roles) -> dict[str, Any]:
    """Fill ``properties``; returns those left out, by their names, for comments."""
    properties: dict[str, Any] = draft.words.setdefault("properties", {})
    if draft.words.get("key"):
        properties["order_id"] = draft.words["key"]
    left: dict[str, Any] = {}
    for one in sorted(roles.columns, key=_importance):
        if one.name in draft.used or not one.cells:
            continue
        pick = _pick(draft, one)
        telling = len(draft.sample.columns) <= _FEW or any(fit(one.name, role) for role in _TELLING)
        wanted = telling and len(properties) < _MOST and not _is_personal(one)
        into = properties if wanted and pick is not None else left
        if wanted and pick is not None and pick.get("aggregate") == "count":
            # How many items there are is worth telling once.
            properties.setdefault("items", pick)
            continue
        into[_name(one.name, properties, left)] = pick or {"column": one.name, "aggregate": "join"}
    if not properties:
        del draft.words["properties"]
    return left


def _importance(one: Looked) -> int:
    return next((at for at, role in enumerate(_TELLING) if fit(one.name, role)), len(_TELLING))


def _is_personal(one: Looked) -> bool:
    return bool(fit(one.name, "personal") or fit(one.name, "phone") or one.emails > 0.1 or fit(one.name, "email"))


def _pick(draft: Draft, one: Looked) -> dict[str, Any] | None:
    """The pick of a column; None where a group's rows differ in it, and nothing says how to make one of them."""
    words = _kind(one)
    if draft.group is None or not varies(one, draft.group):
        return {"column": one.name, **words}
    if fit(one.name, "quantity") and words.get("as") in ("integer", "number"):
        return {"column": one.name, **words, "aggregate": "sum"}
    if not fit(one.name, "item"):
        return None
    return {"column": one.name, "aggregate": "join" if _longest(one, draft.group) <= _ROOM else "count"}


def _longest(one: Looked, key: Looked) -> int:
    """Bytes of the longest text that a group's cells make together."""
    sizes: Counter[str] = Counter()
    for at, cell in zip(key.column.cells, one.column.cells, strict=True):
        sizes[at] += len(cell.encode("utf-8", "surrogatepass")) + 2
    return max(sizes.values(), default=0)


def _kind(one: Looked) -> dict[str, Any]:
    """How its cells are read; as text, wherever one of them could not be."""
    if {cell.lower() for cell in one.cells} <= _FLAGS:
        return {"as": "boolean"}
    times = one.times
    if times is not None and times.share == 1 and not times.other and fit(one.name, "time") and times.format in _FORMS:
        return times.words()
    read = one.numbers
    if read is None or read.share < 1 or read.other is not None or _is_code(one):
        return {}
    if fit(one.name, "quantity") and read.whole:
        return {"as": "integer", **read.style.words()}
    return {"as": "number", **read.style.words()} if not read.whole or read.sign else {}


def _is_code(one: Looked) -> bool:
    """Whether its digits are a name: an order's number, a code with zeros in front."""
    named = fit(one.name, "key") or fit(one.name, "id") or re.search(r"\b(?:id|code|sku|zip|no|nr)\b", plain(one.name))
    return bool(named) or any(re.match(r"0[0-9]", cell) or len(cell) > 15 for cell in one.cells)


def _name(column: str, *taken: dict[str, Any]) -> str:
    """A property's name for a column: its words in small letters, or the column's own name if it has none of ours."""
    outer, _, last = column.rpartition(".")
    if last in _GENERIC:
        last = f"{outer.rpartition('.')[2]} {last}"
    name = plain(last).replace(" ", "_") or " ".join(column.split())
    names, number = {one for names in taken for one in names}, 2
    wanted = name
    while wanted in names:
        wanted, number = f"{name}_{number}", number + 1
    return wanted
