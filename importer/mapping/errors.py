"""What is wrong with a mapping, in the user's words: the base of the mapping's models, and pydantic's errors reworded.

A `Problem` has a path into the data; ``load`` gives it its file, line and column. The wording of a key is beside the
key: ``Expects`` says what it may be set to, and a model's ``called``, ``looks_like`` and ``belongs`` what it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import getitem
from typing import Any, ClassVar, Literal, get_args, get_origin

import msgspec
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from importer import wording
from importer.mapping.positions import Path

_OWN = "mapping_problem"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong in a mapping's data."""

    path: Path
    message: str
    hint: str | None = None
    at_value: bool = False
    """Whether to point at what the key is set to instead of the key."""


class Expects(msgspec.Struct, frozen=True):
    """What a key may be set to, for messages; an annotation of a field."""

    text: str


class Model(BaseModel):
    """Frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    called: ClassVar[str]
    """What messages call it."""
    looks_like: ClassVar[str]
    """What should be there, for something else that was found."""
    belongs: ClassVar[str] = ""
    """Where its keys are written, for keys found elsewhere."""
    missing: ClassVar[Mapping[str, str]] = {}
    """Hints for its required keys."""

    @classmethod
    def known_keys(cls) -> tuple[str, ...]:
        """Its keys as users spell them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())


def invalid(message: str, hint: str | None = None) -> PydanticCustomError:
    """For a validator to raise; it points at the value."""
    return PydanticCustomError(_OWN, "{message}", {"message": message, "hint": hint})


def problems_of(model: type[Model], data: Any, error: ValidationError) -> list[Problem]:
    """Turn pydantic's errors into problems; several errors about one value are one problem."""
    errors = [(_trimmed(one["loc"], data), one) for one in error.errors(include_url=False)]
    unknown = {path for path, one in errors if one["type"] == "extra_forbidden"}
    around = {path[:depth] for path, _ in errors for depth in range(len(path))}
    found: dict[Path, Problem] = {}
    for path, one in errors:
        if one["type"] == _OWN:
            found[path] = Problem(path, one["ctx"]["message"], one["ctx"]["hint"], at_value=True)
        elif one["type"] == "extra_forbidden":
            key, owner = str(path[-1]), _owner(model, path)[0]
            known = owner.known_keys()
            hint = did_you_mean(key, known) or _elsewhere(owner, key) or f"the keys here are {', '.join(known)}"
            found[path] = Problem(path, f'unknown key "{shorten(key)}" in {owner.called}', hint)
        elif one["type"] == "missing":
            key, owner = str(one["loc"][-1]), _owner(model, path)[0]
            meant = {nearest(str(other[-1]), owner.known_keys()) for other in unknown if other[:-1] == path}
            if key not in meant:
                place = (*path, key)
                found[place] = Problem(path, f"{owner.called} needs `{key}`", owner.missing.get(key))
        elif path not in around:
            value = reduce(getitem, path, data)
            # A value that is not there has no position of its own.
            found.setdefault(path, Problem(path, *_unfit(model, path, value), at_value=value is not None))
    return list(found.values())


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, in any case and punctuation; None if none is close."""
    if len(name) > 100:
        return None
    plain = {_plain(one): one for one in reversed(tuple(known)) if _plain(one)}
    for candidate in map(_plain, (name, *(one for one, words in _MEANT.items() if name.lower() in words.split()))):
        if candidate in plain:
            return plain[candidate]
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.65)
    return plain[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint for an unknown name; None if no known one is close."""
    near = nearest(name, known)
    return None if near is None else f'did you mean "{near}"?' if " " in near else f"did you mean {near}?"


def shown(value: Any) -> str:
    """A value as messages show it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return f"keys such as `{shorten(str(next(iter(value))))}`" if value else "an empty {}"
    if isinstance(value, str):
        return f'"{shorten(value)}"' if value else "an empty text"
    return shorten(str(value))


def shorten(text: str) -> str:
    """``text`` on one line, as long as a message can hold, with invisible characters shown."""
    return wording.shorten(text, 60)


def listed(names: Iterable[str], last: str = "or") -> str:
    """``a, b or c``."""
    all_names = list(names)
    return f" {last} ".join([", ".join(all_names[:-1]), all_names[-1]] if len(all_names) > 1 else all_names)


def _elsewhere(model: type[Model], key: str) -> str | None:
    others = (other for other in Model.__subclasses__() if other is not model and other.belongs)
    found = ((other, known) for other in others for known in other.known_keys() if _plain(known) == _plain(key))
    return next((f"`{known}` belongs {other.belongs}" for other, known in found), None)


def _unfit(root: type[Model], path: Path, value: Any) -> tuple[str, str | None]:
    """Message and hint for a value of the wrong kind."""
    model, key = _owner(root, path)
    if key is None:
        hint = None
        if "first_of" in model.known_keys() and isinstance(value, list):
            hint = "for the first that is not blank, write {first_of: […]}"
        elif "first_of" in model.known_keys() and isinstance(value, bool | float):
            hint = "for the same value in every row, write {const: …}"
        return f"{model.called} must be {model.looks_like}, not {shown(value)}", hint
    expected, choices = _expected(model, key)
    hint = did_you_mean(value, choices) if choices and isinstance(value, str) else _hint_for(key, value, expected)
    return f"`{key}` must be {expected}, not {shown(value)}", hint


def _hint_for(key: str, value: Any, expected: str) -> str | None:
    if key in {"in", "not_in"} and not isinstance(value, list | Mapping):
        return f"write `{key}: [{shorten(str(value))}]`"
    if isinstance(value, str):
        wants_bare = expected.startswith(("a number", "a whole number", "true"))
        if wants_bare and re.fullmatch(r"true|false|-?[0-9]+(\.[0-9]+)?", value):
            return "leave the quotes out"
        if value.lower() in {"yes", "no", "on", "off", "y", "n"}:
            return "YAML 1.2 reads it as text; write true or false"
    elif isinstance(value, bool | int | float) and key in {"column", "extract", "matches", "not_matches"}:
        return "put it in quotes"
    return None


def _owner(root: type[Model], path: Path) -> tuple[type[Model], str | None]:
    """The model that holds the path's last key, and the key; the key is None where the path leads to a whole model."""
    model, key = root, None
    is_inside = has_free_names = False
    for step in path:
        if isinstance(step, int) or has_free_names:
            is_inside, has_free_names = True, False
            continue
        if key is not None:
            model = _inner(model, key) or model
        key, is_inside = step, False
        origins: list[Any] = [get_origin(part) for part in _parts(model, key)]
        has_free_names = any(isinstance(one, type) and issubclass(one, Mapping) for one in origins)
    if key is not None and (inner := _inner(model, key)) and (is_inside or not _expected(model, key)[0]):
        return inner, None
    return model, key


def _parts(model: type[Model], key: str) -> list[Any]:
    """What a field's annotation is made of, the outermost first."""
    field = next((field for name, field in model.model_fields.items() if key == (field.alias or name)), None)
    layer: list[Any] = [*field.metadata, field.annotation] if field is not None else []
    found = []
    while layer:
        found += layer
        layer = [part for one in layer for part in get_args(one)]
    return found


def _expected(model: type[Model], key: str) -> tuple[str, list[str]]:
    """What a field may be set to, in words, and the choices if there are some."""
    parts = _parts(model, key)
    found = [choice for one in parts if get_origin(one) is Literal for choice in get_args(one)]
    choices = [one if str(one).isidentifier() else f'"{one}"' for one in found]
    return next((one.text for one in parts if isinstance(one, Expects)), listed(choices)), choices


def _inner(model: type[Model], key: str) -> type[Model] | None:
    return next((one for one in _parts(model, key) if isinstance(one, type) and issubclass(one, Model)), None)


def _trimmed(loc: tuple[int | str, ...], data: Any) -> Path:
    """``loc`` without the steps that lead through pydantic's unions instead of the data."""
    path: list[int | str] = []
    for step in loc:
        inside = isinstance(data, Mapping) and step in data
        if inside or (isinstance(data, list | tuple) and isinstance(step, int) and step < len(data)):
            path.append(step)
            data = data[step]
    return tuple(path)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


_MEANT = {
    "extends": "base extend inherits", "boolean": "bool", "bz2": "bzip2", "value_currency": "currency",
    "number": "decimal double float", "not_in": "exclude", "events": "expect", "product_of": "factors multiply product",
    "where": "filter", "group_by": "group", "above": "gt", "below": "lt", "gzip": "gz", "integer": "int", "xz": "lzma",
    "email": "mail", "extract": "pattern regex", "matches": "pattern regex", "map": "rename replace",
    "delimiter": "sep separator", "separator": "sep", "text": "str string", "trim": "strip", "datetime": "timestamp",
    "timezone": "tz", "zstd": "zst",
}  # fmt: skip
"""Names of the language, and what people write for them who come from other tools."""
