"""Shell completion: what Tab offers, in the three shells that click speaks to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from importer.cli import group
from tests.support.program import importer

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def offered(line: str) -> list[tuple[str, str]]:
    *typed, last = line.split(" ")
    found = BashComplete(group, {}, "importer", "_IMPORTER_COMPLETE").get_completions(typed, last)
    return [(one.type, one.value) for one in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ru", [("plain", "run"), ("plain", "runs")]),
        ("run ord", [("file", "ord")]),
        ("check ", [("file", "")]),
        ("init o", [("file", "o")]),
        ("run o.csv -m ", [("file", "")]),
        ("run o.csv -m orders.y", [("file", "orders.y")]),
        ("run o.csv -m shopify-ord", [("plain", "shopify-orders")]),
        ("presets shopify-ord", [("plain", "shopify-orders")]),
        ("run o.csv --on-doubt ", [("plain", "hold"), ("plain", "resend")]),
        ("watch ", [("file", "")]),
    ],
)
def test_what_fits_is_offered(line: str, expected: list[tuple[str, str]]) -> None:
    assert offered(line) == expected


def test_runs_are_offered_where_they_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a ledger that is not there is not made by asking."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "l.db"))
    assert offered("resolve --sandbox ") == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: t}\n")
    (tmp_path / "o.csv").write_text("email\na@example.com\n")
    assert importer("run", "o.csv", "-m", "m.yaml", "--sandbox").exit_code == 0
    ((kind, run),) = offered("resolve --sandbox ")
    assert (kind, run) == ("plain", importer("runs", "--sandbox").stdout.split()[0])
    assert offered("resolve ") == []
    (tmp_path / "l.db").write_bytes(b"not a ledger" * 100)
    assert offered("resolve --sandbox ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_page_tells_each_shell_what_it_understands(shell: str) -> None:
    assert f"_IMPORTER_COMPLETE={shell}_source importer" in PAGE.read_text(encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "_IMPORTER_COMPLETE": f"{shell}_source"}
    script = subprocess.run(["importer"], env=environment, capture_output=True, check=True, text=True)
    assert "importer" in script.stdout
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script.stdout, text=True, check=True)
