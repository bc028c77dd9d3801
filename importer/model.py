"""The types that cross from room to room; all frozen.

Conventions: *row* is 1-based over a source's data rows; *line* is the 1-based physical line where that
row starts (for Parquet it equals the row); *position* is the 0-based place within a chunk's table.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from importer import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class State(StrEnum):
    """A row's state. Every row read is in exactly one of these; their counts add up to the rows read."""

    SENT = "sent"
    """The API accepted its event."""
    INVALID = "invalid"
    """It breaks a rule of the API or of the mapping; it was never sent."""
    FILTERED = "filtered"
    """The mapping's ``where`` left it out."""
    GROUPED = "grouped"
    """It is part of another row's event (``group_by``)."""
    DUPLICATE = "duplicate"
    """Its key, or this row of this very file, was delivered or claimed before."""
    REFUSED = "refused"
    """The API refused it for good, with its own words."""
    FAILED = "failed"
    """Given up after the last attempt that ``--on-doubt resend`` allows."""
    IN_DOUBT = "in_doubt"
    """It may have been accepted; the user decides (`importer resolve`)."""
    PENDING = "pending"
    """Still to be sent."""


class ResponseKind(StrEnum):
    """What one request's end means for its row (the design's table)."""

    SENT = "sent"
    REFUSED = "refused"
    NOT_ACCEPTED = "not_accepted"
    """Surely not accepted (no connection, 429): wait, then again."""
    UNAUTHORIZED = "unauthorized"
    """401 or 403: the row stays pending and the whole run stops."""
    IN_DOUBT = "in_doubt"


class PauseKind(StrEnum):
    """Why nothing is sent for a while."""

    LIMIT = "limit"
    """The quota is used up."""
    OUTAGE = "outage"
    """The API is away."""
    HOURS = "hours"
    """It is none of the hours given with ``--between``."""
    STOPPED = "stopped"
    """The run was stopped, and went on later."""


class RunState(StrEnum):
    """How far a run has come."""

    PLANNING = "planning"
    """Files are being read; nothing was sent. After a crash such a run is planned again."""
    READY = "ready"
    """Planned, not yet confirmed."""
    DELIVERING = "delivering"
    STOPPED = "stopped"
    """Stopped before its end; `importer resume` goes on."""
    FINISHED = "finished"
    """No row is pending."""
    SUPERSEDED = "superseded"
    """A later run took its pending rows over."""
    PRUNED = "pruned"
    """Finished long ago; its rows' states and the delivered keys are all that is kept."""


T = TypeVar("T")
Int64s: TypeAlias = "npt.NDArray[np.int64]"
Bools: TypeAlias = "npt.NDArray[np.bool_]"
ArrowArray: TypeAlias = Any
"""A ``pyarrow.Array``. pyarrow ships no types, so the alias says what the checker cannot."""
ArrowTable: TypeAlias = Any
"""A ``pyarrow.Table``."""

Format = Literal["csv", "jsonl", "parquet"]
RejectsFormat = Literal["source", "xlsx"]


class Dialect(msgspec.Struct, frozen=True):
    """How a source's bytes become rows; recognised, or set by the mapping's ``source``."""

    format: Format
    compression: Literal["none", "gzip", "bz2", "xz", "zstd", "zip"] = "none"
    encoding: str = "utf-8"
    """A Python codec name. Parquet ignores it."""
    delimiter: str = ","
    """One character or more, or ``whitespace`` for runs of blanks."""
    quote: str = '"'
    escape: str = ""
    """What takes the meaning from a quote or delimiter behind it; empty: only a doubled quote means one."""
    has_header: bool = True
    has_bom: bool = False
    skip_lines: int = 0
    """Lines before the header that are no data; rejects get as many, for the mapping skips them again."""
    sheet: str = ""
    """The sheet of the Excel workbook that this is; empty: it is none."""


class Source(msgspec.Struct, frozen=True):
    """One opened input: a file, a member of an archive, or stdin."""

    name: str
    """As the user would name it: a path as given, ``archive.zip/orders.csv``, ``<stdin>``."""
    path: str | None
    """The absolute path on this machine; None for stdin and remote objects."""
    dialect: Dialect
    columns: tuple[str, ...] | None
    """The header, in order; None where the format has none (JSONL)."""


class SourceStream(msgspec.Struct, Generic[T], frozen=True):
    """One source with its chunks, read when they are asked for."""

    source: Source
    chunks: Iterable[T]
    """`Events` or `EncodedChunk`. May raise `SourceError` where the source breaks off; earlier chunks are good."""
    digest: Callable[[], str]
    """The content's SHA-256, known when the chunks are at their end."""
    error: str = ""
    """Why the source cannot be read at all."""
    threaded: bool = True
    """Whether its chunks may be made on another thread, before they are asked for."""

    @classmethod
    def unopened(cls, name: str, error: str) -> SourceStream[T]:
        """A source that cannot be opened, so that reports name it."""
        return cls(Source(name, None, Dialect("csv"), None), (), str, error)


class UnreadableRow(msgspec.Struct, frozen=True):
    """A row that could not be read; no other row is affected."""

    row: int
    line: int
    code: str
    """A code of ``importer.reasons`` (``row.ragged``, ``row.not_json`` …)."""
    value: str
    """What was found, shortened (``4 fields instead of 3``)."""


class Chunk(msgspec.Struct, frozen=True):
    """Some thousand consecutive rows of one source, as text."""

    source: Source
    first_row: int
    """Row number of the first row; the chunk covers ``first_row … first_row + count - 1`` without gaps."""
    count: int
    """Rows in the chunk: ``table.num_rows + len(unreadable)``."""
    table: ArrowTable
    """The readable rows; one ``string`` column per wanted name that the source has, named as the mapping names it.

    Null: the field is absent, or null in JSON or Parquet. Numbers are exact decimal text, booleans ``true`` or
    ``false``, dates and timestamps ISO 8601 (a zone-aware timestamp ends in ``Z``). A nested value is its JSON text.
    """
    rows: Int64s
    """Row numbers of ``table``'s rows, shape (table.num_rows,)."""
    lines: Int64s
    """Physical lines of ``table``'s rows, shape (table.num_rows,)."""
    unreadable: tuple[UnreadableRow, ...]
    nested: Mapping[str, ArrowArray]
    """Per column in which an object or array was found: a boolean array that is true there. Absent: nothing nested."""
    raw_rows: ArrowTable | None
    """All ``count`` rows as they came, in order, for ``rejects``: one ``binary`` column ``record`` with the raw record
    (CSV, JSONL; transcoded to UTF-8, undecodable bytes as lone surrogates, without its line end), or a Parquet file's
    own columns. None unless asked for."""
    literal: Mapping[str, ArrowArray] = {}
    """Per column that was taken because nothing else uses it: a boolean array that is true where the file has a number
    or a boolean, and no text. Absent: all text."""
    origins: ArrowTable | None = None
    """Of rows that come back from rejects, the rows that they correct: columns run (its id), source and line,
    ``string``, and row, int64; ``count`` rows, null where a row corrects none. None where it is no file of rejects."""


Kind = Literal["text", "integer", "number", "boolean", "date", "datetime"]
RowsWord = Literal["first", "any", "all", "each"]
"""Which rows of a group a test of ``where`` asks."""


class Property(msgspec.Struct, frozen=True):
    """One property's column."""

    name: str
    kind: Kind
    values: ArrowArray
    """Strings; null leaves the property out. integer, number and boolean hold JSON tokens (``12.5``, ``true``) in
    canonical form; date is ``YYYY-MM-DD``; datetime is ISO 8601 with its offset or ``Z`` if it is known."""
    instants: ArrowArray | None = None
    """Of dates and times: int64 microseconds since the epoch (naive times taken as UTC), by which they are compared."""


class Violations(msgspec.Struct, frozen=True):
    """One rule, and the rows of a chunk that break it."""

    code: str
    """A code of ``importer.reasons``."""
    field: str
    """The invalid target: ``subscriber.email``, ``properties.items``, ``value`` …"""
    positions: Int64s
    """0-based positions in the chunk's table, ascending, no repeats."""
    values: ArrowArray
    """The offending text of each, untouched (shortened when it is stored), shape as ``positions``."""

    def among(self, rows: Bools) -> Violations:
        """Those of the rows that are true."""
        stays = rows[self.positions]
        return (
            self if stays.all() else Violations(self.code, self.field, self.positions[stays], self.values.filter(stays))
        )


class GroupTest(msgspec.Struct, frozen=True):
    """What a test of ``where`` that is asked of whole groups says of each row of a chunk."""

    rows: RowsWord
    """``first``, ``any`` or ``all``."""
    passes: ArrowArray
    """Booleans. For ``first`` null where the cell is blank: it leaves the answer to the group's other rows."""
    blank: bool
    """The answer where all cells of a group are blank."""
    words: str = ""
    """The test as the report names it: ``Total above 0``."""
    cells: ArrowArray | None = None
    """The cells that it reads, as text."""


class Membership(msgspec.Struct, frozen=True):
    """What groups are made by, before they are; every array has the length of ``chunk.table``."""

    keys: ArrowArray
    """The mapping's ``group_by`` as text; null where a row has none."""
    tests: tuple[GroupTest, ...]
    signs: Mapping[str, ArrowArray] = {}
    """Per target with amounts that name their currency, its sign or code (``$``, ``USD``); null where none is named."""


class AccountColumn(msgspec.Struct, frozen=True):
    """How rows name their account."""

    column: str | None
    """None: the name of the file says it, and belongs to no account."""
    names: Mapping[str, str]
    """An account's name by each text that means it."""


class Events(msgspec.Struct, frozen=True):
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
    passes_filter: Bools
    """False: the mapping's ``where`` leaves the row out, even if it has problems."""
    key: ArrowArray | None
    """The mapping's ``key`` as text; None without one."""
    order_value: ArrowArray | None
    """The mapping's ``order_by`` as int64, float64 or string, ascending; None without one."""
    event_time: ArrowArray | None
    """The source's own time: int64 microseconds since the epoch (naive times taken as UTC), null where unknown."""
    more_properties: ArrowArray | None = None
    """The inside of a JSON object (``"a":1,"b":"x"``), besides the properties; null where a row has none, None without
    `more_properties`."""
    violations: tuple[Violations, ...] = ()
    """What conversion found (a value that is not a number …); validation adds the API's rules."""
    account: ArrowArray | None = None
    """The name of each row's account, or what is there instead and means none; null where nothing is. None: there is
    one account for all."""
    omit: Mapping[str, str | None] = {}
    """Targets that are left out where they are invalid, each with the value to use instead (None: no value)."""
    max_bytes: Mapping[str, int] = {}
    """Properties of text that are cut, and the bytes after which they are."""
    membership: Membership | None = None
    """With ``group_by``, until the groups are made; None without, and afterwards."""
    group_heads: Int64s | None = None
    """Once groups are made, for each row that is part of another row's event the *place* of that row, its leader: how
    many rows of the run, over all its sources, are before it; -1 for the others. None without ``group_by``."""


EVENT_COLUMNS: Mapping[str, str] = {
    "subscriber.id": "subscriber_id",
    "subscriber.email": "email",
    "subscriber.phone": "phone",
    "type": "type",
    "value": "value",
    "value_currency": "value_currency",
    "key": "key",
    "order_by": "order_value",
    "event_time": "event_time",
    "more_properties": "more_properties",
    "account": "account",
}
"""Targets that are no properties, in the order of reports, and their attributes of `Events`."""


class ValidationResult(msgspec.Struct, frozen=True):
    """What validation says of a chunk's events."""

    violations: tuple[Violations, ...]
    """Everything found, in conversion too: errors and warnings; rows that ``where`` left out have none."""
    valid: Bools
    """True: kept, and without an error, be it as an event or as a part of one. Shape (table.num_rows,)."""


class EncodedChunk(msgspec.Struct, frozen=True):
    """A chunk ready for the ledger: all its rows, unreadable ones too, in source order."""

    source: Source
    first_row: int
    count: int
    rows: ArrowTable
    """A line for each row.

    Columns state string: the value of `State` PENDING, INVALID, FILTERED or GROUPED (``pending`` …), never null. line
    int64. subscriber string: how the report names it, e-mail, else phone, else id; null where the row shows none.
    type, value and currency string. body ``binary``: the very bytes of the request's body, null unless PENDING, or
    where they are not wanted. Where the mapping makes them, key string, order_value, event_time int64, and group_head
    int64, as in `Events` but null for rows without one; a row that has one is GROUPED, or INVALID by itself.
    """
    identities: tuple[ArrowArray, ArrowArray, ArrowArray]
    """id, lower-cased e-mail and phone of each row: what puts rows into one subscriber's lane; null where absent."""
    reasons: ArrowTable
    """What planning found, errors and warnings: a line per row and rule, columns as in `Reason` (row int64; code, field
    and value string; none null), ascending by row, then in the order of the mapping's targets. A table, because a
    warning may concern every row (purchases in a retired currency)."""
    raw_rows: ArrowTable | None
    origins: ArrowTable | None = None
    """As in `Chunk`."""
    accounts: ArrowArray | None = None
    """The name of each row's account, null where it belongs to none; None: there is one account for all."""


class StoredChunk(msgspec.Struct, frozen=True):
    """What the ledger stores of an `EncodedChunk`; its columns have shape (count,)."""

    first_row: int
    count: int
    rows: ArrowTable
    """Columns of the ledger's table ``row`` as far as a chunk by itself decides them, ``group_head`` as above."""
    identifiers: tuple[Int64s, Int64s, Int64s]
    """Hashes of id, e-mail and phone, by the ledger's secret; 0 where there is none."""
    reasons: ArrowTable
    raw_rows: ArrowTable | None
    origins: ArrowTable | None
    accounts: ArrowArray | None


class WrittenChunk(msgspec.Struct, frozen=True):
    """What planning keeps in mind of a chunk whose rows are in the ledger."""

    first_row: int
    count: int
    """Of all accounts."""
    own: int
    """How many of these rows the run has."""
    ties: Int64s
    """Identifiers other than a row's first, and that one, its lane; hashes, each pair once, shape (2, n)."""
    by_id: bool
    """All lanes are hashes of ids."""
    ordered: bool
    first_body: bytes | None
    """Of the first row that has one."""
    keys: ArrowTable | None
    """Of the rows that have one: id, key_hash, event_hash and subscriber_hash; None without the mapping's ``key``."""


class RoutedChunk(msgspec.Struct, frozen=True):
    """A chunk whose rows are in the runs of several accounts."""

    count: int
    accounts: Mapping[str, WrittenChunk]


PlannedChunk: TypeAlias = StoredChunk | WrittenChunk | RoutedChunk


class Reason(msgspec.Struct, frozen=True):
    """Why a row is invalid, or what it is warned of."""

    row: int
    code: str
    field: str
    value: str
    """The offending value, shortened to at most 80 characters."""


class Claim(msgspec.Struct, frozen=True):
    """A row whose intent to be sent is durable."""

    id: int
    """The ledger's row id."""
    body: bytes
    attempts: int
    """Requests made for it so far, in this run and before."""
    maybe_sent: bool = False
    """One of them may have been accepted."""


class Response(msgspec.Struct, frozen=True):
    """How one request ended."""

    kind: ResponseKind
    status: int | None
    """The HTTP status; None where no readable answer came."""
    message: str
    """The API's own words, or what went wrong on the way, shortened to 300 characters; empty when sent."""
    latency: float
    """Seconds from the first byte out to the last byte in."""
    retry_after: float | None = None
    """Seconds the API asks to wait, if it does."""
    limit: int | None = None
    """``X-RateLimit-Limit``: requests per minute."""
    remaining: int | None = None
    """``X-RateLimit-Remaining``."""
    reset_in: float | None = None
    """Seconds until ``X-RateLimit-Reset``, measured against the answer's own ``Date`` so that clock skew cancels."""
    date: float | None = None
    """The server's own time, seconds since the epoch; of probes alone."""
    local: bool = False
    """The trouble is this machine's own (it has no file handle left), and says nothing of the API."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What became of a claimed row, to be made durable; as JSON, a list of its fields in this order."""

    id: int
    state: State
    """SENT, REFUSED, IN_DOUBT, FAILED, or PENDING (given back, to be tried again)."""
    attempts: int
    http_status: int | None
    code: str
    """A code of ``importer.reasons`` (``api.refused`` …); empty when sent."""
    message: str
    at: float
    """Seconds since the epoch."""
    latency: float | None = None
    maybe_sent: bool = False
    """The attempt may have been accepted, though the row goes back to the queue (PENDING)."""


class Pace(msgspec.Struct, frozen=True):
    """Delivery's pace against the account's quota, for progress and metrics."""

    rate: float | None
    """Requests a second it aims at; None while nothing is known."""
    limit: int | None
    """Requests a minute the API grants."""
    remaining: int | None
    waiting_for: str
    """What delivery waits for, in the user's words; empty while it sends."""
    wait_until: float | None
    """Wall-clock seconds since the epoch."""
    pause: PauseKind | None = None
    """What kind of wait it is; None while it sends."""


class Pause(msgspec.Struct, frozen=True):
    """A time in which a run sent nothing; seconds since the epoch."""

    kind: PauseKind
    begun: float
    ended: float


class Counts(msgspec.Struct, frozen=True):
    """How many rows of a run are in each state."""

    read: int
    by_state: Mapping[State, int] = {}

    def __getitem__(self, state: State) -> int:
        return self.by_state.get(state, 0)

    @property
    def balanced(self) -> bool:
        """Whether every row read is in exactly one state."""
        return self.read == sum(self.by_state.values())


NO_ACCOUNT = "(no account)"
"""Whose run holds the rows that belong to no account; no account of a file can have this name."""
SANDBOX_ENDPOINT = "sandbox"
"""How the ledger names the endpoint of every rehearsal, on any port: nothing in it counts as sent for real."""


def scope_options(account: str, endpoint: str) -> str:
    """The options (with a leading blank, or empty) by which any command finds the runs of an account at an endpoint."""
    base = endpoint.removesuffix("/events")
    named = {DEFAULT_ENDPOINT: "", SANDBOX_ENDPOINT: " --sandbox"}
    options = named[base] if base in named else f" --endpoint {shlex.quote(base)}"
    return options if account == "default" else f"{options} --account {shlex.quote(account)}"


class Run(msgspec.Struct, frozen=True):
    """One run, as the ledger remembers it. Times are seconds since the epoch."""

    no: int
    """The ledger's own number; row ids are made from it."""
    id: str
    """What users type: ``20261123-180355-k7``."""
    account: str
    endpoint: str
    state: RunState
    created_at: float
    started_at: float | None
    """When the first request was about to leave."""
    finished_at: float | None
    mapping_name: str
    """The mapping's path or preset, as given."""
    mapping_text: str
    mapping_digest: str
    """SHA-256 of the parsed mapping, so that comments and layout do not count."""
    stop_reason: str
    """Why it stopped before its end, in the user's words; empty otherwise."""
    options: Mapping[str, Any]
    """What the command line asked for and `resume` must keep (strict, on_doubt, out …); JSON values only."""


class RunSource(msgspec.Struct, frozen=True):
    """One source of a run, as the ledger remembers it."""

    no: int
    source: Source
    digest: str
    """SHA-256 of the content (decompressed for CSV and JSONL); empty until it was read to its end."""
    rows: int
    error: str
    """Why the file could not be read (to its end); empty if it could."""


class RowBatch(msgspec.Struct, frozen=True):
    """A planned chunk with what became of its rows: rows of one source in their order, without other accounts'."""

    source: Source
    table: ArrowTable
    """Columns row int64, line int64, state string, http_status int16 (null: no answer), attempts int32, key string,
    subscriber string, type string, sent_at float64 (epoch seconds of the last answer), latency_ms float64,
    code string and message string (of delivery: ``api.refused`` and the API's words; null if none), and of the row that
    carries the event which a row is part of: leader int64 (its row number), leader_source string (its source's name;
    null if it is this one) and leader_state string. Of the event itself value string (a JSON number), currency string
    and, before it is in the ledger, event_time int64 (microseconds since the epoch, the source's own time)."""
    reasons: ArrowTable
    """What planning found, ascending by row; columns as in `Reason`, none null."""
    raw_rows: ArrowTable | None
    """As in ``Chunk.raw_rows``, one row for each of ``table``; None unless asked for, needed and still kept."""
    place: int = 0
    """How many rows of the run's sources are before this source, those of other accounts included."""


class PendingSummary(msgspec.Struct, frozen=True):
    """What a run is about to do: shown before a live run."""

    events: int
    subscribers: int
    most_for_one: int
    """Most events that one subscriber gets."""
    most_subscriber: str
    types: tuple[tuple[str, int], ...]
    """Types and their events, most first; at most 20."""
    totals: tuple[tuple[str, str, int, str], ...]
    """Type, currency (empty: none), events with a value, and the exact sum as decimal text; most events first."""
    oldest: float | None
    """The source's own time, seconds since the epoch."""
    newest: float | None
    example: bytes = b""
    """The body of one of the events."""
    counts: Counts = Counts(0)
    """The run's totals."""
