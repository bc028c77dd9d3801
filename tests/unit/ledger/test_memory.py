"""What the ledger remembers across runs, and between runs that are planned side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from importer.ledger import tables
from importer.ledger.ledger import Ledger
from importer.mapping.load import load
from importer.model import Outcome, Pause, PauseKind, Run, RunState, State
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_stored
from importer.plan import plan
from tests.support.ledgers import open_ledger

pytestmark = pytest.mark.usefixtures("each_database")

MAPPING = "version: 1\n{key}subscriber: {{id: id}}\ntype: {{const: visit}}\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


@pytest.fixture
def beside(tmp_path: Path, ledger: Ledger) -> Iterator[Ledger]:
    """The same ledger as another process has it open; both begin their runs before either has read its file."""
    with open_ledger(tmp_path) as another:
        yield another


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "visits.csv"
    path.write_text("id,key\n1,x\n2,y\n3,z\n", encoding="utf-8")
    return path


def begin(ledger: Ledger) -> Run:
    return ledger.create_run(mapping_name="m", mapping_text="", mapping_digest="d", options={})


def read(ledger: Ledger, run: Run, export: Path, *, keyed: bool = False) -> Run:
    mapping = export.with_suffix(".yaml")
    mapping.write_text(MAPPING.format(key="key: key\n" if keyed else ""), encoding="utf-8")
    wishes = ReadOptions(strict=False, raw_rows=True)
    found = prepare_stored((str(export),), load(str(mapping)).mapping, wishes, lambda _: None, ledger.hasher)
    plan(ledger, run, found, lambda _: None)
    return run


def end(ledger: Ledger, run: Run, state: State, count: int = 9) -> None:
    """Claim so many rows and let them end like this."""
    claims = ledger.commit((), [row_id for _, row_id, _ in ledger.queue(run, after=None, count=count)])
    ledger.commit([Outcome(claim.id, state, 1, 200, "", "", 0.0, 0.1) for claim in claims], ())


def states(ledger: Ledger, run: Run) -> dict[State, int]:
    return {state: count for state, count in ledger.counts(run).by_state.items() if count}


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("first_sealed", [0, 1])
def test_of_two_runs_planned_side_by_side_only_one_sends_a_row(
    ledger: Ledger, beside: Ledger, export: Path, keyed: bool, first_sealed: int
) -> None:
    planned = [(each, read(each, begin(each), export, keyed=keyed)) for each in (ledger, beside)]
    for each, run in (planned[first_sealed], planned[1 - first_sealed]):
        each.seal(run)
    assert states(*planned[first_sealed]) == {State.PENDING: 3}
    assert states(*planned[1 - first_sealed]) == {State.DUPLICATE: 3}


def test_a_row_that_waits_in_a_dead_run_is_taken_over(ledger: Ledger, export: Path) -> None:
    dead = ledger.seal(read(ledger, begin(ledger), export))
    end(ledger, dead, State.SENT, 1)
    end(ledger, dead, State.IN_DOUBT, 1)
    ledger.lock(dead).release()
    after = ledger.seal(read(ledger, begin(ledger), export))
    assert states(ledger, after) == {State.PENDING: 1, State.DUPLICATE: 2}
    assert states(ledger, dead) == {State.SENT: 1, State.IN_DOUBT: 1, State.DUPLICATE: 1}
    assert ledger.run(dead.id).state is RunState.SUPERSEDED


def test_a_sealed_run_cannot_be_forgotten_with_the_rows_that_it_took_over(ledger: Ledger, export: Path) -> None:
    """Whoever still has the picture of a run in planning may ask to forget it: what counts is what it is now."""
    planning = read(ledger, begin(ledger), export)
    assert ledger.seal(planning).state is RunState.READY
    ledger.discard(planning)
    assert states(ledger, planning) == {State.PENDING: 3}


def test_a_run_interrupted_in_planning_is_forgotten_whole(ledger: Ledger, export: Path) -> None:
    planning = read(ledger, begin(ledger), export, keyed=True)
    ledger.discard(planning)
    assert ledger.runs() == []
    assert states(ledger, ledger.seal(read(ledger, begin(ledger), export, keyed=True))) == {State.PENDING: 3}


def test_a_key_stays_delivered_when_a_run_with_again_is_refused(ledger: Ledger, export: Path) -> None:
    end(ledger, ledger.seal(read(ledger, begin(ledger), export, keyed=True)), State.SENT)
    again = ledger.seal(read(ledger, begin(ledger), export, keyed=True), again=True)
    assert states(ledger, again) == {State.PENDING: 3}
    end(ledger, again, State.REFUSED)
    export.write_text("id,key\n9,new\n1,x\n2,y\n", encoding="utf-8")
    third = ledger.seal(read(ledger, begin(ledger), export, keyed=True))
    assert states(ledger, third) == {State.PENDING: 1, State.DUPLICATE: 2}


def test_rows_put_back_make_a_finished_run_one_to_resume_in_the_same_moment(ledger: Ledger, export: Path) -> None:
    run = ledger.seal(read(ledger, begin(ledger), export))
    end(ledger, run, State.IN_DOUBT, 1)
    end(ledger, run, State.REFUSED, 1)
    end(ledger, run, State.SENT)
    ledger.set_state(run, RunState.FINISHED)
    assert ledger.resolve(run, State.PENDING) == 1
    assert ledger.run(run.id).state is RunState.STOPPED
    end(ledger, run, State.IN_DOUBT)
    assert ledger.resolve(run, State.SENT) == 1
    assert ledger.run(run.id).state is RunState.FINISHED
    assert ledger.retry(run) == (1, 0)
    assert ledger.run(run.id).state is RunState.STOPPED


def test_others_write_between_the_steps_of_a_seal(
    ledger: Ledger, beside: Ledger, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a plan is: before each step of the seal another importer commits, and never has to wait."""
    monkeypatch.setattr(tables, "STEP", 2)
    export.write_text("id,key\n" + "".join(f"{n},k{n}\n" for n in range(9)), encoding="utf-8")
    read(ledger, run := begin(ledger), export, keyed=True)
    patience = "SET lock_timeout = 50" if beside._db.dialect.shared else "PRAGMA busy_timeout = 50"
    beside._db.run(patience)
    other = begin(beside)
    steps, transaction = [], ledger._db.transaction

    def counted(*, private: bool = False) -> AbstractContextManager[None]:
        steps.append(private)
        beside.note_pause(other, Pause(PauseKind.LIMIT, float(len(steps)), 0.0))
        return transaction(private=private)

    monkeypatch.setattr(ledger._db, "transaction", counted)
    ledger.seal(run)
    assert steps.count(True) >= 4, "only the last step waits for the disk"
    assert steps.count(False) == 1
    assert states(ledger, run) == {State.PENDING: 9}
