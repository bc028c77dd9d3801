"""What a file lacks of what a mapping needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from functools import partial

import msgspec

from importer.mapping.model import Condition, ImportMapping, ValueMapping

_SMALL = frozenset({"amount", "at", "id", "nr", "no", "number"})
"""Words that one name may have more than another one that means the same."""
_SPELLING = 0.8
"""How much two spellings of one word share at least."""
_IDENTITIES = frozenset({"subscriber.id", "subscriber.email", "subscriber.phone"})


class MissingColumn(msgspec.Struct, frozen=True):
    """A column that the mapping needs and the file lacks."""

    name: str
    targets: tuple[str, ...]
    """What it is needed for: ``where``, ``subscriber.email``, ``properties.total`` …"""
    nearest: str | None
    """The file's column that was probably meant."""
    is_decisive: bool = False
    """Without it no row of the file becomes an event."""


def check_columns(
    mapping: ImportMapping, available: Sequence[str], has: Callable[[str], bool] | None = None
) -> tuple[MissingColumn, ...]:
    """The columns that ``mapping`` needs and a file with the columns ``available`` lacks, in the mapping's order.

    A value can do without a column if it has a ``default``, or if another value of its ``first_of`` can be had.
    ``has`` knows whether a name or a dotted path is there (a reader's ``available``); without it, a path counts as
    there if any front part of it is.
    """
    names = frozenset(available)
    there = has or (lambda name: any(name == one or name.startswith(f"{one}.") for one in names))
    needs: dict[str, list[str]] = {}
    decisive = {"type", "key", "group_by"}
    for test in mapping.where:
        for name in test.columns():
            if not there(name):
                needs.setdefault(name, []).append("where")
                decisive |= set() if test.any_ or _passes_blank(test) else {f"where {name}"}
    group_by = [] if mapping.group_by is None else [("group_by", mapping.group_by)]
    fields = [*group_by, *mapping.fields()]
    for target, value in fields:
        # Without the column of its zone a time would be read, but as another one.
        for name in (name for one in (value, *value.asides()) for name in _lacks(one, there)):
            needs.setdefault(name, []).append(target)
    lacking = {target for targets in needs.values() for target in targets}
    if {target for target, _ in fields if target in _IDENTITIES} <= lacking:
        decisive |= _IDENTITIES
    used = frozenset(mapping.columns())
    free = [name for name in available if name.strip() and name not in used]
    return tuple(
        MissingColumn(
            name,
            tuple(dict.fromkeys(targets)),
            max((one for one in free if _is_alike(name, one)), key=partial(_likeness, name), default=None),
            is_decisive=not decisive.isdisjoint([*targets, f"where {name}"]),
        )
        for name, targets in needs.items()
    )


def _is_alike(name: str, other: str) -> bool:
    """Whether names differ in their spelling only, or in words that say little: ``Total`` is no ``Subtotal``."""
    one, two = _words(name), _words(other)
    if "".join(one) == "".join(two) or name.startswith(f"{other}."):
        return True
    if len(one) != len(two):
        one, two = ([word for word in words if word not in _SMALL] or words for words in (one, two))
    return len(one) == len(two) and all(
        SequenceMatcher(None, word, another).ratio() >= _SPELLING for word, another in zip(one, two, strict=True)
    )


def _likeness(name: str, other: str) -> float:
    return SequenceMatcher(None, " ".join(_words(name)), " ".join(_words(other))).ratio()


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    return re.findall(r"[^\W_]+", re.sub(r"(e.?mail)[ _-]address\b", r"\1", apart))


def _lacks(value: ValueMapping, there: Callable[[str], bool]) -> Iterable[str]:
    """The columns without which the value is always absent; empty if it can do."""
    if value.default is not None:
        return ()
    if value.first_of is not None:
        lacks = [tuple(_lacks(inner, there)) for inner in value.first_of]
        return () if not all(lacks) else dict.fromkeys(name for names in lacks for name in names)
    if value.operands():
        return dict.fromkeys(name for one in value.operands() for name in _lacks(one, there))
    if value.cases is not None:
        # Without a column of a test cases cannot be distinguished; a value is only lacked where all are.
        tests = [name for case in value.cases for test in case.when for name in test.columns() if not there(name)]
        lacks = [tuple(_lacks(case.use, there)) for case in value.cases]
        return dict.fromkeys([*tests, *(name for names in lacks for name in names if all(lacks))])
    return [name for name in value.own_columns() if not there(name)]


def _passes_blank(test: Condition) -> bool:
    if test.in_ is not None:
        return "" in test.in_
    if test.not_in is not None:
        return "" not in test.not_in
    if test.equals is not None:
        return test.equals == ""
    if test.matches is not None:
        return False
    never = (test.above, test.below, test.since, test.before)
    return test.empty is not False and never == (None,) * len(never) and test.not_equals != ""
