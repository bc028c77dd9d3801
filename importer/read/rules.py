"""How the text of a CSV file becomes records and fields: the rules, and the one plain parser for them.

A quote opens only at a field's start, blanks before it ignored; within, two stand for one, or one behind the escape
character. Text after a closing quote belongs to the field (RFC 4180 with everybody's leniency). One rule is stricter:
where a quoted field spans lines, its closing quote must be followed by a delimiter or a line end; else its opening line
alone is given up, since the quote that seems to close it opens a later row's field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

WHITESPACE = "whitespace"
BLANKS = b" \t"


@dataclass(frozen=True)
class Rules:
    """A file's delimiter, quote and other special characters."""

    delimiter: bytes
    """One character or more; empty for runs of blanks."""
    quote: bytes = b'"'
    """Empty: quotes mean nothing."""
    escape: bytes = b""
    """What takes the meaning from a quote, a delimiter or itself; empty without one."""
    comment: bytes = b""
    """What a line begins with that is no record; empty without one."""

    @cached_property
    def is_standard(self) -> bool:
        """Whether Arrow's parser knows these rules."""
        return len(self.delimiter) == 1 and len(self.quote) <= 1 and not self.escape

    @cached_property
    def _separator(self) -> bytes:
        return re.escape(self.delimiter) if self.delimiter else rb"[ \t]++"

    @cached_property
    def _quoted(self) -> bytes:
        """A quoted field from its opening to its closing quote, as a possessive pattern: it never backtracks."""
        quote, escape = re.escape(self.quote), re.escape(self.escape)
        pair = quote * 2 + (b"|" + escape + b"." if escape else b"")
        return b"%b([^%b%b]*+(?:(?:%b)[^%b%b]*+)*+)%b" % (quote, quote, escape, pair, quote, escape, quote)

    @cached_property
    def _rest(self) -> bytes:
        """What is left of a field, up to its delimiter or line end."""
        escaped = re.escape(self.escape) + rb"[^\r\n]|" if self.escape else b""
        if not self.delimiter:
            return rb"[^ \t\r\n]*+"
        if len(self.delimiter) == 1:
            return b"(?:%b[^%b\r\n])*+" % (escaped, re.escape(self.delimiter))
        return b"(?:%b(?!%b)[^\r\n])*+" % (escaped, self._separator)

    @cached_property
    def quoted(self) -> re.Pattern[bytes]:
        """A quoted field, blanks before it included."""
        return re.compile(self._blanks + self._quoted, re.DOTALL)

    @property
    def _blanks(self) -> bytes:
        return b"" if self.delimiter in {b" ", b"\t"} else rb"[ \t]*+"

    @cached_property
    def _field(self) -> re.Pattern[bytes]:
        return re.compile(b"(?:%b%b)?+(%b)" % (self._blanks, self._quoted, self._rest), re.DOTALL)

    @cached_property
    def separator(self) -> re.Pattern[bytes]:
        """What is between two fields."""
        return re.compile(self._separator)

    @cached_property
    def orderly(self) -> re.Pattern[bytes]:
        """A record in which every quote is where RFC 4180 allows one."""
        field = b"(?>%b(?=%b|[\r\n]|\\Z)|[^%b\r\n%b]*+)" % (
            self._quoted, self._separator, re.escape(self.quote), re.escape(self.delimiter[:1])
        )  # fmt: skip
        return re.compile(b"%b(?:%b%b)*+" % (field, self._separator, field), re.DOTALL)

    @cached_property
    def lenient(self) -> re.Pattern[bytes]:
        """As many fields of a record as can be read."""
        quote = re.escape(self.quote)
        on_a_line = self._quoted.replace(b"[^" + quote, b"[^\r\n" + quote)
        field = b"(?>%b%b%b|%b%b(?=[ \t]*+(?:%b|[\r\n]|\\Z))|(?!%b%b)%b)" % (
            self._blanks, on_a_line, self._rest, self._blanks, self._quoted, self._separator,
            self._blanks, quote, self._rest,
        )  # fmt: skip
        return re.compile(b"%b(?:%b%b)*+" % (field, self._separator, field), re.DOTALL)

    def fields(self, record: bytes) -> list[bytes]:
        """One record's fields, without their quotes."""
        if not self.delimiter:
            record = record.strip(BLANKS)
        if (not self.quote or self.quote not in record) and (not self.escape or self.escape not in record):
            return record.split(self.delimiter) if self.delimiter else record.split()
        found: list[bytes] = []
        at = 0
        while True:
            field = self._field.match(record, at)
            assert field is not None  # it matches nothing at least
            text, rest = field[1], field[2]
            if text is None:
                found.append(self._unescaped(rest))
            else:
                found.append(
                    self._unescaped(text).replace(self.quote * 2, self.quote) + (rest if rest.strip() else b"")
                )
            separator = self.separator.match(record, field.end())
            if separator is None:
                return found
            at = separator.end()

    def _unescaped(self, text: bytes) -> bytes:
        if not self.escape or self.escape not in text:
            return text
        special = b"|".join(re.escape(sign) for sign in (self.escape, self.quote, self.delimiter) if sign)
        return re.sub(re.escape(self.escape) + b"(" + special + b")", rb"\1", text)


LINES = Rules(b"", quote=b"")
"""Every line is a record."""
