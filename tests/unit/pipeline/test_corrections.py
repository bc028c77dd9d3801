"""Rows that come back from rejects take the place of the rows they correct."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from importer.ledger.ledger import Ledger
from importer.mapping.load import load
from importer.model import Outcome, Run, RunState, State
from importer.pipeline.prepare import ReadOptions, prepare_sources
from importer.plan import plan
from importer.report import ReportOptions, write
from tests.support.ledgers import open_ledger

ROWS = [{"email": f"{name}@example.org", "total": "1"} for name in ("ada", "bo", "cy")]
MAPPING = "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\nvalue: total\n"


def write_rows(path: Path) -> None:
    if path.suffix == ".csv":
        lines = ["email,total", *(",".join(row.values()) for row in ROWS)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)


def planned(ledger: Ledger, path: Path) -> Run:
    (path.parent / "m.yaml").write_text(MAPPING, encoding="utf-8")
    run = ledger.create_run(mapping_name="m", mapping_text="", mapping_digest="m", options={})
    mapping = load(str(path.parent / "m.yaml")).mapping
    plan(ledger, run, prepare_sources([str(path)], mapping, ReadOptions(raw_rows=True), lambda _: None), lambda _: None)
    return ledger.seal(run)


def deliver(ledger: Ledger, run: Run, *states: State) -> None:
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=len(states))]
    ledger.commit([], rows)
    ledger.commit([Outcome(r, s, 1, 422, "api.refused", "no", 1.0, 0.1) for r, s in zip(rows, states, strict=True)], [])
    ledger.set_state(run, RunState.FINISHED)
    ledger.lock(run).release()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_reject_that_was_accepted_is_not_sent_again_by_retry_or_by_the_first_file(tmp_path: Path, form: str) -> None:
    """Of three refused rows two come back corrected; the API takes one of them."""
    export = tmp_path / f"orders.{form}"
    write_rows(export)
    with open_ledger(tmp_path) as ledger:
        first = planned(ledger, export)
        deliver(ledger, first, State.SENT, State.REFUSED, State.REFUSED)
        write(ledger, first, ReportOptions(tmp_path / "out"))
        deliver(ledger, planned(ledger, tmp_path / "out" / f"rejects.{form}"), State.SENT, State.REFUSED)
        again = planned(ledger, export)
        assert [state for batch in ledger.batches(again) for state in batch.table.column("state").to_pylist()] == [
            "duplicate",
            "duplicate",
            "pending",
        ]
        deliver(ledger, again, State.REFUSED)
        assert ledger.retry(first) == (1, 1)
