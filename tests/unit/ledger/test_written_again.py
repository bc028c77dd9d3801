"""A chunk may be written by any process, again and late: the plan is as if it had been written once, or not at all."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from importer.errors import LedgerError, UsageError
from importer.ledger import planning
from importer.ledger.database import Database
from importer.ledger.ledger import Ledger, dialect_of
from importer.ledger.location import PostgresLocation
from importer.ledger.planning import Place, store, write, write_there
from importer.model import Outcome, Run, State, StoredChunk, WrittenChunk
from tests.support.ledgers import SOURCE, chunk, lose_one_commit, new_run, open_ledger
from tests.support.postgres import Server

A, B, C = "a@example.org", "b@example.org", "c@example.org"


@pytest.fixture
def location(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresLocation]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(planning, "_here", threading.local())
    location = postgres.database()
    yield location
    with suppress(AttributeError):
        planning._here.database.close()
    postgres.release(location)


@pytest.fixture
def ledger(location: PostgresLocation) -> Iterator[Ledger]:
    with Ledger(location, account="a", endpoint="e") as ledger:
        yield ledger


def begun(ledger: Ledger) -> tuple[Run, int, int]:
    """A run with a source; its number, and the id of its first row."""
    run = new_run(ledger)
    number = ledger.add_source(run, SOURCE)
    return run, number, int(ledger.database.value("SELECT first_id FROM source WHERE no = $1", number))


def stored(ledger: Ledger, *emails: str | None, first_row: int = 1, **more: Any) -> StoredChunk:
    return store(chunk(emails, first_row=first_row, **more), ledger.hasher)


def found(ledger: Ledger) -> tuple[int, int]:
    """How many chunks and rows there are."""
    return ledger.database.rows("SELECT (SELECT COUNT(*) FROM chunk), (SELECT COUNT(*) FROM row)")[0]


def states(ledger: Ledger, run: Run) -> list[str]:
    return [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]


@pytest.mark.usefixtures("each_database")
class TestOnBothDatabases:
    def test_what_comes_again_changes_nothing_and_says_the_same(self, tmp_path: Path) -> None:
        with open_ledger(tmp_path) as ledger:
            _, number, first = begun(ledger)
            one = stored(ledger, A, None, phones=["+37060000001", None], ids=["7", None])
            made = write(ledger.database, number, first, one)
            again = write(ledger.database, number, first, one)
            assert (again.count, again.ties.tolist(), again.first_body) == (made.count, made.ties.tolist(), b"1")
            assert made.ties.shape == (2, 2)
            assert found(ledger) == (1, 2)

    def test_a_sealed_plan_stays_as_it_is(self, tmp_path: Path) -> None:
        """Rows that were sent meanwhile stay sent; a part that the plan has not is refused."""
        with open_ledger(tmp_path) as ledger:
            run, number, first = begun(ledger)
            late = stored(ledger, A, B)
            ledger.add_chunk(run, number, late)
            ledger.close_source(run, number, digest="d")
            run = ledger.seal(run)
            ledger.commit([], [first])
            ledger.commit([Outcome(first, State.SENT, 1, 200, "", "", 1.0, 0.1)], [])
            write(ledger.database, number, first, late)
            assert states(ledger, run) == ["sent", "pending"]
            with pytest.raises(LedgerError, match="has given up the run"):
                write(ledger.database, number, first + 2, stored(ledger, C, first_row=3))
            assert found(ledger) == (1, 2)

    def test_parts_behind_a_broken_one_are_no_part_of_the_plan(self, tmp_path: Path) -> None:
        """Neither those that workers wrote before it was known, nor those that come later."""
        with open_ledger(tmp_path) as ledger:
            run, number, first = begun(ledger)
            ledger.add_chunk(run, number, stored(ledger, A))
            write(ledger.database, number, first + 4, stored(ledger, B, first_row=5))
            ledger.close_source(run, number, digest="", error="is cut off")
            with pytest.raises(LedgerError, match="has given up the run"):
                write(ledger.database, number, first + 5, stored(ledger, C, first_row=6))
            second = ledger.add_source(run, SOURCE)
            ledger.add_chunk(run, second, stored(ledger, C))
            ledger.close_source(run, second, digest="d")
            run = ledger.seal(run)
            assert states(ledger, run) == ["invalid", "pending"]
            assert ledger.counts(run).balanced

    def test_of_a_run_that_was_discarded_nothing_comes_back(self, tmp_path: Path) -> None:
        with open_ledger(tmp_path) as ledger:
            run, number, first = begun(ledger)
            late = stored(ledger, A)
            ledger.add_chunk(run, number, late)
            ledger.discard(run)
            with pytest.raises(LedgerError, match="has given up the run"):
                write(ledger.database, number, first, late)
            assert found(ledger) == (0, 0)


# Workers


class Slow(Database):
    """A worker's connection that waits before it commits."""

    def __init__(self, location: PostgresLocation, *, dies: bool = False) -> None:
        super().__init__(dialect_of(location))
        self.written, self.go_on, self.dies = threading.Event(), threading.Event(), dies

    def execute(self, sql: str, *values: Any, table: Any = None) -> int:
        if sql == "COMMIT":
            self.written.set()
            self.go_on.wait()
            if self.dies:
                raise RuntimeError
        return super().execute(sql, *values, table=table)


@contextmanager
def writing(location: PostgresLocation, number: int, first: int, one: StoredChunk, **more: Any) -> Iterator[None]:
    """Another worker has written a chunk and commits it, or dies, when the block is left."""
    other = Slow(location, **more)

    def work() -> None:
        with suppress(RuntimeError):
            write(other, number, first, one)

    thread = threading.Thread(target=work)
    thread.start()
    other.written.wait()
    try:
        yield
    finally:
        other.go_on.set()
        thread.join()
        other.close()


def waiting(location: PostgresLocation, statement: str, work: Callable[[], object]) -> threading.Thread:
    """Begin some work on a thread, until the server says that it waits for another transaction."""
    thread = threading.Thread(target=work)
    thread.start()
    database = Database(dialect_of(location))
    until = time.monotonic() + 20
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND starts_with(query, $1)"
    while not database.value(waits, statement):
        assert time.monotonic() < until
        time.sleep(0.005)  # the server's own time
    database.close()
    return thread


@pytest.mark.parametrize("dies", [False, True])
def test_two_workers_with_the_same_part_write_it_once(ledger: Ledger, location: PostgresLocation, dies: bool) -> None:
    """The second one waits for the first, which may die before its commit."""
    run, number, first = begun(ledger)
    one, made = stored(ledger, A, B), list[WrittenChunk]()
    with writing(location, number, first, one, dies=dies):
        place = Place(location, number, first)
        thread = waiting(location, "INSERT INTO chunk", lambda: made.append(write_there(place, one)))
    thread.join()
    ledger.add_chunk(run, number, made[0])
    ledger.close_source(run, number, digest="d")
    assert states(ledger, ledger.seal(run)) == ["pending", "pending"]
    assert found(ledger) == (1, 2)


def test_who_discards_a_run_waits_for_a_worker_that_writes(ledger: Ledger, location: PostgresLocation) -> None:
    run, number, first = begun(ledger)
    with writing(location, number, first, stored(ledger, A, B)):
        thread = waiting(location, "UPDATE run", lambda: ledger.discard(run))
    thread.join()
    assert found(ledger) == (0, 0)
    assert not ledger.runs()


def test_a_part_that_is_written_while_its_source_breaks_off_is_not_kept(
    ledger: Ledger, location: PostgresLocation
) -> None:
    run, number, first = begun(ledger)
    ledger.add_chunk(run, number, stored(ledger, A))
    with writing(location, number, first + 1, stored(ledger, B, first_row=2)):
        thread = waiting(
            location, "UPDATE source", lambda: ledger.close_source(run, number, digest="", error="is cut off")
        )
    thread.join()
    assert states(ledger, ledger.seal(run)) == ["invalid"]
    assert found(ledger) == (1, 1)


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_made_again(
    ledger: Ledger, location: PostgresLocation, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    run, number, first = begun(ledger)
    lost = lose_one_commit(monkeypatch, committed=committed)
    ledger.add_chunk(run, number, write_there(Place(location, number, first), stored(ledger, A, B)))
    assert lost
    assert found(ledger) == (1, 2)


def test_a_connection_that_the_server_has_ended_is_made_again(ledger: Ledger, location: PostgresLocation) -> None:
    """As it does when a worker has had nothing to do for a while."""
    _, number, first = begun(ledger)
    write_there(Place(location, number, first), stored(ledger, A))
    assert planning._here.database.value("SELECT current_setting('idle_session_timeout')") == "1min"
    own = planning._here.database.value("SELECT pg_backend_pid()")
    ledger.database.query(f"SELECT pg_terminate_backend({own})")
    write_there(Place(location, number, first), stored(ledger, B, first_row=2))
    assert found(ledger) == (2, 2)


def test_a_worker_that_cannot_reach_the_ledger_says_so(ledger: Ledger, location: PostgresLocation) -> None:
    _, number, first = begun(ledger)
    nowhere = PostgresLocation("postgresql://importer:geheim@127.0.0.1:9/x")
    with pytest.raises(
        LedgerError, match=r"a worker on .* cannot write into the ledger: .* cannot be reached"
    ) as caught:
        write_there(Place(nowhere, number, first), stored(ledger, A))
    assert "geheim" not in str(caught.value)


def test_a_worker_without_the_driver_names_the_extra(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    _, number, first = begun(ledger)
    one = stored(ledger, A)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    unseen = PostgresLocation("postgresql://importer@127.0.0.1:9/x")
    with pytest.raises(UsageError, match=r"a worker on .* cannot write into the ledger") as caught:
        write_there(Place(unseen, number, first), one)
    assert caught.value.hint == "pip install 'sender-importer[postgres]'"
