"""How mistakes in a mapping are worded: what was found, what was expected, and the nearest known name.

This module owns the wording of unknown, missing and ill-filled words, and no rule: which words exist is read off
the models (by their class names, so that this module needs none of them).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

_MODELS = {
    "ImportMapping": ("a mapping", "words such as `version: 1`"),
    "SourceOptions": ("`source`", 'words such as `delimiter: ";"`'),
    "Condition": ("a test of `where`", "words such as {column: Status, equals: paid}"),
    "Subscriber": ("`subscriber`", "words such as `email: Email`"),
    "Pick": ("a pick", "a column's name, or words such as {column: Total, as: number}"),
    "Example": ("an example of `tests`", "words such as {rows: […], events: […]}"),
    "ExpectedEvent": ("an expected event", "words such as {subscriber: {email: ada@example.com}, type: purchase}"),
    "ExpectedSubscriber": ("`subscriber`", "words such as `email: ada@example.com`"),
    "ExpectedReason": ("an expected reason", "a code such as email.invalid, or words such as {row: 2, code: …}"),
}
"""How a model is called, and what it looks like."""

_FLAG = "true or false"
_SCALAR = "a text, a number, true or false"
_TEXT = "a text"
_PATTERN = "a regular expression in quotes"
_WANTED = {
    "ImportMapping.version": "1",
    "ImportMapping.extends": "a preset's name, or the path of a mapping",
    "ImportMapping.about": "a sentence",
    "ImportMapping.recognised_by": "a list of columns, such as [Email, Total]",
    "ImportMapping.needs": "words and why they are needed, such as {value_currency: the export has none}",
    "ImportMapping.tests": "a list of examples, such as [{rows: […], events: […]}]",
    "Example.name": _TEXT,
    "Example.rows": "a list of rows, such as [{Email: ada@example.com}], or a text as it stands in a file",
    "Example.events": "a list of events",
    "Example.reasons": "a list of codes, such as [email.invalid]",
    "ExpectedEvent.subscriber": "words such as `email: ada@example.com`",
    "ExpectedEvent.type": _TEXT,
    "ExpectedEvent.value": "a number",
    "ExpectedEvent.value_currency": _TEXT,
    "ExpectedEvent.properties": "names and their values, such as {order_id: 1001}",
    "ExpectedSubscriber.id": _TEXT,
    "ExpectedSubscriber.email": _TEXT,
    "ExpectedSubscriber.phone": _TEXT,
    "ExpectedReason.code": "the code of a reason, such as email.invalid",
    "ExpectedReason.row": "the number of a row, from 1",
    "ExpectedReason.field": _TEXT,
    "ImportMapping.where": "a list of tests, such as [{column: Status, equals: paid}]",
    "ImportMapping.properties": "names and their picks, such as {order_id: Name}",
    "SourceOptions.encoding": "an encoding's name, such as cp1252",
    "SourceOptions.delimiter": "one ASCII character in quotes, `tab` or `whitespace`",
    "SourceOptions.quote": "one ASCII character in quotes",
    "SourceOptions.header": "true, false, or a list of column names",
    "SourceOptions.skip_lines": "a number of lines, 0 or more",
    "Condition.column": "a column's name",
    "Condition.in": "a list, such as [paid, pending]",
    "Condition.not_in": "a list, such as [test, void]",
    "Condition.equals": _SCALAR,
    "Condition.not_equals": _SCALAR,
    "Condition.matches": _PATTERN,
    "Condition.not_matches": _PATTERN,
    "Condition.empty": _FLAG,
    "Condition.above": "a number",
    "Condition.below": "a number",
    "Pick.column": "a column's name",
    "Pick.first_of": "a list of picks, such as [Phone, Billing Phone]",
    "Pick.const": _SCALAR,
    "Pick.template": "text with {column} in it",
    "Pick.product_of": "a list of at least two picks, such as [Quantity, Price]",
    "Pick.trim": _FLAG,
    "Pick.extract": _PATTERN,
    "Pick.lower": _FLAG,
    "Pick.upper": _FLAG,
    "Pick.map": "values and what to put in their place, such as {paid: purchase}",
    "Pick.default": _SCALAR,
    "Pick.format": 'a format such as "%d.%m.%Y", or a list of them',
    "Pick.timezone": "an IANA zone, such as Europe/Vilnius, or {column: …}",
    "Pick.scale": "a whole number from -12 to 12",
    "Pick.separator": 'a text in quotes, such as ", "',
    "Pick.country": "a country's two capital letters, such as US, or {column: …}",
}

_MISSING = {
    "version": "begin with `version: 1`",
    "subscriber": "say who the events are about, such as `subscriber: {email: Email}`",
    "type": "name a column, or give every event one with `type: {const: purchase}`",
    "column": "name the column to test",
    "rows": "such as `rows: [{Email: ada@example.com}]`",
    "code": "such as `code: email.invalid`",
}

_PLACES = {
    "SourceOptions": "under `source`",
    "Subscriber": "under `subscriber`",
    "Pick": "inside a pick, such as {column: Total, as: number}",
    "Condition": "in a test of `where`",
    "ImportMapping": "at the left margin",
    "Example": "in an example of `tests`",
}

_SYNONYMS = {
    "bool": ("boolean",),
    "bzip2": ("bz2",),
    "currency": ("value_currency",),
    "decimal": ("number",),
    "double": ("number",),
    "exclude": ("not_in",),
    "filter": ("where",),
    "factors": ("product_of",),
    "float": ("number",),
    "group": ("group_by",),
    "gt": ("above",),
    "gz": ("gzip",),
    "int": ("integer",),
    "lt": ("below",),
    "lzma": ("xz",),
    "mail": ("email",),
    "multiply": ("product_of",),
    "pattern": ("extract", "matches"),
    "product": ("product_of",),
    "base": ("extends",),
    "expect": ("events",),
    "extend": ("extends",),
    "inherits": ("extends",),
    "regex": ("extract", "matches"),
    "rename": ("map",),
    "replace": ("map",),
    "sep": ("delimiter", "separator"),
    "separator": ("delimiter",),
    "str": ("text",),
    "string": ("text",),
    "strip": ("trim",),
    "timestamp": ("datetime",),
    "tz": ("timezone",),
    "zst": ("zstd",),
}
"""What people write who come from other tools."""


def of(model: type[BaseModel]) -> tuple[str, ...]:
    """The words that ``model`` knows, as users spell them."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, whatever its case and punctuation; None if none is close."""
    plain = {_plain(name): name for name in reversed(tuple(known)) if _plain(name)}
    for candidate in (_plain(word), *map(_plain, _SYNONYMS.get(word.lower(), ()))):
        if candidate in plain:
            return plain[candidate]
    close = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.65)
    return plain[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The hint for a name that is not known; None if no known one is close."""
    name = nearest(word, known)
    return f"did you mean `{name}`?" if name is not None else None


def unknown(model: type[BaseModel], word: str) -> tuple[str, str]:
    """Message and hint for a word that ``model`` does not know."""
    known = of(model)
    hint = did_you_mean(word, known) or _elsewhere(model, word) or f"the words here are {', '.join(known)}"
    return f"{_MODELS[model.__name__][0]} has no word `{shorten(word)}`", hint


def missing(model: type[BaseModel], word: str) -> tuple[str, str]:
    """Message and hint for a word that ``model`` cannot do without."""
    return f"{_MODELS[model.__name__][0]} needs `{word}`", _MISSING[word]


def wanted(model: type[BaseModel], word: str | None, value: Any) -> tuple[str, str | None]:
    """Message and hint for a value that does not fit; without a ``word`` it should have been a ``model``."""
    if word is None:
        name, shape = _MODELS[model.__name__]
        hint = None
        if model.__name__ == "Pick" and isinstance(value, list):
            hint = "for the first that is filled, write {first_of: […]}"
        elif model.__name__ == "Pick" and isinstance(value, bool | float):
            hint = "for the same value in every row, write {const: …}"
        return f"{name} is {shape}, not {found(value)}", hint
    choices = _choices(model, word)
    shape = _WANTED.get(f"{model.__name__}.{word}") or f"one of {', '.join(_quoted(one) for one in choices)}"
    return f"`{word}` wants {shape}, not {found(value)}", _hint_for_value(word, value, shape, choices)


def found(value: Any) -> str:
    """A value as the message names it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return f"words such as `{shorten(str(next(iter(value))))}`" if value else "an empty {}"
    return f"`{shorten(str(value))}`" if value != "" else "an empty text"


def shorten(text: str) -> str:
    """``text`` on one line, and no longer than a message bears."""
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"


def _hint_for_value(word: str, value: Any, shape: str, choices: tuple[str, ...]) -> str | None:
    if choices and isinstance(value, str):
        return did_you_mean(value, choices)
    if word in {"in", "not_in"} and not isinstance(value, list | dict):
        return f"write `{word}: [{value}]`"
    if isinstance(value, str) and shape.startswith(("a number", "a whole number", "true")) and _is_bare(value):
        return "leave the quotes out"
    if isinstance(value, str) and value.lower() in {"yes", "no", "on", "off", "y", "n"}:
        return "YAML 1.2 reads it as text; write true or false"
    if word in {"column", "extract", "matches", "not_matches"} and isinstance(value, bool | float):
        return "put it in quotes if that is its name" if word == "column" else "put it in quotes"
    return None


def _is_bare(text: str) -> bool:
    """Whether YAML reads ``text`` as a number, true or false if it is not in quotes."""
    return re.fullmatch(r"true|false|-?[0-9]+(\.[0-9]+)?", text) is not None


def _elsewhere(model: type[BaseModel], word: str) -> str | None:
    """Where a word of another model belongs."""
    others: Sequence[type[BaseModel]] = model.__bases__[0].__subclasses__()
    known = {other.__name__: of(other) for other in others if other is not model}
    for home, place in _PLACES.items():
        for name in known.get(home, ()):
            if _plain(name) == _plain(word):
                return f"`{name}` belongs {place}"
    return None


def _choices(model: type[BaseModel], word: str) -> tuple[str, ...]:
    for name, field in model.model_fields.items():
        if (field.alias or name) == word:
            return tuple(_literals(field.annotation))
    return ()


def _literals(annotation: Any) -> Iterable[str]:
    for part in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield str(part)
        else:
            yield from _literals(part)


def _quoted(choice: str) -> str:
    return choice if choice.isalnum() else f'"{choice}"'


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())
