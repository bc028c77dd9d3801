"""Which encoding a text file has, and its bytes as UTF-8.

This module owns BOMs, the guess, and what becomes of bytes that are no text: each is kept as a lone surrogate
(U+DC00 plus the byte), which as UTF-8 is invalid, so that the row it stands in is found by the one check that UTF-8
files get as well. Rows are ``records``'s.
"""

from __future__ import annotations

import codecs
import re
import string
from collections.abc import Callable, Iterator

from importer.errors import SourceError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FALLBACK = "cp1252"
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_LOWER, _UPPER = rb"\xdf-\xf6\xf8-\xfe\x9a\x9c\x9e", rb"\xc0-\xd6\xd8-\xde\x8a\x8c\x8e\x9f"
_CP1252_WORD = re.compile(
    # A small letter beside a letter, a capital before a letter or behind a capital.
    rb"(?<=[A-Za-z%(u)b%(l)b])[%(l)b]|[%(l)b](?=[A-Za-z%(u)b%(l)b])|(?<=[A-Z%(u)b])[%(u)b]|[%(u)b](?=[A-Za-z%(u)b%(l)b])"
    % {b"u": _UPPER, b"l": _LOWER}
)
_CP1252_MARK = re.compile(
    rb"[\x80\x82\x84\x85\x91-\x97\x99\xa0\xa3\xa7\xa9\xab\xae\xb0\xb2\xb3\xb4\xb5\xb7\xba\xbb\xbd]"
)

_HIGH = bytes(range(0x80, 0x100))
_LETTERS = string.ascii_letters.encode()
_KEEP = "importer.keep"
"""Our handler's name among the codecs' error handlers."""


def _keep(error: UnicodeError) -> tuple[str, int]:
    """Every undecodable byte as U+DC00 plus itself; unlike ``surrogateescape`` below 0x80 as well (UTF-16 needs it)."""
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_KEEP, _keep)


def recognise_encoding(sample: bytes, *, complete: bool) -> tuple[str, bytes]:
    """The encoding and the BOM (empty if there is none) of a file that begins with ``sample``.

    UTF-8 unless there is reason to think otherwise: a BOM, the zero bytes of UTF-16, or bytes that are not UTF-8 but
    read as letters within words or as typographic signs in Windows-1252.
    """
    for bom, encoding in _BOMS:
        if sample.startswith(bom):
            return encoding, bom
    wide = _recognise_utf16(sample)
    if wide is not None:
        return wide, b""
    try:
        codecs.utf_8_decode(sample, "strict", complete)
    except UnicodeDecodeError:
        return (_FALLBACK if _reads_as_cp1252(sample) else "utf-8"), b""
    return "utf-8", b""


def _recognise_utf16(sample: bytes) -> str | None:
    pairs = len(sample) // 2
    if pairs < 2:
        return None
    first, second = sample[0 : 2 * pairs : 2].count(0) / pairs, sample[1 : 2 * pairs : 2].count(0) / pairs
    if second > 0.4 and first < 0.05:
        return "utf-16-le"
    if first > 0.4 and second < 0.05:
        return "utf-16-be"
    return None


def _reads_as_cp1252(sample: bytes) -> bool:
    """Whether what is not UTF-8 in the sample is mostly plausible Windows-1252, and outweighs what is UTF-8.

    Where non-ASCII letters abound, the text is in another alphabet, and a wrong guess would garble every word of it.
    """
    rest, multibyte = _MULTIBYTE.subn(b"", sample)
    strange = len(rest) - len(rest.translate(None, _HIGH))
    letters = len(rest) - len(rest.translate(None, _LETTERS))
    plausible = len(_CP1252_WORD.findall(rest)) + len(_CP1252_MARK.findall(rest))
    return multibyte < strange <= letters / 2 and plausible >= 0.8 * strange


def settle_encoding(name: str, wanted: str | None, sample: bytes, *, complete: bool) -> tuple[str, bytes]:
    """The encoding to read with and the BOM to skip; raises `SourceError` for an encoding nobody knows."""
    recognised, bom = recognise_encoding(sample, complete=complete)
    if wanted is None:
        return recognised, bom
    try:
        codec = codecs.lookup(wanted).name
        b"".decode(codec)
    except LookupError:
        raise SourceError(
            name, f"unknown encoding {wanted!r}", hint="use a name such as utf-8, cp1252, latin-1, utf-16 or shift_jis"
        ) from None
    if codec in {"utf-16", "utf-32"}:
        codec = recognised if recognised.startswith(codec) else f"{codec}-le"
    elif codec == "utf-8-sig":
        codec = "utf-8"
    # A mark of UTF-8 is no text in any encoding; a mark of another encoding than the one asked for is left alone.
    return codec, bom if bom == codecs.BOM_UTF8 or codec == recognised else b""


def utf8_blocks(read: Callable[[], bytes], encoding: str, bom: bytes) -> Iterator[bytes]:
    """What ``read`` returns until it returns nothing, as UTF-8 without the BOM."""
    skip = len(bom)
    decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)(_KEEP)
    for piece in iter(read, b""):
        block, skip = piece[skip:], 0
        yield block if decoder is None else decoder.decode(block).encode("utf-8", "surrogatepass")
    if decoder is not None:
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")


def keep_undecodable(raw: bytes) -> bytes:
    """A record of a UTF-8 file with its undecodable bytes kept as lone surrogates, as those of other encodings are."""
    return raw.decode("utf-8", _KEEP).encode("utf-8", "surrogatepass")


def show(raw: bytes) -> str:
    r"""A record for people: its undecodable bytes, kept as surrogates or not, as ``\xff``."""
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", _KEEP)
    named = re.sub("[\udc00-\udcff]", lambda kept: f"\\x{ord(kept[0]) - 0xDC00:02x}", text)
    return named.encode("utf-8", "backslashreplace").decode()
