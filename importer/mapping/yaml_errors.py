"""What is wrong with a text that is not YAML, in words for people who do not know YAML's own.

Owns the wording of the parser's errors; everything that is YAML, but no mapping, is said elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that cannot be, and where (1-based)."""

    line: int
    column: int
    message: str
    hint: str | None = None


Wording = tuple[str, str | None]
_WORDINGS: tuple[tuple[str, Callable[[re.Match[str]], Wording], bool], ...] = (
    (
        r"found character '\\t'|found a tab character",
        lambda _: ("a tab stands where only spaces may", "indent with spaces"),
        False,
    ),
    (
        r"found character '(.)' that cannot start",
        lambda match: (f"a text cannot begin with `{match[1]}` unless it is in quotes", "put the text in quotes"),
        False,
    ),
    (
        r"mapping values are not allowed here",
        lambda _: (
            "a second `:` in one line, or a deeper line below a finished one",
            "put a text that holds `: ` in quotes",
        ),
        False,
    ),
    (r"found unexpected end of stream", lambda _: ("a quote opens here and is never closed", "close it"), True),
    (
        r"found undefined alias '(.*)'",
        lambda match: (f"nothing is named `&{match[1]}`", "name it with & further up"),
        False,
    ),
    (r"could not find expected ':'", lambda _: ("a line without `:`", "write `word: value`"), True),
    (r"expected the node content", lambda _: ("a value is missing here", "write one, or remove the comma"), False),
    (
        r"expected <block end>, but found",
        lambda _: ("the line does not fit in with those above it", "indent it like its neighbours"),
        False,
    ),
    (
        r"expected ',' or '([\]}])'",
        lambda match: (
            f"the bracket that opens here is not closed with `{match[1]}`",
            "close it, or put a comma between",
        ),
        True,
    ),
    (
        r"found another document",
        lambda _: ("a second document begins here", "a mapping file is one document; leave out the `---`"),
        False,
    ),
    (r"found duplicate anchor '(.*)'", lambda match: (f"`&{match[1]}` is named twice", "choose another name"), False),
)
"""What the parser says, what is said instead, and whether it is where things began that helps."""


def explain(error: MarkedYAMLError) -> Fault:
    """A parser's error as a fault."""
    problem = str(error.problem)
    for pattern, wording, at_beginning in _WORDINGS:
        match = re.search(pattern, problem)
        if match:
            mark = error.context_mark if at_beginning else None
            return _at(mark or error.problem_mark or error.context_mark, *wording(match))
    return _at(
        error.problem_mark or error.context_mark, f"this is not YAML: {problem}", "see docs/mapping.md for examples"
    )


def explain_character(error: ReaderError, text: str) -> Fault:
    """A character that YAML does not allow, as a fault."""
    before = text[: error.position]
    line_start = before.rfind("\n") + 1
    line = before.count("\n") + 1
    return Fault(
        line, len(before) - line_start + 1, f"the control character U+{ord(text[error.position]):04X}", "remove it"
    )


def _at(mark: object, message: str, hint: str | None) -> Fault:
    """A fault at one of the parser's 0-based marks; at the text's beginning if it has none."""
    return Fault(getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1, message, hint)
