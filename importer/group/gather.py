"""A shaped chunk in: the rows of each group within the chunk become one *part*, and everything is put on its shelf.

This module owns the first of the two rounds of grouping, and what is kept of a row until its chunk comes out again.
Parts make the rest independent of the number of rows: a group of a million rows is a few parts.

Shelves: ``("parts",)`` and ``("faults",)`` for `settle`; ``("rows", n)``, ``("originals", n)`` and ``("spoiled", n)``
of the n-th chunk and ``("problems", b)`` of the b-th batch of chunks for `emit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.group.aggregate import Values, aggregate
from importer.group.columns import SHOWN, Column
from importer.group.layout import NONE, Layout
from importer.group.store import Store
from importer.model import (
    ArrowArray,
    ArrowTable,
    Bools,
    Chunk,
    Events,
    GroupTest,
    Int64s,
    Membership,
    Source,
    Violations,
)

BATCH_ROWS = 1 << 17
"""Rows of chunks that come out together; an entry of `Header.batch` each."""

PARTS, FAULTS = ("parts",), ("faults",)


@dataclass(frozen=True, slots=True)
class Header:
    """What is remembered of a chunk, in memory."""

    source_no: int
    source: Source
    first_row: int
    count: int
    start: int
    """The place in the run of its first row."""
    batch: int
    has_originals: bool


class Gatherer:
    """Takes the run's chunks, in order."""

    def __init__(self, columns: Sequence[Column], store: Store) -> None:
        self._columns = columns
        self._store = store
        self.headers: list[Header] = []
        self.starts: list[int] = []
        """Of each source, the place of its first row."""
        self.tests: tuple[GroupTest, ...] = ()
        """Those of any chunk, for what they are."""
        self._places = 0
        self._batch_rows = 0

    def open_source(self) -> None:
        """The next chunks are of another source."""
        self.starts.append(self._places)

    def add(self, events: Events) -> None:
        """Take a chunk. Raises `SpaceError` where it finds no room."""
        membership = events.membership
        assert membership is not None, "only a grouped mapping's events are grouped"
        self.tests = membership.tests
        header = self._header(events.chunk)
        places = header.start + events.chunk.rows - events.chunk.first_row
        grouped = events.passes_filter & membership.keys.is_valid().to_numpy(zero_copy_only=False)
        kept = grouped | (events.passes_filter & _alone(membership))
        codes, keys = _codes(membership.keys, grouped)
        layout = Layout(codes, len(keys))
        positions = np.flatnonzero(grouped)
        firsts = layout.first(np.ones(len(codes), np.bool_))
        part_places = places[positions[firsts]]
        parts = self._parts(events, positions, layout, keys, part_places)
        of_part = np.full(len(places), NONE)
        of_part[positions] = part_places[codes]
        self._put_rows(events, kept, of_part)
        self._put_problems(events, kept & ~grouped, places, header.batch)
        self._store.put(PARTS, parts)

    def _header(self, chunk: Chunk) -> Header:
        full = self._batch_rows + chunk.count > BATCH_ROWS and self._batch_rows > 0
        batch = (self.headers[-1].batch if self.headers else 0) + full
        self._batch_rows = chunk.count if full else self._batch_rows + chunk.count
        header = Header(
            len(self.starts) - 1, chunk.source, chunk.first_row, chunk.count, self._places, batch,
            chunk.raw_rows is not None,
        )  # fmt: skip
        self.headers.append(header)
        self._places += chunk.count
        return header

    def _parts(
        self, events: Events, positions: Int64s, layout: Layout, keys: ArrowArray, part_places: Int64s
    ) -> ArrowTable:
        """One line per group of the chunk; its faults go to their shelf."""
        arrays = {"place": pa.array(part_places), "key": keys}
        indices = pa.array(positions)
        places = part_places[layout.codes]
        own = events.chunk.rows[positions] - events.chunk.first_row + self.headers[-1].start
        for at, column in enumerate(self._columns):
            problems = [one for one in events.violations if one.field == column.target]
            ranks = column.ranks(events)
            given = Values(
                column.of(events).take(indices),
                _rows(problems, len(events.passes_filter))[positions],
                None if ranks is None else ranks.take(indices),
            )
            made = aggregate(column, layout, given)
            arrays[f"c{at}"] = made.values
            if made.ranks is not None:
                arrays[f"r{at}"] = made.ranks
            if problems:
                self._put_faults(
                    problems, positions[made.used], at, (positions, own, places, keys.take(pa.array(layout.codes)))
                )
        assert events.membership is not None, "as above"
        for at, test in enumerate(events.membership.tests):
            arrays[f"t{at}"] = settled_test(test.rows, layout, test.passes.take(indices))
        return pa.table(arrays)

    def _put_faults(
        self, problems: Iterable[Violations], used: Int64s, at: int, rows: tuple[Int64s, Int64s, Int64s, ArrowArray]
    ) -> None:
        """Faults of rows that are part of a group, where they count."""
        positions, own, parts, keys = rows
        for one in problems:
            counts = np.isin(one.positions, used)
            where = np.searchsorted(positions, one.positions[counts])
            self._store.put(
                FAULTS,
                pa.table(
                    {
                        "place": pa.array(own[where]),
                        "part": pa.array(parts[where]),
                        "key": keys.take(pa.array(where)),
                        "column": pa.array(np.full(len(where), at, np.int64)),
                        "code": pa.repeat(one.code, len(where)),
                        "value": one.values.filter(pa.array(counts)),
                    }
                ),
            )

    def _put_problems(self, events: Events, alone: Bools, places: Int64s, batch: int) -> None:
        """What is wrong with rows that are in no group."""
        for one in events.violations:
            stays = alone[one.positions]
            if stays.any():
                positions = one.positions[stays]
                self._store.put(
                    ("problems", batch),
                    problem_table(places[positions], one.code, one.field, one.values.filter(pa.array(stays))),
                )

    def _put_rows(self, events: Events, kept: Bools, of_part: Int64s) -> None:
        number = len(self.headers) - 1
        chunk = events.chunk
        shown = {c.target: c.of(events) for c in self._columns if c.target in SHOWN}
        rows = {"row": pa.array(chunk.rows), "line": pa.array(chunk.lines), "kept": pa.array(kept)}
        self._store.put(("rows", number), pa.table({**rows, "part": pa.array(of_part), **shown}))
        if chunk.raw_rows is not None:
            self._store.put(("raw_rows", number), chunk.raw_rows)
        self._store.put(
            ("unreadable", number),
            pa.table(
                {
                    "row": pa.array([one.row for one in chunk.unreadable], pa.int64()),
                    "line": pa.array([one.line for one in chunk.unreadable], pa.int64()),
                    "code": pa.array([one.code for one in chunk.unreadable], pa.string()),
                    # It may hold lone surrogates, which Arrow's strings cannot.
                    "value": pa.array(
                        [one.value.encode("utf-8", "surrogatepass") for one in chunk.unreadable], pa.binary()
                    ),
                }
            ),
        )


def problem_table(places: Int64s, code: ArrowArray | str, field: str, values: ArrowArray) -> ArrowTable:
    """Problems by the places of their rows."""
    codes = pa.repeat(code, len(places)) if isinstance(code, str) else code
    columns = {"place": pa.array(places), "code": codes, "field": pa.repeat(field, len(places)), "value": values}
    return pa.table(columns)


def settled_test(rows: str, layout: Layout, passes: ArrowArray) -> ArrowArray:
    """What groups say to a test, by what their rows say; null where all of ``first`` are blank."""
    if rows == "first":
        chosen = layout.first(passes.is_valid().to_numpy(zero_copy_only=False))
        return passes.take(pa.array(chosen, mask=chosen == NONE))
    said = passes.to_numpy(zero_copy_only=False).astype(np.bool_)
    return pa.array(layout.any(said) if rows == "any" else ~layout.any(~said))


def _alone(membership: Membership) -> Bools:
    """Whether each row, by itself, passes the tests that are meant for groups."""
    passed = np.ones(len(membership.keys), np.bool_)
    for test in membership.tests:
        passed &= pc.fill_null(test.passes, test.blank).to_numpy(zero_copy_only=False)
    return passed


def _codes(keys: ArrowArray, grouped: Bools) -> tuple[Int64s, ArrowArray]:
    """The groups of the rows that are in one, numbered as they come, and their keys."""
    encoded = keys.filter(pa.array(grouped)).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def _rows(problems: Iterable[Violations], count: int) -> Bools:
    faulty = np.zeros(count, np.bool_)
    for one in problems:
        faulty[one.positions] = True
    return faulty
