"""What the ledger remembers of a run, and what it tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from importer.model.arrays import ArrowTable
from importer.model.events import Reason
from importer.model.sources import Source
from importer.model.states import RunState, State


@dataclass(frozen=True, slots=True)
class Counts:
    """A run's books."""

    read: int
    by_state: Mapping[State, int] = field(default_factory=dict)

    def __getitem__(self, state: State) -> int:
        return self.by_state.get(state, 0)

    @property
    def balanced(self) -> bool:
        """Whether every row read is in exactly one state."""
        return self.read == sum(self.by_state.values())


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the ledger remembers it. Times are seconds since the epoch."""

    no: int
    """The ledger's own number; row ids are made from it."""
    id: str
    """What users type: ``20261123-180355-k7``."""
    account: str
    endpoint: str
    state: RunState
    created_at: float
    started_at: float | None
    """When the first request was about to leave."""
    finished_at: float | None
    mapping_name: str
    """The mapping's path or preset, as given."""
    mapping_text: str
    mapping_digest: str
    """SHA-256 of the parsed mapping, so that comments and layout do not count."""
    stop_reason: str
    """Why it stopped before its end, in the user's words; empty otherwise."""
    options: Mapping[str, Any]
    """What the command line asked for and `resume` must keep (strict, on_doubt, out …); JSON values only."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """One source of a run, as the ledger remembers it."""

    no: int
    source: Source
    digest: str
    """SHA-256 of the content (decompressed for CSV and JSONL); empty until it was read to its end."""
    rows: int
    error: str
    """Why the file could not be read (to its end); empty if it could."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """A planned chunk with what became of its rows: consecutive rows of one source, in source order."""

    source: Source
    table: ArrowTable
    """Columns row int64, line int64, state string, http_status int16 (null: no answer), attempts int32, key string,
    subscriber string, type string, sent_at float64 (epoch seconds of the last answer), latency_ms float64,
    code string and message string (of delivery: ``api.refused`` and the API's words; null if none), and of the row that
    carries the event which a row is part of: leader int64 (its row number), leader_source string (its source's name;
    null if it is this one) and leader_state string. Of the event itself value string (a JSON number), currency string
    and occurred int64 (microseconds since the epoch, the source's own time)."""
    reasons: tuple[Reason, ...]
    """What planning found, ascending by row."""
    originals: ArrowTable | None
    """As in ``Chunk.originals``, one row for each of ``table``; None unless asked for and still kept."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run is about to do: the guard's picture before a live run."""

    events: int
    subscribers: int
    most_for_one: int
    """Most events that one subscriber gets."""
    most_subscriber: str
    types: tuple[tuple[str, int], ...]
    """Types and their events, most first; at most 20."""
    totals: tuple[tuple[str, int, str], ...]
    """Currency (empty: none), events with a value, and the exact sum as decimal text; most events first."""
    oldest: float | None
    """The source's own time, seconds since the epoch."""
    newest: float | None
