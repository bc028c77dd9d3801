"""Options that several commands share, and the frozen objects that they become."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from importer import DEFAULT_ENDPOINT
from importer.cli.settings import Option, was_given
from importer.errors import ImporterError, UsageError

if TYPE_CHECKING:
    from importer.deliver import DeliveryOptions
    from importer.pipeline.options import RunOptions, TargetOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

option = partial(click.option, cls=Option)
basic = partial(option, group="Basics")
pace = partial(option, group="Pace and time")
safety = partial(option, group="Safety")
output = partial(option, group="Output")
connection = partial(option, group="Connection")
sandbox = partial(option, group="Sandbox")


class Ledger(click.Path):
    """A file, or a PostgreSQL database by its URI."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A path, or a `PostgresLocation`. Raises `UsageError` for a password that others can see."""
        from importer.ledger.location import PostgresLocation, parse_location

        location = parse_location(value) if isinstance(value, str) else value
        if not isinstance(location, PostgresLocation):
            return super().convert(value, param, ctx)
        source = ctx.get_parameter_source(str(param.name)) if ctx and param else None
        if source is ParameterSource.COMMANDLINE and location.has_password:
            raise UsageError(
                "--ledger holds a password, which other users of this machine can see in the list of processes",
                hint=f"give --ledger '{location}', and the password by PGPASSWORD or ~/.pgpass",
            )
        return location


class Place(click.Path):
    """A directory, or an address such as ``s3://bucket/prefix``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A path, or a `RemotePath`."""
        from importer.remote import RemotePath

        place = RemotePath.parse(value) if isinstance(value, str) else value
        return place if isinstance(place, RemotePath) else super().convert(value, param, ctx)


class Duration(click.ParamType[float]):
    """``90``, ``30s``, ``15m``, ``2h`` or ``1d``, in seconds; never negative."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        seconds = float(value) if isinstance(value, (int, float)) else seconds_of(value)
        if seconds is None or not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is not a duration such as 90s, 15m, 2h or 1d", param, ctx)
        return seconds


def seconds_of(text: str) -> float | None:
    """The seconds of a duration as typed, or None if it is not one."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([smhd]?)", text.strip())
    return float(match[1]) * _UNITS[match[2] or "s"] if match else None


def _processes(ctx: click.Context, param: click.Parameter, value: int | None) -> None:  # noqa: ARG001  # click's signature
    if value is not None and value > 1:
        click.echo("notice: --processes has no effect any more; one process is faster than any limit", err=True)


def _needs_excel(ctx: click.Context, param: click.Parameter, value: str) -> str:  # noqa: ARG001  # click's signature
    if value == "xlsx":
        _require("openpyxl", "--rejects-format xlsx", "excel")
    return value


def _needs_dask(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value is not None:
        _require("distributed", param.opts[0], "dask")
        if ctx.params.get("workers" if param.name == "scheduler" else "scheduler"):
            hint = "a scheduler has workers of its own"
            raise UsageError("--workers and --scheduler exclude each other", hint=hint)
    return value


def _require(package: str, option: str, extra: str) -> None:
    if find_spec(package) is None:
        hint = f'pip install "sender-importer[{extra}]"'
        raise UsageError(f"{option} needs an extra that is not installed", hint=hint)


def options_of(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """One decorator that adds the options in the order in which they are listed."""

    def add(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return add


# What the shell offers on Tab. No error is reported: the command itself does that.


def complete_files(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """What the shell itself offers for a file."""
    del context, parameter
    return [CompletionItem(typed, type="file")]


def complete_presets(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Presets by their names."""
    from importer.mapping.load import preset_names

    del context, parameter
    return [CompletionItem(name) for name in preset_names() if name.startswith(typed)]


def complete_mappings(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Presets once some letters fit, else files: a shell cannot be given both."""
    return (typed and complete_presets(context, parameter, typed)) or complete_files(context, parameter, typed)


def complete_runs(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The runs of the account and place that were typed already, newest first; no ledger is made for them."""
    from importer.pipeline.connect import open_ledger

    del parameter
    try:
        target = target_options(context.params)
        if not target.ledger.exists():
            return []
        with open_ledger(target) as ledger:
            found = [run for run in ledger.runs() if run.id.startswith(typed)]
    except ImporterError:
        return []
    return [CompletionItem(run.id, help=f"{run.state.value}, {run.mapping_name}") for run in found]


mapping_option = basic("-m", "--mapping", required=True, metavar="MAPPING", shell_complete=complete_mappings,
                       help="The mapping, a YAML file or a preset's name.")  # fmt: skip

out_option = basic("--out", type=Place(path_type=Path, file_okay=False), metavar="DIR",
                   help="Where the report goes: a directory, or an address. [default: importer-runs/RUN]")  # fmt: skip

reading_options = options_of(
    output("--report-format", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True,
           help="The report's format; rejects keep their source's."),
    output("--rejects-format", type=click.Choice(["source", "xlsx"]), default="source", show_default=True,
           callback=_needs_excel,
           help="xlsx: rejects of CSV files as an Excel sheet, invalid cells coloured (extra `excel`)."),
    basic("--transform", default="", metavar="FILE:FUNCTION",
          help="Your own Python function, DataFrame in, DataFrame out, called chunk by chunk before the mapping."),
    safety("--strict", is_flag=True, help="Treat a retired currency, else a warning, as an error."),
)  # fmt: skip

planning_options = options_of(
    pace("--workers", type=click.IntRange(1, 256), metavar="N", callback=_needs_dask,
         help="Prepare the rows in N processes of this machine (extra `dask`)."),
    pace("--scheduler", envvar="IMPORTER_SCHEDULER", metavar="ADDRESS", callback=_needs_dask,
         help="Prepare the rows on the workers of this Dask scheduler: tcp://10.0.0.5:8786."),
)  # fmt: skip

account_options = options_of(
    connection("--account", envvar="IMPORTER_ACCOUNT", default="default", show_default=True, metavar="NAME",
               help="The account's name; the ledger keeps runs and sent rows by account."),
    connection("--endpoint", envvar="IMPORTER_ENDPOINT", default=DEFAULT_ENDPOINT, show_default=True, metavar="URL",
               help="The API's base address, or the full address of its events."),
    connection("--ledger", envvar="IMPORTER_LEDGER", type=Ledger(path_type=Path, dir_okay=False), metavar="FILE",
               help="The ledger's file, or postgresql://user@host/database."
               " [default: ledger.db in your state directory]"),
)  # fmt: skip

ledger_options = options_of(
    account_options,
    basic("--sandbox", is_flag=True, help="Rehearse against a sandbox on this machine; no token, nothing leaves."),
)

token_option = connection("--token-file", envvar="IMPORTER_TOKEN_FILE", type=click.Path(path_type=Path), metavar="FILE",
                          help="Read the API token from FILE instead of the variable SENDER_API_TOKEN.")  # fmt: skip

sending_options = options_of(
    token_option,
    pace("--reserve", type=click.IntRange(min=0), default=0, metavar="N",
         help="Requests a minute to leave to the account's other programs."),
    pace("--outage-limit", type=Duration(), metavar="TIME",
         help="Stop if the API is away for longer than this (15m, 2h). [default: wait for it]"),
    sandbox("--sandbox-limit", "limit", type=click.IntRange(min=0), metavar="N",
            help="With --sandbox: its requests per minute. [default: no limit]"),
    sandbox("--sandbox-fault", "faults", default="", metavar="SPEC",
            help="With --sandbox: what goes wrong, such as error=0.02,slow=0.05:2s."),
    sandbox("--sandbox-seed", "seed", type=int, default=0, metavar="N", hidden=True),
    sandbox("--events", type=click.Path(dir_okay=False), metavar="FILE",
            help="With --sandbox: append what it accepts to FILE. [default: in --out]"),
    connection("--proxy", envvar="IMPORTER_PROXY", metavar="URL",
               help="Reach the API through this proxy; `environment`: the one that HTTPS_PROXY names. [default: none]"),
    connection("--ca-file", envvar="IMPORTER_CA_FILE", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
               help="Trust the certificates in FILE (PEM), too."),
    pace("--processes", type=click.IntRange(1, 64), metavar="N", hidden=True, callback=_processes,
         expose_value=False),
)  # fmt: skip

unattended_options = options_of(
    basic("--yes", "-y", is_flag=True, help="Do not ask before sending."),
    safety("--on-doubt", type=click.Choice(["hold", "resend"]), default="hold", show_default=True,
           help="An event that may have been accepted: wait for your decision, or send it again."),
    safety("--strict-order", is_flag=True,
           help="A subscriber's later events wait while an earlier one is in doubt."),
    safety("--max-refused", type=click.IntRange(min=0), default=100, show_default=True, metavar="N",
           help="Stop after N refusals in a row; 0 never does."),
    pace("--until", metavar="TIME", help="Stop at this time (06:00, 2026-11-30 06:00), or after it (90m, 8h)."),
    pace("--for", "lasting", type=Duration(), metavar="TIME", hidden=True),
    pace("--between", metavar="HH:MM-HH:MM", help="Send only at these times of day: 22:00-06:00."),
)  # fmt: skip

wait_option = pace("--wait", is_flag=True, help="Wait while another process sends for the account.")

delivery_options = options_of(
    pace("--first", type=click.IntRange(min=1), metavar="N", help="Send N events, then ask again."),
    pace("--max-events", "most", type=click.IntRange(min=1), metavar="N", hidden=True),
    wait_option,
    unattended_options,
)

console_options = options_of(
    output("--quiet", "-q", is_flag=True, help="Print nothing but warnings and errors."),
    output("--verbose", "-v", is_flag=True, help="Print progress more often, including every pause."),
    output("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
           help="The form of the messages on stderr: text, or one JSON object a line."),
    output("--metrics", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
           help="Keep FILE up to date with figures for Prometheus (textfile collector)."),
)  # fmt: skip


summary_option = output("--format", "output_format", type=click.Choice(["text", "json"]), default="text",
                        show_default=True,
                        help="json: also print the summary, as in summary.json, to stdout.")  # fmt: skip


accounts_option = basic("--accounts", "accounts_file", metavar="FILE", shell_complete=complete_files,
                        help="Many accounts at once: the YAML file that names them, and their rows.")  # fmt: skip


def fields_of(kind: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    """The fields of an object that are options of the command; the others keep their defaults."""
    return {name: given[name] for name in kind.__annotations__ if name in given}


def target_options(given: dict[str, Any]) -> TargetOptions:
    """Where events go, from all options of a command."""
    from importer.pipeline.options import TargetOptions, default_ledger
    from importer.sandbox import SandboxOptions

    rehearsal = None
    if given["sandbox"]:
        own = fields_of(SandboxOptions, given)
        rehearsal = SandboxOptions(**own | {"faults": _faults(given.get("faults") or "")})
    asked = fields_of(TargetOptions, given)
    ledger = given["ledger"] or default_ledger(os.environ)
    return TargetOptions(**asked | {"ledger": ledger, "environment": os.environ, "sandbox": rehearsal})


def run_options(given: dict[str, Any]) -> RunOptions:
    """What to deliver and how, from all options of a command."""
    from importer.pipeline.options import RunOptions

    asked = {"sources": (), "mapping": ""} | fields_of(RunOptions, given)
    return RunOptions(**asked, delivery=_delivery_options(given))


def _delivery_options(given: dict[str, Any]) -> DeliveryOptions:
    """How to deliver. A run that goes on keeps what it was begun with where an option is not given.

    Raises `UsageError` for text that is no time, and for a time that has passed.
    """
    from importer.deliver import DeliveryOptions, Schedule

    if "on_doubt" not in given:
        return DeliveryOptions()
    now = datetime.now().astimezone()  # in the machine's zone
    until, lasting, between = given["until"], given["lasting"], given["between"]
    ends = [_until(until, now).timestamp()] if until else []
    ends += [] if lasting is None else [now.timestamp() + lasting]
    return DeliveryOptions(
        **fields_of(DeliveryOptions, given),
        resend_doubtful=given["on_doubt"] == "resend" if was_given(click.get_current_context(), "on_doubt") else None,
        schedule=Schedule(min(ends, default=None), _between(between) if between else None),
    )


def _until(text: str, now: datetime) -> datetime:
    if clock := _clock(text):
        moment = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
        return moment if moment > now else moment + timedelta(days=1)
    try:
        if text[-1:].isalpha() and (seconds := seconds_of(text)) is not None:
            return now + timedelta(seconds=seconds)
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone() if moment.tzinfo is None else moment
    except (ValueError, OverflowError):
        raise UsageError(
            f"--until {text}: not a time", hint="write 06:00 or 2026-11-30 06:00, in this machine's zone, or 8h"
        ) from None
    if moment <= now:
        raise UsageError(f"--until {text}: that time has passed", hint="give a time to come")
    return moment


def _between(text: str) -> tuple[time, time]:
    begin, _, end = text.partition("-")
    first, second = _clock(begin.strip()), _clock(end.strip())
    if first is None or second is None or first == second:
        raise UsageError(f"--between {text}: not two times of day", hint="write 22:00-06:00, in this machine's zone")
    return first, second


def _clock(text: str) -> time | None:
    match = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text)
    if not match or int(match[1]) > 23 or int(match[2]) > 59:
        return None
    return time(int(match[1]), int(match[2]))


def _faults(text: str) -> Any:
    from importer.sandbox import parse_faults

    try:
        return parse_faults(text)
    except UsageError as error:
        raise UsageError(error.message.replace("--fault", "--sandbox-fault"), hint=error.hint or "") from None
