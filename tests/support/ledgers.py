"""Real ledgers with small plans in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from importer.ledger.database import ConnectionLostError, Database
from importer.ledger.ledger import Ledger
from importer.ledger.location import LedgerLocation, PostgresLocation
from importer.ledger.planning import store
from importer.model import Dialect, EncodedChunk, Run, Source

NO_REASONS = pa.table(
    {"row": pa.array([], pa.int64())} | {name: pa.array([], pa.string()) for name in ("code", "field", "value")}
)
SOURCE = Source("orders.csv", "/orders.csv", Dialect("csv"), ("email",))


def locate(directory: Path) -> LedgerLocation:
    """Where the ledger of a directory is; the fixture ``each_database`` has it in PostgreSQL, too."""
    return directory / "ledger.db"


def open_ledger(directory: Path, *, account: str = "a", endpoint: str = "e") -> Ledger:
    """A ledger in a directory of the test's own."""
    return Ledger(locate(directory), account=account, endpoint=endpoint)


def path_of(ledger: Ledger) -> Path:
    """The file of a ledger that is one."""
    assert isinstance(ledger.location, Path)
    return ledger.location


def address(ledger: Ledger) -> str:
    """What ``--ledger`` says of a ledger."""
    return ledger.location.uri if isinstance(ledger.location, PostgresLocation) else str(ledger.location)


def new_run(ledger: Ledger, *, mapping: str = "m") -> Run:
    """A run in planning."""
    return ledger.create_run(mapping_name="m.yaml", mapping_text="", mapping_digest=mapping, options={})


def chunk(
    emails: Sequence[str | None],
    *,
    first_row: int = 1,
    ids: Sequence[str | None] | None = None,
    phones: Sequence[str | None] | None = None,
    keys: Sequence[str | None] | None = None,
    places: Sequence[Any] | None = None,
    states: Sequence[str] | None = None,
    bodies: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
) -> EncodedChunk:
    """A prepared chunk whose bodies are their row numbers, unless they are given."""
    count = len(emails)
    states = states or ["pending"] * count
    nothing = [None] * count

    def text(values: Sequence[str | None] | None) -> Any:
        return pa.array(values or nothing, pa.string())

    texts = bodies or [str(first_row + i) for i in range(count)]
    pending = [text.encode() if state == "pending" else None for text, state in zip(texts, states, strict=True)]
    columns = {
        "line": np.arange(first_row + 1, first_row + 1 + count),
        "state": pa.array(states, pa.string()),
        "body": pa.array(pending, pa.binary()),
        "subscriber": text([e or p or i for e, p, i in zip(emails, phones or nothing, ids or nothing, strict=True)]),
        "type": text(types or ["purchase"] * count),
        "value": text(["1.5"] * count),
        "currency": text(["EUR"] * count),
        "key": None if keys is None else text(keys),
        "order_value": None if places is None else pa.array(places),
    }
    return EncodedChunk(
        SOURCE,
        first_row,
        count,
        pa.table({name: column for name, column in columns.items() if column is not None}),
        identities=(text(ids), text([e.lower() if e else None for e in emails]), text(phones)),
        reasons=NO_REASONS,
        raw_rows=None,
    )


def with_columns(prepared: EncodedChunk, **columns: Any) -> EncodedChunk:
    """The chunk with other columns in the place of its own."""
    rows = {name: prepared.rows[name] for name in prepared.rows.column_names}
    return msgspec.structs.replace(prepared, rows=pa.table(rows | columns))


def add_chunk(ledger: Ledger, run: Run, number: int, prepared: EncodedChunk, *parts: Any) -> None:
    """Store a prepared chunk."""
    ledger.add_chunk(run, number, store(prepared, ledger.hasher), *parts)


def planned(
    ledger: Ledger,
    *chunks: EncodedChunk,
    digest: str = "content",
    mapping: str = "m",
    again: bool = False,
    source: Source = SOURCE,
) -> Run:
    """A sealed run of one source that holds the chunks."""
    run = new_run(ledger, mapping=mapping)
    number = ledger.add_source(run, source)
    for one in chunks:
        add_chunk(ledger, run, number, one)
    ledger.close_source(run, number, digest=digest)
    return ledger.seal(run, again=again)


def released(ledger: Ledger, run: Run) -> Run:
    """The run as a process leaves it that has ended."""
    ledger.lock(run).release()
    return run


def lose_one_commit(monkeypatch: pytest.MonkeyPatch, *, committed: bool) -> list[str]:
    """The connection goes away at the next COMMIT, made or not; what was lost so far."""
    execute, lost = Database.execute, list[str]()

    def breaking(database: Database, sql: str, *values: Any, table: Any = None) -> int:
        if sql == "COMMIT" and not lost:
            lost.append(sql)
            if committed:
                execute(database, sql)
            database._disconnect()
            raise ConnectionLostError("gone")
        return execute(database, sql, *values, table=table)

    monkeypatch.setattr(Database, "execute", breaking)
    return lost
