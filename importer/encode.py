"""Event columns → the bytes of the requests' bodies, merged with the rows that could not be read.

A body is compact JSON: the subscriber with id, email and phone, then type, value, value_currency, and the properties in
the mapping's order. What is absent is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.json_columns import Member, joined, object_pieces
from importer.model import (
    EVENT_COLUMNS,
    ArrowArray,
    ArrowTable,
    Chunk,
    EncodedChunk,
    Events,
    Int64s,
    State,
    ValidationResult,
)
from importer.wording import shown

LONGEST_VALUE = 80
"""Characters of an offending value that a reason keeps."""

_TARGETS = ("", "subscriber", *list(EVENT_COLUMNS)[:6])
_STATES = pa.array([State.PENDING.value, State.INVALID.value, State.FILTERED.value, State.GROUPED.value])
_PENDING, _INVALID, _FILTERED, _GROUPED = range(4)


def encode(events: Events, result: ValidationResult, *, bodies: bool = True) -> EncodedChunk:
    """Make a chunk ready for the ledger: one entry for each of its ``chunk.count`` rows, in source order.

    A valid row is PENDING and has its body, or GROUPED if it is part of another row's event; a row that does not pass
    the filter is FILTERED; any other is INVALID. Without ``bodies`` they are all null.
    """
    chunk = events.chunk
    events = _in_source_order(events)
    at = chunk.rows - chunk.first_row
    states = np.full(chunk.count, _INVALID)
    states[at[~events.passes_filter]] = _FILTERED
    states[at[result.valid]] = _PENDING
    group_heads = None
    if events.group_heads is not None:
        heads = np.full(chunk.count, -1, np.int64)
        heads[at] = events.group_heads
        states[(states == _PENDING) & (heads >= 0)] = _GROUPED
        group_heads = pa.array(heads, mask=heads < 0)
    columns = {
        "state": _STATES.take(pa.array(states)),
        "line": pa.array(_lines(chunk)),
        "subscriber": pc.coalesce(events.email, events.phone, events.subscriber_id),
        "type": events.type,
        "value": events.value,
        "currency": events.value_currency,
        "body": _bodies(events, pa.array((states == _PENDING) & bodies)),
        "key": events.key,
        "order_value": events.order_value,
        "event_time": events.event_time,
        "group_head": group_heads,
    }
    return EncodedChunk(
        chunk.source,
        chunk.first_row,
        chunk.count,
        pa.table({name: column for name, column in columns.items() if column is not None}),
        identities=(events.subscriber_id, pc.utf8_lower(events.email), events.phone),
        reasons=_reasons(events, result),
        raw_rows=chunk.raw_rows,
        origins=chunk.origins,
        accounts=events.account,
    )


def _in_source_order(events: Events) -> Events:
    """The same with every column spread to ``chunk.count`` rows, null where a row could not be read."""
    chunk = events.chunk
    if not chunk.unreadable:
        return events
    origin = np.full(chunk.count, -1, np.int64)
    origin[chunk.rows - chunk.first_row] = np.arange(len(chunk.rows))
    indices = pa.array(origin, mask=origin < 0)

    def spread(column: ArrowArray) -> ArrowArray:
        return None if column is None else column.take(indices)

    properties = tuple(msgspec.structs.replace(each, values=spread(each.values)) for each in events.properties)
    columns: dict[str, ArrowArray] = {name: spread(getattr(events, name)) for name in EVENT_COLUMNS.values()}
    return msgspec.structs.replace(events, properties=properties, **columns)


def _lines(chunk: Chunk) -> Int64s:
    lines = np.empty(chunk.count, np.int64)
    lines[chunk.rows - chunk.first_row] = chunk.lines
    for unreadable in chunk.unreadable:
        lines[unreadable.row - chunk.first_row] = unreadable.line
    return lines


def _bodies(events: Events, pending: ArrowArray) -> ArrowArray:
    """The bodies as ``binary``, null unless pending."""
    if not pending.true_count:
        return pa.nulls(len(pending), pa.binary())
    identities = {"id": events.subscriber_id, "email": events.email, "phone": events.phone}
    subscriber = [Member(key, values, quoted=True) for key, values in identities.items()]
    pieces = ['{"subscriber":{', *object_pieces(subscriber, len(pending))[0], "}"]
    following = (
        Member("type", events.type, quoted=True),
        Member("value", events.value, quoted=False),
        Member("value_currency", events.value_currency, quoted=True),
    )
    pieces += object_pieces(following, len(pending), follows=True)[0]
    more = events.more_properties
    if events.properties or more is not None:
        inside, any_there = object_pieces([Member.of_property(each) for each in events.properties], len(pending))
        if more is not None and more.null_count < len(more):
            comma = "," if any_there is None else pc.if_else(any_there, ",", "")
            inside.append(pc.binary_join_element_wise(comma, more, ""))
            any_there = None if any_there is None else pc.or_(any_there, more.is_valid())
        marks: list[ArrowArray | str] = [',"properties":{', "}"]
        if any_there is not None:
            marks = [pc.if_else(any_there, one, pa.scalar(None, pa.string())) for one in marks]
        pieces += [marks[0], *inside, marks[1]]
    # A null separator makes a null row, whatever its pieces.
    separator = "" if pending.true_count == len(pending) else pc.if_else(pending, "", pa.scalar(None, pa.string()))
    return joined([*pieces, "}"], separator).view(pa.binary())


def _reasons(events: Events, result: ValidationResult) -> ArrowTable:
    """Every reason of every row: by row, then in the order of the targets."""
    chunk = events.chunk
    targets = (*_TARGETS, *(f"properties.{each.name}" for each in events.properties), "properties", "order_by", "key")
    found = [_of_unreadable(chunk)]
    for one in result.violations:
        rank, count = targets.index(one.field) if one.field in targets else len(targets), len(one.positions)
        said = (pa.repeat(one.code, count), pa.repeat(one.field, count), one.values)
        found.append(_table(chunk.rows[one.positions], rank, *said))
    table = pa.concat_tables(found).combine_chunks()
    table = table.set_column(4, "value", readable(table.column("value").combine_chunks()))
    order = np.lexsort((table["rank"].to_numpy(), table["row"].to_numpy()))
    return table.drop_columns("rank").take(pa.array(order)).combine_chunks()


def _table(
    rows: Sequence[int] | Int64s, rank: int, code: ArrowArray, field: ArrowArray, value: ArrowArray
) -> ArrowTable:
    ranks = pa.repeat(pa.scalar(rank, pa.int64()), len(rows))
    return pa.table({"row": pa.array(rows, pa.int64()), "rank": ranks, "code": code, "field": field, "value": value})


def _of_unreadable(chunk: Chunk) -> ArrowTable:
    """The reasons of the rows that could not be read; their field is what the reader expected, where that matters."""
    undecodable = {"row.undecodable": chunk.source.dialect.encoding}
    codes = [one.code for one in chunk.unreadable]
    fields = [undecodable.get(code, "") for code in codes]
    # A reader shows undecodable bytes as lone surrogates, which Arrow cannot hold.
    values = [one.value.encode("utf-8", "backslashreplace").decode() for one in chunk.unreadable]
    texts = (pa.array(column, pa.string()) for column in (codes, fields, values))
    return _table([one.row for one in chunk.unreadable], 0, *texts)


def readable(values: ArrowArray) -> ArrowArray:
    r"""Offending values for people, never null: everything invisible as ``\n`` or ``\u200b``, at most 80 characters."""
    values = pc.utf8_slice_codeunits(values.fill_null(""), 0, LONGEST_VALUE + 1)
    odd = pc.match_substring_regex(values, r"[^\x20-\x7e]")
    if odd.true_count:
        values = pc.replace_with_mask(values, odd, pa.array(map(shown, values.filter(odd).to_pylist()), pa.string()))
    shortened = pc.binary_join_element_wise(pc.utf8_slice_codeunits(values, 0, LONGEST_VALUE - 1), "…", "")
    return pc.if_else(pc.greater(pc.utf8_length(values), LONGEST_VALUE), shortened, values)
