"""The guides are walk-throughs: their files are written, their commands are run, and what the page shows is said.

Only what differs from run to run is left out of the comparison: ids of runs, ports, secrets, times and paces. With
``IMPORTER_RECORD`` in the environment the test writes what the program says into the pages: read the difference.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.processes import start_importer

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ("backfill", "migration", "troubleshooting", "review", "transform", "privacy", "accounts")
RUN = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b")
PASSING = re.compile(
    r" in [\d.]+ s\b| \([\d.,]+ events a minute\)|(?<=127\.0\.0\.1:)\d+|\?secret=\S+|most for one: [^\n]+"
)


def steady(text: str) -> list[str]:
    """The lines that say the same each time."""
    return [line for line in PASSING.sub("", RUN.sub("RUN", text)).splitlines() if line]


def commands(page: str) -> list[tuple[str, str]]:
    """Each command of the page, with the output that the page shows."""
    blocks = "\n".join(re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    parts = re.split(r"^\$ (.+)\n", blocks, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_shows_what_the_program_says(guide: str, tmp_path: Path) -> None:
    path = DOCS / f"{guide}.md"
    page = path.read_text(encoding="utf-8")
    for name, text in re.findall(r"^```\w+ (\S+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "IMPORTER_LEDGER": str(tmp_path / "ledger.db"),
        "LANG": "C.UTF-8",
    }
    known, wrong = "", []
    for command, shown in commands(page):
        said, errors = outcome(RUN.sub(known, command), environment, tmp_path)
        known = found[0] if (found := RUN.findall(errors)) and not known else known
        if steady(said) != steady(shown):
            wrong.append((command, said, shown))
            page = page.replace(f"$ {command}\n{shown}".rstrip(), f"$ {command}\n{recorded(said, shown)}".rstrip(), 1)
    if "IMPORTER_RECORD" in os.environ:
        path.write_text(page, encoding="utf-8")
        return
    for command, said, shown in wrong:
        assert steady(said) == steady(shown), f"{command}: run with IMPORTER_RECORD=1 to write the page anew"


def outcome(command: str, environment: Mapping[str, str], folder: Path) -> tuple[str, str]:
    """What a command writes, on both streams and on stderr alone; the shell runs what is not a plain importer."""
    program, *arguments = shlex.split(command)
    if program != "importer" or set("|<>*") & set(command):
        done = subprocess.run(  # noqa: S602  # the page's own commands, as a reader pastes them
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        return done.stderr + done.stdout, done.stderr
    with TemporaryDirectory() as streams:
        stdout, stderr = Path(streams, "stdout"), Path(streams, "stderr")
        start_importer(arguments, environment, folder, stdout=stdout, stderr=stderr).wait(120)
        errors = stderr.read_text(encoding="utf-8")
        return errors + stdout.read_text(encoding="utf-8"), errors


def recorded(said: str, shown: str) -> str:
    """What a command said, without secrets; lines that differ only in what passes stay as the page has them."""
    page_run = found[0] if (found := RUN.findall(shown)) else "20261123-202438-509f"
    known = {PASSING.sub("", line): line for line in shown.splitlines()}
    lines = RUN.sub(page_run, said).splitlines()
    return "\n".join(known.get(PASSING.sub("", line), re.sub(r"\?secret=\S+", "?secret=…", line)) for line in lines)
