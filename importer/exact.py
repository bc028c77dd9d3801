"""Columns of exact decimal numbers: products, sums per group, and what is least and most; never through a float.

Canonical number tokens (``-12.5``, as ``Property.values`` has them) become numbers that can be added and multiplied,
and tokens again. Ordinary columns are 64-bit integers that share one scale, worked on as a whole; where 64 bits might
not do, they are Python's decimals without a limit of digits, so that no sum is ever rounded or wraps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, localcontext
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, Int64s

if TYPE_CHECKING:
    import numpy.typing as npt

_LARGEST = 2**63 - 1
_MOST_DIGITS = 18
"""Digits that a 64-bit integer holds whatever they are."""
_LONGEST_ORDINARY = 300
"""A token this short is no nearer to 0 than the least double."""
UNLIMITED = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Adds and multiplies exactly, however many digits that takes ("Decimal FAQ", Python's documentation)."""

OTHER = "(others)"
_KINDS = 1_000
"""Of texts by which `Sums` tells events apart; the rest is added up as `OTHER`."""
_PLAIN = r"^-?[0-9]{1,18}(\.[0-9]{1,10})?$"
"""A number that fits a decimal128 column, even when a billion of them are added up."""
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
_DECIMAL = pa.decimal128(38, 10)


class Sums:
    """Counts events and adds up values exactly, by three texts each; values that are no numbers count as none."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, str], tuple[int, int, Decimal]] = {}
        """Events, those with a value, and the values' sum."""

    def add(self, keys: tuple[ArrowArray, ArrowArray, ArrowArray], values: ArrowArray) -> None:
        """Add events, all arrays of shape (n,); a null text counts as empty."""
        columns = {name: pc.fill_null(key, "") for name, key in zip("abc", keys, strict=True)}
        ordinary = pc.fill_null(pc.match_substring_regex(values, _PLAIN), fill_value=False)
        exact = pc.if_else(ordinary, values, pa.scalar(None, pa.string())).cast(_DECIMAL)
        table = pa.table(columns | {"value": exact})
        grouped = table.group_by(["a", "b", "c"]).aggregate([([], "count_all"), ("value", "count"), ("value", "sum")])
        for one in grouped.to_pylist():
            total = one["value_sum"] or Decimal(0)
            self._note((one["a"], one["b"], one["c"]), (one["count_all"], one["value_count"], total))
        odd = pc.and_(pc.invert(ordinary), pc.fill_null(pc.match_substring_regex(values, _NUMBER), fill_value=False))
        if odd.true_count:
            rest = pa.table(columns | {"value": values}).filter(odd)
            for one in rest.to_pylist():
                self._note((one["a"], one["b"], one["c"]), (0, 1, Decimal(one["value"])))

    def by_currency(self, first: str, third: str = "") -> tuple[tuple[str, int, str], ...]:
        """The values of one first and third text, or of all first ones, by the second: it, how many, and their sum."""
        counts: Counter[str] = Counter()
        added: dict[str, Decimal] = {}
        for (one, currency, other), (_, valued, value) in self.found.items():
            if valued and other == third and first in (one, ""):
                counts[currency] += valued
                added[currency] = UNLIMITED.add(added.get(currency, Decimal(0)), value)
        ranked = sorted(counts, key=lambda name: (-counts[name], name))
        return tuple((name, counts[name], token(added[name])) for name in ranked)

    def _note(self, key: tuple[str, str, str], more: tuple[int, int, Decimal]) -> None:
        if key not in self.found and len(self.found) >= _KINDS:
            key = (OTHER, key[1] if any(known[1] == key[1] for known in self.found) else OTHER, key[2])
        events, valued, value = self.found.get(key, (0, 0, Decimal(0)))
        self.found[key] = (events + more[0], valued + more[1], UNLIMITED.add(value, more[2]))


@dataclass(frozen=True, slots=True)
class DecimalColumn:
    """Numbers, none missing: ``units`` times ten to the power of minus ``scale``."""

    units: npt.NDArray[Any]
    """int64; or objects, each a ``Decimal``, and then ``scale`` is 0."""
    scale: int = 0

    @classmethod
    def of(cls, tokens: ArrowArray) -> DecimalColumn:
        """The numbers of canonical tokens; none may be null."""
        points = pc.find_substring(tokens, ".").to_numpy()
        lengths = pc.binary_length(tokens).to_numpy()
        digits = np.where(points < 0, 0, lengths - points - 1)
        scale = int(digits.max(initial=0))
        if int(lengths.max(initial=0)) <= _MOST_DIGITS:
            units = pc.replace_substring(tokens, ".", "").cast(pa.int64()).to_numpy(zero_copy_only=False)
            if _size(units) * 10**scale <= _LARGEST:
                return cls(units * 10 ** (scale - digits.astype(np.int64)), scale)
        return cls(_objects([Decimal(token) for token in tokens.to_pylist()]))

    def tokens(self) -> ArrowArray:
        """Canonical tokens."""
        if self.units.dtype == object:
            return pa.array([token(number) for number in self.units], pa.string())
        texts = pa.array(np.abs(self.units)).cast(pa.string())
        if self.scale:
            texts = pc.ascii_lpad(texts, self.scale + 1, "0")
            whole = pc.utf8_slice_codeunits(texts, 0, -self.scale)
            fraction = pc.ascii_rtrim(pc.utf8_slice_codeunits(texts, -self.scale), "0")
            texts = pc.ascii_rtrim(pc.binary_join_element_wise(whole, fraction, "."), ".")
        return pc.if_else(pa.array(self.units < 0), pc.binary_join_element_wise("-", texts, ""), texts)

    def shifted(self, places: int) -> DecimalColumn:
        """The numbers with the decimal point moved to the right, exactly."""
        scale = self.scale - places
        if self.units.dtype != object and 0 <= scale <= _MOST_DIGITS:
            return DecimalColumn(self.units, scale)
        if self.units.dtype != object and -_MOST_DIGITS <= scale < 0 and _size(self.units) * 10**-scale <= _LARGEST:
            return DecimalColumn(self.units * 10**-scale)
        with localcontext(UNLIMITED):
            return DecimalColumn(_objects([number.scaleb(places) for number in self.objects()]))

    def objects(self) -> npt.NDArray[Any]:
        """The same as decimals."""
        if self.units.dtype == object:
            return self.units
        with localcontext(UNLIMITED):
            return _objects([Decimal(unit).scaleb(-self.scale) for unit in self.units.tolist()])

    def ranks(self) -> Int64s:
        """Integers that are in the same order as the numbers."""
        if self.units.dtype != object:
            return self.units
        return np.unique(self.units, return_inverse=True)[1].astype(np.int64)


def product(factors: Sequence[DecimalColumn]) -> DecimalColumn:
    """The products of columns of one length, row by row."""
    scale = sum(factor.scale for factor in factors)
    if all(factor.units.dtype != object for factor in factors) and scale <= _MOST_DIGITS:
        sizes = (_size(factor.units) for factor in factors)
        if reduce(lambda a, b: a * b, sizes, 1) <= _LARGEST:
            return DecimalColumn(reduce(np.multiply, [factor.units for factor in factors]), scale)
    with localcontext(UNLIMITED):
        return DecimalColumn(reduce(np.multiply, [factor.objects() for factor in factors]))


def total(terms: Sequence[DecimalColumn]) -> DecimalColumn:
    """The sums of columns of one length, row by row."""
    scale = max(term.scale for term in terms)
    is_ordinary = all(term.units.dtype != object for term in terms) and scale <= _MOST_DIGITS
    if is_ordinary and sum(_size(term.units) * 10 ** (scale - term.scale) for term in terms) <= _LARGEST:
        return DecimalColumn(reduce(np.add, [term.units * 10 ** (scale - term.scale) for term in terms]), scale)
    with localcontext(UNLIMITED):
        return DecimalColumn(reduce(np.add, [term.objects() for term in terms]))


def difference(terms: Sequence[DecimalColumn]) -> DecimalColumn:
    """The first column less all others, row by row."""
    with localcontext(UNLIMITED):
        return total([terms[0], *(DecimalColumn(-term.units, term.scale) for term in terms[1:])])


def sums(numbers: DecimalColumn, starts: Int64s) -> DecimalColumn:
    """The sums of consecutive stretches; ``starts`` are the stretches' beginnings, ascending, none empty."""
    if not len(starts):
        return DecimalColumn(numbers.units[:0], numbers.scale)
    if numbers.units.dtype != object:
        longest = int(np.diff(np.append(starts, len(numbers.units))).max())
        if _size(numbers.units) * longest <= _LARGEST:
            return DecimalColumn(np.add.reduceat(numbers.units, starts), numbers.scale)
    with localcontext(UNLIMITED):
        return DecimalColumn(np.add.reduceat(numbers.objects(), starts))


def _size(units: npt.NDArray[Any]) -> int:
    """The largest magnitude, as an integer without a limit."""
    return max(abs(int(units.min(initial=0))), int(units.max(initial=0)))


def _objects(numbers: list[Decimal]) -> npt.NDArray[Any]:
    array = np.empty(len(numbers), dtype=object)
    array[:] = numbers
    return array


def token(number: Decimal) -> str:
    """A number's canonical token; what is nearer to 0 than any double is 0."""
    token = format(number, "f")
    if "." in token:
        token = token.rstrip("0").rstrip(".")
    tiny = len(token) > _LONGEST_ORDINARY and float(number) == 0
    return "0" if tiny or not number else token
