"""The types that cross from room to room; all frozen.

This module owns the vocabulary: what a source, a chunk, an event, a problem, a fate and a state are.
It leaves every operation on them to the stages (read, shape, validate, encode, plan, deliver, report)
and knows no file format, no HTTP and no SQL.

Conventions: *row* is 1-based over a source's data rows; *line* is the 1-based physical line where that
row starts (for Parquet it equals the row); *position* is the 0-based place within a chunk's table.
"""

from __future__ import annotations

from importer.model.arrays import ArrowArray, ArrowTable, Bools, Format, Int64s
from importer.model.delivery import Answer, Claim, Halt, Outcome, Pace
from importer.model.events import (
    Events,
    GroupTest,
    Kind,
    Membership,
    Prepared,
    Problems,
    Property,
    Reason,
    RowsWord,
    Verdict,
)
from importer.model.runs import Counts, Outlook, RowBatch, Run, RunSource
from importer.model.sources import Chunk, Dialect, Source, Spoiled
from importer.model.states import Fate, HaltKind, RunState, State

__all__ = [
    "Answer",
    "ArrowArray",
    "ArrowTable",
    "Bools",
    "Chunk",
    "Claim",
    "Counts",
    "Dialect",
    "Events",
    "Fate",
    "Format",
    "GroupTest",
    "Halt",
    "HaltKind",
    "Int64s",
    "Kind",
    "Membership",
    "Outcome",
    "Outlook",
    "Pace",
    "Prepared",
    "Problems",
    "Property",
    "Reason",
    "RowBatch",
    "RowsWord",
    "Run",
    "RunSource",
    "RunState",
    "Source",
    "Spoiled",
    "State",
    "Verdict",
]
