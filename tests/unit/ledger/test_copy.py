"""`importer ledger copy`: the same ledger in another database, and nothing is sent twice by that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from msgspec.structs import replace

from importer.errors import LedgerError, UsageError
from importer.ledger.copy import NAMES, copy_ledger
from importer.ledger.ledger import Ledger
from importer.ledger.location import LedgerLocation
from importer.model import Outcome, Run, State
from tests.support import program
from tests.support.ledgers import chunk, new_run, planned, released
from tests.support.postgres import Server

REASONS = pa.table({"row": [1], "code": ["currency.retired"], "field": ["value"], "value": ["LTL"]})
ROWS = chunk(["a@example.org", "b@example.org", "c@example.org"], keys=["1", "2", None], places=[3, 2, 1])


@pytest.fixture(params=["to PostgreSQL", "to SQLite"])
def way(
    request: pytest.FixtureRequest, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[LedgerLocation, LedgerLocation]]:
    """From where, and to where."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    used = postgres.database()
    ends = (
        (tmp_path / "ledger.db", postgres.empty()) if request.param == "to PostgreSQL" else (used, tmp_path / "new.db")
    )
    yield ends
    postgres.release(used)


def opened(location: LedgerLocation) -> Ledger:
    return Ledger(location, account="default", endpoint="sandbox")


def filled(location: LedgerLocation) -> Run:
    """A run of three rows, one of them sent."""
    with opened(location) as ledger:
        run = planned(ledger, replace(ROWS, reasons=REASONS))
        (claim,) = ledger.commit([], [ledger.queue(run, after=None, count=1)[0][1]])
        ledger.commit([Outcome(claim.id, State.SENT, 1, 200, "", "", 1.5, 0.1)], [])
        return released(ledger, run)


def told(location: LedgerLocation, run: Run) -> list[object]:
    with opened(location) as ledger:
        (batch,) = ledger.batches(ledger.run(run.id), raw_rows=True)
        queue = ledger.queue(run, after=None, count=9)
        return [batch.table.to_pylist(), batch.reasons.to_pylist(), queue, ledger.sources(run)]


def test_everything_is_there_and_goes_on(way: tuple[LedgerLocation, LedgerLocation]) -> None:
    source, target = way
    run = filled(source)
    assert copy_ledger(source, target) == (1, 3)
    assert told(target, run) == told(source, run)
    with opened(target) as ledger:
        assert [claim.body for claim in ledger.commit([], [ledger.queue(run, after=None, count=1)[0][1]])] == [b"2"]
        again = planned(ledger, ROWS)
        assert again.no > run.no
        assert ledger.counts(again)[State.DUPLICATE] == 2, "what was sent, and what may have been"


def test_a_ledger_that_is_not_empty_is_left_alone(way: tuple[LedgerLocation, LedgerLocation]) -> None:
    source, target = way
    filled(source)
    filled(target)
    with pytest.raises(UsageError, match="is not empty"):
        copy_ledger(source, target)


def test_a_ledger_in_use_is_not_copied(way: tuple[LedgerLocation, LedgerLocation]) -> None:
    source, target = way
    filled(source)
    with opened(source) as ledger:
        run = new_run(ledger)
        with pytest.raises(UsageError, match=f"run {run.id} is being worked on"):
            copy_ledger(source, target)


def test_a_copy_that_is_interrupted_leaves_nothing(
    way: tuple[LedgerLocation, LedgerLocation], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = way
    run = filled(source)
    with monkeypatch.context() as patch:
        patch.setattr("importer.ledger.copy.NAMES", (*NAMES, "nonsense"))
        with pytest.raises(LedgerError, match="cannot be read to its end"):
            copy_ledger(source, target)
    assert copy_ledger(source, target) == (1, 3)
    assert told(target, run) == told(source, run)


def test_the_command_says_what_comes_next(tmp_path: Path) -> None:
    filled(tmp_path / "ledger.db")
    done = program.importer("ledger", "copy", str(tmp_path / "ledger.db"), str(tmp_path / "new.db"))
    assert done.exit_code == 0
    assert f"1 run with 3 rows copied from {tmp_path / 'ledger.db'} to {tmp_path / 'new.db'}" in done.stderr
    assert "set IMPORTER_LEDGER to the new ledger everywhere, and put the old one away" in done.stderr
    missing = program.importer("ledger", "copy", str(tmp_path / "nothing.db"), str(tmp_path / "other.db"))
    assert missing.exit_code == 2
    assert f"there is no ledger {tmp_path / 'nothing.db'}" in missing.stderr
