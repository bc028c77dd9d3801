"""The presets, and which of them a file's header fits; only names are compared."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from importer.mapping.load import LoadedMapping, loads, preset_names, preset_text
from importer.mapping.model import ImportMapping

_ENOUGH = 0.75
"""The share of a preset's `recognised_by` that a header must have."""


@cache
def load_preset(name: str) -> LoadedMapping:
    """The preset of that name; it may lack what it `needs`.

    Raises:
        UsageError: there is none; the hint has the nearest names.
    """
    return loads(preset_text(name), name, partial=True)


def recognise(columns: Iterable[str]) -> list[tuple[str, float]]:
    """The presets that a file with these columns fits, the best first, each with a confidence up to 1.

    White space around a name does not count, as it does not where columns are read.

    For nested formats ``columns`` are dotted paths; the outermost names alone do too, and make less sure. Empty where
    no preset fits.
    """
    there = frozenset(column.strip() for column in columns)
    found = [(name, _confidence(load_preset(name).mapping, there)) for name in preset_names()]
    return sorted(((name, sure) for name, sure in found if sure), key=lambda one: (-one[1], one[0]))


def _confidence(mapping: ImportMapping, there: frozenset[str]) -> float:
    """Mostly what identifies the platform; then how much of what the mapping reads is there."""
    marks = [(mark,) if isinstance(mark, str) else mark for mark in mapping.recognised_by]
    evidence = [max(_evidence(name, there) for name in mark) for mark in marks]
    if not marks or sum(map(bool, evidence)) / len(marks) < _ENOUGH:
        return 0.0
    wanted = mapping.columns()
    had = sum(_evidence(name, there) for name in wanted)
    return round(0.8 * sum(evidence) / len(marks) + 0.2 * had / len(wanted), 3)


def _evidence(name: str, there: frozenset[str]) -> float:
    """1 for a column or an object that is there, a half for a path of which only the outer part is known, else 0."""
    if name in there or any(other.startswith(f"{name}.") for other in there):
        return 1.0
    parts = name.split(".")
    outer = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return 0.5 * any(one in there and not any(other.startswith(f"{one}.") for other in there) for one in outer)
