"""A run and the runs of its corrected rows are one import with one sum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from importer.ledger.ledger import Ledger
from importer.model import EncodedChunk, Outcome, Run, RunState, State
from tests.support.ledgers import chunk, open_ledger, planned, released

pytestmark = pytest.mark.usefixtures("each_database")

MAILS = ["ada@example.com", "bo@example.com", "cy@example.com", "di@example.com"]


def corrected(of: Run, rows: list[int], *, states: list[str] | None = None, first: str = "x") -> EncodedChunk:
    """Rows that correct these rows of a run."""
    from msgspec.structs import replace

    made = chunk([MAILS[row - 1] for row in rows], states=states, bodies=[f"{first}{row}" for row in rows])
    origins = pa.table(
        {
            "run": pa.array([of.id] * len(rows)),
            "source": pa.array(["orders.csv"] * len(rows)),
            "row": pa.array(np.array(rows, np.int64)),
        }
    )
    return replace(made, origins=origins)


def deliver(ledger: Ledger, run: Run, *states: State) -> None:
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=len(states))]
    ledger.set_state(run, RunState.DELIVERING)
    ledger.commit([], rows)
    ledger.commit([Outcome(r, s, 1, 200, "", "", 1.0, 0.1) for r, s in zip(rows, states, strict=True)], [])
    ledger.set_state(run, RunState.FINISHED)
    released(ledger, run)


def first_run(ledger: Ledger) -> Run:
    """Of four rows the first is sent, the second invalid, the others refused."""
    run = planned(ledger, chunk(MAILS, states=["pending", "invalid", "pending", "pending"]))
    deliver(ledger, run, State.SENT, State.REFUSED, State.REFUSED)
    return run


def counts(ledger: Ledger, run: Run) -> dict[str, int]:
    found = ledger.import_counts(ledger.import_of(run))
    assert found.balanced
    return {"read": found.read} | {state.value: number for state, number in found.by_state.items() if number}


def test_the_newest_version_of_each_row_counts(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        first = first_run(ledger)
        assert counts(ledger, first) == {"read": 4, "sent": 1, "invalid": 1, "refused": 2}
        second = planned(ledger, corrected(first, [2, 3]), digest="second")
        assert counts(ledger, first) == {"read": 4, "sent": 1, "pending": 2, "refused": 1}
        deliver(ledger, second, State.SENT, State.REFUSED)
        assert counts(ledger, first) == {"read": 4, "sent": 2, "refused": 2}
        third = planned(ledger, corrected(second, [2], first="y"), digest="third")
        deliver(ledger, third, State.SENT)
        for run in (first, second, third):
            assert [one.id for one in ledger.import_of(run)] == [first.id, second.id, third.id]
            assert counts(ledger, run) == {"read": 4, "sent": 3, "refused": 1}


def test_what_was_sent_stays_sent_whatever_comes_later(tmp_path: Path) -> None:
    """The same rejects run twice: the second time they are repeats, or spoiled, and the rows stay sent."""
    with open_ledger(tmp_path) as ledger:
        first = first_run(ledger)
        deliver(ledger, planned(ledger, corrected(first, [2, 3]), digest="second"), State.SENT, State.SENT)
        again = planned(ledger, corrected(first, [2, 3], states=["pending", "invalid"], first="z"), digest="third")
        released(ledger, again)
        assert ledger.counts(again)[State.DUPLICATE] == 1
        assert counts(ledger, first) == {"read": 4, "sent": 3, "refused": 1}


def test_rows_with_a_newer_version_are_named(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        first = first_run(ledger)
        assert ledger.places_of_older(first) == []
        second = planned(ledger, corrected(first, [2, 3]), digest="second")
        deliver(ledger, second, State.SENT, State.REFUSED)
        assert ledger.places_of_older(first) == [1, 2]
        assert ledger.places_of_older(second) == []
        third = planned(ledger, corrected(second, [2], first="y"), digest="third")
        deliver(ledger, third, State.SENT)
        assert ledger.places_of_older(second) == [1]


def test_rows_that_are_given_up_count_as_left_out(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        first = first_run(ledger)
        assert ledger.give_up(first, [0, 1, 2], "test orders") == 2, "what was sent cannot be given up"
        assert counts(ledger, first) == {"read": 4, "sent": 1, "filtered": 2, "refused": 1}
        ((state, code, message),) = [
            tuple(batch.table.column(name)[1].as_py() for name in ("state", "code", "message"))
            for batch in ledger.batches(first)
        ]
        assert (state, code, message) == ("filtered", "filtered.given_up", "test orders")


@pytest.mark.parametrize("delivered", [False, True])
def test_a_run_is_withdrawn_only_if_it_never_began(tmp_path: Path, delivered: bool) -> None:
    with open_ledger(tmp_path) as ledger:
        first = first_run(ledger)
        second = planned(ledger, corrected(first, [2, 3]), digest="second")
        if delivered:
            deliver(ledger, second, State.SENT, State.REFUSED)
        assert ledger.withdraw(second) is not delivered
        assert counts(ledger, first)["sent"] == (2 if delivered else 1)
        assert len(ledger.runs()) == (2 if delivered else 1)


def test_a_run_that_took_rows_over_is_not_withdrawn(tmp_path: Path) -> None:
    """Its rows would be lost: the run that they waited in no longer has them."""
    with open_ledger(tmp_path) as ledger:
        released(ledger, planned(ledger, chunk(MAILS)))
        second = planned(ledger, chunk(MAILS), mapping="other")
        assert ledger.counts(second)[State.PENDING] == 4
        assert not ledger.withdraw(second)
