"""What rows become: event columns, a verdict on them, and chunks ready for the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from importer.model.arrays import ArrowArray, ArrowTable, Bools, Int64s
from importer.model.sources import Chunk, Source

Kind = Literal["text", "integer", "number", "boolean", "date", "datetime"]
RowsWord = Literal["first", "any", "all", "each"]
"""Which rows of a group a test of ``where`` asks."""


@dataclass(frozen=True, slots=True)
class Property:
    """One property's column."""

    name: str
    kind: Kind
    values: ArrowArray
    """Strings; null leaves the property out. integer, number and boolean hold JSON tokens (``12.5``, ``true``) in
    canonical form; date is ``YYYY-MM-DD``; datetime is ISO 8601 with its offset or ``Z`` if it is known."""
    instants: ArrowArray | None = None
    """Of dates and times: int64 microseconds since the epoch (naive times taken as UTC), by which they are compared."""


@dataclass(frozen=True, slots=True)
class Problems:
    """One rule, and the rows of a chunk that break it."""

    code: str
    """A code of ``importer.reasons``."""
    field: str
    """The target at fault: ``subscriber.email``, ``properties.items``, ``value`` …"""
    positions: Int64s
    """0-based positions in the chunk's table, ascending, no repeats."""
    values: ArrowArray
    """The offending text of each, untouched (shortened when it is stored), shape as ``positions``."""


@dataclass(frozen=True, slots=True)
class GroupTest:
    """What a test of ``where`` that is asked of whole groups says of each row of a chunk."""

    rows: RowsWord
    """``first``, ``any`` or ``all``."""
    passes: ArrowArray
    """Booleans. For ``first`` null where the cell is blank: it leaves the answer to the group's other rows."""
    blank: bool
    """The answer where all cells of a group are blank."""


@dataclass(frozen=True, slots=True)
class Membership:
    """What groups are made by, before they are; every array has the length of ``chunk.table``."""

    keys: ArrowArray
    """The mapping's ``group_by`` as text; null where a row has none."""
    tests: tuple[GroupTest, ...]


@dataclass(frozen=True, slots=True)
class Events:
    """A chunk's rows as event columns; every array has the length of ``chunk.table``.

    Strings throughout, null for absent. ``value`` holds canonical JSON number tokens.
    """

    chunk: Chunk
    subscriber_id: ArrowArray
    email: ArrowArray
    phone: ArrowArray
    """E.164 where it could be normalised, else as found."""
    type: ArrowArray
    value: ArrowArray
    value_currency: ArrowArray
    properties: tuple[Property, ...]
    kept: Bools
    """False: the mapping's ``where`` leaves the row out, whatever its problems."""
    key: ArrowArray | None
    """The mapping's ``key`` as text; None without one."""
    place: ArrowArray | None
    """The mapping's ``order_by`` as int64, float64 or string, ascending; None without one."""
    occurred: ArrowArray | None
    """The source's own time: int64 microseconds since the epoch (naive times taken as UTC), null where unknown."""
    problems: tuple[Problems, ...] = ()
    """What shaping found (a value that is not a number …); validation adds the API's rules."""
    membership: Membership | None = None
    """With ``group_by``, until the groups are made; None without, and afterwards."""
    leaders: Int64s | None = None
    """Once groups are made, for each row that is part of another row's event the *place* of that row, its leader: how
    many rows of the run, over all its sources, stand before it; -1 for the others. None without ``group_by``."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What validation says of a chunk's events."""

    problems: tuple[Problems, ...]
    """Everything found, shaping's problems included, errors and warnings; rows that ``where`` left out have none."""
    valid: Bools
    """True: kept, and without an error, be it as an event or as a part of one. Shape (table.num_rows,)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk ready for the ledger: all its rows, spoiled ones included, in source order.

    Every array has shape (chunk.count,).
    """

    source: Source
    first_row: int
    count: int
    lines: Int64s
    states: ArrowArray
    """``string``: the value of `State` PENDING, INVALID, FILTERED or GROUPED (``pending`` …), never null."""
    leaders: Int64s | None
    """As in `Events`, -1 for rows that could not be read; a row that has one is GROUPED, or INVALID by itself."""
    bodies: ArrowArray
    """``binary``: the very bytes of the request's body; null unless PENDING, or where nobody wants them."""
    subscribers: ArrowArray
    """How the report names the subscriber: e-mail, else phone, else id; null where the row shows none."""
    identities: tuple[ArrowArray, ArrowArray, ArrowArray]
    """id, lower-cased e-mail and phone: whatever ties rows to one subscriber's lane; null where absent."""
    types: ArrowArray
    values: ArrowArray
    currencies: ArrowArray
    keys: ArrowArray | None
    places: ArrowArray | None
    occurred: ArrowArray | None
    reasons: ArrowTable
    """What planning found, errors and warnings: a line per row and rule, columns as in `Reason` (row int64; code, field
    and value string; none null), ascending by row, then in the order of the mapping's targets. A table, because a
    warning may concern every row (purchases in a retired currency)."""
    originals: ArrowTable | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a row is invalid, or what it is warned of."""

    row: int
    code: str
    field: str
    value: str
    """The offending value, shortened to at most 80 characters."""
