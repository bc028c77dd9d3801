"""Files that appear whole or not at all.

This module owns how outputs get their names: each is written under a hidden temporary name in the directory it belongs
to, flushed to the disk, and only then, all of them together, renamed into place; readable by their owner alone, for
they hold customers' addresses. A writer holds a lock on its temporary files, so that the next one can tell the
leftovers of a crash, which it removes, from the files of a report that is being written beside it. What is in the
files is the writers' business.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from importer.errors import ReportError, UsageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_PREFIX, _SUFFIX = ".importer-", ".part"
_BUFFER = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Outputs:
    """The files of one directory that are to appear together; a context manager that leaves nothing half-written.

    Unless `commit` was called, leaving it removes everything that was written. Raises `ReportError`, naming the file,
    wherever the file system refuses.
    """

    def __init__(self, directory: Path, *, again: str) -> None:
        """``again`` tells the user what to do once the trouble is mended."""
        self._directory = directory
        self._again = again
        self._open: dict[str, tuple[Path, BinaryIO]] = {}

    def __enter__(self) -> Self:
        with self.explained():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_leftovers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part, file in self._open.values():
            part.unlink(missing_ok=True)
            # A full disk refuses to take what is still buffered; the file is gone already.
            with contextlib.suppress(OSError, ReportError):
                file.close()
        self._open.clear()

    def create(self, name: str) -> BinaryIO:
        """Begin a file; ``name`` is a placeholder until `commit`, and must not repeat."""
        part = self._directory / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        with self.explained(name):
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            file = io.BufferedWriter(_Part(descriptor, lambda: self.explained(name)), _BUFFER)
            self._open[name] = (part, file)
            fcntl.flock(file, fcntl.LOCK_EX)
        return file

    def commit(self, names: Sequence[tuple[str, str]]) -> tuple[Path, ...]:
        """Let the created files appear, in the order given as pairs of (placeholder, final name)."""
        for placeholder, final in names:
            _, file = self._open[placeholder]
            with self.explained(final):
                file.flush()
                os.fsync(file.fileno())
        for placeholder, final in names:
            part, file = self._open[placeholder]
            with self.explained(final):
                part.replace(self._directory / final)
                del self._open[placeholder]
                file.close()
        with self.explained():
            _sync_directory(self._directory)
        return tuple(self._directory / final for _, final in names)

    @contextlib.contextmanager
    def explained(self, name: str = "") -> Iterator[None]:
        """Turn the file system's refusals into a `ReportError` that names the file, or the directory."""
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                trouble, mend = "no room left on the disk", "free some room there"
            else:
                trouble, mend = (error.strerror or str(error)).lower(), "choose a directory you can write to with --out"
            path = self._directory / name
            raise ReportError(
                f"{path}: cannot be written: {trouble}; nothing half-written is left there",
                hint=f"{mend}, then {self._again}",
            ) from error

    def _remove_leftovers(self) -> None:
        for part in self._directory.glob(f"{_PREFIX}*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError, BlockingIOError), part.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()


class _Part(io.FileIO):
    """A file whose refusals say which output they concern, however deep in a writer they come up."""

    def __init__(self, descriptor: int, explained: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__(descriptor, "wb")
        self._explained = explained

    def write(self, data: Buffer, /) -> int:
        """See `io.RawIOBase.write`; raises `ReportError`."""
        with self._explained():
            return super().write(data)


def prepare(directory: Path) -> None:
    """Find out, before anything is sent, whether reports can be written there; raises `UsageError` if not."""
    try:
        with Outputs(directory, again="run the same command again") as outputs:
            file = outputs.create("")
            file.write(b"\n")
            file.flush()
    except ReportError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
