"""Planning: sources become a sealed plan, and one that breaks off does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from importer.errors import SourceError
from importer.ledger.ledger import Ledger
from importer.ledger.planning import store
from importer.model import EncodedChunk, PlannedChunk, Run, SourceStream, State
from importer.plan import plan
from tests.support.ledgers import SOURCE, chunk, new_run, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def broken_off(*chunks: EncodedChunk) -> Iterator[EncodedChunk]:
    yield from chunks
    raise SourceError("orders.csv.gz", "is cut off")


def stream(name: str, *chunks: EncodedChunk, digest: str = "d") -> SourceStream[EncodedChunk]:
    return SourceStream(replace(SOURCE, name=name), chunks, lambda: digest)


def stored(ledger: Ledger, of: SourceStream[EncodedChunk]) -> SourceStream[PlannedChunk]:
    return SourceStream(of.source, (store(one, ledger.hasher) for one in of.chunks), of.digest, of.error)


def planned(ledger: Ledger, *streams: SourceStream[EncodedChunk]) -> tuple[Run, list[int]]:
    heard: list[int] = []
    run = new_run(ledger)
    plan(ledger, run, [stored(ledger, one) for one in streams], heard.append)
    return ledger.seal(run), heard


def test_every_row_of_every_source_is_planned_in_order(ledger: Ledger) -> None:
    one = stream("1.csv", chunk(["a@example.org", "b@example.org"]), chunk(["c@example.org"], first_row=3), digest="1")
    run, heard = planned(ledger, one, stream("2.csv", chunk(["d@example.org"]), digest="2"))
    assert heard == [2, 1, 1]
    assert [(source.source.name, source.rows, source.digest) for source in ledger.sources(run)] == [
        ("1.csv", 3, "1"),
        ("2.csv", 1, "2"),
    ]
    assert ledger.counts(run).balanced


def test_a_source_that_breaks_off_is_not_sent_and_stops_no_other(ledger: Ledger) -> None:
    """Its rows are in the books and in the rejects; when the whole file comes, they are sent once."""
    cut = SourceStream(SOURCE, broken_off(chunk(["a@example.org"])), lambda: "1")
    run, _ = planned(ledger, cut, stream("2.csv", chunk(["b@example.org"]), digest="2"))
    assert [(source.rows, source.digest, source.error) for source in ledger.sources(run)] == [
        (1, "", "orders.csv.gz: is cut off"),
        (1, "2", ""),
    ]
    counts = ledger.counts(run)
    assert (counts[State.INVALID], counts[State.PENDING], counts.balanced) == (1, 1, True)


def test_a_source_that_cannot_be_opened_is_named_in_the_books(ledger: Ledger) -> None:
    run, heard = planned(ledger, SourceStream[EncodedChunk].unopened("gone.csv", "gone.csv: no such file"))
    (source,) = ledger.sources(run)
    assert (source.source.name, source.error, source.rows, heard) == ("gone.csv", "gone.csv: no such file", 0, [])
