"""Outputs appear whole or not at all, and what people wrote is kept."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.errors import ExitCode, LedgerError, ReportError, UsageError
from importer.model import Format, RowBatch, State
from importer.report import ReportOptions, check_run, prepare, write, write_check, write_file
from importer.report.atomic import Outputs
from tests.support.story import RUN, Row, batch, csv_source, ledger

ROOT = Path(__file__).parents[3]
SOURCE = csv_source("Email")
GOOD = batch(SOURCE, [Row(b"a")])
BAD = batch(SOURCE, [Row(b"b", State.INVALID, [("type.missing", "type", "")])])
DOUBT = batch(SOURCE, [Row(b"c", State.IN_DOUBT)])
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def child(body: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own in which ``told(n)`` yields ``n`` batches of 10,000 rows."""
    head = """
        import resource, signal, sys, time
        from pathlib import Path
        from importer.errors import ImporterError
        from importer.model import State
        from importer.report import ReportOptions, check_run, write_check
        from tests.support.story import Row, batch, csv_source

        INFO = check_run("")
        def told(count):
            one = batch(csv_source("Email"), [Row(b"x" * 50, State.INVALID)] * 10_000)
            for _ in range(count):
                yield one
    """
    code = textwrap.dedent(head) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    done = write(ledger(GOOD, BAD), RUN, ReportOptions(out))
    assert out.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    assert done.paths == tuple(out / name for name in ("report.csv", "rejects.csv", "report.html", "summary.json"))


@pytest.mark.parametrize("form", FORMATS)
def test_a_killed_writer_leaves_nothing_under_a_final_name(tmp_path: Path, form: str) -> None:
    """Killed midway: the earlier report is untouched, and the next writer clears the remains away."""
    write(ledger(GOOD), RUN, ReportOptions(tmp_path, "csv"))
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    process = child(
        """
        def stuck():
            yield from told(4)
            print("midway", flush=True)
            signal.pause()
        write_check(stuck(), list, INFO, ReportOptions(Path(sys.argv[1]), sys.argv[2]))
        """,
        str(tmp_path),
        form,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "midway\n"
    parts = [path for path in tmp_path.iterdir() if path.name not in before]
    assert len(parts) == 2, "report and rejects are being written"
    assert sum(path.stat().st_size for path in parts) > 1_000_000

    with Outputs(tmp_path, again=""):  # a second writer beside the first
        assert all(path.exists() for path in parts), "files of a writer that lives are let be"

    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert all(path.exists() and path.name.startswith(".importer-") for path in parts)

    write(ledger(GOOD), RUN, ReportOptions(tmp_path))
    assert names(tmp_path) == sorted(before)


def test_on_a_full_disk_the_small_files_are_written_and_the_counts_are_right(tmp_path: Path) -> None:
    process = child(
        """
        from importer.report import render_summary
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for form in sys.argv[2:]:
            done = write_check(told(4), list, INFO, ReportOptions(Path(sys.argv[1], form), form))
            print(done.failure)
            print(render_summary(done), end="\\f")
        """,
        str(tmp_path),
        *FORMATS,
    )
    output, trouble = process.communicate()
    assert trouble == "", "not even a complaint from a destructor"
    assert process.returncode == 0
    for form, said in zip(FORMATS, output.removesuffix("\f").split("\f"), strict=True):
        out = tmp_path / form
        assert names(out) == ["report.html", "summary.json"]
        path = said.split(": ")[1]
        assert path in {str(out / f"report.{form}"), str(out / "rejects.csv")}
        assert said.startswith(
            f"error: {path}: cannot be written: no room left on the disk; nothing half-written is left there\n\n"
            "hint: free some room there, then run the same command again\n"
        )
        assert "  invalid    40,000  not sent: problem in the data\n" in said
        assert "  error: " in said


def test_a_full_disk_after_a_run_says_that_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = write(ledger(GOOD), RUN, ReportOptions(tmp_path))
    assert done.failure is not None
    assert done.failure.exit_code is ExitCode.INCOMPLETE
    assert done.failure.hint == (
        f"free some room there, then `importer report {RUN.id}`"
        " writes the reports again; what was delivered is recorded"
    )
    assert (done.paths, done.counts.read) == ((), 1)
    assert names(tmp_path) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_ledger_that_breaks_midway_leaves_nothing(tmp_path: Path, form: Format) -> None:
    def broken() -> Iterator[RowBatch]:
        yield BAD
        raise LedgerError("the ledger is damaged")

    with pytest.raises(LedgerError):
        write_check(broken(), list, check_run(""), ReportOptions(tmp_path, form))
    assert names(tmp_path) == []


def test_a_directory_that_cannot_be_written_is_found_out_beforehand(tmp_path: Path) -> None:
    prepare(tmp_path / "out")
    assert names(tmp_path / "out") == []
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: cannot be written: file exists") as caught:
        prepare(tmp_path / "file")
    assert caught.value.hint == "choose a directory you can write to with --out, then run the same command again"


def test_outputs_that_have_become_untrue_go_away(tmp_path: Path) -> None:
    """After everything was resolved there is no in-doubt.csv left that asks for it, and one report only."""
    write(ledger(DOUBT), RUN, ReportOptions(tmp_path, "jsonl"))
    assert names(tmp_path) == ["in-doubt.csv", "rejects.csv", "report.html", "report.jsonl", "summary.json"]
    write(ledger(GOOD), RUN, ReportOptions(tmp_path))
    assert names(tmp_path) == ["rejects.csv", "report.csv", "report.html", "summary.json"]


def test_what_people_wrote_is_set_aside_and_never_replaced(tmp_path: Path) -> None:
    """Rejects that were corrected in their place, and files that no report wrote, survive the next report."""
    (tmp_path / "report.csv").write_text("mine")
    write(ledger(BAD, DOUBT), RUN, ReportOptions(tmp_path))
    assert (tmp_path / "report.kept.csv").read_text() == "mine"

    for turn, kept in ((1, "rejects.kept.csv"), (2, "rejects.kept-2.csv")):
        corrected(tmp_path / "rejects.csv", f"corrected {turn}")
        write(ledger(BAD), RUN, ReportOptions(tmp_path))
        assert (tmp_path / kept).read_text() == f"corrected {turn}"
    assert (tmp_path / "rejects.csv").read_text().startswith("Email,")
    assert not (tmp_path / "in-doubt.csv").exists()


def corrected(path: Path, text: str) -> None:
    path.write_text(text)
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))


@pytest.mark.parametrize("summary", ["{", "[]", '{"files": [{"name": "../outside"}]}', "\xff"])
def test_a_summary_from_elsewhere_leads_nowhere(tmp_path: Path, summary: str) -> None:
    (tmp_path / "outside").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text(summary, encoding="latin-1")
    write(ledger(GOOD), RUN, ReportOptions(tmp_path / "out"))
    assert (tmp_path / "outside").exists()
    assert names(tmp_path / "out") == ["rejects.csv", "report.csv", "report.html", "summary.json"]


def test_a_single_report_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("old")
    write_file(ledger(GOOD), RUN, path, "csv")
    assert path.read_text().startswith("run,source,")
    assert names(tmp_path) == ["mine.csv"]
    (tmp_path / "directory.csv").mkdir()
    with pytest.raises(ReportError, match=r"directory\.csv: cannot be written: is a directory"):
        write_file(ledger(GOOD), RUN, tmp_path / "directory.csv", "csv")
