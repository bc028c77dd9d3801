"""The stage *plan*: chunks → ledger. A source that breaks off does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from importer.errors import SourceError
from importer.model import PlannedChunk, Run, Source, SourceStream


class PlanTarget(Protocol):
    """Where a plan goes: a ledger, or those of several accounts. See `importer.ledger.planning.PlanWriter`."""

    def add_source(self, run: Run, source: Source, /) -> int:
        """Register the next source."""

    def add_chunk(self, run: Run, source_no: int, chunk: PlannedChunk, /) -> None:
        """Store its next chunk, unless a worker has written it."""

    def close_source(self, run: Run, source_no: int, /, *, digest: str, error: str) -> None:
        """It was read to its end, or to its error."""


def plan(
    ledger: PlanTarget,
    run: Run,
    sources: Iterable[SourceStream[PlannedChunk]],
    on_rows: Callable[[int], None],
) -> None:
    """Write every row of every source into the ledger; ``on_rows`` gets the number of rows of each chunk."""
    for stream in sources:
        number = ledger.add_source(run, stream.source)
        digest, error = "", stream.error
        try:
            for chunk in stream.chunks:
                ledger.add_chunk(run, number, chunk)
                on_rows(chunk.count)
            digest = stream.digest()
        except SourceError as broken:
            error = broken.message
        ledger.close_source(run, number, digest=digest, error=error)
