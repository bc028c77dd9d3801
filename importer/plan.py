"""Plan: prepared chunks → ledger.

This stage owns the order in which sources become a sealed plan, and that a source which breaks off does not stop the
others. Reading, shaping, validating and encoding were done on the way by whoever made the
`PreparedSource`; it leaves every row's storage to the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from importer.errors import SourceError
from importer.ledger.interface import Shelf
from importer.model import Dialect, EncodedChunk, Run, Source


@dataclass(frozen=True, slots=True)
class PreparedSource:
    """One source with its prepared chunks."""

    source: Source
    chunks: Iterable[EncodedChunk]
    """May raise `SourceError` where the source breaks off; what came before is good."""
    digest: Callable[[], str]
    """The content's SHA-256, to be asked when the chunks are at their end."""
    error: str = ""
    """Why the source cannot be read at all."""


def plan(ledger: Shelf, run: Run, supplies: Iterable[PreparedSource], on_rows: Callable[[int], None]) -> None:
    """Write every row of every source into the ledger; ``on_rows`` is told how many came with each chunk."""
    for supply in supplies:
        number = ledger.add_source(run, supply.source)
        digest, error = "", supply.error
        try:
            for prepared in supply.chunks:
                ledger.add_chunk(run, number, prepared)
                on_rows(prepared.count)
            digest = supply.digest()
        except SourceError as broken:
            error = broken.message
        ledger.close_source(run, number, digest=digest, error=error)


def unreadable(name: str) -> Source:
    """A source that cannot even be opened, as far as it is known, so that the books name it."""
    return Source(name, None, Dialect("csv"), None)
