"""Text that a stranger wrote (names of files, cells, a command's output) can forge nothing on the screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from importer.wording import brief, shell_quoted, shown_json
from tests.support.program import importer

EVIL = "\x1b[2J\u202e\r\nFORGED: all sent\x9b1m"
NAME = f"orders{EVIL}.csv"
MAPPING = "version: 1\nsubscriber: {email: mail}\ntype: {column: kind}\nproperties: {note: note}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPORTER_LEDGER", str(tmp_path / "ledger.db"))
    (tmp_path / "m.yaml").write_text(MAPPING)
    rows = f'mail,kind,note\nann@example.com,"buy{EVIL}","{EVIL}"\n"ann{EVIL}",buy,x\n'
    for name in (NAME, "orders.csv"):
        (tmp_path / name).write_bytes(rows.encode())
    return tmp_path


def forged(text: str) -> list[str]:
    """Lines with something invisible in them, or that only a stranger can have written."""
    return [line for line in text.split("\n") if not line.isprintable() or line.startswith("FORGED")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", NAME, "orders.csv", "-m", "m.yaml", "--sandbox", "--yes", "--out", "out"),
        ("check", NAME, "-m", "m.yaml", "--format", "json"),
        ("check", NAME, "-m", "m.yaml", "--preview", "2"),
        ("init", NAME, "--yes", "-o", "written.yaml"),
        ("run", f"no{NAME}", "-m", "m.yaml", "--sandbox"),
        ("check", "orders.csv", "-m", f"no{NAME}"),
        ("run", "orders.csv", "-m", "m.yaml", "--endpoint", f"https://example.com{EVIL}", "--yes"),
        ("run", "orders.csv", "-m", "m.yaml", "--token-file", f"no{EVIL}", "--yes"),
        ("check", "orders.csv", "-m", "m.yaml", "--transform", f"no{NAME}:clean"),
    ],
    ids=lambda arguments: f"{arguments[0]} {len(arguments)}",
)
def test_no_command_prints_foreign_text_as_it_is(home: Path, arguments: tuple[str, ...]) -> None:
    done = importer(*arguments)
    assert forged(done.stdout + done.stderr) == []


def test_previewed_bodies_keep_their_values(home: Path) -> None:
    done = importer("check", "orders.csv", "-m", "m.yaml", "--preview", "1")
    assert json.loads(done.stdout)["properties"]["note"] == EVIL


def test_what_a_hook_prints_is_shown_line_by_line(home: Path) -> None:
    (home / "drops").mkdir()
    (home / "drops" / "a.csv").write_text("mail,kind,note\nann@example.com,buy,x\n")
    hook = r"printf 'hello\033[2J\nFORGED: all sent\n'; printf 'trouble\007' >&2"
    done = importer(
        "watch", "drops", "-m", "m.yaml", "--sandbox", "--once", "--yes", "--settle", "0s", "--on-finish", hook
    )
    assert forged(done.stderr) == []
    for line in (r"--on-finish: hello\x1b[2J", "--on-finish: FORGED: all sent", r"--on-finish: trouble\x07"):
        assert line in done.stderr


def test_a_name_of_any_length_is_cut_on_the_screen(home: Path) -> None:
    (home / "wide.csv").write_text(f"mail,kind,note,{'y' * 300_000}\nann@example.com,buy,x,z\n")
    done = importer("check", "wide.csv", "-m", "m.yaml")
    assert len(done.stderr) < 2_000


def test_names_for_the_shell_are_one_printable_line() -> None:
    assert shell_quoted("a b.csv") == "'a b.csv'"
    assert shell_quoted("a\n'é\u202e.csv") == r"$'a\x0a\x27é\xe2\x80\xae.csv'"
    assert brief("a" * 61) == "a" * 59 + "…"
    assert shown_json('{"a":"é\u202e\U000e0001"}\n'.encode()) == '{"a":"é\\u202e\\udb40\\udc01"}\n'.encode()
