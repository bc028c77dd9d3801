"""A draft as the text of a mapping: every word with its comment.

This module owns the layout. Comments hold names and shapes, never a file's cells: they may be somebody's address.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from importer.suggest.yaml_text import flow, printable, scalar

_WIDTH = 100
_MOST_LEFT = 60
"""Columns named in a comment."""
ORDER = ("version", "extends", "source", "where", "group_by", "order_by", "key", "subscriber", "type", "value",
         "value_currency", "properties", "missing_columns")  # fmt: skip
_NESTED = ("subscriber", "properties")


def comment(text: str, indent: str = "") -> Iterator[str]:
    """Lines of a comment."""
    yield from textwrap.wrap(
        printable(text), _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
    )


def lay_out(words: Mapping[str, Any], notes: Mapping[str, Iterable[str]], left: Mapping[str, Any]) -> str:
    """The words in the order of the documentation, notes above them, and what is left out below."""
    lines: list[str] = []
    for word in (one for one in ORDER if one in words or one in notes):
        value = words.get(word)
        own = list(notes.get(word, ()))
        if lines and (own or word in _NESTED):
            lines.append("")
        for note in own:
            lines += comment(note)
        if word in _NESTED and isinstance(value, Mapping):
            lines.append(f"{word}:")
            for name, pick in value.items():
                for note in notes.get(f"{word}.{name}", ()):
                    lines += comment(note, "  ")
                lines.append(f"  {scalar(name)}: {flow(pick)}")
        elif word == "where":
            lines += [f"{word}:", *(f"  - {flow(test)}" for test in value or ())]
        elif word in words:
            lines.append(f"{word}: {flow(value)}")
    lines += _left(left, beside="properties" in words)
    return "\n".join(lines) + "\n"


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
