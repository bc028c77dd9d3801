"""Data as YAML text that is read back as the same data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[^\W\d_](?:[\w./$()&+-]|[ ](?=[\w./$()&+-]))*", re.ASCII)
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def flow(value: Any) -> str:
    """A value on one line: ``{column: Total, decimal: ","}``; a pick that is nothing but a column is its name."""
    if isinstance(value, Mapping):
        if list(value) == ["column"]:
            return flow(value["column"])
        return "{" + ", ".join(f"{scalar(str(name))}: {_member(name, one)}" for name, one in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def _member(name: str, value: Any) -> str:
    """A zone or a country that a column names is not written like one that is named itself."""
    if name in ("timezone", "country") and isinstance(value, Mapping) and list(value) == ["column"]:
        return f"{{column: {scalar(value['column'])}}}"
    return flow(value)


def line(word: Mapping[str, Any]) -> str:
    """A word and its value: ``value: {column: Total, decimal: ","}``."""
    return "".join(f"{scalar(name)}: {flow(value)}" for name, value in word.items())


def scalar(value: Any) -> str:
    """A text, a number, true, false or null; quoted where it would be read as something else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if _BARE.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if "\\" in text and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, text)) + '"'


def printable(text: str) -> str:
    """The text on one line, for a comment."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter.isprintable() and letter != "\ufeff":
        return letter
    point = ord(letter)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
