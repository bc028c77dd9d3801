"""How keys go together, and which of them fit what a value is for.

They are applied to the data as it is written, beside pydantic's own checks, so that all problems are reported at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from importer.mapping.errors import Model, Problem, did_you_mean, listed, shorten, shown
from importer.mapping.model import CALCULATIONS, ORIGINS, TESTS, Aggregate, Condition, Example, ValueMapping
from importer.mapping.positions import Path

CHOOSING: tuple[Aggregate, ...] = ("first", "last")
"""They take the value of one row, and do not look at the others."""
_MEASURES: tuple[Aggregate, ...] = ("first", "last", "sum", "min", "max", "count")
_ORDERED: tuple[Aggregate, ...] = ("first", "last", "min", "max")

_TIMES = ("date", "datetime")
_NUMBERS = ("integer", "number")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "format": _TIMES,
    "timezone": ("datetime",),  # a date is taken as it is written, in any zone
    "decimal": _NUMBERS,
    "thousands": _NUMBERS,
    "scale": _NUMBERS,
    "abs": _NUMBERS,
    "negate": _NUMBERS,
    "max_bytes": ("text",),
    "minor_units": _NUMBERS,
}
"""Keys that belong to `as`, and the kinds that they fit."""
_FITTING: Mapping[str, tuple[str, ...]] = {"sum": _NUMBERS, "min": (*_NUMBERS, *_TIMES), "max": (*_NUMBERS, *_TIMES)}
"""What can be added, or compared."""
BESIDE_FIRST_OF = ("as", *_NEEDS, "country", "aggregate", "separator")
"""Keys that read the text of a whole ``first_of``, and so have no place inside."""
_TEXT_STEPS = ("extract", "lower", "upper", "map", "decimal", "thousands", "trim")
"""What is done to text, or says how a number is written; a calculation is no text, its operands are."""
_CSV_ONLY = ("delimiter", "quote", "escape", "comment", "header", "skip_lines", "ragged")
_TIMELY = ("since", "before")
_NUMERIC = ("above", "below", "equals", "not_equals", "in", "not_in")
_OF_TESTS: Mapping[str, tuple[str, ...]] = {
    "format": _TIMELY,
    "timezone": _TIMELY,
    "decimal": _NUMERIC,
    "thousands": _NUMERIC,
}
"""Keys of a test that say how its cells are read, and the tests that they fit."""
_GROUP_BY = "`group_by` says which rows become one event, such as `group_by: Order`"


class Role(msgspec.Struct, frozen=True):
    """What a value is for, and what that asks of it."""

    name: str
    """How messages name the target."""
    implied: str | None = None
    """The kind without ``as``."""
    kinds: tuple[str, ...] | None = None
    """The kinds that make sense; None: all."""
    is_phone: bool = False
    is_text: bool = False
    """It only gives text: its kind is that of the value around it, or of a zone's or country's name."""
    is_optional: bool = False
    """An event can do without it."""
    aggregates: tuple[str, ...] = CHOOSING
    """What a group's rows can be made into."""


_ROLES: Mapping[str, Role] = {
    "group_by": Role("`group_by`", aggregates=()),
    "order_by": Role("`order_by`", implied="datetime", aggregates=_ORDERED),
    "key": Role("`key`"),
    "subscriber.id": Role("`id`", is_optional=True),
    "subscriber.email": Role("an e-mail", kinds=("text",), is_optional=True),
    "subscriber.phone": Role("a phone", kinds=("text",), is_phone=True, is_optional=True),
    "type": Role("`type`"),
    "value": Role("`value`", implied="number", kinds=("number", "integer"), is_optional=True, aggregates=_MEASURES),
    "value_currency": Role("a currency", kinds=("text",), is_optional=True),
}
_PROPERTY = Role("a property", is_optional=True, aggregates=("first", "last", "sum", "min", "max", "count", "join"))
_INNER = Role("a value inside `first_of`", is_text=True, aggregates=())
_CASE = Role("a value inside `cases`", is_text=True, aggregates=())
_PART = Role("a value inside `parts`", is_text=True, aggregates=())
_BY = Role("`by`", is_text=True, aggregates=())
_LOOKUP_KEY = Role("a lookup's `key`", kinds=("text", "integer"), is_text=True, aggregates=())
_OPERAND = Role("a value that is calculated with", implied="number", kinds=("number", "integer"), aggregates=())


class _Keys(msgspec.Struct, frozen=True):
    """The keys of one model as they are written, and which of them are known to be wrong already."""

    path: Path
    values: Mapping[str, Any]
    wrong: frozenset[str]

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def valid(self, key: str) -> Any:
        """The key's value; None if it has none, or a wrong one."""
        return None if key in self.wrong else self.values.get(key)

    def among(self, candidates: Iterable[str]) -> list[str]:
        """Those of ``candidates`` that are set, in the order they are written."""
        wanted = frozenset(candidates)
        return [key for key in self.values if key in wanted and key in self]

    def has_unknown(self, model: type[Model]) -> bool:
        """Whether some keys are not known; they may be meant for one that seems to be missing."""
        return not self.values.keys() <= set(model.known_keys())

    def problem(self, place: str | Path, message: str, hint: str | None = None, *, at_value: bool = False) -> Problem:
        """A problem at a key, or at a path from here."""
        inside = (place,) if isinstance(place, str) else place
        return Problem((*self.path, *inside), message, hint, at_value)


def problems_between(data: Mapping[str, Any], wrong: Collection[Path]) -> Iterator[Problem]:
    """What is wrong with a mapping's keys as they go together; ``wrong`` are the paths with a problem already."""
    yield from _Rules(data, wrong).problems()


class _Rules:
    def __init__(self, data: Mapping[str, Any], wrong: Collection[Path]) -> None:
        self._data = data
        self._is_grouped = "group_by" in data
        self._forms = _time_forms(data)
        self._wrong: dict[Path, set[str]] = {}
        """Per path, the keys there with a problem at or below them."""
        for path in wrong:
            for depth, step in enumerate(path):
                self._wrong.setdefault(path[:depth], set()).add(str(step))

    def _keys(self, path: Path, values: Mapping[str, Any]) -> _Keys:
        return _Keys(path, values, frozenset(self._wrong.get(path, ())))

    def problems(self) -> Iterator[Problem]:
        """Of the whole file."""
        data = self._data
        keys = self._keys((), data)
        if isinstance(data.get("source"), Mapping):
            yield from _source(self._keys(("source",), data["source"]))
        for number, test in _members(data.get("where")):
            yield from self._test(("where", number), test, is_grouped=self._is_grouped)
        if isinstance(data.get("subscriber"), Mapping) and not data["subscriber"]:
            hint = "such as `email: Email`"
            yield keys.problem("subscriber", "`subscriber` needs at least one of id, email, phone", hint)
        for target, role in _ROLES.items():
            word, _, name = target.partition(".")
            value = dict(_named(data.get(word))).get(name) if name else data.get(word)
            yield from self._target((word, name) if name else (word,), value, role)
        for name, value in _named(data.get("properties")):
            if not str(name).strip():
                yield keys.problem(("properties", name), "the property's name is empty", "give it a name")
            yield from self._target(("properties", name), value, _PROPERTY)
        for number, example in _members(data.get("tests")):
            keys = self._keys(("tests", number), example)
            if not keys.has_unknown(Example) and not keys.among(("events", "reasons")):
                hint = "write `events: []` if the rows make no event"
                yield keys.problem((), "an example of `tests` needs `events`, `reasons`, or both", hint)
        for name, lookup in _named(data.get("lookups")):
            yield from self._value(("lookups", name, "key"), dict(_named(lookup)).get("key"), _LOOKUP_KEY)

    def _test(self, path: Path, test: Mapping[str, Any], *, is_grouped: bool) -> Iterator[Problem]:
        keys = self._keys(path, test)
        yield from _exactly_one(keys, TESTS, Condition, "such as `equals: paid`")
        if "column" in keys and "any" in keys:
            yield keys.problem("any", "`any` and `column` cannot be combined", "name columns in its tests alone")
        elif not {"column", "any"} & ({*keys.values} | keys.wrong) and not keys.has_unknown(Condition):
            yield keys.problem((), f"{Condition.called} needs `column`", "name the column to test")
        for key, tests in _OF_TESTS.items():
            if key in keys and keys.among(TESTS) and not keys.among(tests):
                yield keys.problem(key, f"`{key}` needs {listed(f'`{one}`' for one in tests)}", "leave it out")
        yield from _signs(keys)
        column = str(keys.valid("column"))
        forms = self._forms.get(column, set())
        is_ambiguous = len({form for kind, form in forms if kind == "datetime"} or forms) > 1
        if (timely := keys.among(_TIMELY)) and is_ambiguous and not keys.among(("format", "timezone")):
            message = f'"{shorten(column)}" is read as a time in several ways, and the test does not say in which'
            yield keys.problem(timely[0], message, "add `format`, `timezone` or both")
        for number, one in _members(test.get("any")):
            inner = (*path, "any", number)
            if one.get("rows") is not None:
                yield Problem((*inner, "rows"), "`rows` is not for a test inside `any`", "put it beside `any`")
            yield from self._test(inner, {key: one[key] for key in one if key != "rows"}, is_grouped=is_grouped)
        if "rows" in keys and not is_grouped:
            yield keys.problem("rows", "`rows` is about groups, and the mapping has no `group_by`", _GROUP_BY)

    def _target(self, path: Path, value: Any, role: Role) -> Iterator[Problem]:
        if isinstance(value, Mapping) and value.get("aggregate") is not None and not self._is_grouped:
            message = "`aggregate` needs groups, and the mapping has no `group_by`"
            yield Problem((*path, "aggregate"), message, _GROUP_BY)
            role = replace(role, aggregates=_PROPERTY.aggregates)
        if isinstance(value, Mapping) and value.get("minor_units") is True and self._data.get("value_currency") is None:
            message = "`minor_units` needs `value_currency`, which says how many places an amount has"
            hint = "such as `value_currency: Currency`, or {const: EUR}"
            yield Problem((*path, "minor_units"), message, hint)
        yield from self._value(path, value, role)

    def _value(self, path: Path, value: Any, role: Role) -> Iterator[Problem]:
        """One value with those inside it."""
        if not isinstance(value, Mapping):
            return
        keys = self._keys(path, value)
        yield from _exactly_one(keys, ORIGINS, ValueMapping, "name a column, such as {column: Total}")
        yield from _steps(keys)
        if "on_invalid" in keys and not role.is_optional:
            yield keys.problem("on_invalid", f"`on_invalid` is not for {role.name}", "leave it out")
        yield from _misfits(keys, role)
        for origin, inner in (("first_of", _INNER), *((one, _OPERAND) for one in CALCULATIONS)):
            for number, one in _members(value.get(origin)):
                yield from self._value((*path, origin, number), one, inner)
        for number, case in _members(value.get("cases")):
            for place, test in _members(case.get("when")):
                yield from self._test((*path, "cases", number, "when", place), test, is_grouped=False)
            yield from self._value((*path, "cases", number, "use"), case.get("use"), _CASE)
        yield from self._lookup(keys)
        yield from self._value((*path, "by"), value.get("by"), _BY)
        for name, one in _named(value.get("parts")):
            yield from self._value((*path, "parts", name), one, _PART)
        for aside in ("timezone", "country"):
            yield from self._value((*path, aside), value.get(aside), Role(f"a `{aside}`", is_text=True, aggregates=()))

    def _lookup(self, keys: _Keys) -> Iterator[Problem]:
        """`lookup`, `by` and `column` go together."""
        name = keys.valid("lookup")
        if "by" in keys and "lookup" not in keys:
            yield keys.problem("by", "`by` needs `lookup`", "add it, or leave `by` out")
        if name is None:
            return
        lookups = self._data.get("lookups") or {}
        if isinstance(lookups, Mapping) and str(name) not in lookups:
            hint = did_you_mean(str(name), lookups) or "define it under `lookups`"
            yield keys.problem("lookup", f"unknown lookup {shown(str(name))}", hint, at_value=True)
        for key, why in (("by", "the value that is looked up"), ("column", "the column of the lookup that is wanted")):
            if key not in keys and key not in keys.wrong:
                yield keys.problem("lookup", f"`lookup` needs `{key}`, {why}", "add it")


def _members(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The members of a list that are models."""
    for number, one in enumerate(value if isinstance(value, Sequence) and not isinstance(value, str) else ()):
        if isinstance(one, Mapping):
            yield number, one


def _named(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def _time_forms(data: Mapping[str, Any]) -> dict[str, set[tuple[str, str]]]:
    """Per column, the different ways (kind; `format` and `timezone`) in which values read it as a time."""
    order_by = data.get("order_by")
    order_by = {"column": order_by} if isinstance(order_by, str) else dict(_named(order_by))
    found: dict[str, set[tuple[str, str]]] = {}
    nodes: list[Any] = [{**data, "order_by": {"as": "datetime", **order_by}, "where": None}]
    for node in nodes:  # grows with what is inside
        if isinstance(node, Mapping) and node.get("as") in _TIMES and isinstance(node.get("column"), str):
            found.setdefault(node["column"], set()).add((node["as"], f"{node.get('format')} {node.get('timezone')}"))
        nodes += node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ()
    return found


def _exactly_one(keys: _Keys, candidates: Sequence[str], model: type[Model], hint: str) -> Iterator[Problem]:
    there = keys.among(candidates)
    for extra in there[1:]:
        yield keys.problem(
            extra, f"`{extra}` and `{there[0]}` cannot be combined", f"keep one of {', '.join(candidates)}"
        )
    if not there and not keys.wrong.intersection(candidates) and not keys.has_unknown(model):
        yield keys.problem((), f"{model.called} needs one of {', '.join(candidates)}", hint)


def _source(keys: _Keys) -> Iterator[Problem]:
    kind = keys.valid("format")
    if kind in {"jsonl", "parquet"}:
        for key in keys.among([*_CSV_ONLY, "encoding"] if kind == "parquet" else _CSV_ONLY):
            yield keys.problem(key, f"`{key}` has no meaning for `format: {kind}`", "leave it out")
    if keys.valid("delimiter") == (keys.valid("quote") or '"'):
        key = "quote" if "quote" in keys else "delimiter"
        yield keys.problem(key, "`quote` and `delimiter` are the same character", "change one of them")


def _steps(keys: _Keys) -> Iterator[Problem]:
    """Steps that contradict each other, in any value."""
    if "parts" in keys and "template" not in keys:
        yield keys.problem("parts", "`parts` needs `template`", "add it, or leave the parts out")
    if keys.valid("lower") is True and keys.valid("upper") is True:
        yield keys.problem("upper", "`upper` and `lower` cannot be combined", "keep one of them")
    if "default" in keys and "const" in keys:
        yield keys.problem("default", "`default` is never used, as `const` is never absent", "keep one of them")
    if keys.valid("minor_units") is True and "scale" in keys:
        yield keys.problem("scale", "`scale` and `minor_units` cannot be combined", "keep one of them")
    for calculation in keys.among(CALCULATIONS):
        for key in keys.among(_TEXT_STEPS):
            hint = "put it inside, at the value it is about"
            yield keys.problem(key, f"`{key}` does not fit `{calculation}`", hint)
    if "" in dict(_named(keys.valid("map"))):
        message = "a blank cell is absent, so `map` never sees it"
        yield keys.problem(("map", ""), message, "use `default` for blank cells")
    formats = keys.valid("format")
    if isinstance(formats, list | tuple) and {"dmy", "mdy"} <= {*map(str, formats)}:
        message = "`format` has both dmy and mdy, and a date such as 3/4/2024 fits either"
        yield keys.problem("format", message, "keep the one that the whole column has", at_value=True)
    yield from _signs(keys)


def _signs(keys: _Keys) -> Iterator[Problem]:
    thousands = keys.valid("thousands")
    decimal = keys.valid("decimal") or ("," if thousands == "." else ".")
    if isinstance(decimal, list | tuple):
        if thousands is not None:
            hint = "leave it out: the sign that is not the decimal one groups the thousands"
            yield keys.problem("thousands", "`thousands` has no meaning beside two decimal signs", hint)
    elif thousands == decimal:
        hint = "change one of them" if "decimal" in keys else 'for 1.234,56 write `thousands: "."`'
        yield keys.problem("thousands", f'`thousands` and `decimal` are both "{decimal}"', hint)
    if decimal == ",":
        yield from _dotted(keys)


def _dotted(keys: _Keys) -> Iterator[Problem]:
    """Values that are read like cells later on, where a comma is the decimal sign, but have a dot."""
    values: list[tuple[Path, Any]] = [((key,), keys.valid(key)) for key in ("const", "default")]
    values += [(("map", str(old)), new) for old, new in _named(keys.valid("map"))]
    for place, value in values:
        if isinstance(value, float):
            message = f"{value} is read like a cell, and `decimal` says that cells have a comma"
            yield keys.problem(place, message, f'write "{str(value).replace(".", ",")}"', at_value=True)


def _misfits(keys: _Keys, role: Role) -> Iterator[Problem]:
    """Keys that do not fit what the value is for."""
    if role.is_text:
        yield from _beside_text(keys, role)
        return
    if "country" in keys and not role.is_phone:
        yield keys.problem("country", "`country` is for `subscriber.phone` only", "leave it out")
    if "as" in keys.wrong:
        return
    of_const = {bool: "boolean", int: "integer", float: "number"}.get(type(keys.valid("const")), "text")
    own = "number" if keys.among(CALCULATIONS) else of_const
    kind = str(keys.valid("as") or role.implied or own)
    for calculation in keys.among(CALCULATIONS):
        if kind not in _NUMBERS or (role.kinds and not set(_NUMBERS) & set(role.kinds)):
            hint = "add `as: number`" if role.implied else "leave `as` out, or use number or integer"
            yield keys.problem(calculation, f"`{calculation}` is a number, and {role.name} is read as {kind}", hint)
            return
    if "as" in keys and role.kinds and kind not in role.kinds:
        hint = f"leave it out, or use {listed(role.kinds)}"
        yield keys.problem("as", f"{role.name} cannot be `as: {shorten(kind)}`", hint, at_value=True)
        return
    for key, kinds in _NEEDS.items():
        if key in keys and key not in keys.wrong and kind not in kinds:
            if role.kinds and not set(kinds) & set(role.kinds):
                yield keys.problem(key, f"`{key}` does not fit {role.name}", "leave it out")
            else:
                yield keys.problem(key, f"`{key}` needs {listed(f'`as: {one}`' for one in kinds)}", "add it")
    yield from _aggregation(keys, role, kind)


def _beside_text(keys: _Keys, role: Role) -> Iterator[Problem]:
    """Keys in a value that is inside another one, and only gives text."""
    origin = {_INNER: "first_of", _CASE: "cases", _PART: "template"}.get(role)
    hint = f"put it beside `{origin}`" if origin else "leave it out"
    for key in keys.among(BESIDE_FIRST_OF):
        if key == "as" and role in (_BY, _LOOKUP_KEY):
            if keys.valid("as") not in (role.kinds or ()):
                yield keys.problem(key, f"`as` is not for {role.name}", "a lookup's `key` can be `as: integer`")
        else:
            yield keys.problem(key, f"`{key}` is not for {role.name}", hint)
    for key in keys.among(CALCULATIONS):
        hint = "calculate with values that have `first_of` or `cases` inside" if origin else "leave it out"
        yield keys.problem(key, f"`{key}` is not for {role.name}", hint)


def _aggregation(keys: _Keys, role: Role, kind: str) -> Iterator[Problem]:
    """Whether cells that are read as ``kind`` can be aggregated so."""
    how = keys.valid("aggregate")
    if how is not None and how not in role.aggregates:
        if role.aggregates:
            hint = f"use {listed(f'`{one}`' for one in role.aggregates)}"
            yield keys.problem("aggregate", f"{role.name} cannot be a group's {shown(how)}", hint, at_value=True)
        else:
            yield keys.problem("aggregate", f"`aggregate` is not for {role.name}", "leave it out")
        return
    kinds = _FITTING.get(how or "", ())
    if kinds and kind not in kinds:
        plural = {"text": "text", "boolean": "booleans"}.get(kind, f"{kind}s")
        hint = f"add {listed(f'`as: {one}`' for one in kinds)}"
        yield keys.problem("aggregate", f"`{how}` has no meaning for {plural}", hint, at_value=True)
    if "separator" in keys and how != "join" and "aggregate" not in keys.wrong:
        yield keys.problem("separator", "`separator` needs `aggregate: join`", "add it, or leave the separator out")
