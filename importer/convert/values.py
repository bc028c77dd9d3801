"""Value mappings, compiled: from a chunk's cells to one text per row, and to what a target takes.

A value comes from one origin; the text steps trim, extract, lower, upper, map and default follow in that order. An
empty or blank cell is absent. ``as`` and the keys that belong to it are conversions, which come after (`Field`); before
them a nested cell is only marked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from operator import add, mul, sub
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import absent, among, flags, holds, where_true, without, without_blanks
from importer.convert.arrays import ConversionError, Converted, DistinctValues, Errors
from importer.convert.cells import Cells, Texts, spelled
from importer.convert.datetimes import TimeForm, TimeReader
from importer.convert.filters import ColumnForms, Test
from importer.convert.identities import IdReader, PhoneReader, emails, normalized
from importer.convert.numbers import NumberForm, NumberReader, signs_of
from importer.currencies import agreed
from importer.exact import calculated, decimals_of, tokens_of
from importer.mapping.checks import split
from importer.mapping.model import Case, Scalar, ValueMapping
from importer.model import ArrowArray, Kind, Violations

Picker: TypeAlias = Callable[[Cells], Texts]
"""A compiled value mapping."""

Converter: TypeAlias = Callable[..., Converted]
"""A column → the same converted; times and phones also take the column that names their zones or countries."""

IDENTITIES = ("subscriber.id", "subscriber.email", "subscriber.phone", "key", "group_by")
"""Targets that identify subscribers, keys or groups."""
_IMPLIED: dict[str, Kind] = {"value": "number", "order_by": "datetime"}
"""The kinds of targets that are not text if the mapping says nothing."""
_LATER = {"as_", "aggregate", "separator"}
"""Words that change no cell: a field's kind says the first, the others are for groups."""


def picker(pick: ValueMapping, forms: ColumnForms | None = None, *, identity: bool = False) -> Picker:
    """Compile a value mapping with its text steps, but not ``as``; of an ``identity`` the cells are normalized.

    ``forms`` says how the tests of `cases` read numbers and times.
    """
    origin = _origin(pick, forms or ColumnForms(), identity)
    trims = pick.trim and pick.column is None
    extract = None if pick.extract is None else _extractor(pick.extract)
    old, spared = pa.array(list(pick.map or ()), pa.string()), frozenset(pick.map or ())
    new = pa.array([None if value is None else spelled(value) for value in (pick.map or {}).values()], pa.string())

    def steps(cells: Cells) -> Texts:
        picked = origin(cells)
        texts, nested = picked.texts, picked.nested
        if trims:
            texts = pc.utf8_trim_whitespace(texts)
        if extract is not None:
            # What an expression takes out of a nested value's JSON is text that the mapping asked for.
            texts, nested = extract(texts), None
            texts = normalized(without_blanks(texts), spared) if identity else texts
        if pick.lower:
            texts = pc.utf8_lower(texts)
        if pick.upper:
            texts = pc.utf8_upper(texts)
        if len(old):
            places = pc.index_in(texts, value_set=old)
            texts = pc.if_else(pc.is_valid(places), new.take(places), texts)
        if trims or extract is not None or len(old):
            texts = without_blanks(texts)
        if pick.default is not None and texts.null_count:
            texts = without_blanks(pc.fill_null(texts, spelled(pick.default)))
        return Texts(texts, nested, picked.violations)

    return steps


def _origin(pick: ValueMapping, forms: ColumnForms, identity: bool) -> Picker:
    spared = frozenset(pick.map or ()) if identity else None
    if pick.column is not None:
        return _column(pick, pick.column, forms, spared)
    if pick.first_of is not None:
        return _first_of([picker(one, forms, identity=identity) for one in pick.first_of])
    if pick.template is not None:
        parts = {name: picker(one, forms, identity=identity) for name, one in (pick.parts or {}).items()}
        return _template(pick.template, pick.trim, spared, parts)
    if pick.cases is not None:
        return _cases(pick.cases, forms, identity)
    if not pick.operands():
        text, fact = spelled(pick.const if pick.const is not None else ""), pick.file
        return lambda cells: Texts(pa.repeat(text, cells.count) if fact is None else cells.fact(fact))
    operation, sign = (mul, " × ") if pick.product_of else (add, " + ") if pick.sum_of else (sub, " minus ")
    return _calculation(pick.operands(), operation, sign)


def _first_of(pickers: list[Picker]) -> Picker:
    def first(cells: Cells) -> Texts:
        candidates = [one(cells) for one in pickers]
        nested = None
        if any(candidate.nested is not None for candidate in candidates):
            nested = no = pa.repeat(pa.scalar(value=False), cells.count)
            for candidate in reversed(candidates):
                own = no if candidate.nested is None else candidate.nested
                nested = pc.if_else(pc.is_valid(candidate.texts), own, nested)
        is_open, doubts = pa.repeat(pa.scalar(value=True), cells.count), list[Violations]()
        for candidate in candidates:
            doubts += among(candidate.violations, flags(is_open))
            is_open = pc.and_(is_open, pc.is_null(candidate.texts))
        return Texts(pc.coalesce(*(candidate.texts for candidate in candidates)), nested, tuple(doubts))

    return first


def _template(template: str, trim: bool, spared: frozenset[str] | None, parts: dict[str, Picker]) -> Picker:
    """Text with ``{column}`` in it; absent where any of its columns is."""
    pieces = split(template)

    def filled(cells: Cells) -> Texts:
        found = [
            one.text
            if not one.is_column
            else parts[one.text](cells)
            if one.text in parts
            else cells.column(one.text, trim=trim, spared=spared)
            for one in pieces
        ]
        marks = [part.nested for part in found if isinstance(part, Texts) and part.nested is not None]
        texts = [part.texts if isinstance(part, Texts) else pa.scalar(part) for part in found]
        doubts = tuple(one for part in found if isinstance(part, Texts) for one in part.violations)
        joined = pc.binary_join_element_wise(*texts, "")
        if isinstance(joined, pa.Scalar):  # no part of it is a column
            joined = pa.repeat(joined, cells.count)
        return Texts(joined, reduce(pc.or_, marks) if marks else None, doubts)

    return filled


def _column(pick: ValueMapping, name: str, forms: ColumnForms, spared: frozenset[str] | None) -> Picker:
    """A column's cells; or those of a lookup's column, by a key that is normalized as the lookup's own is."""
    if pick.lookup is None or pick.by is None:
        return lambda cells: cells.column(name, trim=pick.trim, spared=spared)
    lookup, by = pick.lookup, picker(pick.by, forms, identity=True)

    def found(cells: Cells) -> Texts:
        keys = by(cells)
        answers = cells.looked_up(lookup, keys.texts, name)
        texts = answers.texts if spared is None else normalized(answers.texts, spared)
        return Texts(texts, None, (*keys.violations, *answers.violations))

    return found


def _cases(cases: tuple[Case, ...], forms: ColumnForms, identity: bool) -> Picker:
    """The value of the first case whose tests all pass.

    A cell that a test cannot read is an error of every row that no earlier case has decided.
    """
    compiled = [([Test(one, forms) for one in case.when], picker(case.use, forms, identity=identity)) for case in cases]

    def chosen(cells: Cells) -> Texts:
        texts, nested = absent(cells.count), pa.repeat(pa.scalar(value=False), cells.count)
        is_open = pa.repeat(pa.scalar(value=True), cells.count)
        doubts: list[Violations] = []
        for tests, use in compiled:
            holds_here = is_open
            for test in tests:
                answer = test(cells)
                doubts += among(answer.unreadable, flags(is_open))
                holds_here = pc.and_(holds_here, answer.passes)
            found = use(cells)
            doubts += among(found.violations, flags(holds_here))
            texts = pc.if_else(holds_here, found.texts, texts)
            if found.nested is not None:
                nested = pc.or_(nested, pc.and_(holds_here, found.nested))
            is_open = pc.and_not(is_open, holds_here)
        return Texts(texts, nested if holds(nested) else None, tuple(doubts))

    return chosen


def _calculation(operands: tuple[ValueMapping, ...], operation: Callable[[Any, Any], Any], sign: str) -> Picker:
    """The result of numbers as its token, exactly; absent where any of them is.

    The result has the currency's sign that its numbers have (``10 $``). Where one is no number, or two have signs of
    different currencies, the text shows all of them (``2 × abc``), which reads as no number either.
    """
    pickers = [picker(one) for one in operands]
    readers = [NumberReader(NumberForm.of(one), integers=one.as_ == "integer") for one in operands]

    def filled(cells: Cells) -> Texts:
        found = [one(cells) for one in pickers]
        texts = [one.texts for one in found]
        tokens = [reader(one).values for reader, one in zip(readers, texts, strict=True)]
        signs = [one for one in map(signs_of, texts, tokens) if one is not None]
        currency = agreed(signs) if signs else None
        valid = reduce(pc.and_, [pc.is_valid(one) for one in (*tokens, currency) if one is not None])
        numbers = tokens_of(calculated(operation, [decimals_of(one.filter(valid)) for one in tokens]))
        if currency is not None:
            numbers = pc.binary_join_element_wise(numbers, currency.filter(valid), " ")
        doubts = tuple(doubt for one in found for doubt in one.violations)
        return Texts(pc.replace_with_mask(pc.binary_join_element_wise(*texts, sign), valid, numbers), None, doubts)

    return filled


def _extractor(pattern: str) -> Callable[[ArrowArray], ArrowArray]:
    """An RE2 expression's first group, or its whole match; absent where it does not match.

    ``pc.extract_regex`` wants every group named, so the first group is taken by a replacement instead: the expression
    is set between a lazy and a greedy "anything", which leaves its leftmost match what it is.
    """
    body = f"(?:{pattern})" if _has_group(pattern) else f"({pattern})"
    whole = rf"\A(?s:.*?){body}(?s:.*)\z"

    def extract(texts: ArrowArray) -> ArrowArray:
        found = pc.match_substring_regex(texts, pattern)
        if not holds(found):
            return absent(len(texts))
        return without(pc.replace_substring_regex(texts, whole, r"\1"), pc.invert(found))

    return extract


def _has_group(pattern: str) -> bool:
    """Whether RE2 finds a capturing group; asked of RE2 itself, as Python's ``re`` reads other expressions."""
    try:
        pc.replace_substring_regex(pa.array(["x"]), pattern, r"\1")
    except pa.ArrowInvalid:
        return False
    return True


class Filled(msgspec.Struct, frozen=True):
    """A target's column in one chunk."""

    texts: ArrowArray
    """As picked, before the conversion: what reasons show."""
    converted: Converted
    """Its errors include nested cells."""
    found: ArrowArray
    """The texts before identities were normalized: what reasons for a missing one show."""
    aside: ArrowArray | None = None
    """The column that names its zone or its country, if there is one: what the reasons for those show."""
    violations: tuple[Violations, ...] = ()
    """Cells that a test of `cases` could not read, and keys that a lookup does not have."""

    def shown(self, error: ConversionError) -> ArrowArray:
        """The texts that reasons for this error show."""
        of_aside = error in (ConversionError.UNKNOWN_ZONE, ConversionError.UNKNOWN_COUNTRY) and self.aside is not None
        return pc.coalesce(self.aside, self.texts) if of_aside else self.texts


class Field:
    """What fills a target."""

    def __init__(self, target: str, pick: ValueMapping, forms: ColumnForms) -> None:
        is_identity = target in IDENTITIES
        self.kind = kind_of(target, pick)
        is_name = is_identity or target == "type"  # `NULL` is no type either
        self._pick = picker(pick, forms, identity=is_name)
        self._convert = _converter(target, pick, self.kind)
        self._column = pick.column if is_identity and pick.lookup is None else None
        asides = pick.asides()
        self._aside = picker(asides[0], forms) if asides else None
        self._takes_nested = pick.as_ == "text"
        said = pick.model_dump(mode="json", exclude_defaults=True, exclude=_LATER)
        self.recipe = json.dumps([self.kind, self._takes_nested, target if is_name else "", said])
        """Fields of one recipe make the same of every cell."""

    def __call__(self, cells: Cells) -> Filled:
        """Fill the target from these cells."""
        picked = self._pick(cells)
        texts, errors = picked.texts, Errors()
        if picked.nested is not None and not self._takes_nested:
            nested = pc.and_(picked.nested, pc.is_valid(texts))
            positions = where_true(nested)
            if len(positions):
                errors = ((ConversionError.NESTED, positions),)
                texts = without(texts, nested)
        beside = None if self._aside is None else self._aside(cells)
        aside = None if beside is None else beside.texts
        converted = self._convert(texts) if aside is None else self._convert(texts, aside)
        doubts = picked.violations if beside is None else (*picked.violations, *beside.violations)
        found = picked.texts if self._column is None else cells.column(self._column).texts
        made = Converted(converted.values, errors + converted.errors, converted.instants)
        return Filled(picked.texts, made, found, aside, doubts)

    def converted(self, scalar: Scalar | None) -> str | None:
        """What a constant of the mapping becomes; null if there is none, or if it cannot be converted."""
        if scalar is None:
            return None
        text = pa.array([spelled(scalar)])
        made = self._convert(text) if self._aside is None else self._convert(text, pa.nulls(1, pa.string()))
        value: str | None = None if made.errors else made.values[0].as_py()
        return value


def kind_of(target: str, pick: ValueMapping) -> Kind:
    """``as``, else number for a calculation, else what the target implies, else what a property's ``const`` is."""
    if pick.as_ is not None:
        return pick.as_
    if pick.operands():
        return "number"
    if target in _IMPLIED:
        return _IMPLIED[target]
    if not target.startswith("properties.") or isinstance(pick.const, str | None):
        return "text"
    if isinstance(pick.const, bool):
        return "boolean"
    return "integer" if isinstance(pick.const, int) else "number"


def _converter(target: str, pick: ValueMapping, kind: Kind) -> Converter:
    if target == "subscriber.phone":
        return PhoneReader(pick.country if isinstance(pick.country, str) else None)
    if target == "subscriber.email":
        return emails
    if target == "value_currency":
        return lambda texts: Converted(pc.utf8_upper(texts))
    numbers = NumberReader(NumberForm.of(pick), integers=kind == "integer") if kind in ("integer", "number") else None
    if target in IDENTITIES and kind in ("text", "integer", "number"):
        return IdReader(numbers, has_prefix=pick.template is not None and pick.template.count("{") == 1)
    if kind in ("date", "datetime"):
        return TimeReader(TimeForm.of(pick, dates=kind == "date"))
    return numbers or (booleans if kind == "boolean" else Converted)


_WORDS = {"true": "true", "yes": "true", "y": "true", "t": "true", "1": "true", "on": "true"}
_WORDS |= {"false": "false", "no": "false", "n": "false", "f": "false", "0": "false", "off": "false"}
_KEYS, _TOKENS = pa.array(_WORDS), pa.array(_WORDS.values())


def booleans(texts: ArrowArray) -> Converted:
    """true/false, yes/no, y/n, t/f, 1/0, on/off in any case → ``true`` or ``false``.

    So are what tables of floats (``1.0``) and spreadsheets (an apostrophe before it) have made of them.
    """
    tokens = _TOKENS.take(pc.index_in(pc.ascii_lower(texts), value_set=_KEYS))
    odd = DistinctValues.of(texts, pc.is_valid(tokens), _odd_boolean)
    return Converted(odd.put_into(tokens, str), odd.errors())


def _odd_boolean(text: str) -> str | ConversionError:
    return _WORDS.get(text.removeprefix("'").removesuffix(".0").lower(), ConversionError.NOT_A_BOOLEAN)


_OF_IDENTITIES = {
    ConversionError.ROUNDED,
    ConversionError.DECIMAL,
    ConversionError.NO_COUNTRY,
    ConversionError.UNKNOWN_COUNTRY,
    ConversionError.NOT_A_PHONE,
    ConversionError.AMBIGUOUS_PHONE,
}
_CODES: dict[str, tuple[str, set[ConversionError], str]] = {
    "subscriber.id": ("id", _OF_IDENTITIES, ""),
    "subscriber.phone": ("phone", _OF_IDENTITIES, ""),
    "key": ("key", _OF_IDENTITIES, ""),
    "group_by": ("group", {ConversionError.ROUNDED, ConversionError.DECIMAL}, "group.invalid"),
    "order_by": ("order_by", {ConversionError.AMBIGUOUS_DATE, ConversionError.UNKNOWN_ZONE}, "order_by.invalid"),
    "value": ("value", {ConversionError.NOT_FINITE}, "value.not_a_number"),
}
"""Per target what its reason codes begin with, the errors that have such a code, and the code of all others."""


def code_of(target: str, error: ConversionError) -> str:
    """The reason code of an error: some targets have codes of their own, the rest share the properties'."""
    prefix, own, other = _CODES.get(target, ("property", set(), ""))
    return f"{prefix}.{error}" if error in own else other or f"property.{error}"
