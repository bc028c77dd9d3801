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

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import among, flags, rows_of, violations, without
from importer.convert.cells import EMPTY, Cells, Texts, spelled
from importer.convert.datetimes import TimeForm, TimeReader
from importer.convert.numbers import NumberForm, NumberReader
from importer.mapping.checks import AGO
from importer.mapping.model import Condition, Scalar, ValueMapping
from importer.model import ArrowArray, Bools, GroupTest, RowsWord, Violations

_WITH_POINT, _WITH_COMMA = NumberReader(NumberForm()), NumberReader(NumberForm(","))
_ONE_GROUP = "^[^.,]*,[0-9]{3}[^0-9]*$"
"""``1,250`` may be a thousand and more, or one and a quarter."""

Numbers: TypeAlias = Callable[[ArrowArray], ArrowArray]
"""Texts → number tokens, null where a text is none."""
Question: TypeAlias = Callable[[Cells, ArrowArray], ArrowArray]
"""A column's cells → whether they are what a test asks for, null where that cannot be said."""


class Answer(msgspec.Struct, frozen=True):
    """What a test says of each row."""

    texts: ArrowArray
    """The cells that were tested."""
    passes: ArrowArray
    """Booleans, never null; false where the cell cannot be read."""
    unreadable: tuple[Violations, ...] = ()
    """The cells that cannot be read, so that the test cannot be answered."""

    @property
    def open(self) -> Bools:
        """The rows for which it cannot be answered."""
        return rows_of(self.unreadable, len(self.passes))


class TimeReading(msgspec.Struct, frozen=True):
    """How a column's dates and times are read."""

    form: TimeForm
    zones: Callable[[Cells], Texts] | None = None
    """What names each row's zone."""


class ColumnForms:
    """How the mapping's values write the numbers and the times of each column, for the tests."""

    def __init__(
        self, numbers: Sequence[tuple[str, NumberForm]] = (), times: Sequence[tuple[str, TimeReading]] = ()
    ) -> None:
        """The ways in which values read a column's numbers, which must agree; and its times, the first datetime's."""
        forms = set(numbers)
        names = Counter(name for name, _ in forms)
        self._numbers = {name: form for name, form in forms if names[name] == 1}
        self._times: dict[str, TimeReading] = {}
        for name, reading in sorted(times, key=lambda one: one[1].form.dates):
            self._times.setdefault(name, reading)
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
        self._column = condition.column or ""
        self._any = [Test(one, forms) for one in condition.any_ or ()]
        self._rows: RowsWord = condition.rows or "first"
        is_time = bool(condition.since or condition.before)
        self._ask = _period(condition, forms) if is_time else _comparison(condition, forms)
        self._error = "where.not_a_date" if is_time else "where.not_a_number"
        self.words = _in_words(condition)
        """``Total above 0``."""

    def __call__(self, cells: Cells) -> Answer:
        """What it says of each row."""
        if self._any:
            return _one_of([one(cells) for one in self._any])
        texts = cells.column(self._column).texts
        passes = self._ask(cells, texts)
        unreadable = pc.and_(pc.is_valid(texts), pc.is_null(passes))
        doubts = violations(self._error, self.words, unreadable, texts)
        return Answer(texts, pc.fill_null(passes, fill_value=False), tuple(doubts))

    def of_groups(self, cells: Cells) -> tuple[GroupTest, tuple[Violations, ...]]:
        """What it says of each row of groups, which is yes where the cell cannot be read; and those cells."""
        answer = self(cells)
        passes = pc.or_(answer.passes, pa.array(answer.open))
        if self._rows == "first":
            passes = pc.if_else(pc.is_valid(answer.texts), passes, pa.scalar(None, pa.bool_()))
        blank = bool(self(Cells(EMPTY)).passes[0].as_py())
        return GroupTest(self._rows, passes, blank, self.words, answer.texts), answer.unreadable


def filtered(tests: Sequence[Test], cells: Cells) -> tuple[Bools, list[Violations]]:
    """Which rows pass all tests; the test that left each other row out, and the cells that cannot be read.

    A row that fails one test is filtered, whatever another one cannot read.
    """
    passes: Bools = np.ones(cells.count, dtype=np.bool_)
    found, doubts = list[Violations](), list[Violations]()
    for test in tests:
        answer = test(cells)
        failing = passes & ~(flags(answer.passes) | answer.open)
        found += violations("filtered.where", test.words, pa.array(failing), answer.texts)
        passes &= ~failing
        doubts += answer.unreadable
    return passes, [*found, *among(doubts, passes)]


def _one_of(answers: Sequence[Answer]) -> Answer:
    """What `any` says: a row that passes a test needs no answer of the others."""
    passes = reduce(pc.or_, [one.passes for one in answers])
    doubts = among((doubt for one in answers for doubt in one.unreadable), ~flags(passes))
    cells = [pc.fill_null(one.texts, "") for one in answers]
    texts = pc.utf8_trim(pc.binary_join_element_wise(*cells, ", "), ", ")
    return Answer(without(texts, pc.equal(texts, "")), passes, tuple(doubts))


def _period(condition: Condition, forms: ColumnForms) -> Question:
    """Whether cells are times since, or before, a moment."""
    reading = forms.times(condition)
    form, zones_of = reading.form, reading.zones
    read = TimeReader(form)
    # The bound is ISO 8601, in the zone that the row's cell is in.
    read_bound = TimeReader(TimeForm((), form.zone, form.dates, form.homes))
    compare = pc.greater_equal if condition.since is not None else pc.less
    bound = condition.since or condition.before or ""
    if ago := AGO.fullmatch(bound):
        count = int(ago["count"])
        moment = forms.now - (timedelta(days=count) if ago["unit"] == "d" else timedelta(hours=count))
        bound = moment.isoformat(timespec="seconds")

    def is_within(cells: Cells, texts: ArrowArray) -> ArrowArray:
        zones = None if zones_of is None else zones_of(cells).texts
        bounds: Any = read_bound(pa.repeat(bound, 1 if zones is None else len(texts)), zones).instants
        return compare(read(texts, zones).instants, bounds[0] if zones is None else bounds)

    return is_within


def _comparison(condition: Condition, forms: ColumnForms) -> Question:
    """Whether cells are what the condition says; null where they are no numbers and should be."""
    numbers = forms.numbers(condition)
    negated = any(one is not None for one in (condition.not_in, condition.not_equals, condition.not_matches))
    single = condition.equals if condition.equals is not None else condition.not_equals
    scalars = condition.in_ or condition.not_in or (() if single is None else (single,))
    is_member = _membership(scalars, numbers) if scalars else None
    pattern = condition.matches if condition.matches is not None else condition.not_matches

    def answer(_: Cells, texts: ArrowArray) -> ArrowArray:
        if is_member is not None or pattern is not None:
            found = pc.match_substring_regex(texts, pattern) if is_member is None else is_member(texts)
            found = pc.fill_null(found, fill_value=False)
            return pc.invert(found) if negated else found
        if condition.empty is not None:
            return pc.is_null(texts) if condition.empty else pc.is_valid(texts)
        cast = numbers(texts).cast(pa.float64())
        return pc.less(cast, condition.below) if condition.above is None else pc.greater(cast, condition.above)

    return answer


def _membership(scalars: tuple[Scalar, ...], numbers: Numbers) -> Callable[[ArrowArray], ArrowArray]:
    """Whether a cell is one of these scalars; never null."""
    texts = [spelled(scalar).strip() for scalar in scalars]
    words = pa.array([text for text in texts if text], pa.string())
    booleans = pa.array([spelled(one) for one in scalars if isinstance(one, bool)], pa.string())
    written = [spelled(one) for one in scalars if isinstance(one, int | float) and not isinstance(one, bool)]
    tokens = _WITH_POINT(pa.array(written, pa.string())).values.drop_null()

    def is_member(cells: ArrowArray) -> ArrowArray:
        found = pc.is_in(cells, value_set=words)
        if "" in texts:
            found = pc.or_(found, pc.is_null(cells))
        if len(booleans):
            found = pc.or_(found, pc.is_in(pc.ascii_lower(cells), value_set=booleans))
        if len(tokens):
            found = pc.or_(found, pc.is_in(numbers(cells), value_set=tokens))
        return found

    return is_member


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
