"""What is PostgreSQL's own: reaching it, its outages and refusals, and what is said of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from importer.errors import DiskFullError, ExitCode, LedgerError, UsageError
from importer.ledger import postgres as dialect
from importer.ledger import queue
from importer.ledger.database import ConnectionLostError, Database
from importer.ledger.ledger import Ledger, dialect_of
from importer.ledger.location import PostgresLocation, parse_location
from importer.ledger.locks import Leases
from importer.ledger.tables import VERSION
from importer.model import Outcome, Run, RunState, State
from tests.support.ledgers import chunk, lose_one_commit, new_run, planned, released
from tests.support.postgres import Server
from tests.torture.servers import Proxy

EMAILS = ["a@example.org", "b@example.org", "c@example.org"]


@pytest.fixture
def location(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresLocation]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    location = postgres.database()
    yield location
    postgres.release(location)


@pytest.fixture
def ledger(location: PostgresLocation) -> Iterator[Ledger]:
    with Ledger(location, account="a", endpoint="e") as ledger:
        yield ledger


def rows(ledger: Ledger, run: Run) -> list[int]:
    return [row_id for _, row_id, _ in ledger.queue(run, after=None, count=9)]


def states(ledger: Ledger, run: Run) -> list[str]:
    return [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]


def sent(row_id: int) -> Outcome:
    return Outcome(row_id, State.SENT, 1, 200, "", "", 1.0, 0.1)


# Where it is


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://ann:geheim@db:5433/x?sslmode=require", "postgresql://ann@db:5433/x?sslmode=require"),
        ("postgres://ann:a%40b@db/x", "postgres://ann@db/x"),
        ("postgresql:///x?password=geheim&host=/run", "postgresql:///x?host=/run"),
        ("postgresql://db/x", "postgresql://db/x"),
    ],
)
def test_no_password_is_ever_shown(uri: str, shown: str) -> None:
    location = parse_location(uri)
    assert isinstance(location, PostgresLocation)
    assert str(location) == shown
    assert shown in repr(location)
    assert location.has_password == (uri != shown)
    for secret in location.secrets():
        assert secret not in location.redacted(f"connection failed: {secret} is wrong")


def test_a_path_is_a_file_and_another_kind_of_database_is_refused() -> None:
    assert parse_location("state/ledger.db") == Path("state/ledger.db")
    with pytest.raises(UsageError, match="a ledger is a file or a PostgreSQL database, not mysql://…"):
        parse_location("mysql://h/x")


def test_a_server_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(LedgerError) as caught:
        Ledger(PostgresLocation("postgresql://ann:geheim@localhost:1/x"), account="a", endpoint="e")
    assert caught.value.message.startswith("the ledger postgresql://ann@localhost:1/x cannot be reached: ")
    assert caught.value.hint == "check that the database is up, then run the same command again"
    assert "geheim" not in str(caught.value)


def test_a_missing_driver_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "adbc_driver_postgresql", None)
    with pytest.raises(UsageError) as caught:
        Ledger(PostgresLocation("postgresql://db/x"), account="a", endpoint="e")
    assert caught.value.message == "the ledger postgresql://db/x needs PostgreSQL's driver, which is not installed"
    assert caught.value.hint == "pip install 'sender-importer[postgres]'"


# Its tables


def test_several_importers_may_make_the_tables_at_the_same_moment(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    location = postgres.empty()
    trouble: list[BaseException] = []

    def begin() -> None:
        try:
            Ledger(location, account="a", endpoint="e").close()
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test tells
            trouble.append(error)

    threads = [threading.Thread(target=begin) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []


def test_tables_of_another_program_and_of_a_newer_version_are_left_alone(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    location = postgres.empty()
    name = location.uri.partition("?")[0].rpartition("/")[2]
    postgres.execute("CREATE SCHEMA importer CREATE TABLE parcels (id INT)", name)
    with pytest.raises(LedgerError, match="is a database of another program"):
        Ledger(location, account="a", endpoint="e")
    postgres.execute("DROP SCHEMA importer CASCADE", name)
    Ledger(location, account="a", endpoint="e").close()
    postgres.execute("UPDATE importer.ledger SET version = 99", name)
    with pytest.raises(LedgerError, match=f"written by a newer version of importer .ledger version 99, not {VERSION}"):
        Ledger(location, account="a", endpoint="e")


def test_an_older_version_is_brought_up_to_date(postgres: Server, location: PostgresLocation) -> None:
    name = location.uri.partition("?")[0].rpartition("/")[2]
    postgres.execute("DROP TABLE importer.lease", name)
    postgres.execute("ALTER TABLE importer.source DROP COLUMN others; UPDATE importer.ledger SET version = 2", name)
    with Ledger(location, account="a", endpoint="e") as ledger:
        assert states(ledger, planned(ledger, chunk(EMAILS))) == ["pending"] * 3


def test_text_with_a_sign_that_it_cannot_store_is_kept_but_for_that(ledger: Ledger) -> None:
    run = planned(ledger, chunk(EMAILS[:2], keys=["a\0b", "c"], bodies=["x\0y", "z"]))
    (batch,) = ledger.batches(run)
    assert batch.table.column("key").to_pylist() == ["a\N{REPLACEMENT CHARACTER}b", "c"]
    assert [claim.body for claim in ledger.commit([], rows(ledger, run))] == [b"x\0y", b"z"]


def test_an_older_copy_in_its_place_is_noticed(ledger: Ledger, location: PostgresLocation) -> None:
    """On every machine that has used it since."""
    run = planned(ledger, chunk(EMAILS))
    ledger.commit([], rows(ledger, run)[:1])
    ledger._db.execute("UPDATE ledger SET generation = 0")
    with pytest.raises(LedgerError, match="it is older than when it was last used: an older copy is in its place"):
        Ledger(location, account="a", endpoint="e")


# Outages


def test_a_restart_in_the_midst_of_a_delivery_is_waited_for(
    postgres: Server, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(ledger, chunk(EMAILS))
    first, second, _ = rows(ledger, run)
    ledger.commit([], [first])
    postgres.stop()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            postgres.start()

    monkeypatch.setattr(queue, "time", SimpleNamespace(sleep=wait))
    claims = ledger.commit([sent(first)], [second])
    assert len(waits) == 2
    assert [one.id for one in claims] == [second]
    assert ledger.counts(run)[State.SENT] == 1
    assert ledger.lock(run).held
    assert ledger.sending_stops() == ""


def test_connections_that_are_refused_for_thirty_seconds_are_waited_for(
    postgres: Server, location: PostgresLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a standby takes over: the lease outlasts it, and what was claimed before is sent once."""
    passed = [0.0]
    name = location.uri.partition("?")[0].rpartition("/")[2]
    with Proxy(postgres.home / ".s.PGSQL.5432") as proxy:
        way = f"postgresql://importer@127.0.0.1:{proxy.port}/{name}?sslmode=disable&gssencmode=disable"
        through = PostgresLocation(way)

        def wait(seconds: float) -> None:
            passed[0] += seconds
            if passed[0] >= 30:
                proxy.mend()

        monkeypatch.setattr(queue, "time", SimpleNamespace(sleep=wait))
        monkeypatch.setattr(queue, "elapsed", lambda: passed[0])
        through.beside.parent.mkdir(parents=True, exist_ok=True)
        leases = Leases(lambda: Database(dialect_of(through)), through.beside, clock=lambda: passed[0])
        with Ledger(through, account="a", endpoint="e", leases=leases) as ledger:
            run = planned(ledger, chunk(EMAILS))
            first, second, _ = rows(ledger, run)
            ledger.commit([], [first])
            proxy.refuse()
            assert [one.id for one in ledger.commit([sent(first)], [second])] == [second]
            assert 30 <= passed[0] < 31
            assert ledger.sending_stops() == ""
            assert ledger.counts(run)[State.SENT] == 1


def test_an_outage_that_outlasts_patience_ends_the_delivery_and_nothing_is_lost(
    postgres: Server, ledger: Ledger, location: PostgresLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "RECONNECT_SECONDS", 0.1)
    run = planned(ledger, chunk(EMAILS))
    first, second, _ = rows(ledger, run)
    ledger.commit([], [first])
    postgres.stop()
    with pytest.raises(ConnectionLostError):
        ledger.commit([sent(first)], [second])
    postgres.start()
    released(ledger, run)
    with Ledger(location, account="a", endpoint="e") as again:
        assert again.lock(run).try_acquire()
        assert again.recover(run) == 1
        assert states(again, run) == ["in_doubt", "pending", "pending"]


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_made_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """Whether it had been made or not: each row is claimed once, and none is forgotten."""
    run = planned(ledger, chunk(EMAILS))
    lost = lose_one_commit(monkeypatch, committed=committed)
    wanted = rows(ledger, run)[:2]
    assert [one.id for one in ledger.commit([], wanted)] == wanted
    assert lost
    ledger.commit([sent(one) for one in wanted], [])
    assert states(ledger, run) == ["sent", "sent", "pending"]


def test_a_full_disk_is_said_and_can_be_resumed(ledger: Ledger) -> None:
    run = planned(ledger, chunk(EMAILS))
    ledger._db.execute(
        "CREATE FUNCTION importer.no_room() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''could not extend file'' USING ERRCODE = ''53100''; END'"
    )
    ledger._db.execute("CREATE TRIGGER no_room BEFORE UPDATE ON row EXECUTE FUNCTION importer.no_room()")
    try:
        with pytest.raises(DiskFullError) as caught:
            ledger.commit([], rows(ledger, run)[:1])
    finally:
        ledger._db.execute("DROP FUNCTION importer.no_room() CASCADE")
    assert caught.value.exit_code is ExitCode.STOPPED
    assert caught.value.message.startswith(f"no room left on the disk of the ledger {ledger.location};")
    assert len(ledger.commit([], rows(ledger, run)[:1])) == 1


def test_a_locked_table_is_said(location: PostgresLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "BUSY_SECONDS", 0.05)
    with Ledger(location, account="a", endpoint="e") as ledger, Ledger(location, account="b", endpoint="e") as other:
        with other._db.transaction():
            other._db.execute("LOCK TABLE run IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(LedgerError, match="is locked by another process for more than 0 seconds"):
                new_run(ledger)
        assert new_run(ledger).state is RunState.PLANNING


def test_an_importer_that_is_cut_off_in_the_midst_of_a_transaction_holds_up_others_for_a_while_only(
    location: PostgresLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(location, account="a", endpoint="e") as other:
        monkeypatch.setattr(dialect, "IDLE_SECONDS", 0.1)
        with Ledger(location, account="a", endpoint="e") as silent:
            for statement in silent._db.dialect.begin(silent._db, private=False):
                silent._db.run(statement)
            assert new_run(other).state is RunState.PLANNING
            with pytest.raises(ConnectionLostError):
                silent._db.execute("COMMIT")
            assert new_run(silent).state is RunState.PLANNING


# Grants


def test_a_role_sees_the_accounts_that_it_was_given_alone(postgres: Server, location: PostgresLocation) -> None:
    """By the statements of the page on operation."""
    page = (Path(__file__).parents[3] / "docs" / "operating.md").read_text(encoding="utf-8")
    statements = page.partition("```sql\n")[2].partition("```")[0]
    name = location.uri.partition("?")[0].rpartition("/")[2]
    with Ledger(location, account="shop-a", endpoint="e") as owner:
        theirs = planned(owner, chunk(EMAILS))
    with Ledger(location, account="shop-b", endpoint="e") as owner:
        planned(owner, chunk(EMAILS, keys=["1", "2", "3"]))
    postgres.execute(statements, name)
    try:
        limited = PostgresLocation(postgres.uri(name, user="agent_b"))
        with Ledger(limited, account="shop-b", endpoint="e") as ledger:
            assert {run.account for run in ledger.runs(everywhere=True)} == {"shop-b"}
            assert ledger._db.value("SELECT COUNT(*) FROM row") == 3
            run = planned(ledger, chunk(["d@example.org"], keys=["4"]), digest="new")
            ledger.commit([], rows(ledger, run))
            assert ledger.counts(run).balanced
        with Ledger(limited, account="shop-a", endpoint="e") as ledger:
            with pytest.raises(UsageError, match="there is no run"):
                ledger.run(theirs.id)
            with pytest.raises(LedgerError, match="row-level security"):
                new_run(ledger)
    finally:
        postgres.execute(
            "DROP OWNED BY agent_b; DROP ROLE agent_b; DROP TABLE importer.agent CASCADE;"
            " DO $$ DECLARE t TEXT; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'importer' LOOP"
            " EXECUTE 'ALTER TABLE importer.' || t || ' DISABLE ROW LEVEL SECURITY'; END LOOP; END $$",
            name,
        )
