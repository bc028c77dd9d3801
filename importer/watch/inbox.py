"""The watched directory: which files are complete, and where each one moves.

    DIR/NAME                  dropped, perhaps still being written
    DIR/processing/NAME       taken; its reports grow in processing/NAME.report/
    DIR/done/NAME             with done/NAME.report/
    DIR/failed/NAME           with failed/NAME.report/
    DIR/.importer-watch/      the lock, and what is remembered of the columns

Every step of a file is one rename, of its reports before itself, so a crash leaves it where the next round finds it.
Where DIR is a prefix of an object store, a rename is a copy and a deletion; reports grow in the user's state directory,
which has the same places, and are uploaded before their file is moved. A
name that was used before gets the time of its arrival: ``orders~20261124-020003.csv``; one that is not UTF-8, which no
report could name, gets escapes in the place of its odd bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from importer.errors import UsageError
from importer.remote import RemotePath, RemoteStatus
from importer.report import SUMMARY
from importer.watch.outcome import Place
from importer.wording import shown

HIDDEN = ".importer-watch"
REPORT = ".report"
DONE_MARKER = ".done"
DROPS = "drops.yaml"
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".upload", ".swp", "~")
"""How senders name what they are still writing; the rename that follows says that it is complete.

What begins with ``~$`` is Excel's own, beside a workbook that is open."""

FileSignature = tuple[int, int, int] | RemoteStatus
"""A file's inode (an object's ETag), size and time of change."""


class Inbox:
    """See the module's docstring. Raises `UsageError` where the directory cannot be used."""

    def __init__(self, directory: Path | RemotePath, marker: str = "") -> None:
        self._directory = directory
        self._here = directory if isinstance(directory, Path) else _state(directory)
        """Where reports grow."""
        self._marker = marker or DONE_MARKER
        self._marked_only = bool(marker)
        self._before: dict[str, FileSignature] = {}
        """What the last scan saw."""

    @property
    def memory(self) -> Path:
        """Where things may be remembered."""
        return self._here / HIDDEN

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Make the directories, and keep other watches out."""
        if not self._directory.is_dir():
            raise UsageError(f"{self._directory} is not a directory", hint="name the directory where the files arrive")
        try:
            for place in (HIDDEN, *Place):
                (self._here / place).mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self.memory / "lock", mode=0o600)
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"another importer already watches {self._directory}", hint="stop that one first, or let it do the work"
            ) from None
        except OSError as error:
            raise UsageError(
                f"{self._directory} cannot be watched: {(error.strerror or str(error)).lower()}",
                hint="importer needs to create and move files there; check its owner and permissions",
            ) from None
        with lock:
            self._remove_orphaned_markers()
            self.tidy()
            yield

    def scan(self) -> tuple[list[str], list[str]]:
        """The files that are complete, oldest first, and those that are not yet."""
        complete: list[str] = []
        growing: list[str] = []
        files = _files(self._directory)
        there = {name for name, _ in files}
        seen = {name: signature for name, signature in files if self._is_file(name)}
        for name, signature in seen.items():
            marked = name + self._marker in there
            still = not self._marked_only and self._before.get(name) == signature
            (complete if marked or still else growing).append(name)
        self._before = seen
        return complete, growing

    def _is_file(self, name: str) -> bool:
        """Whether a name is that of a file to deliver, by its form."""
        return not name.startswith((".", "~$")) and not name.endswith((*_UNFINISHED, self._marker)) and name != DROPS

    def not_files(self) -> Iterator[str]:
        """What is in the directory but is neither a file nor a directory, each with what it is."""
        for path in self._directory.iterdir() if isinstance(self._directory, Path) else ():
            if path.is_symlink() and self._is_file(path.name):
                yield f"{shown(path.name)} is a symbolic link"
            elif not (path.is_file() or path.is_dir()) and path.exists():
                yield f"{shown(path.name)} is not a regular file"

    def take(self, name: str) -> str:
        """Move a file to where it is worked on; its name there, by which it will be known to the end."""
        source: Any = self._directory / name
        taken = self._free(_utf8(name), source.stat().st_mtime_ns / 1e9)
        source.rename(self.path(taken, Place.PROCESSING))
        (self._directory / (name + self._marker)).unlink(missing_ok=True)
        self._before.pop(name, None)
        return taken

    def processing(self) -> list[str]:
        """The files that were taken and have no last place yet, oldest first."""
        names = [name for name, _ in _files(self._directory / Place.PROCESSING)]
        for name in names:
            if name != _utf8(name):
                path: Any = self.path(name, Place.PROCESSING)
                path.rename(self.path(_utf8(name), Place.PROCESSING))
        return [_utf8(name) for name in names]

    def path(self, taken: str, place: Place) -> Path | RemotePath:
        """Where a file is."""
        return self._directory / place / taken

    def report(self, taken: str, place: Place) -> Path:
        """Where its reports are, on this machine."""
        return self._here / place / (taken + REPORT)

    def published(self, taken: str, place: Place) -> Path | RemotePath:
        """Where the user finds its reports."""
        return self._directory / place / (taken + REPORT)

    def half_moved(self, taken: str) -> Place | None:
        """Where the reports of a file went whose own move a crash prevented."""
        return next((place for place in (Place.DONE, Place.FAILED) if self.report(taken, place).exists()), None)

    def finish(self, taken: str, place: Place) -> bool:
        """Move a file, its reports first, to its last place; False if the file itself is no longer there."""
        report = self.report(taken, Place.PROCESSING)
        if report.exists():
            if self.report(taken, place).exists():
                shutil.rmtree(report)
            else:
                report.rename(self.report(taken, place))
        self._publish(taken, place)
        try:
            path: Any = self.path(taken, Place.PROCESSING)
            path.rename(self.path(taken, place))
        except FileNotFoundError:
            return False
        return True

    def _publish(self, taken: str, place: Place) -> None:
        """Upload a file's reports, the summary of all of it last."""
        there, here = self.published(taken, place), self.report(taken, place)
        if isinstance(there, RemotePath) and here.exists():
            files = [path for path in here.rglob("*") if path.is_file()]
            for path in sorted(files, key=lambda path: (path == here / SUMMARY, path)):
                with path.open("rb") as file:
                    (there / path.relative_to(here).as_posix()).write(file)

    def tidy(self) -> None:
        """Remove from this machine the reports of objects that have their last place, where they were uploaded."""
        if isinstance(self._directory, RemotePath):
            left = {self.report(taken, place) for taken in self.processing() for place in Place}
            for place in (Place.DONE, Place.FAILED):
                for report in (self._here / place).iterdir():
                    if report not in left:
                        shutil.rmtree(report)

    def _free(self, name: str, arrived: float) -> str:
        """The name itself, or with its time of arrival if another file has or had it."""
        taken, stem = name, name[: name.find(".", 1)] if "." in name[1:] else name
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(arrived))
        count = 1
        while any(path.exists() for place in Place for path in (self.path(taken, place), self.published(taken, place))):
            taken = f"{stem}~{stamp}{'' if count == 1 else f'-{count}'}{name[len(stem) :]}"
            count += 1
        return taken

    def _remove_orphaned_markers(self) -> None:
        """A marker whose file was taken would make the next file of that name complete too early."""
        there = {name for name, _ in _files(self._directory)}
        for name in there:
            if name.endswith(self._marker) and name.removesuffix(self._marker) not in there:
                (self._directory / name).unlink(missing_ok=True)


def _state(address: RemotePath) -> Path:
    """A directory of this machine for a prefix."""
    digest = hashlib.sha256(str(address).encode()).hexdigest()[:16]
    return platformdirs.user_state_path("importer") / "watch" / f"{address.name}-{digest}"


def signature_of(path: Path | RemotePath) -> FileSignature | None:
    """What changes when a program writes to the file; None if it is not there."""
    try:
        if isinstance(path, RemotePath):
            return path.stat()
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _utf8(name: str) -> str:
    """A name that every report can hold."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _files(directory: Path | RemotePath) -> list[tuple[str, FileSignature]]:
    """The regular files in a directory, oldest first."""
    found: list[tuple[str, FileSignature]]
    found = (
        list(directory.files())
        if isinstance(directory, RemotePath)
        else [
            (path.name, signature)
            for path in directory.iterdir()
            if not path.is_symlink() and path.is_file() and (signature := signature_of(path))
        ]
    )
    return sorted(found, key=lambda one: (one[1][2], one[0]))
