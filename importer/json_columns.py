r"""Columns → JSON objects, a whole column at a time.

This module owns how text becomes JSON strings and how members become an object, so that what validation measures and
what is sent cannot differ. It writes compact JSON (RFC 8259): no white space, UTF-8 as it is, only ``"``, ``\`` and
U+0000 … U+001F escaped, just as Python's ``json.dumps(…, ensure_ascii=False, separators=(",", ":"))`` does.
Which members an event has is ``encode``'s.

An object is built as *pieces*: constants and arrays that `concatenate` joins in one pass, so that no intermediate
text is copied twice. A null in a piece adds nothing to its row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, Property
from importer.texts import text_bytes

Piece: TypeAlias = "str | ArrowArray"

LONGEST_ESCAPE = 6
"""Bytes that one byte of text can take in JSON: ``\\u001f``."""


@dataclass(frozen=True, slots=True)
class Member:
    """One key of an object with its column; a null leaves the key out of that row's object."""

    key: str
    values: ArrowArray
    """Strings: text where ``quoted``, else JSON tokens that are inserted as they are."""
    quoted: bool

    @classmethod
    def of_property(cls, one: Property) -> Self:
        """A property: numbers and booleans are tokens, text and times are quoted."""
        return cls(one.name, one.values, quoted=one.kind not in ("integer", "number", "boolean"))

    def before(self) -> str:
        """What stands before the value, the key and the opening quote."""
        return json.dumps(self.key, ensure_ascii=False) + (':"' if self.quoted else ":")

    def after(self) -> str:
        """What stands after the value."""
        return '"' if self.quoted else ""

    def content(self) -> ArrowArray:
        """The values, escaped where they are text."""
        return escape(self.values) if self.quoted else self.values


def needs_escapes(values: ArrowArray) -> bool:
    """Whether any text holds a quote, a backslash or a control character; null rows may raise a false alarm."""
    data = text_bytes(values)
    if data.size == 0:
        return False
    if data.min() < 0x20:
        return True
    raw = data.tobytes()
    return b'"' in raw or b"\\" in raw


def escape(values: ArrowArray) -> ArrowArray:
    """Texts as the inside of JSON strings."""
    if not needs_escapes(values):
        return values
    values = pc.replace_substring(values, pattern="\\", replacement="\\\\")
    values = pc.replace_substring(values, pattern='"', replacement='\\"')
    data = text_bytes(values)
    for control in np.unique(data[data < 0x20]).tolist():
        character = chr(control)
        values = pc.replace_substring(values, pattern=character, replacement=json.dumps(character)[1:-1])
    return values


def object_pieces(members: Sequence[Member], rows: ArrowArray | None = None) -> list[Piece]:
    """Pieces of ``{…}`` with the members that a row has, in the order given; ``{}`` for a row that has none.

    ``rows``, a boolean array, names the rows that matter; None: all. The others' text is undefined, which spares
    the commas' bookkeeping where only rows that are not sent lack a member.
    """
    anchor = next((at for at, member in enumerate(members) if always_there(member, rows)), None)
    if anchor is None:
        return ["{", joined(members), "}"]
    # Commas hang on the side that faces the member which every row has.
    first = members[anchor]
    leading = [wrapped("", member, ",") for member in members[:anchor]]
    trailing = [piece for member in members[anchor + 1 :] for piece in following(member, rows)]
    return ["{", *leading, first.before(), first.content(), first.after(), *trailing, "}"]


def following(member: Member, rows: ArrowArray | None = None) -> list[Piece]:
    """Pieces of ``,"key":value`` for an object that has a member before it; nothing where it is absent."""
    if always_there(member, rows):
        return ["," + member.before(), member.content(), member.after()]
    return [wrapped(",", member, "")]


def joined(members: Sequence[Member]) -> ArrowArray:
    """The inside of an object of which any member may be absent; empty where all are."""
    fragments = [wrapped("", member, "") for member in members]
    # Arrow's join with "skip" gives no row at all, instead of an empty one, where everything is null.
    empty = reduce(pc.and_, [fragment.is_null() for fragment in fragments])
    fragments[0] = pc.if_else(empty, "", fragments[0])
    if len(fragments) == 1:
        return fragments[0]
    return pc.binary_join_element_wise(*fragments, ",", null_handling="skip")


def wrapped(before: str, member: Member, after: str) -> ArrowArray:
    """``"key":value`` between two constants; null where the value is."""
    return pc.binary_join_element_wise(before + member.before(), member.content(), member.after() + after, "")


def always_there(member: Member, rows: ArrowArray | None) -> bool:
    """Whether each of the rows that matter has the member."""
    missing = member.values.null_count
    if not missing or rows is None:
        return not missing
    return not pc.any(pc.and_(member.values.is_null(), rows)).as_py()


def concatenate(pieces: Iterable[Piece], rows: ArrowArray | None = None) -> ArrowArray:
    """Join the pieces row by row into a ``string`` array; null where ``rows``, a boolean array, is false.

    At least one piece must be an array.
    """
    folded: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and folded and isinstance(folded[-1], str):
            folded[-1] += piece
        else:
            folded.append(piece)
    # A null separator makes a null row, whatever its pieces: that spares a pass over the finished text.
    separator = "" if rows is None else pc.if_else(rows, "", pa.scalar(None, pa.string()))
    return pc.binary_join_element_wise(*folded, separator, null_handling="skip")
