"""Copying a ledger: to another database, or past pages that cannot be read."""

from __future__ import annotations

import pyarrow as pa

from importer.errors import LedgerError, UsageError
from importer.ledger import counter
from importer.ledger.database import Database
from importer.ledger.ledger import Ledger, dialect_of, prepare
from importer.ledger.location import LedgerLocation
from importer.ledger.tables import STEP, TABLES
from importer.model import ArrowTable, RunState

_MAX_FAILURES = {"row": 5_000, "chunk": 1_000}
_FEW_FAILURES = 200
"""Reads of a damaged table that fail before the rest of it is given up: a dead inner page hides what is behind it."""
_KEPT_EMPTY = "order_value"
"""A column that only a plan in the making needs."""


NAMES = tuple(definition.split()[2] for definition in TABLES if definition.startswith("CREATE TABLE"))
"""Of the tables, each after those that it refers to."""


def copy_ledger(source: LedgerLocation, target: LedgerLocation) -> tuple[int, int]:
    """Copy a whole ledger into an empty one, all or nothing; returns how many runs and rows there are.

    Raises `UsageError` where the target is not empty, or a process works on the source; `LedgerError` where either
    cannot be used, or the source is damaged.
    """
    if not source.exists():
        raise UsageError(f"there is no ledger {source}", hint="name an existing one first, then where it goes")
    with Ledger(source, account="", endpoint="") as old:
        if trouble := old.database.dialect.damage(old.database):
            raise LedgerError(f"the ledger {source} is damaged: {trouble}", hint="see `importer doctor` first")
        _refuse_used(old)
        generation = counter.generation(old.database)
        new = Database(dialect_of(target))
        try:
            prepare(new)
            if new.value("SELECT COUNT(*) FROM run"):
                raise UsageError(f"{target} is not empty", hint="copy into a new file or database")
            with new.transaction():
                new.execute("DELETE FROM ledger")
                for table in NAMES:
                    if copy_table(old.database, new, table):
                        raise LedgerError(
                            f"the ledger {source} cannot be read to its end", hint="see `importer doctor`"
                        )
                    if statement := new.dialect.after_copy(table):
                        new.query(statement)
                _refuse_used(old)
                if counter.generation(old.database) != generation:
                    raise UsageError(
                        f"the ledger {source} was used during the copy", hint="copy it while no importer runs"
                    )
            new.checkpoint()
            counter.note(new, generation)
            runs, rows = (int(new.value(f"SELECT COUNT(*) FROM {table}")) for table in ("run", "row"))
        finally:
            new.close()
    return runs, rows


def _refuse_used(ledger: Ledger) -> None:
    for run in ledger.runs(everywhere=True):
        if run.state not in (RunState.FINISHED, RunState.PRUNED) and ledger.is_alive(run):
            raise UsageError(f"run {run.id} is being worked on", hint="wait for it, or stop it, then copy the ledger")


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
        # SQLite names no type for a column that is empty throughout.
        new.insert(table, {name: one for name, one in columns.items() if one.null_count < len(one)})
