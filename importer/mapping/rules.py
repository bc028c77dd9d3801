"""What a single word may be set to, beyond its type: patterns, zones, encodings, formats, names.

Each rule takes a value and gives it back, or raises the mistake it is. How words go together is ``model``'s.
"""

from __future__ import annotations

import re
import zoneinfo
from collections import Counter

from importer.mapping import template as templates
from importer.mapping.mistakes import mistake
from importer.mapping.words import did_you_mean, found, nearest, shorten
from importer.mapping.zones import zone_named
from importer.reasons import REASONS

EPOCHS = ("s", "ms", "us")
"""The formats that count seconds, milliseconds or microseconds since 1970-01-01T00:00Z."""

_ASKED_FOR = ("value", "value_currency", "key", "order_by")

ORDERS = ("dmy", "mdy", "ymd")
"""The formats that only say in which order day, month and year stand."""

_DIRECTIVES = frozenset("YymdbBjHIMSfpzaAZ%")
_SPELLED_OUT = (("YYYY", "%Y"), ("yyyy", "%Y"), ("YY", "%y"), ("MM", "%m"), ("DD", "%d"), ("dd", "%d"), ("HH", "%H"),
                ("hh", "%H"), ("mm", "%M"), ("SS", "%S"), ("ss", "%S"))  # fmt: skip
"""How spreadsheets and Java spell the directives."""


def one(value: object) -> object:
    """The only version there is; ``true`` and ``1.0`` are equal to it in Python, but not the number 1."""
    if type(value) is not int or value != 1:
        raise mistake(f"`version` wants 1, not {found(value)}", "this importer reads version 1 of the language")
    return value


def column_name(name: object) -> object:
    """A column's name; numbers name the columns of files without a header. What is neither is pydantic's to refuse."""
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    if isinstance(name, str) and not name.strip():
        raise mistake("a column's name is empty", "name the column as the file's header does")
    return name


def as_text(value: object) -> object:
    """A text, or a whole number that stands for one; what is neither is pydantic's to refuse."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def reason_code(code: str) -> str:
    """A code of the documented list."""
    if code not in REASONS:
        hint = did_you_mean(code, REASONS) or "docs/reasons.md lists them"
        raise mistake(f"`{shorten(code)}` is not the code of a reason", hint)
    return code


def optional_word(word: str) -> str:
    """A word at the left margin that a mapping may do without, and so may be asked for."""
    if word not in _ASKED_FOR:
        raise mistake(f"`needs` cannot ask for `{shorten(word)}`", f"it can for {', '.join(_ASKED_FOR)}")
    return word


def filled(value: object) -> object:
    """A scalar that a cell could hold: a blank cell is absent, so a blank text is none."""
    if isinstance(value, str) and not value.strip():
        raise mistake("a blank text stands for nothing, as a blank cell is absent", "leave the word out")
    return value


def regular_expression(pattern: str) -> str:
    """A pattern that RE2, the engine it will run on, compiles."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        # Only a kernel that runs compiles its pattern; `pa.array` would import pandas.
        pc.match_substring_regex(pa.nulls(1, pa.string()), pattern=pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        hint = "RE2 has no look-around and no back-references" if re.search(r"\(\?[=!<]|escape", reason) else None
        raise mistake(f"`{shorten(pattern)}` is not a regular expression of RE2: {reason}", hint) from None
    return pattern


def template(text: str) -> str:
    """A template with at least one column, and with every brace closed."""
    try:
        pieces = templates.split(text)
    except ValueError as error:
        raise mistake(f"in the template, {error}", "write {{ or }} for a brace that is meant as one") from None
    if not any(piece.is_column for piece in pieces):
        raise mistake("the template names no column", "write {column}, or use `const` for a fixed text")
    return text


def zone(name: str) -> str:
    """A zone of the IANA database."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise mistake(f"`{shorten(name)}` is not a time zone of the IANA database", _zone_hint(name)) from None
    return name


def _zone_hint(name: str) -> str:
    if re.fullmatch("[A-Z]{2,5}", name):
        return "an abbreviation is ambiguous; write one such as Europe/Vilnius"
    known = zone_named(name)
    if isinstance(known, zoneinfo.ZoneInfo):
        return f"did you mean `{known.key}`?"
    zones = {one.rpartition("/")[2]: one for one in zoneinfo.available_timezones() if "/" in one}
    zones |= {one: one for one in zones.values()}
    near = nearest(name, zones)
    return f"did you mean `{zones[near]}`?" if near else "write one such as Europe/Vilnius"


def encoding(name: str) -> str:
    """A text encoding that Python knows."""
    if not _is_encoding(name):
        from encodings.aliases import aliases

        names = [alias.replace("_", "-") for alias in sorted(set(aliases.values())) if _is_encoding(alias)]
        hint = did_you_mean(name, names) or "common ones are utf-8, cp1252, iso8859-1 and utf-16"
        raise mistake(f"`{shorten(name)}` is not an encoding", hint)
    return name


def _is_encoding(name: str) -> bool:
    try:
        return bool("a".encode(name).decode(name))
    except (LookupError, ValueError):  # unknown; or not between text and bytes, as rot13
        return False


def delimiter(text: str) -> str:
    """One character, or the name of one that is hard to write."""
    if text not in {"tab", "whitespace"} and not _is_sign(text):
        raise mistake(f"`delimiter` wants one ASCII character, `tab` or `whitespace`, not {found(text)}")
    return text


def quote(text: str) -> str:
    """One character."""
    if not _is_sign(text):
        raise mistake(f"`quote` wants one ASCII character, not {found(text)}")
    return text


def _is_sign(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text not in "\r\n\0"


def header(names: bool | tuple[str, ...]) -> bool | tuple[str, ...]:
    """Names that can be told apart."""
    if isinstance(names, tuple):
        for name, times in Counter(names).items():
            if times > 1:
                raise mistake(f"`header` names the column `{shorten(name)}` twice")
    return names


def country(code: str) -> str:
    """An ISO 3166 code whose numbering plan is known."""
    import phonenumbers

    if code not in phonenumbers.SUPPORTED_REGIONS:
        hint = "the United Kingdom is GB" if code == "UK" else "ISO 3166 has the list"
        raise mistake(f"`{code}` is not the code of a country with phones", hint)
    return code


def time_format(text: str) -> str:
    """An epoch's unit, an order, or a pattern of the directives that every stage understands alike.

    ``%Z`` stands at the end or not at all: what it reads is for ``mapping.zones``, not for Python, which drops names.
    """
    if text in EPOCHS or text in ORDERS:
        return text
    directives = re.findall(r"%(.?)", text, re.DOTALL)
    bad = next((one for one in directives if one not in _DIRECTIVES or not one), None)
    if directives.count("Z") > text.endswith(" %Z"):
        raise mistake("`%Z` is read at the end only, after a blank", "use %z for offsets, or `timezone`")
    if bad is not None:
        known = " ".join(f"%{letter}" for letter in "YymdbBjHIMSfpzaAZ")
        raise mistake(f"`%{bad}` is not a directive of a time format", f"known are {known} and %%")
    if not set(directives) - {"%"}:
        raise mistake(f"`{shorten(text)}` is not a time format", _respelled(text))
    return text


def _respelled(text: str) -> str:
    for spelled, directive in _SPELLED_OUT:
        text = text.replace(spelled, directive)
    return f'write "{text}"' if "%" in text else 'write dmy, mdy or ymd, s, ms or us, or one such as "%d.%m.%Y"'
