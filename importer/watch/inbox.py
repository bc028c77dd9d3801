"""The watched directory: which files are complete, and where each one moves.

This module owns the layout

    DIR/NAME                  dropped, perhaps still being written
    DIR/processing/NAME       taken; its reports grow in processing/NAME.report/
    DIR/done/NAME             with done/NAME.report/
    DIR/failed/NAME           with failed/NAME.report/
    DIR/.importer-watch/      the lock, and what is remembered of the columns

and that every step of a file is one rename, of its reports before itself, so that a crash leaves it where the next
round finds it. A name that is taken already gets the time of its arrival: ``orders~20261124-020003.csv``.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from importer.errors import UsageError
from importer.watch.outcome import Place

HIDDEN = ".importer-watch"
REPORT = ".report"
DONE_MARKER = ".done"
DROPS = "drops.yaml"
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".upload", ".swp", "~")
"""How senders name what they are still writing; the rename that follows says that it is complete."""
_STAMP = re.compile(r"~\d{8}-\d{6}(?:-\d+)?(?=\.|$)")

Sign = tuple[int, int, int]
"""A file's inode, size and time of change."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that lies in the directory itself."""

    name: str
    sign: Sign
    marked: bool
    """Its marker is there."""


class Inbox:
    """See the module's docstring. Raises `UsageError` where the directory cannot be used."""

    def __init__(self, directory: Path, marker: str = "") -> None:
        self._directory = directory
        self._marker = marker or DONE_MARKER
        self._marked_only = bool(marker)
        self._before: dict[str, Sign] = {}
        """What the last look saw."""

    def __repr__(self) -> str:
        return f"<Inbox {self._directory}>"

    @property
    def memory(self) -> Path:
        """Where things may be remembered."""
        return self._directory / HIDDEN

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make the directories, and be the only one to watch here."""
        if not self._directory.is_dir():
            raise UsageError(f"{self._directory} is no directory", hint="name the directory that the files arrive in")
        try:
            for place in (HIDDEN, *Place):
                (self._directory / place).mkdir(mode=0o700, exist_ok=True)
            lock = FileLock(self.memory / "lock", mode=0o600)
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"another importer watches {self._directory} already", hint="stop that one first, or let it do the work"
            ) from None
        except OSError as error:
            raise UsageError(
                f"{self._directory} cannot be watched: {(error.strerror or str(error)).lower()}",
                hint="importer needs to create and move files there; check its owner and permissions",
            ) from None
        with lock:
            self._remove_orphaned_markers()
            yield

    def look(self) -> tuple[list[str], list[str]]:
        """The files that are complete, oldest first, and those that are not yet."""
        arrivals = self._arrivals()
        complete: list[str] = []
        growing: list[str] = []
        for one in arrivals:
            still = not self._marked_only and self._before.get(one.name) == one.sign
            (complete if one.marked or still else growing).append(one.name)
        self._before = {one.name: one.sign for one in arrivals}
        return complete, growing

    def take(self, name: str) -> str:
        """Move a file to where it is worked on; its name there, by which it will be known to the end."""
        source = self._directory / name
        own = self._free(name, source.stat().st_mtime)
        source.rename(self.path(own, Place.PROCESSING))
        (self._directory / (name + self._marker)).unlink(missing_ok=True)
        self._before.pop(name, None)
        return own

    def processing(self) -> list[str]:
        """The files that were taken and are not settled, oldest first."""
        return [name for name, _ in _files(self._directory / Place.PROCESSING)]

    def path(self, own: str, place: Place) -> Path:
        """Where a file lies."""
        return self._directory / place / own

    def report(self, own: str, place: Place) -> Path:
        """Where its reports lie."""
        return self._directory / place / (own + REPORT)

    def half_moved(self, own: str) -> Place | None:
        """Where the reports of a file went whose own move a crash prevented."""
        return next((place for place in (Place.DONE, Place.FAILED) if self.report(own, place).exists()), None)

    def settle(self, own: str, place: Place) -> Path:
        """Move a file, its reports first, to its last place."""
        report = self.report(own, Place.PROCESSING)
        if report.exists():
            if self.report(own, place).exists():
                shutil.rmtree(report)
            else:
                report.rename(self.report(own, place))
        return self.path(own, Place.PROCESSING).rename(self.path(own, place))

    def _arrivals(self) -> list[Arrival]:
        names = _files(self._directory)
        there = {name for name, _ in names}
        return [
            Arrival(name, sign, marked=name + self._marker in there)
            for name, sign in names
            if not name.startswith(".") and not name.endswith((*_UNFINISHED, self._marker)) and name != DROPS
        ]

    def _free(self, name: str, arrived: float) -> str:
        """The name itself, or with its time of arrival if another file has or had it."""
        own, stem = name, name[: name.find(".", 1)] if "." in name[1:] else name
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(arrived))
        count = 1
        while any(path.exists() for place in Place for path in (self.path(own, place), self.report(own, place))):
            own = f"{stem}~{stamp}{'' if count == 1 else f'-{count}'}{name[len(stem) :]}"
            count += 1
        return own

    def _remove_orphaned_markers(self) -> None:
        """A marker whose file was taken would make the next file of that name complete too early."""
        there = {name for name, _ in _files(self._directory)}
        for name in there:
            if name.endswith(self._marker) and name.removesuffix(self._marker) not in there:
                (self._directory / name).unlink(missing_ok=True)


def original(own: str) -> str:
    """The name under which a file was dropped."""
    return _STAMP.sub("", own, count=1)


def sign_of(path: Path) -> Sign:
    """What changes when somebody writes to the file."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _files(directory: Path) -> list[tuple[str, Sign]]:
    """The regular files in a directory, oldest first."""
    found = []
    for path in directory.iterdir():
        try:
            if path.is_file() and not path.is_symlink():
                found.append((path.name, sign_of(path)))
        except FileNotFoundError:
            continue  # it was moved away meanwhile
    return sorted(found, key=lambda one: (one[1][2], one[0]))
