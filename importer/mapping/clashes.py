"""How the words of a pick go together, and which of them fit what the pick is for.

This module owns the rules between words; what a single word may be set to is ``rules``'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from importer.mapping.groups import CHOOSING, aggregation
from importer.mapping.mistakes import Given, Mistake, Place, collect, read, refuse
from importer.mapping.words import shorten

PICKS = ("column", "first_of", "const", "template", "product_of")
TESTS = ("in", "not_in", "equals", "not_equals", "matches", "not_matches", "empty", "above", "below")

_TIMES = ("date", "datetime")
_NUMBERS = ("integer", "number")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "format": _TIMES,
    "timezone": ("datetime",),  # a date is taken as it is written, whatever the zone
    "decimal": _NUMBERS,
    "thousands": _NUMBERS,
    "scale": _NUMBERS,
}
BESIDE_FIRST_OF = ("as", *_NEEDS, "country", "aggregate", "separator")
"""What reads the text of a whole ``first_of``, and so has no place inside."""
BESIDE_NO_PRODUCT = ("extract", "lower", "upper", "map", "decimal", "thousands", "trim")
"""What is done to text, or says how a number is written; a product is no text, its factors are."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a pick is for, and what that asks of it."""

    name: str
    """How messages name the target."""
    implied: str | None = None
    """The kind without ``as``."""
    kinds: tuple[str, ...] | None = None
    """The kinds that make sense; None: all."""
    is_phone: bool = False
    is_inner: bool = False
    """A pick of ``first_of``: all its text is read beside ``first_of``, in one way."""
    is_aside: bool = False
    """A pick that only says how another one is read: the zone of a time, the country of a phone."""
    aggregates: tuple[str, ...] = CHOOSING
    """What a group's rows can be made into."""


def serving(role: Role) -> WrapValidator:
    """A validator that checks a pick against its role, besides the pick's own mistakes."""

    def check(data: Any, make: ValidatorFunctionWrapHandler) -> Any:
        made = None
        found: list[Mistake] = []
        try:
            made = make(data)
        except ValidationError as error:
            found = list(read(error))
        if made is not None and not isinstance(data, Mapping):
            data = made.model_dump(by_alias=True, exclude_unset=True)
        if isinstance(data, Mapping):
            found += _misfits(role, collect(data, found))
        if found:
            raise refuse("Pick", found)
        return made

    return WrapValidator(check)


def exactly_one(given: Given, candidates: Sequence[str], what: str, hint: str) -> Iterator[Mistake]:
    """Exactly one of ``candidates`` may be given."""
    there = given.among(candidates)
    for extra in there[1:]:
        yield Mistake((extra,), f"`{extra}` and `{there[0]}` exclude each other", f"{what}: keep one of them")
    if not there and not given.has_unknown and not given.wrong.intersection(candidates):
        yield Mistake((), f"{what}, and here is none", hint)


def steps(given: Given) -> Iterator[Mistake]:
    """Steps of a pick that contradict each other, whatever the pick is for."""
    if given.sound("lower") and given.sound("upper"):
        yield Mistake(("upper",), "`upper` and `lower` exclude each other", "keep one of them")
    if "default" in given and "const" in given:
        yield Mistake(("default",), "`default` is never used, as `const` is never absent", "keep one of them")
    if "product_of" in given:
        for word in given.among(BESIDE_NO_PRODUCT):
            yield Mistake((word,), f"`{word}` does not fit a product", "put it inside, to the factor that it is about")
    if "" in (given.sound("map") or {}):
        yield Mistake(("map", ""), "a blank cell is absent, so `map` never sees it", "use `default` for blank cells")
    formats = given.sound("format")
    if isinstance(formats, list | tuple) and {"dmy", "mdy"} <= {*map(str, formats)}:
        message = "`format` names both dmy and mdy, and a date such as 3/4/2024 fits either"
        yield Mistake(("format",), message, "keep the one that the whole column has", at="value")
    thousands = given.sound("thousands")
    decimal = given.sound("decimal") or ("," if thousands == "." else ".")
    if thousands == decimal:
        message = f'`thousands` and `decimal` are both "{decimal}"'
        hint = "one of them is something else" if "decimal" in given else 'for 1.234,56 write `thousands: "."`'
        yield Mistake(("thousands",), message, hint)
    if decimal == ",":
        yield from _dotted(given)


def _dotted(given: Given) -> Iterator[Mistake]:
    """Values that are read like cells later on, where a comma is the decimal sign, but hold a dot."""
    replaced = given.sound("map") or {}
    values: list[tuple[Place, Any]] = [((word,), given.sound(word)) for word in ("const", "default")]
    values += [(("map", str(old)), new) for old, new in replaced.items()]
    for place, value in values:
        if isinstance(value, float):
            written = str(value).replace(".", ",")
            message = f"{value} is read like a cell, and `decimal` says that cells are written with a comma"
            yield Mistake(place, message, f'write "{written}"', at="value")


def _out_of_place(role: Role, given: Given) -> Iterator[Mistake]:
    """Words in a pick that stands inside another one, and only gives text."""
    if role.is_aside:
        for word in given.among((*BESIDE_FIRST_OF, "product_of")):
            yield Mistake((word,), f"`{word}` is not for {role.name}", "leave it out")
        return
    for word in given.among(BESIDE_FIRST_OF):
        yield Mistake((word,), f"`{word}` is not for the picks inside `first_of`", "put it beside `first_of`")
    if "product_of" in given:
        hint = "give each target one of them, or multiply picks with `first_of` inside"
        yield Mistake(("product_of",), "`product_of` is not for the picks inside `first_of`", hint)


def _misfits(role: Role, given: Given) -> Iterator[Mistake]:
    if role.is_inner or role.is_aside:
        yield from _out_of_place(role, given)
        return
    if "country" in given and not role.is_phone:
        yield Mistake(("country",), "`country` is for `subscriber.phone` only", "leave it out")
    if "as" in given.wrong:
        return
    kind = given.sound("as") or role.implied or _kind_of(given)
    if "product_of" in given and (kind not in _NUMBERS or (role.kinds and not set(_NUMBERS) & set(role.kinds))):
        hint = "add `as: number`" if role.implied else "leave `as` out, or use number or integer"
        yield Mistake(("product_of",), f"`product_of` is a number, and {role.name} is read as {kind}", hint)
        return
    if "as" in given and role.kinds and kind not in role.kinds:
        message = f"{role.name} cannot be `as: {shorten(str(kind))}`"
        yield Mistake(("as",), message, f"leave it out, or use {' or '.join(role.kinds)}", at="value")
        return
    for word, kinds in _NEEDS.items():
        if word in given and word not in given.wrong and kind not in kinds:
            if role.kinds and not set(kinds) & set(role.kinds):
                yield Mistake((word,), f"`{word}` does not fit {role.name}", "leave it out")
            else:
                yield Mistake((word,), f"`{word}` needs {' or '.join(f'`as: {kind}`' for kind in kinds)}", "add it")
    yield from aggregation(given, role.name, kind, role.aggregates)


def _kind_of(given: Given) -> str:
    if "product_of" in given:
        return "number"
    const = given.sound("const")
    if isinstance(const, bool):
        return "boolean"
    if isinstance(const, int | float):
        return "integer" if isinstance(const, int) else "number"
    return "text"
