"""What users decide about rows after the fact: resolve, retry, and forgetting bodies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from msgspec.structs import replace

from importer.errors import UsageError
from importer.ledger.ledger import Ledger
from importer.model import Outcome, Run, RunState, State
from tests.support.ledgers import SOURCE, add_chunk, chunk, new_run, open_ledger, planned, released

pytestmark = pytest.mark.usefixtures("each_database")

FATES = (State.SENT, State.REFUSED, State.FAILED, State.IN_DOUBT)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def emails(count: int) -> list[str]:
    return [f"{n}@example.org" for n in range(count)]


def deliver(ledger: Ledger, run: Run, *fates: State) -> Run:
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=len(fates))]
    ledger.commit([], rows)
    codes = ["api.refused" if kind is State.REFUSED else "doubt.status" for kind in fates]
    ends = zip(rows, fates, codes, strict=True)
    outcomes = [Outcome(row, kind, 1, 500, code, "oh", 1.0, 0.1) for row, kind, code in ends]
    ledger.commit(outcomes, [])
    ledger.set_state(run, RunState.STOPPED if ledger.has_pending(run) else RunState.FINISHED)
    return released(ledger, run)


def states(ledger: Ledger, run: Run) -> list[str]:
    return [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]


def test_rows_in_doubt_are_named_by_source_row_line_and_subscriber(ledger: Ledger) -> None:
    run = new_run(ledger)
    for name in ("one.csv", "two.csv"):
        number = ledger.add_source(run, replace(SOURCE, name=name))
        add_chunk(ledger, run, number, chunk(emails(2)))
        add_chunk(ledger, run, number, chunk([None], ids=["7"], first_row=3))
        ledger.close_source(run, number, digest="")
    run = deliver(ledger, ledger.seal(run), *[State.IN_DOUBT] * 6)
    first = run.no << 40
    assert ledger.doubtful(run) == [
        (first + 1, "one.csv", 1, 2, "0@example.org", "doubt.status"),
        (first + 2, "one.csv", 2, 3, "1@example.org", "doubt.status"),
        (first + 3, "one.csv", 3, 4, "7", "doubt.status"),
        (first + 4, "two.csv", 1, 2, "0@example.org", "doubt.status"),
        (first + 5, "two.csv", 2, 3, "1@example.org", "doubt.status"),
        (first + 6, "two.csv", 3, 4, "7", "doubt.status"),
    ]


@pytest.mark.parametrize(
    ("word", "state"), [(State.SENT, RunState.FINISHED), (State.PENDING, RunState.STOPPED)], ids=["sent", "resend"]
)
def test_all_rows_in_doubt_are_settled_at_once(ledger: Ledger, word: State, state: RunState) -> None:
    run = deliver(ledger, planned(ledger, chunk(emails(4))), *FATES)
    assert ledger.resolve(run, word) == 1
    assert states(ledger, run) == ["sent", "refused", "failed", word.value]
    assert ledger.doubtful(run) == []
    assert ledger.run(run.id).state is state
    assert ledger.counts(run).balanced


def test_rows_in_doubt_can_be_given_up_and_their_run_pruned(ledger: Ledger) -> None:
    """They may have been accepted: no other run sends them by itself, before and after."""
    run = deliver(ledger, planned(ledger, chunk(emails(1))), State.IN_DOUBT)
    assert ledger.is_open(run)
    assert ledger.resolve(run, State.FAILED) == 1
    (row,) = next(iter(ledger.batches(run))).table.to_pylist()
    assert (row["state"], row["code"], row["message"]) == ("failed", "failed.given_up", None)
    assert not ledger.is_open(run)
    assert states(ledger, planned(ledger, chunk(emails(1)), mapping="m2")) == ["duplicate"]
    ledger.prune(run)
    assert states(ledger, planned(ledger, chunk(emails(1)), mapping="m3")) == ["duplicate"]


def test_rows_in_doubt_are_settled_one_by_one(ledger: Ledger) -> None:
    run = deliver(ledger, planned(ledger, chunk(emails(2))), State.IN_DOUBT, State.IN_DOUBT)
    second = ledger.doubtful(run)[1][0]
    assert ledger.resolve(run, State.PENDING, [second, second]) == 1
    assert states(ledger, run) == ["in_doubt", "pending"]


def test_a_row_that_is_not_in_doubt_is_refused_and_nothing_is_settled(ledger: Ledger) -> None:
    run = deliver(ledger, planned(ledger, chunk(emails(4))), *FATES)
    first = run.no << 40
    with pytest.raises(UsageError) as caught:
        ledger.resolve(run, State.SENT, [first + 1, first + 2, first + 4, 5])
    assert caught.value.message == f"3 of the rows named are not in doubt in run {run.id}"
    assert caught.value.hint == f"`importer runs {run.id}` lists the rows in doubt"
    assert states(ledger, run)[3] == "in_doubt"


def test_a_row_put_back_goes_out_with_its_attempts(ledger: Ledger) -> None:
    run = deliver(ledger, planned(ledger, chunk(emails(1))), State.IN_DOUBT)
    ledger.resolve(run, State.PENDING)
    (claim,) = ledger.commit([], [ledger.queue(run, after=None, count=1)[0][1]])
    assert (claim.body, claim.attempts) == (b"1", 1)


def test_retry_puts_back_what_was_refused_or_failed_and_nothing_else(ledger: Ledger) -> None:
    prepared = chunk(emails(6), states=["pending"] * 4 + ["invalid", "filtered"])
    run = deliver(ledger, planned(ledger, prepared), *FATES)
    assert ledger.retry(run) == (2, 0)
    assert states(ledger, run) == ["sent", "pending", "pending", "in_doubt", "invalid", "filtered"]
    assert ledger.run(run.id).state is RunState.STOPPED
    assert ledger.retry(run) == (0, 0)


def test_retry_leaves_out_rows_that_another_run_has_delivered(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk(emails(2))), State.REFUSED, State.REFUSED)
    deliver(ledger, planned(ledger, chunk(emails(2))), State.SENT, State.REFUSED)
    assert ledger.retry(first) == (1, 1)
    assert states(ledger, first) == ["duplicate", "pending"]
    (row, _) = next(iter(ledger.batches(first))).table.to_pylist()
    assert (row["code"], row["message"]) == ("duplicate.row", "taken care of by another run")


def test_retry_leaves_out_keys_that_another_run_has_delivered(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk(emails(2), keys=["k", "l"]), digest="1"), *[State.REFUSED] * 2)
    deliver(ledger, planned(ledger, chunk(emails(1), keys=["k"]), digest="2"), State.SENT)
    assert ledger.retry(first) == (1, 1)
    row = next(iter(ledger.batches(first))).table.to_pylist()[0]
    assert (row["state"], row["code"]) == ("duplicate", "duplicate.key")


def test_a_retried_row_and_its_key_in_a_later_run_are_sent_once(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk(emails(1), keys=["k"]), digest="1"), State.REFUSED)
    ledger.retry(first)
    assert states(ledger, planned(ledger, chunk(emails(1), keys=["k"]), digest="2")) == ["pending"]
    assert states(ledger, first) == ["duplicate"], "taken over"


def test_bodies_of_what_is_done_with_are_forgotten(ledger: Ledger) -> None:
    """What may still have to be sent keeps its body; whoever looks into the file finds no other."""
    count = 516
    run = planned(ledger, chunk(emails(count)))
    fates = [State.SENT] * count
    fates[256:260] = [State.REFUSED, State.FAILED, State.IN_DOUBT, State.SENT]
    deliver(ledger, run, *fates)
    ledger.drop_bodies(run)
    bodies = [body for (body,) in ledger._db.rows("SELECT body FROM row WHERE body IS NOT NULL ORDER BY id")]
    assert bodies == [str(257 + n).encode() for n in range(3)]
    ledger.resolve(run, State.PENDING)
    ledger.retry(run)
    waiting = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=9)]
    assert [claim.body for claim in ledger.commit([], waiting)] == bodies
    ledger.drop_bodies(run)


def test_originals_are_kept_where_a_row_may_have_to_be_mended(ledger: Ledger) -> None:
    records = pa.table({"record": pa.array([b"x", b"y"])})
    whole = replace(chunk(emails(2)), raw_rows=records)
    broken = replace(chunk(emails(2), first_row=3, states=["pending", "invalid"]), raw_rows=records)
    run = deliver(ledger, planned(ledger, whole, broken), *[State.SENT] * 3)
    ledger.drop_bodies(run)
    assert [batch.raw_rows is not None for batch in ledger.batches(run, raw_rows=True)] == [False, True]
    assert states(ledger, run) == ["sent", "sent", "sent", "invalid"]


def test_what_was_put_back_and_still_waits_can_be_taken_back(ledger: Ledger) -> None:
    """Neither a 429 nor a claim that never left makes a row less doubtful, or less refused."""
    run = planned(ledger, chunk(emails(6)))
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=6)]
    ledger.commit([], rows)
    ends = ((State.IN_DOUBT, "doubt.no_answer"),) * 3 + (
        (State.REFUSED, "api.refused"),
        (State.FAILED, "failed.attempts"),
        (State.FAILED, "failed.refused"),
    )
    ledger.commit(
        [Outcome(row, s, 1, 500, code, "oh", 1.0, 0.1) for row, (s, code) in zip(rows, ends, strict=True)], []
    )
    before = states(ledger, run)
    assert (ledger.release(run), ledger.retry(run)) == (3, (3, 0))
    assert ledger.run(run.id).state is RunState.STOPPED
    ledger.commit([], rows)
    ledger.commit([Outcome(row, State.PENDING, 2, None, "", "", 2.0, None) for row in rows], [])
    assert states(ledger, run) == ["pending"] * 6
    assert ledger.take_back(run, doubts=True) == 3
    assert [code for *_, code in ledger.doubtful(run)] == ["doubt.no_answer"] * 3
    assert ledger.take_back(run) == 3
    assert states(ledger, run) == before


def test_what_the_user_has_resolved_is_not_taken_back(ledger: Ledger) -> None:
    run = deliver(ledger, planned(ledger, chunk(emails(1))), State.IN_DOUBT)
    ledger.resolve(run, State.PENDING)
    assert ledger.take_back(run) == 0
    assert states(ledger, run) == ["pending"]
