"""`each`: every element of a nested list is a row, which is the whole object with the element in the list's place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray
from importer.read.arrow import is_list
from importer.read.records import Records

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_NOT_JSON = (msgspec.DecodeError, ValueError, RecursionError)
_MOST_BYTES = 8 << 20
"""Bytes of the records that are made at a time: each repeats the object that it is of."""


def records_of_elements(records: Records, path: str) -> Iterator[Records]:
    """The records of the elements; an object without the list, or with an empty one, stays one record."""
    lines: list[bytes] = []
    origins: list[int] = []
    size = 0
    for at in range(len(records)):
        line = records[at]
        for one in [line] if at in records.faults else _elements(line, path):
            lines.append(one)
            origins.append(at)
            size += len(one) + 1
            if size > _MOST_BYTES:
                yield _joined(records, lines, origins)
                lines, origins, size = [], [], 0
    if lines:
        yield _joined(records, lines, origins)


def _elements(line: bytes, path: str) -> list[bytes]:
    """The object once for each element of the list at a path, exactly; as it is where there is no such list."""
    try:
        whole = _OBJECT.decode(line)
        head, _, rest = (path, "", "") if path in whole else path.partition(".")
        if head not in whole:
            return [line]
        inner = bytes(whole[head])
        parts = _elements(inner, rest) if rest else [bytes(one) for one in _LIST.decode(inner)]
    except _NOT_JSON:
        return [line]
    if parts == [inner]:
        return [line]
    if not parts:
        del whole[head]
        return [msgspec.json.encode(whole)]
    return [msgspec.json.encode({**whole, head: msgspec.Raw(part)}) for part in parts]


def _joined(records: Records, lines: list[bytes], origins: list[int]) -> Records:
    ends = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    faults = {place: records.faults[at] for place, at in enumerate(origins) if at in records.faults}
    return Records(b"\n".join(lines), starts, ends, records.lines[origins], faults)


def parts_of_list(schema: Any, path: str) -> tuple[str, ...] | None:
    """The column of a Parquet file, and the members of structs in it, that lead to a list; None: no list."""
    names = [path] if path in schema.names else [path[:at] for at, letter in enumerate(path) if letter == "."]
    for head in names:
        rest = path[len(head) + 1 :]
        parts = (head, *(rest.split(".") if rest else ()))
        kind = schema.field(head).type if schema.names.count(head) == 1 else pa.null()
        for name in parts[1:]:
            kind = kind.field(name).type if pa.types.is_struct(kind) and kind.get_field_index(name) >= 0 else pa.null()
        if is_list(kind):
            return parts
    return None


def with_element(field: Any, inner: tuple[str, ...]) -> Any:
    """The field with the elements' type in place of the list's; ``inner`` are the members that lead there."""
    if not inner:
        return pa.field(field.name, field.type.value_type)
    members = [field.type.field(at) for at in range(field.type.num_fields)]
    changed = [with_element(one, inner[1:]) if one.name == inner[0] else one for one in members]
    return pa.field(field.name, pa.struct(changed))


def rows_of_elements(batch: Any, parts: tuple[str, ...]) -> tuple[Any, Any]:
    """A batch of Parquet with a row for each element of a column's lists, and the row of the batch that each is of."""
    lists = batch.column(parts[0])
    for name in parts[1:]:
        lists = pc.struct_field(lists, name)
    if not pa.types.is_list(lists.type):
        lists = lists.cast(pa.list_(lists.type.value_type))
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    origins = np.repeat(np.arange(len(lists)), np.maximum(counts, 1))
    is_element = np.repeat(counts > 0, np.maximum(counts, 1))
    places = np.where(is_element, np.cumsum(is_element) - 1, -1)
    elements = lists.flatten().take(pa.array(places, mask=places < 0))
    taken = batch.take(pa.array(origins))
    at = batch.schema.get_field_index(parts[0])
    changed = _put(taken.column(at), parts[1:], elements)
    return taken.set_column(at, pa.field(parts[0], changed.type), changed), origins


def _put(values: ArrowArray, inner: tuple[str, ...], elements: ArrowArray) -> ArrowArray:
    """The structs with the elements in place of a list."""
    if not inner:
        return elements
    members = [pc.struct_field(values, [at]) for at in range(values.type.num_fields)]
    names = [values.type.field(at).name for at in range(values.type.num_fields)]
    at = names.index(inner[0])
    members[at] = _put(members[at], inner[1:], elements)
    return pa.StructArray.from_arrays(members, names, mask=values.is_null())


def digest_of_elements(digest: str, path: str) -> str:
    """The digest of a file whose rows are elements: its rows are numbered otherwise, and so are other ones."""
    return hashlib.sha256(f"{digest} each {path}".encode()).hexdigest() if digest else ""
