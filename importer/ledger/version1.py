"""Ledgers of the first version: read where they are, and carried over to today's tables.

The first version packed what planning found by the chunk: bodies, facts and lanes as Arrow streams and arrays; states
were numbers, and keys lay open. Everything happens in one transaction, so that a ledger is of one version or the other.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from filelock import Timeout

from importer.errors import LedgerError
from importer.ledger.database import Database, file_lock
from importer.ledger.identities import Hasher
from importer.ledger.tables import CLAIMED, TABLES, VERSION, unpack
from importer.model import State

_STATES = (
    State.PENDING,
    State.SENT,
    State.INVALID,
    State.FILTERED,
    State.GROUPED,
    State.DUPLICATE,
    State.REFUSED,
    State.FAILED,
    State.IN_DOUBT,
    CLAIMED,
)
"""By the number that stood for each."""

_OLD = ("scope", "run", "source", "chunk", "body", "row", "member", "place", "delivered_key", "halt")
_AT_ONCE = 50_000

_WHOLE = re.compile(r"(-?[0-9]+)\.0+")
_FORMULA = re.compile(r'="?(.*?)"?')
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"


def carry_over(database: Database) -> str:
    """Make a ledger of the first version one of today's; a sentence on it.

    Raises `LedgerError` while an importer of any version works on one of its runs; nothing has changed then.
    """
    _refuse_while_used(database)
    count = database.value("SELECT COUNT(*) FROM row")
    with database.transaction():
        database.execute("CREATE TABLE IF NOT EXISTS halt (run INTEGER, begun REAL, kind TEXT, ended REAL)")
        for index in ("source_by_run", "source_by_digest"):
            database.execute(f"DROP INDEX IF EXISTS {index}")
        for table in _OLD:
            database.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        database.create(TABLES)
        hasher = Hasher(secret := secrets.token_bytes(16))
        database.execute("INSERT INTO ledger (version, secret) VALUES ($1, $2)", VERSION, secret)
        _carry_runs(database)
        _carry_rows(database)
        _carry_keys(database, hasher)
        for table in _OLD:
            database.execute(f"DROP TABLE old_{table}")
        database.run(database.dialect.note_version(VERSION))
    database.checkpoint()
    return f"the ledger {database.dialect.beside} was carried over from an earlier version, with {count:,} rows"


def _refuse_while_used(database: Database) -> None:
    for (run_id,) in database.rows("SELECT id FROM run WHERE state NOT IN ('finished', 'pruned')"):
        lock = file_lock(database.dialect.beside, run_id)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise LedgerError(
                f"the ledger {database.dialect.beside} is of an earlier version of importer, and its run {run_id} is"
                " being delivered by that version now",
                hint="let it finish, or stop it with Ctrl-C; this version carries the ledger over then",
            ) from None
        lock.release()


def _carry_runs(database: Database) -> None:
    names = "no, id, scope, state, created_at, started_at, finished_at, mapping_name, mapping_text, mapping_digest"
    database.execute("INSERT INTO scope SELECT no, account, endpoint FROM old_scope")
    database.execute(
        f"INSERT INTO run ({names}, stop_reason, options, planned_by, ordered) SELECT {names}, stop_reason, options, 1,"
        " EXISTS (SELECT 1 FROM old_place WHERE old_place.run = old_run.no) FROM old_run"
    )
    names = "no, run, name, path, dialect, columns, digest, first_id, rows, error"
    database.execute(f"INSERT INTO source ({names}) SELECT {names} FROM old_source")
    database.execute(
        "INSERT INTO chunk (first_id, source, first_row, count, reasons, raw_rows)"
        " SELECT first_id, source, first_row, count, reasons, originals FROM old_chunk"
    )
    database.execute("INSERT INTO pause (run, begun, kind, ended) SELECT run, begun, kind, ended FROM old_halt")
    database.execute(
        "INSERT INTO place SELECT run, ROW_NUMBER() OVER (PARTITION BY run ORDER BY place, id), id FROM old_place"
    )


def _carry_rows(database: Database) -> None:
    """Rows with what changed or was searched, then chunk by chunk what was packed."""
    states = " ".join(f"WHEN {number} THEN '{state}'" for number, state in enumerate(_STATES))
    maybe = "r.state IN (7, 8, 9) OR r.state = 0 AND COALESCE(r.code LIKE 'doubt.%' OR r.code LIKE 'failed.%', 0)"
    requeued = (
        "CASE WHEN r.state <> 0 THEN NULL WHEN r.code = 'api.refused' THEN 'refused'"
        " WHEN r.code LIKE 'failed.%' THEN 'failed' WHEN r.code LIKE 'doubt.%' THEN 'in_doubt' END"
    )
    database.execute(
        "INSERT INTO row (id, state, key, group_head, attempts, maybe_sent, requeued_from, http_status, sent_at,"
        f" latency_ms, code, message) SELECT r.id, CASE r.state {states} END, r.key, m.leader, r.attempts, {maybe},"
        f" {requeued}, r.http_status, r.at, r.latency_ms, r.code, r.message"
        " FROM old_row r LEFT JOIN old_member m ON m.id = r.id"
    )
    for (first,) in database.rows("SELECT first_id FROM old_chunk ORDER BY first_id"):
        ((lanes, packed),) = database.rows("SELECT lanes, facts FROM old_chunk WHERE first_id = $1", first)
        facts = unpack(packed)
        table = {
            "$1": facts.column("line"),
            "$2": pa.array(np.frombuffer(lanes, dtype=np.int64)),
            "$3": facts.column("subscriber"),
            "$4": facts.column("type").cast(pa.string()),
            "$5": facts.column("value"),
            "$6": facts.column("currency").cast(pa.string()),
            "$7": facts.column("occurred" if "occurred" in facts.column_names else "event_time"),
            "$8": pa.array(np.arange(first, first + facts.num_rows)),
        }
        database.execute(
            "UPDATE row SET line = $1, lane = $2, subscriber = $3, type = $4, value = $5, currency = $6,"
            " event_time = $7 WHERE id = $8",
            table=pa.table(table),
        )
    for (first,) in database.rows("SELECT first_id FROM old_body ORDER BY first_id"):
        bodies = unpack(database.value("SELECT packed FROM old_body WHERE first_id = $1", first)).column("body")
        table = {"$1": bodies, "$2": pa.array(np.arange(first, first + len(bodies)))}
        database.execute("UPDATE row SET body = $1 WHERE id = $2", table=pa.table(table))


def _carry_keys(database: Database, hasher: Hasher) -> None:
    """Keys as hashes, also as today's reading of cells would write them, and whose they are."""
    after: tuple[int, str, int] = (-1, "", -1)
    while True:
        found = database.rows(
            "SELECT scope, key, id FROM old_delivered_key WHERE (scope, key, id) > ($1, $2, $3)"
            f" ORDER BY scope, key, id LIMIT {_AT_ONCE}",
            *after,
        )
        if not found:
            return
        after = found[-1]
        rows = [(scope, hasher.key(form.encode()), row_id) for scope, key, row_id in found for form in _forms(key)]
        scopes, keys, numbers = zip(*rows, strict=True)
        database.execute(
            "INSERT INTO delivered_key VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            table=pa.table({"$1": scopes, "$2": pa.array(keys, pa.binary()), "$3": numbers}),
        )


def _forms(key: str) -> Iterator[str]:
    """A key as the first version read it, and as it is read today: ``1001.0`` is 1001, ``="0012"`` is 0012."""
    yield key
    today = key.strip().strip(_INVISIBLE).strip()
    if formula := _FORMULA.fullmatch(today):
        today = formula[1]
    if whole := _WHOLE.fullmatch(today):
        today = whole[1]
    if today != key:
        yield today
