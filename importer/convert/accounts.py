"""Which account each row belongs to."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import where_true
from importer.convert.cells import Cells
from importer.model import AccountColumn, ArrowArray, Events, Violations

FIELD = "account"
"""How reasons name it."""


def account_names(cells: Cells, source: str, accounts: AccountColumn) -> ArrowArray:
    """The name of each row's account; a text that means none as it is, null where there is nothing.

    ``source`` is the file's name, which all rows have where no account has the file.
    """
    if accounts.column is None:
        return pa.repeat(source, cells.count)
    texts = cells.column(accounts.column).texts
    known = pc.index_in(texts, value_set=pa.array(accounts.names, pa.string()))
    return pc.coalesce(pa.array(accounts.names.values(), pa.string()).take(known), texts)


def with_known_accounts(events: Events, accounts: AccountColumn) -> Events:
    """The events with null for the account of rows that belong to none, and the reasons of those that would be sent."""
    assert events.account is not None
    unknown = pc.invert(pc.is_in(events.account, value_set=pa.array(set(accounts.names.values()), pa.string())))
    judged = events.passes_filter if events.group_heads is None else events.passes_filter & (events.group_heads < 0)
    found = list(events.violations)
    empty = pc.is_null(events.account)
    for code, rows in (("account.missing", empty), ("account.unknown", pc.and_not(unknown, empty))):
        positions = where_true(pc.and_(rows, pa.array(judged)))
        if len(positions):
            values = pc.fill_null(events.account.take(pa.array(positions)), "")
            found.append(Violations(code, FIELD, positions, values))
    names = pc.if_else(unknown, pa.scalar(None, pa.string()), events.account)
    return replace(events, account=names, violations=tuple(found))
