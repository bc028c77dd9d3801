"""A second file that says what the first one's rows do not: proposed as a lookup, by its key and its addresses."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from importer.mapping.presets import load_preset
from importer.suggest.advice import written
from importer.suggest.decide import NONE, Draft, Grade, Option
from importer.suggest.people import addresses
from importer.suggest.profile import Column, Sample
from importer.suggest.vocabulary import fit, plain

_SHORT = 4
"""Digits of numbers that may count anything."""
_ENOUGH = 0.5
"""Of a column's cells, those that must be keys of the second file."""


def add_lookup(made: Draft, second: Sample, mapping: str) -> None:
    """Propose the lookup, and take the subscriber's address from it where the file itself has none.

    Where no column of the file has the second one's keys, a comment says so.
    """
    path = os.path.relpath(second.name, Path(mapping).parent)
    found = _joined(made.sample, second)
    if found is None:
        made.notes.setdefault("lookups", []).append(
            f"likely: {second.name} is not used: no column of the file has the keys of a column there"
        )
        return
    by, key, reason = found
    question = f"Which column has the keys of {second.name}"
    name = made.decisions.choose(
        "lookups", question, Grade.LIKELY, [Option(f"{by.name} = {key.name}", reason), Option(NONE, "it is not used")]
    )
    if name is None or name == NONE:
        return
    lookup = re.sub(r"\W+", "_", Path(second.name).name.partition(".")[0]).strip("_") or "second"
    source = dict(second.source)
    made.words["lookups"] = {lookup: {"file": path, "key": key.name, **({"source": source} if source else {})}}
    made.note("lookups", "lookups")
    made.used.add(by.name)
    found_there = addresses(second)
    taken: dict[str, Any] = {
        word: {"lookup": lookup, "by": by.name, "column": one} for word, one in found_there.items()
    }
    if not taken:
        return
    for word, own in (made.words.get("subscriber") or _inherited(made)).items():
        # What the rows say themselves comes first.
        if word == "email" and word in taken:
            taken[word] = {"first_of": [own, taken[word]]}
        else:
            taken[word] = own
    if "email" in taken and "phone" in taken and "on_invalid" not in taken["phone"]:
        taken["phone"]["on_invalid"] = "omit"
    made.words["subscriber"] = taken
    made.opens.pop("subscriber", None)
    made.decisions.made.pop("subscriber", None)
    columns = " and ".join(f"`{one}`" for one in found_there.values())
    made.decisions.choose(
        "subscriber", "", Grade.LIKELY, [Option(f"{columns} of {second.name}", f"by {by.name}, its {key.name}")]
    )
    made.note("subscriber", "subscriber")


def _inherited(made: Draft) -> dict[str, Any]:
    """The subscriber of the preset, where it has one that holds."""
    preset = load_preset(made.preset).mapping if made.preset else None
    return {} if preset is None or "subscriber" in preset.needs else written(preset.subscriber)


def _joined(first: Sample, second: Sample) -> tuple[Column, Column, str] | None:
    """A column of the first file and the key of the second one that its cells are; the surest pair, and why."""
    found: list[tuple[tuple[bool, float], Column, Column, str]] = []
    for key in second.columns:
        if not (key.is_full and key.is_unique) or key.emails >= _ENOUGH:
            continue
        keys = {_spelled(cell) for cell in key.counts}
        for by in first.columns:
            if not by.filled or by.nested:
                continue
            known = sum(count for cell, count in by.counts.items() if _spelled(cell) in keys) / by.filled
            alike = _is_alike(by.name, key.name, second.name)
            # The first rows of a long list hold few of the keys.
            if known >= _ENOUGH and (alike or not _is_counter(key)):
                found.append(((alike, known), by, key, f"{known:.0%} of its cells are keys there"))
            elif alike and not second.whole:
                found.append(((alike, known), by, key, "named alike"))
    if not found:
        return None
    _, by, key, reason = max(found, key=lambda one: one[0])
    return by, key, reason


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


def _is_counter(key: Column) -> bool:
    """Whether its cells are 1, 2, 3 …: small numbers of anything are among them."""
    return all(cell.isdecimal() and len(cell) <= _SHORT for cell in key.distinct)
