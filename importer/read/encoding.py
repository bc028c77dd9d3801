"""Which encoding a text file has, and its bytes as UTF-8.

Text is UTF-8 unless a byte order mark, the zero bytes of UTF-16 or the mapping says otherwise. Bytes that are not UTF-8
are read in the code pages that make words of them. Where these agree on every letter, the file is read so; where they
do not, the file is refused with what each of them makes of its words: a guess would misspell names.

Bytes that are no text are kept as lone surrogates (U+DC00 plus the byte), which are invalid as UTF-8, so that the row
which holds them is found by the check that UTF-8 files get as well.
"""

from __future__ import annotations

import codecs
import re
import string
import unicodedata
from collections.abc import Callable, Iterator

import msgspec

from importer.errors import SourceError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_WORD = re.compile(rb"[A-Za-z'\x80-\xff]*[\x80-\xff][A-Za-z'\x80-\xff]*")
_HIGH = bytes(range(0x80, 0x100))
_KEEP = "importer.keep"
"""Our handler's name among the codecs' error handlers."""

_CYRILLIC = (
    "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "абвгдежзийклмнопрстуфхцчшщьюяіїєґў",
    "абвгдежзийклмнопрстуфхцчшљњћђџј",
)
_WESTERN = (
    "äöüß", "éèêëàâçîïôùûüÿœæ", "áéíñóúü", "ãáâàçéêíóôõú", "àèéìòù", "äåæøöé", "ëïéèöü", "áðéíóúýþæö", "äöåšž",
)  # fmt: skip
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäľĺôŕ", "áéíóöőúüű", "ăâîşţ", "čćđšž")
_BALTIC = ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž")
_GREEK = ("αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώ",)
_WINDOWS: dict[str, tuple[str, ...]] = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1257": _BALTIC,
    "cp1254": ("çğ\u0131öşüâîûi\u0307",),
    "cp1251": _CYRILLIC,
    "cp1253": _GREEK,
    "cp1255": ("אבגדהוזחטיכלמנסעפצקרשתםןץףך",),
    "cp1256": ("ابتثجحخدذرزسشصضطظعغفقكلمنهويةىءأإؤئآ",),
    "iso8859-15": _WESTERN,
    "iso8859-2": _CENTRAL,
    "iso8859-7": _GREEK,
}
"""Windows' code pages and those of Unix that differ from them, and the letters of the languages written in them."""
_OTHERS: dict[str, tuple[str, ...]] = {
    "cp850": _WESTERN,
    "cp852": _CENTRAL,
    "cp775": _BALTIC,
    "cp866": _CYRILLIC,
    "mac_roman": _WESTERN,
    "koi8_r": _CYRILLIC,
}
"""Encodings of DOS, Macs and others, for what makes no words in those."""
_WIDE = {"shift_jis": (0x82, 0x97), "gb18030": (0xB0, 0xD7), "big5": (0xA4, 0xC6), "euc_kr": (0xB0, 0xC8)}
"""Encodings of several bytes a letter, and the first bytes of the letters in common use."""
_LATIN = (_WESTERN, _CENTRAL, _BALTIC, _WINDOWS["cp1254"])
_ASCII = frozenset(map(chr, range(128)))
_SIGNS = frozenset({"Pd", "Pi", "Pf", "Ps", "Po", "Sc", "So", "Sm", "Zs"})
"""Categories of the signs that may be by themselves in a text: dashes, quotes, currencies, degrees."""
_AROUND = "°®©™"
"""Signs that are written at a word, besides punctuation."""
_ENOUGH = 6
"""Letters that must make words before a file is read in another script than Latin, or in an old code page."""
_FEWEST, _CLEAR = 4, 0.9
"""Of fewer letters than that, the bytes that must be words, and the share of the letters that a language uses."""
_MOST_WORDS = 2_000
_SHOWN_WORDS = 4
_SHOWN = 6


class EncodingError(SourceError):
    """A file is not UTF-8, and its bytes can be read in more than one way, or are too few to decide."""

    def __init__(self, source: str, readings: tuple[Reading, ...]) -> None:
        lines = "\n".join(f"  {reading}   →   source: {{encoding: {reading.encoding}}}" for reading in readings)
        why = "can be read in more than one way" if len(readings) > 1 else "are too few to be sure of its encoding"
        super().__init__(
            source,
            f"is not UTF-8, and its letters {why}:\n{lines}",
            hint="add the line of the reading that is right to the mapping, or export the file as UTF-8",
        )
        self.readings = readings
        """The likeliest first."""

    @property
    def likely(self) -> str | None:
        """The encoding that makes words of a known language where no other one does; None if that cannot be said."""
        first, *others = self.readings
        clear = first.is_sure and first.score >= 0.95 and all(other.score <= 0.7 for other in others)
        return first.encoding if clear else None


class Reading(msgspec.Struct, frozen=True):
    """What an encoding makes of a file."""

    encoding: str
    words: tuple[str, ...]
    """A few of the file's words as they would read."""
    score: float
    """The share of letters outside ASCII that a language written in this encoding uses."""
    is_sure: bool
    """Whether so many letters make words that it is no accident."""

    def __str__(self) -> str:
        return f"{self.encoding}: {', '.join(self.words)}"


class TextEncoding(msgspec.Struct, frozen=True):
    """How a file's bytes become text."""

    name: str
    """A Python codec."""
    bom: bytes = b""
    letters: str | None = None
    """For an encoding that was assumed: the character of each byte, with U+FFFE for the bytes that other encodings,
    which were as likely, read as another one. None: as the codec says."""
    note: str = ""
    """What was assumed, as a sentence; empty where nothing was."""

    def decoder(self) -> Callable[[bytes, bool], str]:
        """A function that decodes piece by piece; the flag marks the last one. Undecodable bytes are kept."""
        letters = self.letters
        if letters is not None:
            return lambda data, _final: codecs.charmap_decode(data, _KEEP, letters)[0]
        return codecs.getincrementaldecoder(self.name)(_KEEP).decode


def _keep(error: UnicodeError) -> tuple[str, int]:
    """Every undecodable byte as U+DC00 plus itself; unlike ``surrogateescape`` below 0x80 as well (UTF-16 needs it)."""
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_KEEP, _keep)


def recognise_encoding(name: str, wanted: str | None, sample: bytes, *, complete: bool) -> TextEncoding:
    """The encoding to read a file with that begins with ``sample``; ``wanted`` is what the mapping says.

    Raises `EncodingError` where the bytes can be read in several ways, `SourceError` for an unknown encoding.
    """
    marks = ((encoding, bom) for bom, encoding in _BOMS if sample.startswith(bom))
    recognised, bom = next(marks, None) or (_recognise_utf16(sample), b"")
    if wanted is not None:
        return _as_wanted(name, wanted, recognised, bom)
    if recognised:
        return TextEncoding(recognised, bom)
    try:
        codecs.utf_8_decode(sample, "strict", complete)
    except UnicodeDecodeError:
        return _recognise_code_page(name, sample)
    return TextEncoding("utf-8")


def _as_wanted(name: str, wanted: str, recognised: str, bom: bytes) -> TextEncoding:
    try:
        codec = codecs.lookup(wanted).name
        b"".decode(codec)
    except (LookupError, ValueError):
        raise SourceError(
            name, f"unknown encoding {wanted!r}", hint="use a name such as utf-8, cp1252, latin-1, utf-16 or shift_jis"
        ) from None
    if codec in {"utf-16", "utf-32"}:
        codec = recognised if recognised.startswith(codec) else f"{codec}-le"
    elif codec == "utf-8-sig":
        codec = "utf-8"
    # A mark of UTF-8 is no text in any encoding; a mark of another encoding than the one asked for is left alone.
    return TextEncoding(codec, bom if bom == codecs.BOM_UTF8 or codec == recognised else b"")


def _recognise_utf16(sample: bytes) -> str:
    """UTF-16 by the zero bytes of its ASCII letters; empty where it is not that."""
    pairs = len(sample) // 2
    first, second = (sample[at : 2 * pairs : 2].count(0) / max(pairs, 1) for at in (0, 1))
    if pairs < 2 or min(first, second) >= 0.05 or max(first, second) <= 0.4:
        return ""
    return "utf-16-le" if first < second else "utf-16-be"


def _recognise_code_page(name: str, sample: bytes) -> TextEncoding:
    """For a sample that is not UTF-8: a few broken bytes in UTF-8 text, or another encoding."""
    rest, multibyte = _MULTIBYTE.subn(b"", sample)
    strange = len(rest) - len(rest.translate(None, _HIGH))
    readings = [] if multibyte >= strange else _readings(sample)
    if not readings:
        return TextEncoding("utf-8")
    best = readings[0]
    used = bytes(sorted(set(sample) & set(_HIGH)))
    distinct = {_letters(reading.encoding, used): reading for reading in reversed(readings)}
    if len(distinct) > 1 or not best.is_sure:
        raise EncodingError(name, tuple(sorted(distinct.values(), key=lambda reading: -reading.score))[:_SHOWN])
    letters = None
    if best.encoding not in _WIDE:
        tables = [_letters(reading.encoding, bytes(range(256))) for reading in readings if reading.is_sure]
        letters = "".join(map(_agreed, zip(*tables, strict=True)))
    return TextEncoding(
        best.encoding,
        letters=letters,
        note=f"is not UTF-8; read as {best.encoding} ({', '.join(best.words)}), set "
        f"`source: {{encoding: {best.encoding}}}` if that is right, or the encoding that is",
    )


def _agreed(readings: tuple[str, ...]) -> str:
    """What a byte is in all readings that do not make a control character of it; U+FFFE where they do not agree."""
    letters = {one for one in readings if one.isascii() or unicodedata.category(one) != "Cc"} or {readings[0]}
    return letters.pop() if len(letters) == 1 else "\ufffe"


def _letters(encoding: str, data: bytes) -> str:
    return data.decode(encoding, "replace").replace("\ufffd", "\ufffe")


def _readings(sample: bytes) -> list[Reading]:
    """What encodings make of the words, the likeliest first; without those that make no words of them."""
    words = list(dict.fromkeys(_WORD.findall(sample)))[:_MOST_WORDS]
    for encodings in (_WINDOWS, _OTHERS):
        found = [_reading(one, [word.decode(one, "replace") for word in words], encodings[one]) for one in encodings]
        if encodings is _OTHERS:
            texts = {one: re.findall(r"[^\x00-\x7f]+", sample.decode(one, "replace"))[:_MOST_WORDS] for one in _WIDE}
            found += [_reading(one, list(dict.fromkeys(texts[one])), ()) for one in _WIDE]
        if readings := [one for one in found if one is not None]:
            return sorted(readings, key=lambda reading: -reading.score)
    return []


def _reading(encoding: str, texts: list[str], languages: tuple[str, ...]) -> Reading | None:
    verdicts = [_is_word(text) for text in texts]
    if verdicts.count(False) > 0.1 * len(texts):
        return None
    if True not in verdicts and not all(unicodedata.category(sign) in _SIGNS for sign in set("".join(texts)) - _ASCII):
        return None
    special = "".join(letter for text in texts for letter in text if letter.isalpha() and not letter.isascii())
    known = [sum(letter in language for letter in special.lower()) for language in languages]
    if encoding in _WIDE:
        low, high = _WIDE[encoding]
        known = [sum(low <= letter.encode(encoding)[0] <= high for letter in special)]
    telling = sorted(texts, key=lambda text: -len(set(text) - set(string.printable)))
    shown = tuple(dict.fromkeys(text.strip("'") for text in telling))[:_SHOWN_WORDS]
    score = max(known) / len(special) if special else 1.0
    is_sure = len(special) >= _ENOUGH or (encoding in _WINDOWS and languages in _LATIN)
    # A stray byte or two are no words of a language, whatever some encoding makes of them.
    size = sum(len(text.encode(encoding)) for text, is_word in zip(texts, verdicts, strict=True) if is_word)
    is_doubtful = size < _FEWEST or score < _CLEAR
    return None if is_doubtful and not is_sure else Reading(encoding, shown, score, is_sure)


def _is_word(text: str) -> bool | None:
    """Whether this is a word in one script with its capitals in place; None where it says nothing about its letters."""
    if "\ufffd" in text:
        return False
    letters = text.strip("'" + "".join(filter(_may_be_around, set(text))))
    if len(letters) < 2 or letters.isascii():
        return None if letters.isascii() or letters.islower() or unicodedata.category(letters)[0] == "S" else False
    if not all(
        letter.isalpha() or letter in "'’·…" or unicodedata.category(letter) in {"Pd", "Zs"} for letter in letters
    ):
        return False
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in letters if letter.isalpha()}
    if "HALFWIDTH" in scripts:  # Shift JIS has these letters in one byte, and makes them of other languages' bytes
        return False
    if len(scripts) != 1 and not scripts <= {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}:
        return False
    return all(
        part.islower() or part.isupper() or (part[:1].isupper() and part[1:].islower()) or part.lower() == part.upper()
        for part in re.split(r"\W+", letters)
    )


def _may_be_around(sign: str) -> bool:
    """Whether it is punctuation, blank, or another sign that is written at a word."""
    return sign in _AROUND or (unicodedata.category(sign)[0] in "PZ" and sign != "¶")


def utf8_blocks(read: Callable[[], bytes], encoding: TextEncoding, *, partial: bool = False) -> Iterator[bytes]:
    """What ``read`` returns until it returns nothing, as UTF-8 without the byte order mark.

    ``partial``: what follows is not read, so that a character which is cut off at the end is no undecodable one.
    """
    skip = len(encoding.bom)
    decode = None if encoding.name == "utf-8" else encoding.decoder()
    for piece in iter(read, b""):
        block, skip = piece[skip:], 0
        yield block if decode is None else decode(block, False).encode("utf-8", "surrogatepass")  # noqa: FBT003 - codecs take it by position
    if decode is not None and not partial:
        yield decode(b"", True).encode("utf-8", "surrogatepass")  # noqa: FBT003 - as above


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
