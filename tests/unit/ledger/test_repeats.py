"""What is remembered across runs: the same row of the same content, and the same key, are never sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from msgspec.structs import replace

from importer.ledger import tables
from importer.ledger.ledger import Ledger
from importer.ledger.repeats import PendingElsewhere
from importer.model import Outcome, Run, RunState, State
from tests.support.ledgers import SOURCE, add_chunk, chunk, new_run, open_ledger, planned, released

pytestmark = pytest.mark.usefixtures("each_database")

A, B, C = "a@example.org", "b@example.org", "c@example.org"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def states(ledger: Ledger, run: Run) -> list[str]:
    return [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]


def deliver(ledger: Ledger, run: Run, *fates: State) -> Run:
    """Give the first pending rows these fates, in order, and end the run's process."""
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=len(fates))]
    ledger.commit([], rows)
    ledger.commit([Outcome(r, s, 1, 200, "", "", 1.0, 0.1) for r, s in zip(rows, fates, strict=True)], [])
    ledger.set_state(run, RunState.STOPPED if ledger.has_pending(run) else RunState.FINISHED)
    return released(ledger, run)


def plan_keys(ledger: Ledger, *keys: str | None, digest: str, again: bool = False) -> Run:
    """A run of rows with these keys; a key is always the same event, of a subscriber of its own."""
    emails = [f"{ord((key or 'x')[-1:] or 'e')}@example.org" for key in keys]
    return planned(ledger, chunk(emails, keys=keys, bodies=emails), digest=digest, again=again)


# The same row of the same content


@pytest.mark.parametrize("kind", [State.SENT, State.IN_DOUBT])
def test_what_may_have_arrived_is_not_planned_again(ledger: Ledger, kind: State) -> None:
    first = deliver(ledger, planned(ledger, chunk([A, B])), kind, State.REFUSED)
    second = planned(ledger, chunk([A, B]))
    assert states(ledger, second) == ["duplicate", "pending"], "what was refused may be sent once more"
    assert ledger.repeats(second)[:2] == [
        f"1 row will not be sent: already in run {first.id} (duplicate.row)",
        "--again sends delivered rows again",
    ]


def test_a_renamed_copy_is_the_same_file(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A])), State.SENT)
    second = planned(ledger, chunk([A]), source=replace(SOURCE, name="copy.csv"))
    assert states(ledger, second) == ["duplicate"]
    assert ledger.repeats(second)[0] == (
        f"1 row will not be sent: already in run {first.id}, as orders.csv (duplicate.row)"
    )


def test_other_content_under_the_same_name_is_another_file(ledger: Ledger) -> None:
    deliver(ledger, planned(ledger, chunk([A]), digest="monday"), State.SENT)
    assert states(ledger, planned(ledger, chunk([A]), digest="tuesday")) == ["pending"]


def test_content_that_is_not_known_is_like_no_other(ledger: Ledger) -> None:
    deliver(ledger, planned(ledger, chunk([A]), digest=""), State.SENT)
    assert states(ledger, planned(ledger, chunk([A]), digest="")) == ["pending"]


def test_a_file_that_is_named_twice_is_sent_once(ledger: Ledger) -> None:
    run = new_run(ledger)
    for _ in range(2):
        number = ledger.add_source(run, SOURCE)
        add_chunk(ledger, run, number, chunk([A, B], states=["pending", "invalid"]))
        ledger.close_source(run, number, digest="content")
    run = ledger.seal(run)
    assert states(ledger, run) == ["pending", "invalid", "duplicate", "invalid"]
    assert ledger.counts(run).balanced


def test_again_sends_it_knowingly(ledger: Ledger) -> None:
    deliver(ledger, planned(ledger, chunk([A])), State.SENT)
    assert states(ledger, planned(ledger, chunk([A]), again=True)) == ["pending"]


def test_chunks_need_not_be_cut_alike(ledger: Ledger) -> None:
    deliver(ledger, planned(ledger, chunk([A, B, C])), State.SENT, State.SENT)
    second = planned(ledger, chunk([A]), chunk([B, C], first_row=2))
    assert states(ledger, second) == ["duplicate", "duplicate", "pending"]


def test_rows_beyond_the_end_of_a_twin_are_not_taken_for_the_next_sources(ledger: Ledger) -> None:
    """The same content read in another dialect may have more rows."""
    run = new_run(ledger)
    for digest in ("content", "other"):
        number = ledger.add_source(run, SOURCE)
        add_chunk(ledger, run, number, chunk([A]))
        ledger.close_source(run, number, digest=digest)
    deliver(ledger, ledger.seal(run), State.SENT, State.SENT)
    assert states(ledger, planned(ledger, chunk([A, B]))) == ["duplicate", "pending"]


def test_rows_that_wait_in_a_dead_run_are_taken_over(ledger: Ledger) -> None:
    """After a half-delivered file the mapping was mended: what was sent stays sent, the rest goes by the new one."""
    first = deliver(ledger, planned(ledger, chunk([A, B, C]), mapping="m1"), State.SENT)
    second = planned(ledger, chunk([A, B, C], states=["pending", "pending", "invalid"]), mapping="m2")
    assert states(ledger, second) == ["duplicate", "pending", "invalid"]
    assert states(ledger, first) == ["sent", "duplicate", "pending"]
    assert ledger.run(first.id).state is RunState.STOPPED
    assert ledger.repeats(second)[-1] == (
        f"1 row that waited in the interrupted run {first.id} will be sent by this run,"
        " with this mapping instead of that run's"
    )


def test_a_run_that_lost_all_its_rows_is_not_one_to_resume(ledger: Ledger) -> None:
    first = released(ledger, planned(ledger, chunk([A])))
    second = planned(ledger, chunk([A]))
    assert ledger.run(first.id).state is RunState.SUPERSEDED
    assert ledger.repeats(second) == [f"1 row that waited in the interrupted run {first.id} will be sent by this run"]


def test_from_a_living_run_nothing_is_taken(ledger: Ledger, tmp_path: Path) -> None:
    first = planned(ledger, chunk([A]))
    with open_ledger(tmp_path) as other:
        second = planned(other, chunk([A]))
        assert states(other, second) == ["duplicate"]
    assert states(ledger, first) == ["pending"]


def test_of_two_runs_planned_side_by_side_the_one_sealed_first_sends(ledger: Ledger, tmp_path: Path) -> None:
    """Whichever began first."""
    with open_ledger(tmp_path) as other:
        begun: list[tuple[Ledger, Run]] = []
        for one in (ledger, other):
            run = new_run(one)
            number = one.add_source(run, SOURCE)
            add_chunk(one, run, number, chunk([A], keys=["k"]))
            one.close_source(run, number, digest="content")
            begun.append((one, run))
        late, early = begun
        early[0].seal(early[1])
        late[0].seal(late[1])
        assert (states(*early), states(*late)) == (["pending"], ["duplicate"])


def test_accounts_and_endpoints_know_nothing_of_each_other(ledger: Ledger, tmp_path: Path) -> None:
    """A rehearsal in the sandbox never marks anything as sent for real."""
    deliver(ledger, planned(ledger, chunk([A], keys=["k"])), State.SENT)
    for account, endpoint in (("b", "e"), ("a", "sandbox")):
        with open_ledger(tmp_path, account=account, endpoint=endpoint) as other:
            assert states(other, planned(other, chunk([A], keys=["k"]))) == ["pending"]


# The same key


def test_a_key_is_sent_once_whichever_file_it_comes_from(ledger: Ledger) -> None:
    first = deliver(ledger, plan_keys(ledger, "k", "l", digest="1"), State.SENT, State.IN_DOUBT)
    second = plan_keys(ledger, "k", "m", "l", digest="2")
    assert states(ledger, second) == ["duplicate", "pending", "duplicate"]
    assert ledger.repeats(second)[:2] == [
        f"2 rows will not be sent: already in run {first.id} (duplicate.key)",
        "--again sends delivered rows again",
    ]


def test_of_rows_with_one_key_the_first_that_can_be_sent_is(ledger: Ledger) -> None:
    emails = [f"{n}@example.org" for n in range(5)]
    prepared = chunk(
        emails, keys=["k", "k", "l", "k", None], states=["invalid", "pending", "pending", "pending", "invalid"],
        bodies=["x", "k", "l", "k", "x"],
    )  # fmt: skip
    run = planned(ledger, prepared)
    assert states(ledger, run) == ["invalid", "pending", "pending", "duplicate", "invalid"]
    assert ledger.repeats(run) == [
        "1 row will not be sent: another row of this run has the same key and is the same event (duplicate.key)"
    ]


def test_the_key_of_a_row_that_repeats_an_earlier_run_is_not_sent_by_a_later_row(ledger: Ledger) -> None:
    deliver(ledger, plan_keys(ledger, "k", "k", digest="1"), State.SENT)
    assert states(ledger, plan_keys(ledger, "k", "k", digest="1")) == ["duplicate", "duplicate"]


def test_a_key_that_was_not_delivered_is_free(ledger: Ledger) -> None:
    deliver(ledger, plan_keys(ledger, "k", digest="1"), State.REFUSED)
    assert states(ledger, plan_keys(ledger, "k", digest="2")) == ["pending"]


@pytest.mark.parametrize("digest", ["1", "2"], ids=["the same rows", "the same key"])
def test_what_failed_may_have_been_accepted_and_is_not_sent_by_another_run(ledger: Ledger, digest: str) -> None:
    """It was sent again and again for want of a clear answer; whoever wants it sent once more says retry."""
    first = deliver(ledger, plan_keys(ledger, "k", digest="1"), State.FAILED)
    second = plan_keys(ledger, "k", digest=digest)
    assert states(ledger, second) == ["duplicate"]
    assert ledger.repeats(second)[-1] == (
        f"1 row of run {first.id} failed, and may have been accepted: `importer retry {first.id}` sends them again"
    )
    assert ledger.retry(first) == (1, 0)


@pytest.mark.parametrize("code", ["doubt.server_error", "failed.attempts"])
@pytest.mark.parametrize("digest", ["1", "2"], ids=["the same rows", "the same key"])
def test_what_waits_to_be_sent_once_more_is_not_taken_over(ledger: Ledger, digest: str, code: str) -> None:
    """Under --on-doubt resend, or by retry: another run would send it as if for the first time."""
    first = plan_keys(ledger, "k", "l", digest="1")
    row_id = ledger.queue(first, after=None, count=1)[0][1]
    ledger.commit([], [row_id])
    ledger.commit([Outcome(row_id, State.PENDING, 1, 500, code, "", 1.0, 0.1, maybe_sent=True)], [])
    ledger.set_state(released(ledger, first), RunState.STOPPED)
    assert states(ledger, plan_keys(ledger, "k", "l", digest=digest)) == ["duplicate", "pending"]
    assert states(ledger, first) == ["pending", "duplicate"]
    assert ledger.run(first.id).state is RunState.STOPPED
    last = ledger.runs()[0]
    assert f"1 row of run {first.id} to be sent again, by that run alone: `importer resume {first.id}`" in (
        ledger.repeats(last)
    )


def test_again_counts_a_key_within_the_run_alone(ledger: Ledger) -> None:
    deliver(ledger, plan_keys(ledger, "k", digest="1"), State.SENT)
    assert states(ledger, plan_keys(ledger, "k", "k", digest="2", again=True)) == ["pending", "duplicate"]


def test_a_delivered_key_stays_delivered_whatever_became_of_it_later(ledger: Ledger) -> None:
    """Sent, then refused when it was sent --again: it did arrive once."""
    deliver(ledger, plan_keys(ledger, "k", digest="1"), State.SENT)
    deliver(ledger, plan_keys(ledger, "k", digest="2", again=True), State.REFUSED)
    assert states(ledger, plan_keys(ledger, "k", digest="3")) == ["duplicate"]


def test_a_row_taken_over_brings_its_key(ledger: Ledger) -> None:
    first = released(ledger, plan_keys(ledger, "k", digest="1"))
    second = plan_keys(ledger, "k", digest="1")
    assert (states(ledger, first), states(ledger, second)) == (["duplicate"], ["pending"])


def test_a_key_that_waits_in_a_dead_run_is_taken_over(ledger: Ledger) -> None:
    """A file of last night broke off half-way and has grown: the rest is sent by this run, in one piece."""
    first = deliver(ledger, plan_keys(ledger, "k", "l", "m", digest="monday"), State.SENT)
    second = plan_keys(ledger, "k", "l", "m", "n", digest="tuesday")
    assert states(ledger, first) == ["sent", "duplicate", "duplicate"]
    assert states(ledger, second) == ["duplicate", "pending", "pending", "pending"]
    assert ledger.run(first.id).state is RunState.SUPERSEDED
    assert ledger.counts(first).balanced
    assert ledger.repeats(second) == [
        f"1 row will not be sent: already in run {first.id} (duplicate.key)",
        "--again sends delivered rows again",
        f"2 rows that waited in the interrupted run {first.id} will be sent by this run",
    ]


def test_a_key_that_waits_beside_one_that_was_delivered_is_not_taken(ledger: Ledger) -> None:
    """It waits there because someone said --again; this run sends it neither twice nor instead."""
    deliver(ledger, plan_keys(ledger, "k", digest="1"), State.SENT)
    again = released(ledger, plan_keys(ledger, "k", digest="2", again=True))
    assert states(ledger, plan_keys(ledger, "k", digest="3")) == ["duplicate"]
    assert states(ledger, again) == ["pending"]


def test_from_a_living_run_no_key_is_taken(ledger: Ledger, tmp_path: Path) -> None:
    first = plan_keys(ledger, "k", digest="1")
    with open_ledger(tmp_path) as other:
        assert states(other, plan_keys(other, "k", "l", digest="2")) == ["duplicate", "pending"]
    assert states(ledger, first) == ["pending"]


def test_keys_are_compared_exactly(ledger: Ledger) -> None:
    deliver(ledger, plan_keys(ledger, "k", digest="1"), State.SENT)
    others = plan_keys(ledger, "K", "k ", "", "\0k", digest="2")
    assert states(ledger, others) == ["pending"] * 4


# One key, different events


def row_facts(ledger: Ledger, run: Run) -> list[tuple[str, str | None, str | None]]:
    return [
        (row["state"], row["code"], row["message"]) for batch in ledger.batches(run) for row in batch.table.to_pylist()
    ]


def test_of_rows_that_share_a_key_and_differ_none_is_sent(ledger: Ledger) -> None:
    """Two shops that both number from #1001; each row names the other one, also across sources."""
    run = new_run(ledger)
    for name, emails in (("one.csv", [A, B]), ("two.csv", [C])):
        number = ledger.add_source(run, replace(SOURCE, name=name))
        add_chunk(ledger, run, number, chunk(emails, keys=["#1001", "#1002"][: len(emails)], bodies=emails))
        ledger.close_source(run, number, digest=name)
    run = ledger.seal(run)
    assert row_facts(ledger, run) == [
        ("invalid", "key.conflict", "another event has the same key: two.csv, row 1 (line 2)"),
        ("pending", None, None),
        ("invalid", "key.conflict", "another event has the same key: one.csv, row 1 (line 2)"),
    ]
    said = "2 rows will not be sent, because one key belongs to different events (key.conflict);"
    assert ledger.repeats(run) == [
        f"{said} the first is line 2, key '#1001': another event has the same key: two.csv, row 1 (line 2)"
    ]
    assert ledger.counts(run).balanced


@pytest.mark.parametrize("what", ["body", "subscriber"])
def test_three_rows_of_which_one_differs_are_all_held_back(ledger: Ledger, what: str) -> None:
    bodies = ["x", "x", "y"] if what == "body" else [A, A, B]
    run = planned(ledger, chunk([A, A, A if what == "body" else B], keys=["k"] * 3, bodies=bodies))
    assert states(ledger, run) == ["invalid"] * 3


def test_a_key_delivered_for_another_subscriber_is_a_conflict(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A], keys=["k"], bodies=["a"]), digest="1"), State.SENT)
    second = planned(ledger, chunk([B], keys=["k"], bodies=["b"]), digest="2")
    assert row_facts(ledger, second) == [
        (
            "invalid",
            "key.conflict",
            f"another subscriber has the same key: run {first.id}, orders.csv, row 1 (line 2)",
        )
    ]


def test_a_key_that_waits_elsewhere_for_another_subscriber_is_not_taken_over(ledger: Ledger) -> None:
    """The interrupted run of the other shop keeps its row; only the same row of the same file can be a correction."""
    first = released(ledger, planned(ledger, chunk([A], keys=["k"]), digest="1"))
    assert states(ledger, planned(ledger, chunk([B], keys=["k"]), digest="2")) == ["invalid"]
    assert states(ledger, first) == ["pending"]
    assert states(ledger, planned(ledger, chunk([C], keys=["k"]), digest="1", mapping="m2")) == ["pending"]
    assert states(ledger, first) == ["duplicate"]


def test_a_key_delivered_for_the_same_subscriber_with_another_event_has_changed(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A], keys=["k"], bodies=["1"]), digest="1"), State.SENT)
    second = planned(ledger, chunk(["A@example.org".lower()], keys=["k"], bodies=["2"]), digest="2")
    assert row_facts(ledger, second) == [("duplicate", "duplicate.changed", f"already in run {first.id}")]


def test_what_became_of_a_key_is_still_known_when_its_run_is_pruned(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A], keys=["k"], bodies=["1"]), digest="1"), State.SENT)
    ledger.prune(first)
    for email, body, code in ((A, "1", "duplicate.key"), (A, "2", "duplicate.changed"), (B, "1", "key.conflict")):
        run = planned(ledger, chunk([email], keys=["k"], bodies=[body]), digest=code)
        assert [one for _, one, _ in row_facts(ledger, run)] == [code]


def test_with_a_key_only_the_key_counts(ledger: Ledger) -> None:
    """Another mapping makes other events of the same rows: purchases first, then their refunds."""
    deliver(ledger, planned(ledger, chunk([A, B], keys=["purchase 1", "purchase 2"])), State.SENT, State.SENT)
    refunds = planned(ledger, chunk([A, B], keys=["refund 1", "purchase 2"]))
    assert states(ledger, refunds) == ["pending", "duplicate"]


def test_without_a_key_a_row_that_becomes_another_type_is_another_event(ledger: Ledger) -> None:
    deliver(ledger, planned(ledger, chunk([A, B])), State.SENT, State.SENT)
    assert states(ledger, planned(ledger, chunk([A, B], types=["refund", "purchase"]))) == ["pending", "duplicate"]


@pytest.mark.parametrize("keyed", [True, False], ids=["a key came", "the key went"])
def test_rows_delivered_before_the_mapping_had_a_key_are_known_by_their_content(ledger: Ledger, keyed: bool) -> None:
    deliver(ledger, planned(ledger, chunk([A], keys=None if keyed else ["k"])), State.SENT)
    assert states(ledger, planned(ledger, chunk([A], keys=["k"] if keyed else None))) == ["duplicate"]


def test_keys_are_compared_across_the_steps_in_which_they_are_settled(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "STEP", 3)
    keys = ["a"] * 8 + ["b", "c", "c", "d"]
    bodies = ["same"] * 8 + ["b", "c", "other", "d"]
    run = planned(ledger, chunk([A] * 12, keys=keys, bodies=bodies))
    assert states(ledger, run) == ["pending"] + ["duplicate"] * 7 + ["pending", "invalid", "invalid", "pending"]


# Who has what is not sent here


def test_rows_that_another_run_has_and_has_not_delivered_are_told(ledger: Ledger, tmp_path: Path) -> None:
    first = planned(ledger, chunk([A, B, C]))
    rows = [row_id for _, row_id, _ in ledger.queue(first, after=None, count=9)]
    ledger.commit([Outcome(rows[0], State.IN_DOUBT, 1, 500, "doubt.server_error", "", 1.0, 0.1)], [])
    ledger.commit([Outcome(rows[1], State.SENT, 1, 200, "", "", 1.0, 0.1)], [])
    with open_ledger(tmp_path) as other:
        second = planned(other, chunk([A, B, C]))
        assert other.pending_elsewhere(second) == (PendingElsewhere(first.id, 2, RunState.READY, 1, alive=True),)
        ledger.lock(first).release()
        assert other.pending_elsewhere(second) == (PendingElsewhere(first.id, 2, RunState.READY, 1, alive=False),)
        ledger.commit([Outcome(row, State.SENT, 1, 200, "", "", 1.0, 0.1) for row in rows], [])
        assert other.pending_elsewhere(second) == ()


def test_a_file_that_has_grown_is_warned_of_where_nothing_tells_its_old_rows(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A, B]), digest="monday"), State.SENT, State.SENT)
    grown = released(ledger, planned(ledger, chunk([A, B, C]), digest="tuesday"))
    advice = "without a key its old rows count as new ones and would be sent again; give the mapping a `key`"
    assert ledger.repeats(grown) == [
        f"warning: orders.csv begins as it did in run {first.id}, when it had 2 rows: {advice}"
    ]


def test_a_grown_file_is_recognised_under_another_name_and_compared_with_its_newest_copy(ledger: Ledger) -> None:
    """As exports that hold all rows so far have the day in their names."""

    def night(day: str, *rows: str) -> Run:
        return planned(ledger, chunk(rows), digest=day, source=replace(SOURCE, name=f"{day}.csv"))

    deliver(ledger, night("monday", A), State.SENT)
    second = deliver(ledger, night("tuesday", A, B), State.SENT, State.SENT)
    (warning,) = ledger.repeats(released(ledger, night("wednesday", A, B, C)))
    assert f"wednesday.csv begins as tuesday.csv did in run {second.id}, when it had 2 rows: " in warning


def test_a_file_of_the_same_name_with_other_rows_is_not_warned_of(ledger: Ledger) -> None:
    deliver(ledger, planned(ledger, chunk([A, B]), digest="monday"), State.SENT, State.SENT)
    other = planned(ledger, chunk([A, B, C], bodies=["x", "y", "z"]), digest="tuesday")
    assert ledger.repeats(other) == []


# Rows that come back from rejects


def corrected(run: Run, *rows: int | None, source: str = "orders.csv") -> pa.Table:
    here = [row is not None for row in rows]
    return pa.table(
        {
            "run": pa.array([run.id if one else None for one in here], pa.string()),
            "source": pa.array([source if one else None for one in here], pa.string()),
            "row": pa.array(rows, pa.int64()),
        }
    )


def test_a_row_whose_correction_was_accepted_is_sent_by_neither_retry_nor_the_first_file(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A, B])), State.REFUSED, State.REFUSED)
    rejects = replace(chunk([C, B]), origins=corrected(first, 1, 2))
    deliver(ledger, planned(ledger, rejects, digest="rejects"), State.SENT, State.REFUSED)
    assert states(ledger, planned(ledger, chunk([A, B]), mapping="m2")) == ["duplicate", "pending"]


def test_retry_leaves_out_rows_whose_correction_was_accepted(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A, B])), State.REFUSED, State.REFUSED)
    rejects = replace(chunk([C, B]), origins=corrected(first, 1, 2))
    second = deliver(ledger, planned(ledger, rejects, digest="rejects"), State.SENT, State.REFUSED)
    again = replace(chunk([B]), origins=corrected(second, 2))
    deliver(ledger, planned(ledger, again, digest="rejects of rejects"), State.SENT)
    assert ledger.retry(first) == (0, 2)
    assert ledger.retry(second) == (0, 1)
    assert states(ledger, first) == ["duplicate", "duplicate"]


def test_a_correction_of_a_row_that_was_sent_all_the_same_is_not_sent(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A])), State.REFUSED)
    ledger.retry(first)
    deliver(ledger, first, State.SENT)
    rejects = planned(ledger, replace(chunk([C]), origins=corrected(first, 1)), digest="rejects")
    assert states(ledger, rejects) == ["duplicate"]
    assert ledger.repeats(rejects)[0] == (
        "1 row will not be sent: the row that it corrects was sent, or may have been, by run "
        f"{first.id} (duplicate.row)"
    )


def test_a_correction_takes_over_a_row_that_waits_to_be_retried(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A])), State.REFUSED)
    ledger.retry(first)
    rejects = planned(ledger, replace(chunk([C]), origins=corrected(first, 1)), digest="rejects")
    assert (states(ledger, rejects), states(ledger, first)) == (["pending"], ["duplicate"])


def test_an_origin_that_this_ledger_does_not_know_is_no_obstacle(ledger: Ledger) -> None:
    first = deliver(ledger, planned(ledger, chunk([A])), State.REFUSED)
    stranger = replace(first, id="20200101-000000-aaaa")
    for number, origins in enumerate((corrected(stranger, 1), corrected(first, 9), corrected(first, 1, source="x"))):
        run = planned(ledger, replace(chunk([C]), origins=origins), digest=f"rejects {number}")
        assert states(ledger, run) == ["pending"]


def test_nothing_is_sent_of_a_source_that_broke_off(tmp_path: Path) -> None:
    """Its rows could not be told from those of the whole file, and would be sent twice when that comes."""
    with open_ledger(tmp_path) as ledger:
        run = new_run(ledger)
        for error in ("", "cut off"):
            number = ledger.add_source(run, SOURCE)
            add_chunk(ledger, run, number, chunk(["a@example.com", None], states=["pending", "invalid"]))
            ledger.close_source(run, number, digest="" if error else "whole", error=error)
        run = ledger.seal(run)
        assert ledger.counts(run)[State.PENDING] == 1
        (_, broken) = ledger.batches(run)
        assert broken.table["code"].to_pylist() == ["source.incomplete", None]
        assert broken.table["message"].to_pylist() == ["cut off", None]
        assert len(ledger.queue(run, after=None, count=9)) == 1


def test_a_repetition_of_rows_in_doubt_says_who_settles_them(ledger: Ledger) -> None:
    """The same file again is no work done while rows of it are in doubt."""
    first = deliver(ledger, planned(ledger, chunk([A, B, C])), State.SENT, State.IN_DOUBT, State.SENT)
    again = planned(ledger, chunk([A, B, C]))
    assert f"1 row of run {first.id} in doubt: `importer resolve {first.id}` resolves them" in ledger.repeats(again)
