"""Decisions: what was chosen, how sure that is and why, and what else it could have been.

This module owns their shape and how answers of the user replace guesses. What there is to decide is ``draft``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SURE = 0.8
"""From here on a decision needs no second look."""
NONE = "none"
"""The option that leaves something out."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to decide."""

    name: str
    """A column's name, a word such as `dmy`, or `NONE`."""
    confidence: float
    """From 0 to 1."""
    reason: str
    """Shapes and names only, never the cells of the file: they may be somebody's address."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that was decided."""

    target: str
    """What it is about: ``subscriber.email``, ``time zone`` …; unique in a draft."""
    question: str
    chosen: Option
    others: tuple[Option, ...]
    takes_any: bool = False
    """Whether an answer may be a text that is no option."""

    @property
    def is_unsure(self) -> bool:
        """Whether the user should look, or be asked."""
        return self.chosen.confidence < SURE


class Deciding:
    """Decides, by the answers where there are some, and remembers what was decided."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = answers
        self.made: dict[str, Decision] = {}

    def choose(self, target: str, question: str, options: Sequence[Option], *, takes_any: bool = False) -> str:
        """The best of at least one option, or the user's answer."""
        ranked = sorted(options, key=lambda one: -one.confidence)
        chosen = ranked[0]
        if target in self._answers:
            chosen = Option(self._answers[target], 1.0, "as you said")
        others = tuple(one for one in ranked if one.name != chosen.name)
        self.made[target] = Decision(target, question, chosen, others, takes_any)
        return chosen.name

    def note(self, target: str) -> str:
        """The comment that goes with a decision; empty if there was nothing to decide."""
        if target not in self.made:
            return ""
        decision = self.made[target]
        percent = round(100 * decision.chosen.confidence)
        if not decision.is_unsure:
            return f"{percent}% sure: {decision.chosen.reason}"
        others = " or ".join(one.name for one in decision.others[:3])
        return f"unsure: {decision.chosen.reason} ({percent}%)" + (f"; it could be {others}" if others else "")
