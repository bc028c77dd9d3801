"""Text in a source's own encoding, for files that go the same way again.

This module owns byte order marks, and bytes that never were text (lone surrogates, as ``Chunk.originals`` has them),
which are written back as they were.
"""

from __future__ import annotations

import codecs
from typing import BinaryIO


class EncodedText:
    """Writes text to a binary file."""

    def __init__(self, file: BinaryIO, encoding: str, *, bom: bool = False) -> None:
        self._file = file
        self._encoding = encoding
        self._encoder = codecs.getincrementalencoder(encoding)("surrogateescape")
        # utf-16, utf-32 and utf-8-sig write their own mark.
        if bom and "".encode(encoding) == b"":
            self.write("\ufeff")

    def write(self, text: str) -> None:
        """Write; raises `ReportError` where the file system refuses."""
        try:
            data = self._encoder.encode(text)
        except UnicodeEncodeError:  # UTF-16 and UTF-32 have no single byte to put back
            self._encoder.errors = "replace"
            data = self._encoder.encode(text)
            self._encoder.errors = "surrogateescape"
        self._file.write(data)

    def representable(self, text: str) -> str:
        """The text with what the encoding lacks replaced by question marks; for this program's own words."""
        return text.encode(self._encoding, "replace").decode(self._encoding)
