"""The systemd units, the crontab and the drops under samples/service: what they start is what the program knows."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import click
import pytest

from importer.cli import group
from importer.mapping.load import load
from importer.watch import load_rules

SERVICE = Path(__file__).parents[2] / "samples" / "service"
UNITS = sorted(path for path in SERVICE.iterdir() if path.suffix in (".service", ".timer"))
CRON = re.compile(r"(?:(?:\*|[0-9]+)(?:[-/,][0-9]+)*\s+){5}(?P<command>.+)")


def unit(path: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), delimiters=("=",), strict=True)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parsed.read_string(path.read_text(encoding="utf-8"))
    return parsed


def cron_commands() -> list[str]:
    lines = (SERVICE / "crontab").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#") and not re.match(r"[A-Z_]+=", line)]
    matches = [CRON.fullmatch(entry) for entry in entries]
    assert all(matches), entries
    return [match["command"] for match in matches if match]


def understood(line: str) -> bool:
    """Whether the command line parses, without being run."""
    words = shlex.split(line)
    assert words[0] == "/usr/local/bin/importer"
    with click.Context(group) as context:
        _, command, rest = group.resolve_command(context, words[1:])
        assert command
        with click.Context(command, parent=context) as inner:
            _, left, _ = command.make_parser(inner).parse_args(args=rest)
    return left == []


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_has_the_sections_that_systemd_reads(path: Path) -> None:
    kind = "Service" if path.suffix == ".service" else "Timer"
    sections = unit(path).sections()
    assert set(sections) <= {"Unit", kind, "Install"}
    assert "Unit" in sections
    assert kind in sections


@pytest.mark.parametrize("path", [path for path in UNITS if path.suffix == ".service"], ids=lambda path: path.name)
def test_a_service_starts_a_command_that_exists_and_holds_no_token(path: Path) -> None:
    service = unit(path)["Service"]
    assert understood(service["ExecStart"])
    assert "--yes" in service["ExecStart"], "nobody is there to be asked"
    assert service["SuccessExitStatus"] == "3"
    assert "EnvironmentFile" in service
    assert "TOKEN=" not in path.read_text(encoding="utf-8").replace("SENDER_API_TOKEN=…", "")


def test_the_timer_starts_a_service_that_is_there() -> None:
    for path in SERVICE.glob("*.timer"):
        assert path.with_suffix(".service") in UNITS
        assert re.fullmatch(r"\*-\*-\* \d\d:\d\d:\d\d", unit(path)["Timer"]["OnCalendar"])


def test_the_crontab_starts_commands_that_exist() -> None:
    commands = cron_commands()
    assert commands
    for command in commands:
        assert "%" not in command, "cron takes it for a line break"
        if not command.startswith("find "):
            assert understood(command)


def test_the_drops_name_mappings_that_are_there() -> None:
    drops = load_rules(SERVICE / "drops.yaml")
    assert [drop.account for drop in drops] == [None, "app"]
    assert [load(drop.mapping).mapping.version for drop in drops] == [1, 1]
