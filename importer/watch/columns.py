"""What the columns of the last file of a kind were, and what has changed since.

This module owns that memory, a small JSON file in the watched directory. Whether the mapping can do without a column is
the mapping's own to say (``pipeline.check``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from importer.errors import SourceError
from importer.mapping.load import load
from importer.read import expand, open_source
from importer.watch.drops import Drop


class Columns:
    """The columns of each kind of file; the first member of an archive speaks for it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "columns.json"

    def changes(self, drop: Drop, found: list[str]) -> str:
        """What is different from the last file of this kind, in words; empty if nothing is."""
        known = self._known().get(_kind(drop))
        if known is None or not found:
            return ""
        words = []
        for verb, names in (("added", _without(found, known)), ("gone", _without(known, found))):
            if names:
                words.append(f"{verb}: {', '.join(names)}")
        if not words and found != known:
            words.append("they stand in another order")
        return "; ".join(words)

    def remember(self, drop: Drop, found: list[str]) -> None:
        """These are the columns now."""
        if not found or self._known().get(_kind(drop)) == found:
            return
        part = self._path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode({**self._known(), _kind(drop): found}))
        part.replace(self._path)

    def _known(self) -> dict[str, list[str]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[str]])
        except (OSError, msgspec.DecodeError):
            return {}


def columns_of(path: Path, drop: Drop) -> list[str]:
    """The columns of a file; empty where it has no header, or cannot be read."""
    mapping = load(drop.mapping).mapping
    for each in expand([os.fspath(path)]):
        try:
            with open_source(each, mapping.source, columns=mapping.columns()) as reader:
                return list(reader.source.columns or ())
        except SourceError:
            return []
    return []


def _kind(drop: Drop) -> str:
    return f"{drop.pattern} {drop.mapping}"


def _without(names: list[str], others: list[str]) -> list[str]:
    return list(_missing(names, frozenset(others)))


def _missing(names: list[str], others: frozenset[str]) -> Iterator[str]:
    return (repr(name) for name in names if name not in others)
