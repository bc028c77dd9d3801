"""Columns of exact decimal numbers: products, sums per group, and what is least and most; never through a float.

Canonical number tokens (``-12.5``, as ``Property.values`` has them) become arrays of Python's decimals, without a limit
of digits, so that no sum is ever rounded or wraps; and tokens again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, localcontext
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import matches
from importer.model import ArrowArray, Int64s

if TYPE_CHECKING:
    import numpy.typing as npt

Decimals: TypeAlias = "npt.NDArray[Any]"
"""An array of objects, each a ``Decimal``, none missing."""

_LONGEST_ORDINARY = 300
"""A token this short is no nearer to 0 than the least double."""
UNLIMITED = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Adds and multiplies exactly, however many digits that takes ("Decimal FAQ", Python's documentation)."""

OTHER = "(others)"
_KINDS = 1_000
"""Combinations of texts that `Sums` adds up apart; the rest is added up as `OTHER`."""
_PLAIN = r"^-?[0-9]{1,18}(\.[0-9]{1,10})?$"
"""A number that fits a decimal128 column, even when a billion of them are added up."""
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
_DECIMAL = pa.decimal128(38, 10)
_MONEY, _MICROS = r"^-?[0-9]{1,18}(\.[0-9]{1,6})?$", pa.decimal128(38, 6)
"""The same with no more decimals than Arrow writes without an exponent."""


class Sums:
    """Counts events and adds up values exactly, by three texts each; values that are no numbers count as none."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, str], tuple[int, int, Decimal]] = {}
        """Events, those with a value, and the values' sum."""

    def add(self, keys: tuple[ArrowArray, ArrowArray, ArrowArray], values: ArrowArray) -> None:
        """Add events, all arrays of shape (n,); a null text counts as empty."""
        columns = {name: pc.fill_null(key, "") for name, key in zip("abc", keys, strict=True)}
        ordinary = pc.fill_null(matches(values, _PLAIN), fill_value=False)
        all_ordinary = ordinary.true_count == len(values) - values.null_count
        exact = values if all_ordinary else pc.if_else(ordinary, values, pa.scalar(None, pa.string()))
        table = pa.table(columns | {"value": exact.cast(_DECIMAL)})
        grouped = table.group_by(["a", "b", "c"], use_threads=False).aggregate(
            [([], "count_all"), ("value", "count"), ("value", "sum")]
        )
        for one in grouped.to_pylist():
            total = one["value_sum"] or Decimal(0)
            self._note((one["a"], one["b"], one["c"]), (one["count_all"], one["value_count"], total))
        if all_ordinary:
            return
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


def decimals_of(tokens: ArrowArray) -> Decimals:
    """The numbers of canonical tokens; none may be null."""
    encoded = tokens.dictionary_encode()
    distinct: Decimals = _objects([Decimal(one) for one in encoded.dictionary.to_pylist()])
    found: Decimals = distinct[encoded.indices.to_numpy()]
    return found


def tokens_of(numbers: Decimals) -> ArrowArray:
    """Canonical tokens."""
    return pa.array(map(token, numbers), pa.string())


def shifted(tokens: ArrowArray, places: int) -> ArrowArray:
    """Tokens with the decimal point moved to the right, exactly; nulls stay null."""
    numbers = [UNLIMITED.scaleb(number, places) for number in decimals_of(tokens.drop_null())]
    return pc.replace_with_mask(tokens, tokens.is_valid(), tokens_of(_objects(numbers)))


def calculated(operation: Callable[[Any, Any], Any], columns: Sequence[Decimals]) -> Decimals:
    """Columns of one length multiplied, added or subtracted (`operator.mul` and so on), row by row, exactly."""
    with localcontext(UNLIMITED):
        return reduce(operation, columns)


def sums(tokens: ArrowArray, starts: Int64s) -> ArrowArray:
    """The sums of consecutive stretches; ``starts`` are the stretches' beginnings, ascending, none empty."""
    if not len(starts):
        return tokens[:0]
    if pc.all(pc.match_substring_regex(tokens, _MONEY)).as_py():
        stretches = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(tokens))))
        table = pa.table({"stretch": stretches, "number": tokens.cast(_MICROS)})
        summed = table.group_by("stretch", use_threads=False).aggregate([("number", "sum")])["number_sum"]
        return pc.utf8_rtrim(pc.utf8_rtrim(summed.combine_chunks().cast(pa.string()), "0"), ".")
    with localcontext(UNLIMITED):
        return tokens_of(np.add.reduceat(decimals_of(tokens), starts))


def _objects(numbers: list[Decimal]) -> Decimals:
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
