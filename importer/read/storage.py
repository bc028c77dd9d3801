"""Where bytes come from: local files, members of zip archives, standard input.

This module owns opening them and counting what was read; another kind of place (an object store) is one more branch in
``open_stream``. Decompression and everything about formats is left to others.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from importer.errors import SourceError

_COPY = 1 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to read, not opened yet."""

    name: str
    """As the user would name it: a path as given, ``archive.zip/orders.csv``, ``<stdin>``."""
    path: str | None
    """The absolute path on this machine; None for stdin."""
    member: str | None = None
    """The name inside the zip archive at ``path``."""


class ByteReader(Protocol):
    """A binary file, as far as reading forwards goes."""

    def read1(self, size: int, /) -> bytes:
        """At most ``size`` bytes, at least one unless the end is reached."""

    def close(self) -> None:
        """Release the file."""


class CountedFile(io.RawIOBase):
    """A binary file that counts the bytes read from it."""

    def __init__(self, raw: IO[bytes] | io.RawIOBase, *, owned: bool = True) -> None:
        super().__init__()
        self._raw = raw
        self._owned = owned
        self.count = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """As the file below."""
        return self._raw.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As the file below."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """As the file below."""
        return self._raw.tell()

    def readinto(self, buffer: Any, /) -> int:
        """As the file below."""
        view = memoryview(buffer)
        data = self._raw.read(len(view)) or b""
        view[: len(data)] = data
        self.count += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file below as well, if it is owned."""
        if self._owned and not self.closed:
            self._raw.close()
        super().close()


class Stream:
    """An opened input: its bytes as stored, how many there are, and how many were read."""

    def __init__(self, raw: ByteReader, counter: CountedFile, size: int | None, on_close: Callable[[], None]) -> None:
        self.raw = raw
        self.size = size
        self._counter = counter
        self._base = counter.count
        self._on_close = on_close

    @property
    def bytes_read(self) -> int:
        """Bytes of ``size`` read so far."""
        count = self._counter.count - self._base
        return count if self.size is None else min(count, self.size)

    def close(self) -> None:
        """Close it and what lies below."""
        self.raw.close()
        self._on_close()


def open_stream(source: Input) -> Stream:
    """Open an input; raises `SourceError` if it is not there or must not be read."""
    try:
        if source.path is None:
            counter = CountedFile(sys.stdin.buffer, owned=False)
            return Stream(io.BufferedReader(counter, _COPY), counter, None, counter.close)
        counter = CountedFile(io.FileIO(source.path))
        if source.member is not None:
            return open_member(source.name, counter, source.member)
        return Stream(io.BufferedReader(counter, _COPY), counter, Path(source.path).stat().st_size, counter.close)
    except FileNotFoundError:
        raise SourceError(source.name, "no such file", hint="check the name; it may have been moved") from None
    except IsADirectoryError:
        raise SourceError(source.name, "is a directory", hint="name a file in it") from None
    except PermissionError:
        raise SourceError(source.name, "permission denied", hint=f"chmod u+r {source.name}") from None
    except OSError as error:
        raise SourceError(source.name, error.strerror or str(error)) from error


def open_member(name: str, counter: CountedFile, member: str | None) -> Stream:
    """Open a zip archive's member; without a name, its only data file. ``counter`` must be seekable.

    Raises `SourceError` for an archive that is damaged, encrypted, or from which no single member can be chosen.
    """
    try:
        archive = zipfile.ZipFile(counter)
        members = data_members(archive)
        chosen = member if member is not None else (members[0] if len(members) == 1 else None)
        if chosen is None:
            counter.close()
            raise _no_member(name, archive.namelist(), members)
        info = archive.getinfo(chosen)
        raw = cast("ByteReader", archive.open(info))  # typed without read1, which it has
    except (zipfile.BadZipFile, EOFError) as error:
        counter.close()
        raise SourceError(name, f"damaged zip archive ({error})", hint="copy or download it again") from None
    except RuntimeError:
        counter.close()
        raise SourceError(name, "is encrypted", hint="unpack it with its password first") from None
    except NotImplementedError as error:
        counter.close()
        raise SourceError(name, f"cannot be unpacked ({error})", hint="unpack it with another program first") from None
    return Stream(raw, counter, info.compress_size, counter.close)


def _no_member(name: str, everything: list[str], members: list[str]) -> SourceError:
    if "[Content_Types].xml" in everything or "mimetype" in everything:
        return SourceError(name, "is a spreadsheet or document, not an export", hint="save it as CSV (UTF-8) first")
    if members:
        return SourceError(name, f"holds {len(members)} data files where one is expected", hint="unpack it first")
    return SourceError(name, "the zip archive holds no data file", hint=f"known endings: {' '.join(ENDINGS)}")


ENDINGS = (".csv", ".tsv", ".psv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
"""What a data file is called, in a directory or an archive."""
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""What may follow one of ``ENDINGS``; ``.zip`` may also stand alone."""


def is_data_name(name: str) -> bool:
    """Whether a file of this name is taken from a directory or an archive."""
    stem = name.lower()
    for packed in PACKED:
        if stem.endswith(packed):
            if packed == ".zip":
                return True
            stem = stem.removesuffix(packed)
            break
    return stem.endswith(ENDINGS)


def data_members(archive: zipfile.ZipFile) -> list[str]:
    """The members to read, sorted: known endings, nothing hidden; or the only file there is."""
    names = sorted(
        {
            info.filename
            for info in archive.infolist()
            if not info.is_dir()
            and not any(part.startswith(".") or part == "__MACOSX" for part in info.filename.split("/"))
        }
    )
    known = [name for name in names if is_data_name(name)]
    return known or (names if len(names) == 1 else [])


def spool(blocks: Callable[[], bytes]) -> io.BufferedRandom:
    """Copy what ``blocks`` returns, until it returns nothing, to an unnamed temporary file that can be sought in."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    while block := blocks():
        copy.write(block)
    copy.seek(0)
    return copy
