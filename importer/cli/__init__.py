"""The command line: the commands, a file per subject, each with its help, its options and its few lines of work.

Data goes to stdout, everything else to stderr. Every error ends as a sentence and an exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import os
import re
import sys
from collections.abc import Sequence

import click

from importer import __version__
from importer.cli.commands import COMMANDS, load_command
from importer.errors import ExitCode, ImporterError, UsageError
from importer.wording import shown

_HINTS = {
    "mapping": "`importer init FILE` writes a mapping, `importer presets` lists ready ones",
    "sources": "name one or more files, directories or patterns, or - for standard input",
}
"""What to do about a missing parameter, by its name."""


class Commands(click.Group):
    """A group whose commands are imported when they are needed, so that `importer --help` starts in a blink."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which users meet them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None makes click say which are near."""
        del ctx
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with the whole first sentence of its help."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="importer")
def group() -> None:
    """Import CSV, JSONL and Parquet exports into Sender as custom events, with a report for every row.

    \b
    From a file of your own to a rehearsal, without sending anything to anyone:
      importer start purchases.csv
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    _replace_closed_streams()
    # At 700, a tenth of a small check is spent on looking for garbage among what was imported; at its end, a fifth.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    try:
        code = group.main(args=arguments, prog_name="importer", standalone_mode=False) or ExitCode.DELIVERED
    except ImporterError as error:
        _complain(str(error))
        code = error.exit_code
    except click.exceptions.Abort:
        click.echo("error: interrupted; nothing more was sent", err=True)
        code = ExitCode.STOPPED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = ExitCode.UNUSABLE
    except click.ClickException as error:
        _complain(str(_usage_error(error)))
        code = ExitCode.UNUSABLE
    except KeyboardInterrupt:
        click.echo("error: interrupted; nothing more was sent\n\nhint: run the same command again to go on", err=True)
        code = ExitCode.STOPPED
    except BrokenPipeError:
        code = ExitCode.INCOMPLETE  # the reader of the output has gone
    except OSError as error:
        place = (
            f"{shown(str(error.filename))} cannot be used" if error.filename else "a file cannot be opened or written"
        )
        few = error.errno in (errno.EMFILE, errno.ENFILE)
        hint = "\n\nhint: raise the limit of open files (ulimit -n), then run the same command again" if few else ""
        _complain(f"error: {place}: {error.strerror or error}{hint}")
        code = ExitCode.STOPPED
    except Exception as error:  # noqa: BLE001  # the net: a defect of ours is an error in words, too
        code = _report_defect(error)
    return _flushed(int(code))


def _usage_error(error: click.ClickException) -> UsageError:
    """The same error as a `UsageError`, with the nearest known command or option."""
    message = error.format_message().rstrip(".")
    message = re.sub(r"'(--?[a-z-]+)' / '(--[a-z-]+)'", r"\1 / \2", message)
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "importer"
    hint = f"`{path} --help` shows what it takes"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        hint = _HINTS.get(error.param.name or "", hint)
    if message.startswith("No such command"):
        import difflib

        near = difflib.get_close_matches(message.rpartition(" '")[2].rstrip("'"), COMMANDS, n=1)
        hint = f"did you mean {near[0]}? {hint}" if near else hint
    if found := re.search(r" \(?Did you mean (?:one of: )?(.+?)\?\)?$", message):
        message, hint = message[: found.start()].rstrip("."), f"did you mean {found[1]}? {hint}"
    return UsageError(f"{path}: {message[:1].lower()}{message[1:]}", hint=hint)


def _replace_closed_streams() -> None:
    """Put something in the place of streams that were closed before the process began.

    Otherwise the next file that is opened, such as the ledger, would get their number. Writing to stdout fails then, as
    it would on a full disk; stderr takes words to nowhere.
    """
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _report_defect(error: Exception) -> ExitCode:
    """Print what happened and keep the details in a file; the exit code says that the run may be unfinished."""
    import tempfile
    import traceback

    from importer.cli.console import masked

    details = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="importer-error-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(masked(details))
        where = f"the details are in {file.name}"
    except OSError:
        where = "the details could not be written to a file"
    message = f"error: importer failed in a way that it does not know: {type(error).__name__}: {error}"
    hint = f"hint: {where}; `importer runs` shows what was sent, and the same command goes on from there"
    _complain(f"{message}\n\n{hint}")
    return ExitCode.STOPPED


def _complain(text: str) -> None:
    """Print an error, if stderr can still be written."""
    from importer.cli.console import on_screen

    with contextlib.suppress(OSError, ValueError):
        click.echo(on_screen(text), err=True)


def _flushed(code: int) -> int:
    """The exit code once stdout is written. Output that cannot be written is an error, never a success."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and code != ExitCode.STOPPED:
            _complain(f"error: stdout cannot be written: {error.strerror}")
        # Python flushes stdout again at exit, and would report the same trouble in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or int(ExitCode.STOPPED)
    return code
