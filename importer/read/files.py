"""From a SOURCE to its content: opened once, decompressed within bounds, hashed, and looked at before it is read.

Compression is recognised by its magic bytes, also one inside the other (a ``.json.gz`` in a zip). A read error waits
until all content before it was handed out.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO, Any, BinaryIO, Literal, cast
from urllib.parse import unquote

import msgspec
from backports import zstd

from importer import wording
from importer.errors import ImporterError, SourceError
from importer.remote import RemoteFile, version_of
from importer.wording import is_remote, public_name, shown

Compression = Literal["none", "gzip", "bz2", "xz", "zstd", "zip"]

_MAGIC: dict[bytes, Compression] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    **{bytes([0x50 + nibble]) + b"\x2a\x4d\x18": "zstd" for nibble in range(16)},  # a skippable frame, as pzstd begins
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_PIECE = 1 << 20
_STEP = 64 << 10
"""Compressed bytes taken at a time."""
_LAYERS = 3
_XZ_MEMORY = 256 << 20
_SMALL = 64 << 20
"""What may always be unpacked, however well it is packed."""
MAX_RATIO = 200
"""How many times its size a compressed file may unpack to. Tables of text rarely reach 50."""

_NO_VALUE = ("", "__HIVE_DEFAULT_PARTITION__")
"""What means null in the name of a partition's directory."""

ENDINGS = (".csv", ".tsv", ".psv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".xlsx", ".xlsm")
"""What a data file is called, in a directory or an archive."""
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""What may follow one of ``ENDINGS``; ``.zip`` may also stand alone."""


class Limits(msgspec.Struct, frozen=True):
    """How much is held in memory at a time. Results do not depend on ``block``."""

    block: int = 2 << 20
    """Decompressed bytes taken at a time."""
    rows: int = 65_536
    """Most rows of a chunk."""
    batch: int = 8 << 20
    """Most bytes of the decoded cells of a chunk of Parquet, unless it is a single row."""
    quoted: int = 1 << 20
    """Longest record, in bytes, that may span several lines; of a longer one the quote counts as never closed."""
    line: int = 2 << 20
    """Longest line, or Parquet cell, in bytes; a longer one is an unreadable row."""
    sample: int = 256 << 10
    """Decompressed bytes looked at to recognise format, encoding and delimiter."""


class Input(msgspec.Struct, frozen=True):
    """One thing to read, not opened yet."""

    name: str
    """As the user would name it: a path as given, ``archive.zip/orders.csv``, ``<stdin>``."""
    path: str | None
    """The absolute path on this machine, or the address; None for stdin."""
    member: str | None = None
    """The name inside the zip archive at ``path``."""

    @property
    def is_remote(self) -> bool:
        """Whether it is an object behind an address."""
        return self.path is not None and is_remote(self.path)

    def open(self) -> io.RawIOBase:
        """Its bytes as they are stored; raises `OSError`, or `SourceError` for an object behind an address."""
        if self.path is None:
            return io.FileIO(sys.stdin.fileno(), closefd=False)
        return RemoteFile(self.path) if self.is_remote else io.FileIO(self.path)

    def version(self) -> tuple[str, str | None, int | None, int | str] | None:
        """What distinguishes it from a changed one, and from others: path, member, size, and time of change or ETag.

        None where there is none: standard input, a pipe, something that is not there.
        """
        if self.path is None:
            return None
        if self.is_remote:
            with suppress(ImporterError):
                now = version_of(self.path)
                return public_name(self.path), self.member, now.st_size, now.st_ino
            return None
        try:
            status = os.stat(self.path)  # noqa: PTH116 - a path that open() could not read either is reported later
        except OSError:
            return None
        regular = stat.S_ISREG(status.st_mode)
        return (self.path, self.member, status.st_size, status.st_mtime_ns) if regular else None


class _RatioError(Exception):
    """A file unpacks to too many times its size."""


class _Layer:
    """A stream whose beginning can be looked at without losing it, and which counts what was taken from it."""

    def __init__(self, raw: Any, limit: int = 0, packed: Callable[[], int] = int) -> None:
        """``packed`` is how many bytes this was unpacked from; more than ``limit`` times as many are refused."""
        self._raw = raw
        self._limit = limit
        self._packed = packed
        self._held = b""
        self._failure: Exception | None = None
        self.taken = 0

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end or where reading fails (``read1`` raises that then)."""
        while len(self._held) < size and self._failure is None:
            try:
                piece = self._raw.read1(size - len(self._held))
            except Exception as error:  # noqa: BLE001 - raised by read1, once what was held is read
                self._failure = error
                break
            if not piece:
                break
            self._held += piece
        return self._held[:size]

    @property
    def failed(self) -> bool:
        """Whether reading failed behind what `peek` returned."""
        return self._failure is not None

    def read1(self, size: int, /) -> bytes:
        """At most ``size`` bytes; empty at the end."""
        if self._held:
            piece, self._held = self._held[:size], self._held[size:]
        elif self._failure is not None:
            raise self._failure
        else:
            piece = self._raw.read1(size)
        self.taken += len(piece)
        if self._limit and self.taken > _SMALL and self.taken > self._limit * self._packed():
            raise _RatioError
        return piece

    read = read1


_ENGINES: dict[str, Callable[[], Any]] = {
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    "zstd": zstd.ZstdDecompressor,
}
_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile)


class _Unpacked:
    """The content of compressed streams, one after the other.

    The standard library's own files (gzip's apart) take what follows the first stream for rubbish if it is damaged, and
    say nothing.
    """

    def __init__(self, raw: _Layer, make: Callable[[], Any]) -> None:
        self._raw = raw
        self._make = make
        self._engine: Any = None
        self._rest = b""

    def read1(self, size: int, /) -> bytes:
        """At most ``size`` bytes; raises `EOFError` where the last stream is cut off."""
        while True:
            if self._engine is None:
                # Streams may be padded with zeros.
                rest = self._rest.lstrip(b"\0")
                while not rest:
                    if not (rest := self._raw.read1(_STEP)):
                        return b""
                    rest = rest.lstrip(b"\0")
                self._rest = rest
                self._engine = self._make()
            elif self._engine.needs_input:
                self._rest = self._raw.read1(_STEP)
                if not self._rest:
                    raise EOFError("its end is missing")
            piece: bytes = self._engine.decompress(self._rest, max_length=size)
            self._rest = b""
            if self._engine.eof:
                self._rest, self._engine = self._engine.unused_data, None
            if piece:
                return piece


class Content:
    """An input's decompressed bytes, in order, once."""

    def __init__(self, source: Input, compression: Compression | None = None, max_ratio: int = MAX_RATIO) -> None:
        """Open ``source``; ``compression`` is what the mapping says, None to recognise it.

        Raises `SourceError` where it cannot be opened.
        """
        self.name = source.name
        self.path = public_name(source.path) if source.path is not None and source.path.isprintable() else None
        """For the record; None as well where the path is no text."""
        self.partitions = partitions("/".join(filter(None, (self.path, source.member))))
        self.compression: Compression = "none"
        self._max_ratio = max_ratio
        self._file = _open(source)
        self._status = None if isinstance(self._file, RemoteFile) else os.fstat(self._file.fileno())
        self._base = 0
        self._spooled: list[IO[bytes]] = []
        self._hash = hashlib.sha256()
        self._ended = False
        self._was_read = False
        """Whether a whole line was handed out."""
        self._failure: Exception | None = None
        try:
            if source.member is None:
                if isinstance(self._file, RemoteFile):
                    self.size = self._file.version.st_size
                else:
                    self.size = self._status.st_size if self._status is not None and self.is_regular else None
                self._stored = self._top = _Layer(io.BufferedReader(self._file, _PIECE))
            else:
                self.compression = "zip"
                self._top, self.size, self._base = self._member(io.BufferedReader(self._file, _PIECE), source.member)
                self._stored = self._top
            self._unpack(compression)
        except BaseException:
            self.close()
            raise

    @property
    def is_regular(self) -> bool:
        """Whether it is a file that can be sought in: no pipe, socket, terminal, or server that gives no parts."""
        return self._file.seekable() if self._status is None else stat.S_ISREG(self._status.st_mode)

    def _unpack(self, wanted: Compression | None) -> None:
        if wanted == "none":
            return
        for layer in range(_LAYERS):
            kind = recognise_compression(self._top.peek(6))
            if layer == 0 and wanted not in {None, kind, self.compression}:
                raise SourceError(
                    self.name, f"is not {wanted} data", hint="remove `source: {compression: …}`; it is recognised"
                )
            if kind == "none":
                return
            if self.compression == "none":
                self.compression = kind
            if kind == "zip":
                seekable = self._file if self._top is self._stored and self.is_regular else self._spool(self._top.read1)
                self._top, _, _ = self._member(cast("BinaryIO", seekable), None)
            else:
                below = self._top
                unpacked = (
                    gzip.GzipFile(fileobj=cast("BinaryIO", below))
                    if kind == "gzip"
                    else _Unpacked(below, _ENGINES[kind])
                )
                self._top = _Layer(unpacked, self._max_ratio, partial(getattr, below, "taken"))
        if recognise_compression(self._top.peek(6)) != "none":
            raise SourceError(self.name, f"is packed more than {_LAYERS} times over", hint="unpack it first")

    def _member(self, file: BinaryIO, name: str | None) -> tuple[_Layer, int, int]:
        """A zip archive's member; without a name, its only data file; its compressed size, and where it begins."""
        try:
            archive = zipfile.ZipFile(file)
            everything = archive.namelist()
            members = data_members(archive)
            if len(set(members)) < len(members):
                double = next(member for member in members if members.count(member) > 1)
                raise SourceError(
                    self.name,
                    f"holds more than one file called {shown(double)}",
                    hint="unpack it, and name the right one",
                )
            chosen = name if name is not None else (members[0] if len(members) == 1 else None)
            if chosen is None:
                raise _no_member(self.name, everything, members)
            info = archive.getinfo(chosen)
            raw = archive.open(info)
        except RuntimeError as error:
            if isinstance(error, NotImplementedError):
                hint = "unpack it with another program first"
                raise SourceError(self.name, f"cannot be unpacked ({error})", hint=hint) from None
            raise SourceError(self.name, "is encrypted", hint="unpack it with its password first") from None
        except (zipfile.BadZipFile, EOFError, UnicodeError, OSError, ValueError, KeyError) as error:
            hint = "copy or download it again"
            raise SourceError(self.name, f"damaged zip archive ({error})", hint=hint) from None
        return _Layer(raw, self._max_ratio, lambda: info.compress_size), info.compress_size, info.header_offset

    def _spool(self, read1: Callable[[int], bytes]) -> IO[bytes]:
        """A copy, in an unnamed temporary file, of what needs to be sought in but comes from a pipe or is packed."""
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the content
        self._spooled.append(copy)
        try:
            while piece := read1(_PIECE):
                copy.write(piece)
            copy.flush()
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}:
                raise self._explain(error) from None
            raise SourceError(
                self.name,
                f"finds no room in {tempfile.gettempdir()} to be unpacked ({error.strerror})",
                hint="make room there, or set TMPDIR to a directory on another disk",
            ) from None
        except (_RatioError, *_DAMAGE) as error:
            raise self._explain(error) from None
        copy.seek(0)
        return copy

    def seekable(self) -> IO[bytes] | io.RawIOBase:
        """All content as a file that can be sought in; use it instead of ``peek`` and ``read``."""
        if self.is_regular and self.compression == "none":
            self._file.seek(0)
            return self._file
        return self._spool(self._top.read1)

    def finish(self, file: IO[bytes] | io.RawIOBase) -> None:
        """Hash what `seekable` gave, once it is read. Raises `SourceError` if the file has changed."""
        file.seek(0)
        self._hash, self._ended = hashlib.file_digest(file, "sha256"), True  # type: ignore[arg-type] # it has readinto
        self.check_unchanged()

    @property
    def bytes_read(self) -> int:
        """Bytes of ``size`` read so far."""
        if self.size is None or self._file.closed:
            return self.size or self._stored.taken
        return max(0, min(self._file.tell() - self._base, self.size)) if self.is_regular else self._stored.taken

    @property
    def digest(self) -> str:
        """SHA-256 in hex of all content; empty before its end was reached."""
        return self._hash.hexdigest() if self._ended else ""

    def peek(self, size: int) -> tuple[bytes, bool]:
        """The first ``size`` bytes, or fewer if there are no more, and whether that is everything.

        Raises `SourceError` where not a single line can be read, so that the end is missing in the midst of a header.
        """
        seen = self._top.peek(size + 1)
        if not seen or (self._top.failed and not (b"\n" in seen or b"\r" in seen)):
            try:
                if seen:
                    self._top.read1(len(seen))
                self._top.read1(1)
            except Exception as error:  # noqa: BLE001 - whatever it is, the file is at fault
                raise self._explain(error) from None
        return seen[:size], len(seen) <= size

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer only before the end or before a failure; empty at the end.

        Raises `SourceError` where the content is damaged or has changed, once everything readable was returned.
        """
        pieces: list[bytes] = []
        missing = size
        while missing and not self._ended:
            try:
                piece = self._top.read1(min(missing, _PIECE))
            except Exception as error:  # noqa: BLE001 - whatever it is, the file is at fault
                self._failure, self._ended = error, True
                break
            self._ended = not piece
            self._hash.update(piece)
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        self._was_read = self._was_read or b"\n" in data or b"\r" in data
        if not data and self._failure is not None:
            raise self._explain(self._failure)
        if not data:
            self.check_unchanged()
        return data

    def check_unchanged(self) -> None:
        """Raise `SourceError` if the file is not what it was when it was opened."""
        if isinstance(self._file, RemoteFile):
            self._file.check_unchanged()
            return
        now, was = os.fstat(self._file.fileno()), self._status
        if was is not None and self.is_regular and (now.st_size, now.st_mtime_ns) != (was.st_size, was.st_mtime_ns):
            how = f": it had {was.st_size:,} bytes and has {now.st_size:,}" if now.st_size != was.st_size else ""
            hint = "run it again when nothing writes to the file any more"
            raise SourceError(self.name, f"has changed while it was read{how}", hint=hint)

    def _explain(self, error: Exception) -> SourceError:
        if isinstance(error, SourceError):
            return error
        if isinstance(error, _RatioError):
            return SourceError(
                self.name,
                f"unpacks to more than {self._max_ratio:,} times its size, as tables of text never do",
                hint="if it is right, set `source: {max_ratio: 5000}` in the mapping, or unpack it first",
            )
        if isinstance(error, IsADirectoryError):
            return SourceError(self.name, "is a directory", hint="name a file in it")
        if self.compression == "none":
            return SourceError(self.name, f"cannot be read to its end ({error})", hint="check the disk or the network")
        what = "is cut off" if isinstance(error, EOFError) else "is damaged"
        before = "; the rows before that point were read" if self._was_read else ""
        return SourceError(
            self.name,
            f"the {self.compression} data {what} ({error}){before}",
            hint="copy or download the file again",
        )

    def close(self) -> None:
        """Release the file."""
        self._file.close()
        for copy in self._spooled:
            copy.close()


def _open(source: Input) -> io.RawIOBase:
    name = source.name
    try:
        file = source.open()
    except (OSError, ValueError) as error:
        known: dict[type[Exception], tuple[str, str | None]] = {
            FileNotFoundError: ("no such file", "check the path; the file may have been moved"),
            IsADirectoryError: ("is a directory", "name a file in it"),
            PermissionError: ("permission denied", f"chmod u+r {shown(name)}"),
        }
        what, hint = known.get(type(error), (getattr(error, "strerror", None) or str(error), None))
        raise SourceError(name, what, hint=hint) from None
    if source.path is None or source.is_remote:
        return file
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not file.isatty()):
        file.close()
        raise SourceError(name, "is a device, not a file", hint="name a file, or pipe the data in: `… | importer …  -`")
    return file


def _no_member(name: str, everything: list[str], members: list[str]) -> SourceError:
    if "[Content_Types].xml" in everything or "mimetype" in everything:
        return SourceError(name, "is a spreadsheet or document, not an export", hint="save it as CSV (UTF-8) first")
    if members:
        return SourceError(name, f"holds {len(members)} data files where one is expected", hint="unpack it first")
    return SourceError(name, "the zip archive holds no data file", hint=f"known endings: {' '.join(ENDINGS)}")


def recognise_compression(head: bytes) -> Compression:
    """By the first bytes, whatever the name says."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "none")


def partitions(path: str) -> dict[str, str | None]:
    """The columns that directories called ``name=value`` are, as other programs partition datasets; outermost first."""
    found = (part.partition("=") for part in path.split("/")[:-1])
    return {
        unquote(name): None if value in _NO_VALUE else unquote(value) for name, sign, value in found if sign and name
    }


def is_data_name(name: str) -> bool:
    """Whether a file of this name is taken from a directory or an archive."""
    stem = name.lower()
    packed = next((ending for ending in PACKED if stem.endswith(ending)), "")
    return packed == ".zip" or stem.removesuffix(packed).endswith(ENDINGS)


def data_members(archive: zipfile.ZipFile) -> list[str]:
    """The members to read, sorted: known endings, nothing hidden; or the only file there is."""
    names = sorted(
        info.filename
        for info in archive.infolist()
        if not info.is_dir()
        and not any(part.startswith(".") or part == "__MACOSX" for part in info.filename.split("/"))
    )
    known = [name for name in names if is_data_name(name)]
    return known or (names if len(set(names)) == 1 else [])


def shorten(text: str) -> str:
    """``text`` on one line, cut to what a report shows."""
    return wording.shorten(text, 80)
