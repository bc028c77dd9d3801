"""What the events are worth, by type and currency: exact sums.

This module owns the adding up. Memory is bounded: beyond so many types and currencies the rest is added up as others.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, ArrowTable

_KEPT = 1_000
"""Types and currencies told apart."""
_EXACT = Context(prec=400)
"""Enough for any sum of finite floats that anybody means."""
_PLAIN = 18
"""Characters of a number that surely fits a decimal128 column, even when a billion of them are added up."""
_DECIMAL = pa.decimal128(38, 10)


@dataclass(slots=True)
class Worth:
    """Events of one type and currency, delivered or not: how many, and their values' sum."""

    delivered: int = 0
    delivered_sum: Decimal = Decimal(0)
    other: int = 0
    """Pending, refused, failed or in doubt."""
    other_sum: Decimal = Decimal(0)


class Values:
    """Adds up values by (type, currency); either may be empty."""

    def __init__(self) -> None:
        self.by_kind: dict[tuple[str, str], Worth] = {}
        self.rest = Worth()
        """Of all types and currencies beyond those told apart."""

    def add(self, types: ArrowArray, values: ArrowArray, currencies: ArrowArray, delivered: ArrowArray) -> None:
        """Add events; ``values`` are JSON number tokens or null, ``delivered`` booleans, all of shape (n,)."""
        table = pa.table(
            {
                "type": pc.fill_null(types.cast(pa.string()), ""),
                "currency": pc.fill_null(currencies.cast(pa.string()), ""),
                "delivered": delivered,
                "value": values,
            }
        )
        plain = pc.fill_null(
            pc.match_substring_regex(values, rf"^-?[0-9]{{1,{_PLAIN}}}(\.[0-9]{{1,10}})?$"), fill_value=True
        )
        self._add_plain(table.filter(plain))
        self._add_odd(table.filter(pc.invert(plain)))

    def _add_plain(self, table: ArrowTable) -> None:
        exact = table.set_column(3, "value", pc.cast(table.column("value"), _DECIMAL))
        sums = exact.group_by(["type", "currency", "delivered"]).aggregate([("value", "sum"), ([], "count_all")])
        for one in sums.to_pylist():
            self._note(one, one["count_all"], one["value_sum"] or Decimal(0))

    def _add_odd(self, table: ArrowTable) -> None:
        for one in table.to_pylist():
            self._note(one, 1, Decimal(one["value"]))

    def _note(self, kind: dict[str, object], count: int, value: Decimal) -> None:
        key = (str(kind["type"]), str(kind["currency"]))
        room = key in self.by_kind or len(self.by_kind) < _KEPT
        worth = self.by_kind.setdefault(key, Worth()) if room else self.rest
        if kind["delivered"]:
            worth.delivered += count
            worth.delivered_sum = _EXACT.add(worth.delivered_sum, value)
        else:
            worth.other += count
            worth.other_sum = _EXACT.add(worth.other_sum, value)
