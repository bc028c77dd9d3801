"""From an opened input to its content: decompressed, hashed, and looked at before it is read.

This module owns compression (recognised by its magic bytes, also one inside the other, as a ``.json.gz`` in a zip) and
the postponing of read errors until everything before them was handed out. Text and formats are left to others.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Literal, cast

import zstandard

from importer.errors import SourceError
from importer.read.storage import ByteReader, CountedFile, Input, Stream, open_member, open_stream, spool

Compression = Literal["none", "gzip", "bz2", "xz", "zstd", "zip"]

_MAGIC: dict[bytes, Compression] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_PIECE = 1 << 20
_LAYERS = 3
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile)
"""What reading and decompressing raise."""


class _Peekable:
    """A stream whose beginning can be looked at without losing it."""

    def __init__(self, raw: ByteReader) -> None:
        self._raw = raw
        self._held = b""
        self._failure: Exception | None = None

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end or where reading fails (which ``read1`` then tells)."""
        while len(self._held) < size and self._failure is None:
            try:
                piece = self._raw.read1(size - len(self._held))
            except _DAMAGE as error:
                self._failure = error
                break
            if not piece:
                break
            self._held += piece
        return self._held[:size]

    def read1(self, size: int = _PIECE, /) -> bytes:
        """At most ``size`` bytes; empty at the end."""
        if self._held:
            piece, self._held = self._held[:size], self._held[size:]
            return piece
        if self._failure is not None:
            raise self._failure
        return self._raw.read1(size)

    def read(self, size: int = _PIECE, /) -> bytes:
        """As ``read1``: what gzip, bz2 and lzma call."""
        return self.read1(_PIECE if size < 0 else size)

    def close(self) -> None:
        """Close what lies below."""
        self._raw.close()


class _ZstdFile:
    """Zstandard frames, one after the other. zstandard's own reader takes a truncated file for a complete one."""

    _STEP = 32 << 10

    def __init__(self, raw: _Peekable) -> None:
        self._raw = raw
        self._engine = zstandard.ZstdDecompressor().decompressobj()
        self._input = b""
        self._output = b""
        self._started = False

    def read1(self, size: int, /) -> bytes:
        """At most ``size`` bytes; raises `EOFError` where the last frame is cut off."""
        while not self._output:
            self._input = self._input or self._raw.read1(self._STEP)
            if not self._input:
                if self._started and not self._engine.eof:
                    raise EOFError("the last frame is cut off")
                return b""
            if self._engine.eof:
                self._engine = zstandard.ZstdDecompressor().decompressobj()
            self._started = True
            self._output = self._engine.decompress(self._input)
            self._input = self._engine.unused_data if self._engine.eof else b""
        piece, self._output = self._output[:size], self._output[size:]
        return piece

    def close(self) -> None:
        """Close what lies below."""
        self._raw.close()


class Content:
    """An input's decompressed bytes, in order, once."""

    def __init__(self, source: Input, compression: Compression | None) -> None:
        """Open ``source``; ``compression`` is what the mapping says, None to recognise it."""
        self.name = source.name
        self.path = source.path
        self.compression: Compression = "zip" if source.member is not None else "none"
        self._stream: Stream = open_stream(source)
        self._spooled: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._ended = False
        self._held: list[bytes] = []
        self._failure: Exception | None = None
        self._raw = _Peekable(self._stream.raw)
        try:
            self._unpack(compression)
        except BaseException:
            self.close()
            raise

    def _unpack(self, wanted: Compression | None) -> None:
        if wanted == "none":
            return
        for layer in range(_LAYERS):
            kind = recognise_compression(self._raw.peek(6))
            if layer == 0 and wanted not in {None, kind, self.compression}:
                raise SourceError(
                    self.name, f"is not {wanted} data", hint="remove `source: {compression: …}`; it is recognised"
                )
            if kind == "none":
                return
            if self.compression == "none":
                self.compression = kind
            self._raw = _Peekable(self._member() if kind == "zip" else _decompressor(kind, self._raw))
        if recognise_compression(self._raw.peek(6)) != "none":
            raise SourceError(self.name, f"is packed more than {_LAYERS} times over", hint="unpack it first")

    def _member(self) -> ByteReader:
        """A zip archive that came through a pipe or lay in another one: zip needs to seek, so it goes to the disk."""
        try:
            self._spooled = spool(self._raw.read1)
        except _DAMAGE as error:
            raise self._explain(error) from None
        return open_member(self.name, CountedFile(self._spooled), None).raw

    @property
    def size(self) -> int | None:
        """Bytes on disk; None where unknown."""
        return self._stream.size

    @property
    def bytes_read(self) -> int:
        """Bytes of ``size`` read so far."""
        return self._stream.bytes_read

    @property
    def digest(self) -> str:
        """SHA-256 in hex of all content; empty before its end was reached."""
        return self._hash.hexdigest() if self._ended else ""

    def peek(self, size: int) -> tuple[bytes, bool]:
        """The first ``size`` bytes, or fewer if there are no more, and whether that is everything."""
        seen = self._raw.peek(size + 1)
        return seen[:size], len(seen) <= size

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer only before the end or before a failure; empty at the end.

        Raises `SourceError` where the content is damaged, once everything readable before was returned.
        """
        pieces: list[bytes] = []
        missing = size
        while missing and not self._ended:
            try:
                piece = self._raw.read1(min(missing, _PIECE))
            except _DAMAGE as error:
                self._failure, self._ended = error, True
                break
            self._ended = not piece
            self._hash.update(piece)
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        if not data and self._failure is not None:
            raise self._explain(self._failure)
        return data

    def _explain(self, error: Exception) -> SourceError:
        what = "is cut off" if isinstance(error, EOFError) else "is damaged"
        if self.compression == "none":
            return SourceError(self.name, f"cannot be read to its end ({error})", hint="check the disk or the network")
        return SourceError(
            self.name,
            f"the {self.compression} data {what} ({error}); the rows before that point were read",
            hint="copy or download the file again",
        )

    def close(self) -> None:
        """Release the file."""
        self._stream.close()
        if self._spooled is not None:
            self._spooled.close()


def recognise_compression(head: bytes) -> Compression:
    """By the first bytes, whatever the name says."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "none")


def _decompressor(kind: Compression, raw: _Peekable) -> ByteReader:
    if kind == "zstd":
        return _ZstdFile(raw)
    # The three need nothing of a file but ``read``; the cast says so to the type checker.
    file = cast("IO[bytes]", raw)
    makers: dict[str, Callable[[], ByteReader]] = {
        "gzip": lambda: gzip.GzipFile(fileobj=file, mode="rb"),
        "bz2": lambda: bz2.BZ2File(file),
        "xz": lambda: lzma.LZMAFile(file),  # noqa: SIM115 - closed with the stream below it
    }
    return makers[kind]()
