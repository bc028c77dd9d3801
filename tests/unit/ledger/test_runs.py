"""Runs: their register and states, their locks, and what is left after a crash."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from importer.errors import UsageError
from importer.ledger.ledger import Ledger
from importer.ledger.runs import RunRepository
from importer.ledger.tables import TABLES
from importer.model import Run, RunState, State
from tests.support.ledgers import SOURCE, add_chunk, address, chunk, new_run, open_ledger, planned, released

pytestmark = pytest.mark.usefixtures("each_database")

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def rows(ledger: Ledger, run: Run) -> list[int]:
    return [row_id for _, row_id, _ in ledger.queue(run, after=None, count=100)]


@contextmanager
def importer(ledger: Ledger, run: Run, *, claim: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run's lock, and one claim if asked; killed at the end."""
    code = (
        "import sys; from importer.ledger.ledger import Ledger; from importer.ledger.location import parse_location\n"
        "ledger = Ledger(parse_location(sys.argv[1]), account='a', endpoint='e'); run = ledger.run(sys.argv[2])\n"
        "assert ledger.lock(run).try_acquire()\n"
        "if sys.argv[3] == 'True': ledger.commit([], [ledger.queue(run, after=None, count=1)[0][1]])\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(address(ledger)), run.id, str(claim)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_run_remembers_what_it_was_made_with(ledger: Ledger) -> None:
    made = ledger.create_run(mapping_name="m.yaml", mapping_text="type: ü", mapping_digest="d", options={"out": None})
    found = ledger.run(made.id)
    assert found == made
    assert (found.account, found.endpoint, found.state) == ("a", "e", RunState.PLANNING)
    assert (found.mapping_name, found.mapping_text, found.mapping_digest) == ("m.yaml", "type: ü", "d")
    assert found.options == {"out": None}
    assert found.started_at is found.finished_at is None


def test_runs_come_newest_first(ledger: Ledger) -> None:
    made = [new_run(ledger).id for _ in range(3)]
    assert [run.id for run in ledger.runs()] == made[::-1]


def test_a_run_is_found_by_the_beginning_of_its_id(ledger: Ledger) -> None:
    run = new_run(ledger)
    assert ledger.run(run.id[:-1]).id == run.id


def test_a_beginning_that_several_runs_have_is_refused(ledger: Ledger) -> None:
    first, second = new_run(ledger), new_run(ledger)
    common = first.id[:3]
    assert second.id.startswith(common)
    with pytest.raises(UsageError) as caught:
        ledger.run(common)
    assert caught.value.message == f"2 runs begin with {common}"
    assert caught.value.hint == "give more of the id; `importer runs` lists them"


def test_an_unknown_run_is_named_with_where_it_was_looked_for(ledger: Ledger) -> None:
    with pytest.raises(UsageError) as caught:
        ledger.run("2020")
    assert caught.value.message == "there is no run 2020 of account a at e"
    assert caught.value.hint == "`importer runs` lists the runs; --account, --sandbox and --ledger choose where to look"


def test_accounts_and_endpoints_see_their_own_runs_alone(ledger: Ledger, tmp_path: Path) -> None:
    run = new_run(ledger)
    for account, endpoint in (("b", "e"), ("a", "sandbox")):
        with open_ledger(tmp_path, account=account, endpoint=endpoint) as other:
            assert other.runs() == []
            with pytest.raises(UsageError):
                other.run(run.id)


def test_states_are_stamped(ledger: Ledger) -> None:
    """The start is that of the first delivery; the end is the last one's, and gone while it is delivering again."""
    run = planned(ledger, chunk(["a@example.org"]))
    assert run.state is RunState.READY
    begun = ledger.set_state(run, RunState.DELIVERING)
    assert begun.started_at is not None
    stopped = ledger.set_state(run, RunState.STOPPED, stop_reason="interrupted")
    assert (stopped.started_at, stopped.stop_reason) == (begun.started_at, "interrupted")
    assert stopped.finished_at is not None
    again = ledger.set_state(run, RunState.DELIVERING)
    assert (again.started_at, again.finished_at, again.stop_reason) == (begun.started_at, None, "")


def test_an_id_that_is_taken_is_not_given_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one whose process has ended, so that its lock is free."""
    drawn = iter(["aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("importer.ledger.runs.secrets.token_hex", lambda _: next(drawn))
    register = RunRepository(ledger._db, "a", "e", ledger._leases, lambda: 1_800_000_000.0)
    made = [register.create_run(mapping_name="", mapping_text="", mapping_digest="", options={})]
    register.lock(made[0]).release()
    made.append(register.create_run(mapping_name="", mapping_text="", mapping_digest="", options={}))
    assert [run.id[-5:] for run in made] == ["-aaaa", "-bbbb"]


def test_a_new_run_is_locked_by_its_process_from_the_start(ledger: Ledger, tmp_path: Path) -> None:
    run = new_run(ledger)
    assert ledger.lock(run).held
    with open_ledger(tmp_path) as other:
        assert not other.lock(run).try_acquire()
        ledger.lock(run).release()
        assert other.lock(run).try_acquire()


def test_a_killed_process_frees_its_lock(ledger: Ledger) -> None:
    run = released(ledger, planned(ledger, chunk(["a@example.org"])))
    with importer(ledger, run) as process:
        assert not ledger.lock(run).try_acquire()
        process.kill()
        process.wait()
        assert ledger.lock(run).try_acquire()


def test_what_a_killed_importer_had_claimed_is_in_doubt(ledger: Ledger) -> None:
    """And nothing else is; the request counts as an attempt, and the run as stopped."""
    run = released(ledger, planned(ledger, chunk(["a@example.org", "b@example.org"])))
    ledger.set_state(run, RunState.DELIVERING)
    with importer(ledger, run, claim=True):
        assert ledger.counts(run)[State.PENDING] == 2, "while it lives, a claimed row is pending for whoever looks on"
    assert ledger.recover(run) == 1
    counts = ledger.counts(run)
    assert (counts[State.IN_DOUBT], counts[State.PENDING], counts.balanced) == (1, 1, True)
    assert [(row, code) for _, _, row, _, _, code in ledger.doubtful(run)] == [(1, "doubt.crash")]
    assert next(iter(ledger.batches(run))).table.column("attempts").to_pylist() == [1, 0]
    assert (ledger.run(run.id).state, ledger.run(run.id).stop_reason) == (
        RunState.STOPPED,
        "the importer ended before it could say why",
    )
    assert ledger.recover(run) == 0


def test_recovering_a_run_with_nothing_claimed_takes_no_write_lock(ledger: Ledger, tmp_path: Path) -> None:
    run = planned(ledger, chunk(["a@example.org"]))
    with open_ledger(tmp_path) as other, other._db.transaction():
        assert ledger.recover(run) == 0


def test_a_discarded_run_leaves_nothing_behind(ledger: Ledger) -> None:
    kept = planned(ledger, chunk(["a@example.org"], keys=["k"], places=[1]), digest="other")
    before = contents(ledger)
    run = new_run(ledger)
    number = ledger.add_source(run, SOURCE)
    add_chunk(ledger, run, number, chunk(["b@example.org", None], keys=["k", "l"], places=[1, 2]))
    ledger.close_source(run, number, digest="content")
    ledger.discard(run)
    assert contents(ledger) == before
    assert [one.id for one in ledger.runs()] == [kept.id]


def test_ids_of_a_discarded_run_are_not_given_again(ledger: Ledger) -> None:
    """Whoever still holds the old run's object must not touch a new run's rows."""
    first = new_run(ledger)
    ledger.discard(first)
    assert new_run(ledger).no > first.no


def test_a_sealed_run_is_not_discarded(ledger: Ledger) -> None:
    """Ctrl-C may come between the seal and its caller; the run may have taken rows over by then."""
    old = released(ledger, planned(ledger, chunk(["a@example.org"]), mapping="m1"))
    run = new_run(ledger)
    number = ledger.add_source(run, SOURCE)
    add_chunk(ledger, run, number, chunk(["a@example.org"]))
    ledger.close_source(run, number, digest="content")
    ledger.seal(run)
    ledger.discard(run)
    assert (len(rows(ledger, run)), len(rows(ledger, old))) == (1, 0)


def test_a_discard_before_the_seal_takes_nothing_from_others(ledger: Ledger) -> None:
    old = released(ledger, planned(ledger, chunk(["a@example.org"], keys=["k"])))
    run = new_run(ledger)
    number = ledger.add_source(run, SOURCE)
    add_chunk(ledger, run, number, chunk(["a@example.org"], keys=["k"]))
    ledger.close_source(run, number, digest="content")
    ledger.discard(run)
    assert len(rows(ledger, old)) == 1


def test_a_seal_that_fails_changes_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were about to be taken over stay where they were."""
    old = released(ledger, planned(ledger, chunk(["a@example.org"])))
    run = new_run(ledger)
    number = ledger.add_source(run, SOURCE)
    add_chunk(ledger, run, number, chunk(["a@example.org"]))
    ledger.close_source(run, number, digest="content")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("importer.ledger.repeats.Deduplicator.take_over", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ledger.seal(run)
    assert len(rows(ledger, old)) == 1
    assert ledger.run(run.id).state is RunState.PLANNING


def contents(ledger: Ledger) -> list[str]:
    """Every table's rows; leases aside, which follow the locks."""
    tables = [one.split()[2] for one in TABLES if one.startswith("CREATE TABLE")]
    return [
        f"{table} {row}"
        for table in tables
        if table != "lease"
        for row in ledger._db.rows(f"SELECT * FROM {table}")  # noqa: S608  # the names are the room's own
    ]
