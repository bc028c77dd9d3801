"""Whatever the standard streams are, a command ends with a sentence and an honest exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import importer

ROOT = Path(__file__).parents[3]
PURCHASES = f"{ROOT}/samples/purchases.csv -m {ROOT}/samples/purchases.yaml"


def shell(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "IMPORTER_LEDGER": str(tmp_path / "l.db"), "HOME": str(tmp_path)}
    return subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m importer {command}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        "presets >/dev/full",
        "presets >&-",
        f"check {PURCHASES} --preview 1 >/dev/full",
        f"check {PURCHASES} --format json >&-",
    ],
)
def test_output_that_cannot_be_written_is_an_error(command: str, tmp_path: Path) -> None:
    done = shell(command, tmp_path)
    assert done.returncode == 3
    assert "error: a file cannot be opened or written: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path) -> None:
    done = shell("presets | head -1", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stderr_hides_no_exit_code(tmp_path: Path) -> None:
    done = shell("presets no-such-preset 2>&-", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_defect_ends_in_a_sentence_and_exit_code_3_with_its_details_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError("\x1b[31mred")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("importer.pipeline.check.check", broken)
    outcome = importer("check", "x.csv", "-m", "m.yaml")
    assert outcome.exit_code == 3
    assert "error: importer failed in a way that it does not know: LookupError: \\x1b[31mred" in outcome.stderr
    [details] = tmp_path.glob("importer-error-*.txt")
    assert str(details) in outcome.stderr
    assert "in broken" in details.read_text(encoding="utf-8")
