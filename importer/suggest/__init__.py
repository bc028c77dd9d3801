"""Inference: from the first rows of a file to a commented mapping, and how sure each line of it is.

    sample.py   the rows looked at            roles.py   which column plays which role
    names.py    what columns are called       groups.py  whether rows are line items
    numbers.py  how numbers are written       people.py  who the event is about
    times.py    how times are written         extras.py  what else it tells
    rows.py     which rows are no events      decide.py  decisions and answers
    draft.py    decision after decision       text.py    the mapping's text
    adapt.py    a recognised platform's preset, adapted

It compares names and looks at cells; it reads no file and shapes no event. Whether the mapping it writes does well is
found out by ``pipeline.draft``, which runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from importer.mapping.presets import load_preset
from importer.suggest.adapt import adapt
from importer.suggest.decide import NONE, SURE, Deciding, Decision, Option
from importer.suggest.draft import decide
from importer.suggest.extras import decide_properties
from importer.suggest.roles import CURRENCIES, Roles
from importer.suggest.sample import Column, Sample
from importer.suggest.text import comment, lay_out
from importer.suggest.times import DECISIVE

__all__ = [
    "CURRENCIES",
    "DECISIVE",
    "NONE",
    "SURE",
    "Change",
    "Column",
    "Decision",
    "Inferred",
    "Option",
    "Sample",
    "infer",
    "open_dates",
]


@dataclass(frozen=True, slots=True)
class Change:
    """Another pick for a target, and why."""

    pick: Mapping[str, Any]
    why: str


@dataclass(frozen=True, slots=True)
class Inferred:
    """A mapping that loads, and what was decided on the way."""

    text: str
    decisions: tuple[Decision, ...]
    preset: str = ""
    """The preset that it extends; empty if none was recognised."""


def open_dates(sample: Sample) -> tuple[str, ...]:
    """The columns whose dates may have the day or the month first, as far as these rows tell."""
    return tuple(one.name for one in Roles(sample, hinted=True).columns if one.times is not None and one.times.other)


def infer(
    sample: Sample, answers: Mapping[str, str], *, command: str, changes: Mapping[str, Change] = MappingProxyType({})
) -> Inferred:
    """Write a mapping for a file like this one.

    ``answers`` replace guesses, by the targets of the decisions; ``command`` is how to check the result; ``changes``
    replace picks, by their targets, after a trial has shown that they should be. The sample has at least one column.
    """
    head = [
        *comment(f"Written by `importer init` after a look at {sample.rows:,} rows of {sample.name}."),
        *comment("A line marked `unsure` deserves a look. What each row becomes is told by"),
        *comment(f"  {command}"),
        "",
    ]
    recognised = adapt(sample, answers)
    if recognised is not None:
        head[3:3] = _doubled(sample, recognised.deciding)
        base = load_preset(recognised.preset).mapping.subscriber
        _change(
            recognised.words,
            recognised.notes,
            changes,
            base.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        )
        text = lay_out(recognised.words, recognised.notes, {})
        return Inferred("\n".join(head) + text, tuple(recognised.deciding.made.values()), recognised.preset)
    draft = decide(sample, answers)
    head[3:3] = _doubled(sample, draft.deciding)
    left = decide_properties(draft, Roles(sample))
    _change(draft.words, draft.notes, changes, {})
    return Inferred("\n".join(head) + lay_out(draft.words, draft.notes, left), tuple(draft.deciding.made.values()))


def _doubled(sample: Sample, deciding: Deciding) -> list[str]:
    """What is said of names that no mapping can use."""
    if not sample.doubled:
        return []
    why = f"the header has {', '.join(sample.doubled)} more than once, so none of them is used; rename one of each"
    deciding.choose("doubled columns", "Columns of one name", [Option("left out", 0.5, why)])
    return [*comment(deciding.note("doubled columns"))]


def _change(
    words: dict[str, Any], notes: dict[str, list[str]], changes: Mapping[str, Change], inherited: Mapping[str, Any]
) -> None:
    """Replace picks; one of the subscriber's brings the inherited others along, as `subscriber` is replaced whole."""
    for target, change in changes.items():
        word, _, name = target.partition(".")
        if name:
            words.setdefault(word, dict(inherited) if word == "subscriber" else {})[name] = dict(change.pick)
        else:
            words[word] = dict(change.pick)
        notes.setdefault(target, []).append(f"adapted to the rows: {change.why}")
