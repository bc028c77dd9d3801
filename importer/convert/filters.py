"""``where``: which rows pass all tests of the mapping, and what the tests cannot read.

In a grouped mapping a test is asked of the group unless it says ``rows: each``; here it only gets each row's answer.

A blank cell is absent, and absent is like an empty text: it equals ``""`` only, is in no list without ``""``, matches
nothing, and is neither above nor below anything; ``not_equals``, ``not_in`` and ``not_matches`` are the exact contrary
of ``equals``, ``in`` and ``matches``. Texts are compared exactly after trimming. A numeric scalar is also equal to
every other way of writing its number (``equals: 5`` takes ``5.00``), and ``true`` and ``false`` to themselves in any
case. Numbers are read as the mapping reads that column elsewhere; a column that it reads nowhere as a number may have
either decimal sign, where the cell leaves no doubt. A cell that is no number is neither above nor below: its row is
invalid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import absent, flags, where_true
from importer.convert.cells import Cells, spelled
from importer.convert.numbers import NumberForm, NumberReader
from importer.mapping.model import Condition, Scalar
from importer.model import ArrowArray, Bools, GroupTest, RowsWord, Violations

_WITH_POINT, _WITH_COMMA = NumberReader(NumberForm()), NumberReader(NumberForm(","))
_ONE_GROUP = "^[^.,]*,[0-9]{3}[^0-9]*$"
"""``1,250`` may be a thousand and more, or one and a quarter."""

Numbers = Callable[[ArrowArray], ArrowArray]
"""Texts → number tokens, null where a text is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a test says of each row."""

    texts: ArrowArray
    """The cells that were tested."""
    passes: ArrowArray
    """Booleans, never null; false where the cell cannot be read."""
    unreadable: ArrowArray | None = None
    """Where the cell cannot be read; None: nowhere."""


class Filter:
    """The tests that each row must pass by itself."""

    def __init__(self, conditions: Sequence[Condition], forms: NumberForms) -> None:
        self._tests = [Test(condition, forms) for condition in conditions]

    def __call__(self, cells: Cells) -> tuple[Bools, list[Violations]]:
        """Which rows are not filtered; the test that left each other row out, and the cells that cannot be read.

        A row that fails one test is filtered, whatever another one cannot read.
        """
        passes: Bools = np.ones(cells.count, dtype=np.bool_)
        found, doubts = [], []
        for test in self._tests:
            answer = test(cells)
            unreadable = np.zeros(cells.count, np.bool_) if answer.unreadable is None else flags(answer.unreadable)
            failing = np.flatnonzero(passes & ~flags(answer.passes) & ~unreadable)
            if len(failing):
                found.append(_violations("filtered.where", test.words, failing, answer.texts))
                passes[failing] = False
            if unreadable.any():
                doubts.append((test, answer, unreadable))
        for test, answer, unreadable in doubts:
            rows = np.flatnonzero(unreadable & passes)
            if len(rows):
                found.append(_violations(test.error, test.words, rows, answer.texts))
        return passes, found


class GroupFilter:
    """A test that is asked of whole groups."""

    def __init__(self, condition: Condition, forms: NumberForms) -> None:
        self._test = Test(condition, forms)
        self._rows: RowsWord = condition.rows or "first"
        self._blank = bool(flags(self._test.answer(absent(1)).passes)[0])

    def __call__(self, cells: Cells) -> tuple[GroupTest, list[Violations]]:
        """Each row's answer, which is yes where the cell cannot be read, and those cells."""
        answer = self._test(cells)
        passes, found = answer.passes, list[Violations]()
        if answer.unreadable is not None:
            passes = pc.or_(passes, answer.unreadable)
            found = [_violations(self._test.error, self._test.words, where_true(answer.unreadable), answer.texts)]
        if self._rows == "first":
            passes = pc.if_else(pc.is_valid(answer.texts), passes, pa.scalar(None, pa.bool_()))
        return GroupTest(self._rows, passes, self._blank, self._test.words, answer.texts), found


def _violations(
    code: str, field: str, positions: np.ndarray[tuple[int], np.dtype[np.intp]], texts: ArrowArray
) -> Violations:
    values = pc.fill_null(texts.take(pa.array(positions)), "")
    return Violations(code, field, positions.astype(np.int64), values)


def violations(code: str, field: str, where: ArrowArray, texts: ArrowArray) -> tuple[Violations, ...]:
    """A violation at the rows where a mask is true; none if it is nowhere."""
    rows = where_true(where)
    return (_violations(code, field, rows, texts),) if len(rows) else ()


class NumberForms:
    """How the mapping writes the numbers of each column."""

    def __init__(self, forms: dict[str, set[NumberForm]]) -> None:
        self._readers = {name: NumberReader(*found) for name, found in forms.items() if len(found) == 1}

    def of(self, column: str) -> Numbers:
        """The way to read a column's numbers."""
        reader = self._readers.get(column)
        return _either_sign if reader is None else lambda texts: reader(texts).values


def _either_sign(texts: ArrowArray) -> ArrowArray:
    """Numbers with a decimal point or a comma; null where a cell is none, or may be two."""
    found = _WITH_POINT(texts).values
    if found.null_count > texts.null_count:
        doubtful = pc.match_substring_regex(texts, _ONE_GROUP)
        rest = pc.if_else(pc.or_(pc.is_valid(found), doubtful), pa.scalar(None, pa.string()), texts)
        found = pc.coalesce(found, _WITH_COMMA(rest).values)
    return found


class Test:
    """One condition, compiled."""

    error = "where.not_a_number"
    """The reason code of cells that it cannot read."""

    def __init__(self, condition: Condition, forms: NumberForms) -> None:
        self._condition = condition
        self._numbers = forms.of(condition.column)
        self._negated = condition.not_in is not None or condition.not_equals is not None
        single = condition.equals if condition.equals is not None else condition.not_equals
        scalars = condition.in_ or condition.not_in or (() if single is None else (single,))
        self._members = _Members(scalars, self._numbers) if scalars else None
        self.words = _in_words(condition)
        """``Total above 0``."""

    def __call__(self, cells: Cells) -> Answer:
        """What it says of each row."""
        return self.answer(cells.column(self._condition.column).texts)

    def answer(self, texts: ArrowArray) -> Answer:
        """What it says of each cell."""
        condition = self._condition
        if self._members is not None:
            found = self._members(texts)
            return Answer(texts, pc.invert(found) if self._negated else found)
        if condition.empty is not None:
            return Answer(texts, pc.is_null(texts) if condition.empty else pc.is_valid(texts))
        if condition.matches is not None:
            return Answer(texts, pc.fill_null(pc.match_substring_regex(texts, condition.matches), fill_value=False))
        if condition.not_matches is not None:
            found = pc.fill_null(pc.match_substring_regex(texts, condition.not_matches), fill_value=False)
            return Answer(texts, pc.invert(found))
        tokens = self._numbers(texts)
        numbers = tokens.cast(pa.float64())
        passes = pc.less(numbers, condition.below) if condition.above is None else pc.greater(numbers, condition.above)
        unreadable = None
        if tokens.null_count > texts.null_count:
            unreadable = pc.and_(pc.is_null(tokens), pc.is_valid(texts))
        return Answer(texts, pc.fill_null(passes, fill_value=False), unreadable)


def _in_words(condition: Condition) -> str:
    """The test as the mapping says it: ``Status in paid, shipped``."""
    said = condition.model_dump(by_alias=True, exclude_defaults=True, exclude={"column", "rows"})
    word, value = next(iter(said.items()))
    if word == "empty":
        return f"{condition.column} {'empty' if value else 'not empty'}"
    shown = ", ".join(map(spelled, value)) if isinstance(value, list | tuple) else spelled(value)
    return f"{condition.column} {word.replace('_', ' ')} {shown.removesuffix('.0')}"


class _Members:
    """Whether a cell is one of these scalars; never null."""

    def __init__(self, scalars: tuple[Scalar, ...], numbers: Numbers) -> None:
        texts = [spelled(scalar).strip() for scalar in scalars]
        self._read = numbers
        self._blank = "" in texts
        self._texts = pa.array([text for text in texts if text], pa.string())
        self._booleans = pa.array([spelled(one) for one in scalars if isinstance(one, bool)], pa.string())
        written = [spelled(one) for one in scalars if isinstance(one, int | float) and not isinstance(one, bool)]
        self._numbers = _WITH_POINT(pa.array(written, pa.string())).values.drop_null()

    def __call__(self, texts: ArrowArray) -> ArrowArray:
        found = pc.is_in(texts, value_set=self._texts)
        if self._blank:
            found = pc.or_(found, pc.is_null(texts))
        if len(self._booleans):
            found = pc.or_(found, pc.is_in(pc.ascii_lower(texts), value_set=self._booleans))
        if len(self._numbers):
            found = pc.or_(found, pc.is_in(self._read(texts), value_set=self._numbers))
        return found
