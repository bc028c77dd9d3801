"""Arrow columns as text: exact, and the same text that CSV and JSON carry.

They have to be of a plain type first: for views, dictionaries and the like Arrow lacks many kernels.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import islice, repeat
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import holds, without
from importer.model import ArrowArray, Bools, Int64s

_JSON = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
_EXACT_FLOAT = 2.0**53
"""From here on a float no longer holds every whole number, so its digits may be rounded ones."""
_PLAIN = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST_DAY, _END_DAY = -719_162, 2_932_897
"""0001-01-01 and the day after 9999-12-31, in days since 1970-01-01: what ISO 8601 writes with four digits."""


def plain_type(kind: Any) -> Any:
    """A type without dictionaries and extensions but UUIDs and JSON; texts, bytes and lists have one layout."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return kind if isinstance(kind, pa.UuidType | pa.JsonType) else plain_type(kind.storage_type)
    if pa.types.is_struct(kind):
        fields = map(kind.field, range(kind.num_fields))
        return pa.struct([field.with_type(plain_type(field.type)) for field in fields])
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return pa.list_(plain_type(kind.value_type))
    return _PLAIN.get(kind, kind)


def plain(array: ArrowArray) -> ArrowArray:
    """The array in its plain type."""
    kind = plain_type(array.type)
    return array if kind == array.type else array.cast(kind)


def text_of(array: ArrowArray) -> tuple[ArrowArray, ArrowArray | None, Bools | None]:
    """An array as strings; where it holds objects or lists (None: nowhere); where it has no text (None: nowhere).

    No text have bytes that are not UTF-8, and dates and times outside of the years 1 to 9999; they are null. A float
    that is not a number is null as well, but not marked: it is how pandas writes an empty cell.
    """
    if isinstance(array.type, pa.JsonType):
        return _from_json(array.storage)
    array = plain(array)
    if pa.types.is_nested(array.type):
        values, bad = _values(array)
        is_text = [value is not None and not wrong for value, wrong in zip(values, bad.tolist(), strict=True)]
        texts = [_JSON.encode(one).decode() if there else None for one, there in zip(values, is_text, strict=True)]
        return pa.array(texts, pa.string()), array.is_valid(), bad if bad.any() else None
    texts, textless = _scalars(array)
    return texts, None, textless if textless is not None and textless.any() else None


def _from_json(texts: ArrowArray) -> tuple[ArrowArray, ArrowArray, None]:
    """The text of JSON values, null for its ``null``, and where they are objects or lists."""
    texts = texts.cast(pa.string())
    texts = without(texts, pc.equal(texts, "null"))
    nested, quoted = (pc.match_substring_regex(texts, rf"^\s*{sign}") for sign in (r"[\[{]", '"'))
    if holds(quoted):
        strings = pa.array([msgspec.json.decode(one) for one in texts.filter(quoted).to_pylist()], pa.string())
        texts = pc.replace_with_mask(texts, quoted.fill_null(False), strings)  # noqa: FBT003 - as above
    return texts, nested, None


def _scalars(array: ArrowArray) -> tuple[ArrowArray, Bools | None]:
    """The text of values that are not nested, and where there is none."""
    if isinstance(array.type, pa.UuidType):
        array = pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    if isinstance(array.type, pa.JsonType):
        array = array.storage.cast(pa.string())
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _decoded(array.cast(pa.binary()))
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_interval(kind):
        array, bad = _in_range(array)
        return (_timestamps(array) if pa.types.is_timestamp(kind) else _without_zero_fraction(array)), bad
    if pa.types.is_decimal(kind):
        return _plain_decimals(array.cast(pa.string())), None
    if pa.types.is_floating(kind):
        return _floats(array), None
    if pa.types.is_duration(kind):
        counts, unit = array.cast(pa.int64()).to_pylist(), _PER_SECOND[kind.unit]
        signed = [None if one is None else ("-" if one < 0 else "", Decimal(abs(one)) / unit) for one in counts]
        return pa.array([one and f"{one[0]}PT{one[1]:f}S" for one in signed], pa.string()), None
    return array.cast(pa.string()), None


def _in_range(array: ArrowArray) -> tuple[ArrowArray, Bools | None]:
    """The array without the dates and times that no calendar or clock shows, and where they were."""
    kind = array.type
    if pa.types.is_date(kind):
        unit = 1 if pa.types.is_date32(kind) else 86_400_000
        least, end = _FIRST_DAY * unit, _END_DAY * unit
    elif pa.types.is_timestamp(kind):
        unit = 86_400 * _PER_SECOND[kind.unit]
        # A day from either end, so that the local time of every zone is in range too.
        least, end = (_FIRST_DAY + 1) * unit, (_END_DAY - 1) * unit
        if kind.tz is None:
            least, end = least - unit, end + unit
    else:
        least, end = 0, 86_400 * _PER_SECOND[kind.unit]
    narrow = pa.types.is_date32(kind) or pa.types.is_time32(kind)
    numbers = array.cast(pa.int32()).cast(pa.int64()) if narrow else array.cast(pa.int64())
    lowest, highest = pc.min_max(numbers).as_py().values()
    if lowest is None or (lowest >= least and highest < end):
        return array, None
    bad = pc.or_(pc.less(numbers, least), pc.greater_equal(numbers, end)).fill_null(False)  # noqa: FBT003 - as above
    return pc.if_else(bad, pa.scalar(None, kind), array), bad.to_numpy(zero_copy_only=False)


def _timestamps(array: ArrowArray) -> ArrowArray:
    """``2024-07-01T13:00:00``; one with a zone is the zone's own time, and ends in its offset or ``Z``."""
    kind = array.type
    instants = array.cast(pa.timestamp(kind.unit))
    if kind.tz is None:
        return pc.replace_substring(_without_zero_fraction(instants), " ", "T", max_replacements=1)
    try:
        local = pc.local_timestamp(array)
    except pa.ArrowInvalid:  # a zone that is not known here: the instant is known all the same
        local = instants
    seconds = pc.divide(
        pc.subtract(local.cast(pa.int64()), instants.cast(pa.int64())), _PER_SECOND[kind.unit]
    ).dictionary_encode()
    offsets = [_offset(found) for found in seconds.dictionary.to_pylist()]
    if None in offsets:  # local mean time, which differs by seconds
        local, offsets = instants, ["Z"] * len(offsets)
    suffixes = pa.DictionaryArray.from_arrays(seconds.indices, pa.array(offsets, pa.string())).dictionary_decode()
    text = pc.replace_substring(_without_zero_fraction(local), " ", "T", max_replacements=1)
    return pc.binary_join_element_wise(text, suffixes, "")


def _offset(seconds: int) -> str | None:
    """``Z``, ``+03:00``; None for what is no whole number of minutes."""
    if seconds == 0:
        return "Z"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return None if seconds % 60 else f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"


def _without_zero_fraction(array: ArrowArray) -> ArrowArray:
    """With a fraction of 3, 6 or 9 digits where it is not zero."""
    text = array.cast(pa.string())
    return text if pa.types.is_date32(array.type) else pc.replace_substring_regex(text, r"\.?(000)+$", "")


def _floats(array: ArrowArray) -> ArrowArray:
    """The shortest digits that read back as the same number; whole numbers without ``.0``, as long as they are exact.

    A column of whole numbers with a hole is one of floats in pandas, although its author wrote integers.
    """
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    texts = array.cast(pa.string())
    whole = pc.and_(pc.equal(pc.trunc(array), array), pc.less(pc.abs(array), _EXACT_FLOAT))
    if pc.any(whole).as_py():
        numbers = pc.if_else(whole, array, pa.scalar(None, array.type)).cast(pa.int64())
        texts = pc.coalesce(numbers.cast(pa.string()), texts)
    # Arrow begins with the exponent, and its shape, elsewhere than Python, pandas and JSON do.
    otherwise = pc.match_substring_regex(texts, r"e|^-?0\.0000|^-?[0-9]{16,}$")
    if pa.types.is_float32(array.type) or not pc.any(otherwise).as_py():
        return texts
    otherwise = pc.and_not(otherwise, whole)
    return pc.replace_with_mask(texts, otherwise, pa.array(map(repr, array.filter(otherwise).to_pylist()), pa.string()))


def _decoded(array: ArrowArray) -> tuple[ArrowArray, Bools | None]:
    try:
        return array.cast(pa.string()), None
    except pa.ArrowInvalid:
        values = array.to_pylist()
    bad = np.array([value is not None and not is_utf8(value) for value in values], np.bool_)
    texts = [None if wrong or value is None else value.decode() for value, wrong in zip(values, bad, strict=True)]
    return pa.array(texts, pa.string()), bad


def _plain_decimals(texts: ArrowArray) -> ArrowArray:
    """Arrow writes small decimals as ``1E-7`` and zeros as ``0E-18``; everything exact, nothing scientific."""
    scientific = pc.match_substring(texts, "E")
    if not pc.any(scientific).as_py():
        return texts
    plain = [format(Decimal(text), "f") for text in texts.filter(scientific).to_pylist()]
    return pc.replace_with_mask(texts, scientific, pa.array(plain, pa.string()))


def _values(array: ArrowArray) -> tuple[list[Any], Bools]:
    """Nested values as JSON has them, times and bytes as text, maps as objects; and where some leaf has no text."""
    kind, valid = array.type, array.is_valid().to_pylist()
    bad = np.zeros(len(array), np.bool_)
    if pa.types.is_struct(kind):
        names = [kind.field(at).name for at in range(kind.num_fields)]
        parts = [_values(pc.struct_field(array, [at])) for at in range(kind.num_fields)]
        rows = zip(*(values for values, _ in parts), strict=True) if parts else repeat((), len(array))
        objects = [
            dict(zip(names, row, strict=True)) if is_there else None for is_there, row in zip(valid, rows, strict=False)
        ]
        return objects, np.logical_or.reduce([bad, *(wrong for _, wrong in parts)])
    if pa.types.is_map(kind):
        pairs, bad = _values(array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))))
        return [None if found is None else {str(one["key"]): one["value"] for one in found} for found in pairs], bad
    if pa.types.is_list(kind):
        inner, parents = elements_of(array)
        flat, wrong = _values(inner)
        bad[parents[wrong]] = True
        elements = iter(flat)
        lengths = pc.list_value_length(array).to_pylist()
        return [None if length is None else list(islice(elements, length)) for length in lengths], bad
    if pa.types.is_floating(kind):
        array = array.cast(pa.float64() if pa.types.is_float64(kind) else pa.float32())
    elif not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)):
        array, textless = _scalars(array)
        bad = bad if textless is None else textless
    return array.to_pylist(), bad


def is_utf8(value: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def elements_of(lists: ArrowArray) -> tuple[ArrowArray, Int64s]:
    """The elements of all lists, and the position of the list that each is of."""
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    return lists.flatten(), np.repeat(np.arange(len(lists)), counts)
