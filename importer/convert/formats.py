"""The forms of dates and times, each as a way to rewrite whole columns to ISO 8601.

Owns what ``dmy``, ``mdy``, ``ymd``, the epochs and the ``strptime`` formats of digits take in. A way may leave a text
out (null) that its slow counterpart in ``moments`` reads, but reads none differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import holds, without
from importer.convert.moments import CENTURY_TURNS, CLOCK, HOURS, ORDERS, PER_SECOND
from importer.model import ArrowArray

Rewrite = Callable[[ArrowArray], ArrowArray]
"""Texts → ISO 8601 texts, null where they are not in this form."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Whole counts since 1970 → ISO 8601 in UTC."""

    unit: str

    def __call__(self, texts: ArrowArray) -> ArrowArray:
        """Rewrite a column."""
        counts = pc.if_else(pc.match_substring_regex(texts, "^-?[0-9]{1,18}$"), texts, None).cast(pa.int64())
        per_second = PER_SECOND[self.unit]
        calendar = pc.and_(
            pc.greater_equal(counts, -62_135_596_800 * per_second), pc.less(counts, 253_402_300_800 * per_second)
        )
        times = pc.if_else(calendar, counts, None).cast(pa.timestamp(self.unit)).cast(pa.string())
        return pc.binary_join_element_wise(times, "Z", "")


_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}


@dataclass(frozen=True, slots=True)
class Strptime:
    """Texts in a ``strptime`` format of digits → ISO 8601, naive.

    It takes fewer texts than ``strptime`` does, and reads those as ``strptime`` reads them.
    """

    pattern: str
    fields: frozenset[str]

    @classmethod
    def of(cls, form: str) -> Strptime | None:
        """The format compiled; None if it needs Python's own reading (names of months, offsets …)."""
        pieces = re.findall(r"%.|[^%]", form, re.DOTALL)
        pattern, fields = "", set[str]()
        for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
            if len(piece) == 1 and piece.isprintable():
                pattern += re.escape(piece)
                continue
            field = piece[1:]
            if field not in _WIDTHS or field in fields:
                return None
            fields.add(field)
            # Next to other digits only a field of full width is clear; the rest is left to strptime's own search.
            width = _WIDTHS[field]
            least = width if field == "Y" or following.startswith("%") or following.isdigit() else 1
            pattern += f"(?P<{field}>[0-9]{{{least},{width}}})"
        return cls(f"^{pattern}$", frozenset(fields)) if {"Y", "m", "d"} <= fields else None

    def __call__(self, texts: ArrowArray) -> ArrowArray:
        """Rewrite a column."""
        found = pc.extract_regex(texts, self.pattern)

        def part(name: str) -> ArrowArray:
            return pc.ascii_lpad(pc.struct_field(found, name), 2, "0") if name in self.fields else "00"

        date = pc.binary_join_element_wise(part("Y"), part("m"), part("d"), "-")
        clock = pc.binary_join_element_wise(part("H"), part("M"), part("S"), ":")
        return pc.if_else(pc.is_valid(found), pc.binary_join_element_wise(date, clock, "T"), None)


_PART = {"d": "(?P<d>[0-9]{1,2})", "m": "(?P<m>[0-9]{1,2})", "y": "(?P<Y>[0-9]{4}|[0-9]{2})"}
_ONE_SEPARATOR = r"^(?:[0-9]+(?:\.[0-9]+\.|\. [0-9]+\. |/[0-9]+/|-[0-9]+-)[0-9])"
"""RE2 has no back-references."""
_COMPACT = "^([0-9]{4})([0-9]{2})([0-9]{2})($|[^0-9])"
_HOURS_12, _HOURS_24 = pa.array(HOURS), pa.array(HOURS.values())


@dataclass(frozen=True, slots=True)
class Ordered:
    """Dates of digits in a known order, with or without a clock → ISO 8601, with the offset that is there."""

    order: str
    """One of ``ORDERS``."""

    def __call__(self, texts: ArrowArray) -> ArrowArray:
        """Rewrite a column."""
        if self.order == "ymd" and holds(pc.match_substring_regex(texts, _COMPACT)):
            texts = pc.replace_substring_regex(texts, _COMPACT, r"\1-\2-\3\4")
        texts = without(texts, pc.invert(pc.match_substring_regex(texts, _ONE_SEPARATOR)))
        date = r"(?:\. ?|/|-)".join(_PART[one] for one in self.order)
        found = pc.extract_regex(texts, f"^{date}(?:{CLOCK})?$")

        def part(name: str) -> ArrowArray:
            return pc.struct_field(found, name)

        year, hour, half = part("Y"), pc.ascii_lpad(part("H"), 2, "0"), part("p")
        short = pc.equal(pc.binary_length(year), 2)
        if holds(short):
            century = pc.if_else(pc.less(year, CENTURY_TURNS), "20", "19")
            year = pc.if_else(short, pc.binary_join_element_wise(century, year, ""), year)
        if holds(pc.not_equal(half, "")):
            halves = pc.index_in(
                pc.binary_join_element_wise(hour, pc.ascii_lower(half), ""), value_set=_HOURS_12, skip_nulls=True
            )
            hour = pc.if_else(pc.equal(half, ""), hour, _HOURS_24.take(halves))
        date = pc.binary_join_element_wise(
            year, pc.ascii_lpad(part("m"), 2, "0"), pc.ascii_lpad(part("d"), 2, "0"), "-"
        )
        clock = pc.binary_join_element_wise(
            hour, pc.ascii_lpad(part("M"), 2, "0"), pc.ascii_lpad(part("S"), 2, "0"), ":"
        )
        offset = part("z")
        if holds(pc.not_equal(offset, "")):
            offset = pc.replace_substring_regex(pc.utf8_trim_whitespace(offset), "GMT|UTC", "Z")
        return pc.if_else(
            pc.is_valid(found), pc.binary_join_element_wise(date, "T", clock, part("f"), offset, ""), None
        )


def rewriter(form: str) -> Rewrite | None:
    """The way to rewrite texts of this form; None if there is no fast one."""
    if form in PER_SECOND:
        return Epoch(form)
    return Ordered(form) if form in ORDERS else Strptime.of(form)
