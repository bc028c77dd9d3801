"""Which rows are kept: the conditions of ``where``, all of which must hold.

In a grouped mapping a condition is asked of the group unless it says ``rows: each``; here it is only told what each row
has to say to that, and ``group`` decides.

A blank cell is absent, and absent is like an empty text: it equals ``""`` only, is in no list without ``""``, matches
nothing, and is neither above nor below anything; ``not_equals``, ``not_in`` and ``not_matches`` are the exact contrary
of ``equals``, ``in`` and ``matches``. Texts are compared exactly after trimming. A numeric scalar is also equal to
every other way of writing its number (``equals: 5`` takes ``5.00``), and ``true`` and ``false`` to themselves in any
case. ``above`` and ``below`` read numbers with either decimal sign, where the cell leaves no doubt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import flags
from importer.convert.numbers import NumberForm, NumberReader
from importer.convert.picks import Cells, spelled
from importer.mapping.model import Condition, Scalar
from importer.model import ArrowArray, Bools, GroupTest, RowsWord

_NUMBERS = NumberReader(NumberForm())
_WITH_POINT = NumberReader(NumberForm(".", implied=","))
_WITH_COMMA = NumberReader(NumberForm(",", implied="."))
_ONE_GROUP = "^[^.,]*,[0-9]{3}[^0-9]*$"
"""``1,250`` may be a thousand and more, or one and a quarter."""


def keeper(conditions: tuple[Condition, ...]) -> Keeper:
    """Compile the conditions."""
    return Keeper(tuple(_Test(condition) for condition in conditions))


@dataclass(frozen=True, slots=True)
class Keeper:
    """Tells which rows are kept."""

    tests: tuple[_Test, ...]

    def __call__(self, cells: Cells) -> Bools:
        """True: the row is kept. Shape (rows,)."""
        kept: Bools = np.ones(cells.count, dtype=np.bool_)
        for test in self.tests:
            kept &= flags(test(cells.column(test.column).texts))
        return kept


def group_tests(conditions: tuple[Condition, ...]) -> tuple[Asked, ...]:
    """Compile the conditions that are asked of groups."""
    return tuple(Asked(_Test(condition), condition.rows or "first") for condition in conditions)


@dataclass(frozen=True, slots=True)
class Asked:
    """A condition that is asked of a whole group."""

    test: _Test
    rows: RowsWord

    def __call__(self, cells: Cells) -> GroupTest:
        """What each row says to it."""
        texts = cells.column(self.test.column).texts
        passes = pc.fill_null(self.test(texts), fill_value=False)
        if self.rows == "first":
            passes = pc.if_else(pc.is_valid(texts), passes, pa.scalar(None, pa.bool_()))
        return GroupTest(self.rows, passes, blank=bool(flags(self.test(pa.nulls(1, pa.string())))[0]))


class _Test:
    """One condition, compiled."""

    def __init__(self, condition: Condition) -> None:
        self.column = condition.column
        self._condition = condition
        self._negated = condition.not_in is not None or condition.not_equals is not None
        self._members: _Members | None = None
        for one in (condition.equals, condition.not_equals):
            if one is not None:
                self._members = _Members((one,))
        for several in (condition.in_, condition.not_in):
            if several is not None:
                self._members = _Members(several)

    def __call__(self, texts: ArrowArray) -> ArrowArray:
        condition = self._condition
        if self._members is not None:
            found = self._members(texts)
            return pc.invert(found) if self._negated else found
        if condition.empty is not None:
            return pc.is_null(texts) if condition.empty else pc.is_valid(texts)
        if condition.matches is not None:
            return pc.match_substring_regex(texts, condition.matches)
        if condition.not_matches is not None:
            return pc.fill_null(pc.invert(pc.match_substring_regex(texts, condition.not_matches)), fill_value=True)
        numbers = _sizes(texts)
        if condition.above is not None:
            return pc.greater(numbers, condition.above)
        assert condition.below is not None, "a condition has one test"
        return pc.less(numbers, condition.below)


def _sizes(texts: ArrowArray) -> ArrowArray:
    """Cells as numbers; null where a cell is none, or may be two."""
    found = _WITH_POINT(texts).values
    if found.null_count > texts.null_count:
        doubtful = pc.match_substring_regex(texts, _ONE_GROUP)
        rest = pc.if_else(pc.or_(pc.is_valid(found), doubtful), pa.scalar(None, pa.string()), texts)
        found = pc.coalesce(found, _WITH_COMMA(rest).values)
    return found.cast(pa.float64())


class _Members:
    """Whether a cell is one of these scalars; never null."""

    def __init__(self, scalars: tuple[Scalar, ...]) -> None:
        texts = [spelled(scalar).strip() for scalar in scalars]
        self._blank = "" in texts
        self._texts = pa.array([text for text in texts if text], pa.string())
        booleans = [spelled(scalar) for scalar in scalars if isinstance(scalar, bool)]
        self._booleans = pa.array(booleans, pa.string())
        numbers = [spelled(one) for one in scalars if isinstance(one, int | float) and not isinstance(one, bool)]
        self._numbers = _NUMBERS(pa.array(numbers, pa.string())).values.drop_null()

    def __call__(self, texts: ArrowArray) -> ArrowArray:
        found = pc.is_in(texts, value_set=self._texts)
        if self._blank:
            found = pc.or_(found, pc.is_null(texts))
        if len(self._booleans):
            found = pc.or_(found, pc.is_in(pc.ascii_lower(texts), value_set=self._booleans))
        if len(self._numbers):
            found = pc.or_(found, pc.is_in(_NUMBERS(texts).values, value_set=self._numbers))
        return found
