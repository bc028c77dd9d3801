"""A checked chunk in the shape in which the ledger tells of a planned one.

This module owns that likeness, so that `importer check` and `importer run` write their reports with one program.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, EncodedChunk, Reason, RowBatch, State


class Checked:
    """A run's chunks, one after the other, as `Ledger.batches` would give them before anything is sent."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._starts: list[int] = []
        """Of each source, how many rows stand before it."""
        self._rows = 0
        self._invalid = np.empty(0, np.int64)
        """The places of rows that cannot be sent, ascending; a leader is always read before its members."""

    def __call__(self, prepared: EncodedChunk) -> RowBatch:
        """The next chunk's rows."""
        count = prepared.count
        if prepared.first_row == 1:
            self._names.append(prepared.source.name)
            self._starts.append(self._rows)
        columns = {
            "row": pa.array(np.arange(prepared.first_row, prepared.first_row + count, dtype=np.int64)),
            "line": pa.array(prepared.lines),
            "state": prepared.states,
            "http_status": pa.nulls(count, pa.int16()),
            "attempts": pa.repeat(pa.scalar(0, pa.int32()), count),
            "key": pa.nulls(count, pa.string()) if prepared.keys is None else prepared.keys,
            "subscriber": prepared.subscribers,
            "type": prepared.types,
            "sent_at": pa.nulls(count, pa.float64()),
            "latency_ms": pa.nulls(count, pa.float64()),
            "code": pa.nulls(count, pa.string()),
            "message": pa.nulls(count, pa.string()),
            **self._leaders(prepared),
            "value": prepared.values,
            "currency": prepared.currencies,
            "event_time": pa.nulls(count, pa.int64()) if prepared.event_time is None else prepared.event_time,
        }
        self._rows += count
        lines = zip(*(column.to_pylist() for column in prepared.reasons.columns), strict=True)
        return RowBatch(
            source=prepared.source,
            table=pa.table(columns),
            reasons=tuple(Reason(*line) for line in lines),
            raw_rows=prepared.raw_rows,
        )

    def _leaders(self, prepared: EncodedChunk) -> dict[str, ArrowArray]:
        count = prepared.count
        if prepared.group_heads is None:
            texts = pa.nulls(count, pa.string())
            return {"leader": pa.nulls(count, pa.int64()), "leader_source": texts, "leader_state": texts}
        invalid = pc.equal(prepared.states, State.INVALID.value).to_numpy(zero_copy_only=False)
        self._invalid = np.append(self._invalid, self._rows + np.flatnonzero(invalid & (prepared.group_heads < 0)))
        none = prepared.group_heads < 0
        sources = np.searchsorted(np.array(self._starts), prepared.group_heads, side="right") - 1
        rows = prepared.group_heads - np.array(self._starts)[sources] + 1
        names = pa.array(self._names, pa.string()).take(pa.array(sources, mask=none))
        here = len(self._starts) - 1
        states = np.where(np.isin(prepared.group_heads, self._invalid), State.INVALID.value, State.PENDING.value)
        return {
            "leader": pa.array(rows, mask=none),
            "leader_source": pc.if_else(pa.array(sources == here), pa.scalar(None, pa.string()), names),
            "leader_state": pa.array(states.astype(object), pa.string(), mask=none),
        }
