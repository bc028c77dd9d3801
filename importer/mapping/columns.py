"""What a file lacks of what a mapping needs.

Owns when a column is needed; whether a lack stops a file or is only told (``missing_columns``) is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from importer.mapping.errors import nearest
from importer.mapping.model import ImportMapping, Pick


@dataclass(frozen=True, slots=True)
class MissingColumn:
    """A column that the mapping needs and the file lacks."""

    name: str
    targets: tuple[str, ...]
    """What it is needed for: ``where``, ``subscriber.email``, ``properties.total`` …"""
    nearest: str | None
    """The file's column that was probably meant."""


def check_columns(
    mapping: ImportMapping, available: Sequence[str], has: Callable[[str], bool] | None = None
) -> tuple[MissingColumn, ...]:
    """The columns that ``mapping`` needs and a file with the columns ``available`` lacks, in the mapping's order.

    Not needed is what a pick can do without: it has a ``default``, or another pick of its ``first_of`` can be had.
    ``has`` knows whether a name or a dotted path is there (a reader's ``available``); without it, a path counts as
    there if any front part of it is.
    """
    there = has or partial(_is_there, frozenset(available))
    needs: dict[str, list[str]] = {}
    for test in mapping.where:
        if not there(test.column):
            needs.setdefault(test.column, []).append("where")
    group_by = [] if mapping.group_by is None else [("group_by", mapping.group_by)]
    for target, pick in (*group_by, *mapping.picks()):
        # Without the column of its zone a time would be read, but as another one.
        for name in (name for one in (pick, *pick.asides()) for name in _lacks(one, there)):
            needs.setdefault(name, []).append(target)
    return tuple(
        MissingColumn(name, tuple(dict.fromkeys(targets)), nearest(name, available)) for name, targets in needs.items()
    )


def _lacks(pick: Pick, there: Callable[[str], bool]) -> Iterable[str]:
    """The columns without which the pick is always absent; empty if it can do."""
    if pick.default is not None:
        return ()
    if pick.first_of is not None:
        lacks = [tuple(_lacks(inner, there)) for inner in pick.first_of]
        return () if not all(lacks) else dict.fromkeys(name for names in lacks for name in names)
    if pick.product_of is not None:
        return dict.fromkeys(name for factor in pick.product_of for name in _lacks(factor, there))
    return [name for name in pick.own_columns() if not there(name)]


def _is_there(there: frozenset[str], name: str) -> bool:
    """Whether the column, or one that it may lie within, is there."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in there for count in range(len(parts), 0, -1))
