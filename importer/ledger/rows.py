"""A chunk as the ledger stores it, made by the process that writes the ledger, or by a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.ledger.identities import Hasher, first_of
from importer.model import StoredChunk

if TYPE_CHECKING:
    from importer.model import ArrowArray, EncodedChunk, Int64s


def part_of(stored: StoredChunk, offsets: Int64s) -> StoredChunk:
    """Some of a chunk's rows; ``first_row`` stays that of the whole."""
    at = pa.array(offsets)

    def part(column: Any) -> Any:
        return None if column is None else column.take(at)

    by_id, email, phone = stored.identifiers
    its = pc.is_in(stored.reasons.column("row"), value_set=pa.array(stored.first_row + offsets))
    return msgspec.structs.replace(
        stored,
        count=len(offsets),
        rows=part(stored.rows),
        identifiers=(by_id[offsets], email[offsets], phone[offsets]),
        reasons=stored.reasons.filter(its),
        raw_rows=part(stored.raw_rows),
        origins=part(stored.origins),
        accounts=part(stored.accounts),
    )


def store(prepared: EncodedChunk, hasher: Hasher) -> StoredChunk:
    """What the ledger with that secret stores of a chunk."""
    by_id, email, phone = (hasher.identifiers(column, kind) for kind, column in enumerate(prepared.identities))
    rows = {
        "state": prepared.states,
        "line": pa.array(prepared.lines),
        "subscriber": prepared.subscribers,
        "type": prepared.types,
        "value": prepared.values,
        "currency": prepared.currencies,
        "event_time": prepared.event_time,
        "order_value": None if prepared.places is None else _sortable(prepared.places),
        "group_head": _group_heads(prepared.group_heads),
        "key": prepared.keys,
        **_keys(prepared, hasher, pa.array(first_of(email, phone, by_id))),
        "body": prepared.bodies,
    }
    return StoredChunk(
        prepared.first_row,
        prepared.count,
        pa.table({name: column for name, column in rows.items() if column is not None}),
        (by_id, email, phone),
        prepared.reasons,
        prepared.raw_rows,
        prepared.origins,
        prepared.accounts,
    )


def _keys(prepared: EncodedChunk, hasher: Hasher, subscribers: ArrowArray) -> dict[str, ArrowArray]:
    """What makes keys and the events behind them comparable, for the rows that are to be sent."""
    if prepared.keys is None:
        return {}
    pending = pc.and_(pc.is_valid(prepared.bodies), pc.is_valid(prepared.keys))
    return {
        "key_hash": hasher.keys(pc.if_else(pending, prepared.keys, None)),
        "event_hash": hasher.events(pc.if_else(pending, prepared.bodies, None)),
        "subscriber_hash": pc.if_else(pending, subscribers, None),
    }


def _group_heads(heads: Int64s | None) -> ArrowArray | None:
    return None if heads is None else pa.array(heads, mask=heads < 0)


def _sortable(values: ArrowArray) -> ArrowArray:
    """Order values as bytes that sort as the values do; null stays null."""
    sign = np.uint64(1 << 63)
    if pa.types.is_integer(values.type):
        numbers = values.fill_null(0).cast(pa.int64()).to_numpy().view(np.uint64) ^ sign
    elif pa.types.is_floating(values.type):
        bits = (values.fill_null(0).to_numpy() + 0.0).view(np.uint64)
        numbers = np.where(bits & sign, ~bits, bits | sign)
    else:
        return values.cast(pa.binary())
    ordered = pa.Array.from_buffers(pa.binary(8), len(values), [None, pa.py_buffer(numbers.astype(">u8"))])
    return pc.if_else(values.is_valid(), ordered.cast(pa.binary()), None)
