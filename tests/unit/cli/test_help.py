"""What `--help` promises: a sentence, an example, and a reference that is never out of date."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from importer.cli.commands import COMMANDS
from tests.support.program import importer

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_opens_with_a_sentence_and_an_example(command: str) -> None:
    outcome = importer(command, "--help")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    usage, sentence, example, *_ = outcome.stdout.split("\n\n")
    assert usage.startswith(f"Usage: importer {command} ")
    assert re.match(r"  [A-Z][^\n]*\w(\n  [^\n]+)*\.$", sentence)
    assert " ".join(sentence.split()).partition(". ")[0].rstrip(".") == COMMANDS[command], "the list says the same"
    title, *lines = example.splitlines()
    assert title.endswith((":", "?", "):")), "a line says when one would paste the example"
    assert any(f"importer {command}" in line for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_fits_a_screen_and_names_all_options(command: str) -> None:
    short, whole = (importer(command, word).stdout for word in ("--help", "--help-all"))
    assert len(short.splitlines()) <= 50
    assert set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", whole, re.MULTILINE)) <= set(re.findall(r"--[a-z-]+", short))


def test_the_list_of_commands_shows_each_with_its_whole_first_sentence() -> None:
    listed = importer("--help").stdout.partition("Commands:\n")[2]
    assert re.findall(r"^  (\w+)  ", listed, re.MULTILINE) == list(COMMANDS)
    assert "..." not in listed
    assert all(len(line) <= 80 for line in listed.splitlines())


def test_the_reference_is_what_the_program_says() -> None:
    """In a process of its own: click remembers a command's help option as whoever asked first wanted it."""
    written = subprocess.run([sys.executable, "-m", "tests.docs.commands_page"], capture_output=True, check=True)
    expected = PAGE.read_text(encoding="utf-8")
    assert written.stdout.decode() == expected, "run python -m tests.docs.commands_page > docs/commands.md"
