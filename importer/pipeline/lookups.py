"""A mapping's `lookups`, read before its files are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pyarrow as pa

from importer.convert.cells import Cells
from importer.convert.lookups import LookupTable
from importer.convert.values import picker
from importer.errors import SourceError
from importer.mapping.model import ImportMapping, Lookup
from importer.read import expand, open_source

_SHOWN = 5
"""Keys with several answers that are named."""


def read_lookups(mapping: ImportMapping, say: Callable[[str], None]) -> dict[str, LookupTable]:
    """Each lookup's table, with the columns that the mapping asks it for.

    Raises:
        SourceError: a file cannot be read or lacks a column, or a key has several answers.
        UsageError: a lookup names no file.
    """
    return {name: _table(name, mapping.lookups[name], columns, say) for name, columns in mapping.looked_up().items()}


def _table(name: str, lookup: Lookup, columns: tuple[str, ...], say: Callable[[str], None]) -> LookupTable:
    wanted = tuple(dict.fromkeys((*lookup.key.columns(), *columns)))
    key_of = picker(lookup.key, identity=True)
    keys, lines = [], []
    found: dict[str, list[pa.Array]] = {column: [] for column in columns}
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
                    keys.append(texts.filter(there))
                    kept = chunk.lines[there.to_numpy(zero_copy_only=False)]
                    lines += [f"{each.name}, line {line}" for line in kept]
                    for column in columns:
                        found[column].append(cells.column(column).texts.filter(there))
    table = LookupTable(
        pa.chunked_array(keys, pa.string()).combine_chunks(),
        {column: pa.chunked_array(parts, pa.string()).combine_chunks() for column, parts in found.items()},
    )
    if doubts := table.contradictions():
        pairs = "; ".join(f"{lines[one]} and {lines[other]}" for one, other in doubts[:_SHOWN])
        hint = "correct the file, or choose a key that is in one row alone"
        raise SourceError(name, f"the lookup has different answers for one key: {pairs}", hint=hint)
    return table
