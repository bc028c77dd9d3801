"""Text for people: foreign text made harmless, counts with their noun, lengths of time, and moments.

Every text that comes from outside (a cell, a file's name, the API's words, a hook's output) goes through `shown` before
it is put on a screen, into a log, a message or a page.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def shown(text: str) -> str:
    r"""The text on one line, with everything invisible as escapes such as ``\x1b``, ``\n``, ``\u202e`` or ``\u200b``.

    Control characters, line breaks, direction marks, zero-width characters and lone surrogates can neither steer a
    terminal, forge a line of a report or a log, nor hide. Letters, marks, symbols and ordinary blanks stay.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def is_remote(argument: str) -> bool:
    """Whether it is an address (``s3://…``), and no path on this machine."""
    return re.match(r"[a-z][a-z0-9+.-]*://", argument) is not None


def public_name(address: str) -> str:
    """An address without password and query, where signatures are, and mostly without user; a path as it is."""
    scheme = address.partition("://")[0]
    if scheme in {"http", "https"}:
        address = re.sub(r"[?#].*", "", address)
    if scheme == "sftp":
        return re.sub(r"^(sftp://[^/:@]*)(:[^/@]*)?@", r"\1@", address)
    # The name before the @ of an Azure address is that of a container.
    return address if scheme in {"abfs", "abfss"} else re.sub(r"^([a-z0-9+.-]+://)[^/@]*@", r"\1", address)


_STAMP = re.compile(r"~\d{8}-\d{6}(?:-\d+)?(?=\.|$)")


def original_name(taken: str) -> str:
    """The name under which a file was dropped, where `importer watch` has put the time of its arrival into it."""
    return _STAMP.sub("", taken, count=1)


def without_secrets(text: str) -> str:
    """A library's message with the addresses in it shown as by `public_name`."""
    return re.sub(r"(https?://)(?:[^/@\s]*@)?([^\s'\"<>?#]*)[^\s'\"<>]*", r"\1\2", text)


def brief(text: str, most: int = 60) -> str:
    """`shown`, cut to ``most`` characters: for the names of columns, which can be of any length."""
    line = shown(text[: most + 1])
    return line if len(line) <= most else line[: most - 1] + "…"


def shown_json(text: bytes) -> bytes:
    r"""JSON in UTF-8 that means the same and hides nothing: invisible characters as escapes such as ``\u202e``."""
    import json

    plain = text.decode()
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in plain).encode()


def shell_quoted(argument: str) -> str:
    r"""The argument as a shell takes it, on one line that hides nothing: ``orders.csv``, ``'a b.csv'``, ``$'a\nb'``."""
    import shlex

    argument = public_name(argument)
    if argument.isprintable():
        return shlex.quote(argument)
    inside = "".join(
        one if one.isprintable() and one not in "\\'" else "".join(f"\\x{byte:02x}" for byte in os.fsencode(one))
        for one in argument
    )
    return f"$'{inside}'"


def shown_lines(text: str) -> str:
    """`shown` for a text of this program's own lines: its line feeds stay."""
    return "\n".join(map(shown, text.split("\n")))


def shorten(text: str, length: int) -> str:
    """`shown`, in at most so many characters, with single blanks."""
    line = shown(" ".join(text[: 4 * length].split()))
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def event_in_words(body: bytes) -> list[str]:
    """An event as lines: ``purchase of 59.90 EUR for ada@example.com``, then a line for each property."""
    import json
    from decimal import Decimal

    event = json.loads(body, parse_float=str, parse_int=str)
    amount = [f"{Decimal(event['value']):,f}"] if "value" in event else []
    worth = " ".join([*amount, *([shown(event["value_currency"])] if "value_currency" in event else [])])
    whom = " / ".join(shown(one) for one in event["subscriber"].values())
    properties = event.get("properties", {}).items()
    return [
        f"{shown(event['type'])}{worth and ' of '}{worth} for {whom}",
        *(f"  {shown(name)}: {shown(one if isinstance(one, str) else json.dumps(one))}" for name, one in properties),
    ]


def counted(count: int, noun: str) -> str:
    """``1 row``, ``1,234 rows``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """A length of time in at most two units: ``4.2 s``, ``41 s``, ``4 min 26 s``, ``28 h``, ``11 d 14 h``."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    parts: list[tuple[int, str]] = []
    left = round(seconds)
    for name, size in _UNITS[1:] if seconds < 48 * 3_600 else _UNITS:
        number, left = divmod(left, size)
        if number or parts:
            parts.append((number, name))
    return " ".join(f"{number:,} {name}" for number, name in parts[:2] if number)


def iso(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC with milliseconds: ``2026-11-23T18:03:55.123Z``; None without any."""
    if seconds is None:
        return None
    # Rounded to whole milliseconds first: isoformat would cut, the report's kernels round.
    moment = datetime.fromtimestamp(round(seconds * 1000) / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
