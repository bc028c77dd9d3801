"""Rows that share ``group_by`` become one event, wherever in the run they are.

All sources are read before the first event exists, so their rows wait in a temporary database. It sorts them by group;
whole groups are made into events many at a time, and memory stays flat however many there are. Then the chunks come out
as they came: each group's first row, its head, has the event, the other rows point to it.

A *place* is a row's position in the run, over all sources, from 0. A *cell* is empty (absent), ``=`` and the value, or
``!`` (the value cannot be used).
"""

from __future__ import annotations

import pickle
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import violations
from importer.errors import SourceError
from importer.exact import decimals_of, sums, tokens_of
from importer.mapping.model import ImportMapping
from importer.model import (
    ArrowArray,
    ArrowTable,
    Bools,
    Events,
    GroupTest,
    Int64s,
    Kind,
    Property,
    SourceStream,
    Violations,
)
from importer.reasons import is_error
from importer.temporary import TemporaryDatabase

_ATTRIBUTES = {
    "subscriber.id": "subscriber_id",
    "subscriber.email": "email",
    "subscriber.phone": "phone",
    "type": "type",
    "value": "value",
    "value_currency": "value_currency",
    "key": "key",
    "order_by": "order_value",
    "event_time": "event_time",
    "more_properties": "more_properties",
    "account": "account",
}
"""Targets that are no properties, and their attributes of `Events`."""
Notes: TypeAlias = defaultdict[int, list[tuple[str, str, str]]]
"""Code, target and value of each thing that is said of a row; the rows by their places in a table."""
_SHOWN = frozenset({"subscriber.id", "subscriber.email", "subscriber.phone", "type", "key", "account"})
"""The report shows these of every row, head or not."""
_AGREED = frozenset({"subscriber.id", "subscriber.email", "subscriber.phone", "value_currency", "account"})
"""Rows of one group may leave these out, but must not differ in them."""
_CONTENT = "the rows that wait for their groups"
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SAID = msgspec.json.Decoder(list[tuple[str, str, str]])
"""Code, target and value of each thing that is said of a row."""
_STAGES = msgspec.json.Decoder(list[list[tuple[str, str, str]]])
"""The same in the order in which they are reported: of the group, of the row itself, warnings."""


def grouped(
    sources: Iterable[SourceStream[Events]], mapping: ImportMapping, absent: Events
) -> Generator[SourceStream[Events], None, None]:
    """The same sources with one event per group; all are read before the first comes out.

    ``absent`` is one row without a cell, converted as if it stood alone: a group's columns get its values where no row
    has one, and its violations where they cannot be absent. Take the sources in order, each to its end.

    Groups that may not be whole are ``group.incomplete``: those of a source that broke off, and those within or next to
    which a row could not be read. A copy of another source makes groups of its own, so no sum counts it twice. Groups
    that several sources seem to have whole, such as orders in two nights' exports, are ``group.repeated``.

    Raises:
        SpaceError: the disk has no room for the rows that wait.

    """
    with closing(_Rows(_columns(mapping, absent), absent)) as rows:
        read = [rows.add(one) for one in sources]
        rows.group()
        for number, (one, digest) in enumerate(read):
            yield SourceStream(one.source, rows.chunks(number), partial(str, digest), one.error)


@dataclass(frozen=True, slots=True)
class _Column:
    """One target of events, and how a group's values become one."""

    target: str
    how: str
    """``first``, ``last``, ``sum``, ``min``, ``max``, ``count``, ``join``; ``merge`` for members of JSON objects."""
    kind: Kind
    separator: str
    must_agree: bool
    """The mapping does not say that one row's value counts for all, so a difference is worth a warning."""
    missing: ArrowArray
    """The value of a group in which no row has one: an array of length 1."""

    def of(self, events: Events) -> ArrowArray:
        """Its values in a chunk."""
        name = _ATTRIBUTES.get(self.target)
        return getattr(events, name) if name else self._property(events).values

    def _property(self, events: Events) -> Property:
        return next(one for one in events.properties if f"properties.{one.name}" == self.target)

    def ranks(self, events: Events) -> ArrowArray | None:
        """Numbers by which its values are compared, where these are neither numbers nor texts."""
        compares_times = self.how in ("min", "max") and self.kind in ("date", "datetime")
        return self._property(events).instants if compares_times else None

    @property
    def made(self) -> Kind:
        """The kind of a group's values."""
        return "integer" if self.how == "count" else "text" if self.how == "join" else self.kind

    @property
    def chooses(self) -> bool:
        """Whether it takes the value of one row and ignores the others."""
        return self.how in ("first", "last")

    def make(self, cells: ArrowArray, ranks: ArrowArray | None, groups: _Groups) -> tuple[ArrowArray, Int64s]:
        """Each group's value, null where absent; and the row whose cell cannot be used, -1 where none counts."""
        faulty = _flags(pc.equal(cells, "!"))
        if self.chooses:
            filled = _flags(pc.not_equal(cells, ""))
            taken = groups.first(filled) if self.how == "first" else groups.last(filled)
            faults = np.where((taken >= 0) & faulty[taken], taken, -1)
            return _values(cells, np.where(faults < 0, taken, -1)), faults
        faults = groups.first(faulty)
        rows = np.flatnonzero(_flags(pc.starts_with(cells, "=")))
        counts = np.bincount(groups.of_rows[rows], minlength=groups.count)
        if self.how == "count":
            made = pa.array(counts).cast(pa.string())
        else:
            texts = _values(cells, rows)
            made = self._made(texts, None if ranks is None else ranks.take(pa.array(rows)), counts)
        return pc.if_else(pa.array(faults < 0), made, None), faults

    def _made(self, texts: ArrowArray, ranks: ArrowArray | None, counts: Int64s) -> ArrowArray:
        """What the values of each group make together; ``counts`` are how many of them each group has."""
        ends = np.cumsum(counts)
        filled = np.flatnonzero(counts)
        starts = (ends - counts)[filled]
        if not len(filled):
            return pa.nulls(len(counts), pa.string())
        if self.how in ("join", "merge"):
            offsets = pa.array(np.concatenate([[0], ends[filled]]).astype(np.int32))
            lists = pa.ListArray.from_arrays(offsets, texts)
            made = pc.binary_join(lists, self.separator) if self.how == "join" else _merged(lists)
        elif self.how == "sum":
            made = tokens_of(sums(decimals_of(texts), starts))
        else:
            made = texts.take(pa.array(self._extreme(texts, ranks, starts)))
        where = np.full(len(counts), -1, np.int64)
        where[filled] = np.arange(len(filled))
        return made.take(pa.array(where, mask=where < 0))

    def _extreme(self, texts: ArrowArray, ranks: ArrowArray | None, starts: Int64s) -> Int64s:
        """Of each stretch the first of the least, or of the greatest, values."""
        if ranks is not None:
            order = ranks.to_numpy(zero_copy_only=False)
        elif self.kind in ("integer", "number"):
            order = np.unique(decimals_of(texts), return_inverse=True)[1]
        else:
            order = pc.rank(texts, "ascending", tiebreaker="dense").to_numpy().astype(np.int64)
        best = (np.minimum if self.how == "min" else np.maximum).reduceat(order, starts)
        hits = np.flatnonzero(order == np.repeat(best, np.diff(np.append(starts, len(order)))))
        return hits[np.searchsorted(hits, starts)]

    def own(self, cells: ArrowArray, keys: ArrowArray) -> Bools:
        """Which cells say something of their own; a key may fall back on what groups the rows where a row has none."""
        says = _flags(pc.starts_with(cells, "="))
        if self.target == "key":
            rows = np.flatnonzero(says)
            pairs = zip(_list(cells.take(pa.array(rows))), _list(keys.take(pa.array(rows))), strict=True)
            says[rows] = [not cell.endswith(key) for cell, key in pairs]
        return says


def _columns(mapping: ImportMapping, absent: Events) -> tuple[_Column, ...]:
    """The columns that the mapping's events have."""
    picks = dict(mapping.fields())
    kinds: dict[str, Kind] = {f"properties.{one.name}": one.kind for one in absent.properties} | {"value": "number"}
    values = {f"properties.{one.name}": one.values for one in absent.properties}
    if absent.order_value is not None and pa.types.is_integer(absent.order_value.type):
        kinds["order_by"] = "integer"
    columns = []
    for target in dict.fromkeys((*_ATTRIBUTES, *kinds)):
        pick = picks.get(target)
        missing = values[target] if target in values else getattr(absent, _ATTRIBUTES[target])
        if (pick is None and target not in ("event_time", "more_properties", "account")) or missing is None:
            continue
        columns.append(
            _Column(
                target,
                how="merge" if target == "more_properties" else (pick.aggregate if pick else None) or "first",
                kind=kinds.get(target, "text"),
                separator=", " if pick is None or pick.separator is None else pick.separator,
                must_agree=pick is not None and pick.aggregate is None and target not in ("order_by", *_AGREED),
                missing=missing,
            )
        )
    return tuple(columns)


class _Groups:
    """Stretches of rows that are sorted by group, none empty."""

    def __init__(self, table: ArrowTable) -> None:
        self.table = table
        keys, spaces = self.column("key"), self.numbers("space")
        begins = np.ones(len(keys), np.bool_)
        begins[1:] = _flags(pc.not_equal(keys[1:], keys[:-1])) | (spaces[1:] != spaces[:-1])
        self.starts = np.flatnonzero(begins)
        self.ends = np.append(self.starts[1:], len(keys))
        self.count = len(self.starts)
        self.of_rows = np.cumsum(begins) - 1
        """Each row's group, from 0."""

    def column(self, name: str) -> ArrowArray:
        return self.table.column(name).combine_chunks()

    def numbers(self, name: str) -> Int64s:
        return _numbers(self.table.column(name))

    def first(self, mask: Bools) -> Int64s:
        """Each group's first row for which the mask is true; -1 where there is none."""
        rows = np.append(np.flatnonzero(mask), len(mask))
        found = rows[np.searchsorted(rows, self.starts)]
        return np.where(found < self.ends, found, -1)

    def last(self, mask: Bools) -> Int64s:
        """Each group's last such row."""
        rows = np.append(np.flatnonzero(mask), -1)
        found = rows[np.searchsorted(rows[:-1], self.ends) - 1]
        return np.where(found >= self.starts, found, -1)

    def rows(self, group: int) -> range:
        return range(int(self.starts[group]), int(self.ends[group]))


class _Rows:
    """All rows of the run, in a database. Add sources, `group` once, then take each source's chunks in order."""

    def __init__(self, columns: Sequence[_Column], absent: Events) -> None:
        self._columns = columns
        self._lacks = absent.violations
        self._names: list[str] = []
        self._starts: list[int] = []
        """Of each source, the place of its first row."""
        self._broken: dict[int, SourceError] = {}
        self._digests: dict[str, int] = {}
        self._copies: list[int] = []
        """Sources that have the content of an earlier one."""
        self._places = 0
        self._unreadable = array("q")
        """Places of rows that could not be read, ascending."""
        self._gaps: dict[int, int] = {}
        """Per place of a row, that of an unreadable one beside it; rows without a group do not count."""
        self._before: int | None = None
        """The place of the source's last row in a group."""
        self._gap: int | None = None
        """The first unreadable place since then."""
        self._tests: tuple[GroupTest, ...] | None = None
        """The tests of ``where`` that are asked of groups, as any chunk has them; None before the first chunk."""
        self._has_groups = False
        self._read = TemporaryDatabase(_CONTENT)
        self._made = TemporaryDatabase(_CONTENT)
        for table, members in (
            ("chunks", "start INTEGER, source INTEGER, size INTEGER, events BLOB"),
            ("members", "place INTEGER, head INTEGER, failed INTEGER, said TEXT"),
            ("groups", f"head INTEGER, {', '.join(f'v{at} TEXT' for at in range(len(columns)))}"),
        ):
            self._made.execute(f"CREATE TABLE {table} ({members})")

    def close(self) -> None:
        self._read.close()
        self._made.close()

    def add(self, one: SourceStream[Events]) -> tuple[SourceStream[Events], str]:
        """Read a source to its end; the source and the digest of its content, empty if it could not be read."""
        number = len(self._names)
        self._names.append(one.source.name)
        self._starts.append(self._places)
        self._before = self._gap = None
        try:
            for events in one.chunks:
                self._insert(number, events)
        except SourceError as broken:
            self._broken[number] = broken
            return one, ""
        digest = "" if one.error else one.digest()
        if digest and self._digests.setdefault(digest, number) != number:
            self._copies.append(number)
        return one, digest

    def _insert(self, source: int, events: Events) -> None:
        membership, chunk = events.membership, events.chunk
        assert membership is not None, "only a grouped mapping's events are grouped"
        self._tests = membership.tests
        places = chunk.rows - chunk.first_row + self._places
        inside = events.passes_filter & _flags(membership.keys.is_valid())
        faults, said = self._own(events, inside)
        cells: dict[str, ArrowArray] = {}
        for at, test in enumerate(membership.tests):
            cells[f"t{at}"] = pc.fill_null(test.passes.cast(pa.int64()), -1)
        for at, column in enumerate(self._columns):
            cell = pc.binary_join_element_wise("=", column.of(events).cast(pa.string()), "")
            if column.target in faults:
                cell = pc.if_else(pa.array(faults.pop(column.target)), "!", cell)
            cells[f"c{at}"] = pc.fill_null(cell, "")
            ranks = column.ranks(events)
            if ranks is not None:
                cells[f"r{at}"] = pc.fill_null(ranks, 0)
        fault = pa.repeat("", len(places))
        for target, rows in faults.items():
            fault = pc.if_else(pa.array(rows), target, fault)
        columns = {
            "place": pa.array(places),
            "source": pa.repeat(pa.scalar(source, pa.int64()), len(places)),
            "key": membership.keys,
            "fault": fault,
            "said": said,
            **cells,
        }
        self._read.insert("rows", pa.table(columns).filter(pa.array(inside)))
        self._has_groups = self._has_groups or bool(inside.any())
        # A header is no part of any group.
        lost = [one.row - chunk.first_row for one in chunk.unreadable if one.code != "row.repeated_header"]
        self._note_gaps(places[inside], [self._places + at for at in lost])
        left = replace(
            events,
            chunk=replace(chunk, table=chunk.table.select([]), nested={}),
            properties=(),
            more_properties=None,
            violations=tuple(one.among(~inside) for one in events.violations),
        )
        data = pickle.dumps(left)
        packed = {"start": [self._places], "source": [source], "size": [len(data)]}
        self._made.insert("chunks", pa.table({**packed, "events": [pa.compress(data, "lz4", asbytes=True)]}))
        self._places += chunk.count

    def _note_gaps(self, places: Int64s, lost: Sequence[int]) -> None:
        """Note the rows of a chunk's groups that are next to unreadable ones, be it across chunks."""
        self._unreadable.extend(lost)
        if len(places) and self._gap is not None:
            self._gaps.setdefault(int(places[0]), self._gap)
            self._gap = None
        for place in lost:
            at = int(np.searchsorted(places, place))
            before = int(places[at - 1]) if at else self._before
            if before is not None:
                self._gaps.setdefault(before, place)
            if at < len(places):
                self._gaps.setdefault(int(places[at]), place)
            elif self._gap is None:
                self._gap = place
        if len(places):
            self._before = int(places[-1])

    @staticmethod
    def _own(events: Events, inside: Bools) -> tuple[dict[str, Bools], ArrowArray]:
        """Per target, the rows with an error in it; and what the conversion found of each row of a group, as JSON."""
        faults: dict[str, Bools] = {}
        notes = Notes(list)
        for one in events.violations:
            if is_error(one.code, strict=False):
                faults.setdefault(one.field, np.zeros(len(inside), np.bool_))[one.positions] = True
            mine = one.among(inside)
            for position, value in zip(mine.positions.tolist(), mine.values.to_pylist(), strict=True):
                notes[position].append((one.code, one.field, value or ""))
        return faults, _texts(notes, len(inside))

    def group(self) -> None:
        """Make one event of each group. Raises `SpaceError`."""
        if self._has_groups:
            copies = "".join(f" WHEN {number} THEN {number}" for number in self._copies)
            space = f"CASE source{copies} ELSE -1 END" if copies else "-1"
            with closing(
                self._read.batches(f"SELECT {space} AS space, * FROM rows ORDER BY space, key, place")
            ) as rows:
                for table in _whole(rows):
                    self._make(_Groups(table))
        self._read.close()
        self._made.execute("CREATE INDEX groups_in_order ON groups (head)")
        self._made.execute("CREATE INDEX members_in_order ON members (place)")

    def _make(self, groups: _Groups) -> None:
        """Make the events of these groups, and note what is wrong with them."""
        places = groups.numbers("place")
        heads = places[groups.starts]
        fault = groups.column("fault")
        at_fault = groups.first(_flags(pc.not_equal(fault, "")))
        failed = self._failed(groups)
        failed[at_fault >= 0] = -1
        is_sent = failed < 0
        noted, warnings = Notes(list), Notes(list)
        spared: set[tuple[int, str]] = set()
        repeated = self._incomplete(groups, is_sent, noted)
        self._invalid(groups, np.where(is_sent, at_fault, -1), fault, noted)
        values: dict[str, ArrowArray] = {"head": pa.array(heads)}
        for at, column in enumerate(self._columns):
            cells = groups.column(f"c{at}")
            ranks = groups.column(f"r{at}") if f"r{at}" in groups.table.column_names else None
            value, faults = column.make(cells, ranks, groups)
            self._invalid(groups, np.where(is_sent, faults, -1), column.target, noted)
            if column.chooses:
                ignored = np.setdiff1d(np.flatnonzero(_flags(pc.equal(cells, "!"))), faults)
                spared.update((row, column.target) for row in ignored.tolist())
            absent = _flags(value.is_null()) & (faults < 0)
            for one in self._lacks:
                if one.field == column.target:
                    for head in groups.starts[absent & is_sent].tolist():
                        noted[head].append((one.code, one.field, one.values[0].as_py() or ""))
            if column.target in _AGREED:
                self._conflicts(groups, column.target, cells, is_sent, noted)
            elif column.must_agree:
                says = column.own(cells, groups.column("key"))
                self._differences(groups, column, cells, says, is_sent & ~repeated, warnings)
            elif column.how == "merge":
                self._different_members(groups, cells, is_sent & ~repeated, warnings)
            default = column.missing[0].as_py()
            if default is not None:
                value = pc.if_else(pa.array(absent), str(default), value)
            values[f"v{at}"] = pc.fill_null(value, "")
        self._made.insert("groups", pa.table(values))
        own = self._said(groups, is_sent, repeated, spared, warnings)
        stages = {
            row: [notes[row] for notes in (noted, own, warnings)] for row in noted.keys() | own.keys() | warnings.keys()
        }
        members = {"place": places, "head": heads[groups.of_rows], "failed": failed[groups.of_rows]}
        self._made.insert("members", pa.table({**members, "said": _texts(stages, len(places))}))

    @staticmethod
    def _said(groups: _Groups, is_sent: Bools, repeated: Bools, spared: set[tuple[int, str]], warnings: Notes) -> Notes:
        """What the conversion found of rows, but for ``spared`` errors; heads get the warnings of their other rows."""
        own = Notes(list)
        said = groups.column("said")
        for row in np.flatnonzero(_flags(pc.not_equal(said, "")) & is_sent[groups.of_rows]).tolist():
            group = int(groups.of_rows[row])
            for code, target, value in _SAID.decode(said[row].as_py()):
                is_fault = is_error(code, strict=False)
                if not (is_fault and (row, target) in spared):
                    own[row].append((code, target, value))
                if not is_fault and is_error(code, strict=True) and row > groups.starts[group] and not repeated[group]:
                    warnings[groups.starts[group]].append((code, target, value))
        return own

    def _failed(self, groups: _Groups) -> Int64s:
        """The first test of ``where`` that leaves each group out; -1: it is sent."""
        assert self._tests is not None
        failed = np.full(groups.count, -1, np.int64)
        for at, test in reversed(list(enumerate(self._tests))):
            says = groups.numbers(f"t{at}")
            if test.rows == "first":
                row = groups.first(says >= 0)
                answers = np.where(row >= 0, says[row], -1)
            else:
                answers = (np.maximum if test.rows == "any" else np.minimum).reduceat(says, groups.starts)
            failed[np.where(answers < 0, not test.blank, answers == 0)] = at
        return failed

    def _invalid(self, groups: _Groups, faults: Int64s, target: str | ArrowArray, noted: Notes) -> None:
        """Note the heads of groups in which another row has a value that cannot be used; -1: there is none."""
        places, sources = groups.numbers("place"), groups.numbers("source")
        for group in np.flatnonzero((faults >= 0) & (faults != groups.starts)).tolist():
            row, head = int(faults[group]), int(groups.starts[group])
            name = target if isinstance(target, str) else target[row].as_py()
            noted[head].append(("group.invalid_row", name, self._named(places[row], sources[head])))

    def _conflicts(self, groups: _Groups, target: str, cells: ArrowArray, is_sent: Bools, noted: Notes) -> None:
        """Note all rows of groups whose rows name different subscribers or currencies."""
        texts = pc.utf8_lower(cells) if target == "subscriber.email" else cells
        says = _flags(pc.starts_with(texts, "="))
        differs = self._unlike_first(groups, texts, says)
        places, sources = groups.numbers("place"), groups.numbers("source")
        for group in np.flatnonzero((groups.first(differs) >= 0) & is_sent).tolist():
            said = sorted((texts[row].as_py(), int(places[row])) for row in groups.rows(group) if says[row])
            both = sorted((place, text[1:]) for text, place in (said[0], said[-1]))
            for row in groups.rows(group):
                told = ", ".join(f"{text} in {self._named(place, sources[row])}" for place, text in both)
                noted[row].append(("group.conflict", target, told))

    def _different_members(self, groups: _Groups, cells: ArrowArray, is_sent: Bools, noted: Notes) -> None:
        """Warn of members of objects in which rows of a group differ, and of which the first is sent."""
        says = _flags(pc.starts_with(cells, "="))
        differs = groups.first(self._unlike_first(groups, cells, says)) >= 0
        places, sources = groups.numbers("place"), groups.numbers("source")
        for group in np.flatnonzero(differs & is_sent).tolist():
            head = int(groups.starts[group])
            seen: dict[str, tuple[int, str]] = {}
            unlike: dict[str, tuple[int, str]] = {}
            for row in (row for row in groups.rows(group) if says[row]):
                for name, value in _MEMBERS.decode(f"{{{cells[row].as_py()[1:]}}}").items():
                    mine = (row, bytes(value).decode())
                    if seen.setdefault(name, mine)[1] != mine[1]:
                        unlike.setdefault(name, mine)
            for name, other in unlike.items():
                both = (f"{text} in {self._named(places[row], sources[head])}" for row, text in (seen[name], other))
                noted[head].append(("group.differs", f"properties.{name}", ", ".join(both)))

    def _differences(
        self, groups: _Groups, column: _Column, cells: ArrowArray, own: Bools, is_sent: Bools, noted: Notes
    ) -> None:
        """Warn of groups whose rows differ in a value of which the first row's is sent, and name a row that differs."""
        differs = groups.first(self._unlike_first(groups, cells, own)) >= 0
        first = groups.first(_flags(pc.not_equal(cells, "")))
        places, sources = groups.numbers("place"), groups.numbers("source")
        for group in np.flatnonzero(differs & is_sent).tolist():
            taken, source = int(first[group]), sources[groups.starts[group]]
            text = cells[taken].as_py()
            if text == "!":
                continue
            other = next(row for row in groups.rows(group) if own[row] and cells[row].as_py() != text)
            named = f"{text[1:]} in {self._named(places[taken], source)}"
            named += f", {cells[other].as_py()[1:]} in {self._named(places[other], source)}"
            noted[groups.starts[group]].append(("group.differs", column.target, named))

    @staticmethod
    def _unlike_first(groups: _Groups, cells: ArrowArray, says: Bools) -> Bools:
        """The rows that say something else than the first row of their group that says anything."""
        codes = cells.dictionary_encode().indices.to_numpy()
        first = groups.first(says)
        differs: Bools = says & (codes != codes[first][groups.of_rows])
        return differs

    def _incomplete(self, groups: _Groups, is_sent: Bools, noted: Notes) -> Bools:
        """Note all rows of groups that may not be whole, or are so in several sources; which groups the latter are."""
        places, sources = groups.numbers("place"), groups.numbers("source")
        heads, tails = places[groups.starts], places[groups.ends - 1]
        broken = groups.first(np.isin(sources, list(self._broken)))
        beside = groups.first(np.isin(places, np.fromiter(self._gaps, np.int64)))
        lost = np.append(np.frombuffer(self._unreadable, np.int64), np.iinfo(np.int64).max)
        within = lost[np.searchsorted(lost, heads)]
        several = np.minimum.reduceat(sources, groups.starts) < np.maximum.reduceat(sources, groups.starts)
        repeated = np.zeros(groups.count, np.bool_)
        odd = (broken >= 0) | (beside >= 0) | (within < tails) | several
        for group in np.flatnonzero(odd & is_sent).tolist():
            rows = groups.rows(group)
            pair = self._repeated(groups, rows) if several[group] else None
            repeated[group] = pair is not None
            for row in rows:
                name = partial(self._named, source=int(sources[row]))
                if pair is not None:
                    noted[row].append(("group.repeated", "", f"{name(pair[0])} and {name(pair[1])}"))
                if broken[group] >= 0:
                    source = min(int(one) for one in sources[rows.start : rows.stop] if int(one) in self._broken)
                    noted[row].append(("group.incomplete", "", f"{self._names[source]} broke off"))
                elif beside[group] >= 0 or within[group] < tails[group]:
                    own = [
                        self._gaps[place] for place in places[rows.start : rows.stop].tolist() if place in self._gaps
                    ]
                    gap = min(own) if own else int(within[group])
                    noted[row].append(("group.incomplete", "", f"{name(gap)} cannot be read"))
        return repeated

    def _repeated(self, groups: _Groups, rows: range) -> tuple[int, int] | None:
        """Two places by which several sources seem to have a group whole.

        Either a row that would be added up is in two sources, or the value that one row stands for is in several, with
        another amount or another key: two nights' exports overlap, or two shops have the same number.
        """
        table = groups.table.slice(rows.start, len(rows))
        where = list(zip(table.column("place").to_pylist(), table.column("source").to_pylist(), strict=True))
        cells = {column.target: table.column(f"c{at}").to_pylist() for at, column in enumerate(self._columns)}
        if any(column.target == "value" and column.chooses for column in self._columns):
            valued = [at for at, cell in enumerate(cells["value"]) if cell]
            said = [{cells[one][at] for at in valued} - {""} for one in ("value", "key") if one in cells]
            if len({where[at][1] for at in valued}) > 1 and any(len(one) > 1 for one in said):
                return where[valued[0]][0], where[valued[-1]][0]
        adding = [cells[column.target] for column in self._columns if column.how in ("sum", "count", "join")]
        alike: dict[tuple[str, ...], list[int]] = {}
        for at in range(len(rows)):
            if any(one[at] for one in adding):
                alike.setdefault(tuple(one[at] for one in cells.values()), []).append(at)
        for _, same in sorted(alike.items()):
            if len({where[at][1] for at in same}) > 1:
                return where[same[0]][0], where[same[-1]][0]
        return None

    def chunks(self, source: int) -> Iterator[Events]:
        """The chunks of one source, grouped; raises its `SourceError` where it broke off."""
        if self._tests is not None:
            starts = self._made.query(f"SELECT start FROM chunks WHERE source = {source} ORDER BY start")
            for start in starts.column(0).to_pylist():
                (row,) = self._made.query(f"SELECT size, events FROM chunks WHERE start = {start}").to_pylist()
                # This process wrote it, into a file without a name.
                events = pickle.loads(pa.decompress(row["events"], row["size"], "lz4", asbytes=True))  # noqa: S301
                yield self._grouped(start, events)
        if source in self._broken:
            raise self._broken[source]

    def _grouped(self, start: int, events: Events) -> Events:
        """A chunk whose heads have their groups' events."""
        between = f"BETWEEN {start} AND {start + events.chunk.count - 1}"
        places = events.chunk.rows - events.chunk.first_row + start
        members = self._made.query(f"SELECT * FROM members WHERE place {between} ORDER BY place")
        mine, head, failed = (_numbers(members[name]) for name in ("place", "head", "failed"))
        at = np.searchsorted(places, mine)
        heads = np.full(len(places), -1, np.int64)
        heads[at] = np.where(head == mine, -1, head)
        assert events.membership is not None
        tests = events.membership.tests
        stopped = np.full(len(places), -1, np.int64)
        for number, test in reversed(list(enumerate(tests))):
            stopped[~_flags(pc.fill_null(test.passes, test.blank))] = number
        stopped[at] = failed
        passes = events.passes_filter & (stopped < 0)
        found = [one.among(passes | one.code.startswith("filtered.")) for one in events.violations]
        for number, test in enumerate(tests):
            rows = pa.array(events.passes_filter & (stopped == number))
            if test.words:
                cells = pa.repeat("", len(places)) if test.cells is None else test.cells
                found += violations("filtered.where", test.words, rows, cells)
        found += _violations(at.tolist(), members["said"].to_pylist())
        if events.account is not None:
            events, heads[at] = self._with_accounts(events, at, heads[at], between)
        made = self._made.query(f"SELECT * FROM groups WHERE head {between} ORDER BY head")
        mask = np.zeros(len(places), np.bool_)
        mask[np.searchsorted(places, _numbers(made.column(0)))] = True
        return replace(
            self._with_values(events, made, mask),
            passes_filter=passes, violations=tuple(found), membership=None, group_heads=heads,
        )  # fmt: skip

    def _with_accounts(self, events: Events, at: Int64s, heads: Int64s, between: str) -> tuple[Events, Int64s]:
        """The events with their groups' accounts where a row names none, and the heads of the rows ``at``.

        A row that names another account than its group stays alone, for the head is in that account's run.
        """
        column = next(number for number, one in enumerate(self._columns) if one.target == "account")
        found = self._made.query(
            f"SELECT v{column} FROM members JOIN groups USING (head) WHERE place {between} ORDER BY place"
        )
        texts = found.column(0).combine_chunks().cast(pa.string())
        theirs = pc.if_else(pc.equal(texts, ""), None, texts)
        assert events.account is not None
        own = events.account.take(pa.array(at))
        mask = np.zeros(len(events.chunk.rows), np.bool_)
        mask[at] = True
        account = pc.replace_with_mask(events.account, pa.array(mask), pc.coalesce(own, theirs))
        differs = _flags(pc.fill_null(pc.not_equal(own, theirs), fill_value=False))
        return replace(events, account=account), np.where(differs, -1, heads)

    def _named(self, place: int, source: int) -> str:
        """A row as another row's reason names it: ``row 3``, or ``orders-2.csv, row 3``."""
        its = bisect_right(self._starts, place) - 1
        row = f"row {place - self._starts[its] + 1}"
        return row if its == source else f"{self._names[its]}, {row}"

    def _with_values(self, events: Events, made: ArrowTable, is_head: Bools) -> Events:
        """Events in which heads have their groups' values, and other rows only what the report shows of them."""
        count = len(is_head)
        attributes: dict[str, Any] = {}
        properties = []
        for at, column in enumerate(self._columns):
            texts = made.column(f"v{at}").combine_chunks().cast(pa.string())
            values = pc.if_else(pc.not_equal(texts, ""), texts, None).cast(column.missing.type)
            own = column.of(events) if column.target in _SHOWN else pa.nulls(count, column.missing.type)
            whole = pc.replace_with_mask(own, pa.array(is_head), values)
            if column.target in _ATTRIBUTES:
                attributes[_ATTRIBUTES[column.target]] = whole
            else:
                properties.append(Property(column.target.removeprefix("properties."), column.made, whole))
        none = pa.nulls(count, pa.string())
        usual = dict.fromkeys(("subscriber_id", "email", "phone", "type", "value", "value_currency"), none)
        rest = dict.fromkeys(("key", "order_value", "event_time"))
        return replace(events, **(usual | rest | attributes), properties=tuple(properties))


def _whole(batches: Iterable[pa.RecordBatch]) -> Iterator[ArrowTable]:
    """Sorted rows, cut between groups."""
    kept: list[ArrowTable] = []
    for batch in batches:
        table = pa.Table.from_batches([batch])
        kept.append(table)
        last = int(_Groups(table).starts[-1])
        if last == 0 and len(kept) > 1 and _Groups(pa.concat_tables([kept[-2][-1:], table[:1]])).count > 1:
            kept.pop()
        elif last > 0:
            kept[-1] = table[:last]
        else:
            continue
        yield pa.concat_tables(kept)
        kept = [table[last:]]
    if kept:
        yield pa.concat_tables(kept)


def _texts(notes: Mapping[int, Any], count: int) -> ArrowArray:
    """What is said of each row as JSON; empty where nothing is."""
    texts = [""] * count
    for row, said in notes.items():
        texts[row] = msgspec.json.encode(said).decode()
    return pa.array(texts, pa.string())


def _violations(positions: Sequence[int], texts: Sequence[str]) -> Iterator[Violations]:
    """What is said of rows, as `_texts` has written it."""
    said = [(at, _STAGES.decode(text)) for at, text in zip(positions, texts, strict=True) if text]
    found: dict[tuple[str, str], dict[int, str]] = {}
    for stage in range(3):
        for at, notes in said:
            for code, target, value in notes[stage]:
                found.setdefault((code, target), {}).setdefault(at, value)
    for (code, target), rows in found.items():
        yield Violations(code, target, np.array(sorted(rows)), pa.array([rows[at] for at in sorted(rows)]))


def _merged(lists: ArrowArray) -> ArrowArray:
    """The members of each list's objects; of one that several have, the first."""
    made = []
    for texts in lists.to_pylist():
        members: dict[str, msgspec.Raw] = {}
        for text in texts:
            for name, value in _MEMBERS.decode(f"{{{text}}}").items():
                members.setdefault(name, value)
        made.append(texts[0] if len(texts) == 1 else msgspec.json.encode(members)[1:-1].decode())
    return pa.array(made, pa.string())


def _values(cells: ArrowArray, rows: Int64s) -> ArrowArray:
    """The values in the cells of these rows; null where a row is -1."""
    return pc.utf8_slice_codeunits(cells.take(pa.array(rows, mask=rows < 0)), 1)


def _flags(array: ArrowArray) -> Bools:
    found: Bools = np.array(array.to_numpy(zero_copy_only=False), np.bool_)
    return found


def _numbers(column: Any) -> Int64s:
    return np.asarray(column.to_numpy(), np.int64)


def _list(array: ArrowArray) -> list[str]:
    """As ``to_pylist``, in a fifth of the time."""
    values: list[str] = array.to_numpy(zero_copy_only=False).tolist()
    return values
