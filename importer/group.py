"""Rows that share ``group_by`` become one event, wherever in the run they are.

All sources are read before the first event exists, so their rows wait in a temporary file, in *blocks*: the rows of
some chunks, cut into *buckets* by a hash of their group. Bucket after bucket is made into events, so memory stays flat
unless one group is large. Then the chunks come out as they came: each group's first row, its head, has the event, the
other rows point to it.

A *place* is a row's position in the run, over all sources, from 0.
"""

from __future__ import annotations

import pickle
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.columns import absent, flags, hashes, mask_of, violations, without
from importer.currencies import contradicting
from importer.errors import SourceError
from importer.exact import decimals_of, sums
from importer.mapping.model import ImportMapping
from importer.model import (
    EVENT_COLUMNS,
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
from importer.spill import Extent, SpillFile

_SHOWN = frozenset({"subscriber.id", "subscriber.email", "subscriber.phone", "type", "key", "account"})
"""The report shows these of every row, head or not."""
_HIDDEN: dict[str, Any] = dict.fromkeys(name for target, name in EVENT_COLUMNS.items() if target not in _SHOWN)
_AGREED = frozenset({"subscriber.id", "subscriber.email", "subscriber.phone", "value_currency", "account"})
"""Rows of one group may leave these out, but must not differ in them."""
_BUCKETS = 256
_BLOCK_BYTES = 4 << 20
"""Bytes of rows that are made into events together."""
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])

Note: TypeAlias = tuple[int, str, str, str]
"""What is said of a row: the stage at which it is reported, and the code, target and value."""
Notes: TypeAlias = defaultdict[int, list[Note]]
"""Notes by rows of a table."""
_NOTES = msgspec.json.Decoder(list[Note])
_OF_GROUP, _OF_ROW, _WARNING = range(3)


def grouped(
    sources: Iterable[SourceStream[Events]], mapping: ImportMapping, lacking: Events
) -> Generator[SourceStream[Events], None, None]:
    """The same sources with one event per group; all are read before the first comes out.

    ``lacking`` is one row without a cell, converted as if it were no part of a group: a group's columns get its values
    where no row has one, and its violations where they cannot be absent. Take the sources in order, each to its end.

    Groups that may not be whole are ``group.incomplete``: those of a source that broke off, and those within or next to
    which a row could not be read. A copy of another source makes groups of its own, so no sum counts it twice. Groups
    that several sources seem to have whole, such as orders in two nights' exports, are ``group.repeated``.

    Raises:
        SpaceError: the disk has no room for the rows that wait.

    """
    with closing(_Rows(_columns(mapping, lacking), lacking.violations)) as rows:
        for stream in sources:
            rows.add(stream)
        rows.group()
        for one in rows.sources:
            yield SourceStream(one.stream.source, rows.chunks(one), partial(str, one.digest), one.stream.error)


class _Column(msgspec.Struct, frozen=True):
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

    def of(self, events: Events) -> tuple[ArrowArray, ArrowArray | None]:
        """Its values in a chunk; and numbers by which they are compared, where these are neither numbers nor texts."""
        if name := EVENT_COLUMNS.get(self.target):
            return getattr(events, name), None
        found = next(one for one in events.properties if f"properties.{one.name}" == self.target)
        return found.values, found.instants if self.compares_times else None

    @property
    def mixes(self) -> bool:
        """Whether numbers of several rows make it, or go with another row's currency."""
        return self.target == "value" or (self.kind in ("integer", "number") and self.how in ("sum", "min", "max"))

    @property
    def compares_times(self) -> bool:
        return self.how in ("min", "max") and self.kind in ("date", "datetime")

    @property
    def made(self) -> Kind:
        """The kind of a group's values."""
        return "integer" if self.how == "count" else "text" if self.how == "join" else self.kind

    def make(
        self, cells: ArrowArray, ranks: ArrowArray | None, faulty: Bools, groups: _Groups
    ) -> tuple[ArrowArray, Int64s]:
        """Each group's value, null where absent; and the row whose cell cannot be used, -1 where none counts."""
        filled = flags(cells.is_valid())
        if self.how in ("first", "last"):
            choose = groups.first if self.how == "first" else groups.last
            taken = choose(filled | faulty)
            return _take(cells, taken), np.where(faulty[taken], taken, -1)
        faults = groups.first(faulty)
        rows = np.flatnonzero(filled)
        counts = np.bincount(groups.of_rows[rows], minlength=groups.count)
        if self.how == "count":
            return pa.array(counts).cast(pa.string()), faults
        some = np.flatnonzero(counts)
        ends = np.cumsum(counts)
        made = self._made(cells.take(rows), None if ranks is None else ranks.take(rows), (ends - counts)[some])
        where = np.full(groups.count, -1)
        where[some] = np.arange(len(some))
        return _take(made, where), faults

    def _made(self, cells: ArrowArray, ranks: ArrowArray | None, starts: Int64s) -> ArrowArray:
        """The value of each stretch of cells, none of which is null."""
        if self.how in ("min", "max"):
            return cells.take(pa.array(self._extreme(cells, ranks, starts)))
        texts = cells.cast(pa.string())
        if self.how == "sum":
            return sums(texts, starts)
        lists = pa.ListArray.from_arrays(pa.array(np.append(starts, len(texts)), pa.int32()), texts)
        return pc.binary_join(lists, self.separator) if self.how == "join" else _merged(lists)

    def _extreme(self, cells: ArrowArray, ranks: ArrowArray | None, starts: Int64s) -> Int64s:
        """Of each stretch the first of the least, or of the greatest, values."""
        if ranks is not None or pa.types.is_integer(cells.type):
            order = (cells if ranks is None else ranks).to_numpy()
        elif self.kind in ("integer", "number"):
            order = np.unique(decimals_of(cells), return_inverse=True)[1]
        else:
            order = pc.rank(cells, "ascending", tiebreaker="dense").to_numpy().astype(np.int64)
        if not len(starts):
            return starts
        best = (np.minimum if self.how == "min" else np.maximum).reduceat(order, starts)
        hits = np.flatnonzero(order == np.repeat(best, np.diff(np.append(starts, len(order)))))
        return hits[np.searchsorted(hits, starts)]


def _columns(mapping: ImportMapping, lacking: Events) -> tuple[_Column, ...]:
    picks = dict(mapping.fields())
    kinds: dict[str, Kind] = {f"properties.{one.name}": one.kind for one in lacking.properties} | {"value": "number"}
    values = {f"properties.{one.name}": one.values for one in lacking.properties}
    columns = []
    for target in dict.fromkeys((*EVENT_COLUMNS, *kinds)):
        pick = picks.get(target)
        missing = values[target] if target in values else getattr(lacking, EVENT_COLUMNS[target])
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
    """Whole groups: their rows one after the other, in the order of their places; and what is said of them."""

    def __init__(self, table: ArrowTable, run: _Rows) -> None:
        """``table`` has the rows of each group in that order."""
        self._run = run
        keys, known = table["key"].combine_chunks(), dict[str, int]()
        copies = [at for at, one in enumerate(run.sources) if one.digest and known.setdefault(one.digest, at) != at]
        if copies:  # they make groups of their own
            sources = table["source"].to_numpy()
            spaces = pa.array(np.where(np.isin(sources, copies), sources, -1)).cast(pa.string())
            keys = pc.binary_join_element_wise(spaces, keys, ":")
        codes = keys.dictionary_encode().indices.to_numpy()
        self.order = np.argsort(codes, kind="stable")
        self.of_rows = codes[self.order]
        """Each row's group, from 0."""
        self._table = table.take(pa.array(self.order)).combine_chunks()
        self.count = int(self.of_rows[-1]) + 1
        self.starts = np.searchsorted(self.of_rows, np.arange(self.count))
        self.ends = np.append(self.starts[1:], len(codes))
        self.places, self.sources = self["place"].to_numpy(), self["source"].to_numpy()
        self.notes: Notes = defaultdict(list)
        self.failed = np.full(self.count, -1)
        """The test that leaves each group out; -1: it is sent."""
        self.repeated = np.zeros(self.count, np.bool_)
        """Groups that several sources seem to have whole."""
        self.said: dict[int, list[Note]] = {}
        """What the conversion found of rows."""
        self.faults: defaultdict[str, Bools] = defaultdict(lambda: np.zeros(len(codes), np.bool_))
        """Per target, the rows with an error in it."""
        said = self["said"]
        for row in np.flatnonzero(flags(said.is_valid())).tolist():
            self.said[row] = _NOTES.decode(said[row].as_py())
            for _, code, target, _ in self.said[row]:
                if is_error(code, strict=False):
                    self.faults[target][row] = True

    def __getitem__(self, name: str) -> ArrowArray:
        return self._table.column(name).combine_chunks()

    def note(self, row: int, code: str, target: str, value: str, stage: int = _OF_GROUP) -> None:
        self.notes[row].append((stage, code, target, value))

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

    def that_differ(self, cells: ArrowArray, rows: Bools, among: Bools) -> list[int]:
        """The groups, of those that are true in ``among``, in which these rows' cells, none null, are not all equal."""
        at = np.flatnonzero(rows)
        texts, of_rows = cells.take(at), self.of_rows[at]
        unlike = flags(pc.not_equal(texts[1:], texts[:-1])) & (of_rows[1:] == of_rows[:-1])
        found = np.unique(of_rows[1:][unlike])
        return found[among[found]].tolist()  # type: ignore[no-any-return]  # a list of ints

    def events(self) -> ArrowTable:
        """What each row comes to, in the order in which they were read.

        Columns place; head, the place of its group's first row; failed, the number of the test that leaves the group
        out, -1 for none; said, its notes as JSON; and a column ``v…`` for each of the columns, null but for heads.
        """
        targets = {column.target for column in self._run.columns}
        others = [(target, faulty) for target, faulty in self.faults.items() if target not in targets]
        at_fault = self.first(np.logical_or.reduce([self.faults[""], *(faulty for _, faulty in others)]))
        self._test()
        self.failed[at_fault >= 0] = -1
        is_sent = self.failed < 0
        self._incomplete()
        self._check_currencies()
        for target, faulty in others:
            self._invalid(np.where(faulty[at_fault], at_fault, -1), target)
        spared: set[tuple[int, str]] = set()
        back = np.argsort(self.order)
        of_rows, heads = self.of_rows[back], np.full(len(back), -1)
        heads[self.order[self.starts]] = np.arange(self.count)
        values: dict[str, ArrowArray] = {}
        for at, column in enumerate(self._run.columns):
            cells, ranks = self[f"c{at}"], self[f"r{at}"] if column.compares_times else None
            faulty = self.faults[column.target]
            value, faults = column.make(cells, ranks, faulty, self)
            self._invalid(faults, column.target)
            if column.how in ("first", "last"):
                spared.update((row, column.target) for row in np.setdiff1d(np.flatnonzero(faulty), faults).tolist())
            is_absent = flags(value.is_null()) & (faults < 0)
            for one in self._run.lacks:
                if one.field == column.target:
                    for head in self.starts[is_absent & is_sent].tolist():
                        self.note(head, one.code, one.field, one.values[0].as_py() or "")
            if column.target in _AGREED:
                self._conflicts(column.target, cells)
            elif column.must_agree or column.how == "merge":
                self._differences(column, cells)
            value = pc.if_else(pa.array(is_absent), column.missing[0], value.cast(column.missing.type))
            values[f"v{at}"] = _take(value, of_rows if column.target == "account" else heads)
        self._note_own(spared)
        return pa.table(
            {
                "place": self.places[back],
                "head": self.places[self.starts][of_rows],
                "failed": self.failed[of_rows],
                "said": _texts(self.notes, len(back)).take(pa.array(back)),
                **values,
            },
            self._run.results,
        )

    def _note_own(self, spared: set[tuple[int, str]]) -> None:
        """Note what the conversion found of rows, but for ``spared`` errors; heads get the warnings of other rows."""
        for row, said in self.said.items():
            group = self.of_rows[row]
            head = int(self.starts[group])
            for stage, code, target, value in said if self.failed[group] < 0 else ():
                is_fault = is_error(code, strict=False)
                if not (is_fault and (row, target) in spared):
                    self.note(row, code, target, value, stage)
                if not is_fault and is_error(code, strict=True) and row > head and not self.repeated[group]:
                    self.note(head, code, target, value, _WARNING)

    def _test(self) -> None:
        """Find the first test of ``where`` that leaves each group out."""
        for at, test in reversed(list(enumerate(self._run.tests))):
            says = self[f"t{at}"].to_numpy()
            if test.rows == "first":
                row = self.first(says >= 0)
                answers = np.where(row >= 0, says[row], -1)
            else:
                answers = (np.maximum if test.rows == "any" else np.minimum).reduceat(says, self.starts)
            self.failed[np.where(answers < 0, not test.blank, answers == 0)] = at

    def _invalid(self, faults: Int64s, target: str) -> None:
        """Note the heads of groups in which another row has a value that cannot be used; -1: there is none."""
        for group in np.flatnonzero((faults >= 0) & (faults != self.starts) & (self.failed < 0)).tolist():
            head = int(self.starts[group])
            self.note(head, "group.invalid_row", target, self._named(int(faults[group]), head))

    def _conflicts(self, target: str, cells: ArrowArray) -> None:
        """Note all rows of groups whose rows name different subscribers or currencies."""
        texts = pc.utf8_lower(cells) if target == "subscriber.email" else cells
        says = flags(texts.is_valid())
        for group in self.that_differ(texts, says, self.failed < 0):
            rows = self.rows(group)
            said = sorted((texts[row].as_py(), row) for row in rows if says[row])
            both = sorted((row, text) for text, row in (said[0], said[-1]))
            for row in rows:
                named = ", ".join(f"{text} in {self._named(other, row)}" for other, text in both)
                self.note(row, "group.conflict", target, named)

    def _check_currencies(self) -> None:
        """Note all rows of groups whose numbers are in several currencies, or not in the one that another row names."""
        named = {column.target: self[f"c{at}"] for at, column in enumerate(self._run.columns)}.get("value_currency")
        for at, column in enumerate(self._run.columns):
            signs = self[f"s{at}"] if column.mixes else None
            if signs is None or signs.null_count == len(signs):
                continue
            said = signs if named is None or column.target != "value" else pc.coalesce(named, signs)
            firsts = self.first(flags(said.is_valid()))
            wrong = contradicting(signs, _take(said, firsts).take(pa.array(self.of_rows)))
            for group, row in {self.of_rows[row]: row for row in reversed(wrong.tolist())}.items():
                both = sorted((at, text[at].as_py()) for at, text in ((firsts[group], said), (row, signs)))
                for one in self.rows(group) if self.failed[group] < 0 else ():
                    words = ", ".join(f"{text} in {self._named(at, one)}" for at, text in both)
                    self.note(one, "group.conflict", column.target, words)

    def _differences(self, column: _Column, cells: ArrowArray) -> None:
        """Warn of groups whose rows differ in what the first row says, and name a row that differs.

        Of objects (``merge``) each member is compared.
        """
        filled = own = flags(cells.is_valid())
        if column.target == "key":
            # A key may fall back on what groups the rows where a row has none of its own.
            rows = np.flatnonzero(filled & ~flags(pc.equal(cells, self["key"])))
            pairs = zip(cells.take(rows).to_pylist(), self["key"].take(rows).to_pylist(), strict=True)
            own = mask_of(rows[np.array([not cell.endswith(key) for cell, key in pairs], np.bool_)], len(own))
        faulty = self.faults[column.target]
        among = (self.failed < 0) & ~self.repeated & ~faulty[self.first(filled | faulty)]
        for group in self.that_differ(cells, own, among):
            head = int(self.starts[group])
            seen: dict[str, tuple[int, str]] = {}
            unlike: dict[str, tuple[int, str]] = {}
            for row in (row for row in self.rows(group) if filled[row]):
                cell = cells[row].as_py()
                members = _members(cell).items() if column.how == "merge" else ((column.target, cell),)
                for target, text in members:
                    if seen.setdefault(target, (row, text))[1] != text and own[row]:
                        unlike.setdefault(target, (row, text))
            for target, other in unlike.items():
                both = (f"{text} in {self._named(row, head)}" for row, text in (seen[target], other))
                self.note(head, "group.differs", target, ", ".join(both), _WARNING)

    def _incomplete(self) -> None:
        """Note all rows of groups that may not be whole, or are so in several sources."""
        places, sources = self.places, self.sources
        heads, tails = places[self.starts], places[self.ends - 1]
        broken = np.isin(sources, [at for at, one in enumerate(self._run.sources) if one.broken])
        beside = self.first(np.isin(places, np.fromiter(self._run.gaps, np.int64))) >= 0
        lost = np.append(np.frombuffer(self._run.unreadable, np.int64), np.iinfo(np.int64).max)
        within = lost[np.searchsorted(lost, heads)]
        several = np.minimum.reduceat(sources, self.starts) < np.maximum.reduceat(sources, self.starts)
        first_broken, gaps = self.first(broken), beside | (within < tails)
        for group in np.flatnonzero(((first_broken >= 0) | gaps | several) & (self.failed < 0)).tolist():
            rows = self.rows(group)
            pair = self._repeated(rows) if several[group] else None
            self.repeated[group] = pair is not None
            for row in rows:
                if pair is not None:
                    both = " and ".join(self._named(one, row) for one in pair)
                    self.note(row, "group.repeated", "", both)
                if first_broken[group] >= 0:
                    name = self._run.sources[sources[first_broken[group]]].stream.source.name
                    self.note(row, "group.incomplete", "", f"{name} broke off")
                elif gaps[group]:
                    own = [self._run.gaps[at] for at in places[rows.start : rows.stop].tolist() if at in self._run.gaps]
                    gap = self._run.named(min(own) if own else int(within[group]), int(sources[row]))
                    self.note(row, "group.incomplete", "", f"{gap} cannot be read")

    def _repeated(self, rows: range) -> tuple[int, int] | None:
        """Two rows by which several sources seem to have a group whole.

        Either a row that would be added up is in two sources, or several sources have a value of their own, with
        another amount or another key: two nights' exports overlap, or two shops have the same number.
        """
        sources = self.sources[rows.start : rows.stop]
        cells: dict[str, list[str]] = {}
        for at, column in enumerate(self._run.columns):
            texts = self[f"c{at}"].slice(rows.start, len(rows)).cast(pa.string()).to_pylist()
            faulty = self.faults[column.target][rows.start : rows.stop]
            cells[column.target] = ["!" if fault else text or "" for text, fault in zip(texts, faulty, strict=True)]
        if any(column.target == "value" and column.how in ("first", "last") for column in self._run.columns):
            valued = [at for at, cell in enumerate(cells["value"]) if cell]
            said = [{cells[one][at] for at in valued} - {""} for one in ("value", "key") if one in cells]
            if len({sources[at] for at in valued}) > 1 and any(len(one) > 1 for one in said):
                return rows[valued[0]], rows[valued[-1]]
        adding = [cells[column.target] for column in self._run.columns if column.how in ("sum", "count", "join")]
        alike: dict[tuple[str, ...], list[int]] = {}
        for at in range(len(rows)):
            if any(one[at] for one in adding):
                alike.setdefault(tuple(one[at] for one in cells.values()), []).append(at)
        for _, same in sorted(alike.items()):
            if len({sources[at] for at in same}) > 1:
                return rows[same[0]], rows[same[-1]]
        return None

    def _named(self, row: int, beside: int) -> str:
        return self._run.named(int(self.places[row]), int(self.sources[beside]))


class _Source(msgspec.Struct):
    """A source that was read to its end, or to its error."""

    stream: SourceStream[Events]
    start: int
    """The place of its first row."""
    digest: str = ""
    """Of its content; empty if it could not be read."""
    broken: SourceError | None = None
    chunks: list[tuple[int, int, Extent]] = []
    """The place of each one's first row, its block, and what is left of its events."""


class _Rows:
    """All rows of the run. Add sources, `group` once, then take each source's chunks in order."""

    def __init__(self, columns: Sequence[_Column], lacks: Sequence[Violations]) -> None:
        self.columns = columns
        self.lacks = lacks
        self.sources: list[_Source] = []
        self._places = 0
        self.unreadable = array("q")
        """Places of rows that could not be read, ascending."""
        self.gaps: dict[int, int] = {}
        """Per place of a row, that of an unreadable one beside it; rows without a group do not count."""
        self._before: int | None = None
        """The place of the source's last row in a group."""
        self._gap: int | None = None
        """The first unreadable place since then."""
        self.tests: tuple[GroupTest, ...] = ()
        """The tests of ``where`` that are asked of groups, as any chunk has them."""
        self._file = SpillFile("the rows that wait for their groups")
        self._waiting: list[ArrowTable] = []
        """Rows of the next block."""
        self._waiting_bytes = 0
        self._blocks: list[dict[int, Extent]] = []
        """Per block, the rows of each bucket."""
        self._sizes = np.zeros(_BUCKETS, np.int64)
        self._made: list[list[Extent]] = []
        """Per block, tables of what its rows came to."""
        results = {"place": pa.int64(), "head": pa.int64(), "failed": pa.int64(), "said": pa.string()}
        results |= {f"v{at}": column.missing.type for at, column in enumerate(columns)}
        self.results = pa.schema(results)
        """Of these tables; see `_events_of`."""
        self._loaded: tuple[int, ArrowTable] = (-1, pa.table({}))
        """The block whose chunks come out, by place."""
        self.close = self._file.close

    def add(self, stream: SourceStream[Events]) -> None:
        """Read a source to its end, or to its error."""
        source = _Source(stream, self._places)
        self.sources.append(source)
        self._before = self._gap = None
        try:
            for events in stream.chunks:
                self._insert(source, events)
        except SourceError as broken:
            source.broken = broken
        else:
            source.digest = "" if stream.error else stream.digest()

    def _insert(self, source: _Source, events: Events) -> None:
        membership, chunk = events.membership, events.chunk
        assert membership is not None, "only a grouped mapping's events are grouped"
        self.tests = membership.tests
        count = len(chunk.rows)
        places = chunk.rows - chunk.first_row + self._places
        inside = events.passes_filter & flags(membership.keys.is_valid())
        notes: Notes = defaultdict(list)
        for one in events.violations:
            mine = one.among(inside)
            for position, value in zip(mine.positions.tolist(), mine.values.to_pylist(), strict=True):
                notes[position].append((_OF_ROW, one.code, one.field, value or ""))
        number = pa.repeat(pa.scalar(len(self.sources) - 1, pa.int64()), count)
        columns = {"place": pa.array(places), "source": number, "key": membership.keys, "said": _texts(notes, count)}
        for at, test in enumerate(membership.tests):
            columns[f"t{at}"] = pc.fill_null(test.passes.cast(pa.int8()), -1)
        for at, column in enumerate(self.columns):
            cells, ranks = column.of(events)
            for one in events.violations:
                if one.field == column.target and is_error(one.code, strict=False):
                    cells = without(cells, pa.array(mask_of(one.positions, count)))
            columns[f"c{at}"] = cells
            if ranks is not None:
                columns[f"r{at}"] = pc.fill_null(ranks, 0)
            if column.mixes:
                columns[f"s{at}"] = membership.signs.get(column.target, absent(count))
        self._waiting.append(pa.table(columns).filter(pa.array(inside)))
        self._waiting_bytes += self._waiting[-1].nbytes
        # A header is no part of any group.
        lost = [one.row - chunk.first_row for one in chunk.unreadable if one.code != "row.repeated_header"]
        self._note_gaps(places[inside], [self._places + at for at in lost])
        left = replace(
            events,
            chunk=replace(chunk, table=chunk.table.select([]), nested={}, literal={}),
            properties=(),
            violations=tuple(one.among(~inside) for one in events.violations),
            membership=replace(membership, keys=None),
            **_HIDDEN,
        )
        source.chunks.append((self._places, len(self._blocks), self._file.write(pickle.dumps(left))))
        self._places += chunk.count
        if self._waiting_bytes > _BLOCK_BYTES:
            self._end_block()

    def _end_block(self) -> None:
        """Keep the rows that wait by their buckets."""
        rows = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._waiting_bytes = [], 0
        of_rows = (hashes(rows["key"].combine_chunks()) % np.uint64(_BUCKETS)).astype(np.int64)
        order = np.argsort(of_rows, kind="stable")
        rows, counts = rows.take(pa.array(order)), np.bincount(of_rows, minlength=_BUCKETS)
        buckets: dict[int, Extent] = {}
        for bucket, end in enumerate(np.cumsum(counts).tolist()):
            if count := int(counts[bucket]):
                part = rows.slice(end - count, count)
                self._sizes[bucket] += part.nbytes
                buckets[bucket] = self._file.write_table(part)
        self._blocks.append(buckets)

    def _note_gaps(self, places: Int64s, lost: Sequence[int]) -> None:
        """Note the rows of a chunk's groups that are next to unreadable ones, be it across chunks."""
        self.unreadable.extend(lost)
        if not lost and self._gap is None:
            self._before = int(places[-1]) if len(places) else self._before
            return
        for place, is_lost in sorted([*((one, False) for one in places.tolist()), *((one, True) for one in lost)]):
            if is_lost:
                if self._before is not None:
                    self.gaps.setdefault(self._before, place)
                self._gap = place if self._gap is None else self._gap
            else:
                if self._gap is not None:
                    self.gaps.setdefault(place, self._gap)
                self._before, self._gap = place, None

    def group(self) -> None:
        """Make one event of each group. Raises `SpaceError`."""
        if self._waiting:
            self._end_block()
        self._made = [[] for _ in self._blocks]
        enough = np.flatnonzero(np.diff(np.cumsum(self._sizes) // _BLOCK_BYTES)) + 1
        for buckets in np.split(np.arange(_BUCKETS), enough):
            self._make(buckets.tolist())

    def _make(self, buckets: Sequence[int]) -> None:
        """Make the events of the groups in these buckets, and keep them by the blocks of their rows."""
        parts = [[self._file.read_table(of[one]) for one in buckets if one in of] for of in self._blocks]
        tables = [table for part in parts for table in part]
        if not tables:
            return
        made, at = _Groups(pa.concat_tables(tables).combine_chunks(), self).events(), 0
        for number, part in enumerate(parts):
            count = sum(table.num_rows for table in part)
            self._made[number].append(self._file.write_table(made.slice(at, count)))
            at += count

    def named(self, place: int, source: int) -> str:
        """A row as another row's reason names it: ``row 3``, or ``orders-2.csv, row 3``."""
        its = bisect_right(self.sources, place, key=lambda one: one.start) - 1
        row = f"row {place - self.sources[its].start + 1}"
        return row if its == source else f"{self.sources[its].stream.source.name}, {row}"

    def chunks(self, source: _Source) -> Iterator[Events]:
        """The chunks of one source, grouped; raises its `SourceError` where it broke off."""
        for start, block, extent in source.chunks:
            if self._loaded[0] != block:
                tables = [self.results.empty_table(), *map(self._file.read_table, self._made[block])]
                self._loaded = block, pa.concat_tables(tables).combine_chunks().sort_by("place")
            # This process wrote it, into a file without a name.
            events: Events = pickle.loads(self._file.read(extent))  # noqa: S301
            known = self._loaded[1]["place"].to_numpy()
            first, end = np.searchsorted(known, [start, start + events.chunk.count])
            yield self._grouped(start, events, self._loaded[1].slice(first, end - first))
        if source.broken:
            raise source.broken

    def _grouped(self, start: int, events: Events, members: ArrowTable) -> Events:
        """A chunk whose heads have their groups' events; ``members`` are its rows that are in groups."""
        places = events.chunk.rows - events.chunk.first_row + start
        count = len(places)
        at = np.searchsorted(places, members["place"].to_numpy())
        is_member = mask_of(at, count)
        index = np.full(count, -1)
        index[at] = np.arange(len(at))
        mine = members.take(pa.array(index, mask=~is_member)).combine_chunks()
        heads = pc.fill_null(mine["head"], -1).to_numpy()
        is_head = heads == places
        heads = np.where(is_head, -1, heads)
        assert events.membership is not None
        stopped = np.full(count, -1)
        for number, test in reversed(list(enumerate(events.membership.tests))):
            stopped[~flags(pc.fill_null(test.passes, test.blank))] = number
        stopped[at] = members["failed"].to_numpy()
        passes = events.passes_filter & (stopped < 0)
        found = [one.among(passes | one.code.startswith("filtered.")) for one in events.violations]
        for number, test in enumerate(events.membership.tests):
            rows = pa.array(events.passes_filter & (stopped == number))
            if test.words:
                cells = pa.repeat("", count) if test.cells is None else test.cells
                found += violations("filtered.where", test.words, rows, cells)
        found += _violations(mine["said"])
        attributes: dict[str, Any] = {name: absent(count) for name in ("value", "value_currency")}
        properties = []
        for number, column in enumerate(self.columns):
            values = mine[f"v{number}"].combine_chunks()
            if column.target == "account":
                # A row of another account than its group's is no part of it: the head is in that account's run.
                heads[flags(pc.not_equal(events.account, values))] = -1
                values = pc.coalesce(events.account, values)
            elif column.target in _SHOWN:
                values = pc.if_else(pa.array(is_head), values, column.of(events)[0])
            if name := EVENT_COLUMNS.get(column.target):
                attributes[name] = values
            else:
                properties.append(Property(column.target.removeprefix("properties."), column.made, values))
        return replace(
            events, **attributes, properties=tuple(properties),
            passes_filter=passes, violations=tuple(found), membership=None, group_heads=heads,
        )  # fmt: skip


def _texts(notes: Mapping[int, Sequence[Note]], count: int) -> ArrowArray:
    """The notes of each row as JSON; null where there is none."""
    if not notes:
        return absent(count)
    texts: list[str | None] = [None] * count
    for row, said in notes.items():
        texts[row] = msgspec.json.encode(said).decode()
    return pa.array(texts, pa.string())


def _violations(texts: ArrowArray) -> Iterator[Violations]:
    """The notes that `_texts` has written, in the order of their stages."""
    rows = np.flatnonzero(flags(texts.is_valid())).tolist()
    notes = [(note, row) for row in rows for note in _NOTES.decode(texts[row].as_py())]
    found: dict[tuple[str, str], dict[int, str]] = {}
    for (_, code, target, value), row in sorted(notes, key=lambda one: one[0][0]):
        found.setdefault((code, target), {}).setdefault(row, value)
    for (code, target), values in found.items():
        yield Violations(code, target, np.array(sorted(values)), pa.array([values[row] for row in sorted(values)]))


def _members(text: str) -> dict[str, str]:
    """The members of a JSON object by their targets, each as JSON."""
    return {f"properties.{name}": bytes(value).decode() for name, value in _MEMBERS.decode(f"{{{text}}}").items()}


def _merged(lists: ArrowArray) -> ArrowArray:
    """The members of each list's objects; of one that several have, the first."""
    made = []
    for texts in lists.to_pylist():
        members: dict[str, msgspec.Raw] = {}
        for text in texts:
            members |= _MEMBERS.decode(f"{{{text}}}") | members
        made.append(texts[0] if len(texts) == 1 else msgspec.json.encode(members)[1:-1].decode())
    return pa.array(made, pa.string())


def _take(cells: ArrowArray, rows: Int64s) -> ArrowArray:
    """The cells of these rows; null where a row is -1."""
    return cells.take(pa.array(rows, mask=rows < 0))
