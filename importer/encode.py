"""Event columns → the very bytes of the requests' bodies, merged with the rows that could not be read.

This module owns a body's layout (compact JSON; subscriber with id, email and phone, then type, value, value_currency
and properties in the mapping's order; what is absent is left out) and what the ledger is told of each row. How JSON is
written is ``json_columns``'s; which rows are valid is ``validate``'s.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.json_columns import Member, Piece, always_there, concatenate, following, joined, object_pieces
from importer.model import (
    ArrowArray,
    ArrowTable,
    Chunk,
    EncodedChunk,
    Events,
    Int64s,
    State,
    UnreadableRow,
    ValidationResult,
    Violations,
)
from importer.texts import text_bytes

LONGEST_VALUE = 80
"""Characters of an offending value that a reason keeps."""

_TARGETS = (
    "",
    "subscriber",
    "subscriber.id",
    "subscriber.email",
    "subscriber.phone",
    "type",
    "value",
    "value_currency",
)
_UNREADABLE = r"[\x00-\x1f\x7f\x{80}-\x{9f}]"
"""RE2: control characters, which would garble a terminal or a spreadsheet."""
_STATES = pa.array([State.PENDING.value, State.INVALID.value, State.FILTERED.value, State.GROUPED.value])
_PENDING, _INVALID, _FILTERED, _GROUPED = range(4)


def encode(events: Events, verdict: ValidationResult, *, bodies: bool = True) -> EncodedChunk:
    """Make a chunk ready for the ledger: one entry for each of its ``chunk.count`` rows, in source order.

    A valid row is PENDING and has its body, or GROUPED if it is part of another row's event; a row that ``where`` left
    out is FILTERED; any other is INVALID. Without ``bodies``, for who will not send any, they are all null.
    """
    chunk = events.chunk
    events = _in_source_order(events)
    at = chunk.rows - chunk.first_row
    states = np.full(chunk.count, _INVALID)
    states[at[~events.passes_filter]] = _FILTERED
    states[at[verdict.valid]] = _PENDING
    group_heads = _leaders(events)
    if group_heads is not None:
        states[(states == _PENDING) & (group_heads >= 0)] = _GROUPED
    return EncodedChunk(
        source=chunk.source,
        first_row=chunk.first_row,
        count=chunk.count,
        lines=_lines(chunk),
        states=_STATES.take(pa.array(states)),
        group_heads=group_heads,
        bodies=_bodies(events, pa.array((states == _PENDING) & bodies)),
        subscribers=pc.coalesce(events.email, events.phone, events.subscriber_id),
        identities=(events.subscriber_id, _lower(events.email), events.phone),
        types=events.type,
        values=events.value,
        currencies=events.value_currency,
        keys=events.key,
        places=events.order_value,
        event_time=events.event_time,
        reasons=_reasons(events, verdict),
        raw_rows=chunk.raw_rows,
        origins=chunk.origins,
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

    return dataclasses.replace(
        events,
        subscriber_id=spread(events.subscriber_id),
        email=spread(events.email),
        phone=spread(events.phone),
        type=spread(events.type),
        value=spread(events.value),
        value_currency=spread(events.value_currency),
        properties=tuple(dataclasses.replace(each, values=spread(each.values)) for each in events.properties),
        key=spread(events.key),
        order_value=spread(events.order_value),
        event_time=spread(events.event_time),
    )


def _leaders(events: Events) -> Int64s | None:
    if events.group_heads is None:
        return None
    group_heads = np.full(events.chunk.count, -1, np.int64)
    group_heads[events.chunk.rows - events.chunk.first_row] = events.group_heads
    return group_heads


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
    rows = None if pending.true_count == len(pending) else pending
    subscriber = [
        Member("id", events.subscriber_id, quoted=True),
        Member("email", events.email, quoted=True),
        Member("phone", events.phone, quoted=True),
    ]
    pieces = ['{"subscriber":', *object_pieces(subscriber, rows)]
    for member in (
        Member("type", events.type, quoted=True),
        Member("value", events.value, quoted=False),
        Member("value_currency", events.value_currency, quoted=True),
    ):
        pieces += following(member, rows)
    properties = [Member.of_property(each) for each in events.properties]
    return concatenate([*pieces, *_properties(properties, rows), "}"], rows).view(pa.binary())


def _properties(members: Sequence[Member], rows: ArrowArray | None) -> list[Piece]:
    """The pieces of ``,"properties":{…}``; nothing for a row that has none."""
    if not members:
        return []
    if any(always_there(member, rows) for member in members):
        return [',"properties":', *object_pieces(members, rows)]
    inside = joined(members)
    inside = pc.if_else(pc.equal(inside, ""), pa.scalar(None, pa.string()), inside)
    return [pc.binary_join_element_wise(',"properties":{', inside, "}", "")]


def _lower(values: ArrowArray) -> ArrowArray:
    """In lower case; most columns are already, and looking is cheaper than rewriting."""
    data = text_bytes(values)
    upper = (data >= ord("A")) & (data <= ord("Z"))
    return pc.utf8_lower(values) if upper.any() or data.max(initial=0) >= 0x80 else values


def _reasons(events: Events, verdict: ValidationResult) -> ArrowTable:
    """Every reason of every row: by row, then in the order of the targets."""
    chunk = events.chunk
    targets = (*_TARGETS, *(f"properties.{each.name}" for each in events.properties), "properties", "order_by", "key")
    found = [_table(problems, chunk.rows[problems.positions], targets) for problems in verdict.violations]
    found.append(_of_spoiled(chunk))
    table = pa.concat_tables(found).combine_chunks()
    order = np.lexsort((table["rank"].to_numpy(), table["row"].to_numpy()))
    return table.drop_columns("rank").take(pa.array(order)).combine_chunks()


def _table(problems: Violations, rows: Int64s, targets: Sequence[str]) -> ArrowTable:
    rank = targets.index(problems.field) if problems.field in targets else len(targets)
    return pa.table(
        {
            "row": pa.array(rows, pa.int64()),
            "rank": pa.array(np.full(len(rows), rank, np.int64)),
            "code": pa.repeat(problems.code, len(rows)),
            "field": pa.repeat(problems.field, len(rows)),
            "value": readable(problems.values),
        }
    )


def _of_spoiled(chunk: Chunk) -> ArrowTable:
    """The reasons of the rows that could not be read; their field is what the reader expected, where that matters."""

    def field(unreadable: UnreadableRow) -> str:
        return chunk.source.dialect.encoding if unreadable.code == "row.undecodable" else ""

    # A reader shows undecodable bytes as lone surrogates, which Arrow cannot hold.
    values = [unreadable.value.encode("utf-8", "backslashreplace").decode() for unreadable in chunk.unreadable]
    return pa.table(
        {
            "row": pa.array([unreadable.row for unreadable in chunk.unreadable], pa.int64()),
            "rank": pa.array([0] * len(chunk.unreadable), pa.int64()),
            "code": pa.array([unreadable.code for unreadable in chunk.unreadable], pa.string()),
            "field": pa.array([field(unreadable) for unreadable in chunk.unreadable], pa.string()),
            "value": readable(pa.array(values, pa.string())),
        }
    )


def readable(values: ArrowArray) -> ArrowArray:
    r"""Offending values for human eyes, never null: control characters as ``\n`` or ``\x1b``, at most 80 characters."""
    values = pc.utf8_slice_codeunits(values.fill_null(""), 0, LONGEST_VALUE + 1)
    garbled = pc.match_substring_regex(values, _UNREADABLE)
    if garbled.true_count:
        escaped = [_escape(value) for value in values.filter(garbled).to_pylist()]
        values = pc.replace_with_mask(values, garbled, pa.array(escaped, pa.string()))
    shortened = pc.binary_join_element_wise(pc.utf8_slice_codeunits(values, 0, LONGEST_VALUE - 1), "…", "")
    return pc.if_else(pc.greater(pc.utf8_length(values), LONGEST_VALUE), shortened, values)


def _escape(value: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: found[0].encode("unicode_escape").decode(), value)
