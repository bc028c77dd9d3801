"""Drops below a prefix of an object store, and in a directory of an SFTP server: the promises of a directory here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from importer.errors import SourceError
from importer.ledger.ledger import Ledger
from importer.ledger.locks import Lock
from importer.pipeline.connect import open_ledger
from importer.pipeline.options import TargetOptions
from importer.remote import RemotePath
from importer.sandbox.options import SandboxOptions
from importer.sandbox.process import Running, start
from importer.watch.inbox import Inbox
from tests.support.object_store import ObjectStore
from tests.support.program import Outcome, importer
from tests.support.sftp import Sftp, sftp_server

MAPPING = "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\n"


class Night:
    """A prefix, a ledger and a sandbox."""

    def __init__(self, home: Path, prefix: str, sandbox: Running) -> None:
        self.home = home
        self.drops = RemotePath(prefix)
        self.sandbox = sandbox
        self.ledger = home / "ledger.db"
        self.events = home / "events.jsonl"
        (home / "m.yaml").write_text(MAPPING)

    def drop(self, name: str, *rows: str, header: str = "email") -> None:
        (self.drops / name).write_bytes("\n".join([header, *rows, ""]).encode())

    def watch(self, *more: str) -> Outcome:
        words = ("--once", "--yes", "--stable-for", "0", "--endpoint", self.sandbox.url, "--ledger", str(self.ledger))
        return importer("watch", self.drops.address, "-m", str(self.home / "m.yaml"), *words, *more)

    def there(self, place: str) -> set[str]:
        """The names in a place, and in the reports in it."""
        where = self.drops / place
        names = {name for name, _ in where.files()}
        for name in tuple(names):
            names |= {f"{name}.report/{inner}" for inner, _ in (where / f"{name}.report").files()}
        return names

    def sent(self) -> list[str]:
        return [line.split('"email":"')[1].split('"')[0] for line in self.events.read_text().splitlines()]


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("SENDER_API_TOKEN", "new")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with start(SandboxOptions(tokens=("new",), events=str(tmp_path / "events.jsonl"))) as running:
        yield running


@pytest.fixture
def night(store: ObjectStore, tmp_path: Path, sandbox: Running) -> Night:
    return Night(tmp_path, f"s3://exports/{tmp_path.name}", sandbox)


@pytest.fixture
def sftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sftp]:
    with sftp_server(tmp_path, monkeypatch) as server:
        yield server


REPORT = {"rejects.csv", "report.csv", "report.html", "summary.json"}


def a_night(night: Night) -> None:
    """Two drops that are delivered and one that cannot be used."""
    night.drop("a.csv", "a@example.com", "nobody")
    night.drop("b.csv", "b@example.com", header="mail")
    night.drop("c.csv", "c@example.com")
    night.drop("notes.txt", "for people")
    night.drop("d.csv.part", "unfinished")
    outcome = night.watch()
    assert outcome.exit_code == 2, outcome.stderr
    assert "done        a.csv  2 rows: 1 sent, 1 invalid  run " in outcome.stdout
    assert "failed      b.csv  the mapping needs columns that the file lacks: 'email'" in outcome.stdout
    assert "done        c.csv  1 row: 1 sent" in outcome.stdout
    assert sorted(night.sent()) == ["a@example.com", "c@example.com"]
    assert {name for name, _ in night.drops.files()} == {"notes.txt", "d.csv.part"}
    assert night.there("processing") == set()
    assert night.there("failed") == {"b.csv", "b.csv.report/reason.txt"}
    reports = {f"{name}.report/{file}" for name in ("a.csv", "c.csv") for file in REPORT}
    assert night.there("done") == {"a.csv", "c.csv"} | reports
    assert night.watch().exit_code == 0
    assert len(night.sent()) == 2
    left = list((night.home / "state").rglob("*.report"))
    assert not left, "reports are where the drops are"


@pytest.mark.parametrize("any_store", ["s3", "google", "data_lake"], indirect=True)
def test_drops_below_a_prefix_are_delivered_and_moved_with_their_reports(
    any_store: ObjectStore, tmp_path: Path, sandbox: Running
) -> None:
    a_night(Night(tmp_path, any_store.address(tmp_path.name), sandbox))


def test_drops_on_an_sftp_server_are_delivered_and_moved_with_their_reports(
    sftp: Sftp, tmp_path: Path, sandbox: Running
) -> None:
    a_night(Night(tmp_path, sftp.address("drops"), sandbox))


def test_a_name_that_was_used_before_gets_the_time_of_its_arrival(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    assert night.watch().exit_code == 0
    night.drop("a.csv", "z@example.com")
    assert night.watch().exit_code == 0
    (again,) = (name for name in night.there("done") if name.startswith("a~") and "/" not in name)
    assert f"{again}.report/summary.json" in night.there("done")
    assert night.sent() == ["a@example.com", "z@example.com"]


def test_an_object_is_complete_when_two_looks_are_the_same(night: Night) -> None:
    inbox = Inbox(night.drops)
    with inbox.exclusive():
        night.drop("a.csv", "a@example.com")
        assert inbox.scan() == ([], ["a.csv"])
        night.drop("a.csv", "a@example.com", "b@example.com")
        assert inbox.scan() == ([], ["a.csv"])
        assert inbox.scan() == (["a.csv"], [])


@pytest.mark.parametrize("failing", ["rename", "write"])
@pytest.mark.parametrize("number", [1, 2])
def test_whatever_is_cut_off_goes_on_the_next_time(
    night: Night, monkeypatch: pytest.MonkeyPatch, failing: str, number: int
) -> None:
    """The store fails in the middle: an upload, or a move; nothing is sent again."""
    night.drop("a.csv", "a@example.com", "nobody")
    calls = 0
    usual = getattr(RemotePath, failing)

    def fail(path: RemotePath, *args: object) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise SourceError(str(path), "cannot be reached")
        usual(path, *args)

    with monkeypatch.context() as patched:
        patched.setattr(RemotePath, failing, fail)
        outcome = night.watch()
    assert "Traceback" not in outcome.stderr
    if outcome.exit_code == 2:  # it was not taken
        assert "cannot be reached" in outcome.stderr
    else:
        assert "it cannot be moved" in outcome.stdout
    assert night.watch().exit_code == 1
    assert night.there("done") == {"a.csv"} | {f"a.csv.report/{file}" for file in REPORT}
    assert night.sent() == ["a@example.com"]


def test_an_object_that_is_replaced_while_it_is_worked_on_is_for_a_person_to_look_at(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    (night.home / "t.py").write_text(
        "from importer.remote import RemotePath\n\n\ndef change(frame):\n"
        f"    RemotePath({str(night.drops / 'processing' / 'a.csv')!r}).write_bytes(b'email\\nb@example.com\\n')\n"
        "    return frame\n"
    )
    outcome = night.watch("--transform", f"{night.home / 't.py'}:change")
    assert "a.csv  it was written to while it was read; it is tried again later" in outcome.stdout
    assert night.watch().exit_code == 0
    assert night.sent() == ["b@example.com"]


def test_one_importer_watches_a_prefix(night: Night) -> None:
    with open_ledger(TargetOptions(ledger=night.ledger, environment={})) as ledger:
        lock = ledger.watch_lock(str(night.drops))
        assert lock.try_acquire()
        outcome = night.watch()
        lock.release()
    assert outcome.exit_code == 2
    assert f"already watches {night.drops}" in outcome.stderr
    assert night.watch().exit_code == 0


def test_a_watch_that_has_lost_its_lease_takes_no_more_files(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ledger could not be asked for so long that another machine may have begun."""
    watching: list[Ledger] = []
    lock_of, stops = Ledger.watch_lock, Ledger.sending_stops

    def watch_lock(ledger: Ledger, place: str) -> Lock:
        watching.append(ledger)
        return lock_of(ledger, place)

    def sending_stops(ledger: Ledger) -> str:
        return "lost" if ledger in watching and "a.csv" in night.there("done") else stops(ledger)

    night.drop("a.csv", "a@example.com")
    night.drop("b.csv", "b@example.com")
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "watch_lock", watch_lock)
        patched.setattr(Ledger, "sending_stops", sending_stops)
        outcome = night.watch()
    assert outcome.exit_code == 3
    assert f"so long that another machine may watch {night.drops} now" in outcome.stderr
    assert {name for name, _ in night.drops.files()} == {"b.csv"}
    assert night.watch().exit_code == 0
    assert night.sent() == ["a@example.com", "b@example.com"]


def test_a_bucket_that_is_not_there_is_said_at_once(any_store: ObjectStore, tmp_path: Path, sandbox: Running) -> None:
    place = any_store.address("drops", "nobody-has-this")
    outcome = Night(tmp_path, place, sandbox).watch()
    assert outcome.exit_code == 2
    assert f"error: {place}: no such bucket" in outcome.stderr
    assert not list(platformdirs.user_state_path("importer").glob("watch/*"))
