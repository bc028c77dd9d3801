"""The commands, each imported when it is needed: `importer --help` starts in a blink."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "start": "start:command",
    "run": "run:command",
    "check": "check:command",
    "init": "init:command",
    "presets": "presets:command",
    "schema": "schema:command",
    "resume": "run:resume",
    "runs": "runs:command",
    "report": "report:command",
    "review": "review:command",
    "retry": "run:retry",
    "resolve": "resolve:command",
    "watch": "watch:command",
    "doctor": "doctor:command",
    "prune": "prune:command",
    "forget": "forget:command",
    "ledger": "ledger:command",
    "sandbox": "sandbox:command",
}
"""In the order of the help; each with the module of this package, and the command there."""


def load_command(name: str) -> click.Command:
    """The command of that name."""
    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(importlib.import_module(f"importer.cli.{module}"), attribute)
    return command
