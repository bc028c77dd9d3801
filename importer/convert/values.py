"""Value mappings: from a chunk's cells to one text per row.

A value comes from a column, first_of, const, template or product_of; the text steps trim, extract, lower, upper, map
and default follow in that order. An empty or blank cell is absent. ``as`` and the words that belong to it are
conversions, which come after; a nested cell is only marked here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import absent, holds, text_column, without, without_blanks
from importer.convert.identities import normalized
from importer.convert.numbers import NumberForm, NumberReader
from importer.exact import DecimalColumn, product
from importer.mapping.model import Scalar, ValueMapping
from importer.mapping.template import split
from importer.model import ArrowArray, Chunk
from importer.texts import trimmed

_FORMULA_TEXT = '^="(.*)"$'
"""How spreadsheets' exports keep digits text."""


@dataclass(frozen=True, slots=True)
class Texts:
    """One text per row, and where it came from an object or a list."""

    texts: ArrowArray
    """Strings, null for absent."""
    nested: ArrowArray | None = None
    """Booleans; None if nothing is nested."""


class Cells:
    """A chunk's columns as texts; each column is trimmed once, however many targets use it."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._texts: dict[tuple[str, bool, frozenset[str] | None], ArrowArray] = {}

    @property
    def count(self) -> int:
        """Rows."""
        return int(self._chunk.table.num_rows)

    def column(self, name: str, *, trim: bool = True, spared: frozenset[str] | None = None) -> Texts:
        """A column, blank cells absent; all absent if the source has no such column.

        With ``spared`` the cells are those of an identity (see `normalized`).
        """
        key = (name, trim, spared)
        if key not in self._texts:
            if spared is not None:
                texts = normalized(self.column(name).texts, spared)
            else:
                texts = text_column(self._chunk.table, name)
                texts = trimmed(texts) if trim else without_blanks(texts)
                if holds(pc.starts_with(texts, '="')):
                    texts = without_blanks(pc.replace_substring_regex(texts, _FORMULA_TEXT, r"\1"))
            self._texts[key] = texts
        return Texts(self._texts[key], self._chunk.nested.get(name))


Picker: TypeAlias = Callable[[Cells], Texts]
"""A compiled value mapping."""


def spelled(scalar: Scalar) -> str:
    """A YAML scalar as the text a cell would hold: ``true``, ``12.5``."""
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return str(scalar)


def picker(pick: ValueMapping, *, identity: bool = False) -> Picker:
    """Compile a value mapping with its text steps, but not ``as``; of an ``identity`` the cells are normalized."""
    origin = _origin(pick, identity)
    trims = pick.trim and pick.column is None
    extract = None if pick.extract is None else _extractor(pick.extract)
    old = pa.array(list(pick.map or ()), pa.string())
    new = pa.array([None if value is None else spelled(value) for value in (pick.map or {}).values()], pa.string())

    def steps(cells: Cells) -> Texts:
        picked = origin(cells)
        texts, nested = picked.texts, picked.nested
        if trims:
            texts = pc.utf8_trim_whitespace(texts)
        if extract is not None:
            # What an expression takes out of a nested value's JSON is text that the mapping asked for.
            texts, nested = extract(texts), None
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
        return Texts(texts, nested)

    return steps


def _origin(pick: ValueMapping, identity: bool) -> Picker:
    spared = frozenset(pick.map or ()) if identity else None
    if pick.column is not None:
        name = pick.column
        return lambda cells: cells.column(name, trim=pick.trim, spared=spared)
    if pick.first_of is not None:
        return _first_of([picker(one, identity=identity) for one in pick.first_of])
    if pick.template is not None:
        return _template(pick.template, pick.trim, spared)
    if pick.const is not None:
        text = spelled(pick.const)
        return lambda cells: Texts(pa.repeat(text, cells.count))
    assert pick.product_of is not None, "a value mapping has one origin"
    return _product(pick.product_of)


def _first_of(pickers: list[Picker]) -> Picker:
    def first(cells: Cells) -> Texts:
        candidates = [one(cells) for one in pickers]
        nested = None
        if any(candidate.nested is not None for candidate in candidates):
            nested = no = pa.repeat(pa.scalar(value=False), cells.count)
            for candidate in reversed(candidates):
                own = no if candidate.nested is None else candidate.nested
                nested = pc.if_else(pc.is_valid(candidate.texts), own, nested)
        return Texts(pc.coalesce(*(candidate.texts for candidate in candidates)), nested)

    return first


def _template(template: str, trim: bool, spared: frozenset[str] | None) -> Picker:
    """Text with ``{column}`` in it; absent where any of its columns is."""
    pieces = split(template)

    def filled(cells: Cells) -> Texts:
        parts = [cells.column(one.text, trim=trim, spared=spared) if one.is_column else one.text for one in pieces]
        marks = [part.nested for part in parts if isinstance(part, Texts) and part.nested is not None]
        texts = [part.texts if isinstance(part, Texts) else pa.scalar(part) for part in parts]
        return Texts(pc.binary_join_element_wise(*texts, ""), reduce(pc.or_, marks) if marks else None)

    return filled


def _product(factors: tuple[ValueMapping, ...]) -> Picker:
    """The product of numbers as its token, exactly; absent where any factor is.

    Where a factor is no number, the text shows all of them (``2 × abc``), which reads as no number either.
    """
    pickers = [picker(one) for one in factors]
    readers = [NumberReader(NumberForm.of(one), integers=one.as_ == "integer") for one in factors]

    def multiplied(cells: Cells) -> Texts:
        texts = [one(cells).texts for one in pickers]
        tokens = [reader(one).values for reader, one in zip(readers, texts, strict=True)]
        valid = reduce(pc.and_, [pc.is_valid(one) for one in tokens])
        numbers = product([DecimalColumn.of(one.filter(valid)) for one in tokens]).tokens()
        return Texts(pc.replace_with_mask(pc.binary_join_element_wise(*texts, " × "), valid, numbers))

    return multiplied


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
