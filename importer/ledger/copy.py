"""Copying a ledger's tables: to another database, or past pages that cannot be read."""

from __future__ import annotations

import pyarrow as pa

from importer.errors import LedgerError
from importer.ledger.database import Database
from importer.ledger.tables import STEP
from importer.model import ArrowTable

_MAX_FAILURES = {"row": 5_000, "chunk": 1_000}
_FEW_FAILURES = 200
"""Reads of a damaged table that fail before the rest of it is given up: a dead inner page hides what is behind it."""
_KEPT_EMPTY = "order_value"
"""A column that only a plan in the making needs."""


def copy_table(old: Database, new: Database, table: str, ranges: list[tuple[int, int]] | None = None) -> int:
    """Copy a table past what cannot be read; returns how many stretches of it were lost. Leases stay where they are.

    ``ranges`` are those of its first column that can hold anything; None: they are not known.
    """
    if table == "lease":
        return 0
    if key := {"scope": "no", "run": "no", "source": "no", "row": "id", "chunk": "first_id"}.get(table):
        return _copy_by(key, old, new, table, ranges or [(-(1 << 62), 1 << 62)])
    try:
        for batch in old.batches(f"SELECT * FROM {table}"):
            _paste(new, table, pa.Table.from_batches([batch]))
    except LedgerError:
        return 1
    return 0


def _copy_by(key: str, old: Database, new: Database, table: str, ranges: list[tuple[int, int]]) -> int:
    """Copy by ranges of a column, halving those that cannot be read."""
    lost = failures = 0
    while ranges:
        if failures > _MAX_FAILURES.get(table, _FEW_FAILURES):
            return lost + len(ranges)
        first, last = ranges.pop()
        try:
            bounds = old.rows(f"SELECT MIN({key}), MAX({key}) FROM {table} WHERE {key} BETWEEN $1 AND $2", first, last)
            if bounds[0][0] is None:
                continue
            low, high = bounds[0]
            if high - low < STEP:
                _paste(new, table, old.query(f"SELECT * FROM {table} WHERE {key} BETWEEN $1 AND $2", low, high))
                continue
            first, last = low, high
        except LedgerError:
            failures += 1
            if first == last:
                lost += 1
                continue
        middle = (first + last) // 2
        ranges += [(first, middle), (middle + 1, last)]
    return lost


def _paste(new: Database, table: str, rows: ArrowTable) -> None:
    if rows.num_rows:
        columns = {name: rows.column(name) for name in rows.column_names if name != _KEPT_EMPTY}
        with new.transaction():
            # SQLite tells no type of a column that is empty throughout.
            new.insert(table, {name: one for name, one in columns.items() if one.null_count < len(one)})
