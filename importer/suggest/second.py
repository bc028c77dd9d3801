"""A second file that says what the first one's rows do not: proposed as a lookup, by its key and its addresses."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from importer.suggest.adapt import inherited_subscriber
from importer.suggest.decide import NONE, Draft, Grade
from importer.suggest.people import addresses
from importer.suggest.profile import Column, Sample
from importer.suggest.vocabulary import fit, plain

_SHORT = 4
"""Digits of numbers that may count anything."""
_ENOUGH = 0.5
"""Of a column's cells, those that must be keys of the second file."""
_NEARLY_ALL = 0.9
"""Those that leave no doubt, however the columns are called."""


def add_lookup(made: Draft, second: Sample, mapping: str) -> None:
    """Propose the lookup, and take the subscriber's address from it where the file itself has none.

    Where it is not plain which columns belong together, a question above both proposals; where no column of the file
    has the second one's keys, a comment says so.
    """
    path = os.path.relpath(second.name, Path(mapping).parent)
    found = _joined(made.sample, second)
    if found is None:
        why = f"likely: {second.name} is not used: no column of the file has the keys of a column there"
        made.notes["lookups"].append(why)
        return
    by, key = found.by.name, found.key.name
    options = {f"{by} = {key}": found.reason, NONE: "it is not used"}
    grade = Grade.LIKELY if found.is_plain else Grade.OPEN
    name = made.choose("lookups", f"Which column has the keys of {second.name}", grade, options)
    lookup = re.sub(r"\W+", "_", Path(second.name).name.partition(".")[0]).strip("_") or "second"
    source = {"source": dict(second.source)} if second.source else {}
    words: dict[str, Any] = {"lookups": {lookup: {"file": path, "key": key, **source}}}
    if addressed := addresses(second):
        words["subscriber"] = _subscriber(made, lookup, by, addressed)
    if name is None:
        made.leave_open("lookups", "lookups", ())
        made.opens["lookups"] = replace(made.opens["lookups"], lines=tuple(words.items()))
    elif name != NONE:
        made.words |= words
        made.note("lookups", "lookups")
        made.used.add(by)
        if addressed:
            made.opens.pop("subscriber", None)
            columns = " and ".join(f"`{one}`" for one in addressed.values())
            options = {f"{columns} of {second.name}": f"by {by}, its {key}"}
            made.decisions.pop("subscriber", None)
            made.choose("subscriber", "", Grade.LIKELY, options)
            made.note("subscriber", "subscriber")


def _subscriber(made: Draft, lookup: str, by: str, addressed: dict[str, str]) -> dict[str, Any]:
    """The subscriber with the second file's addresses; what the rows say themselves comes first."""
    taken: dict[str, Any] = {word: {"lookup": lookup, "by": by, "column": one} for word, one in addressed.items()}
    for word, own in (made.words.get("subscriber") or inherited_subscriber(made.preset)).items():
        if word == "email" and word in taken:
            candidates = own["first_of"] if isinstance(own, dict) and own.keys() == {"first_of"} else [own]
            taken[word] = {"first_of": [*candidates, taken[word]]}
        else:
            taken[word] = own
    if "email" in taken and "lookup" in taken.get("phone", ()):
        taken["phone"]["on_invalid"] = "omit"
    return taken


@dataclass(frozen=True, slots=True)
class _Joint:
    """A column of the first file, and the key of the second one that its cells are."""

    by: Column
    key: Column
    reason: str
    known: float
    """Of the column's cells, the share that are keys."""
    is_alike: bool
    """Whether the names mean the same."""
    is_plain: bool
    """Whether the cells leave no doubt, or the cells and the names together."""


def _joined(first: Sample, second: Sample) -> _Joint | None:
    """The surest pair of columns."""
    found = []
    for key in second.columns:
        if not (key.is_full and key.is_unique) or key.emails >= _ENOUGH:
            continue
        keys = {_spelled(cell) for cell in key.counts}
        # A column of 1, 2, 3 …: small numbers of anything are among them.
        is_counter = all(cell.isdecimal() and len(cell) <= _SHORT for cell in key.distinct)
        for by in first.columns:
            if not by.filled or by.nested:
                continue
            known = sum(count for cell, count in by.counts.items() if _spelled(cell) in keys) / by.filled
            alike = _is_alike(by.name, key.name, second.name)
            is_plain = known >= (_ENOUGH if alike else _NEARLY_ALL)
            # The first rows of a long list hold few of the keys.
            if known >= _ENOUGH and (alike or not is_counter):
                found.append(_Joint(by, key, f"{known:.0%} of its cells are keys there", known, alike, is_plain))
            elif alike and not second.whole:
                found.append(_Joint(by, key, "named alike", known, alike, is_plain))
    return max(found, key=lambda one: (one.is_plain, one.is_alike, one.known), default=None)


def _spelled(cell: str) -> str:
    return re.sub(r"^'?([0-9]+)(?:\.0+)?$", r"\1", cell)


def _is_alike(by: str, key: str, file: str) -> bool:
    """Whether names mean the same: ``Customer ID`` twice, or ``customer_id`` and the ``id`` of ``customers.csv``."""
    stem = plain(Path(file).name.partition(".")[0]).removesuffix("s")
    own, other = plain(by.rpartition(".")[2] if by.count(".") else by), plain(key)
    whole = plain(by)
    others = {other, f"{stem} {other}"}
    is_id = bool(fit(by, "person")) and other in ("id", "reference id")
    return is_id or bool({own, whole, f"{own} id", f"{whole} id"} & others)
