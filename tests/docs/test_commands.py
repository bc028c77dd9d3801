"""The commands that the README files show can be pasted, and do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from importer.errors import ExitCode
from importer.model import State
from tests.support.program import importer

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "samples/README.md")
COMMANDS = sorted(
    {
        command
        for page in PAGES
        for command in re.findall(r"^\$ importer (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        if "samples/" in command
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_a_sample_finishes(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run exits with 1, as the page says: flawed rows stay behind. A preview prints as many bodies as asked for."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))

    outcome = importer(*shlex.split(command))

    asked = re.search(r"--preview (\d+)", command)
    assert outcome.exit_code == (0 if asked else 1), outcome.stderr
    if asked:
        assert len(outcome.stdout.splitlines()) == int(asked[1])


def test_the_pages_name_every_target_of_the_makefile_that_they_need() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in (*PAGES, "CONTRIBUTING.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert set(re.findall(r"(?:`|^\$ )make ([a-z]+)", text, re.MULTILINE)) <= targets


def test_the_map_of_rooms_names_each_and_no_other() -> None:
    """`__init__` and `__main__` need no explaining."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| room | owns |")[2].partition("\n\n")[0]
    rooms = {path.name for path in (ROOT / "importer").iterdir() if path.is_dir() or path.suffix == ".py"}
    named = {name.rstrip("/") for name in re.findall(r"`importer/([a-z_./]+)`", table)}
    assert named == {name for name in rooms if not name.startswith("__")}


def test_the_states_that_the_readme_shows_are_the_programs() -> None:
    """The table of states is the list of the model, in its order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| state | meaning |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| ([a-z_]+) \|", table, re.MULTILINE) == [state.value for state in State]


def test_the_exit_codes_that_the_readme_shows_are_the_programs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("##")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [code.value for code in ExitCode]


def test_the_readme_shows_a_picture_of_a_report_that_is_there_small_and_said_in_words() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown, words), *others = re.findall(r'<img src="([^"]+)"[^>]*alt="([^"]+)"', page)
    picture = (ROOT / shown).read_bytes()
    assert not others
    assert picture[:4] + picture[8:12] == b"RIFFWEBP"
    assert len(picture) < 200_000
    assert len(words) > 80
