"""Files that appear whole or not at all, all of them together, and never in place of what people wrote.

Each is written under a hidden temporary name in the directory it belongs to, flushed to the disk, and only then renamed
into place; readable by their owner alone, for they hold customers' addresses. A writer holds a lock on its temporary
files, so that the next one can distinguish the leftovers of a crash, which it removes, from the files of a report
that is being written beside it.

An output of an earlier report that the new one does not have (an ``in-doubt.csv`` after everything was resolved) is
removed, for it would ask for work that is done. A file that the earlier report did not write, or that was changed
since, say a ``rejects.csv`` that was corrected in its place, is set aside as ``rejects.kept.csv``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import msgspec

from importer.errors import ReportError, UsageError
from importer.remote import RemotePath

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

SUMMARY = "summary.json"
"""The last file that a report writes."""
_PREFIX, _SUFFIX = ".importer-", ".part"
_BUFFER = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Outputs:
    """The files of one directory that are to appear together; a context manager that leaves nothing half-written.

    Unless `commit` was called, leaving it removes everything that was written. Raises `ReportError`, naming the file,
    wherever the file system refuses.
    """

    def __init__(self, directory: Path, *, again: str) -> None:
        """``again`` says what to do once the cause is removed."""
        self._directory = directory
        self._again = again
        self._open: dict[str, tuple[Path, BinaryIO]] = {}

    def __enter__(self) -> Self:
        with self.explained():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in self._directory.glob(f"{_PREFIX}*{_SUFFIX}"):  # leftovers of a writer that was killed
                with contextlib.suppress(FileNotFoundError, BlockingIOError), part.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink()
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

    def commit(self, names: Mapping[str, str] | None = None) -> tuple[Path, ...]:
        """Let the created files appear, in the order of ``names``: what each is finally called, by its placeholder."""
        names = names or {name: name for name in self._open}
        for placeholder, final in names.items():
            _, file = self._open[placeholder]
            with self.explained(final):
                file.flush()
                os.fsync(file.fileno())
        for placeholder, final in names.items():
            part, file = self._open[placeholder]
            with self.explained(final):
                part.replace(self._directory / final)
                del self._open[placeholder]
                file.close()
        with self.explained():
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return tuple(self._directory / final for final in names.values())

    @contextlib.contextmanager
    def explained(self, name: str = "") -> Iterator[None]:
        """Turn the file system's refusals into a `ReportError` that names the file, or the directory."""
        try:
            yield
        except OSError as error:
            trouble, remedy = (error.strerror or str(error)).lower(), "choose a directory you can write to with --out"
            if error.errno in _NO_ROOM:
                trouble, remedy = "no room left on the disk", "free some room there"
            raise ReportError(
                f"{self._directory / name}: cannot be written: {trouble}; nothing half-written is left there",
                hint=f"{remedy}, then {self._again}",
            ) from error


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


def keep_user_files(directory: Path | RemotePath, coming: Collection[str]) -> None:
    """Make room for files of these names; raises `OSError` where the file system refuses.

    What the directory's ``summary.json`` names is an earlier report's; a summary that is not ours names nothing.
    """
    path: Any = directory / SUMMARY
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Summary).files
        # Only plain names: a summary from elsewhere must not lead out of the directory.
        ours = {file.name for file in found if Path(file.name).name == file.name}
        written_at = path.stat().st_mtime_ns
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        ours, written_at = set(), 0
    for name in sorted(ours.union(coming)):
        path = directory / name
        if not path.is_file():
            continue
        if name not in ours or path.stat().st_mtime_ns > written_at:
            endings = chain([""], (f"-{number}" for number in count(2)))
            asides = (path.with_name(f"{path.stem}.kept{ending}{path.suffix}") for ending in endings)
            path.rename(next(aside for aside in asides if not aside.exists()))
        elif name not in coming:
            path.unlink()


class _File(msgspec.Struct):
    name: str


class _Summary(msgspec.Struct):
    files: list[_File]
