"""Settings from `importer.toml`, the environment and the command line, and what is said of each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.program import Outcome, importer

TOKEN = "a-token-that-must-not-show"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without settings that is as before afterwards."""
    for name in list(os.environ):
        if name.startswith(("IMPORTER_", "SENDER_")):
            monkeypatch.delenv(name)
    for name in ("SENDER_API_TOKEN", "IMPORTER_RESERVE"):
        monkeypatch.setenv(name, "")  # so that it is undone, whoever sets it
        monkeypatch.delenv(name)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def shown(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Name → value and origin, as `--show-config` prints them."""
    assert outcome.exit_code == 0, outcome.stderr
    lines = [line.split(maxsplit=2) for line in outcome.stdout.splitlines()]
    return {name: (value, origin) for name, value, origin in lines}


def test_the_command_line_is_stronger_than_the_environment_and_that_than_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "importer.toml").write_text("max-refused = 1\nreserve = 2\naccount = 'file'\n[run]\nreserve = 3\n")
    monkeypatch.setenv("IMPORTER_RESERVE", "4")
    monkeypatch.setenv("IMPORTER_MAX_REFUSED", "5")

    told = shown(importer("run", "--show-config", "--max-refused", "6"))

    assert told["max-refused"] == ("6", "command line")
    assert told["reserve"] == ("4", "variable IMPORTER_RESERVE")
    assert told["account"] == ("file", str(home / "importer.toml"))
    assert told["strict"] == ("False", "default")


def test_a_commands_own_table_is_stronger_than_the_top(home: Path) -> None:
    (home / "importer.toml").write_text("reserve = 2\n[run]\nreserve = 3\n")
    assert shown(importer("run", "--show-config"))["reserve"][0] == "3"
    assert shown(importer("resume", "--show-config"))["reserve"][0] == "2"


def test_the_file_beside_the_mapping_counts_before_the_one_here_and_that_before_those_above(home: Path) -> None:
    (home / "shop").mkdir()
    (home / "shop" / "m.yaml").touch()
    (home.parent / "pyproject.toml").write_text("[tool.importer]\naccount = 'above'\n")
    assert shown(importer("run", "--show-config"))["account"][0] == "above"
    (home / "pyproject.toml").write_text("[tool.other]\naccount = 'nobody'\n")
    assert shown(importer("run", "--show-config"))["account"][0] == "above"
    (home / "importer.toml").write_text("account = 'here'\n")
    assert shown(importer("run", "--show-config"))["account"][0] == "here"
    (home / "shop" / "importer.toml").write_text("account = 'beside'\n")
    assert shown(importer("run", "--show-config", "-m", "shop/m.yaml"))["account"][0] == "beside"
    (home / "other.toml").write_text("account = 'named'\n")
    assert (
        shown(importer("run", "--show-config", "-m", "shop/m.yaml", "--config", "other.toml"))["account"][0] == "named"
    )


def test_paths_count_from_where_the_file_lies(home: Path) -> None:
    (home.parent / "m.yaml").touch()
    (home.parent / "importer.toml").write_text("mapping = 'm.yaml'\nledger = 'state/ledger.db'\n")
    told = shown(importer("run", "--show-config"))
    assert told["mapping"][0] == str(home.parent / "m.yaml")
    assert told["ledger"][0] == str(home.parent / "state" / "ledger.db")


def test_a_presets_name_stays_a_presets_name(home: Path) -> None:
    (home / "importer.toml").write_text("mapping = 'shopify-orders'\n")
    assert shown(importer("run", "--show-config"))["mapping"][0] == "shopify-orders"


def test_a_setting_reaches_the_command(home: Path) -> None:
    (home / "orders.csv").write_text("email\na@example.com\n")
    (home / "m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: t}\n")
    (home / "importer.toml").write_text("mapping = 'm.yaml'\nsandbox = true\nledger = 'l.db'\nout = 'reports'\n")
    assert importer("run", "orders.csv").exit_code == 0
    assert (home / "reports" / "summary.json").exists()


def test_the_token_is_never_shown(home: Path) -> None:
    env = home / "my.env"
    env.write_text(f"SENDER_API_TOKEN='{TOKEN}'\nIMPORTER_RESERVE=9\n")
    env.chmod(0o600)
    outcome = importer("run", "--show-config", "--env-file", "my.env")
    told = shown(outcome)
    assert told["token"] == ("[hidden]", "variable SENDER_API_TOKEN in my.env")
    assert told["reserve"] == ("9", "variable IMPORTER_RESERVE in my.env")
    assert TOKEN not in outcome.stdout + outcome.stderr


def test_an_env_file_is_read_only_if_asked_and_the_environment_is_stronger(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".env").write_text("IMPORTER_RESERVE=9\n")
    (home / ".env").chmod(0o600)
    assert shown(importer("run", "--show-config"))["reserve"][0] == "0"
    monkeypatch.setenv("IMPORTER_RESERVE", "4")
    assert shown(importer("run", "--env-file", ".env", "--show-config"))["reserve"][0] == "4"


def test_an_env_file_that_others_can_read_is_told_of(home: Path) -> None:
    (home / ".env").write_text("A=b\n")
    (home / ".env").chmod(0o644)
    assert "chmod 600 .env" in importer("run", "--env-file", ".env", "--show-config").stderr


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("resrve = 1", "there is no setting resrve", "did you mean reserve?"),
        ("[run]\nresrve = 1", "there is no setting run.resrve", "did you mean reserve?"),
        ("[wach]\nx = 1", "there is no setting wach", "did you mean watch?"),
        ("[runs]\nreserve = 1", "there is no setting runs.reserve", "docs/configuration.md"),
        ("yes = true", "yes cannot be set here", "say --yes on the command line, each time it is meant"),
        ("token = 'x'", "a token does not belong into a settings file", "SENDER_API_TOKEN"),
        ("reserve = 'x'", "reserve = 'x': 'x' is not a valid integer range", "mend the line"),
        ("account", "is no TOML: Expected '=' after a key", 'account = "shop-eu"'),
    ],
)
def test_a_mistake_in_the_file_is_named(home: Path, text: str, words: str, hint: str) -> None:
    (home / "importer.toml").write_text(text)
    outcome = importer("run", "orders.csv", "-m", "m.yaml")
    assert outcome.exit_code == 2
    assert words in outcome.stderr
    assert str(home / "importer.toml") in outcome.stderr
    assert hint in outcome.stderr


def test_a_file_that_others_can_change_is_refused_unless_it_is_named(home: Path) -> None:
    """It could send the token elsewhere."""
    (home / "importer.toml").write_text("account = 'theirs'\n")
    (home / "importer.toml").chmod(0o666)
    outcome = importer("runs")
    assert outcome.exit_code == 2
    assert "can be changed by other users of this machine, and settings decide where your token goes" in outcome.stderr
    assert shown(importer("runs", "--config", "importer.toml", "--show-config"))["account"][0] == "theirs"


def test_a_file_that_is_named_must_be_there(home: Path) -> None:
    outcome = importer("runs", "--config", "nowhere.toml")
    assert outcome.exit_code == 2
    assert "error: nowhere.toml cannot be read: No such file or directory" in outcome.stderr
