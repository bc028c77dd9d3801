"""Rows that share ``group_by`` become one event, wherever in the run they are.

All sources are read before the first event exists, so their rows wait in a temporary SQLite database, which has no name
(``TMPDIR`` says on which disk) and goes when this process goes. SQLite sorts the rows by group and aggregates them;
memory stays flat however many there are. Then the chunks come out as they came: each group's first row, its head, has
the event, the other rows point to it.

A *place* is a row's position in the run, over all sources, from 0; the column ``p`` has it as digits of one length. A
*cell* is NULL (absent), ``=`` and the value, or ``!`` (the value cannot be used). So ``min(p || cell)`` is the first.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.errors import SourceError, SpaceError
from importer.exact import UNLIMITED, token
from importer.mapping.model import ImportMapping
from importer.model import ArrowArray, Bools, Events, GroupTest, Int64s, Kind, Property, SourceStream, Violations
from importer.reasons import is_error

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
}
"""Targets that are no properties, and their attributes of `Events`."""
_SHOWN = frozenset({"subscriber.id", "subscriber.email", "subscriber.phone", "type", "key"})
"""The report shows these of every row, head or not."""
_AGREED = frozenset({"subscriber.id", "subscriber.email", "subscriber.phone", "value_currency"})
"""Rows of one group may leave these out, but must not differ in them."""
_PLACE = 12
"""Digits of a place as text, by which the first and the last cell are found."""
_CACHE_KIB = 64 << 10
"""Memory for SQLite's pages and for sorting."""
_NEAR = "(SELECT iif(rows.source = unreadable.source, rows.place, NULL) FROM rows WHERE rows.place {} LIMIT 1)"
_NEXT_TO_UNREADABLE = f"""
    UPDATE rows SET gap = near.gap FROM (
        SELECT row, min(place) AS gap FROM (
            SELECT {_NEAR.format("< unreadable.place ORDER BY rows.place DESC")} AS row, place FROM unreadable
            UNION ALL
            SELECT {_NEAR.format("> unreadable.place ORDER BY rows.place")} AS row, place FROM unreadable
        ) GROUP BY row
    ) AS near WHERE rows.place = near.row"""
"""The rows before and after each unreadable one, skipping rows that are in no group."""
_HEADS_OF_ROWS = """
    SELECT rows.place, head FROM rows CROSS JOIN groups USING (space, key)
    WHERE rows.place BETWEEN ? AND ? ORDER BY rows.place"""
_WARNINGS_OF_HEADS = "SELECT head, code, target, value FROM head_warnings WHERE head BETWEEN ? AND ?"
_DIFFERING = "SELECT head, target, first, value, place, other FROM differing WHERE head BETWEEN ? AND ?"


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
    is_number: bool
    """Whether values are compared as numbers, else as text."""
    must_agree: bool
    """Nobody said that one row's value stands for all, so a difference is worth a warning."""

    def of(self, events: Events) -> ArrowArray:
        """Its values in a chunk."""
        if self.target in _ATTRIBUTES:
            return getattr(events, _ATTRIBUTES[self.target])
        return self._property(events).values

    def instants(self, events: Events) -> ArrowArray:
        """The instants of its values, by which dates and times are compared."""
        return self._property(events).instants

    def _property(self, events: Events) -> Property:
        return next(one for one in events.properties if f"properties.{one.name}" == self.target)

    @property
    def compares_dates(self) -> bool:
        """Whether its values are compared as instants."""
        return self.how in ("min", "max") and self.kind in ("date", "datetime") and self.target not in _ATTRIBUTES

    @property
    def made(self) -> Kind:
        """The kind of a group's values."""
        return "integer" if self.how == "count" else "text" if self.how == "join" else self.kind

    @property
    def chooses(self) -> bool:
        """Whether it takes the value of one row and ignores the others."""
        return self.how in ("first", "last")

    def aggregate(self) -> _Aggregate:
        """A new aggregate of one group, for SQLite."""
        if self.how == "sum":
            return _Sum()
        if self.how == "merge":
            return _Merge()
        return _Join(self.separator) if self.how == "join" else _Extreme(self.how, self.is_number)

    def sql(self, at: int) -> list[str]:
        """What to select of a group, in the order in which `_Rows._group` reads it."""
        if self.chooses:
            selected = [f"{'min' if self.how == 'first' else 'max'}(p || c{at}) AS v{at}"]
        else:
            rank = f"r{at}" if self.compares_dates else "NULL"
            made = f"count(nullif(c{at}, '!'))" if self.how == "count" else f"made{at}(c{at}, {rank}, place)"
            selected = [f"{made} AS v{at}", f"min(iif(c{at} = '!', place, NULL)) AS f{at}"]
        if self.target in _AGREED:
            cell = f"nullif(c{at}, '!')"
            cell = f"lower({cell})" if self.target == "subscriber.email" else cell
            selected += [f"min({cell} || p) AS least{at}", f"max({cell} || p) AS greatest{at}"]
        elif self.must_agree:
            selected.append(f"min({self.own_cell(at)}) < max({self.own_cell(at)}) AS d{at}")
        return selected

    def own_cell(self, at: int) -> str:
        """The cell in SQL, if it can be used; a key may fall back on what groups the rows where a row has none."""
        cell = f"nullif(c{at}, '!')"
        return f"iif(substr({cell}, -length(key)) = key, NULL, {cell})" if self.target == "key" else cell


def _columns(mapping: ImportMapping, absent: Events) -> tuple[_Column, ...]:
    """The columns that the mapping's events have."""
    picks = dict(mapping.fields())
    kinds: dict[str, Kind] = {f"properties.{one.name}": one.kind for one in absent.properties} | {"value": "number"}
    columns = []
    for target in dict.fromkeys((*_ATTRIBUTES, *kinds)):
        pick = picks.get(target)
        of_rows = {"event_time": absent.event_time, "more_properties": absent.more_properties}
        if pick is None and of_rows.get(target) is None:
            continue
        kind = kinds.get(target, "text")
        how = "merge" if target == "more_properties" else (pick.aggregate if pick else None) or "first"
        whole = target == "order_by" and not pa.types.is_string(absent.order_value.type)  # type: ignore[union-attr]
        columns.append(
            _Column(
                target,
                how=how,
                kind=kind,
                separator=", " if pick is None or pick.separator is None else pick.separator,
                is_number=whole or kind in ("integer", "number"),
                must_agree=pick is not None and pick.aggregate is None and target not in ("order_by", *_AGREED),
            )
        )
    return tuple(columns)


class _Sum:
    """The exact sum of a group's numbers."""

    def __init__(self) -> None:
        self._total: Decimal | None = None

    def step(self, cell: str | None, _rank: int | None, _place: int) -> None:
        if cell is not None and cell[0] == "=":
            self._total = UNLIMITED.add(Decimal(cell[1:]), self._total or 0)

    def finalize(self) -> str | None:
        return None if self._total is None else token(self._total)


class _Extreme:
    """The least or the greatest of a group's values, the first of several."""

    def __init__(self, how: str, is_number: bool) -> None:
        self._least = how == "min"
        self._is_number = is_number
        self._best: tuple[Any, int, str] | None = None

    def step(self, cell: str | None, rank: int | None, place: int) -> None:
        if cell is None or cell[0] != "=":
            return
        size = rank if rank is not None else Decimal(cell[1:]) if self._is_number else cell
        if self._best is not None:
            best = self._best[0]
            worse = size > best if self._least else size < best
            if worse or (size == best and place > self._best[1]):
                return
        self._best = (size, place, cell[1:])

    def finalize(self) -> str | None:
        return None if self._best is None else self._best[2]


class _Join:
    """A group's texts, in the order of their rows."""

    def __init__(self, separator: str) -> None:
        self._separator = separator
        self._texts: list[tuple[int, str]] = []

    def step(self, cell: str | None, _rank: int | None, place: int) -> None:
        if cell is not None and cell[0] == "=":
            self._texts.append((place, cell[1:]))

    def finalize(self) -> str | None:
        return self._separator.join(text for _, text in sorted(self._texts)) if self._texts else None


class _Merge:
    """The members of a group's objects; of one that several rows have, the first."""

    def __init__(self) -> None:
        self._texts: list[tuple[int, str]] = []

    def step(self, cell: str | None, _rank: int | None, place: int) -> None:
        if cell is not None and cell[0] == "=":
            self._texts.append((place, cell[1:]))

    def finalize(self) -> str | None:
        members: dict[str, msgspec.Raw] = {}
        for _, text in sorted(self._texts):
            for name, value in _MEMBERS.decode(f"{{{text}}}").items():
                members.setdefault(name, value)
        return msgspec.json.encode(members)[1:-1].decode() if members else None


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_Aggregate = _Sum | _Extreme | _Join | _Merge


class _Found:
    """Violations of a chunk's rows, found one by one."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], dict[int, str]] = {}

    def add(self, code: str, target: str, position: int, value: str | None) -> None:
        """Note one."""
        self._rows.setdefault((code, target), {}).setdefault(position, value or "")

    def violations(self) -> tuple[Violations, ...]:
        """All of them, by code and target."""
        return tuple(
            Violations(code, target, np.array(sorted(rows), np.int64), pa.array([rows[at] for at in sorted(rows)]))
            for (code, target), rows in self._rows.items()
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """One group, as SQLite has aggregated it."""

    head: int
    """The place of its first row."""
    values: list[str | None]
    """Per column; None: absent, or it cannot be used."""
    faults: dict[str, int]
    """Per target with a value that cannot be used, the place of the first row that has one."""
    chosen: frozenset[str]
    """Targets of which only one row's value counts."""
    conflicts: dict[str, list[tuple[int, str]]]
    """Per target in which the rows differ, two places and their values."""
    repeated: tuple[int, int] | None
    """The places of two rows by which several sources seem to have the group whole."""
    gap: int | None
    """The place of a row that could not be read and may be part of the group."""
    broken: int | None
    """A source of the group that broke off."""
    failed: int | None
    """The test of ``where`` that leaves the group out; None: it is sent."""

    def counts(self, code: str, target: str, place: int) -> bool:
        """Whether a row's violation concerns the group's event."""
        if self.failed is not None or (target in self.chosen and is_error(code, strict=False)):
            return self.failed is None and self.faults.get(target) == place
        return True


class _Rows:
    """All rows of the run, in SQLite. Add sources, `group` once, then take each source's chunks in order."""

    def __init__(self, columns: Sequence[_Column], absent: Events) -> None:
        self._columns = columns
        self._chosen = frozenset(column.target for column in columns if column.chooses)
        self._absent = absent
        self._names: list[str] = []
        self._starts: list[int] = []
        """Of each source, the place of its first row."""
        self._broken: dict[int, SourceError] = {}
        self._digests: dict[str, int] = {}
        self._places = 0
        self._tests: tuple[GroupTest, ...] | None = None
        """The tests of ``where`` that are asked of groups, as any chunk has them; None before the first chunk."""
        # "" is a temporary file without a name. Chunks may be taken on another thread than rows were added on.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def add(self, one: SourceStream[Events]) -> tuple[SourceStream[Events], str]:
        """Read a source to its end; the source and the digest of its content, empty if it could not be read."""
        number = len(self._names)
        self._names.append(one.source.name)
        self._starts.append(self._places)
        try:
            for events in one.chunks:
                with _room():
                    self._insert(number, events)
        except SourceError as broken:
            self._broken[number] = broken
            return one, ""
        digest = "" if one.error else one.digest()
        if digest and self._digests.setdefault(digest, number) != number and self._tests is not None:
            with _room():
                self._database.execute("UPDATE rows SET space = ?1 WHERE source = ?1", (number,))
        return one, digest

    def _create(self, tests: tuple[GroupTest, ...]) -> None:
        self._tests = tests
        self._database.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{_CACHE_KIB}; BEGIN;"
        )
        cells = [f"t{at}" for at in range(len(tests))]
        for at, column in enumerate(self._columns):
            cells += [f"c{at}", f"r{at}"] if column.compares_dates else [f"c{at}"]
            self._database.create_aggregate(f"made{at}", 3, column.aggregate)  # type: ignore[arg-type]  # a factory
        self._database.execute(
            f"CREATE TABLE rows (place INTEGER PRIMARY KEY, p, source, space, key, fault, gap, {', '.join(cells)})"
        )
        self._database.execute("CREATE TABLE unreadable (place INTEGER PRIMARY KEY, source)")
        self._database.execute("CREATE TABLE warned (place, code, target, value)")
        self._database.execute("CREATE TABLE chunks (start INTEGER PRIMARY KEY, source, size, events BLOB)")

    def _insert(self, source: int, events: Events) -> None:
        membership, chunk = events.membership, events.chunk
        assert membership is not None, "only a grouped mapping's events are grouped"
        if self._tests is None:
            self._create(membership.tests)
        places = chunk.rows - chunk.first_row + self._places
        inside = events.passes_filter & _flags(membership.keys.is_valid())
        faults = self._faults(events, places, inside)
        cells: list[ArrowArray] = [test.passes for test in membership.tests]
        for column in self._columns:
            cell = pc.binary_join_element_wise("=", column.of(events).cast(pa.string()), "")
            if column.target in faults:
                cell = pc.if_else(pa.array(faults.pop(column.target)), "!", cell)
            cells += [cell, column.instants(events)] if column.compares_dates else [cell]
        fault = pa.nulls(len(places), pa.string())
        for target, rows in faults.items():
            fault = pc.if_else(pa.array(rows), target, fault)
        digits = pc.utf8_lpad(pa.array(places).cast(pa.string()), _PLACE, "0")
        columns = [pa.array(places), digits, membership.keys, fault, *cells]
        marks = ", ".join("?" * len(cells))
        self._database.executemany(
            f"INSERT INTO rows VALUES (?, ?, {source}, 0, ?, ?, NULL, {marks})",
            zip(*(_list(one.filter(pa.array(inside))) for one in columns), strict=True),
        )
        # A header is no part of any group.
        lost = (one.row - chunk.first_row for one in chunk.unreadable if one.code != "row.repeated_header")
        unreadable = [(self._places + at, source) for at in lost]
        self._database.executemany("INSERT INTO unreadable VALUES (?, ?)", unreadable)
        data = pickle.dumps(replace(events, chunk=replace(chunk, table=chunk.table.select([]), nested={})))
        packed = pa.compress(data, "lz4", asbytes=True)
        self._database.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (self._places, source, len(data), packed))
        self._places += chunk.count

    def _faults(self, events: Events, places: Int64s, inside: Bools) -> dict[str, Bools]:
        """Per target, the rows with an error in it; warnings of grouped rows are noted."""
        faults: dict[str, Bools] = {}
        for one in events.violations:
            if is_error(one.code, strict=False):
                faults.setdefault(one.field, np.zeros(len(places), np.bool_))[one.positions] = True
            elif is_error(one.code, strict=True):
                warned = zip(places[one.positions].tolist(), one.values.to_pylist(), inside[one.positions], strict=True)
                self._database.executemany(
                    "INSERT INTO warned VALUES (?, ?, ?, ?)",
                    [(place, one.code, one.field, value) for place, value, grouped in warned if grouped],
                )
        return faults

    def group(self) -> None:
        """Make one event of each group. Raises `SpaceError`."""
        if self._tests is None:
            return
        broken = ", ".join(map(str, self._broken)) or "NULL"
        parts = [
            "space", "key", "min(place) AS head", "max(place) AS tail", "min(gap) AS gap", "min(p || fault) AS fault",
            f"min(iif(source IN ({broken}), source, NULL)) AS broken", "min(source) AS first_source",
            "max(source) AS last_source",
        ]  # fmt: skip
        for at, test in enumerate(self._tests):
            said = {"first": f"min(p || t{at})", "any": f"max(t{at})"}.get(test.rows, f"min(t{at})")
            parts.append(f"{said} AS t{at}")
        for at, column in enumerate(self._columns):
            parts += column.sql(at)
        with _room():
            self._database.execute(_NEXT_TO_UNREADABLE)
            self._database.execute(
                f"CREATE TABLE groups AS SELECT made.*, coalesce(gap, (SELECT min(place) FROM unreadable "
                f"WHERE unreadable.place > head AND unreadable.place < tail)) AS hole "
                f"FROM (SELECT {', '.join(parts)} FROM rows GROUP BY space, key) AS made"
            )
            self._database.execute("CREATE INDEX by_key ON groups (space, key, head)")
            self._find_repeated()
            self._database.execute("CREATE INDEX by_place ON groups (head)")
            self._database.execute(
                "CREATE TABLE head_warnings AS SELECT head, code, target, value FROM warned "
                "CROSS JOIN rows USING (place) CROSS JOIN groups USING (space, key) WHERE head <> place"
            )
            self._note_differences()
            self._database.execute("CREATE INDEX by_head ON head_warnings (head)")

    def _note_differences(self) -> None:
        """Note the groups whose rows differ in a value of which the first row's is sent, and a row that differs."""
        self._database.execute("CREATE TABLE differing (head, target, first, value, place, other)")
        for at, column in enumerate(self._columns):
            if column.must_agree and self._fetch(f"SELECT 1 FROM groups WHERE d{at} LIMIT 1"):
                first = f"substr(v{at}, {_PLACE + 1})"
                # With min(), SQLite takes the other columns from the same row.
                self._database.execute(
                    f"INSERT INTO differing SELECT head, ?, CAST(substr(v{at}, 1, {_PLACE}) AS INTEGER), {first}, "
                    f"min(place), c{at} FROM rows CROSS JOIN groups USING (space, key) "
                    f"WHERE d{at} AND {first} <> '!' AND {column.own_cell(at)} <> {first} GROUP BY head",
                    (column.target,),
                )
        self._database.execute("CREATE INDEX by_differing_head ON differing (head)")

    def _find_repeated(self) -> None:
        """Note the groups that several sources seem to have whole.

        Either a row that would be added up is in two sources, or the value that one row stands for is in several, with
        another amount or another key: two nights' exports overlap, or two shops have the same number.
        """
        self._database.execute("CREATE TABLE repeated (head PRIMARY KEY, one, other) WITHOUT ROWID")
        at = {column.target: at for at, column in enumerate(self._columns)}
        several = "FROM groups JOIN rows USING (space, key) WHERE first_source < last_source"
        found = "INSERT OR IGNORE INTO repeated SELECT head, min(place), max(place)"
        if "value" in self._chosen:
            differ = " OR ".join(f"min(c{at[one]}) < max(c{at[one]})" for one in ("value", "key") if one in at)
            self._database.execute(
                f"{found} {several} AND c{at['value']} IS NOT NULL GROUP BY head "
                f"HAVING min(source) < max(source) AND ({differ})"
            )
        adding = [f"c{at[one.target]} IS NOT NULL" for one in self._columns if one.how in ("sum", "count", "join")]
        if adding:
            cells = ", ".join(f"c{number}" for number in at.values())
            self._database.execute(
                f"{found} {several} AND ({' OR '.join(adding)}) GROUP BY head, {cells} HAVING min(source) < max(source)"
            )

    def chunks(self, source: int) -> Iterator[Events]:
        """The chunks of one source, grouped; raises its `SourceError` where it broke off."""
        if self._tests is not None:
            for (start,) in self._fetch("SELECT start FROM chunks WHERE source = ? ORDER BY start", source):
                ((size, packed),) = self._fetch("SELECT size, events FROM chunks WHERE start = ?", start)
                # This process wrote it, into a file without a name.
                events = pickle.loads(pa.decompress(packed, size, "lz4", asbytes=True))  # noqa: S301
                yield self._grouped(source, start, events)
        if source in self._broken:
            raise self._broken[source]

    def _fetch(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        with _room():
            return self._database.execute(query, values).fetchall()

    def _grouped(self, source: int, start: int, events: Events) -> Events:
        """A chunk whose heads have their groups' events."""
        last = start + events.chunk.count - 1
        places = events.chunk.rows - events.chunk.first_row + start
        position_of = {place: position for position, place in enumerate(places.tolist())}
        own = [self._group(row) for row in self._fetch("SELECT * FROM groups WHERE head BETWEEN ? AND ?", start, last)]
        made = {group.head: group for group in own}
        groups: dict[int, _Group] = {}
        for place, head in self._fetch(_HEADS_OF_ROWS, start, last):
            if head not in made:  # its head is in an earlier chunk
                made[head] = self._group(*self._fetch("SELECT * FROM groups WHERE head = ?", head))
            groups[position_of[place]] = made[head]

        found = _Found()
        passes = self._alone(events, groups, found)
        heads = np.full(len(places), -1, np.int64)
        for position, group in groups.items():
            is_head = group.head == places[position]
            heads[position] = -1 if is_head else group.head
            passes[position] = group.failed is None
            if group.failed is not None:
                _filter(events, group.failed, position, found)
            else:
                self._judge(group, source, position, found, is_head=is_head)
        for one in events.violations:
            for position, value in zip(one.positions.tolist(), one.values.to_pylist(), strict=True):
                mine = groups.get(position)
                alone = passes[position] or one.code.startswith("filtered.")
                if alone if mine is None else mine.counts(one.code, one.field, places[position]):
                    found.add(one.code, one.field, position, value)
        for head, code, target, value in self._warnings(source, start, last):
            if passes[position_of[head]] and made[head].repeated is None:
                found.add(code, target, position_of[head], value)
        heading = {position: group for position, group in groups.items() if heads[position] == -1}
        return replace(
            self._with_values(events, heading),
            passes_filter=passes, violations=found.violations(), membership=None, group_heads=heads,
        )  # fmt: skip

    def _warnings(self, source: int, start: int, last: int) -> Iterator[tuple[int, str, str, str]]:
        """What heads between two places are warned of on account of their groups' other rows."""
        yield from self._fetch(_WARNINGS_OF_HEADS, start, last)
        for head, target, first, value, place, other in self._fetch(_DIFFERING, start, last):
            rows = f"{value[1:]} in {self._named(first, source)}, {other[1:]} in {self._named(place, source)}"
            yield head, "group.differs", target, rows

    def _group(self, row: Sequence[Any]) -> _Group:
        """A row of the table ``groups``."""
        assert self._tests is not None
        _, _, head, _, _, fault, broken, first_source, last_source, *others = row
        rest = iter(others)
        repeated = None
        if first_source < last_source:
            repeated = next(iter(self._fetch("SELECT one, other FROM repeated WHERE head = ?", head)), None)
        faults: dict[str, int] = {} if fault is None else {fault[_PLACE:]: int(fault[:_PLACE])}
        failed = None
        for at, test in enumerate(self._tests):
            said = next(rest)
            said = said[_PLACE:] if isinstance(said, str) else said
            if failed is None and not (test.blank if said is None else int(said)):
                failed = at
        values: list[str | None] = []
        conflicts = {}
        for column in self._columns:
            value = next(rest)
            if column.target in self._chosen:
                place, cell = (0, None) if value is None else (int(value[:_PLACE]), value[_PLACE:])
                at_fault = place if cell == "!" else None
                value = cell[1:] if cell and cell != "!" else None
            else:
                at_fault = next(rest)
            if column.target in _AGREED:
                least, greatest = next(rest), next(rest)
                if least is not None and least[:-_PLACE] != greatest[:-_PLACE]:
                    both = [(int(one[-_PLACE:]), one[1:-_PLACE]) for one in (least, greatest)]
                    conflicts[column.target] = sorted(both)
            elif column.must_agree:
                next(rest)  # what differs is fetched for each chunk
            if at_fault is not None:
                faults[column.target] = at_fault
            values.append(None if value is None or at_fault is not None else str(value))
        return _Group(
            head=head,
            values=values,
            faults=faults,
            chosen=self._chosen,
            conflicts=conflicts,
            repeated=repeated,
            gap=next(rest),
            broken=broken,
            failed=None if fault else failed,
        )

    def _alone(self, events: Events, groups: Mapping[int, _Group], found: _Found) -> Bools:
        """Whether each row passes the tests of groups by itself; notes why rows that are in no group are left out."""
        assert events.membership is not None
        passes = events.passes_filter.copy()
        for at, test in enumerate(events.membership.tests):
            failed = passes & ~_flags(pc.fill_null(test.passes, test.blank))
            passes &= ~failed
            for position in np.flatnonzero(failed).tolist():
                if position not in groups:
                    _filter(events, at, position, found)
        return passes

    def _judge(self, group: _Group, source: int, position: int, found: _Found, *, is_head: bool) -> None:
        """What is wrong with the group: with all of its rows, or with its event."""
        for target, cells in group.conflicts.items():
            told = ", ".join(f"{value} in {self._named(place, source)}" for place, value in cells)
            found.add("group.conflict", target, position, told)
        if group.repeated is not None:
            first, second = (self._named(place, source) for place in group.repeated)
            found.add("group.repeated", "", position, f"{first} and {second}")
        if group.broken is not None:
            found.add("group.incomplete", "", position, f"{self._names[group.broken]} broke off")
        elif group.gap is not None:
            found.add("group.incomplete", "", position, f"{self._named(group.gap, source)} cannot be read")
        if is_head:
            for target, place in group.faults.items():
                if place != group.head:
                    found.add("group.invalid_row", target, position, self._named(place, source))
            for one in self._absent.violations:
                at = next((at for at, column in enumerate(self._columns) if column.target == one.field), None)
                if at is not None and group.values[at] is None and one.field not in group.faults:
                    found.add(one.code, one.field, position, one.values[0].as_py())

    def _named(self, place: int, source: int) -> str:
        """A row as another row's reason names it: ``row 3``, or ``orders-2.csv, row 3``."""
        its = bisect_right(self._starts, place) - 1
        row = f"row {place - self._starts[its] + 1}"
        return row if its == source else f"{self._names[its]}, {row}"

    def _with_values(self, events: Events, heads: Mapping[int, _Group]) -> Events:
        """Events in which heads have their groups' values, and other rows only what the report shows of them."""
        count = len(events.passes_filter)
        mask = np.zeros(count, np.bool_)
        mask[list(heads)] = True
        attributes: dict[str, Any] = {}
        properties = []
        for at, column in enumerate(self._columns):
            absent = column.of(self._absent)
            values = pa.array([group.values[at] for group in heads.values()], pa.string()).cast(absent.type)
            if absent[0].is_valid:
                faulty = pa.array([column.target in group.faults for group in heads.values()], pa.bool_())
                values = pc.if_else(faulty, values, pc.fill_null(values, absent[0]))
            own = column.of(events) if column.target in _SHOWN else pa.nulls(count, absent.type)
            whole = pc.replace_with_mask(own, pa.array(mask), values)
            if column.target in _ATTRIBUTES:
                attributes[_ATTRIBUTES[column.target]] = whole
            else:
                properties.append(Property(column.target.removeprefix("properties."), column.made, whole))
        none = pa.nulls(count, pa.string())
        usual = dict.fromkeys(("subscriber_id", "email", "phone", "type", "value", "value_currency"), none)
        rest = dict.fromkeys(("key", "order_value", "event_time"))
        return replace(events, **(usual | rest | attributes), properties=tuple(properties))


def _filter(events: Events, test: int, position: int, found: _Found) -> None:
    """Note which test of ``where`` leaves a row out."""
    assert events.membership is not None
    asked = events.membership.tests[test]
    if asked.words:
        found.add(
            "filtered.where", asked.words, position, None if asked.cells is None else asked.cells[position].as_py()
        )


def _flags(array: ArrowArray) -> Bools:
    found: Bools = np.asarray(array.to_numpy(zero_copy_only=False), np.bool_)
    return found


def _list(array: ArrowArray) -> list[Any]:
    """As ``to_pylist``, in a fifth of the time for text."""
    values: list[Any] = (array.to_numpy(zero_copy_only=False) if pa.types.is_string(array.type) else array).tolist()
    return values


@contextmanager
def _room() -> Iterator[None]:
    """Turn a full disk into `SpaceError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            raise
        # SQLite's own order: https://www.sqlite.org/tempfiles.html
        named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108
        place = next((one for one in named if one and os.access(one, os.W_OK | os.X_OK)), "a temporary file")
        raise SpaceError(
            f"the rows that wait for their groups cannot be kept in {place}: {error}",
            hint="make room there, or name a directory with room for three copies of the files: TMPDIR=/that/directory",
        ) from error
