r"""Columns → JSON objects, a whole column at a time.

It writes compact JSON (RFC 8259): no white space, UTF-8 as it is, only ``"``, ``\`` and U+0000 … U+001F escaped, as
Python's ``json.dumps(…, ensure_ascii=False, separators=(",", ":"))`` does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, Int64s, Property
from importer.texts import text_bytes


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

    @property
    def before(self) -> str:
        """What is before the value: the key and the opening quote."""
        return json.dumps(self.key, ensure_ascii=False) + (':"' if self.quoted else ":")

    @property
    def after(self) -> str:
        """What is after the value."""
        return '"' if self.quoted else ""

    def text(self, before: str = "", after: str = "") -> ArrowArray:
        """``"key":value`` between two constants; null where the value is."""
        values = escape(self.values) if self.quoted else self.values
        return pc.binary_join_element_wise(before + self.before, values, self.after + after, "")


def needs_escapes(values: ArrowArray) -> bool:
    """Whether any text holds a quote, a backslash or a control character; null rows may raise a false alarm."""
    data = text_bytes(values)
    if data.size == 0:
        return False
    raw = data.tobytes()
    return bool(data.min() < 0x20) or b'"' in raw or b"\\" in raw


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


def object_members(members: Sequence[Member]) -> ArrowArray:
    """The inside of an object with the members that a row has, in the order given; empty where it has none."""
    fragments = [member.text() for member in members]
    # Arrow's join with "skip" gives no row at all, instead of an empty one, where everything is null.
    empty = reduce(pc.and_, [fragment.is_null() for fragment in fragments])
    fragments[0] = pc.if_else(empty, "", fragments[0])
    if len(fragments) == 1:
        return fragments[0]
    return pc.binary_join_element_wise(*fragments, ",", null_handling="skip")


def object_sizes(members: Sequence[Member]) -> Int64s:
    """Bytes of each row's object as compact JSON."""
    sizes: Int64s = np.zeros(len(members[0].values), np.int64)
    for member in members:
        values = escape(member.values) if member.quoted else member.values
        constant = len((member.before + member.after).encode()) + 1
        sizes += pc.fill_null(pc.add(pc.binary_length(values).cast(pa.int64()), constant), 0).to_numpy()
    return np.maximum(sizes + 1, 2)
