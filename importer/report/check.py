"""What `importer check` adds to a report: rows without a ledger, a forecast, unused columns, and lines to write.

`Checked` gives checked chunks the form in which the ledger gives planned ones, so that check and run write their
reports with one program. `Checking` looks at the same chunks for what only a check says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.columns import flags, whole
from importer.mapping.columns import UnusedColumns, check_columns
from importer.mapping.load import LoadedMapping
from importer.model import ArrowArray, EncodedChunk, RowBatch, Source, State
from importer.report.model import CheckSummary, MappingAdvice, MissingColumn, ReasonSummary, SourceColumns, Summary
from importer.report.totals import Totals

ASSUMED_RATE = 60
"""Events a minute: the limit of the API's own example, as none is stated (its pages on rate limits)."""
_SAMPLES = 3
_MAYBE = {name: pa.string() for name in ("key", "code", "message", "leader_source", "leader_state")}
_MAYBE |= {"event_time": pa.int64(), "http_status": pa.int16(), "sent_at": pa.float64(), "latency_ms": pa.float64()}
_MAYBE["leader"] = pa.int64()
"""Columns that are empty unless a chunk has them."""


class Checked:
    """A run's chunks, one after the other, as `Ledger.batches` would give them before anything is sent."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._starts: list[int] = []
        """Of each source, how many rows are before it."""
        self._rows = 0
        self._invalid = np.empty(0, np.int64)
        """The places of rows that cannot be sent, ascending; a group's head is always read before its members."""

    def __call__(self, prepared: EncodedChunk) -> RowBatch:
        """The next chunk's rows."""
        count = prepared.count
        if prepared.first_row == 1:
            self._names.append(prepared.source.name)
            self._starts.append(self._rows)
        columns = {name: pa.nulls(count, kind) for name, kind in _MAYBE.items()}
        columns |= {name: prepared.rows.column(name) for name in prepared.rows.column_names}
        columns["row"] = pa.array(np.arange(prepared.first_row, prepared.first_row + count, dtype=np.int64))
        columns["attempts"] = pa.repeat(pa.scalar(0, pa.int32()), count)
        if "group_head" in columns:
            columns |= self._heads(prepared)
        self._rows += count
        return RowBatch(prepared.source, pa.table(columns), prepared.reasons, prepared.raw_rows)

    def _heads(self, prepared: EncodedChunk) -> dict[str, ArrowArray]:
        """Which row each row of a group is part of."""
        heads = pc.fill_null(whole(prepared.rows["group_head"]), -1).to_numpy()
        invalid = flags(pc.equal(whole(prepared.rows["state"]), State.INVALID.value))
        self._invalid = np.append(self._invalid, self._rows + np.flatnonzero(invalid & (heads < 0)))
        none = heads < 0
        sources = np.searchsorted(np.array(self._starts), heads, side="right") - 1
        rows = heads - np.array(self._starts)[sources] + 1
        names = pa.array(self._names, pa.string()).take(pa.array(sources, mask=none))
        here = len(self._starts) - 1
        states = np.where(np.isin(heads, self._invalid), State.INVALID.value, State.PENDING.value)
        return {
            "leader": pa.array(rows, mask=none),
            "leader_source": pc.if_else(pa.array(sources == here), pa.scalar(None, pa.string()), names),
            "leader_state": pa.array(states.astype(object), pa.string(), mask=none),
        }


Advise = Callable[[Sequence[ReasonSummary]], Sequence[MappingAdvice | None]]
"""What to change in the mapping about each reason; None where nothing in it would help."""


def with_advice(summary: Summary, advise: Advise | None) -> Summary:
    """The summary, each of its reasons with the line of the mapping that helps."""
    if advise is None or not summary.reasons:
        return summary
    found = zip(summary.reasons, advise(summary.reasons), strict=True)
    return replace(summary, reasons=tuple(replace(one, advice=line) for one, line in found))


class Checking:
    """Looks at everything that a check reads, and adds it to the summary in the end; memory is bounded."""

    def __init__(self, loaded: LoadedMapping, rate: int, advise: Advise | None = None) -> None:
        self._mapping = loaded.mapping
        self._rate = rate
        self._advise = advise
        self._headers: dict[tuple[str, ...], list[str]] = {}
        self._samples: list[str] = []

    def add(self, prepared: EncodedChunk) -> None:
        """Look at a chunk: its first bodies, where bodies are made."""
        if len(self._samples) < _SAMPLES:
            bodies = prepared.rows["body"].drop_null().slice(0, _SAMPLES - len(self._samples))
            self._samples += [body.decode() for body in bodies.to_pylist()]

    def close_source(self, source: Source) -> None:
        """Look at the header of a source; JSON lines have none, since every line may have other keys."""
        if source.columns:
            # Readers find columns without the blanks around their names.
            self._headers.setdefault(tuple(map(str.strip, source.columns)), []).append(source.name)

    def explain(self, summary: Summary, totals: Totals) -> Summary:
        """The summary with all that was found."""
        found = CheckSummary(totals.forecast(self._rate), self._columns(), tuple(self._samples))
        return replace(with_advice(summary, self._advise), check=found)

    def _columns(self) -> tuple[SourceColumns, ...]:
        wanted = self._mapping.columns()
        more = None if self._mapping.more_properties is None else UnusedColumns(self._mapping)
        return tuple(
            SourceColumns(
                sources=tuple(names),
                unmapped=tuple(
                    name for name in header if not (_is_mapped(name, wanted) or (more and more.property_of(name)))
                ),
                missing=tuple(
                    MissingColumn(one.name, one.targets, one.nearest) for one in check_columns(self._mapping, header)
                ),
            )
            for header, names in self._headers.items()
        )


def _is_mapped(name: str, wanted: tuple[str, ...]) -> bool:
    """Whether anything reads it; what a rejects file adds, and a column without a name, nothing has to."""
    if not name.strip() or name.startswith("importer_"):
        return True
    return any(one == name or one.startswith((f"{name}.", f"{name}[")) for one in wanted)
