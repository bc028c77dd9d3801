"""The ledger as a file: lost commits and damage are noticed, and a person can be forgotten."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from msgspec.structs import replace

from importer.errors import DiskFullError, LedgerError, UsageError
from importer.ledger import copy
from importer.ledger.ledger import Ledger
from importer.ledger.sqlite import size_of
from importer.model import Outcome, Run, RunState, State
from importer.pipeline import prune
from tests.support.ledgers import chunk, open_ledger, path_of, planned, released

PAGE = 16384
A, B = "a@example.org", "b@example.org"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as ledger:
        yield ledger


def states(ledger: Ledger, run: Run) -> list[str]:
    return [state for batch in ledger.batches(run) for state in batch.table.column("state").to_pylist()]


def send_next(ledger: Ledger, run: Run) -> None:
    """One row is claimed and accepted."""
    row_id = ledger.queue(run, after=None, count=1)[0][1]
    ledger.commit([], [row_id])
    ledger.commit([Outcome(row_id, State.SENT, 1, 200, "", "", 1.0, 0.1)], [])


# Lost commits


def test_what_was_planned_is_in_the_database_itself(ledger: Ledger, tmp_path: Path) -> None:
    """Whatever becomes of the write-ahead log."""
    run = planned(ledger, chunk([A, B]))
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(path_of(ledger), copy / "ledger.db")
    with open_ledger(copy) as other:
        assert other.run(run.id).state is RunState.READY
        assert states(other, run) == ["pending", "pending"]


def lose_log(ledger: Ledger, directory: Path) -> None:
    """A copy of a ledger in use, without its write-ahead log."""
    directory.mkdir()
    for name in ("ledger.db", "ledger.db.counter"):
        shutil.copy(path_of(ledger).with_name(name), directory / name)


def test_a_lost_write_ahead_log_is_noticed(ledger: Ledger, tmp_path: Path) -> None:
    """One event was sent, and the ledger's file does not know it: nothing is sent until somebody has decided."""
    run = planned(ledger, chunk([A, B]))
    send_next(ledger, run)
    lose_log(ledger, tmp_path / "copy")
    with pytest.raises(LedgerError) as caught:
        open_ledger(tmp_path / "copy")
    assert caught.value.message == (
        f"the ledger {tmp_path / 'copy' / 'ledger.db'} cannot be relied on: it is older than when it was last used: its"
        " write-ahead log, or a part of it, is lost, or an older copy is in its place; events that were sent since then"
        " are not in it, and would be sent again"
    )
    assert "importer doctor --repair" in str(caught.value.hint)
    assert copy.health(tmp_path / "copy" / "ledger.db").trouble.startswith("it is older than")


def test_after_repair_what_waited_is_in_doubt(ledger: Ledger, tmp_path: Path) -> None:
    run = planned(ledger, chunk([A, B]))
    send_next(ledger, run)
    lose_log(ledger, tmp_path / "copy")
    (said,) = copy.repair(tmp_path / "copy" / "ledger.db")
    assert said == (
        "2 rows that were still to be sent are in doubt now, for they may have been sent since;"
        " check in Sender, then `importer resolve RUN --assume-sent` or `--resend`"
    )
    with open_ledger(tmp_path / "copy") as other:
        assert [code for *_, code in other.doubtful(run)] == ["doubt.ledger"] * 2
        other.resolve(run, State.PENDING)
        send_next(other, run)


def test_an_older_copy_in_its_place_is_noticed(tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk([A, B]))
    shutil.copy(tmp_path / "ledger.db", backup)
    with open_ledger(tmp_path) as ledger:
        send_next(ledger, run)
    shutil.copy(backup, tmp_path / "ledger.db")
    with pytest.raises(LedgerError, match="older than when it was last used"):
        open_ledger(tmp_path)


def test_a_ledger_that_moves_without_its_counter_goes_on(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, chunk([A, B]))
        send_next(ledger, run)
    (tmp_path / "ledger.db.counter").unlink()
    with open_ledger(tmp_path) as ledger:
        send_next(ledger, run)
        assert states(ledger, run) == ["sent", "sent"]


def test_accounts_of_one_process_count_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commits on a thread of its own; whichever writes the counter last, it is not behind the ledger."""
    write = os.write
    with open_ledger(tmp_path) as ledger, open_ledger(tmp_path, account="other") as other:
        run, its = planned(ledger, chunk([A, B])), planned(other, chunk([A, B]))

        def meanwhile(handle: int, data: bytes) -> int:
            monkeypatch.undo()
            send_next(other, its)
            return write(handle, data)

        monkeypatch.setattr(os, "write", meanwhile)
        send_next(ledger, run)
        assert states(ledger, run) == ["sent", "pending"]
        assert states(other, its) == ["sent", "pending"]
    assert sorted(path.name for path in tmp_path.glob("ledger.db.counter*")) == ["ledger.db.counter"]


def test_a_full_disk_under_the_counter_is_told_in_words(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(ledger, chunk([A, B]))

    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFullError, match="no room left on the disk of the ledger"):
        send_next(ledger, run)
    assert not list(tmp_path.glob("ledger.db.counter*"))


def test_each_stretch_of_the_log_is_counted(ledger: Ledger, tmp_path: Path) -> None:
    """Also after a checkpoint has emptied it."""
    run = planned(ledger, chunk([A, B]))
    send_next(ledger, run)
    ledger.set_state(run, RunState.STOPPED)
    lose_log(ledger, tmp_path / "whole")
    open_ledger(tmp_path / "whole").close()
    send_next(ledger, run)
    lose_log(ledger, tmp_path / "lost")
    with pytest.raises(LedgerError, match="older than when it was last used"):
        open_ledger(tmp_path / "lost")


# Damage


def damaged(tmp_path: Path) -> tuple[Path, Run]:
    with open_ledger(tmp_path) as ledger:
        emails = [f"{number}@example.org" for number in range(4000)]
        run = released(ledger, planned(ledger, chunk(emails, bodies=[email * 20 for email in emails])))
    path = tmp_path / "ledger.db"
    content = bytearray(path.read_bytes())
    half = len(content) // 2 // 16384 * 16384
    content[half : half + 3 * 16384] = b"\xa5" * (3 * 16384)
    path.write_bytes(content)
    return path, run


def test_damaged_pages_are_an_error_in_words(tmp_path: Path) -> None:
    path, run = damaged(tmp_path)
    assert copy.health(path).trouble
    with open_ledger(tmp_path) as ledger, pytest.raises(LedgerError) as caught:
        ledger.commit([], [row_id for _, row_id, _ in ledger.queue(run, after=None, count=10_000)])
    assert caught.value.message == f"the ledger {path} is damaged (database disk image is malformed)"
    assert caught.value.hint == "`importer doctor --repair` keeps what can be read; a copy of the file first is wise"


def test_repair_keeps_what_can_be_read(tmp_path: Path) -> None:
    path, _ = damaged(tmp_path)
    said = copy.repair(path)
    assert said[0].startswith(f"what could be read is in {path}, ")
    assert said[0].endswith(f"the damaged file is kept as {path}.damaged")
    assert re.fullmatch(r"[\d,]+ rows could not be read and are in doubt, as their outcome is unknown", said[1])
    assert Path(f"{path}.damaged").exists()
    assert not Path(f"{path}.repaired").exists()
    assert copy.health(path).trouble == ""


@pytest.mark.parametrize("keyed", [False, True], ids=["by row", "by key"])
@pytest.mark.parametrize("seed", range(5))
def test_nothing_that_lost_pages_knew_is_sent_again(tmp_path: Path, seed: int, keyed: bool) -> None:
    """Wherever the damage is: the file that comes again is known, or the ledger asks before it is used."""
    emails = [f"{number}@example.org" for number in range(300)]
    rows = chunk(emails, bodies=[email * 20 for email in emails], keys=emails if keyed else None)
    with open_ledger(tmp_path) as ledger:
        run = planned(ledger, rows)
        claims = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=250)]
        ledger.commit([], claims)
        ledger.commit([Outcome(row_id, State.SENT, 1, 200, "", "", 1.0, 0.1) for row_id in claims], [])
    path = tmp_path / "ledger.db"
    content = bytearray(path.read_bytes())
    random = Random(seed)
    for page in random.sample(range(1, len(content) // PAGE), 3):
        content[page * PAGE : (page + 1) * PAGE] = random.randbytes(PAGE)
    path.write_bytes(content)
    if not copy.health(path).trouble:
        return
    said = "\n".join(copy.repair(path))
    if "the ledger is not used before you decide" in said:
        with pytest.raises(LedgerError, match="cannot be relied on"):
            open_ledger(tmp_path)
        copy.repair(path)
        open_ledger(tmp_path).close()
        return
    with open_ledger(tmp_path) as ledger:
        again = planned(ledger, rows, digest="another" if keyed else "content")
        assert ledger.counts(again)[State.PENDING] == 0
        assert ledger.counts(run)[State.SENT] + ledger.counts(run)[State.IN_DOUBT] == len(emails)


def test_a_ledger_that_has_lost_what_its_hashes_mean_asks_first(tmp_path: Path) -> None:
    path, _ = damaged(tmp_path)
    content = path.read_bytes()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        ((secret,),) = file.execute("SELECT secret FROM ledger").fetchall()
    place = content.index(secret) // PAGE * PAGE
    path.write_bytes(content[:place] + b"\xa5" * PAGE + content[place + PAGE :])
    assert "the ledger is not used before you decide" in "\n".join(copy.repair(path))
    with pytest.raises(LedgerError, match="cannot be relied on"):
        open_ledger(tmp_path)


# A person


def test_a_person_is_forgotten_and_what_they_got_is_not_sent_again(ledger: Ledger, tmp_path: Path) -> None:
    ada, bob = "Ada@example.org", "bob@example.org"
    reasons = pa.table({"row": [1, 2], "code": ["currency.retired"] * 2, "field": ["value"] * 2, "value": [ada, bob]})
    records = pa.table({"record": pa.array([b"ada@,1", b"bob@,2", b"ada@,3"])})
    rows = chunk(
        [ada, bob, ada], ids=["7", "8", "7"], keys=["ka", "kb", "kc"], bodies=[f"{ada}1", f"{bob}2", f"{ada}3"]
    )
    run = planned(ledger, replace(rows, reasons=reasons, raw_rows=records))
    send_next(ledger, run)
    send_next(ledger, run)
    assert ledger.forget("ADA@example.org") == 2
    (batch,) = ledger.batches(run, raw_rows=True)
    assert batch.table.select(["state", "code", "subscriber", "key", "value"]).to_pylist() == [
        {"state": "sent", "code": None, "subscriber": None, "key": None, "value": None},
        {"state": "sent", "code": None, "subscriber": bob, "key": "kb", "value": "1.5"},
        {"state": "invalid", "code": "subscriber.forgotten", "subscriber": None, "key": None, "value": None},
    ]
    assert batch.raw_rows is not None
    assert batch.raw_rows.column("record").to_pylist() == [None, b"bob@,2", None]
    assert batch.reasons.column("row").to_pylist() == [2]
    again = planned(ledger, rows, digest="again")
    assert states(ledger, again)[:2] == ["duplicate", "duplicate"]
    ledger.discard(again)
    ledger.forget(ada)
    ledger.shrink()
    assert not any(ada.encode() in path.read_bytes() for path in tmp_path.glob("ledger.db*") if path.is_file())


def test_a_person_is_not_forgotten_while_a_run_of_theirs_is_at_work(ledger: Ledger, tmp_path: Path) -> None:
    run = planned(ledger, chunk([A]))
    with open_ledger(tmp_path) as other:
        with pytest.raises(UsageError, match=f"run {run.id} is being worked on by another process"):
            other.forget(A)
        ledger.lock(run).release()
        assert other.forget(A) == 1
        assert other.forget("nobody@example.org") == 0


def test_keys_and_addresses_that_are_only_compared_do_not_lie_open(ledger: Ledger) -> None:
    """Once a run is pruned, neither can be read in the ledger's files."""
    run = planned(ledger, chunk(["ada@example.org"], keys=["order-4711"]))
    send_next(ledger, run)
    ledger.drop_bodies(run)
    ledger.prune(run)
    ledger.shrink()
    files = [path.read_bytes() for path in path_of(ledger).parent.glob("ledger.db*") if path.is_file()]
    assert not any(word in content for content in files for word in (b"ada@example", b"order-4711"))


def test_space_is_given_back(ledger: Ledger) -> None:
    emails = [f"somebody-{number * 7919 % 100_003}@example.com" for number in range(5000)]
    run = planned(ledger, chunk(emails))
    queue = [row_id for _, row_id, _ in ledger.queue(run, after=None, count=10_000)]
    ledger.commit([Outcome(one, State.SENT, 1, 200, "", "Event created", 1.0, 0.1) for one in queue], [])
    run = ledger.set_state(released(ledger, run), RunState.FINISHED)
    before = size_of(path_of(ledger))
    freed = prune.forget(ledger, [run])
    assert freed == before - size_of(path_of(ledger)) > before / 4
