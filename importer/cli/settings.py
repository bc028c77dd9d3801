"""Settings: the command line, then ``IMPORTER_…`` variables, then one ``importer.toml``, then the default.

The file is the one of ``--config``, else ``importer.toml`` beside the mapping or in the working directory. Its keys are
the options' long names; a key at the top is for every command with that option, a key in a table ``[run]`` for that
command. click resolves the values, from the ``default_map`` that `Command.parse_args` gives its context.

A file that is found, not named, may belong to a stranger. So it must be the user's own (or root's), names no code
to run, and the endpoint it names gets the token only after the user has agreed.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from importer.cli.commands import COMMANDS, load_command
from importer.errors import UsageError
from importer.pipeline import load_arrow
from importer.wording import shown

_SETTINGS = "importer.settings"
HELP_ALL = "importer.help_all"
"""Where the context keeps what was found, and whether all options are shown."""
_FILE = "importer.toml"
_COMMAND_LINE_ONLY = frozenset({"yes", "again", "assume-sent", "resend", "give-up", "row", "live", "answer"})
"""Options that can reach customers, or decide whom: each time they are meant, they are typed."""
_CODE = frozenset({"transform", "on-finish", "on-success", "scheduler"})
"""Options that name code to run, or a scheduler, which gets all rows and answers with objects."""
_OWN = frozenset({"config", "env-file", "show-config", "help", "help-all"})


@dataclass(frozen=True, slots=True)
class _Settings:
    """What was found for one command."""

    typed: Mapping[str, Any] = field(default_factory=dict)
    """By parameter, as click's parser gives it."""
    path: Path | None = None
    named: bool = False
    """The user named the file with --config."""
    from_env_file: Mapping[str, Path] = field(default_factory=dict)
    """Variables that --env-file brought."""


class Option(click.Option):
    """An option that belongs to a group of the help; but for the first, --help lists their names only."""

    def __init__(self, *args: Any, group: str = "Basics", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


GROUPS = ("Basics", "Pace and time", "Safety", "Output", "Connection", "Sandbox", "Settings")


class Command(click.Command):
    """A command whose options are in groups, and can be set by variables and `importer.toml`."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        for name, option in _options(self).items():
            if option.envvar is None and name not in _COMMAND_LINE_ONLY:
                option.envvar = variable(name)
        files = click.Path(path_type=Path, dir_okay=False)
        self.params += [
            Option(["--config"], group="Settings", type=files, metavar="FILE", envvar=variable("config"),
                   expose_value=False,
                   help="Take settings from FILE. [default: importer.toml beside the mapping or here]"),
            Option(["--env-file"], group="Settings", type=files, metavar="FILE", expose_value=False,
                   help="Read variables from FILE, such as .env, that the environment does not have."),
            Option(["--show-config"], group="Settings", is_flag=True, is_eager=True, expose_value=False, callback=_show,
                   help="Print each setting, its value and where it comes from; do nothing else."),
            Option(["--help-all"], group="Settings", is_flag=True, is_eager=True, expose_value=False, hidden=True,
                   callback=_help_all, help="Show all options."),
        ]  # fmt: skip

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click. Reads the settings first."""
        if not ctx.resilient_parsing:
            typed, _, _ = self.make_parser(ctx).parse_args(args=list(args))
            if not (typed.get("help") or typed.get("help_all")):
                self._read_settings(ctx, typed)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """See click. The token goes to an endpoint of a found file only if the user agrees."""
        _confirm_endpoint(ctx)
        if not ctx.params.get("transform"):  # the user's own function may need all of them
            load_arrow()
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options in their groups, each group with a heading."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(param, "group", "Basics"), []).append(record)
        everything = ctx.meta.get(HELP_ALL, False)
        explained = [group for group in GROUPS if group in groups and (everything or group == GROUPS[0])]
        for group in explained:
            with formatter.section(group):
                formatter.write_dl(groups[group])
        if others := [group for group in GROUPS if group in groups and group not in explained]:
            with formatter.section(f"More, explained by {ctx.command_path} --help-all"):
                formatter.write_dl([(group, " ".join(_long_name(one) for one, _ in groups[group])) for group in others])

    def _read_settings(self, ctx: click.Context, typed: Mapping[str, Any]) -> None:
        brought = _read_variables(Path(typed["env_file"])) if typed.get("env_file") else {}
        named = typed.get("config") or os.environ.get(variable("config"))
        path = Path(named) if named else _find(typed.get("mapping"))
        ctx.meta[_SETTINGS] = _Settings(typed, path, bool(named), brought)
        ctx.default_map = None if path is None else _values(self, path, found=not named)


def _long_name(declaration: str) -> str:
    """``--out`` of ``--out DIR``."""
    return next(part for part in re.split("[ ,]", declaration) if part.startswith("--"))


def variable(name: str) -> str:
    """The environment variable of an option: ``IMPORTER_MAX_REFUSED`` for ``max-refused``."""
    return "IMPORTER_" + name.upper().replace("-", "_")


def was_given(ctx: click.Context, parameter: str) -> bool:
    """Whether the user set the parameter, in any way; otherwise it has its default."""
    return ctx.get_parameter_source(parameter) not in (ParameterSource.DEFAULT, None)


def config_of(ctx: click.Context) -> list[str]:
    """``--config FILE`` for another command, if the user named the file."""
    settings = _settings(ctx)
    return ["--config", str(settings.path)] if settings.named else []


def _read_variables(path: Path) -> dict[str, Path]:
    """Set the variables that the environment does not have; returns them, with the file."""
    from dotenv import dotenv_values

    from importer.deliver.token import exposure

    try:
        with path.open(encoding="utf-8") as file:
            values = dotenv_values(stream=file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"--env-file {path}: {reason}", hint="name a file of lines NAME=value") from None
    if warning := exposure(path):
        click.echo(f"warning: {shown(warning)}", err=True)
    new = {name: value for name, value in values.items() if value is not None and name not in os.environ}
    os.environ.update(new)
    return dict.fromkeys(new, path)


def _find(mapping: str | None) -> Path | None:
    """The file beside the mapping, else the one in the working directory."""
    beside = [Path(mapping).absolute().parent] if mapping and Path(mapping).is_file() else []
    for directory in (*beside, Path.cwd()):
        path = directory / _FILE
        if path.exists() or path.is_symlink():
            _refuse_strangers(path)
            return path
    return None


def _refuse_strangers(path: Path) -> None:
    """Raise `UsageError` unless only the user or root can change the file."""
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        trouble, hint = "is a link", "name the file itself with --config"
    elif facts.st_uid not in (os.getuid(), 0) or facts.st_mode & 0o022:
        trouble = "can be changed by other users of this machine"
        hint = "run chown and chmod go-w on it, or name it with --config"
    else:
        return
    raise UsageError(f"{path} {trouble}, and settings decide where your token goes", hint=hint)


def _values(command: click.Command, path: Path, *, found: bool) -> dict[str, Any]:
    """The file's settings for this command, by parameter. Raises `UsageError` for the first that cannot be used."""
    import tomllib

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="see docs/configuration.md") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}", hint='lines look like `account = "shop-eu"`') from None
    options = {name: set(_options(load_command(name))) for name in COMMANDS}
    for key, value in data.items():
        if isinstance(value, dict) and key in options:
            for name in value:
                _check(path, f"{key}.{name}", name, options[key], found=found)
        else:
            _check(path, key, key, set().union(options, *options.values()), found=found)
    top = {key: value for key, value in data.items() if not isinstance(value, dict)}
    own = _options(command)
    values = {}
    for key, value in {**top, **data.get(command.name or "", {})}.items():
        if option := own.get(key.replace("_", "-")):
            values[str(option.name)] = _value(path, key, value, option, command)
    return values


def _check(path: Path, key: str, name: str, known: set[str], *, found: bool) -> None:
    plain = name.replace("_", "-")
    if plain == "token":
        raise UsageError(
            f"{path}: {key}: a token does not belong into a settings file",
            hint="set SENDER_API_TOKEN, or name a file that only you can read with token-file",
        )
    if plain in _COMMAND_LINE_ONLY:
        raise UsageError(
            f"{path}: {key} cannot be set here", hint=f"give --{plain} on the command line, each time it is meant"
        )
    if plain not in known:
        import difflib

        near = difflib.get_close_matches(plain, sorted(known), n=1)
        hint = f"did you mean {near[0]}?" if near else "keys are the long names of options; see docs/configuration.md"
        raise UsageError(f"{path}: there is no setting {key}", hint=hint)
    if plain in _CODE and found:
        raise UsageError(
            f"{path}: {key} decides which code runs, and this file was found, not named",
            hint=f"give --{plain} on the command line, or name the file with --config",
        )


def _value(path: Path, key: str, value: Any, option: click.Option, command: click.Command) -> Any:
    """A value that the option takes; relative paths start at the file's directory."""

    def anchored(one: Any) -> Any:
        is_path = isinstance(option.type, click.Path)
        if not (isinstance(one, str) and (is_path or option.name in ("mapping", "transform"))) or "://" in one:
            return one
        there = path.parent / one
        # A mapping may be a preset's name, and a transform ends in a function's.
        return str(there) if is_path or option.name == "transform" or there.exists() else one

    given = list(map(anchored, value)) if isinstance(value, list) else anchored(value)
    try:
        option.type_cast_value(click.Context(command, resilient_parsing=True), given)
    except click.BadParameter as error:
        raise UsageError(f"{path}: {key} = {value!r}: {error.message.rstrip('.')}", hint="correct the line") from None
    return given


def _confirm_endpoint(ctx: click.Context) -> None:
    """Before a token leaves for an endpoint that a found file names, ask; raises `UsageError` where that cannot be."""
    settings = _settings(ctx)
    sends = "token_file" in ctx.params and not ctx.params.get("sandbox")
    if settings.named or not sends or ctx.get_parameter_source("endpoint") is not ParameterSource.DEFAULT_MAP:
        return
    where = f"{ctx.params['endpoint']}, named by {settings.path}"
    if ctx.params.get("yes") or not sys.stdin.isatty():
        raise UsageError(
            f"the API token would go to {where}", hint="give --endpoint itself, or name the file with --config"
        )
    if not click.confirm(f"The API token goes to {shown(where)}. Is that right?", default=False, err=True):
        raise UsageError("the endpoint was not confirmed; nothing was sent", hint="give --endpoint, or change the file")


def _settings(ctx: click.Context) -> _Settings:
    return cast("_Settings", ctx.meta.get(_SETTINGS, _Settings()))


def _help_all(ctx: click.Context, param: click.Parameter, value: object) -> None:
    del param
    if value and not ctx.resilient_parsing:
        ctx.meta[HELP_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit(0)


def _show(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Print every setting of the command, and where its value comes from; then end."""
    del param
    if not value or ctx.resilient_parsing:
        return
    lines = [(name, masked_address(text), origin) for name, text, origin in _lines(ctx)]
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    for name, text, origin in lines:
        click.echo(f"{name:<{widths[0]}}  {shown(text):<{widths[1]}}  {shown(origin)}")
    ctx.exit(0)


def masked_address(text: str) -> str:
    """The text without the user name and password of an address: ``https://***@host/``."""
    from importer.ledger.location import PostgresLocation

    if text.startswith(("postgresql://", "postgres://")):
        return str(PostgresLocation(text))
    scheme, found, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://***@{host.rpartition('@')[2]}{slash}{path}" if found and "@" in host else text


def _lines(ctx: click.Context) -> Iterator[tuple[str, str, str]]:
    from importer.deliver.token import VARIABLE

    settings = _settings(ctx)
    for name, option in _options(ctx.command).items():
        value, source = option.consume_value(ctx, settings.typed)
        origin = {
            ParameterSource.COMMANDLINE: "command line",
            ParameterSource.ENVIRONMENT: _variable_of(settings, str(option.envvar)),
            ParameterSource.DEFAULT_MAP: str(settings.path),
        }.get(source, "default")
        text = str(value) if isinstance(value, (bool, int, float, str, Path, tuple, list)) else "-"
        yield name, "[hidden]" if name == "token" else text or "-", origin
    if "token-file" in _options(ctx.command):
        there = VARIABLE in os.environ
        origin = _variable_of(settings, VARIABLE) if there else f"{VARIABLE} is not set"
        yield "token", "[hidden]" if there else "-", origin


def _variable_of(settings: _Settings, name: str) -> str:
    path = settings.from_env_file.get(name)
    return f"variable {name} in {path}" if path else f"variable {name}"


def _options(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that can be set, by their long names."""
    options = (param for param in command.params if isinstance(param, click.Option))
    named = {max(option.opts, key=len).lstrip("-"): option for option in options}
    return {name: option for name, option in named.items() if name not in _OWN}
