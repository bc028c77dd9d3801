"""The types of what a check tells besides the books: events foreseen, columns, and advice on the mapping.

This module owns the shape of ``check`` and of ``reasons[].advice`` in ``summary.json``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MappingAdvice:
    """A change of the mapping that would let rows through."""

    why: str
    """What their values have in common."""
    write: str
    """The line to write, such as ``value: {column: Total, decimal: ","}``."""
    place: str
    """Where, such as ``orders.yaml, line 9, below `properties` ``."""


@dataclass(frozen=True, slots=True)
class TypeCount:
    """Events of one type."""

    type: str
    events: int


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """Events with a value in one currency."""

    currency: str
    """Empty: none."""
    events: int
    total: str
    """The exact sum, in decimal digits."""


@dataclass(frozen=True, slots=True)
class ForeseenEvents:
    """The events that would be sent. Times are ISO 8601 in UTC."""

    events: int
    subscribers: int
    """Distinct by e-mail, else phone, else id."""
    subscribers_exact: bool
    """False: an estimate, to about two in a thousand."""
    types: tuple[TypeCount, ...]
    """Most frequent first; at most 20."""
    other_types: int
    """Events of all other types."""
    totals: tuple[CurrencyTotal, ...]
    """Most events first."""
    oldest: str | None
    """The source's own time."""
    newest: str | None
    rate: int
    """Events a minute that delivery is assumed to make."""
    seconds: int
    """How long it takes then."""


@dataclass(frozen=True, slots=True)
class LackingColumn:
    """A column that the mapping names and files lack."""

    name: str
    targets: tuple[str, ...]
    """What it is needed for."""
    nearest: str | None
    """The file's column that was probably meant."""


@dataclass(frozen=True, slots=True)
class SourceColumns:
    """What there is to say of the columns of files that share a header."""

    sources: tuple[str, ...]
    unmapped: tuple[str, ...]
    missing: tuple[LackingColumn, ...]


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """What only a check tells."""

    foreseen: ForeseenEvents
    columns: tuple[SourceColumns, ...]
    """A line per header; none for JSON lines, whose keys may differ from line to line."""
