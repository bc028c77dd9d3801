"""The round over a directory, against a real sandbox: what is said of each file, and what a crash or a stop leaves."""

from __future__ import annotations

import errno
import gzip
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from importer.pipeline import check
from importer.pipeline.console import Console
from importer.pipeline.options import RunOptions
from importer.sandbox.options import SandboxOptions, parse_faults
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

    def transform(self, body: str) -> str:
        """A function of the user's that does something behind the watch's back, as `--transform` takes it."""
        (self.home / "t.py").write_text(f"import pathlib\n\n\ndef change(frame):\n    {body}\n    return frame\n")
        return f"{self.home / 't.py'}:change"

    def watch(self, *more: str) -> Outcome:
        ledger = str(self.home / "ledger.db")
        words = ("--once", "--yes", "--stable-for", "0", "--endpoint", self.sandbox.url, "--ledger", ledger)
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


def test_a_mapping_knows_a_file_by_the_name_and_the_directory_where_it_was_dropped(night: Night) -> None:
    """Under a name that was used before it is moved under another one, which would make another key."""
    facts = "{shop: {file: stem}, folder: {file: directory}}"
    key = f"key: {{template: '{{folder}} {{shop}} {{email}}', parts: {facts}}}\n"
    (night.home / "m.yaml").write_text(MAPPING + key)
    night.drop("shop.csv", "a@example.com")
    assert "1 row: 1 sent" in night.watch().stdout
    night.drop("shop.csv", "a@example.com", "b@example.com")
    outcome = night.watch()
    assert re.search(r"done  +shop~\d{8}-\d{6}\.csv  2 rows: 1 sent, 1 duplicate", outcome.stdout)
    (report,) = (night.drops / "done").glob("shop~*.report/report.csv")
    assert "drops shop b@example.com" in report.read_text()


def test_what_excel_puts_beside_an_open_workbook_is_no_file_to_deliver(night: Night) -> None:
    night.drop("~$orders.xlsx", "x")
    outcome = night.watch()
    assert (outcome.exit_code, outcome.stdout) == (0, "")


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
    words = (
        "--once",
        "--yes",
        "--stable-for",
        "0",
        "--endpoint",
        night.sandbox.url,
        "--ledger",
        str(night.home / "l.db"),
    )
    outcome = importer("watch", str(night.drops), "--drops", str(drops), *words)
    assert outcome.stderr[21:] == "other.yaml is none of the files to be delivered; it is left where it is\n"


def test_a_hook_that_fails_is_told_of_and_changes_nothing(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    outcome = night.watch("--on-finish", 'test "$IMPORTER_OUTCOME" = done && exit 7')
    assert outcome.exit_code == 0
    assert "warning: a.csv: --on-finish ended with exit code 7" in outcome.stderr


def test_a_file_that_no_pattern_fits_stays_where_it_is(night: Night) -> None:
    (night.drops / "drops.yaml").write_text("version: 1\ndrops: [{pattern: 'o-*.csv', mapping: ../m.yaml}]\n")
    night.drop("other.csv", "a@example.com")
    night.drop("o-1.csv", "b@example.com")
    words = ("--once", "--sandbox", "--stable-for", "0", "--ledger", str(night.home / "l.db"))
    outcome = importer("watch", str(night.drops), *words)
    assert outcome.exit_code == 0, outcome.stderr
    assert "other.csv is none of the files to be delivered; it is left where it is" in outcome.stderr
    assert night.lies() == {"done/o-1.csv"}


def test_a_service_that_is_told_to_end_after_a_file_ends_in_peace(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    place = ("--endpoint", night.sandbox.url, "--ledger", str(night.home / "ledger.db"))
    command = (
        sys.executable,
        "-m",
        "importer",
        "watch",
        night.drops,
        "-m",
        night.home / "m.yaml",
        "--yes",
        "--stable-for",
    )
    with subprocess.Popen(
        (*command, "0.05s", *place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout
        assert "done        a.csv  1 row: 1 sent" in service.stdout.readline()
        service.send_signal(signal.SIGTERM)
        _, told = service.communicate(timeout=60)
    assert service.returncode == 0
    assert told.endswith("interrupted; the next `importer watch` goes on with what was begun\n")


def test_a_live_watch_needs_yes(tmp_path: Path) -> None:
    outcome = importer("watch", str(tmp_path), "-m", "m.yaml", "--once")
    assert outcome.exit_code == 2
    assert "error: a watch sends without asking" in outcome.stderr
    assert "hint: give --yes if this is meant, or rehearse with --sandbox" in outcome.stderr


def test_reports_name_files_where_they_are_afterwards(night: Night) -> None:
    night.drop("a.csv", "a@example.com", "nobody")
    outcome = night.watch()
    report = night.drops / "done" / "a.csv.report"
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "done/a.csv.report/rejects.csv" in page
    texts = [path.read_text(encoding="utf-8") for path in report.iterdir() if path.suffix in (".csv", ".json")]
    assert all("processing" not in text for text in (page, outcome.stdout, outcome.stderr, *texts))
    assert "sandbox shows" not in outcome.stderr


def test_every_line_of_the_log_has_its_time(night: Night) -> None:
    night.drop("a.csv", "a@example.com", header="email")
    night.drop("b.csv", "b@example.com", header="mail")
    outcome = night.watch("--verbose")
    lines = (outcome.stdout + outcome.stderr).splitlines()
    assert len(lines) > 4
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  +\S", line) for line in lines), lines


def test_a_night_of_which_every_row_is_filtered_is_no_success(night: Night) -> None:
    (night.home / "m.yaml").write_text(MAPPING + "where: [{column: status, equals: paid}]\n")
    night.drop("a.csv", "a@example.com,Paid", "b@example.com,PAID", header="email,status")
    night.drop("b.csv", "c@example.com,paid", "d@example.com,open", header="email,status")
    outcome = night.watch("--on-success", f"touch {night.home}/success-$IMPORTER_NAME")
    assert outcome.exit_code == 2
    assert "failed      a.csv  the mapping's filter leaves out every row" in outcome.stdout
    assert night.lies() == {"failed/a.csv", "done/b.csv"}
    assert [path.name for path in night.home.glob("success-*")] == ["success-b.csv"]


def test_a_file_with_nothing_but_a_header_is_said_to_be_one(night: Night) -> None:
    night.drop("a.csv")
    outcome = night.watch()
    assert outcome.exit_code == 0, outcome.stderr
    assert "no rows: there is nothing after the header" in outcome.stdout
    night.drop("b.csv")
    outcome = night.watch("--min-rows", "1")
    assert outcome.exit_code == 2
    assert "failed      b.csv  it has 0 rows, fewer than --min-rows 1 asks for" in outcome.stdout


@pytest.mark.parametrize(("most", "code"), [("1", 2), ("2", 1), ("49%", 2), ("50%", 1)])
def test_a_file_with_too_many_invalid_rows_is_not_sent_at_all(night: Night, most: str, code: int) -> None:
    night.drop("a.csv", "a@example.com", "b@example.com", "nobody", "no one")
    outcome = night.watch("--max-invalid", most)
    assert outcome.exit_code == code, outcome.stderr
    reason = f"2 of 4 rows are invalid, more than --max-invalid {most} allows: 2 email.invalid"
    assert (reason in outcome.stdout) == (code == 2)
    assert ("sent" in outcome.stdout) == (code == 1)


def test_a_limit_that_is_no_number_is_refused(night: Night) -> None:
    outcome = night.watch("--max-invalid", "few")
    assert outcome.exit_code == 2
    assert "--max-invalid few: not a number of rows" in outcome.stderr


def test_what_is_no_regular_file_is_said_once_and_left(night: Night) -> None:
    real = night.home / "real.csv"
    real.write_text("email\na@example.com\n")
    (night.drops / "link.csv").symlink_to(real)
    os.mkfifo(night.drops / "pipe.csv")
    outcome = night.watch()
    assert outcome.exit_code == 0
    assert outcome.stderr.count("link.csv is a symbolic link; only regular files are delivered") == 1
    assert outcome.stderr.count("pipe.csv is not a regular file; only regular files are delivered") == 1
    assert night.lies() == set()


def test_a_name_that_is_not_utf8_is_delivered_and_shown_with_escapes(night: Night) -> None:
    (night.drops / os.fsdecode(b"caf\xe9.csv")).write_text("email\na@example.com\n")
    (night.drops / os.fsdecode(b"line\nbreak\x1b[2J.csv")).write_text("email\nb@example.com\n")
    outcome = night.watch()
    assert outcome.exit_code == 0, outcome.stderr
    assert r"caf\xe9.csv  1 row: 1 sent" in outcome.stdout
    assert r"line\nbreak\x1b[2J.csv  1 row: 1 sent" in outcome.stdout
    assert (night.drops / "done" / r"caf\xe9.csv").exists()
    assert night.watch().stdout == ""


def test_a_file_that_leaves_while_it_is_worked_on_blocks_nothing(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    night.drop("b.csv", "b@example.com")
    for number, name in enumerate(("a.csv", "b.csv")):
        os.utime(night.drops / name, (1e9 + number,) * 2)
    gone = night.drops / "processing" / "a.csv"
    outcome = night.watch("--transform", night.transform(f"pathlib.Path({str(gone)!r}).unlink(missing_ok=True)"))
    assert outcome.exit_code == 2, outcome.stderr
    assert "failed      a.csv  it was removed from processing/ during the run" in outcome.stdout
    assert "done        b.csv  1 row: 1 sent" in outcome.stdout
    assert "Traceback" not in outcome.stderr


def test_an_error_that_nothing_foresaw_is_one_files_error(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file fails with the details beside it; the others are delivered."""
    usual = check.check

    def poisoned(options: RunOptions, console: Console) -> Any:
        if options.sources[0].endswith("a.csv"):
            raise RuntimeError("nobody thought of this")
        return usual(options, console)

    monkeypatch.setattr(check, "check", poisoned)
    night.drop("a.csv", "a@example.com")
    night.drop("b.csv", "b@example.com")
    outcome = night.watch()
    assert outcome.exit_code == 2
    assert "importer failed in a way that it does not know: RuntimeError: nobody thought of this" in outcome.stdout
    details = night.drops / "failed" / "a.csv.report" / "error.txt"
    assert str(details) in outcome.stdout
    assert "Traceback" in details.read_text()
    assert night.lies() == {"failed/a.csv", "done/b.csv"}


def test_a_full_disk_stops_the_round_and_the_next_one_goes_on(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.drop("a.csv", "a@example.com")
    night.drop("b.csv", "b@example.com")
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, "No space left on device", "/srv/x")
        patch.setattr(check, "check", Mock(side_effect=full))
        outcome = night.watch()
    assert outcome.exit_code == 3
    assert "stopped: [Errno 28] No space left on device: '/srv/x'" in outcome.stdout
    assert len(night.lies()) == 1
    assert night.watch().exit_code == 0
    assert night.lies() == {"done/a.csv", "done/b.csv"}


def test_paths_are_where_the_file_is_now(night: Night) -> None:
    (night.drops / "a.csv").write_bytes(b"email\n" + b"a@example.com\n" * 9)
    (night.drops / "a.csv.gz").write_bytes(gzip.compress(b"email\n" + os.urandom(9999).hex().encode())[:-99])
    outcome = night.watch()
    assert outcome.exit_code == 2
    assert "processing" not in outcome.stdout
    assert "processing" not in (night.drops / "failed" / "a.csv.gz.report" / "reason.txt").read_text()


def test_a_rehearsal_does_not_name_a_sandbox_for_every_file(night: Night) -> None:
    night.drop("a.csv", "a@example.com")
    words = ("--once", "--sandbox", "--stable-for", "0", "--ledger", str(night.home / "l.db"))
    outcome = importer("watch", str(night.drops), "-m", str(night.home / "m.yaml"), *words)
    assert outcome.exit_code == 0, outcome.stderr
    assert "127.0.0.1" not in outcome.stderr
