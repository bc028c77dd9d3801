"""The ledger's tables, and the numbers that stand for states in them.

This module owns the layout on disk and its version; what is done with the tables is its neighbours'.

A row's id is ``run.no * 2**40 + n``, n counting the run's rows over all its sources from 1: ids order rows as they
were read, a run is one range of ids, and a source and a chunk are ranges within it.
"""

from __future__ import annotations

from importer.model import State

VERSION = 1

RUN_BITS = 40

CLAIMED = 9
"""A row whose intent to be sent is durable and whose outcome is not: pending while its run is alive, in doubt after
a crash. Internal to the ledger; outside it is one of `State`."""

CODES = {
    State.PENDING: 0,
    State.SENT: 1,
    State.INVALID: 2,
    State.FILTERED: 3,
    State.GROUPED: 4,
    State.DUPLICATE: 5,
    State.REFUSED: 6,
    State.FAILED: 7,
    State.IN_DOUBT: 8,
}
STATES = {code: state for state, code in CODES.items()}

MAYBE_BEFORE = "({0}.code LIKE 'doubt.%' OR {0}.code LIKE 'failed.%')"
"""In SQL, of a row that is to be sent again, by its table's name: whether an earlier request may have been accepted."""

TABLES = """
CREATE TABLE scope (
    no INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    UNIQUE (account, endpoint)
);
CREATE TABLE run (
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
    options TEXT NOT NULL
);
CREATE TABLE source (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES run (no),
    name TEXT NOT NULL,
    path TEXT,
    dialect TEXT NOT NULL,
    columns TEXT,
    digest TEXT NOT NULL DEFAULT '',
    first_id INTEGER NOT NULL,
    rows INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX source_by_run ON source (run);
CREATE INDEX source_by_digest ON source (digest);
CREATE TABLE chunk (
    first_id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES source (no),
    first_row INTEGER NOT NULL,
    count INTEGER NOT NULL,
    lanes BLOB NOT NULL,
    facts BLOB NOT NULL,
    reasons BLOB,
    originals BLOB
);
CREATE TABLE body (
    first_id INTEGER PRIMARY KEY,
    packed BLOB NOT NULL
);
CREATE TABLE row (
    id INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    key TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    http_status INTEGER,
    at REAL,
    latency_ms REAL,
    code TEXT,
    message TEXT
);
CREATE TABLE member (
    id INTEGER PRIMARY KEY,
    leader INTEGER NOT NULL
);
CREATE TABLE place (
    run INTEGER NOT NULL,
    place NOT NULL,
    id INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    PRIMARY KEY (run, place, id)
) WITHOUT ROWID;
CREATE TABLE delivered_key (
    scope INTEGER NOT NULL,
    key TEXT NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (scope, key, id)
) WITHOUT ROWID;
"""
"""A row's state and key have a table of their own, since they change or are searched; what planning found for good is
packed in ``chunk`` and ``body`` (`ledger.packing`). ``member`` names, for rows that are part of another row's event,
the id of that row. ``place`` is the order of delivery of runs with ``order_by``.
``delivered_key`` names every row that was planned to carry a key; whether it did is its row's state."""

ADDED = """
CREATE TABLE IF NOT EXISTS halt (
    run INTEGER NOT NULL,
    begun REAL NOT NULL,
    kind TEXT NOT NULL,
    ended REAL NOT NULL,
    PRIMARY KEY (run, begun, kind)
) WITHOUT ROWID
"""
"""What version 1 did not have from the start, and can do without: made in any ledger that lacks it."""


def ids(run_no: int) -> tuple[int, int]:
    """The first and last id that a run's rows can have."""
    return (run_no << RUN_BITS) + 1, ((run_no + 1) << RUN_BITS) - 1
