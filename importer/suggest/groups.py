"""Whether rows are line items: columns whose cells repeat like an order's number, and what varies beside them.

This module owns that judgement; how a mapping groups is ``draft``'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from importer.suggest.names import fit
from importer.suggest.roles import Candidate, Looked, Roles

_NEARLY = 0.97
"""The share of distinct cells from which a column is a key with some repeats."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What identifies a row, or a group of rows."""

    unique: Candidate | None
    """A column with another cell in every row."""
    groups: Candidate | None
    """A column whose cells repeat, with line items beside it."""


def keys(roles: Roles) -> Keys:
    """The best key of rows and the best key of groups."""
    unique, groups = None, None
    for one in roles.named("key"):
        column = one.looked.column
        if one.looked.emails > 0.5 or one.looked.clocks > 0.5:
            continue
        if column.is_full and unique is None and column.is_unique:
            score = 0.6 + 0.35 * one.score if len(column.cells) > 1 else 0.5 + 0.3 * one.score
            unique = Candidate(one.looked, score, "named like a key, and every row has another one")
        elif column.is_full and unique is None and len(column.counts) >= _NEARLY * column.filled:
            why = "named like a key, and few rows share one: of these only the first would be sent"
            unique = Candidate(one.looked, 0.4 + 0.3 * one.score, why)
        elif groups is None and column.filled >= 0.95 * len(column.cells) and len(column.counts) < column.filled:
            groups = _grouping(one, roles)
    return Keys(unique, groups)


def varies(column: Looked, key: Looked) -> bool:
    """Whether rows of one key differ in the column, blank cells apart."""
    seen: dict[str, str] = {}
    for at, cell in zip(key.column.cells, column.column.cells, strict=True):
        if at and cell and seen.setdefault(at, cell) != cell:
            return True
    return False


def _grouping(one: Candidate, roles: Roles) -> Candidate | None:
    key = one.looked
    items = [each for each in roles.columns if fit(each.name, "item") and varies(each, key)]
    if not items:
        return None
    emails = [each.looked for each in roles.emails()]
    steady = all(not varies(each, key) for each in emails[:1])
    score = (0.6 if one.score < 1 else 0.85) if steady else 0.3
    many = sum(1 for count in key.column.counts.values() if count > 1)
    reason = f"{many:,} of {len(key.column.counts):,} of them stand in several rows, which differ in their items"
    return Candidate(key, score, reason)
