"""The round over a directory, against a real sandbox: what is said of each file, and what a crash or a stop leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.sandbox.faults import parse_faults
from importer.sandbox.options import SandboxOptions
from importer.sandbox.process import Running, start
from tests.support.program import Outcome, importer

MAPPING = "version: 1\nsubscriber: {email: email}\ntype: {const: purchase}\n"


class Night:
    """A directory, a ledger and a sandbox."""

    def __init__(self, home: Path, sandbox: Running) -> None:
        self.home = home
        self.sandbox = sandbox
        self.drops = home / "drops"
        self.drops.mkdir()
        (home / "m.yaml").write_text(MAPPING)

    def drop(self, name: str, *rows: str, header: str = "email") -> Path:
        path = self.drops / name
        path.write_text("\n".join([header, *rows, ""]))
        return path

    def watch(self, *more: str) -> Outcome:
        ledger = str(self.home / "ledger.db")
        words = ("--once", "--yes", "--settle", "0", "--endpoint", self.sandbox.url, "--ledger", ledger)
        return importer("watch", str(self.drops), "-m", str(self.home / "m.yaml"), *words, *more)

    def lies(self) -> set[str]:
        return {str(path.relative_to(self.drops)) for path in self.drops.glob("*/*") if path.is_file()} - {
            f".importer-watch/{name}" for name in ("lock", "columns.json")
        }


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    options = SandboxOptions(tokens=("old", "new"), faults=parse_faults("token-after=4"))
    monkeypatch.setenv("SENDER_API_TOKEN", "new")
    with start(options) as sandbox:
        yield Night(tmp_path, sandbox)


def test_each_file_leaves_a_line_and_the_worst_is_the_exit_code(night: Night) -> None:
    assert night.watch().exit_code == 0
    night.drop("a.csv", "a@example.com")
    outcome = night.watch()
    assert outcome.exit_code == 0, outcome.stderr
    assert "done        a.csv  1 row: 1 sent  run " in outcome.stdout
    night.drop("b.csv", "b@example.com", "nobody")
    assert night.watch().exit_code == 1
    night.drop("c.csv", "c@example.com", header="mail")
    outcome = night.watch()
    assert outcome.exit_code == 2
    assert "failed      c.csv  the mapping needs columns that the file lacks: 'email'" in outcome.stdout
    assert "warning: c.csv: its columns differ from the last file's: added: 'mail'; gone: 'email'" in outcome.stderr
    assert night.lies() == {"done/a.csv", "done/b.csv", "failed/c.csv"}
    assert "did you mean 'mail'?" in (night.drops / "failed" / "c.csv.report" / "reason.txt").read_text()


def test_a_token_that_expires_stops_the_night_and_the_next_call_goes_on(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same run goes on, with a new token; no other file is tried with the old one."""
    monkeypatch.setenv("SENDER_API_TOKEN", "old")
    night.drop("a.csv", *(f"a{number}@example.com" for number in range(9)))
    night.drop("b.csv", "b@example.com")
    outcome = night.watch()
    assert outcome.exit_code == 3
    assert "processing  a.csv  9 rows: " in outcome.stdout
    assert "stopped: the API " in outcome.stdout
    assert night.lies() == {"processing/a.csv"}
    run = outcome.stdout.split("run ")[1].split()[0]

    monkeypatch.setenv("SENDER_API_TOKEN", "new")
    outcome = night.watch()
    assert outcome.exit_code == 0, outcome.stderr
    assert f"done        a.csv  9 rows: 9 sent  run {run}" in outcome.stdout
    assert night.lies() == {"done/a.csv", "done/b.csv"}


def test_a_file_whose_importer_died_before_it_was_moved_is_moved(night: Night) -> None:
    """Its run is over: nothing is sent, and it is no duplicate of itself."""
    night.drop("a.csv", "a@example.com")
    told = night.watch().stdout.split("  ", 1)[1]
    for name in ("a.csv", "a.csv.report"):
        (night.drops / "done" / name).rename(night.drops / "processing" / name)
    assert night.watch().stdout.split("  ", 1)[1] == told
    (night.drops / "done" / "a.csv").rename(night.drops / "processing" / "a.csv")
    assert night.watch().stdout.split("  ", 1)[1] == told
    assert night.lies() == {"done/a.csv"}


def test_a_mapping_with_a_mistake_stops_nothing_for_good(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    (night.home / "m.yaml").write_text(MAPPING + "nonsense: 1\n")
    assert night.watch().exit_code == 2
    assert (night.drops / "a.csv").exists(), "found out before a file was taken"
    (night.home / "m.yaml").write_text(MAPPING)
    assert night.watch().exit_code == 0


def test_a_night_of_several_files_ends_with_its_books(night: Night) -> None:
    night.drop("a.csv", "a@example.com", "nobody")
    assert "in all" not in night.watch().stderr
    night.drop("b.csv", "b@example.com", "c@example.com")
    night.drop("c.csv", "c@example.com", header="mail")
    night.drop("d.csv", "a@example.com", "nobody")
    outcome = night.watch()
    assert outcome.stderr.endswith("in all 3 files: 2 done, 1 failed; 4 rows: 2 sent, 1 invalid, 1 duplicate\n")


def test_mappings_that_lie_among_the_drops_are_not_wondered_at(night: Night) -> None:
    (night.drops / "own.yaml").write_text(MAPPING)
    (night.drops / "other.yaml").write_text(MAPPING)
    drops = night.home / "drops.yaml"
    drops.write_text("version: 1\ndrops: [{pattern: '*.csv', mapping: drops/own.yaml}]\n")
    words = ("--once", "--yes", "--settle", "0", "--endpoint", night.sandbox.url, "--ledger", str(night.home / "l.db"))
    outcome = importer("watch", str(night.drops), "--drops", str(drops), *words)
    assert outcome.stderr == "other.yaml is none of the files to be delivered; it is left where it is\n"


def test_a_hook_that_fails_is_told_of_and_changes_nothing(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    outcome = night.watch("--on-finish", 'test "$IMPORTER_OUTCOME" = done && exit 7')
    assert outcome.exit_code == 0
    assert "warning: a.csv: --on-finish ended with exit code 7" in outcome.stderr


def test_a_file_that_no_pattern_fits_stays_where_it_is(night: Night) -> None:
    (night.drops / "drops.yaml").write_text("version: 1\ndrops: [{pattern: 'o-*.csv', mapping: ../m.yaml}]\n")
    night.drop("other.csv", "a@example.com")
    night.drop("o-1.csv", "b@example.com")
    words = ("--once", "--sandbox", "--settle", "0", "--ledger", str(night.home / "l.db"))
    outcome = importer("watch", str(night.drops), *words)
    assert outcome.exit_code == 0, outcome.stderr
    assert "other.csv is none of the files to be delivered; it is left where it is" in outcome.stderr
    assert night.lies() == {"done/o-1.csv"}


def test_a_service_that_is_told_to_end_after_a_file_ends_in_peace(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    place = ("--endpoint", night.sandbox.url, "--ledger", str(night.home / "ledger.db"))
    command = (sys.executable, "-m", "importer", "watch", night.drops, "-m", night.home / "m.yaml", "--yes", "--settle")
    with subprocess.Popen(
        (*command, "0.05s", *place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout
        assert "done        a.csv  1 row: 1 sent" in service.stdout.readline()
        service.send_signal(signal.SIGTERM)
        _, told = service.communicate(timeout=60)
    assert service.returncode == 0
    assert told.endswith("interrupted; what was begun goes on with the next `importer watch`\n")


def test_a_live_watch_needs_yes(tmp_path: Path) -> None:
    outcome = importer("watch", str(tmp_path), "-m", "m.yaml", "--once")
    assert outcome.exit_code == 2
    assert "error: a watch sends without asking, for there is nobody to ask" in outcome.stderr
    assert "hint: give --yes if this is meant, or rehearse with --sandbox" in outcome.stderr
