"""Decisions (what was chosen, how certain that is and why, what else it could be), the draft that they make, its text.

In a mapping's text each word has its comment, and open questions are above lines that are commented out. Comments hold
names and shapes, never a file's cells: they may be a person's address.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

import msgspec

from importer.suggest.profile import Column, Sample
from importer.suggest.vocabulary import Kind

NONE = "none"
"""The option that leaves something out."""
OPEN = "OPEN:"
"""Begins the comment of what only the user can know."""
UNKNOWN, PURCHASE = Kind("", "imported"), Kind("purchase", "purchase")


class Grade(IntEnum):
    """How certain a decision is."""

    OPEN = 0
    """The file does not say it: the user has to."""
    LIKELY = 1
    SURE = 2


class Decision(msgspec.Struct, frozen=True):
    """One thing that was decided, or that is left to the user."""

    target: str
    """What it is about: ``subscriber.email``, ``time zone`` …; unique in a draft."""
    question: str
    grade: Grade
    options: Mapping[str, str]
    """Each way to decide (a column's name, a word such as `dmy`, or `NONE`), the chosen one first, and its reason:
    shapes and names only, never the cells of the file, for they may be a person's address."""
    takes_any: bool = False
    """Whether an answer may be a text that is no option."""

    @property
    def chosen(self) -> str | None:
        """The first option; None where it is open."""
        return None if self.grade is Grade.OPEN else next(iter(self.options), None)

    @property
    def others(self) -> list[str]:
        """The options that were not chosen."""
        return [name for name in self.options if name != self.chosen]

    def note(self) -> str:
        """The comment that goes with it; empty where it is open."""
        if self.chosen is None:
            return ""
        could_be = f"; it could be {' or '.join(self.others[:3])}" if self.others and self.grade is Grade.LIKELY else ""
        return f"{self.grade.name.lower()}: {self.options[self.chosen]}{could_be}"


class Open(msgspec.Struct, frozen=True):
    """A question that a mapping asks above lines that are commented out."""

    question: str
    """Empty where it is asked elsewhere."""
    lines: tuple[tuple[str, Any], ...] = ()
    """What could be written: words and their values."""


class Draft(msgspec.Struct):
    """A mapping in the making; filled step by step, then written."""

    sample: Sample
    answers: Mapping[str, str]
    """The user's, by the target of the decision; they replace guesses."""
    kind: Kind = UNKNOWN
    decisions: dict[str, Decision] = {}
    words: dict[str, Any] = msgspec.field(default_factory=lambda: {"version": 1})
    """The mapping's data."""
    notes: defaultdict[str, list[str]] = msgspec.field(default_factory=lambda: defaultdict(list))
    """Comments by the word that they are above: ``key``, ``subscriber.email`` …"""
    opens: dict[str, Open] = {}
    """What only the user can know, by the word that it is about."""
    used: set[str] = set()
    """Columns that are mapped, or that an event does not need."""
    group: Column | None = None
    """The column by which rows become one event."""
    amount: Column | None = None
    """The column of the value, or of how many items there are."""
    preset: str = ""
    """The preset that it extends; empty if none was recognised."""
    text: str = ""
    """The mapping's file."""

    @property
    def is_open(self) -> bool:
        """Whether the mapping asks something before it runs."""
        return any(one.chosen is None for one in self.decisions.values())

    def choose(
        self, target: str, question: str, grade: Grade, options: Mapping[str, str], *, takes_any: bool = False
    ) -> str | None:
        """The user's answer, or the first of the options (names and reasons); None where it is open."""
        if target in self.answers:
            answer, grade = self.answers[target], Grade.SURE
            options = {answer: "as you said", **{name: why for name, why in options.items() if name != answer}}
        self.decisions[target] = decision = Decision(target, question, grade, options, takes_any)
        return decision.chosen

    def note(self, word: str, *targets: str) -> None:
        """Put above a word what was decided."""
        said = (self.decisions[one].note() for one in targets if one in self.decisions)
        self.notes[word].extend(filter(None, said))

    def leave_open(self, word: str, target: str, values: Sequence[Any]) -> None:
        """Ask what was left open, above what could be written for the word."""
        decision = self.decisions[target]
        reason = f" ({next(iter(decision.options.values()))})" if decision.options else ""
        lines = tuple((word.partition(".")[2] or word, value) for value in values)
        self.opens[word] = Open(f"{decision.question}?{reason}", lines)

    def write_source(self) -> None:
        """Fill ``source``: how the file is read, where that has to be said."""
        source, readings = dict(self.sample.source), dict(self.sample.readings)
        if readings:
            question = "In which encoding is the file, which is not UTF-8"
            self.choose("encoding", question, Grade.OPEN, readings)
            lines = tuple(("source", source | {"encoding": encoding}) for encoding in readings)
            self.opens["source"] = Open(f"{question}? Without an answer `check` shows its words in each", lines)
            return
        if "header" in source:
            self.notes["source"] = ["the file's first line looks like data, so columns are called 1, 2, 3 …"]
        if "encoding" in source:
            self.notes["source"] = ["sure: the file is not UTF-8, and only this encoding makes words of its letters"]
        if source:
            self.words["source"] = source


def put(words: dict[str, Any], target: str, value: Any) -> None:
    """Set a target: a word, or a member of one as in ``subscriber.email``."""
    word, _, name = target.partition(".")
    words[word] = {**words.get(word, {}), name: value} if name else value


def template(*names: str) -> str:
    """Columns one after the other, as a template has them."""
    return " ".join(f"{{{name.replace('{', '{{').replace('}', '}}')}}}" for name in names)


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
    for name, value in list(left.items())[:_MOST_LEFT]:
        yield f"{indent}{scalar(name)}: {flow(value)}"
    if len(left) > _MOST_LEFT:
        yield f"{indent}and {len(left) - _MOST_LEFT} more columns"


def flow(value: Any) -> str:
    """A value on one line: ``{column: Total, decimal: ","}``; a value that is nothing but a column is its name."""
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
