"""A mapping's `lookups`, read before its files are."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.cells import Cells
from importer.convert.lookups import LookupDatabase, Lookups, LookupTable
from importer.convert.values import picker
from importer.errors import SourceError, SpaceError
from importer.mapping.model import ImportMapping, Lookup
from importer.read import expand, open_source

_SHOWN = 5
"""Keys with several answers that are named."""


_MOST_IN_MEMORY = 256 << 20
"""Bytes of keys and answers that are kept in memory; more go to a temporary database."""


def read_lookups(mapping: ImportMapping, say: Callable[[str], None]) -> dict[str, Lookups]:
    """Each lookup's table, with the columns that the mapping asks it for.

    Raises:
        SourceError: a file cannot be read or lacks a column, or a key has several answers.
        UsageError: a lookup names no file.
        SpaceError: the disk has no room for a large one.
    """
    try:
        return {
            name: _table(name, mapping.lookups[name], columns, say) for name, columns in mapping.looked_up().items()
        }
    except sqlite3.OperationalError as error:  # a full disk
        hint = "make room, or name a directory that has some: TMPDIR=/that/directory"
        raise SpaceError(f"the lookups cannot be kept in a temporary file: {error}", hint=hint) from error


def _table(name: str, lookup: Lookup, columns: tuple[str, ...], say: Callable[[str], None]) -> Lookups:
    wanted = tuple(dict.fromkeys((*lookup.key.columns(), *columns)))
    key_of = picker(lookup.key, identity=True)
    rows = _Rows(columns)
    for each in expand([lookup.file] if isinstance(lookup.file, str) else list(lookup.file)):
        with open_source(each, lookup.source, columns=wanted) as reader:
            lacking = [column for column in wanted if not reader.available(column)]
            if lacking:
                known = f"; it has {', '.join(map(repr, (reader.source.columns or ())[:30]))}"
                raise SourceError(
                    each.name, f"the lookup `{name}` needs its column {', '.join(map(repr, lacking))}{known}"
                )
            for note in reader.notes:
                say(note)
            with closing(reader.chunks(wanted, raw_rows=False)) as chunks:
                for chunk in chunks:
                    for row in chunk.unreadable:
                        found_at = f"{each.name}, line {row.line}"
                        say(f"warning: {found_at}: not in the lookup `{name}` ({row.code}: {row.value})")
                    cells = Cells(chunk)
                    texts = key_of(cells).texts
                    there = texts.is_valid()
                    answers = {column: cells.column(column).texts.filter(there) for column in columns}
                    rows.add(each.name, pa.array(chunk.lines).filter(there), texts.filter(there), answers)
    table, doubts = rows.table()
    if doubts:
        pairs = "; ".join(f"{one} and {other}" for one, other in doubts)
        hint = "correct the file, or choose a key that is in one row alone"
        raise SourceError(name, f"the lookup has different answers for one key: {pairs}", hint=hint)
    return table


class _Rows:
    """A lookup's rows as they are read: in memory, and in a database when they are too many for that."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._names = columns
        self._parts: list[tuple[str, pa.Array, pa.Array, dict[str, pa.Array]]] = []
        self._size = 0
        self._database: LookupDatabase | None = None

    def add(self, file: str, lines: pa.Array, keys: pa.Array, columns: dict[str, pa.Array]) -> None:
        """Add rows."""
        self._parts.append((file, lines, keys, columns))
        self._size += keys.nbytes + sum(one.nbytes for one in columns.values())
        if self._size > _MOST_IN_MEMORY:
            self._database = self._database or LookupDatabase(self._names)
            for part in self._parts:
                self._database.add(_named(*part[:2]), *part[2:])
            self._parts, self._size = [], _MOST_IN_MEMORY

    def table(self) -> tuple[Lookups, list[tuple[str, str]]]:
        """All rows, and lines of rows that contradict each other."""
        if self._database is not None:
            self._database.close_rows()
            return self._database, self._database.contradictions(_SHOWN)
        table = LookupTable(
            pa.chunked_array([part[2] for part in self._parts], pa.string()).combine_chunks(),
            {
                name: pa.chunked_array([part[3][name] for part in self._parts], pa.string()).combine_chunks()
                for name in self._names
            },
        )
        doubts = table.contradictions()[:_SHOWN]
        names = pa.chunked_array([_named(*part[:2]) for part in self._parts], pa.string()) if doubts else None
        return table, [] if names is None else [(names[one].as_py(), names[other].as_py()) for one, other in doubts]


def _named(file: str, lines: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(f"{file}, line ", lines.cast(pa.string()), "")


def content_of(mapping: ImportMapping) -> list[list[str]]:
    """Each lookup's files with the SHA-256 of their bytes; raises what `expand` does, and nothing for a lost file."""
    found = []
    for name in mapping.looked_up():
        file = mapping.lookups[name].file
        for each in expand([file] if isinstance(file, str) else list(file)):
            digest = ""
            if each.path is not None:
                with suppress(OSError), Path(each.path).open("rb") as opened:
                    digest = hashlib.file_digest(opened, "sha256").hexdigest()
            found.append([name, each.name, digest])
    return found
