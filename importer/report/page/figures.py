"""What the page shows beyond the summary, added up while batches come by.

This module owns which rows count where. Its memory does not grow with the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, Pause, RowBatch, State
from importer.report.explain import Explained, column
from importer.report.page.buckets import DAYS, MONDAY, SECONDS, Buckets
from importer.report.page.latencies import Latencies
from importer.report.page.values import Values

DOUBTS = 200
"""Rows in doubt that are listed."""

DELIVERED, DOUBTFUL, REFUSED, WAITING = range(4)
"""What charts over time tell apart: sent; in doubt; refused, failed or invalid; pending."""
_KINDS = {
    State.SENT: DELIVERED,
    State.IN_DOUBT: DOUBTFUL,
    State.REFUSED: REFUSED,
    State.FAILED: REFUSED,
    State.INVALID: REFUSED,
    State.PENDING: WAITING,
}
"""The states of rows that carry an event of their own; the others were left out, merged or delivered before."""
_STATES = pa.array([state.value for state in _KINDS])
_KIND_OF = np.array([*_KINDS.values()], dtype=np.int64)
_VALUED = pa.array([state.value for state in _KINDS if state is not State.INVALID])


@dataclass(frozen=True, slots=True)
class Doubt:
    """A row in doubt."""

    source: str
    row: int
    line: int
    subscriber: str
    type: str
    message: str


class Figures:
    """Adds up a run's rows for its page."""

    def __init__(self, halts: Sequence[Pause] = ()) -> None:
        self.halts = halts
        """Why nothing was sent, as far as somebody noted it."""
        self.delivery = Buckets(SECONDS, 4)
        """Answers, by the time of each row's last one."""
        self.event_time = Buckets(DAYS, 4, MONDAY)
        """Events, by the source's own time."""
        self.latencies = Latencies()
        self.values = Values()
        self.doubts: list[Doubt] = []
        """The first of the rows in doubt."""

    def add(self, explained: Explained) -> None:
        """Add a batch's rows."""
        batch = explained.batch
        found = pc.index_in(column(batch, "state"), value_set=_STATES)
        self._add_times(batch, found)
        self._add_values(batch)
        self._add_doubts(explained)

    def _add_times(self, batch: RowBatch, found: ArrowArray) -> None:
        latencies = column(batch, "latency_ms").drop_null()
        self.latencies.add(latencies.to_numpy(zero_copy_only=False))
        _count(self.delivery, column(batch, "sent_at"), found)
        micros = column(batch, "event_time")
        if micros.null_count < len(micros):
            _count(self.event_time, pc.divide(pc.cast(micros, pa.float64(), safe=False), 1e6), found)

    def _add_values(self, batch: RowBatch) -> None:
        states = column(batch, "state")
        here = pc.is_in(states, value_set=_VALUED)
        columns = [column(batch, name).filter(here) for name in ("type", "value", "currency")]
        self.values.add(columns[0], columns[1], columns[2], pc.equal(states, State.SENT.value).filter(here))

    def _add_doubts(self, explained: Explained) -> None:
        room = DOUBTS - len(self.doubts)
        batch = explained.batch
        here = pc.equal(column(batch, "state"), State.IN_DOUBT.value)
        places = np.flatnonzero(here.to_numpy(zero_copy_only=False))[:room]
        if not len(places):
            return
        chosen = pa.array(places)
        names = ("row", "line", "subscriber", "type")
        columns = [column(batch, name).take(chosen).to_pylist() for name in names]
        messages = explained.messages.take(chosen).to_pylist()
        for row, line, subscriber, kind, message in zip(*columns, messages, strict=True):
            self.doubts.append(Doubt(batch.source.name, row, line, subscriber or "", kind or "", message or ""))


def _count(buckets: Buckets, seconds: ArrowArray, found: ArrowArray) -> None:
    """Count the moments that there are, of rows that carry an event."""
    counted = pc.and_(seconds.is_valid(), found.is_valid())
    moments = seconds.filter(counted).to_numpy(zero_copy_only=False)
    kinds = _KIND_OF[found.filter(counted).to_numpy(zero_copy_only=False)]
    buckets.add(moments, kinds)
