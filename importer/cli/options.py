"""Options that several commands share, and the frozen objects that they become.

This module owns names, help texts and environment variables of the shared options. What they mean is the pipeline's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from importer.cli import completing
from importer.errors import UsageError

if TYPE_CHECKING:
    from importer.pipeline.options import TargetOptions
    from importer.sandbox import Faults

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

DEFAULT_ENDPOINT = "https://api.sender.net/v2"


@dataclass(frozen=True, slots=True)
class Where:
    """Where events go, as typed."""

    account: str
    endpoint: str
    ledger: Path | None
    sandbox: bool
    token_file: Path | None = None
    limit: int | None = None
    fault: str = ""
    seed: int = 0
    events: Path | None = None
    reserve: int = 0
    outage_limit: float | None = None
    processes: int = 1

    def target(self) -> TargetOptions:
        """The destination, with the ledger's place settled."""
        from importer.pipeline.options import TargetOptions, default_ledger
        from importer.sandbox import SandboxOptions

        sandbox = None
        if self.sandbox:
            sandbox = SandboxOptions(
                limit=self.limit,
                faults=_faults(self.fault),
                seed=self.seed,
                events=None if self.events is None else str(self.events),
            )
        return TargetOptions(
            ledger=self.ledger or default_ledger(os.environ),
            account=self.account,
            endpoint=self.endpoint,
            token_file=self.token_file,
            environment=os.environ,
            sandbox=sandbox,
            reserve=self.reserve,
            outage_limit=self.outage_limit,
            processes=self.processes,
        )


def _faults(text: str) -> Faults:
    from importer.sandbox import parse_faults

    try:
        return parse_faults(text)
    except UsageError as error:
        raise UsageError(error.message.replace("--fault", "--sandbox-fault"), hint=error.hint or "") from None


class Duration(click.ParamType[float]):
    """``90``, ``30s``, ``15m``, ``2h`` or ``1d``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        number, unit = (value[:-1], value[-1]) if value[-1:] in _UNITS else (value, "s")
        try:
            return float(number) * _UNITS[unit]
        except ValueError:
            self.fail(f"{value!r} is not a duration such as 90s, 15m, 2h or 1d", param, ctx)


def mapping_option(command: Command) -> Command:
    """Which mapping."""
    return click.option(
        "-m",
        "--mapping",
        required=True,
        metavar="MAPPING",
        help="The mapping, a YAML file or a preset's name.",
        shell_complete=completing.mappings,
    )(command)


def ledger_options(command: Command) -> Command:
    """Which ledger, and whose runs in it."""
    for option in reversed(
        (
            click.option("--account", envvar="IMPORTER_ACCOUNT", default="default", show_default=True, metavar="NAME",
                         help="Whose events these are; runs and what was delivered are remembered by account."),
            click.option("--endpoint", envvar="IMPORTER_ENDPOINT", default=DEFAULT_ENDPOINT, show_default=True,
                         metavar="URL", help="The API's base address."),
            click.option("--sandbox", is_flag=True,
                         help="Rehearse against a sandbox on this machine; needs no token, nothing leaves."),
            click.option("--ledger", envvar="IMPORTER_LEDGER", type=click.Path(path_type=Path, dir_okay=False),
                         metavar="FILE", help="The ledger's file. [default: ledger.db in your state directory]"),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def sending_options(command: Command) -> Command:
    """How to reach the API, and how a rehearsal behaves."""
    for option in reversed(
        (
            click.option("--token-file", envvar="IMPORTER_TOKEN_FILE", type=click.Path(path_type=Path), metavar="FILE",
                         help="Read the API token from FILE instead of the variable SENDER_API_TOKEN."),
            click.option("--reserve", type=click.IntRange(min=0), default=0, metavar="N",
                         help="Requests a minute to leave to the account's other programs."),
            click.option("--outage-limit", type=Duration(), metavar="TIME",
                         help="Stop if the API is away for longer than this (15m, 2h). [default: wait for it]"),
            click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N",
                         help="Post from so many processes; for a limit of thousands of events a second."),
            click.option("--sandbox-limit", "limit", type=click.IntRange(min=0), metavar="N",
                         help="With --sandbox: its requests per minute. [default: no limit]"),
            click.option("--sandbox-fault", "fault", default="", metavar="SPEC",
                         help="With --sandbox: what goes wrong, such as error=0.02,slow=0.05:2s."),
            click.option("--sandbox-seed", "seed", type=int, default=0, metavar="N",
                         help="With --sandbox: the seed of its faults."),
            click.option("--events", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                         help="With --sandbox: append what it accepts to FILE. [default: in --out]"),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def delivery_options(command: Command) -> Command:
    """How a delivery is to behave, and when it is to stop."""
    for option in reversed(
        (
            click.option("--first", type=click.IntRange(min=1), metavar="N", help="Send N events, then ask again."),
            click.option("--max-events", type=click.IntRange(min=1), metavar="N", help="Stop after N events."),
        )
    ):
        command = option(command)
    return unattended_options(command)


def unattended_options(command: Command) -> Command:
    """As `delivery_options`, for what runs without anybody there to be asked."""
    for option in reversed(
        (
            click.option("--yes", "-y", is_flag=True, help="Do not ask before sending."),
            click.option("--on-doubt", type=click.Choice(["hold", "resend"]), default="hold", show_default=True,
                         help="An event that may have been accepted: wait for your word, or send it again."),
            click.option("--strict-order", is_flag=True,
                         help="A subscriber's later events wait while an earlier one is in doubt."),
            click.option("--max-refused", type=click.IntRange(min=0), default=100, show_default=True, metavar="N",
                         help="Stop after N refusals in a row; 0 never does."),
            click.option("--until", metavar="TIME", help="Stop at this time: 06:00, or 2026-11-30 06:00."),
            click.option("--for", "lasting", type=Duration(), metavar="TIME", help="Stop after this time: 90m, 8h."),
            click.option("--between", metavar="HH:MM-HH:MM", help="Send only at these times of day: 22:00-06:00."),
        )
    ):  # fmt: skip
        command = option(command)
    return command
