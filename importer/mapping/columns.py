"""A file's columns beside a mapping: those it lacks, those that nothing uses, and those that an editor offers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from importer.mapping.model import COLUMN_SCHEMA, Condition, ImportMapping, ValueMapping

_SMALL = frozenset({"amount", "at", "id", "nr", "no", "number"})
"""Words that one name may have more than another one that means the same."""
_SPELLING = 0.8
"""How much two spellings of one word share at least."""
_IDENTITIES = frozenset({"subscriber.id", "subscriber.email", "subscriber.phone"})


class MissingColumn(msgspec.Struct, frozen=True):
    """A column that the mapping needs and the file lacks."""

    name: str
    targets: tuple[str, ...]
    """What it is needed for: ``where``, ``subscriber.email``, ``properties.total`` …"""
    nearest: str | None
    """The file's column that was probably meant."""
    is_decisive: bool = False
    """Without it no row of the file becomes an event."""


def check_columns(
    mapping: ImportMapping, available: Sequence[str], has: Callable[[str], bool] | None = None
) -> tuple[MissingColumn, ...]:
    """The columns that ``mapping`` needs and a file with the columns ``available`` lacks, in the mapping's order.

    A value can do without a column if it has a ``default``, or if another value of its ``first_of`` can be had.
    ``has`` knows whether a name or a dotted path is there (a reader's ``available``); without it, a path counts as
    there if any front part of it is.
    """
    names = frozenset(available)
    there = has or (lambda name: any(name == one or name.startswith(f"{one}.") for one in names))
    needs: dict[str, list[str]] = {}
    decisive = {"type", "key", "group_by"}
    for test in mapping.where:
        for name in test.columns():
            if not there(name):
                needs.setdefault(name, []).append("where")
                decisive |= set() if test.any_ or _passes_blank(test) else {f"where {name}"}
    group_by = [] if mapping.group_by is None else [("group_by", mapping.group_by)]
    fields = [*group_by, *mapping.fields()]
    for target, value in fields:
        # Without the column of its zone a time would be read, but as another one.
        for name in (name for one in (value, *value.asides()) for name in _lacks(one, there)):
            needs.setdefault(name, []).append(target)
    lacking = {target for targets in needs.values() for target in targets}
    if {target for target, _ in fields if target in _IDENTITIES} <= lacking:
        decisive |= _IDENTITIES
    used = frozenset(mapping.columns())
    free = [name for name in available if name.strip() and name not in used]
    return tuple(
        MissingColumn(
            name,
            tuple(dict.fromkeys(targets)),
            max((one for one in free if _is_alike(name, one)), key=partial(_likeness, name), default=None),
            is_decisive=not decisive.isdisjoint([*targets, f"where {name}"]),
        )
        for name, targets in needs.items()
    )


def _is_alike(name: str, other: str) -> bool:
    """Whether names differ in their spelling only, or in words that say little: ``Total`` is no ``Subtotal``."""
    one, two = _words(name), _words(other)
    if "".join(one) == "".join(two) or name.startswith(f"{other}."):
        return True
    if len(one) != len(two):
        one, two = ([word for word in words if word not in _SMALL] or words for words in (one, two))
    return len(one) == len(two) and all(
        SequenceMatcher(None, word, another).ratio() >= _SPELLING for word, another in zip(one, two, strict=True)
    )


def _likeness(name: str, other: str) -> float:
    return SequenceMatcher(None, " ".join(_words(name)), " ".join(_words(other))).ratio()


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    return re.findall(r"[^\W_]+", re.sub(r"(e.?mail)[ _-]address\b", r"\1", apart))


def _lacks(value: ValueMapping, there: Callable[[str], bool]) -> Iterable[str]:
    """The columns without which the value is always absent; empty if it can do."""
    if value.default is not None:
        return ()
    if value.first_of is not None:
        lacks = [tuple(_lacks(inner, there)) for inner in value.first_of]
        return () if not all(lacks) else dict.fromkeys(name for names in lacks for name in names)
    if value.operands():
        return dict.fromkeys(name for one in value.operands() for name in _lacks(one, there))
    if value.cases is not None:
        # Without a column of a test cases cannot be distinguished; a value is only lacked where all are.
        tests = [name for case in value.cases for test in case.when for name in test.columns() if not there(name)]
        lacks = [tuple(_lacks(case.use, there)) for case in value.cases]
        return dict.fromkeys([*tests, *(name for names in lacks for name in names if all(lacks))])
    return [name for name in value.own_columns() if not there(name)]


def _passes_blank(test: Condition) -> bool:
    if test.in_ is not None:
        return "" in test.in_
    if test.not_in is not None:
        return "" not in test.not_in
    if test.equals is not None:
        return test.equals == ""
    if test.matches is not None:
        return False
    never = (test.above, test.below, test.since, test.before)
    return test.empty is not False and never == (None,) * len(never) and test.not_equals != ""


_WILDCARD = re.compile(r"[*?\[]")
_NOT_WORDS = re.compile(r"[\W_]+")
_CAPITALS = re.compile(r"(?<=[^\W_])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])")
_OF_REJECTS = re.compile("_?importer[._]|_importer$")
"""Columns that a rejects file has besides its own."""


class UnusedColumns:
    """What `more_properties` takes."""

    def __init__(self, mapping: ImportMapping) -> None:
        """Of a mapping that has `more_properties`."""
        more = mapping.more_properties
        assert more is not None, "only asked of a mapping with more_properties"
        globs = [more.columns] if isinstance(more.columns, str) else more.columns
        found = [(glob, _WILDCARD.split(glob)[0].rpartition(".")[0]) for glob in globs]
        self._globs = sorted(found, key=lambda one: -len(one[1]))
        self._except = more.except_
        self._is_renamed = more.rename == "snake_case"
        wanted = mapping.columns()
        self._used = frozenset(name.strip() for name in wanted)
        self.prefixes = tuple(dict.fromkeys(prefix for _, prefix in found if prefix))
        """Paths of the objects whose members are taken."""
        self._reached = frozenset(path[: found.start()] for path in wanted for found in re.finditer(r"[.\[]", path)) | {
            prefix[: found.end()] for prefix in self.prefixes for found in re.finditer(r"[^.]+", prefix)
        }
        self._names: dict[str, str | None] = {}

    def is_reached(self, path: str) -> bool:
        """Whether the mapping uses what is inside of an object or a list."""
        return path in self._reached

    def property_of(self, column: str) -> str | None:
        """The property that a column, or a path into an object, becomes; None if it is not taken."""
        if column not in self._names:
            self._names[column] = self._property_of(column)
        return self._names[column]

    def taken(self, columns: tuple[str, ...]) -> Iterator[str]:
        """Those of a file's columns that become properties, each once."""
        return (column for column in dict.fromkeys(columns) if self.property_of(column) is not None)

    def _property_of(self, column: str) -> str | None:
        name = column.strip()
        if not name or name in self._used or _OF_REJECTS.match(name):
            return None
        if any(fnmatchcase(name, glob) for glob in self._except):
            return None
        prefix = next((prefix for glob, prefix in self._globs if fnmatchcase(name, glob)), None)
        if prefix is None:
            return None
        name = name[len(prefix) + 1 :] if prefix else name
        # ``Billing Name`` and ``billingName`` as ``billing_name``; a name without a letter stays as it is.
        snake_case = _NOT_WORDS.sub("_", _CAPITALS.sub("_", name)).strip("_").lower() if self._is_renamed else ""
        return snake_case or name or None


def schema_text(columns: Sequence[str]) -> str:
    """The JSON Schema of mappings; editors then offer the names of ``columns`` wherever a column is asked for."""
    package = Path(__file__).parents[1]
    folder = next(one for one in (package / "schemas", package.with_name("schemas")) if one.is_dir())
    text = (folder / "mapping.schema.json").read_text(encoding="utf-8")
    if not columns:
        return text
    offered = {"anyOf": [{"enum": list(columns)}, COLUMN_SCHEMA], "description": "A column's name, or a dotted path."}
    return json.dumps(_offering(json.loads(text), offered), indent=2, ensure_ascii=False) + "\n"


def _offering(node: Any, offered: dict[str, Any]) -> Any:
    """The schema with ``offered`` in place of every column's name."""
    if isinstance(node, list):
        return [_offering(one, offered) for one in node]
    if not isinstance(node, dict):
        return node
    if node.items() >= COLUMN_SCHEMA.items():
        return offered | ({"description": node["description"]} if "description" in node else {})
    return {key: _offering(value, offered) for key, value in node.items()}
