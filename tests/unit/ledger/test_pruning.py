"""Old runs are forgotten, and what they sent is never sent again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from importer.ledger.ledger import Ledger
from importer.model import Outcome, Run, RunState, State
from importer.pipeline import prune
from tests.support import program
from tests.support.ledgers import address, chunk, open_ledger, planned, released

pytestmark = pytest.mark.usefixtures("each_database")

NEVER = float("inf")


def answered(ledger: Ledger, run: Run, *states: State) -> Run:
    """Rows of the run as delivery leaves them, one state each."""
    queue = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=1000)]
    ledger.commit([], queue)
    outcomes = [
        Outcome(row_id, state, 1, 200, "", "words", 1.0, 0.1) for row_id, state in zip(queue, states, strict=True)
    ]
    ledger.commit(outcomes, [])
    return ledger.set_state(released(ledger, run), RunState.FINISHED)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(tmp_path, account="default", endpoint="sandbox")


def test_the_same_content_is_not_sent_again(ledger: Ledger) -> None:
    """A row that was refused may be, as it may without pruning."""
    rows = chunk(["a@example.com", "b@example.com"])
    first = answered(ledger, planned(ledger, rows), State.SENT, State.REFUSED)
    prune.forget(ledger, prune.choose(ledger, NEVER).runs)
    again = ledger.counts(planned(ledger, rows))
    assert (again[State.DUPLICATE], again[State.PENDING]) == (1, 1)
    assert ledger.run(first.id).state is RunState.PRUNED


def test_the_same_key_is_not_sent_again(ledger: Ledger) -> None:
    answered(ledger, planned(ledger, chunk(["a@example.com"], keys=["k1"])), State.SENT)
    prune.forget(ledger, prune.choose(ledger, NEVER).runs)
    other = planned(ledger, chunk(["a@example.com", "d@example.com"], keys=["k1", "k2"]), digest="other content")
    assert (ledger.counts(other)[State.DUPLICATE], ledger.counts(other)[State.PENDING]) == (1, 1)


def test_the_books_remain(ledger: Ledger) -> None:
    run = answered(ledger, planned(ledger, chunk(["a@example.com", "b@example.com"])), State.SENT, State.REFUSED)
    before = ledger.counts(run)
    prune.forget(ledger, [run])
    assert ledger.counts(run) == before
    assert ledger.counts(run).balanced


def test_rows_in_doubt_or_pending_are_kept(ledger: Ledger) -> None:
    doubtful = answered(ledger, planned(ledger, chunk(["a@example.com"])), State.IN_DOUBT)
    waiting = released(ledger, planned(ledger, chunk(["b@example.com"]), digest="other"))
    choice = prune.choose(ledger, NEVER)
    assert choice.runs == ()
    assert {run.id for run in choice.kept} == {doubtful.id, waiting.id}


def test_a_run_that_is_not_old_is_kept(ledger: Ledger) -> None:
    run = answered(ledger, planned(ledger, chunk(["a@example.com"])), State.SENT)
    assert run.finished_at
    assert prune.choose(ledger, run.finished_at - 1).runs == ()
    assert len(prune.choose(ledger, run.finished_at + 1).runs) == 1


@pytest.fixture
def importer(ledger: Ledger) -> Callable[..., program.Outcome]:
    return lambda *words: program.importer(*words, "--sandbox", "--ledger", address(ledger))


def test_the_command_says_what_it_does(ledger: Ledger, importer: Callable[..., program.Outcome]) -> None:
    run = answered(ledger, planned(ledger, chunk(["a@example.com", "b@example.com"])), State.SENT, State.REFUSED)
    outcome = importer("prune", "--older-than", "0s")
    assert outcome.exit_code == 2
    assert "error: prune asks, and there is no terminal to ask on" in outcome.stderr
    assert importer("prune", "--older-than", "0s", "--dry-run").exit_code == 0
    assert ledger.run(run.id).state is RunState.FINISHED

    outcome = importer("prune", "--older-than", "0s", "--yes")
    assert "1 run with 2 rows to be forgotten" in outcome.stderr
    assert "1 of them were refused or failed, and cannot be retried then" in outcome.stderr
    assert "1 run forgotten, " in outcome.stderr

    assert "pruned" in importer("runs").stdout
    for words in (("report", run.id), ("retry", run.id), ("resume", run.id)):
        outcome = importer(*words)
        assert outcome.exit_code == 2
        assert f"error: run {run.id} was pruned" in outcome.stderr
    assert "no run is old enough" in importer("prune", "--older-than", "0s").stderr
