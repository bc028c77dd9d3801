"""Decisions (what was chosen, how certain that is and why, what else it could be), and the draft that they make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that was decided, or that is left to the user."""

    target: str
    """What it is about: ``subscriber.email``, ``time zone`` …; unique in a draft."""
    question: str
    grade: Grade
    options: Mapping[str, str]
    """Each way to decide (a column's name, a word such as `dmy`, or `NONE`), the chosen one first, and its reason:
    shapes and names only, never the cells of the file, for they may be somebody's address."""
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


@dataclass(frozen=True, slots=True)
class Open:
    """A question that a mapping asks above lines that are commented out."""

    question: str
    """Empty where it is asked elsewhere."""
    lines: tuple[tuple[str, Any], ...] = ()
    """What could be written: words and their values."""


@dataclass
class Draft:
    """A mapping in the making; filled step by step, then written."""

    sample: Sample
    answers: Mapping[str, str]
    """The user's, by the target of the decision; they replace guesses."""
    kind: Kind = UNKNOWN
    decisions: dict[str, Decision] = field(default_factory=dict)
    words: dict[str, Any] = field(default_factory=lambda: {"version": 1})
    """The mapping's data."""
    notes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
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
