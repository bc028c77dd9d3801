"""What a single key may be set to, besides its type: patterns, zones, encodings, formats, names.

Each check returns the value, or raises what is wrong with it (`errors.invalid`).
"""

from __future__ import annotations

import codecs
import re
import zoneinfo
from collections import Counter
from datetime import datetime

import msgspec

from importer.mapping.errors import did_you_mean, invalid, listed, nearest, shorten, shown
from importer.mapping.zones import zone_named
from importer.reasons import REASONS

EPOCHS = ("s", "ms", "us")
"""The formats that count seconds, milliseconds or microseconds since 1970-01-01T00:00Z."""
ORDERS = ("dmy", "mdy", "ymd")
"""The formats that only say in which order day, month and year are written."""

AGO = re.compile("(?P<count>[0-9]{1,5})(?P<unit>[dh])")
"""How a test says a number of days or hours ago."""

_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
_ISO = re.compile(f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}({_CLOCK})?")
_CAN_BE_NEEDED = ("subscriber", "value", "value_currency", "key", "order_by")
_DIRECTIVES = "YymdbBjHIMSfpzaAZ"
_SPELLED_OUT = (("YYYY", "%Y"), ("yyyy", "%Y"), ("YY", "%y"), ("MM", "%m"), ("DD", "%d"), ("dd", "%d"), ("HH", "%H"),
                ("hh", "%H"), ("mm", "%M"), ("SS", "%S"), ("ss", "%S"))  # fmt: skip
"""How spreadsheets and Java spell the directives."""
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NOT_FOR_FILES = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"}
"""Python codecs between text and text-like bytes that no file is written in."""


def one(value: object) -> object:
    """The only version there is; ``true`` and ``1.0`` are equal to it in Python, but not the number 1."""
    if type(value) is not int or value != 1:
        raise invalid(f"`version` must be 1, not {shown(value)}", "this importer reads version 1 of the language")
    return value


def column_name(name: object) -> object:
    """A column's name; numbers name the columns of files without a header. pydantic refuses anything else."""
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    if isinstance(name, str) and not name.strip():
        raise invalid("the column's name is empty", "name the column as the file's header does")
    return name


def as_text(value: object) -> object:
    """A text, or a whole number written for one; pydantic refuses anything else."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def reason_code(code: str) -> str:
    """A code of the documented list."""
    if code not in REASONS:
        hint = did_you_mean(code, REASONS) or "docs/reasons.md lists them"
        raise invalid(f'unknown reason code "{shorten(code)}"', hint)
    return code


def needed_key(key: str) -> str:
    """A top-level key that a mapping may leave to those that extend it."""
    if key not in _CAN_BE_NEEDED:
        raise invalid(f"`needs` cannot ask for `{shorten(key)}`", f"it can ask for {listed(_CAN_BE_NEEDED)}")
    return key


def filled(value: object) -> object:
    """A scalar that a cell could hold; a blank text would be an absent value."""
    if isinstance(value, str) and not value.strip():
        raise invalid("a blank text is the same as no value", "leave the key out")
    return value


def regular_expression(pattern: str) -> str:
    """A pattern that RE2, the engine it runs on, compiles."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        # Only a kernel that runs compiles its pattern; `pa.array` would import pandas.
        pc.match_substring_regex(pa.nulls(1, pa.string()), pattern=pattern)
    except pa.ArrowInvalid as error:
        reason = shorten(str(error).removeprefix("Invalid regular expression: "))
        hint = "RE2 has no look-around and no back-references" if re.search(r"\(\?[=!<]|escape", reason) else None
        raise invalid(f'invalid regular expression "{shorten(pattern)}": {reason}', hint) from None
    return pattern


def template(text: str) -> str:
    """A template with at least one column, and with every brace closed."""
    try:
        pieces = split(text)
    except ValueError as error:
        raise invalid(f"in the template, {error}", "write {{ or }} for a literal brace") from None
    if not any(piece.is_column for piece in pieces):
        raise invalid("the template names no column", "write {column}, or use `const` for a fixed text")
    return text


class Piece(msgspec.Struct, frozen=True):
    """A stretch of literal text, or the place of a column."""

    text: str
    """The literal, with ``{{`` and ``}}`` made single, or the column's name."""
    is_column: bool


def split(text: str) -> tuple[Piece, ...]:
    """Cut a template into pieces, in order; neighbouring literals are one piece.

    Raises:
        ValueError: a brace is alone, or one pair names no column; the text says which.
    """
    pieces: list[Piece] = []
    literal = ""
    end = 0
    for token in _TOKEN.finditer(text):
        literal += text[end : token.start()]
        end = token.end()
        if token[0] in {"{{", "}}"}:
            literal += token[0][0]
        elif token[1] is None:
            raise ValueError(f"the `{token[0]}` at character {token.start() + 1} has no partner")
        elif not token[1].strip():
            raise ValueError(f"`{token[0]}` at character {token.start() + 1} names no column")
        else:
            pieces += [Piece(literal, is_column=False)] if literal else []
            pieces.append(Piece(token[1], is_column=True))
            literal = ""
    literal += text[end:]
    pieces += [Piece(literal, is_column=False)] if literal else []
    return tuple(pieces)


def zone(name: str) -> str:
    """A zone of the IANA database."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid(f'unknown time zone "{shorten(name)}"', _zone_hint(name)) from None
    return name


def _zone_hint(name: str) -> str:
    if re.fullmatch("[A-Z]{2,5}", name):
        return "an abbreviation is ambiguous; write a zone such as Europe/Vilnius"
    known = zone_named(name)
    if isinstance(known, zoneinfo.ZoneInfo):
        return f"did you mean {known.key}?"
    zones = {one.rpartition("/")[2]: one for one in zoneinfo.available_timezones() if "/" in one}
    zones |= {one: one for one in zones.values()}
    near = nearest(name, zones)
    return f"did you mean {zones[near]}?" if near else "write a zone such as Europe/Vilnius"


def encoding(name: str) -> str:
    """A text encoding that Python knows and files are written in."""
    if not _is_encoding(name):
        from encodings.aliases import aliases

        names = [alias.replace("_", "-") for alias in sorted(set(aliases.values())) if _is_encoding(alias)]
        hint = did_you_mean(name, names) or "common ones are utf-8, cp1252, iso8859-1 and utf-16"
        raise invalid(f'unknown encoding "{shorten(name)}"', hint)
    return name


def _is_encoding(name: str) -> bool:
    try:
        codec = codecs.lookup(name).name.replace("-", "_")
        return codec not in _NOT_FOR_FILES and "a,\n".encode(name).decode(name) == "a,\n"
    except (LookupError, ValueError):  # unknown, or not between text and bytes, as rot13
        return False


def delimiter(text: str) -> str:
    """One character or a few, or the name of what is hard to write."""
    if text not in {"tab", "whitespace"} and not (0 < len(text) < 4 and all(map(_is_sign, text))):
        raise invalid(f"`delimiter` must be one to three ASCII characters, `tab` or `whitespace`, not {shown(text)}")
    return text


def sign(text: str) -> str:
    """One character."""
    if not _is_sign(text):
        raise invalid(f"this must be one ASCII character, not {shown(text)}")
    return text


def _is_sign(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text not in "\r\n\0"


def header(names: bool | tuple[str, ...]) -> bool | tuple[str, ...]:
    """Names that differ."""
    if isinstance(names, tuple):
        for name, times in Counter(names).items():
            if times > 1:
                raise invalid(f'`header` names the column "{shorten(name)}" twice')
    return names


def country(code: str) -> str:
    """An ISO 3166 code whose numbering plan is known."""
    import phonenumbers

    if code not in phonenumbers.SUPPORTED_REGIONS:
        hint = "the United Kingdom is GB" if code == "UK" else "ISO 3166 lists the codes"
        raise invalid(f'no country with phones has the code "{code}"', hint)
    return code


def time_format(text: str) -> str:
    """An epoch's unit, an order, or a strptime pattern that every stage understands alike.

    ``%Z`` is read at the end only, by ``zones``: Python drops the names of zones.
    """
    if text in EPOCHS or text in ORDERS:
        return text
    directives = re.findall(r"%(.?)", text, re.DOTALL)
    if directives.count("Z") > text.endswith(" %Z"):
        raise invalid("`%Z` is read at the end only, after a blank", "use %z for offsets, or `timezone`")
    for letter, times in Counter(directives).items():
        if letter != "%" and (not letter or letter not in _DIRECTIVES):
            known = " ".join(f"%{one}" for one in _DIRECTIVES)
            raise invalid(f"`%{letter}` is not a directive of a time format", f"known are {known} and %%")
        if times > 1 and letter != "%":
            raise invalid(f"the time format has `%{letter}` twice", "keep one of them")
    if not set(directives) - {"%"}:
        raise invalid(f'"{shorten(text)}" is not a time format', _respelled(text))
    if not {"Y", "y"} & set(directives):
        raise invalid(f'the time format "{shorten(text)}" has no year', "add %Y, or put date and time together first")
    return text


def bound(text: str) -> str:
    """A date or time in ISO 8601, or a number of days or hours ago."""
    if not AGO.fullmatch(text) and not _is_moment(text):
        hint = "write one such as 2024-01-31, 2024-01-31T08:15+02:00, or how long ago: 30d, 12h"
        raise invalid(f'"{shorten(text)}" is not a date or time', hint)
    return text


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _ISO.fullmatch(text) is not None  # Python reads weeks and other forms besides


def _respelled(text: str) -> str:
    for spelled, directive in _SPELLED_OUT:
        text = text.replace(spelled, directive)
    return f'write "{text}"' if "%" in text else 'write dmy, mdy or ymd, s, ms or us, or one such as "%d.%m.%Y"'
