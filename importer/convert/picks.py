"""From a chunk's cells to one text per row: column, first_of, const, template, product_of, then the text steps.

Owns absence (an empty or blank cell is absent) and the steps trim, extract, lower, upper, map and default, in that
order. Leaves ``as`` and whatever belongs to it to ``kinds``; a nested cell is only marked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import absent, holds, text_column, without, without_blanks
from importer.convert.numbers import NumberForm, NumberReader
from importer.exact import Exact, product
from importer.mapping.model import Pick, Scalar
from importer.mapping.template import split
from importer.model import ArrowArray, Chunk
from importer.texts import trimmed


@dataclass(frozen=True, slots=True)
class Picked:
    """One text per row, and where it came from an object or a list."""

    texts: ArrowArray
    """Strings, null for absent."""
    nested: ArrowArray | None = None
    """Booleans; None if nothing is nested."""


class Cells:
    """A chunk's columns as texts; each column is trimmed once, however many targets pick it."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._texts: dict[tuple[str, bool], ArrowArray] = {}

    @property
    def count(self) -> int:
        """Rows."""
        return int(self._chunk.table.num_rows)

    def column(self, name: str, *, trim: bool = True) -> Picked:
        """A column, blank cells absent; all absent if the source has no such column."""
        if (name, trim) not in self._texts:
            texts = text_column(self._chunk.table, name)
            self._texts[name, trim] = trimmed(texts) if trim else without_blanks(texts)
        return Picked(self._texts[name, trim], self._chunk.nested.get(name))


class Picker(Protocol):
    """A compiled pick, or a part of one."""

    def __call__(self, cells: Cells) -> Picked:
        """The texts of these cells."""


def picker(pick: Pick) -> Picker:
    """Compile a pick with its text steps, everything but ``as``."""
    return _Stepped(_origin(pick), pick)


def spelled(scalar: Scalar) -> str:
    """A YAML scalar as the text a cell would hold: ``true``, ``12.5``."""
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return str(scalar)


def _origin(pick: Pick) -> Picker:
    if pick.column is not None:
        return _Column(pick.column, pick.trim)
    if pick.first_of is not None:
        return _FirstOf(tuple(picker(one) for one in pick.first_of))
    if pick.template is not None:
        return _Template(pick.template, pick.trim)
    if pick.const is not None:
        return _Const(spelled(pick.const))
    if pick.product_of is not None:
        return _Product(pick.product_of)
    message = "a pick needs one of column, first_of, const, template, product_of"
    raise ValueError(message)


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    trim: bool

    def __call__(self, cells: Cells) -> Picked:
        return cells.column(self.name, trim=self.trim)


@dataclass(frozen=True, slots=True)
class _Const:
    text: str

    def __call__(self, cells: Cells) -> Picked:
        return Picked(pa.repeat(self.text, cells.count))


@dataclass(frozen=True, slots=True)
class _FirstOf:
    pickers: tuple[Picker, ...]

    def __call__(self, cells: Cells) -> Picked:
        candidates = [one(cells) for one in self.pickers]
        nested = None
        if any(candidate.nested is not None for candidate in candidates):
            nested = no = pa.repeat(pa.scalar(value=False), cells.count)
            for candidate in reversed(candidates):
                own = no if candidate.nested is None else candidate.nested
                nested = pc.if_else(pc.is_valid(candidate.texts), own, nested)
        return Picked(pc.coalesce(*(candidate.texts for candidate in candidates)), nested)


class _Template:
    """Text with ``{column}`` in it; absent where any of its columns is."""

    def __init__(self, template: str, trim: bool) -> None:
        self._pieces = split(template)
        self._trim = trim

    def __call__(self, cells: Cells) -> Picked:
        texts: list[ArrowArray] = []
        nested = None
        for piece in self._pieces:
            if not piece.is_column:
                texts.append(pa.scalar(piece.text))
                continue
            picked = cells.column(piece.text, trim=self._trim)
            texts.append(picked.texts)
            if picked.nested is not None:
                nested = picked.nested if nested is None else pc.or_(nested, picked.nested)
        return Picked(pc.binary_join_element_wise(*texts, ""), nested)


class _Product:
    """The product of numbers as its token, exactly; absent where any factor is.

    Where a factor is no number, the text shows all of them (``2 × abc``), which reads as no number either.
    """

    def __init__(self, factors: tuple[Pick, ...]) -> None:
        self._factors = [
            (picker(one), NumberReader(NumberForm.of(one), integers=one.as_ == "integer")) for one in factors
        ]

    def __call__(self, cells: Cells) -> Picked:
        texts = [pick(cells).texts for pick, _ in self._factors]
        tokens = [reader(one).values for (_, reader), one in zip(self._factors, texts, strict=True)]
        sound = reduce(pc.and_, [pc.is_valid(one) for one in tokens])
        numbers = product([Exact.of(one.filter(sound)) for one in tokens]).tokens()
        return Picked(pc.replace_with_mask(pc.binary_join_element_wise(*texts, " × "), sound, numbers))


class _Stepped:
    """A pick's origin, then extract, lower or upper, map and default; trim belongs to the cells."""

    def __init__(self, origin: Picker, pick: Pick) -> None:
        self._origin = origin
        self._pick = pick
        self._trims = pick.trim and pick.column is None
        self._extract = None if pick.extract is None else _Extract(pick.extract)
        self._keys = pa.array(list(pick.map or ()), pa.string())
        """Whole values to be replaced, and what by (null: absent), pairwise."""
        targets = [None if value is None else spelled(value) for value in (pick.map or {}).values()]
        self._targets = pa.array(targets, pa.string())

    def __call__(self, cells: Cells) -> Picked:
        picked = self._origin(cells)
        texts, nested = picked.texts, picked.nested
        if self._trims:
            texts = pc.utf8_trim_whitespace(texts)
        if self._extract is not None:
            # What an expression takes out of a nested value's JSON is text that the mapping asked for.
            texts, nested = self._extract(texts), None
        if self._pick.lower:
            texts = pc.utf8_lower(texts)
        if self._pick.upper:
            texts = pc.utf8_upper(texts)
        if len(self._keys):
            places = pc.index_in(texts, value_set=self._keys)
            texts = pc.if_else(pc.is_valid(places), self._targets.take(places), texts)
        if self._trims or self._extract is not None or len(self._keys):
            texts = without_blanks(texts)
        if self._pick.default is not None and texts.null_count:
            texts = without_blanks(pc.fill_null(texts, spelled(self._pick.default)))
        return Picked(texts, nested)


class _Extract:
    """An RE2 expression's first group, or its whole match; absent where it does not match.

    ``pc.extract_regex`` wants every group named, so the first group is taken by a replacement instead: the expression
    is set between a lazy and a greedy "anything", which leaves its leftmost match what it is.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        body = f"(?:{pattern})" if _has_group(pattern) else f"({pattern})"
        self._whole = rf"\A(?s:.*?){body}(?s:.*)\z"

    def __call__(self, texts: ArrowArray) -> ArrowArray:
        found = pc.match_substring_regex(texts, self._pattern)
        if not holds(found):
            return absent(len(texts))
        taken = pc.replace_substring_regex(texts, self._whole, r"\1")
        return without(taken, pc.invert(found))


def _has_group(pattern: str) -> bool:
    """Whether RE2 finds a capturing group; asked of RE2 itself, as Python's ``re`` reads other expressions."""
    try:
        pc.replace_substring_regex(pa.array(["x"]), pattern, r"\1")
    except pa.ArrowInvalid:
        return False
    return True
