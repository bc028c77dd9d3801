"""Event columns from rows written down one by one, for the tests of validation and encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from importer.model import Chunk, Dialect, Events, Kind, Property, Source, UnreadableRow, Violations

SOURCE = Source(name="orders.csv", path=None, dialect=Dialect(format="csv"), columns=None)


@dataclass(frozen=True)
class Row:
    """One event as shape would hand it on: text, or None for absent. Good as it stands."""

    id: str | None = None
    email: str | None = "ann@example.com"
    phone: str | None = None
    type: str | None = "purchase"
    value: str | None = None
    currency: str | None = None
    properties: Mapping[str, str | None] = field(default_factory=dict)
    passes_filter: bool = True


def strings(values: Sequence[str | None]) -> Any:
    return pa.array(values, pa.string())


def make_events(
    rows: Sequence[Row],
    kinds: Mapping[str, Kind] | None = None,
    *,
    unreadable: Sequence[UnreadableRow] = (),
    violations: Sequence[Violations] = (),
    first_row: int = 1,
) -> Events:
    """A chunk of ``rows`` in which ``spoiled`` rows lie where their row numbers say; lines are row numbers plus one."""
    kinds = kinds or {}
    count = len(rows) + len(unreadable)
    taken = {one.row for one in unreadable}
    numbers = np.array([n for n in range(first_row, first_row + count) if n not in taken], np.int64)
    chunk = Chunk(
        source=SOURCE,
        first_row=first_row,
        count=count,
        table=pa.table({"row": strings([str(n) for n in numbers])}),
        rows=numbers,
        lines=numbers + 1,
        unreadable=tuple(unreadable),
        nested={},
        raw_rows=None,
    )
    return Events(
        chunk=chunk,
        subscriber_id=strings([row.id for row in rows]),
        email=strings([row.email for row in rows]),
        phone=strings([row.phone for row in rows]),
        type=strings([row.type for row in rows]),
        value=strings([row.value for row in rows]),
        value_currency=strings([row.currency for row in rows]),
        properties=tuple(
            Property(name, kind, strings([row.properties.get(name) for row in rows])) for name, kind in kinds.items()
        ),
        passes_filter=np.array([row.passes_filter for row in rows], np.bool_),
        key=None,
        order_value=None,
        event_time=None,
        violations=tuple(violations),
    )


def problem(code: str, field: str, *positions: int) -> Violations:
    """What shape reports: the rule, the field, and the rows' positions."""
    return Violations(code, field, np.array(positions, np.int64), strings(["as found"] * len(positions)))


def sliced(events: Events) -> Events:
    """The same events in arrays that are slices of longer ones, as readers that cut blocks hand them on."""

    def cut(values: Any) -> Any:
        return pa.concat_arrays([strings(['before\n"']), values, strings(["after\\"])]).slice(1, len(values))

    return replace(
        events,
        subscriber_id=cut(events.subscriber_id),
        email=cut(events.email),
        phone=cut(events.phone),
        type=cut(events.type),
        value=cut(events.value),
        value_currency=cut(events.value_currency),
        properties=tuple(replace(each, values=cut(each.values)) for each in events.properties),
    )
