"""A chunk's cells as texts, and what is known of its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import absent, holds, text_column, trimmed, violations, whole, without_blanks
from importer.convert.identities import normalized
from importer.convert.lookups import Lookups
from importer.mapping.model import Scalar
from importer.model import ArrowArray, Chunk, Dialect, Source, Violations
from importer.wording import original_name

_FORMULA_TEXT = '^="(.*)"$'
"""How spreadsheets' exports keep digits text."""


_ROW = np.ones(1, np.int64)
EMPTY = Chunk(
    Source("", None, Dialect("csv"), None), 1, 1, pa.table({"": absent(1)}).select([]), _ROW, _ROW, (), {}, None
)
"""One row without a cell."""


class Texts(msgspec.Struct, frozen=True):
    """One text per row, and where it came from an object or a list."""

    texts: ArrowArray
    """Strings, null for absent."""
    nested: ArrowArray | None = None
    """Booleans; None if nothing is nested."""
    violations: tuple[Violations, ...] = ()
    """Cells that a test of `cases` could not read, and keys that a lookup does not have."""


class Cells:
    """A chunk's columns as texts; each column is trimmed once, however many targets use it."""

    def __init__(self, chunk: Chunk, lookups: Mapping[str, Lookups] | None = None) -> None:
        self._chunk = chunk
        self._lookups = lookups or {}
        self._texts: dict[tuple[str, bool, frozenset[str] | None], ArrowArray] = {}

    @property
    def count(self) -> int:
        """Rows."""
        return int(self._chunk.table.num_rows)

    def column(self, name: str, *, trim: bool = True, spared: frozenset[str] | None = None) -> Texts:
        """A column, blank cells absent; all absent if the source has no such column.

        With ``spared`` the cells are those of an identity (see `normalized`).
        """
        key = (name, trim, spared)
        if key not in self._texts:
            if spared is not None:
                texts = normalized(self.column(name).texts, spared)
            else:
                texts = text_column(self._chunk.table, name)
                texts = trimmed(texts) if trim else without_blanks(texts)
                if holds(pc.starts_with(texts, '="')):
                    texts = without_blanks(pc.replace_substring_regex(texts, _FORMULA_TEXT, r"\1"))
            self._texts[key] = texts
        return Texts(self._texts[key], self._chunk.nested.get(name))

    def looked_up(self, lookup: str, keys: ArrowArray, column: str) -> Texts:
        """What a lookup answers for each key, with a warning where it has none; nothing if there is no such lookup."""
        table = self._lookups.get(lookup)
        if table is None:
            return Texts(absent(len(keys)))
        answers, there = table.find(keys, column)
        missing = violations("lookup.not_found", lookup, pc.and_not(pc.is_valid(keys), there), keys)
        return Texts(answers, None, tuple(missing))

    def fact(self, name: str) -> ArrowArray:
        """What is known of the file, or of each row's place in it (see `ValueMapping.file`).

        Of a row that comes back from rejects, that is the file which it came from; unknown, if that was one of rejects.
        """
        chunk, origins = self._chunk, self._chunk.origins
        at = pa.array(chunk.rows - chunk.first_row)
        if name in ("line", "row"):
            own = pa.array(chunk.lines if name == "line" else chunk.rows).cast(pa.string())
            return own if origins is None else pc.coalesce(whole(origins.column(name)).take(at).cast(pa.string()), own)
        own = pa.repeat(pa.scalar(_of_file(name, chunk.source.name, chunk.source.path), pa.string()), self.count)
        if origins is None:
            return own
        names = whole(origins.column("source")).take(at).dictionary_encode()
        facts = [None if PurePath(one).name.startswith("rejects") else _of_file(name, one, None)
                 for one in names.dictionary.to_pylist()]  # fmt: skip
        return pc.if_else(pc.is_valid(names), pa.array(facts, pa.string()).take(names.indices), own)


def _of_file(name: str, source: str, path: str | None) -> str | None:
    """One dropped for `importer watch` is known as it was dropped, not as the watch moves and renames it."""
    source = original_name(source)
    member, folder = PurePath(source).name, Path(path or source).parent
    if folder.name == "processing" and (folder.parent / ".importer-watch").is_dir():
        folder = folder.parent
    known = {
        "name": member,
        "stem": member[:1] + member[1:].partition(".")[0],
        "directory": folder.name,
        "path": source,
    }
    return known[name] or None


def spelled(scalar: Scalar) -> str:
    """A YAML scalar as the text a cell would hold: ``true``, ``12.5``."""
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return str(scalar)
