"""A run that gets some rows of its sources, as the others belong to the runs of other accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from importer.ledger.copy import repair
from importer.ledger.ledger import Ledger
from importer.model import EncodedChunk, Outcome, Run, State
from tests.support.ledgers import SOURCE, add_chunk, chunk, new_run, open_ledger, released

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def whole(count: int, first_row: int = 1, state: State = State.PENDING) -> EncodedChunk:
    rows = range(first_row, first_row + count)
    reasons = pa.table(
        {"row": pa.array(rows, pa.int64())}
        | {name: [f"{name} {row}" for row in rows] for name in ("code", "field", "value")}
    )
    raw = pa.table({"record": pa.array([f"record {row}".encode() for row in rows])})
    made = chunk([f"{row}@example.org" for row in rows], first_row=first_row, states=[state] * count)
    return replace(made, reasons=reasons, raw_rows=raw)


def planned_parts(ledger: Ledger, *parts: tuple[EncodedChunk, list[bool]], digest: str = "content") -> Run:
    run = new_run(ledger)
    number = ledger.add_source(run, SOURCE, 0)
    for one, mine in parts:
        add_chunk(ledger, run, number, one, np.array(mine, np.bool_), one.first_row - 1)
    others = sum(mine.count(False) for _, mine in parts)
    ledger.close_source(run, number, digest=digest, others=others)
    return ledger.seal(run)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=4))
def test_each_row_is_in_exactly_one_run_under_its_own_number(tmp_path: Path, chunks: list[list[str]]) -> None:
    found: dict[int, str] = {}
    rows = sum(map(len, chunks))
    for name in "abc":
        with open_ledger(tmp_path, account=name) as ledger:
            firsts = np.cumsum([1, *map(len, chunks)]).tolist()
            parts = [(whole(len(one), first, State.INVALID), [whose == name for whose in one])
                     for one, first in zip(chunks, firsts, strict=False)]  # fmt: skip
            run = planned_parts(ledger, *parts, digest="")
            counts = ledger.counts(run)
            assert counts.balanced
            assert counts.read == sum(one.count(name) for one in chunks) == ledger.sources(run)[0].rows
            for batch in ledger.batches(run, raw_rows=True):
                numbers = batch.table.column("row").to_pylist()
                assert batch.table.column("line").to_pylist() == [row + 1 for row in numbers]
                assert batch.table.column("subscriber").to_pylist() == [f"{row}@example.org" for row in numbers]
                assert batch.reasons.column("value").to_pylist() == [f"value {row}" for row in numbers]
                assert batch.raw_rows is not None
                assert batch.raw_rows.column("record").to_pylist() == [f"record {row}".encode() for row in numbers]
                assert not found.keys() & set(numbers)
                found |= dict.fromkeys(numbers, name)
    assert sorted(found) == list(range(1, rows + 1))
    assert [found[row] for row in range(1, rows + 1)] == [whose for one in chunks for whose in one]


def test_a_row_is_known_again_when_other_rows_have_come_to_the_account(ledger: Ledger) -> None:
    """The number of a row in its file identifies it, whatever other rows the account gets of that file."""
    run = planned_parts(ledger, (whole(5), [False, True, False, True, False]))
    for _, row_id, _ in ledger.queue(run, after=None, count=9):
        ledger.commit([], [row_id])
        ledger.commit([Outcome(row_id, State.SENT, 1, 200, "", "", 1.0, 0.1)], [])
    released(ledger, run)
    again = planned_parts(ledger, (whole(5), [True, True, False, True, False]))
    (batch,) = ledger.batches(again)
    states = dict(zip(batch.table.column("row").to_pylist(), batch.table.column("state").to_pylist(), strict=True))
    assert states == {1: "pending", 2: "duplicate", 4: "duplicate"}


def test_rows_in_doubt_are_named_by_their_number(ledger: Ledger) -> None:
    run = planned_parts(ledger, (whole(2), [False, False]), (whole(3, 3), [False, True, False]))
    ((_, row_id, _),) = ledger.queue(run, after=None, count=9)
    ledger.commit([], [row_id])
    ledger.commit([Outcome(row_id, State.IN_DOUBT, 1, None, "doubt.crash", "", 1.0, None)], [])
    assert [found[1:4] for found in ledger.doubtful(run)] == [(SOURCE.name, 4, 5)]


def test_a_person_is_forgotten_in_their_own_row_alone(ledger: Ledger) -> None:
    run = planned_parts(ledger, (whole(4, state=State.INVALID), [True, False, True, True]))
    ledger.lock(run).release()
    assert ledger.forget("3@example.org") == 1
    (batch,) = ledger.batches(run, raw_rows=True)
    assert batch.raw_rows is not None
    assert batch.raw_rows.column("record").to_pylist() == [b"record 1", None, b"record 4"]
    assert batch.reasons.column("row").to_pylist() == [1, 4]


def test_the_places_of_other_accounts_are_no_lost_rows(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run = planned_parts(ledger, (whole(4), [True, False, True, False]))
        if not isinstance(ledger.location, Path):
            pytest.skip("repair is for the file of SQLite")
    repair(ledger.location)
    with open_ledger(tmp_path) as ledger:
        assert ledger.counts(run).by_state[State.IN_DOUBT] == 0
