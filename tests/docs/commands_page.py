"""docs/commands.md: every command's own help, so that page and program cannot differ.

``python -m tests.docs.commands_page > docs/commands.md`` writes it; a test keeps it current.
"""

from __future__ import annotations

import inspect

import click

from importer.cli.commands import COMMANDS, load_command
from importer.cli.settings import HELP_ALL
from importer.errors import ExitCode

_WIDTH = 100
_HEAD = """\
# Commands

Each as `importer COMMAND --help-all` shows it. Options can also be set in a file or by variables: see
[configuration](configuration.md). Data goes to stdout, everything else to stderr.

Written by `python -m tests.docs.commands_page`; do not edit.
"""


def reference() -> str:
    """The whole page, Markdown that ends in a line break."""
    return "\n".join([_HEAD, *(_section(load_command(name)) for name in COMMANDS), _exit_codes()])


def _section(command: click.Command) -> str:
    context = click.Context(
        command,
        info_name=f"importer {command.name}",
        terminal_width=_WIDTH,
        help_option_names=["-h", "--help"],  # as the group hands them down
    )
    context.meta[HELP_ALL] = True
    return f"## importer {command.name}\n\n```text\n{command.get_help(context)}\n```\n"


def _exit_codes() -> str:
    """Each exit code with its docstring."""
    source = inspect.getsource(ExitCode)
    lines = []
    for code in ExitCode:
        words = source.partition(f"    {code.name} = ")[2].partition('"""')[2].partition('"""')[0]
        lines.append(f"| {code.value} | {' '.join(words.split())} |")
    return "\n".join(["## Exit codes", "", "| code | meaning |", "|---|---|", *lines, ""])


if __name__ == "__main__":
    click.echo(reference(), nl=False)
