"""Processes that the importer starts, or that a library starts for it, never get the token."""

import os
import subprocess
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from importer.child import start
from tests.support.program import importer

SECRET = "tok-3n-that-no-child-may-see"


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """What each process gets that is started from here on."""
    seen: list[Mapping[str, str]] = []
    begin = subprocess.Popen.__init__

    def watched(self: subprocess.Popen[Any], *arguments: Any, **options: Any) -> None:
        seen.append(dict(os.environ) if options.get("env") is None else dict(options["env"]))
        begin(self, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", watched)
    return seen


def test_no_child_gets_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environments: list[Mapping[str, str]]
) -> None:
    """The sandbox, a hook, and the browser that shows the page; under whatever name the user has it besides."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("SENDER_API_TOKEN", SECRET)
    monkeypatch.setenv("ALSO_HERE", f"Bearer {SECRET}")
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(subprocess.run(["true", url], check=True)))
    Path("m.yaml").write_text("version: 1\nsubscriber: {email: Email}\ntype: {const: purchase}\n")
    Path("drops").mkdir()
    Path("drops/o.csv").write_text("Email\nada@example.com\n")
    options = ("--once", "--sandbox", "--yes", "--stable-for", "0s", "--on-finish", "true")
    done = importer("watch", "drops", "-m", "m.yaml", *options)
    assert done.exit_code == 0, done.stderr
    shown = importer("report", "--sandbox", "--open", "-o", "out")
    assert shown.exit_code == 0, shown.stderr
    with start("this", stdout=subprocess.DEVNULL) as child:
        child.wait(30)
    assert len(environments) >= 3
    assert [name for each in environments for name, value in each.items() if SECRET in value] == []
    assert os.environ["SENDER_API_TOKEN"] == SECRET
