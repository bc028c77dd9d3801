r"""Columns → JSON objects, a whole column at a time.

It writes compact JSON (RFC 8259): no white space, UTF-8 as it is, only ``"``, ``\`` and U+0000 … U+001F escaped, as
Python's ``json.dumps(…, ensure_ascii=False, separators=(",", ":"))`` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import text_bytes
from importer.model import ArrowArray, Int64s, Property


class Member(msgspec.Struct, frozen=True):
    """One key of an object with its column; a null leaves the key out of that row's object."""

    key: str
    values: ArrowArray
    """Strings: text where ``quoted``, else JSON tokens that are inserted as they are."""
    quoted: bool

    @classmethod
    def of_property(cls, one: Property) -> Self:
        """A property: numbers and booleans are tokens, text and times are quoted."""
        return cls(one.name, one.values, quoted=one.kind not in ("integer", "number", "boolean"))

    @property
    def before(self) -> str:
        """What is before the value: the key and the opening quote."""
        return json.dumps(self.key, ensure_ascii=False) + (':"' if self.quoted else ":")

    @property
    def after(self) -> str:
        """What is after the value."""
        return '"' if self.quoted else ""

    def content(self) -> ArrowArray:
        """The values, escaped where they are text."""
        return escape(self.values) if self.quoted else self.values


def escape(values: ArrowArray) -> ArrowArray:
    """Texts as the inside of JSON strings."""
    raw = (data := text_bytes(values)).tobytes()
    if not raw or (data.min() >= 0x20 and b'"' not in raw and b"\\" not in raw):
        return values
    values = pc.replace_substring(values, pattern="\\", replacement="\\\\")
    values = pc.replace_substring(values, pattern='"', replacement='\\"')
    data = text_bytes(values)
    for control in np.unique(data[data < 0x20]).tolist():
        character = chr(control)
        values = pc.replace_substring(values, pattern=character, replacement=json.dumps(character)[1:-1])
    return values


def object_pieces(
    members: Sequence[Member], count: int, *, follows: bool = False
) -> tuple[list[ArrowArray | str], ArrowArray | None]:
    """The inside of ``count`` rows' objects, in the order given, as texts for `joined`; a null adds nothing to its row.

    Beside them, booleans that are true where a row has a member; None: everywhere. So no text is copied twice.
    ``follows``: there are other members before these.
    """
    pieces: list[ArrowArray | str] = []
    seen: ArrowArray | None = None if follows else pa.repeat(pa.scalar(value=False), count)
    for number, member in enumerate(members):
        comma = "," if seen is None else ""
        if number and seen is not None:
            pieces.append(pc.if_else(pc.and_(seen, member.values.is_valid()), ",", pa.scalar(None, pa.string())))
        if member.values.null_count:
            pieces.append(pc.binary_join_element_wise(comma + member.before, member.content(), member.after, ""))
            seen = None if seen is None else pc.or_(seen, member.values.is_valid())
        else:
            pieces += [comma + member.before, member.content(), member.after]
            seen = None
    return pieces, seen


def joined(pieces: Iterable[ArrowArray | str], separator: ArrowArray | str = "") -> ArrowArray:
    """The pieces of each row, one after the other; null where the separator is."""
    runs = groupby(pieces, key=lambda one: isinstance(one, str))
    whole = [one for is_text, run in runs for one in (["".join(run)] if is_text else run)]
    return pc.binary_join_element_wise(*whole, separator, null_handling="skip")


def object_sizes(members: Sequence[Member], inside: ArrowArray | None = None) -> Int64s:
    """Bytes of each row's object as compact JSON; ``inside``: what is in it besides, as JSON."""
    sizes: Int64s = np.zeros(len(members[0].values if inside is None else inside), np.int64)
    if inside is not None:
        sizes += pc.fill_null(pc.add(pc.binary_length(inside).cast(pa.int64()), 1), 0).to_numpy()
    for member in members:
        values = member.content()
        constant = len((member.before + member.after).encode()) + 1
        sizes += pc.fill_null(pc.add(pc.binary_length(values).cast(pa.int64()), constant), 0).to_numpy()
    return np.maximum(sizes + 1, 2)
