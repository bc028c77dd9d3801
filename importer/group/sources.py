"""The whole of grouping: all sources of a run in, the same sources out.

This module owns the two passes, and what a source that breaks off or comes twice means for groups: the groups of one
that broke off may be incomplete, so none of them is sent; a copy of another source makes groups of its own, which the
ledger will know as the copies they are.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from importer.errors import SourceError
from importer.group.columns import columns_of
from importer.group.emit import Emitter
from importer.group.gather import Gatherer
from importer.group.settle import Grounds, Settler
from importer.group.store import Store
from importer.mapping.model import ImportMapping
from importer.model import Events, Int64s, SourceStream


@dataclass(frozen=True, slots=True)
class _Read:
    """A source that was read."""

    shaped: SourceStream[Events]
    digest: str
    broken: SourceError | None


def grouped(
    sources: Iterable[SourceStream[Events]], mapping: ImportMapping, absent: Events
) -> Generator[SourceStream[Events], None, None]:
    """The same sources with one event per group; all are read before the first comes out.

    ``absent`` is one row without a cell, shaped as if it stood alone: what a group's columns get where no row of it has
    a value, and the problems of those that cannot be absent. The sources must be taken in order, each to its end.
    Raises `SpaceError` where the rows that wait find no room.
    """
    columns = columns_of(mapping, absent)
    with Store() as store:
        gatherer = Gatherer(columns, store)
        read = [_gathered(one, gatherer) for one in sources]
        if gatherer.headers:
            grounds = Grounds(
                columns=columns,
                tests=gatherer.tests,
                absent=absent,
                names=[one.shaped.source.name for one in read],
                starts=np.array(gatherer.starts, np.int64),
                spaces=_spaces([one.digest for one in read]),
                broken=np.array([one.broken is not None for one in read], np.bool_),
                batches=_batches(gatherer),
            )
            Settler(grounds, store).settle()
        emitter = Emitter(columns, absent, gatherer.headers, store)
        for number, one in enumerate(read):
            yield SourceStream(
                one.shaped.source, _given(emitter, number, one), partial(str, one.digest), one.shaped.error
            )


def _gathered(shaped: SourceStream[Events], gatherer: Gatherer) -> _Read:
    gatherer.open_source()
    try:
        for events in shaped.chunks:
            gatherer.add(events)
    except SourceError as broken:
        return _Read(shaped, "", broken)
    return _Read(shaped, "" if shaped.error else shaped.digest(), None)


def _given(emitter: Emitter, number: int, one: _Read) -> Iterator[Events]:
    yield from emitter.chunks(number)
    if one.broken is not None:
        raise one.broken


def _spaces(digests: list[str]) -> Int64s:
    """0 for each source, but for one whose content came before: its own number."""
    seen: set[str] = set()
    spaces = np.zeros(len(digests), np.int64)
    for number, digest in enumerate(digests):
        if digest and digest in seen:
            spaces[number] = number
        seen.add(digest)
    return spaces


def _batches(gatherer: Gatherer) -> Int64s:
    starts: dict[int, int] = {}
    for header in gatherer.headers:
        starts.setdefault(header.batch, header.start)
    return np.array(list(starts.values()), np.int64)
