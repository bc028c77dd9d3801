"""Outputs behind an address: made in a private directory of this machine, and uploaded once they are complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from importer import report
from importer.errors import ReportError, SourceError
from importer.remote import RemotePath
from importer.report import Written
from importer.wording import shell_quoted

if TYPE_CHECKING:
    from importer.report.accounts import AccountsReport

Made = TypeVar("Made", Written, "AccountsReport")
EVENTS = "sandbox-events.jsonl"


@contextmanager
def made_for(out: Path | RemotePath) -> Iterator[Path]:
    """The directory in which the outputs for ``out`` are made; raises `UsageError` or `SourceError` if it cannot be.

    What `publish` has not uploaded is removed, unless the outputs are complete.
    """
    if isinstance(out, Path):
        report.prepare(out)  # a directory that cannot be written to is found before anything is sent
        yield out
        return
    probe = out / ".importer-probe"
    probe.write_bytes(b"")
    probe.unlink()
    here = Path(tempfile.mkdtemp(prefix="importer-out-"))
    try:
        if (out / EVENTS).is_file():
            (here / EVENTS).write_bytes((out / EVENTS).read_bytes())  # a rehearsal that goes on adds to them
        yield here
    finally:
        if not (here / report.SUMMARY).exists():
            shutil.rmtree(here, ignore_errors=True)


def publish(written: Made, here: Path, out: Path | RemotePath) -> Made:
    """Upload the outputs, the summary last, so that one that is there means that the rest is there.

    Of an earlier report, what the user has changed is set aside and the rest goes, as in a directory here. Where that
    fails, the outputs stay in ``here``, which the result's ``failure`` names.
    """
    if isinstance(out, Path) or not written.paths:
        return written
    *files, summary = (here / path.name for path in written.paths)
    try:
        report.keep_user_files(out, {path.name for path in files})
        (out / summary.name).unlink(missing_ok=True)
        for path in [*(path for path in (here / EVENTS,) if path.exists()), *files, summary]:
            upload(path, out / path.name)
    except (SourceError, OSError) as error:
        words = error.message if isinstance(error, SourceError) else f"{out}: cannot be written: {error}"
        hint = f"copy them from there, or `importer report {written.summary.run} -o {out}` writes them again"
        failure = ReportError(f"{words}; the outputs are in {here}", hint=hint)
        if isinstance(written, Written):  # commands to paste name files that are there
            commands = [[_found(here, out, files, command) for command in step.commands] for step in written.steps]
            steps = [replace(step, commands=tuple(those)) for step, those in zip(written.steps, commands, strict=True)]
            return replace(written, failure=failure, steps=tuple(steps))
        return replace(written, failure=failure)
    shutil.rmtree(here)
    return replace(written, paths=tuple(out / path.name for path in written.paths))


def _found(here: Path, out: RemotePath, files: Sequence[Path], command: str) -> str:
    for path in files:
        command = command.replace(shell_quoted(str(out / path.name)), shell_quoted(str(here / path.name)))
    return command


def upload(path: Path, target: RemotePath) -> None:
    """Copy a file there; raises `OSError` or `SourceError`."""
    with path.open("rb") as file:
        target.write(file)
