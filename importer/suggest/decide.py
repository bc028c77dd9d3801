"""Decisions (what was chosen, how certain that is and why, what else it could be), and the draft that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from importer.suggest.profile import Column, Sample
from importer.suggest.vocabulary import Kind, is_warehouse

NONE = "none"
"""The option that leaves something out."""
OPEN = "OPEN:"
"""Begins the comment of what only the user can know."""


class Grade(IntEnum):
    """How certain a decision is."""

    OPEN = 0
    """The file does not say it: the user has to."""
    LIKELY = 1
    SURE = 2


@dataclass(frozen=True, slots=True)
class Option:
    """One way to decide."""

    name: str
    """A column's name, a word such as `dmy`, or `NONE`."""
    reason: str
    """Shapes and names only, never the cells of the file: they may be somebody's address."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that was decided, or that is left to the user."""

    target: str
    """What it is about: ``subscriber.email``, ``time zone`` …; unique in a draft."""
    question: str
    grade: Grade
    chosen: Option | None
    """None where it is open."""
    others: tuple[Option, ...]
    takes_any: bool = False
    """Whether an answer may be a text that is no option."""

    def note(self) -> str:
        """The comment that goes with it; empty where there is nothing to say."""
        if self.chosen is None:
            return ""
        others = " or ".join(one.name for one in self.others[:3])
        could_be = f"; it could be {others}" if others and self.grade is Grade.LIKELY else ""
        return f"{self.grade.name.lower()}: {self.chosen.reason}{could_be}"


class Decisions:
    """Decides, by the user's answers where there are some, and remembers."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = answers
        self.made: dict[str, Decision] = {}

    def choose(
        self, target: str, question: str, grade: Grade, options: Sequence[Option], *, takes_any: bool = False
    ) -> str | None:
        """The user's answer, or the first option; None where it is open."""
        chosen = options[0] if options and grade is not Grade.OPEN else None
        if target in self._answers:
            grade, chosen = Grade.SURE, Option(self._answers[target], "as you said")
        others = tuple(one for one in options if chosen is None or one.name != chosen.name)
        self.made[target] = Decision(target, question, grade, chosen, others, takes_any)
        return chosen.name if chosen is not None else None

    def note(self, target: str) -> str:
        """The comment that goes with a decision; empty if there was none."""
        return self.made[target].note() if target in self.made else ""


UNKNOWN = Kind("", "imported", None, (), 1, (), has_value=True)
PURCHASE = Kind("purchase", "purchase", None, (), 1, (), has_value=True)


@dataclass(frozen=True, slots=True)
class Open:
    """A question that a mapping asks above lines that are commented out."""

    question: str
    """Empty where it is asked elsewhere."""
    lines: tuple[tuple[str, Any], ...]
    """What could be written: words and their values."""


@dataclass
class Draft:
    """A mapping in the making; filled step by step, then written."""

    sample: Sample
    decisions: Decisions
    kind: Kind = UNKNOWN
    words: dict[str, Any] = field(default_factory=lambda: {"version": 1})
    """The mapping's data."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """Comments by the word that they are above: ``key``, ``subscriber.email`` …"""
    opens: dict[str, Open] = field(default_factory=dict)
    """What only the user can know, by the word that it is about."""
    used: set[str] = field(default_factory=set)
    """Columns that are mapped, or that an event does not need."""
    group: Column | None = None
    """The column by which rows become one event."""
    amount: Column | None = None
    """The column of the value, or of how many items there are."""
    preset: str = ""
    """The preset that it extends; empty if none was recognised."""

    def note(self, word: str, *targets: str) -> None:
        """Put what was decided above a word."""
        self.notes.setdefault(word, []).extend(text for one in targets if (text := self.decisions.note(one)))

    def leave_open(self, word: str, target: str, values: Sequence[Any]) -> None:
        """Ask what was left open, above what could be written for the word."""
        decision = self.decisions.made[target]
        reason = f" ({decision.others[0].reason})" if decision.others else ""
        self.opens[word] = Open(f"{decision.question}?{reason}", _lines(word, values))

    def write_source(self) -> None:
        """Fill ``source``: how the file is read, where that has to be said."""
        source, readings = dict(self.sample.source), self.sample.readings
        if readings:
            options = [Option(encoding, words) for encoding, words in readings]
            question = "In which encoding is the file, which is not UTF-8"
            self.decisions.choose("encoding", question, Grade.OPEN, options)
            lines = tuple(("source", source | {"encoding": encoding}) for encoding, _ in readings)
            self.opens["source"] = Open(f"{question}? Without an answer `check` shows its words in each", lines)
            return
        if "header" in source:
            self.notes["source"] = ["the file's first line looks like data, so columns are called 1, 2, 3 …"]
        if "encoding" in source:
            self.notes["source"] = ["sure: the file is not UTF-8, and only this encoding makes words of its letters"]
        if source:
            self.words["source"] = source

    @property
    def is_warehouse(self) -> bool:
        """Whether a loader copied the table into a warehouse, where times are UTC."""
        return any(is_warehouse(one.name) for one in self.sample.columns)


def _lines(word: str, values: Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((word.partition(".")[2] or word, value) for value in values)


def put(words: dict[str, Any], target: str, value: Any) -> None:
    """Set a target: a word, or a member of one as in ``subscriber.email``."""
    word, _, name = target.partition(".")
    words[word] = {**words.get(word, {}), name: value} if name else value


def braced(name: str) -> str:
    """A column's name as a template has it."""
    return name.replace("{", "{{").replace("}", "}}")
