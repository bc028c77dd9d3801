"""Mistakes on the command line, in this program's form: what is wrong, a blank line, what to do."""

from __future__ import annotations

import re

import click

from importer.errors import UsageError

_HINTS = {
    "mapping": "`importer init FILE` writes a mapping, `importer presets` lists ready ones",
    "sources": "name one or more files, directories or patterns, or - for standard input",
}
"""What to do about a missing parameter, by its name."""


def usage_error(error: click.ClickException) -> UsageError:
    """The same error as a `UsageError`, with the nearest known command or option."""
    message = error.format_message().rstrip(".")
    message = re.sub(r"'(--?[a-z-]+)' / '(--[a-z-]+)'", r"\1 / \2", message)
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "importer"
    hint = f"`{path} --help` shows what it takes"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        hint = _HINTS.get(error.param.name or "", hint)
    if isinstance(error, click.UsageError) and message.startswith("No such command"):
        hint = _near_command(message, context, hint)
    if near := re.search(r" \(?Did you mean (?:one of: )?(.+?)\?\)?$", message):
        message, hint = message[: near.start()].rstrip("."), f"did you mean {near[1]}? {hint}"
    return UsageError(f"{path}: {message[:1].lower()}{message[1:]}", hint=hint)


def _near_command(message: str, context: click.Context | None, hint: str) -> str:
    typed = message.rpartition(" '")[2].rstrip("'")
    group = context.command if context else None
    known = group.list_commands(context) if context and isinstance(group, click.Group) else []
    import difflib

    near = difflib.get_close_matches(typed, known, n=1)
    return f"did you mean {near[0]}? {hint}" if near else hint
