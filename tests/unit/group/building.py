"""Rows, cut into sources and chunks, grouped; and the same worked out row by row, with dictionaries and decimals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from importer.convert import RowMapper
from importer.errors import SourceError
from importer.group import grouped
from importer.mapping.model import ImportMapping
from importer.model import Chunk, Dialect, Events, Source, SourceStream, UnreadableRow

Row = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class File:
    """A source's rows (None: cannot be read), cut into chunks of these sizes."""

    name: str
    rows: Sequence[Row | None]
    sizes: Sequence[int] = (1000,)
    digest: str = ""
    breaks_off: bool = False
    columns: Sequence[str] = ("g", "id", "q", "p", "t", "s", "at")


@dataclass
class Made:
    """What became of each row, by its place in the run."""

    group_heads: list[int] = field(default_factory=list)
    passes_filter: list[bool] = field(default_factory=list)
    violations: set[tuple[int, str, str, str]] = field(default_factory=set)
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def converted(one: File, mapper: RowMapper, change: Callable[[Events], Events]) -> SourceStream[Events]:
    """The file as a source whose chunks are converted when they are asked for."""
    source = Source(one.name, None, Dialect("csv"), tuple(one.columns))

    def chunks() -> Iterator[Events]:
        first = 0
        for size in _sizes(one):
            yield change(mapper(_chunk(source, one, first, one.rows[first : first + size])))
            first += size
        if one.breaks_off:
            raise SourceError(one.name, "it broke off")

    return SourceStream(source, chunks(), lambda: one.digest)


def _sizes(one: File) -> Iterator[int]:
    left, at = len(one.rows), 0
    while left > 0:
        size = min(left, one.sizes[at % len(one.sizes)])
        yield size
        left, at = left - size, at + 1


def _chunk(source: Source, one: File, first: int, rows: Sequence[Row | None]) -> Chunk:
    good = [at for at, row in enumerate(rows) if row is not None]
    table = pa.table({name: pa.array([(rows[at] or {}).get(name) for at in good], pa.string()) for name in one.columns})
    numbers = np.array(good, np.int64) + first + 1
    unreadable = tuple(
        UnreadableRow(first + at + 1, first + at + 2, "row.ragged", "\udcff")
        for at, row in enumerate(rows)
        if row is None
    )
    raw_rows = pa.table({"record": pa.array([str(row).encode() for row in rows], pa.binary())})
    return Chunk(source, first + 1, len(rows), table, numbers, numbers + 1, unreadable, {}, raw_rows)


def group(mapping: ImportMapping, *files: File, change: Callable[[Events], Events] = lambda events: events) -> Made:
    """Group the files' rows as a run does; ``change`` stands for other things that conversion may say."""
    mapper = RowMapper(mapping)
    made, place = Made(), 0
    for source in grouped([converted(one, mapper, change) for one in files], mapping, mapper.absent()):
        try:
            for events in source.chunks:
                _note(made, events, place)
                place += events.chunk.count
        except SourceError as error:
            made.errors.append(error.source)
    return made


def _note(made: Made, events: Events, start: int) -> None:
    count = events.chunk.count
    assert events.group_heads is not None
    assert len(events.chunk.rows) + len(events.chunk.unreadable) == count
    assert events.chunk.raw_rows is not None
    assert events.chunk.raw_rows.num_rows == count
    at = events.chunk.rows - events.chunk.first_row
    group_heads, kept = np.full(count, -2), np.zeros(count, bool)
    group_heads[at], kept[at] = events.group_heads, events.passes_filter
    made.group_heads += group_heads.tolist()
    made.passes_filter += kept.tolist()
    for one in events.violations:
        places = start + at[one.positions]
        found = zip(places.tolist(), one.values.to_pylist(), strict=True)
        made.violations |= {(place, one.code, one.field, value) for place, value in found}
    columns: dict[str, Any] = {one.name: one.values for one in events.properties}
    columns |= {"id": events.subscriber_id, "value": events.value, "key": events.key, "place": events.order_value}
    for position, leader in enumerate(events.group_heads.tolist()):
        if leader < 0 and kept[at[position]]:
            made.events[start + int(at[position])] = {
                name: None if values is None else values[position].as_py() for name, values in columns.items()
            }


def plain(number: Decimal) -> str:
    """A decimal as a canonical token."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
