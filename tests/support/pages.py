"""Synthetic runs of any size, batch by batch, for pages to be looked at."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from importer.model import Dialect, RowBatch, RunState, Source
from tests.support.story import REASONS, RUN

SOURCE = Source("exports/orders-2026.csv", None, Dialect("csv"), ("Email", "Total"))
START = 1_795_457_035.0
INFO = replace(
    RUN, state=RunState.STOPPED, endpoint="https://api.sender.net/v2/events", finished_at=None,
    mapping_text="version: 1\ntype: x\n",
)  # fmt: skip
_STATES = ("sent", "invalid", "filtered", "duplicate", "refused", "in_doubt", "pending", "failed")
_CHANCES = (0.9, 0.025, 0.03, 0.02, 0.01, 0.005, 0.009, 0.001)
_CHUNK = 20_000


def story(rows: int) -> Iterator[RowBatch]:
    """A run at one event a second, with a pause after two fifths of it."""
    random = np.random.default_rng(1)
    for first in range(1, rows + 1, _CHUNK):
        yield _batch(random, np.arange(first, min(first + _CHUNK, rows + 1)), rows)


def _batch(random: np.random.Generator, row: "np.ndarray[tuple[int], np.dtype[np.int64]]", rows: int) -> RowBatch:
    count = len(row)
    states = random.choice(_STATES, count, p=_CHANCES)
    answered = np.isin(states, ["sent", "refused", "in_doubt", "failed"])
    codes = {"refused": "api.refused", "in_doubt": "doubt.no_answer", "duplicate": "duplicate.key"}
    columns = {
        "row": pa.array(row),
        "line": pa.array(row + 1),
        "state": pa.array(states.astype(object), pa.string()),
        "http_status": pa.array(np.full(count, 200, np.int16), mask=~answered),
        "attempts": pa.array(np.ones(count, np.int32)),
        "key": pa.array([f"A{number}" for number in row]),
        "subscriber": pa.array([f"customer.{number}@example.com" for number in row]),
        "type": pa.array(np.where(row % 7 == 0, "refund", "purchase").astype(object), pa.string()),
        "sent_at": pa.array(START + row + np.where(row > rows * 0.4, rows * 0.05 + 300, 0), mask=~answered),
        "latency_ms": pa.array(random.lognormal(4.6, 0.6, count), mask=~answered),
        "code": pa.array([codes.get(state) for state in states.tolist()], pa.string()),
        "message": pa.nulls(count, pa.string()),
        "leader": pa.nulls(count, pa.int64()),
        "leader_source": pa.nulls(count, pa.string()),
        "leader_state": pa.nulls(count, pa.string()),
        "value": pa.array([f"{value:.2f}" for value in random.lognormal(3.5, 0.8, count)]),
        "currency": pa.array(np.where(row % 5 == 0, "USD", "EUR").astype(object), pa.string()),
        "event_time": pa.array(((1.7e9 + row * (6e7 / rows)) * 1e6).astype(np.int64)),
    }
    invalid = row[states == "invalid"].tolist()
    found = [(number, "email.invalid", "subscriber.email", f"nobody {number}") for number in invalid]
    reasons = pa.Table.from_pylist([dict(zip(REASONS.names, one, strict=True)) for one in found], REASONS)
    raw_rows = pa.table({"record": pa.array([b"a,1"] * count, pa.binary())})
    return RowBatch(SOURCE, pa.table(columns), reasons, raw_rows)
