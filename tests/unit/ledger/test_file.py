"""The ledger's file: who may read it, who may use it at once, and what users are told when they cannot."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from importer.errors import DiskFullError, ExitCode, LedgerError
from importer.ledger import sqlite
from importer.ledger.database import Database
from importer.ledger.ledger import Ledger
from importer.ledger.sqlite import SqliteDialect
from importer.ledger.tables import VERSION
from importer.model import State
from tests.support.ledgers import add_chunk, chunk, new_run, open_ledger, path_of, planned

ROOT = Path(__file__).parents[3]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opening(path: Path) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        Ledger(path, account="a", endpoint="e")
    return caught.value


def test_everything_it_writes_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask: the ledger, its side files, the locks, and the directory if it had to be made."""
    before = os.umask(0)
    try:
        with open_ledger(tmp_path / "state" / "importer") as ledger:
            planned(ledger, chunk(["a@example.org"]))
            modes = {path.name: mode(path) for path in path_of(ledger).parent.rglob("*") if path.is_file()}
            locks = mode(path_of(ledger).with_name("ledger.db.locks"))
    finally:
        os.umask(before)
    assert {"ledger.db", "ledger.db-wal", "ledger.db-shm"} < set(modes)
    assert set(modes.values()) == {0o600}
    assert (locks, mode(tmp_path / "state" / "importer")) == (0o700, 0o700)


def test_a_path_may_hold_blanks_and_signs_that_mean_something_in_a_url(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "my état?mode=ro#1 %41") as ledger:
        run = planned(ledger, chunk(["a@example.org"]))
    with open_ledger(tmp_path / "my état?mode=ro#1 %41") as ledger:
        assert ledger.counts(run)[State.PENDING] == 1


def test_what_is_committed_waits_for_the_disk(tmp_path: Path) -> None:
    """WAL with synchronous=FULL: a power cut loses no acknowledged outcome."""
    with open_ledger(tmp_path) as ledger:
        assert [ledger._db.value(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")] == ["wal", 2]


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        assert ledger._db.value("PRAGMA secure_delete") == 1


def test_a_ledger_that_others_could_read_is_made_private_and_said_to_be(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    path = tmp_path / "ledger.db"
    path.chmod(0o644)
    with open_ledger(tmp_path) as ledger:
        assert ledger.notes == [f"the ledger {path} was readable by others; it is private now"]
    assert mode(path) == 0o600
    with open_ledger(tmp_path) as ledger:
        assert ledger.notes == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(b"email,total\n" * 200)
    error = opening(path)
    assert error.message == f"{path} is not a readable ledger (file is not a database)"
    assert error.hint == "restore it from a backup; a new ledger would know nothing of earlier deliveries"


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE visits (url TEXT)")
    other.close()
    error = opening(path)
    assert error.message == f"{path} is a database of another program"
    assert error.hint == "name another file with --ledger FILE"


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 7")
    other.close()
    error = opening(path)
    assert error.message == f"{path} was written by a newer version of importer (ledger version 7, not {VERSION})"
    assert error.hint == "use the importer that wrote it"


def test_a_directory_in_its_place_is_named(tmp_path: Path) -> None:
    assert opening(tmp_path).message == f"the ledger {tmp_path} cannot be used: Is a directory"


def test_a_file_in_its_directorys_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    path = tmp_path / "state" / "ledger.db"
    error = opening(path)
    assert error.message == f"the ledger {path} cannot be used: Not a directory"
    assert error.hint == "check the path, its owner and the disk"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_ledger_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    path = tmp_path / "ledger.db"
    path.chmod(0o400)
    assert opening(path).message == f"the ledger {path} cannot be used: Permission denied"


def test_another_process_that_holds_it_too_long_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with open_ledger(tmp_path) as ledger:
        other = Database(SqliteDialect(path_of(ledger)))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError) as caught:
            new_run(ledger)
        assert caught.value.message.startswith(
            f"the ledger {path_of(ledger)} is locked by another process for more than"
        )
        assert caught.value.hint == "wait until the other importer has finished, then run the same command again"
        other.execute("ROLLBACK")
        other.close()
        assert new_run(ledger).id, "and goes on as soon as it can"


def test_a_ledger_in_use_can_be_opened_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`importer runs` waits for nobody, not even while another importer seals a plan."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk(["a@example.org"]))
        with ledger._db.transaction(), open_ledger(tmp_path) as other:
            assert other.run(run.id) == run
            assert other.counts(run)[State.PENDING] == 1
            assert len(list(other.batches(run))) == 1


def test_a_report_that_is_read_slowly_keeps_nobody_from_writing(tmp_path: Path) -> None:
    """Between two batches no read transaction is open, which would let the write-ahead log grow without end."""
    with open_ledger(tmp_path) as ledger, open_ledger(tmp_path) as other:
        run = planned(ledger, chunk(["a@example.org"]), chunk(["b@example.org"], first_row=2))
        batches = other.batches(run)
        next(batches)
        new_run(ledger)
        ((busy, _, _),) = ledger._db.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not busy
        assert len(list(batches)) == 1


def test_importers_may_open_a_new_ledger_at_the_same_moment(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from importer.ledger.ledger import Ledger

begin, end = os.pipe()
for _ in range(4):
    if not os.fork():
        os.close(end)
        os.read(begin, 1)  # until it is closed
        with Ledger(Path(sys.argv[1]), account="a", endpoint="e") as ledger:
            ledger.runs()
        sys.exit()
os.close(end)
print([os.wait()[1] for _ in range(4)])
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "new" / "ledger.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "[0, 0, 0, 0]\n"


def test_a_full_disk_is_told_of_and_loses_nothing(tmp_path: Path) -> None:
    """SQLite's own limit on pages gives the very error that a full disk does."""
    with open_ledger(tmp_path) as ledger:
        run = new_run(ledger)
        number = ledger.add_source(run, chunk([]).source)
        add_chunk(ledger, run, number, chunk(["a@example.org"]))
        pages = ledger._db.value("PRAGMA page_count")
        ledger._db.query(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(DiskFullError) as caught:
            add_chunk(ledger, run, number, chunk([f"{n}@example.org" for n in range(5_000)], first_row=2))
        assert caught.value.message == (
            f"no room left on the disk of the ledger {path_of(ledger)}; what was acknowledged before is safe"
        )
        assert caught.value.hint == "make room, or see to the disk, then `importer resume`"
        assert caught.value.exit_code is ExitCode.STOPPED
        assert ledger.counts(run).read == 1
        assert ledger.counts(run).balanced


def test_a_limit_on_file_sizes_is_told_like_a_full_disk(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk(["a@example.org"]))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = path_of(ledger).with_name("ledger.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(DiskFullError) as caught:
                ledger.commit([], [row_id for _, row_id, _ in ledger.queue(run, after=None, count=1)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert caught.value.message.startswith("the disk refuses (disk I/O error)")
        assert ledger.has_pending(run), "the claim was not acknowledged, and does not hold"


def test_two_threads_take_turns(tmp_path: Path) -> None:
    """Delivery's journal has a thread of its own: what another thread asks meanwhile sees whole transactions only."""
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk(["a@example.org"]))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(ledger.counts(run).read))
        with ledger._db.transaction():
            ledger._db.execute("UPDATE source SET rows = 99")
            reader.start()
            reader.join(0.05)
            assert not seen
            ledger._db.execute("UPDATE source SET rows = 1")
        reader.join()
        assert seen == [1]


def test_whatever_interrupts_a_transaction_nothing_of_it_is_kept(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:

        def interrupted() -> None:
            with ledger._db.transaction():
                ledger._db.execute("INSERT INTO scope (account, endpoint) VALUES ('x', 'y')")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert ledger._db.value("SELECT COUNT(*) FROM scope") == 0
        assert new_run(ledger).id
