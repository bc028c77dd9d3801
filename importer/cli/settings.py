"""Settings from files and the environment, for every command alike.

This module owns where they are looked for and which is stronger: the command line, then ``IMPORTER_…`` variables, then
``importer.toml`` (or ``[tool.importer]`` in ``pyproject.toml``), then the default. Commands know nothing of it: click
resolves the values, from the defaults that are put into its context here. What an option means is the command's.

One file counts: that of ``--config``, else the first one found beside the mapping, in the working directory, or in the
directories above it. Its keys are the options' long names; at the top they are for every command that has the option,
in a table ``[run]`` for that command.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from importer.errors import UsageError

ARGUMENTS = "importer.cli.arguments"
"""Where the context keeps what was typed behind the command's name."""
_SETTLED = "importer.cli.settled"
_FROM_FILE = "importer.cli.from_file"
_FILES = ("importer.toml", "pyproject.toml")
_EACH_TIME = frozenset({"yes", "again", "assume-sent", "resend", "row"})
"""What may reach customers, and so is said on the command line, each time."""
_OWN = frozenset({"config", "env-file", "show-config", "help"})


@dataclass(frozen=True, slots=True)
class _Found:
    """A configuration file, and what it holds."""

    path: Path
    data: Mapping[str, Any]


def configurable(command: click.Command) -> click.Command:
    """Give a command the options about settings, and each of its options its variable. May be called again."""
    if any(param.name == "show_config" for param in command.params):
        return command
    for name, option in _options(command).items():
        if option.envvar is None and name not in _EACH_TIME:
            option.envvar = variable(name)
    files = click.Path(path_type=Path, dir_okay=False)
    eager = partial(click.Option, is_eager=True, expose_value=False)
    command.params += [
        eager(["--config"], type=files, metavar="FILE", envvar=variable("config"), callback=_settle,
              help="Take settings from FILE. [default: importer.toml beside the mapping, here or above]"),
        eager(["--env-file"], type=files, metavar="FILE", callback=_settle,
              help="Read variables from FILE, such as .env, that the environment does not have."),
        eager(["--show-config"], is_flag=True, callback=_show,
              help="Print each setting, its value and where it comes from; do nothing else."),
    ]  # fmt: skip
    return command


def variable(name: str) -> str:
    """The environment variable of an option."""
    return "IMPORTER_" + name.upper().replace("-", "_")


def _settle(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Put the file's settings where click looks for defaults, before any other option is looked at."""
    del param, value
    if ctx.resilient_parsing or _SETTLED in ctx.meta:
        return
    typed = _typed(ctx)
    if typed.get("env_file"):
        ctx.meta[_FROM_FILE] = _read_variables(Path(typed["env_file"]))
    found = _find(typed.get("config") or os.environ.get(variable("config")), typed.get("mapping"))
    ctx.meta[_SETTLED] = found
    if found is not None:
        ctx.default_map = _defaults(found, ctx)


def _typed(ctx: click.Context) -> Mapping[str, Any]:
    """The options as they were typed, by their parameters' names."""
    options, _, _ = ctx.command.make_parser(ctx).parse_args(args=list(ctx.meta[ARGUMENTS]))
    return options


def _read_variables(path: Path) -> dict[str, Path]:
    """Set what the environment does not have; returns which variables those are, and the file."""
    from dotenv import dotenv_values

    from importer.deliver.token import exposure

    try:
        with path.open(encoding="utf-8") as file:
            values = dotenv_values(stream=file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"--env-file {path}: {reason}", hint="name a file of lines NAME=value") from None
    if warning := exposure(path):
        click.echo(f"warning: {warning}", err=True)
    new = {name: value for name, value in values.items() if value is not None and name not in os.environ}
    os.environ.update(new)
    return dict.fromkeys(new, path)


def _find(named: str | None, mapping: str | None) -> _Found | None:
    """The configuration that counts, or None."""
    if named:
        found = _load(Path(named))
        if found is None:
            raise UsageError(f"{named} has no table [tool.importer]", hint="or name an importer.toml with --config")
        return found
    here = Path.cwd()
    beside = [Path(mapping).absolute().parent] if mapping and Path(mapping).is_file() else []
    for directory in (*beside, here, *here.parents):
        for name in _FILES:
            path = directory / name
            found = _load(path) if path.is_file() else None
            if found is not None:
                _refuse_strangers(path)
                return found
    return None


def _load(path: Path) -> _Found | None:
    import tomllib  # most commands meet no such file

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="see docs/configuration.md") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        if path.name == "pyproject.toml":
            return None  # another tool's business, and it will say so
        raise UsageError(f"{path} is no TOML: {error}", hint='lines look like `account = "shop-eu"`') from None
    if path.name == "pyproject.toml":
        table: dict[str, Any] | None = data.get("tool", {}).get("importer")
        return None if table is None else _Found(path, table)
    return _Found(path, data)


def _refuse_strangers(path: Path) -> None:
    """A file found on the way up, which could name another endpoint for the token, must be the user's own or root's."""
    stat = path.stat()
    if stat.st_uid not in (os.getuid(), 0) or stat.st_mode & 0o002:
        raise UsageError(
            f"{path} can be changed by other users of this machine, and settings decide where your token goes",
            hint="run chown and chmod o-w on it, or name it yourself with --config",
        )


def _defaults(found: _Found, ctx: click.Context) -> dict[str, Any]:
    """The file's settings for this command, by parameter. Raises `UsageError` for the first that cannot be."""
    from importer.cli import COMMANDS

    commands = {name: importlib.import_module(f"importer.cli.{name}").command for name in COMMANDS}
    every = {option for command in commands.values() for option in _options(command)}
    own = _options(ctx.command)
    values: dict[str, Any] = {}
    for key, value in found.data.items():
        if isinstance(value, dict) and key in commands:
            for name in value:
                _check(found, f"{key}.{name}", name, _options(commands[key]))
        else:
            _check(found, key, key, every | set(commands))
    table = found.data.get(ctx.command.name or "", {})
    top = {key: value for key, value in found.data.items() if not isinstance(value, dict)}
    for key, value in {**top, **table}.items():
        if option := own.get(_plain(key)):
            values[str(option.name)] = _value(found, key, value, option, ctx)
    return values


def _check(found: _Found, key: str, name: str, known: Iterable[str]) -> None:
    plain = _plain(name)
    if plain == "token":
        raise UsageError(
            f"{found.path}: {key}: a token does not belong into a settings file",
            hint="set SENDER_API_TOKEN, or name a file that only you can read with token-file",
        )
    if plain in _EACH_TIME:
        raise UsageError(
            f"{found.path}: {key} cannot be set here", hint=f"say --{plain} on the command line, each time it is meant"
        )
    if plain not in known:
        import difflib

        near = difflib.get_close_matches(plain, sorted(known), n=1)
        hint = f"did you mean {near[0]}?" if near else "keys are the long names of options; see docs/configuration.md"
        raise UsageError(f"{found.path}: there is no setting {key}", hint=hint)


def _value(found: _Found, key: str, value: Any, option: click.Option, ctx: click.Context) -> Any:
    """A value that the option takes; paths count from where the file lies."""
    given = [_from_here(found, one, option) for one in value] if isinstance(value, list) else value
    given = _from_here(found, given, option)
    try:
        option.type_cast_value(ctx, given)
    except click.BadParameter as error:
        raise UsageError(
            f"{found.path}: {key} = {value!r}: {error.message.rstrip('.')}", hint="mend the line"
        ) from None
    return given


def _from_here(found: _Found, value: Any, option: click.Option) -> Any:
    is_path = isinstance(option.type, click.Path) or option.name in ("mapping", "transform")
    if not (is_path and isinstance(value, str)):
        return value
    path = found.path.parent / value
    # A mapping may be a preset's name, and a transform ends in a function's.
    there = isinstance(option.type, click.Path) or path.exists() or option.name == "transform"
    return str(path) if there else value


def _show(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Print every setting of the command, and where its value comes from; then end."""
    if not value or ctx.resilient_parsing:
        return
    _settle(ctx, param, value)
    lines = list(_lines(ctx))
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    for name, shown, origin in lines:
        click.echo(f"{name:<{widths[0]}}  {shown:<{widths[1]}}  {origin}")
    ctx.exit(0)


def _lines(ctx: click.Context) -> Iterator[tuple[str, str, str]]:
    from click.core import ParameterSource

    from importer.deliver.token import VARIABLE

    typed = dict(_typed(ctx))
    found = ctx.meta[_SETTLED]
    for name, option in _options(ctx.command).items():
        value, source = option.consume_value(ctx, typed)
        origin = {
            ParameterSource.COMMANDLINE: "command line",
            ParameterSource.ENVIRONMENT: _variable_of(ctx, str(option.envvar)),
            ParameterSource.DEFAULT_MAP: str(found.path) if found else "",
        }.get(source, "default")
        shown = "-" if not isinstance(value, (bool, int, float, str, Path, tuple, list)) else str(value)
        yield name, "[hidden]" if name == "token" else shown or "-", origin
    if "token-file" in _options(ctx.command):
        there = VARIABLE in os.environ
        yield "token", "[hidden]" if there else "-", _variable_of(ctx, VARIABLE) if there else f"{VARIABLE} is not set"


def _variable_of(ctx: click.Context, name: str) -> str:
    path = ctx.meta.get(_FROM_FILE, {}).get(name)
    return f"variable {name} in {path}" if path else f"variable {name}"


def _options(command: click.Command) -> dict[str, click.Option]:
    """A command's options that can be set, by their long names."""
    options = (param for param in command.params if isinstance(param, click.Option))
    named = {_long(option): option for option in options}
    return {name: option for name, option in named.items() if name not in _OWN}


def _long(option: click.Option) -> str:
    return max(option.opts, key=len).lstrip("-")


def _plain(key: str) -> str:
    return key.replace("_", "-")
