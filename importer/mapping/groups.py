"""The words that only mean something in a grouped mapping: `group_by`, `aggregate`, `separator`, `rows`.

This module owns how these go together with the rest; what they do to rows is ``group``'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from importer.mapping.mistakes import Given, Mistake, Place

How = Literal["first", "last", "sum", "min", "max", "count", "join"]
"""How the values of a group's rows become one."""

CHOOSING: tuple[How, ...] = ("first", "last")
"""They take the value of one row, and do not look at the others."""

_NUMBERS = ("integer", "number")
_FITTING: Mapping[str, tuple[str, ...]] = {
    "sum": _NUMBERS,
    "min": (*_NUMBERS, "date", "datetime"),
    "max": (*_NUMBERS, "date", "datetime"),
}
"""What can be added, or compared."""
_GROUP_BY = "`group_by` says which rows become one event, such as `group_by: Order`"


def aggregation(given: Given, name: str, kind: str, allowed: tuple[str, ...]) -> Iterator[Mistake]:
    """Whether the target ``name``, whose cells are read as ``kind``, can be aggregated so."""
    how = given.sound("aggregate")
    if how is not None and how not in allowed:
        if allowed:
            yield Mistake(("aggregate",), f"{name} cannot be a group's `{how}`", f"use {_any_of(allowed)}", at="value")
        else:
            yield Mistake(("aggregate",), f"`aggregate` is not for {name}", "leave it out")
        return
    kinds = _FITTING.get(how or "", ())
    if kinds and kind not in kinds:
        hint = f"add {_any_of(tuple(f'as: {one}' for one in kinds))}"
        yield Mistake(("aggregate",), f"`{how}` has no meaning for {_plural(kind)}", hint, at="value")
    if "separator" in given and how != "join" and "aggregate" not in given.wrong:
        yield Mistake(("separator",), "`separator` needs `aggregate: join`", "add it, or leave the separator out")


def without_groups(given: Given) -> Iterator[Mistake]:
    """Words of groups in a mapping that has no `group_by`."""
    if "group_by" in given or "group_by" in given.wrong:
        return
    for place, pick in _picks(given.values):
        if isinstance(pick, Mapping) and pick.get("aggregate") is not None:
            yield Mistake(
                (*place, "aggregate"), "`aggregate` needs groups, and the mapping has no `group_by`", _GROUP_BY
            )
    tests = given.values.get("where")
    for at, test in enumerate(tests if isinstance(tests, list | tuple) else ()):
        if isinstance(test, Mapping) and test.get("rows") is not None:
            yield Mistake(("where", at, "rows"), "`rows` is about groups, and the mapping has no `group_by`", _GROUP_BY)


def _picks(values: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    for word in ("order_by", "key", "type", "value", "value_currency"):
        yield (word,), values.get(word)
    for word in ("subscriber", "properties"):
        inside = values.get(word)
        if isinstance(inside, Mapping):
            for name, pick in inside.items():
                yield (word, name), pick


def _any_of(words: tuple[str, ...]) -> str:
    quoted = [f"`{word}`" for word in words]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _plural(kind: str) -> str:
    return {"text": "text", "boolean": "booleans"}.get(kind, f"{kind}s")
