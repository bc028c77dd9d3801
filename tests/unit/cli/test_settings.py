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


def test_the_file_beside_the_mapping_counts_before_the_one_here(home: Path) -> None:
    (home / "shop").mkdir()
    (home / "shop" / "m.yaml").touch()
    (home.parent / "importer.toml").write_text("account = 'above'\n")
    assert shown(importer("run", "--show-config"))["account"] == ("default", "default")
    (home / "importer.toml").write_text("account = 'here'\n")
    assert shown(importer("run", "--show-config"))["account"][0] == "here"
    (home / "shop" / "importer.toml").write_text("account = 'beside'\n")
    beside = ("run", "--show-config", "-m", "shop/m.yaml")
    assert shown(importer(*beside))["account"][0] == "beside"
    (home / "other.toml").write_text("account = 'named'\n")
    assert shown(importer(*beside, "--config", "other.toml"))["account"][0] == "named"


def test_paths_start_at_the_files_directory(home: Path) -> None:
    shop = home / "shop"
    shop.mkdir()
    (shop / "m.yaml").touch()
    (shop / "importer.toml").write_text("mapping = 'm.yaml'\nledger = 'state/ledger.db'\n")
    told = shown(importer("run", "--show-config", "--config", "shop/importer.toml"))
    assert told["mapping"][0] == str(Path("shop") / "m.yaml")
    assert told["ledger"][0] == str(Path("shop") / "state" / "ledger.db")


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
        ("yes = true", "yes cannot be set here", "give --yes on the command line, each time it is meant"),
        ("token = 'x'", "a token does not belong into a settings file", "SENDER_API_TOKEN"),
        ("reserve = 'x'", "reserve = 'x': 'x' is not a valid integer range", "correct the line"),
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


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_found_file_must_be_changed_by_its_user_alone(home: Path, mode: int) -> None:
    (home / "importer.toml").write_text("account = 'theirs'\n")
    (home / "importer.toml").chmod(mode)
    assert "chmod go-w" in importer("runs").stderr


def test_a_found_file_that_is_a_link_is_refused(home: Path) -> None:
    (home / "real.toml").write_text("account = 'theirs'\n")
    (home / "importer.toml").symlink_to("real.toml")
    outcome = importer("runs")
    assert (outcome.exit_code, "is a link" in outcome.stderr) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        "transform = 'f.py:f'",
        "[run]\ntransform = 'f.py:f'",
        "[watch]\non-finish = 'rm x'",
        "[run]\nscheduler = 'tcp://203.0.113.1:8786'",
        "[watch]\non-success = 'rm x'",
    ],
)
def test_a_found_file_names_no_code_to_run(home: Path, line: str) -> None:
    (home / "importer.toml").write_text(line + "\n")
    outcome = importer("run", "o.csv", "-m", "m.yaml", "--sandbox")
    assert outcome.exit_code == 2
    assert "decides which code runs, and this file was found, not named" in outcome.stderr
    assert importer("run", "--show-config", "--config", "importer.toml").exit_code == 0


def test_the_token_goes_to_an_endpoint_of_a_found_file_only_when_the_user_names_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDER_API_TOKEN", TOKEN)
    (home / "importer.toml").write_text("endpoint = 'https://api.example.com/v2'\nledger = 'l.db'\n")
    (home / "o.csv").write_text("email\na@example.com\n")
    (home / "m.yaml").write_text("version: 1\nsubscriber: {email: email}\ntype: {const: t}\n")
    outcome = importer("run", "o.csv", "-m", "m.yaml", "--yes")
    assert outcome.exit_code == 2
    assert "the API token would go to https://api.example.com/v2, named by" in outcome.stderr
    assert not (home / "l.db").exists()


def test_the_settings_shown_hide_a_password_in_an_address(home: Path) -> None:
    told = shown(importer("run", "--show-config", "--endpoint", "https://me:secret@api.example.com/v2"))
    assert told["endpoint"][0] == "https://***@api.example.com/v2"
