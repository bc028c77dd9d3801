"""How a command speaks: quietly or at length, in words or as JSON, and for Prometheus.

This module owns the options about that, and which desk they ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from importer.errors import UsageError

if TYPE_CHECKING:
    from importer.cli.console import TerminalConsole
    from importer.cli.json_desk import JsonConsole
    from importer.metrics import Metrics

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Manner:
    """As typed."""

    yes: bool
    quiet: bool = False
    verbose: bool = False
    log_format: str = "text"
    metrics: Path | None = None
    account: str = "default"
    brief: bool = False
    """One of many runs, each of which gets a line of its own: a plan is told in one, and its end not at all."""

    @classmethod
    def of(cls, given: dict[str, Any]) -> Manner:
        """Out of all that a command was given; raises `UsageError` for what excludes each other."""
        if given["quiet"] and given["verbose"]:
            raise UsageError("--quiet and --verbose exclude each other", hint="give one of them")
        return cls(
            yes=given["yes"],
            quiet=given["quiet"],
            verbose=given["verbose"],
            log_format=given["log_format"],
            metrics=given["metrics"],
            account=given["account"],
        )

    def console(self) -> TerminalConsole | JsonConsole:
        """The user's desk."""
        from importer.cli.console import TerminalConsole
        from importer.cli.json_desk import JsonConsole

        return JsonConsole(self) if self.log_format == "json" else TerminalConsole(self)

    def measure(self) -> Metrics | None:
        """The metrics, if they were asked for; a file that cannot be written is found out now."""
        if self.metrics is None:
            return None
        from importer.metrics import Metrics

        metrics = Metrics(self.metrics, self.account)
        metrics.write()
        return metrics


def speaking_options(command: Command) -> Command:
    """How to speak."""
    for option in reversed(
        (
            click.option("--quiet", "-q", is_flag=True, help="Say nothing but warnings and errors."),
            click.option("--verbose", "-v", is_flag=True, help="Tell how it stands more often, and each wait."),
            click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
                         help="What is said on stderr: words, or one JSON object a line."),
            click.option("--metrics", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                         help="Keep FILE up to date with figures for Prometheus (textfile collector)."),
        )
    ):  # fmt: skip
        command = option(command)
    return command
