"""Runs as a ledger would tell of them, made by hand."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa
from msgspec.structs import replace

from importer.ledger.ledger import Ledger
from importer.model import Dialect, Pause, RowBatch, Run, RunSource, RunState, Source, State

SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "line": pa.int64(),
        "state": pa.string(),
        "http_status": pa.int16(),
        "attempts": pa.int32(),
        "key": pa.string(),
        "subscriber": pa.string(),
        "type": pa.string(),
        "sent_at": pa.float64(),
        "latency_ms": pa.float64(),
        "code": pa.string(),
        "message": pa.string(),
        "leader": pa.int64(),
        "leader_source": pa.string(),
        "leader_state": pa.string(),
        "value": pa.string(),
        "currency": pa.string(),
        "event_time": pa.int64(),
    }
)
REASONS = pa.schema({"row": pa.int64(), "code": pa.string(), "field": pa.string(), "value": pa.string()})

RUN = Run(
    no=1,
    id="20261123-180355-k7",
    account="default",
    endpoint="https://api.example.com/v2/events",
    state=RunState.FINISHED,
    created_at=1_795_457_000.0,
    started_at=1_795_457_035.0,
    finished_at=1_795_457_045.5,
    mapping_name="orders.yaml",
    mapping_text="version: 1",
    mapping_digest="0" * 64,
    stop_reason="",
    options={},
)


@dataclass(frozen=True)
class Row:
    """One row: its raw record, where it stands, and why."""

    record: bytes = b""
    state: State = State.SENT
    reasons: Sequence[tuple[str, str, str]] = ()
    told: dict[str, Any] = field(default_factory=dict)
    """What differs from the ordinary in ``RowBatch.table``."""


def csv_source(*columns: str, name: str = "orders.csv", **dialect: Any) -> Source:
    return Source(name, None, Dialect("csv", **dialect), columns)


def batch(source: Source, rows: Iterable[Row], *, first: int = 1, raw_rows: Any = None) -> RowBatch:
    """Consecutive rows from row number ``first`` on, each one line below the other."""
    found = list(rows)
    lines: list[dict[str, Any]] = []
    reasons: list[dict[str, Any]] = []
    for number, row in enumerate(found, first):
        usual = dict.fromkeys(SCHEMA.names) | {"row": number, "line": number + 1, "state": row.state, "attempts": 0}
        lines.append(usual | row.told)
        reasons += [dict(zip(REASONS.names, (number, *reason), strict=True)) for reason in row.reasons]
    if raw_rows is None:
        raw_rows = pa.table({"record": pa.array([row.record for row in found], pa.binary())})
    return RowBatch(source, pa.Table.from_pylist(lines, SCHEMA), pa.Table.from_pylist(reasons, REASONS), raw_rows)


@dataclass
class FakeLedger:
    """Tells a story that was put into it; the rest of a ledger's work is none of a report's business."""

    told: Sequence[RowBatch]
    missing: int = 0
    """Rows that were read but are told of nowhere."""
    errors: dict[str, str] = field(default_factory=dict)
    paused: Sequence[Pause] = ()

    def sources(self, run: Run) -> list[RunSource]:
        rows: dict[Source, int] = {}
        for one in self.told:
            rows[one.source] = rows.get(one.source, 0) + one.table.num_rows
        return [
            RunSource(no, source, "", count + (self.missing if no == 1 else 0), self.errors.get(source.name, ""))
            for no, (source, count) in enumerate(rows.items(), 1)
        ]

    def pauses(self, run: Run) -> list[Pause]:
        return list(self.paused)

    def import_of(self, run: Run) -> list[Run]:
        return [run]

    def batches(self, run: Run, *, raw_rows: bool = False) -> Iterator[RowBatch]:
        yield from (one if raw_rows else replace(one, raw_rows=None) for one in self.told)


def ledger(*told: RowBatch, **more: Any) -> Ledger:
    return cast("Ledger", FakeLedger(told, **more))
