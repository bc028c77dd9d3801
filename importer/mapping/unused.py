"""The columns that nothing else of a mapping uses, and the properties that `more_properties` makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from importer.mapping.model import ImportMapping

_WILDCARD = re.compile(r"[*?\[]")
_NOT_WORDS = re.compile(r"[\W_]+")
_CAPITALS = re.compile(r"(?<=[^\W_])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])")
_OF_REJECTS = re.compile("_?importer[._]|_importer$")
"""Columns that a rejects file has besides its own."""


class UnusedColumns:
    """What `more_properties` takes."""

    def __init__(self, mapping: ImportMapping) -> None:
        """Of a mapping that has `more_properties`."""
        more = mapping.more_properties
        assert more is not None, "only asked of a mapping with more_properties"
        globs = [more.columns] if isinstance(more.columns, str) else more.columns
        found = [(glob, _WILDCARD.split(glob)[0].rpartition(".")[0]) for glob in globs]
        self._globs = sorted(found, key=lambda one: -len(one[1]))
        self._except = more.except_
        self._is_renamed = more.rename == "snake_case"
        wanted = mapping.columns()
        self._used = frozenset(name.strip() for name in wanted)
        self.prefixes = tuple(dict.fromkeys(prefix for _, prefix in found if prefix))
        """Paths of the objects whose members are taken."""
        self._reached = frozenset(path[: found.start()] for path in wanted for found in re.finditer(r"[.\[]", path)) | {
            prefix[: found.end()] for prefix in self.prefixes for found in re.finditer(r"[^.]+", prefix)
        }
        self._names: dict[str, str | None] = {}

    def is_reached(self, path: str) -> bool:
        """Whether the mapping uses what is inside of an object or a list."""
        return path in self._reached

    def property_of(self, column: str) -> str | None:
        """The property that a column, or a path into an object, becomes; None if it is not taken."""
        if column not in self._names:
            self._names[column] = self._property_of(column)
        return self._names[column]

    def taken(self, columns: tuple[str, ...]) -> Iterator[str]:
        """Those of a file's columns that become properties, each once."""
        return (column for column in dict.fromkeys(columns) if self.property_of(column) is not None)

    def _property_of(self, column: str) -> str | None:
        name = column.strip()
        if not name or name in self._used or _OF_REJECTS.match(name):
            return None
        if any(fnmatchcase(name, glob) for glob in self._except):
            return None
        prefix = next((prefix for glob, prefix in self._globs if fnmatchcase(name, glob)), None)
        if prefix is None:
            return None
        name = name[len(prefix) + 1 :] if prefix else name
        # ``Billing Name`` and ``billingName`` as ``billing_name``; a name without a letter stays as it is.
        snake_case = _NOT_WORDS.sub("_", _CAPITALS.sub("_", name)).strip("_").lower() if self._is_renamed else ""
        return snake_case or name or None
