"""A mapping's `lookups`, read before its files are."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import closing, suppress

import pyarrow as pa

from importer.columns import without
from importer.convert.cells import Cells
from importer.convert.lookups import Lookups
from importer.convert.values import picker
from importer.errors import ImporterError, SourceError
from importer.mapping.model import ImportMapping, Lookup
from importer.read import expand, open_source

_SHOWN = 5
"""Pairs of lines with several answers that are named."""
_LINES = 1 << 40
"""A row's place is the number of its file times this, and its line."""


def read_lookups(mapping: ImportMapping, say: Callable[[str], None]) -> dict[str, Lookups]:
    """Each lookup's table, with the columns that the mapping asks it for.

    Raises:
        SourceError: a file cannot be read or lacks a column, or a key has several answers.
        UsageError: a lookup names no file.
        SpaceError: the disk has no room for a large one.
    """
    return {name: _table(name, mapping.lookups[name], columns, say) for name, columns in mapping.looked_up().items()}


def _table(name: str, lookup: Lookup, columns: tuple[str, ...], say: Callable[[str], None]) -> Lookups:
    wanted = tuple(dict.fromkeys((*lookup.key.columns(), *columns)))
    key_of = picker(lookup.key, identity=True)
    table = Lookups(columns, by_value=lookup.key.as_ == "integer")
    files = expand([lookup.file] if isinstance(lookup.file, str) else list(lookup.file))
    for number, each in enumerate(files):
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
                    answers = {column: cells.column(column).texts for column in columns}
                    keys = key_of(cells)
                    doubtful = {at for one in keys.violations for at in one.positions.tolist()}
                    for at in sorted(doubtful):
                        found_at = f"{each.name}, line {chunk.lines[at]}"
                        say(f"warning: {found_at}: not in the lookup `{name}`: a cell of its key cannot be read")
                    texts = without(keys.texts, pa.array([at in doubtful for at in range(cells.count)]))
                    table.add(pa.array(chunk.lines + number * _LINES), texts, answers)
    table.close_rows()
    doubts = table.contradictions(_SHOWN)
    if doubts:
        names = [f"{files[place // _LINES].name}, line {place % _LINES}" for pair in doubts for place in pair]
        pairs = "; ".join(f"{one} and {other}" for one, other in zip(names[::2], names[1::2], strict=True))
        hint = "correct the file, or choose a key that is in one row alone"
        raise SourceError(name, f"the lookup has different answers for one key: {pairs}", hint=hint)
    return table


def content_of(mapping: ImportMapping) -> list[list[str]]:
    """Each lookup's files with the SHA-256 of their bytes; raises what `expand` does, and nothing for a lost file."""
    found = []
    for name in mapping.looked_up():
        file = mapping.lookups[name].file
        for each in expand([file] if isinstance(file, str) else list(file)):
            digest = ""
            if each.path is not None:
                with suppress(OSError, ImporterError), io.BufferedReader(each.open()) as opened:
                    digest = hashlib.file_digest(opened, "sha256").hexdigest()
            found.append([name, each.name, digest])
    return found
