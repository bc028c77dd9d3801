"""The rows that inference looks at.

This module owns nothing but their shape. Reading them is ``pipeline``'s.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Column:
    """A column's cells, trimmed, in the order of the rows; empty where blank or absent."""

    name: str
    """As a mapping names it; a dotted path in nested formats."""
    cells: tuple[str, ...]
    nested: bool = False
    """Whether objects or lists were found in it."""
    later: tuple[str, ...] = ()
    """Cells of later rows that tell the day from the month, where these do not."""

    @cached_property
    def counts(self) -> Counter[str]:
        """The distinct cells that are not blank, and how often each stands there."""
        return Counter(cell for cell in self.cells if cell)

    @cached_property
    def filled(self) -> int:
        """How many cells are not blank."""
        return self.counts.total()

    @property
    def is_full(self) -> bool:
        """Whether no cell is blank."""
        return 0 < self.filled == len(self.cells)

    @property
    def is_unique(self) -> bool:
        """Whether no filled cell stands there twice."""
        return 0 < self.filled == len(self.counts)


@dataclass(frozen=True)
class Sample:
    """The first rows of a file."""

    name: str
    """The file, as the user named it."""
    columns: tuple[Column, ...]
    rows: int
    whole: bool
    """Whether these are all its rows."""
    has_header: bool = True
    doubled: tuple[str, ...] = ()
    """Names that stand in the header more than once, so that a mapping cannot say which is meant."""
    skip_lines: int = 0
    """Lines before the header: a report's title, the day it was made."""
    delimiter: str = ""
    """What the mapping must say of the delimiter; empty where it is recognised."""

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((one for one in self.columns if one.name == name), None)
