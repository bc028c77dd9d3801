"""``where``: which rows pass all tests of the mapping, and what the tests cannot read.

In a grouped mapping a test is asked of the group unless it says ``rows: each``; here it only gets each row's answer.

A blank cell is absent, and absent is like an empty text: it equals ``""`` only, is in no list without ``""``, matches
nothing, and is neither above nor below anything; ``not_equals``, ``not_in`` and ``not_matches`` are the exact contrary
of ``equals``, ``in`` and ``matches``. Texts are compared exactly after trimming. A numeric scalar is also equal to
every other way of writing its number (``equals: 5`` takes ``5.00``), and ``true`` and ``false`` to themselves in any
case. Numbers are read as the mapping reads that column elsewhere; a column that it reads nowhere as a number may have
either decimal sign, where the cell leaves no doubt. A cell that is no number is neither above nor below: its row is
invalid; so is that of a cell that is no date or time, which are read alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.columns import flags, holds, violations, without
from importer.convert.cells import EMPTY, Cells, Texts, spelled
from importer.convert.datetimes import TimeForm, TimeReader
from importer.convert.numbers import NumberForm, NumberReader
from importer.mapping.checks import AGO
from importer.mapping.model import Condition, Scalar, ValueMapping
from importer.model import ArrowArray, Bools, GroupTest, RowsWord, Violations

_WITH_POINT, _WITH_COMMA = NumberReader(NumberForm()), NumberReader(NumberForm(","))
_ONE_GROUP = "^[^.,]*,[0-9]{3}[^0-9]*$"
"""``1,250`` may be a thousand and more, or one and a quarter."""

Numbers = Callable[[ArrowArray], ArrowArray]
"""Texts → number tokens, null where a text is none."""


class Answer(msgspec.Struct, frozen=True):
    """What a test says of each row."""

    texts: ArrowArray
    """The cells that were tested."""
    passes: ArrowArray
    """Booleans, never null; false where the cell cannot be read."""
    unreadable: tuple[Unreadable, ...] = ()
    """Where a cell cannot be read, and so the test cannot be answered."""


class Unreadable(msgspec.Struct, frozen=True):
    """Cells that a test cannot read."""

    code: str
    words: str
    """The test."""
    where: ArrowArray
    """Booleans, never null."""
    texts: ArrowArray

    def violations(self, among: ArrowArray) -> Iterator[Violations]:
        """Violations of those of the rows ``among`` (booleans) that are concerned."""
        return violations(self.code, self.words, pc.and_(self.where, among), self.texts)


class Filter:
    """The tests that each row must pass by itself."""

    def __init__(self, conditions: Sequence[Condition], forms: ColumnForms) -> None:
        self._tests = [Test(condition, forms) for condition in conditions]

    def __call__(self, cells: Cells) -> tuple[Bools, list[Violations]]:
        """Which rows are not filtered; the test that left each other row out, and the cells that cannot be read.

        A row that fails one test is filtered, whatever another one cannot read.
        """
        passes: Bools = np.ones(cells.count, dtype=np.bool_)
        found, doubts = list[Violations](), list[Unreadable]()
        for test in self._tests:
            answer = test(cells)
            failing = pc.invert(reduce(pc.or_, [one.where for one in answer.unreadable], answer.passes))
            found += violations("filtered.where", test.words, pc.and_(failing, passes), answer.texts)
            passes &= ~flags(failing)
            doubts += answer.unreadable
        return passes, [*found, *(one for doubt in doubts for one in doubt.violations(passes))]


class GroupFilter:
    """A test that is asked of whole groups."""

    def __init__(self, condition: Condition, forms: ColumnForms) -> None:
        self._test = Test(condition, forms)
        self._rows: RowsWord = condition.rows or "first"
        self._blank = bool(self._test(Cells(EMPTY)).passes[0].as_py())

    def __call__(self, cells: Cells) -> tuple[GroupTest, list[Violations]]:
        """Each row's answer, which is yes where the cell cannot be read, and those cells."""
        answer = self._test(cells)
        passes, found = answer.passes, list[Violations]()
        for one in answer.unreadable:
            passes = pc.or_(passes, one.where)
            found += one.violations(one.where)
        if self._rows == "first":
            passes = pc.if_else(pc.is_valid(answer.texts), passes, pa.scalar(None, pa.bool_()))
        return GroupTest(self._rows, passes, self._blank, self._test.words, answer.texts), found


class TimeReading(msgspec.Struct, frozen=True):
    """How a column's dates and times are read."""

    form: TimeForm
    zones: Callable[[Cells], Texts] | None = None
    """What names each row's zone."""


class ColumnForms:
    """How the mapping's values write the numbers and the times of each column, for the tests."""

    def __init__(
        self,
        numbers: Mapping[str, set[NumberForm]] | None = None,
        times: Mapping[str, Sequence[TimeReading]] | None = None,
    ) -> None:
        """``times``: the ways in which values read a column; datetimes count for more than dates."""
        self._numbers = {name: next(iter(found)) for name, found in (numbers or {}).items() if len(found) == 1}
        self._times = {name: min(found, key=lambda one: one.form.dates) for name, found in (times or {}).items()}
        self.now = datetime.now(UTC)
        """When the mapping was compiled, from which `30d` counts."""

    def numbers(self, condition: Condition) -> Numbers:
        """The way to read the numbers of a test's column."""
        if condition.decimal is not None or condition.thousands is not None:
            own = ValueMapping(column=condition.column, decimal=condition.decimal, thousands=condition.thousands)
            form: NumberForm | None = NumberForm.of(own)
        else:
            form = self._numbers.get(condition.column or "")
        if form is None:
            return _either_sign
        reader = NumberReader(form)
        return lambda texts: reader(texts).values

    def times(self, condition: Condition) -> TimeReading:
        """The way to read the times of a test's column."""
        known = self._times.get(condition.column or "", TimeReading(TimeForm()))
        if condition.format is None and condition.timezone is None:
            return known
        formats = (condition.format,) if isinstance(condition.format, str) else condition.format
        zone = None if condition.timezone is None else ZoneInfo(condition.timezone)
        form = TimeForm(
            known.form.formats if formats is None else formats,
            known.form.zone if zone is None else zone,
            known.form.dates and zone is None,
            known.form.homes if zone is None else (zone,),
        )
        return TimeReading(form, known.zones if zone is None else None)


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

    def __init__(self, condition: Condition, forms: ColumnForms) -> None:
        self._condition = condition
        self._any = [Test(one, forms) for one in condition.any_ or ()]
        self._numbers = forms.numbers(condition)
        self._period = _Period(condition, forms) if condition.since or condition.before else None
        self._negated = any(one is not None for one in (condition.not_in, condition.not_equals, condition.not_matches))
        single = condition.equals if condition.equals is not None else condition.not_equals
        scalars = condition.in_ or condition.not_in or (() if single is None else (single,))
        self._members = _Members(scalars, self._numbers) if scalars else None
        self.words = _in_words(condition)
        """``Total above 0``."""

    def __call__(self, cells: Cells) -> Answer:
        """What it says of each row."""
        if self._any:
            return _one_of([one(cells) for one in self._any])
        texts = cells.column(self._condition.column or "").texts
        if self._period is None:
            return self._answer(texts)
        passes, is_read = self._period(cells, texts)
        return self._judged(texts, passes, is_read, "where.not_a_date")

    def _answer(self, texts: ArrowArray) -> Answer:
        condition = self._condition
        pattern = condition.matches if condition.matches is not None else condition.not_matches
        if self._members is not None or pattern is not None:
            found = self._members(texts) if self._members is not None else pc.match_substring_regex(texts, pattern)
            found = pc.fill_null(found, fill_value=False)
            return Answer(texts, pc.invert(found) if self._negated else found)
        if condition.empty is not None:
            return Answer(texts, pc.is_null(texts) if condition.empty else pc.is_valid(texts))
        tokens = self._numbers(texts)
        numbers = tokens.cast(pa.float64())
        passes = pc.less(numbers, condition.below) if condition.above is None else pc.greater(numbers, condition.above)
        return self._judged(texts, passes, pc.is_valid(tokens), "where.not_a_number")

    def _judged(self, texts: ArrowArray, passes: ArrowArray, is_read: ArrowArray, error: str) -> Answer:
        unreadable = pc.and_not(pc.is_valid(texts), is_read)
        doubts = (Unreadable(error, self.words, unreadable, texts),) if holds(unreadable) else ()
        return Answer(texts, pc.fill_null(passes, fill_value=False), doubts)


def _one_of(answers: Sequence[Answer]) -> Answer:
    """What `any` says: a row that passes a test needs no answer of the others."""
    passes = reduce(pc.or_, [one.passes for one in answers])
    doubts = tuple(replace(doubt, where=pc.and_not(doubt.where, passes)) for one in answers for doubt in one.unreadable)
    cells = [pc.fill_null(one.texts, "") for one in answers]
    texts = pc.utf8_trim(pc.binary_join_element_wise(*cells, ", "), ", ")
    return Answer(without(texts, pc.equal(texts, "")), passes, tuple(one for one in doubts if holds(one.where)))


class _Period:
    """Whether cells are times since, or before, a moment."""

    def __init__(self, condition: Condition, forms: ColumnForms) -> None:
        reading = forms.times(condition)
        self._is_since = condition.since is not None
        self._zones, form = reading.zones, reading.form
        self._cells = TimeReader(form)
        # The bound is ISO 8601, in the zone that the row's cell is in.
        self._bounds = TimeReader(TimeForm((), form.zone, form.dates, form.homes))
        self._bound = condition.since or condition.before or ""
        if ago := AGO.fullmatch(self._bound):
            count = int(ago["count"])
            moment = forms.now - (timedelta(days=count) if ago["unit"] == "d" else timedelta(hours=count))
            self._bound = moment.isoformat(timespec="seconds")

    def __call__(self, cells: Cells, texts: ArrowArray) -> tuple[ArrowArray, ArrowArray]:
        """Which cells are within, null where that is not known; and which of them can be read."""
        zones = None if self._zones is None else self._zones(cells).texts
        instants = self._cells(texts, zones).instants
        bounds: Any = self._bounds(pa.repeat(self._bound, 1 if zones is None else len(texts)), zones).instants
        passes = (pc.greater_equal if self._is_since else pc.less)(instants, bounds[0] if zones is None else bounds)
        return passes, pc.is_valid(passes)


def _in_words(condition: Condition) -> str:
    """The test as the mapping says it: ``Status in paid, shipped``."""
    if condition.any_:
        return " or ".join(map(_in_words, condition.any_))
    reading = {"column", "rows", "format", "timezone", "decimal", "thousands"}
    said = condition.model_dump(by_alias=True, exclude_defaults=True, exclude=reading)
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
