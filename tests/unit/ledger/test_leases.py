"""Several machines, one ledger: who works on a run, or sends for an account, and when another may take over.

A machine is what sees the same locks: each has a state directory of its own here. The database's time moves by moving
what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.deliver.client import ClientOptions
from importer.ledger import locks
from importer.ledger.database import Database
from importer.ledger.ledger import Ledger
from importer.ledger.location import PostgresLocation
from importer.ledger.locks import ANSWER_SECONDS, LEASE_SECONDS, MARGIN_SECONDS, Leases
from importer.ledger.postgres import PostgresDialect
from importer.model import Outcome, Run, RunState, State
from tests.support.ledgers import chunk, planned, released
from tests.support.postgres import Server


class Machine:
    """A ledger as one machine has it open, with a clock of its own."""

    def __init__(self, location: PostgresLocation, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(home))
        self.time = 5_000.0
        dialect = PostgresDialect(location)
        dialect.beside.parent.mkdir(parents=True)
        self.leases = Leases(lambda: Database(dialect), dialect.beside, clock=lambda: self.time)
        self.ledger = Ledger(location, account="a", endpoint="e", leases=self.leases)


@pytest.fixture
def location(postgres: Server) -> Iterator[PostgresLocation]:
    location = postgres.database()
    yield location
    postgres.release(location)


@pytest.fixture
def machines(
    location: PostgresLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Machine, Machine]]:
    monkeypatch.setattr(locks, "RENEW_SECONDS", 3600.0)  # by hand
    both = (Machine(location, tmp_path / "one", monkeypatch), Machine(location, tmp_path / "two", monkeypatch))
    yield both
    for machine in both:
        machine.ledger.close()


def pass_time(ledger: Ledger, seconds: float) -> None:
    """The database's clock goes on."""
    ledger._db.execute("UPDATE lease SET ends_at = ends_at - $1", float(seconds))


def claim(ledger: Ledger, run: Run, count: int = 1) -> list[int]:
    rows = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=count)]
    return [one.id for one in ledger.commit([], rows)]


def states(ledger: Ledger, run: Run) -> list[str]:
    return [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]


def plan(ledger: Ledger) -> Run:
    return planned(ledger, chunk(["a@example.org", "b@example.org", "c@example.org"]))


def test_a_run_is_alive_on_every_machine_and_its_holder_is_named(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    run = plan(one.ledger)
    assert two.ledger.is_alive(run)
    assert not two.ledger.lock(run).try_acquire()
    assert ", process " in two.ledger.lock(run).holder()
    released(one.ledger, run)
    assert not two.ledger.is_alive(run)
    assert two.ledger.lock(run).try_acquire()


def test_another_takes_over_only_after_the_lease_and_the_time_of_an_answer(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    run = plan(one.ledger)
    pass_time(two.ledger, LEASE_SECONDS + 1)
    assert not two.ledger.lock(run).try_acquire(), "a request may still be under way"
    pass_time(two.ledger, ANSWER_SECONDS)
    assert not two.ledger.is_alive(run)
    assert two.ledger.lock(run).try_acquire()
    assert two.ledger.recover(run) == 0


def test_what_the_first_had_claimed_is_in_doubt_and_named(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    run = plan(one.ledger)
    claim(one.ledger, run)
    pass_time(two.ledger, LEASE_SECONDS + ANSWER_SECONDS + 1)
    assert two.ledger.lock(run).try_acquire()
    assert two.ledger.recover(run) == 1
    assert [(row, subscriber, code) for _, _, row, _, subscriber, code in two.ledger.doubtful(run)] == [
        (1, "a@example.org", "doubt.crash")
    ]


def test_a_sender_that_cannot_renew_stops_before_its_lease_ends(machines: tuple[Machine, Machine]) -> None:
    """By the time that has passed for itself, whatever any clock shows."""
    one, _ = machines
    plan(one.ledger)
    one.time += LEASE_SECONDS - MARGIN_SECONDS - 1
    assert one.ledger.sending_stops() == ""
    one.leases.renew()
    one.time += LEASE_SECONDS - MARGIN_SECONDS - 1
    assert one.ledger.sending_stops() == ""
    one.time += 2
    assert "could not be asked for so long that another machine may send now" in one.ledger.sending_stops()


def test_a_lease_that_another_has_taken_is_not_taken_back(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    run = plan(one.ledger)
    pass_time(two.ledger, LEASE_SECONDS + ANSWER_SECONDS + 1)
    assert two.ledger.lock(run).try_acquire()
    one.leases.renew()
    assert one.ledger.sending_stops() != ""
    assert two.ledger.sending_stops() == ""
    assert two.ledger.lock(run).held


def test_whoever_comes_back_late_claims_nothing_and_only_tells_what_it_knows_for_good(
    machines: tuple[Machine, Machine],
) -> None:
    """It was away for minutes: one of its requests had been answered, another one had not left."""
    one, two = machines
    run = plan(one.ledger)
    sent, kept = claim(one.ledger, run, 2)
    pass_time(two.ledger, LEASE_SECONDS + ANSWER_SECONDS + 1)
    assert two.ledger.lock(run).try_acquire()
    assert two.ledger.recover(run) == 2
    waits = two.ledger.queue(run, after=None, count=1)[0][1]
    told = [
        Outcome(sent, State.SENT, 1, 200, "", "", 1.0, 0.1),
        Outcome(kept, State.PENDING, 0, None, "", "", 1.0, None),
    ]
    assert one.ledger.commit(told, [waits]) == []
    assert states(two.ledger, run) == ["sent", "in_doubt", "pending"]


def test_whoever_comes_back_late_changes_nothing_that_the_other_machine_knows(
    machines: tuple[Machine, Machine],
) -> None:
    """Its row was resolved and sent again meanwhile; the late answer to the first request is a refusal."""
    one, two = machines
    run = plan(one.ledger)
    (row,) = claim(one.ledger, run)
    pass_time(two.ledger, LEASE_SECONDS + ANSWER_SECONDS + 1)
    assert two.ledger.lock(run).try_acquire()
    assert two.ledger.recover(run) == 1
    assert two.ledger.release(run) == 1
    two.ledger.set_state(run, RunState.DELIVERING)
    assert claim(two.ledger, run) == [row]
    two.ledger.commit([Outcome(row, State.SENT, 2, 200, "", "", 1.0, 0.1)], [])
    one.ledger.commit([Outcome(row, State.REFUSED, 1, 422, "refused", "no", 1.0, 0.1)], [])
    assert states(two.ledger, run) == ["sent", "pending", "pending"]
    assert one.ledger.set_state(run, RunState.STOPPED).state is RunState.DELIVERING


def test_one_machine_sends_for_an_account_at_a_time(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    run, other = plan(one.ledger), planned(two.ledger, chunk(["d@example.org"]), digest="other")
    sender, waiting = one.ledger.sender_lock(run), two.ledger.sender_lock(other)
    assert sender is not None
    assert waiting is not None
    assert sender.try_acquire()
    assert not waiting.try_acquire()
    assert waiting.holder().startswith(f"run {run.id} on ")
    sender.release()
    assert waiting.try_acquire()


def test_another_account_is_not_hindered(machines: tuple[Machine, Machine], location: PostgresLocation) -> None:
    one, _ = machines
    sender = one.ledger.sender_lock(plan(one.ledger))
    assert sender is not None
    assert sender.try_acquire()
    with Ledger(location, account="b", endpoint="e") as ledger:
        other = ledger.sender_lock(planned(ledger, chunk(["d@example.org"])))
        assert other is not None
        assert other.try_acquire()


def test_no_request_outlives_the_time_of_an_answer() -> None:
    options = ClientOptions()
    assert options.connect_timeout + options.answer_timeout + options.stalled_body < ANSWER_SECONDS


def test_a_dead_process_of_this_machine_holds_nobody_up(
    location: PostgresLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock's file is free, which no other machine can see."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first = Ledger(location, account="a", endpoint="e")
    run = plan(first)
    first.lock(run)._file.release()  # as the kernel does
    first.close()
    with Ledger(location, account="a", endpoint="e") as ledger:
        assert not ledger.is_alive(run)
        assert ledger.lock(run).try_acquire()
