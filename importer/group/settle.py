"""Parts → whole groups: the second round of grouping, over pieces small enough for memory.

This module owns what a group is: which parts belong together, what its columns come to, whether ``where`` takes it, and
what is wrong with it. Its shelves for `emit`, each by the b-th batch of chunks: ``("links", b)`` tells of each part
which leader it has, ``("leaders", b)`` has the events, and ``("problems", b)`` what is wrong with a row.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.group.aggregate import Values, aggregate
from importer.group.columns import Column
from importer.group.gather import FAULTS, PARTS, problem_table, settled_test
from importer.group.layout import Layout
from importer.group.store import Store
from importer.model import ArrowArray, ArrowTable, Bools, Events, GroupTest, Int64s

if TYPE_CHECKING:
    import numpy.typing as npt

PIECE = 24 << 20
"""Bytes of parts that are settled at a time; what is more is cut by a hash of the keys, so that groups stay whole."""
_MOST_PIECES = 256
_MOST_CUTS = 3
"""After that, what is still too large are groups that cannot be cut."""

Shelf = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the run is like, as far as groups are concerned."""

    columns: Sequence[Column]
    tests: Sequence[GroupTest]
    absent: Events
    """One row: what a group's column gets where no row has a value."""
    names: Sequence[str]
    """The sources'."""
    starts: Int64s
    """Of each source, the place of its first row."""
    spaces: Int64s
    """Of each source, a number; groups do not reach from one number to another. A copy of a source has one of its own,
    so that no sum counts the same rows twice."""
    broken: Bools
    """Which sources broke off."""
    batches: Int64s
    """Of each batch of chunks, the place of its first row."""

    def sources(self, places: Int64s) -> Int64s:
        """The sources that these rows are of."""
        return np.searchsorted(self.starts, places, side="right") - 1

    def named(self, places: Int64s, seen_from: Int64s) -> ArrowArray:
        """Names of rows as other rows speak of them: ``row 3``, or ``orders-2.csv, row 3``."""
        sources, home = self.sources(places), self.sources(seen_from)
        rows = pa.array(places - self.starts[sources] + 1).cast(pa.string())
        names = pa.array(self.names, pa.string()).take(pa.array(sources))
        near = pc.binary_join_element_wise("row ", rows, "")
        return pc.if_else(pa.array(sources == home), near, pc.binary_join_element_wise(names, near, ", "))


class Settler:
    """Takes the parts off their shelf and puts whole groups on others."""

    def __init__(self, grounds: Grounds, store: Store, *, piece: int = PIECE) -> None:
        self._grounds = grounds
        self._store = store
        self._piece = piece

    def settle(self, parts: Shelf = PARTS, faults: Shelf = FAULTS) -> None:
        """Settle all groups of a shelf."""
        cuts = len(parts) - 1
        size = self._store.size(parts)
        if size <= self._piece or cuts >= _MOST_CUTS:
            table = self._store.take_all(parts)
            if table is not None:
                self._settle(table, self._store.take_all(faults))
            return
        pieces = min(2 * size // self._piece + 1, _MOST_PIECES)
        for shelf in (parts, faults):
            for table in self._store.take(shelf):
                of_row = _hashes(table["key"], cuts) % np.uint64(pieces)
                for number in np.unique(of_row).tolist():
                    self._store.put((*shelf, number), table.filter(pa.array(of_row == number)).combine_chunks())
        for number in range(pieces):
            self.settle((*parts, number), (*faults, number))

    def _settle(self, parts: ArrowTable, faults: ArrowTable | None) -> None:
        places = parts["place"].to_numpy()
        layout = self._layout(parts, places)
        group_heads = places[layout.first(np.ones(len(places), np.bool_))]
        group = _Group(self._grounds, layout, group_heads, places)
        kept = self._kept(parts, layout)
        values: dict[str, ArrowArray] = {"place": pa.array(group_heads)}
        problems: list[ArrowTable] = []
        for at, column in enumerate(self._grounds.columns):
            values[f"c{at}"], found = group.column(at, column, parts, faults)
            problems += found
        problems += group.incomplete()
        self._shelve("group_heads", group_heads, pa.table(values))
        links = {"part": parts["place"], "leader": group_heads[layout.codes], "kept": kept[layout.codes]}
        self._shelve("links", places, pa.table(links))
        for table in problems:
            of_kept = kept[table["group"].to_numpy()]
            told = table.drop_columns("group").filter(pa.array(of_kept))
            self._shelve("problems", told["place"].to_numpy(), told)

    def _layout(self, parts: ArrowTable, places: Int64s) -> Layout:
        encoded = parts["key"].combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy().astype(np.int64)
        spaces = self._grounds.spaces[self._grounds.sources(places)]
        if not spaces.any():
            return Layout(codes, len(encoded.dictionary))
        uniques, apart = np.unique(codes * (int(spaces.max()) + 1) + spaces, return_inverse=True)
        return Layout(apart.astype(np.int64), len(uniques))

    def _kept(self, parts: ArrowTable, layout: Layout) -> Bools:
        kept = np.ones(layout.count, np.bool_)
        for at, test in enumerate(self._grounds.tests):
            said = settled_test(test.rows, layout, parts[f"t{at}"].combine_chunks())
            kept &= pc.fill_null(said, test.blank).to_numpy(zero_copy_only=False)
        return kept

    def _shelve(self, name: str, places: Int64s, table: ArrowTable) -> None:
        """Put each line where the batch of its row will look for it."""
        batches = np.searchsorted(self._grounds.batches, places, side="right") - 1
        for batch in np.unique(batches).tolist():
            self._store.put((name, batch), table.filter(pa.array(batches == batch)).combine_chunks())


@dataclass(frozen=True, slots=True)
class _Group:
    """The groups of one piece."""

    grounds: Grounds
    layout: Layout
    group_heads: Int64s
    """Places; shape (groups,)."""
    places: Int64s
    """Of the parts; ascending."""

    def column(
        self, at: int, column: Column, parts: ArrowTable, faults: ArrowTable | None
    ) -> tuple[ArrowArray, list[ArrowTable]]:
        """What the groups have in a column, and the problems with it: tables with the row's place and its group."""
        faulty = np.zeros(len(self.places), np.bool_)
        mine = None
        if faults is not None:
            mine = faults.filter(pc.equal(faults["column"], at))
            faulty[np.searchsorted(self.places, mine["part"].to_numpy())] = True
        ranks = parts[f"r{at}"].combine_chunks() if f"r{at}" in parts.column_names else None
        made = aggregate(column.again(), self.layout, Values(parts[f"c{at}"].combine_chunks(), faulty, ranks))
        problems: list[ArrowTable] = []
        unreadable = np.zeros(self.layout.count, np.bool_)
        if mine is not None and mine.num_rows:
            of_part = np.searchsorted(self.places, mine["part"].to_numpy())
            counts = made.used[of_part]
            groups = self.layout.codes[of_part[counts]]
            unreadable[groups] = True
            problems = self._faults(column, mine.filter(pa.array(counts)), groups)
        values, lacking = self._filled(column, made.values, unreadable)
        return values, problems + lacking

    def _faults(self, column: Column, faults: ArrowTable, groups: Int64s) -> list[ArrowTable]:
        """Each faulty row keeps its reason; a leader that is not faulty itself is told of the first that is."""
        rows = faults["place"].to_numpy()
        own = _table(faults, rows, column.target, groups)
        order = np.lexsort((rows, groups))
        _, at = np.unique(groups[order], return_index=True)
        first = order[at]
        others = first[self.group_heads[groups[first]] != rows[first]]
        told_by = self.group_heads[groups[others]]
        texts = self.grounds.named(rows[others], told_by)
        told = problem_table(told_by, "group.invalid_row", column.target, texts)
        return [own, told.append_column("group", pa.array(groups[others]))]

    def _filled(self, column: Column, values: ArrowArray, unreadable: Bools) -> tuple[ArrowArray, list[ArrowTable]]:
        """The values with what stands in for absent ones, and what cannot be absent."""
        default = column.of(self.grounds.absent)[0]
        if not values.null_count or column.how == "count":
            return values, []
        lacking = values.is_null().to_numpy(zero_copy_only=False) & ~unreadable
        groups = np.flatnonzero(lacking)
        problems = [
            problem_table(
                self.group_heads[groups], one.code, one.field, pa.repeat(one.values[0], len(groups))
            ).append_column("group", pa.array(groups))
            for one in self.grounds.absent.violations
            if one.field == column.target
        ]
        if default.is_valid:
            values = pc.if_else(pa.array(lacking), default, values)
        return values, problems

    def incomplete(self) -> list[ArrowTable]:
        """Groups of which a source that broke off may hold more."""
        sources = self.grounds.sources(self.places)
        cut = self.grounds.broken[sources]
        if not cut.any():
            return []
        groups = np.flatnonzero(self.layout.any(cut))
        of_part = sources[self.layout.first(cut)[groups]]
        names = pa.array(self.grounds.names, pa.string()).take(pa.array(of_part))
        table = problem_table(self.group_heads[groups], "group.incomplete", "", names)
        return [table.append_column("group", pa.array(groups))]


def _table(faults: ArrowTable, rows: Int64s, field: str, groups: Int64s) -> ArrowTable:
    table = problem_table(rows, faults["code"].combine_chunks(), field, faults["value"].combine_chunks())
    return table.append_column("group", pa.array(groups))


def _hashes(keys: ArrowArray, cuts: int) -> npt.NDArray[np.uint64]:
    """Hashes of the keys, of another kind with each cut."""
    import pandas as pd

    encoded = keys.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    hashes = pd.util.hash_array(texts, hash_key=f"importer-group-{cuts}", categorize=False)
    return np.asarray(hashes[encoded.indices.to_numpy()])
