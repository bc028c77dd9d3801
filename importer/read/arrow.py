"""Arrow columns as text: exact, and the same text that CSV and JSON carry.

This module owns how each Arrow type is written and how a path reaches into structs and lists. Files are ``parquet``'s.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, Bools
from importer.read.paths import LOOKUP_KEY, Path

_JSON = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def child_type(kind: Any, path: Path) -> bool:
    """Whether ``path`` leads anywhere in a value of this Arrow type."""
    kind = _plain(kind)
    if pa.types.is_map(kind):
        return bool(pa.types.is_string(kind.key_type) or pa.types.is_large_string(kind.key_type))
    if pa.types.is_struct(kind):
        names = {kind.field(at).name: kind.field(at).type for at in range(kind.num_fields)}
        return path.text in names or any(head in names and child_type(names[head], tail) for head, tail in path.splits)
    if _is_list(kind):
        inner = _plain(kind.value_type)
        keyed = pa.types.is_struct(inner) and inner.get_field_index(LOOKUP_KEY) >= 0
        if path.index is None and not (path.lookup is not None and keyed):
            return False
        return path.rest is None or child_type(inner, path.rest)
    return False


def reach(array: ArrowArray, path: Path) -> ArrowArray:
    """The values at ``path``, where `child_type` holds; null where a struct, list or element on the way is missing."""
    array = _unpacked(array)
    if _is_list(array.type):
        elements = _elements(array, path)
        return elements if path.rest is None else reach(elements, path.rest)
    if pa.types.is_map(array.type):
        return pc.map_lookup(array, pa.scalar(path.text, array.type.key_type), "first")
    names = [array.type.field(at).name for at in range(array.type.num_fields)]
    if path.text in names:
        return pc.struct_field(array, [names.index(path.text)])
    for head, tail in path.splits:
        if head in names and child_type(array.type.field(names.index(head)).type, tail):
            return reach(pc.struct_field(array, [names.index(head)]), tail)
    raise KeyError(path.text)


def _elements(array: ArrowArray, path: Path) -> ArrowArray:
    """One element of each list: by its position, or the first whose ``key`` is the one asked for."""
    if not pa.types.is_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    flat, parents = array.flatten(), pc.list_parent_indices(array).to_numpy()
    if path.index is not None:
        firsts = np.searchsorted(parents, parents)
        chosen = np.flatnonzero(np.arange(len(parents)) - firsts == path.index)
    else:
        keys = pc.struct_field(flat, [flat.type.get_field_index(LOOKUP_KEY)])
        same = pc.equal(text_of(keys)[0], path.lookup).fill_null(False)  # noqa: FBT003 - pyarrow takes it by position
        hits = np.flatnonzero(same.to_numpy(zero_copy_only=False))
        chosen = hits[np.unique(parents[hits], return_index=True)[1]]
    places = np.full(len(array), -1, np.int64)
    places[parents[chosen]] = chosen
    return flat.take(pa.array(places, mask=places < 0))


def text_of(array: ArrowArray) -> tuple[ArrowArray, ArrowArray | None, Bools | None]:
    """An array as strings; where it holds objects or lists (None: nowhere); where its bytes are not UTF-8 (likewise).

    Undecodable values are null.
    """
    array = _unpacked(array)
    kind = array.type
    if pa.types.is_nested(kind):
        texts = [
            None if value is None else _JSON.encode(_for_json(value, kind)).decode() for value in array.to_pylist()
        ]
        return pa.array(texts, pa.string()), array.is_valid(), None
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _checked(array.cast(pa.binary()))
    return _scalars(array), None, None


def _scalars(array: ArrowArray) -> ArrowArray:
    kind = array.type
    if pa.types.is_timestamp(kind):
        # Zone-aware ones are stored as UTC already.
        text = pc.replace_substring(_clock(array.cast(pa.timestamp(kind.unit))), " ", "T", max_replacements=1)
        return text if kind.tz is None else pc.binary_join_element_wise(text, "Z", "")
    if pa.types.is_time(kind):
        return _clock(array)
    if pa.types.is_decimal(kind):
        return _plain_decimals(array.cast(pa.string()))
    if pa.types.is_floating(kind):
        return _floats(array)
    if pa.types.is_duration(kind):
        array = array.cast(pa.int64())
    return array.cast(pa.string())


def _clock(array: ArrowArray) -> ArrowArray:
    """With a fraction of 3, 6 or 9 digits where it is not zero."""
    return pc.replace_substring_regex(array.cast(pa.string()), r"\.?(000)+$", "")


def _floats(array: ArrowArray) -> ArrowArray:
    """The shortest digits that read back as the same number, laid out as Python and pandas write them to CSV and JSON.

    That is Arrow's text but for a ``.0`` behind integral numbers, and for where the exponent begins.
    """
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    texts = array.cast(pa.string())
    integral = pc.match_substring_regex(texts, r"^-?[0-9]+$")
    texts = pc.if_else(integral, pc.binary_join_element_wise(texts, ".0", ""), texts)
    otherwise = pc.match_substring_regex(texts, r"e|^-?0\.0000")
    if pa.types.is_float32(array.type) or not pc.any(otherwise).as_py():
        return texts
    return pc.replace_with_mask(texts, otherwise, pa.array(map(repr, array.filter(otherwise).to_pylist()), pa.string()))


def _checked(array: ArrowArray) -> tuple[ArrowArray, None, Bools | None]:
    try:
        return array.cast(pa.string()), None, None
    except pa.ArrowInvalid:
        values = array.to_pylist()
    bad = np.array([value is not None and not _is_utf8(value) for value in values])
    texts = [None if wrong or value is None else value.decode() for value, wrong in zip(values, bad, strict=True)]
    return pa.array(texts, pa.string()), None, bad


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _plain_decimals(texts: ArrowArray) -> ArrowArray:
    """Arrow writes small decimals as ``1E-7`` and zeros as ``0E-18``; everything exact, nothing scientific."""
    scientific = pc.match_substring(texts, "E")
    if not pc.any(scientific).as_py():
        return texts
    plain = [format(Decimal(text), "f") for text in texts.filter(scientific).to_pylist()]
    return pc.replace_with_mask(texts, scientific, pa.array(plain, pa.string()))


def _is_list(kind: Any) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    )  # fmt: skip


def _plain(kind: Any) -> Any:
    """A type without dictionaries and extensions around it."""
    while True:
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def _unpacked(array: ArrowArray) -> ArrowArray:
    """An array without dictionaries, extensions and the wide or view layouts of the same text."""
    while True:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        elif isinstance(array.type, pa.UuidType):
            texts = [None if value is None else str(value) for value in array.to_pylist()]
            array = pa.array(texts, pa.string())
        elif isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        elif pa.types.is_large_binary(array.type) or pa.types.is_binary_view(array.type):
            array = array.cast(pa.binary())
        elif pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
            array = array.cast(pa.string())
        else:
            return array


def _for_json(value: Any, kind: Any) -> Any:
    """Python's picture of an Arrow value as JSON has it: maps as objects, bytes and UUIDs as text."""
    kind = _plain(kind)
    if value is None:
        return None
    if pa.types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return {inner.name: _for_json(value[inner.name], inner.type) for inner in fields}
    if pa.types.is_map(kind):
        return {str(key): _for_json(inner, kind.item_type) for key, inner in value}
    if pa.types.is_nested(kind):
        return [_for_json(inner, kind.value_type) for inner in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
