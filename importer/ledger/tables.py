"""The ledger's tables, their version, and the ids of rows.

A row's id is ``run.no * 2**40 + n``, n counting the rows of all its sources from 1: ids order rows as they were read, a
run is one range of ids, and a source and a chunk are ranges within it. Rows that belong to the run of another account
leave gaps, so that a row's number in its source is always ``id - source.first_id + 1``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from importer.ledger.database import Database
from importer.model import ArrowTable, Run, State

STEP = 50_000
"""Rows changed in one transaction, so that other importers wait for a moment only."""

VERSION = 4
KEYED_SINCE = 2
"""The first version that noted hashes of keys with the rows."""

RUN_BITS = 40

CLAIMED = "claimed"
"""The state of a row whose intent to be sent is durable and whose outcome is not: pending for everyone else while its
run is alive, in doubt after a crash. Internal to the ledger; outside it is one of `State`."""

MAYBE_ACCEPTED = f"('{State.SENT}', '{State.IN_DOUBT}', '{State.FAILED}', '{CLAIMED}')"
"""States, in SQL, of rows that the API may have."""
SPOKEN_FOR = f"('{State.SENT}', '{State.IN_DOUBT}', '{State.FAILED}', '{CLAIMED}', '{State.PENDING}')"
"""States, in SQL, of rows beside which no other row with the same content or key is to be sent."""

_LEASE = """CREATE TABLE lease (
        name TEXT PRIMARY KEY,
        scope INTEGER NOT NULL,
        owner TEXT NOT NULL,
        machine TEXT NOT NULL,
        holder TEXT NOT NULL,
        ends_at REAL NOT NULL
    )"""

TABLES = (
    """CREATE TABLE ledger (
        version INTEGER NOT NULL,
        secret BLOB NOT NULL,
        generation INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE scope (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        UNIQUE (account, endpoint)
    )""",
    """CREATE TABLE run (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        scope INTEGER NOT NULL REFERENCES scope (no),
        state TEXT NOT NULL,
        created_at REAL NOT NULL,
        started_at REAL,
        finished_at REAL,
        mapping_name TEXT NOT NULL,
        mapping_text TEXT NOT NULL,
        mapping_digest TEXT NOT NULL,
        stop_reason TEXT NOT NULL DEFAULT '',
        options TEXT NOT NULL,
        planned_by INTEGER NOT NULL,
        ordered INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE source (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES run (no),
        name TEXT NOT NULL,
        path TEXT,
        dialect TEXT NOT NULL,
        columns TEXT,
        digest TEXT NOT NULL DEFAULT '',
        first_id INTEGER NOT NULL,
        rows INTEGER NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT '',
        first_event INTEGER,
        others INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX source_by_run ON source (run)",
    "CREATE INDEX source_by_digest ON source (digest)",
    """CREATE TABLE chunk (
        first_id INTEGER PRIMARY KEY,
        source INTEGER NOT NULL REFERENCES source (no),
        first_row INTEGER NOT NULL,
        count INTEGER NOT NULL,
        reasons BLOB,
        raw_rows BLOB
    )""",
    """CREATE TABLE row (
        id INTEGER PRIMARY KEY,
        state TEXT NOT NULL,
        line INTEGER,
        lane INTEGER,
        key TEXT,
        key_hash BLOB,
        event_hash INTEGER,
        subscriber_hash INTEGER,
        subscriber TEXT,
        type TEXT,
        value TEXT,
        currency TEXT,
        event_time INTEGER,
        order_value BLOB,
        group_head INTEGER,
        origin INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0,
        maybe_sent INTEGER NOT NULL DEFAULT 0,
        requeued_from TEXT,
        http_status INTEGER,
        sent_at REAL,
        latency_ms REAL,
        code TEXT,
        message TEXT,
        other INTEGER,
        body BLOB
    )""",
    "CREATE INDEX row_by_origin ON row (origin) WHERE origin IS NOT NULL",
    """CREATE TABLE place (
        run INTEGER NOT NULL,
        place INTEGER NOT NULL,
        id INTEGER NOT NULL,
        PRIMARY KEY (run, place)
    ) WITHOUT ROWID""",
    """CREATE TABLE delivered_key (
        scope INTEGER NOT NULL,
        key BLOB NOT NULL,
        id INTEGER NOT NULL,
        PRIMARY KEY (scope, key, id)
    ) WITHOUT ROWID""",
    """CREATE TABLE pause (
        run INTEGER NOT NULL,
        begun REAL NOT NULL,
        kind TEXT NOT NULL,
        ended REAL NOT NULL,
        PRIMARY KEY (run, begun, kind)
    ) WITHOUT ROWID""",
    _LEASE,
)
"""Of ``ledger`` there is one row: its ``secret`` keys the hashes; ``generation`` is what the counter file repeats.
``run.planned_by`` is the version of these tables that planned it; ``ordered`` says that ``place`` holds its order.
``source.rows`` counts its rows, ``source.others`` those of them that belong to the runs of other accounts;
``source.first_event`` is the hash of its first event, by which a file that has grown is recognised.
Of ``row``: ``lane`` and the hashes are keyed (`importer.ledger.identities`); ``key_hash``, ``event_hash`` and
``subscriber_hash`` are there for rows with a key; ``group_head`` is the id of the row that carries this row's event;
``origin`` the id of the row that this one corrects, in the run whose rejects it comes from; ``requeued_from`` the state
that a retried or released row had; ``other`` the id of the row that has, or has taken over, the same content or key.
``chunk`` holds the two things that are only ever read whole: the raw records, and the list of reasons.
``order_value`` sorts as its bytes do. ``lease`` says who works on what until when, where several machines may.
``delivered_key`` names every row that was planned to carry a key; whether it did is its row's state."""

MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    2: (_LEASE,),
    3: ("ALTER TABLE source ADD COLUMN others INTEGER NOT NULL DEFAULT 0",),
}
"""By version, the statements that make its tables those of the next one."""


def ids(run: Run | int) -> tuple[int, int]:
    """The first and last id that a run's rows can have."""
    no = run if isinstance(run, int) else run.no
    return (no << RUN_BITS) + 1, ((no + 1) << RUN_BITS) - 1


def of_run(run: Run | int, column: str = "id") -> str:
    """In SQL, whether an id is one of a run's rows."""
    return "{} BETWEEN {} AND {}".format(column, *ids(run))


def steps(database: Database, table: str, column: str, least: Any) -> Iterator[tuple[Any, Any]]:
    """The values of an indexed column in ranges of `STEP` rows at most: (more than, up to); ``least`` is below all."""
    while True:
        upto = database.value(
            f"SELECT {column} FROM (SELECT {column} FROM {table} WHERE {column} > $1 ORDER BY {column}"
            f" LIMIT {STEP}) AS step ORDER BY {column} DESC LIMIT 1",
            least,
        )
        if upto is None:
            return
        yield least, upto
        least = upto


_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)  # handing small pieces to threads costs more
_READ_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)


def pack(table: ArrowTable) -> bytes:
    """A table as a compressed Arrow stream: raw records, or a list of reasons, which are only ever read whole."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack(blob: bytes) -> ArrowTable:
    """What `pack` packed."""
    return pa.ipc.open_stream(blob, options=_READ_OPTIONS).read_all()
