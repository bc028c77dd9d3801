"""Whole groups → the chunks as they were read: each leader with its group's event, each member pointing to its leader.

This module owns what becomes of a row's own columns: a leader has the group's, any other row keeps only those by which
the report knows it. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.group.columns import SHOWN, Column, with_columns
from importer.group.gather import Header
from importer.group.layout import NONE
from importer.group.store import Store
from importer.model import ArrowArray, ArrowTable, Bools, Chunk, Events, Int64s, UnreadableRow, Violations


class Emitter:
    """Gives the chunks out again, once, in the order in which they came."""

    def __init__(self, columns: Sequence[Column], absent: Events, headers: Sequence[Header], store: Store) -> None:
        self._columns = columns
        self._absent = absent
        self._headers = headers
        self._store = store
        self._batch = -1
        self._links: ArrowTable | None = None
        self._leaders: ArrowTable | None = None
        self._problems: ArrowTable | None = None

    def chunks(self, source_no: int) -> Iterator[Events]:
        """The chunks of one source; the sources before it must have been given out."""
        for number, header in enumerate(self._headers):
            if header.source_no == source_no:
                self._load(header.batch)
                yield self._events(number, header)

    def _load(self, batch: int) -> None:
        if batch == self._batch:
            return
        self._batch = batch
        self._links = _sorted(self._store.take_all(("links", batch)), "part")
        self._leaders = _sorted(self._store.take_all(("group_heads", batch)), "place")
        self._problems = _sorted(self._store.take_all(("problems", batch)), "place")

    def _events(self, number: int, header: Header) -> Events:
        rows = self._store.take_all(("rows", number))
        chunk = self._chunk(number, header, rows)
        places = header.start + chunk.rows - header.first_row
        kept: Bools = np.zeros(0, np.bool_) if rows is None else rows["kept"].to_numpy()
        group_heads = np.full(len(places), NONE)
        if rows is not None:
            group_heads, kept = self._linked(rows["part"].to_numpy(), kept)
        leads = group_heads == places
        events = Events(
            chunk=chunk,
            **dict.fromkeys(
                ("subscriber_id", "email", "phone", "type", "value", "value_currency"),
                pa.nulls(len(places), pa.string()),
            ),
            properties=(),
            passes_filter=kept,
            key=None,
            order_value=None,
            event_time=None,
            violations=tuple(self._problems_of(places, header)),
            group_heads=np.where(leads, NONE, group_heads),
        )
        return with_columns(
            events, self._columns, [self._column(at, rows, places, leads) for at in range(len(self._columns))]
        )

    def _linked(self, parts: Int64s, kept: Bools) -> tuple[Int64s, Bools]:
        """Each row's leader, -1 for one that is in no group; and whether the row is kept, as one of its group."""
        inside = parts != NONE
        group_heads = np.full(len(parts), NONE)
        if self._links is not None and inside.any():
            at = np.searchsorted(self._links["part"].to_numpy(), parts[inside])
            group_heads[inside] = self._links["leader"].to_numpy()[at]
            kept = kept.copy()
            kept[inside] = self._links["kept"].to_numpy()[at]
        return group_heads, kept

    def _column(self, at: int, rows: ArrowTable | None, places: Int64s, leads: Bools) -> ArrowArray:
        column = self._columns[at]
        kind = column.of(self._absent).type
        own = pa.nulls(len(places), kind)
        if rows is not None and column.target in SHOWN:
            own = rows[column.target].combine_chunks()
        if not leads.any():
            return own
        assert self._leaders is not None, "a leader has its event"
        found = np.searchsorted(self._leaders["place"].to_numpy(), places[leads])
        events = self._leaders[f"c{at}"].combine_chunks().take(pa.array(found))
        return pc.replace_with_mask(own, pa.array(leads), events)

    def _problems_of(self, places: Int64s, header: Header) -> Iterator[Violations]:
        if self._problems is None:
            return
        all_places = self._problems["place"].to_numpy()
        first, last = np.searchsorted(all_places, (header.start, header.start + header.count))
        found = self._problems.slice(first, last - first)
        kinds = found.select(["code", "field"]).group_by(["code", "field"], use_threads=False).aggregate([])
        for kind in kinds.to_pylist():
            these = found.filter(
                pc.and_(pc.equal(found["code"], kind["code"]), pc.equal(found["field"], kind["field"]))
            )
            positions = np.searchsorted(places, these["place"].to_numpy())
            yield Violations(kind["code"], kind["field"], positions, these["value"].combine_chunks())

    def _chunk(self, number: int, header: Header, rows: ArrowTable | None) -> Chunk:
        unreadable = self._store.take_all(("unreadable", number))
        none = np.zeros(0, np.int64)
        return Chunk(
            source=header.source,
            first_row=header.first_row,
            count=header.count,
            table=pa.table({}) if rows is None else rows.select([]),
            rows=none if rows is None else rows["row"].to_numpy(),
            lines=none if rows is None else rows["line"].to_numpy(),
            unreadable=() if unreadable is None else tuple(_spoiled(unreadable)),
            nested={},
            raw_rows=self._store.take_all(("raw_rows", number)) if header.has_originals else None,
        )


def _spoiled(table: ArrowTable) -> Iterator[UnreadableRow]:
    for one in table.to_pylist():
        yield UnreadableRow(one["row"], one["line"], one["code"], one["value"].decode("utf-8", "surrogatepass"))


def _sorted(table: ArrowTable | None, by: str) -> ArrowTable | None:
    if table is None:
        return None
    order = np.argsort(table[by].to_numpy(), kind="stable")
    return table.take(pa.array(order)).combine_chunks()
