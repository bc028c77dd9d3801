"""Text for the terminal: safe to print, and as wide as the screen.

This module owns how a finished sentence is shown on stderr; what it says is its author's. A log in the terminal's place
gets each paragraph as one line, so that it can be searched.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap

import click

from importer.errors import UsageError

_SECRET = 8
"""Characters from which on a token is no everyday word."""

_HINTS = {
    "mapping": "`importer init FILE` writes a mapping, `importer presets` lists ready ones",
    "sources": "name one or more files, directories or patterns, or - for standard input",
}
"""What to do about a parameter that is missing, by its name."""


def safe(text: str) -> str:
    """The text with control characters of files and servers as escapes such as backslash-x1b; line breaks stay.

    The token is masked, should a user's own function have put it into its error.
    """
    token = os.environ.get("SENDER_API_TOKEN", "").strip()
    if len(token) >= _SECRET:
        text = text.replace(token, "(the token)")
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def on_screen(text: str) -> str:
    """The text made safe; on a terminal also broken between words, so that no word is cut at the right edge."""
    text = safe(text)
    if not sys.stderr.isatty():
        return text
    return "\n".join(_wrapped(line, shutil.get_terminal_size().columns) for line in text.split("\n"))


def usage_error(error: click.ClickException) -> UsageError:
    """What click found wrong with the command line, in this program's form: what, then what to do."""
    message = error.format_message().rstrip(".")
    message = re.sub(r"'(--?[a-z-]+)' / '(--[a-z-]+)'", r"\1 / \2", message)
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "importer"
    hint = f"`{path} --help` shows what it takes"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        hint = _HINTS.get(error.param.name or "", hint)
    if isinstance(error, click.UsageError) and message.startswith("No such command"):
        message, hint = _near_command(message, context, hint)
    if near := re.search(r" \(?Did you mean (?:one of: )?(.+?)\?\)?$", message):
        message, hint = message[: near.start()].rstrip("."), f"did you mean {near[1]}? {hint}"
    return UsageError(f"{path}: {message[:1].lower()}{message[1:]}", hint=hint)


def _near_command(message: str, context: click.Context | None, hint: str) -> tuple[str, str]:
    typed = message.rpartition(" '")[2].rstrip("'")
    group = context.command if context else None
    known = group.list_commands(context) if context and isinstance(group, click.Group) else []
    import difflib

    near = difflib.get_close_matches(typed, known, n=1)
    return message, f"did you mean {near[0]}? {hint}" if near else hint


def _wrapped(line: str, width: int) -> str:
    indent = "  " if line.startswith("  ") else ""
    return textwrap.fill(
        line, width, subsequent_indent=indent * 2, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()
