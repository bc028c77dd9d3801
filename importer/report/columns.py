"""The columns of a check's files: those that nothing maps, and those that the mapping names and a file lacks.

This module owns that comparison, a line per header: nightly files mostly share one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from importer.mapping.columns import check_columns
from importer.mapping.model import ImportMapping
from importer.model import Source
from importer.report.check_model import LackingColumn, SourceColumns


@dataclass(slots=True)
class Columns:
    """Collects headers; those of JSON lines are unknown, since every line may have other keys."""

    mapping: ImportMapping
    _headers: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        """Look at a source's header."""
        if source.columns:
            self._headers.setdefault(source.columns, []).append(source.name)

    def told(self) -> tuple[SourceColumns, ...]:
        """What there is to say of each header."""
        wanted = self.mapping.columns()
        return tuple(
            SourceColumns(
                sources=tuple(names),
                unmapped=tuple(name for name in header if not _is_mapped(name, wanted)),
                missing=tuple(
                    LackingColumn(one.name, one.targets, one.nearest) for one in check_columns(self.mapping, header)
                ),
            )
            for header, names in self._headers.items()
        )


def _is_mapped(name: str, wanted: tuple[str, ...]) -> bool:
    """Whether anything reads it; what a rejects file adds, and a column without a name, nothing has to."""
    if not name.strip() or name.startswith("importer_"):
        return True
    return any(one == name or one.startswith((f"{name}.", f"{name}[")) for one in wanted)
