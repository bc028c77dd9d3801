"""A draft as the text of a mapping: every word with its comment, and open questions above lines that are commented out.

Comments hold names and shapes, never a file's cells: they may be somebody's address.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from importer.suggest.decide import OPEN, Draft

_WIDTH = 100
_MOST_LEFT = 60
"""Columns named in a comment."""
ORDER = ("version", "extends", "source", "lookups", "each", "where", "group_by", "order_by", "key", "subscriber",
         "type", "value", "value_currency", "properties", "more_properties", "missing_columns")  # fmt: skip
_NESTED = ("subscriber", "properties")
_BARE = re.compile(r"[^\W\d_](?:[\w./$()&+-]|[ ](?=[\w./$()&+-]))*", re.ASCII)
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def comment(text: str, indent: str = "", *, rest: str = "") -> Iterator[str]:
    """Lines of a comment, wrapped at words; those after the first are indented by ``rest``."""
    yield from textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# {rest}",
        break_on_hyphens=False,
    )


def lay_out(made: Draft, left: Mapping[str, Any]) -> str:
    """The words in the order of the documentation, notes above them, and what is left out below."""
    lines: list[str] = []
    for word in ORDER:
        block = [*_comments(made, word), *_word(made, word)]
        if lines and block and (block[0].startswith("#") or word in _NESTED):
            lines.append("")
        lines += block
    lines += _left(left, beside="properties" in made.words)
    return "\n".join(lines) + "\n"


def _comments(made: Draft, target: str, indent: str = "", *, inner: str = "") -> Iterator[str]:
    for note in made.notes.get(target, ()):
        yield from comment(note, indent)
    asked = made.opens.get(target)
    if asked is not None and asked.question:
        yield from comment(f"{OPEN} {asked.question}", indent, rest=" " * (len(OPEN) + 1))
    for word, value in asked.lines if asked is not None else ():
        yield f"{indent}# {inner}{printable(f'{scalar(word)}: {flow(value)}')}"


def _word(made: Draft, word: str) -> Iterator[str]:
    value = made.words.get(word)
    if word == "where" and value:
        yield from (f"{word}:", *(f"  - {flow(test)}" for test in value))
    elif word not in _NESTED:
        if word in made.words:
            yield f"{word}: {flow(value)}"
    else:
        members = {**(value or {}), **{one.partition(".")[2]: None for one in made.opens if one.startswith(f"{word}.")}}
        if value:
            yield f"{word}:"
        elif members:
            yield f"# {word}:"
        for name in members:
            yield from _comments(made, f"{word}.{name}", "  " if value else "", inner="" if value else "  ")
            if value and name in value:
                yield f"  {scalar(name)}: {flow(value[name])}"


def _left(left: Mapping[str, Any], *, beside: bool) -> Iterator[str]:
    """Columns that nothing maps, as lines to take the mark away from."""
    if not left:
        return
    if beside:
        yield "  # Not sent; take a # away to send it. Much of it may be personal: send what you need."
    else:
        yield "# Not sent; take the # away to send it. Much of it may be personal: send what you need."
        yield "# properties:"
    indent = "  # " if beside else "#   "
    for name, pick in list(left.items())[:_MOST_LEFT]:
        yield f"{indent}{scalar(name)}: {flow(pick)}"
    if len(left) > _MOST_LEFT:
        yield f"{indent}and {len(left) - _MOST_LEFT} more columns"


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
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in json.dumps(text, ensure_ascii=False))


def printable(text: str) -> str:
    """The text on one line, for a comment."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
