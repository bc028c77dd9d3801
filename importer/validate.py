"""The API's rules over a chunk's event columns: which rows may be sent, and every reason why not.

A rule is a vectorised look at a column. The rules are those of the endpoint's page (``[E]`` in `importer.reasons`).
Where it is silent:

- E-mail: the dot-atom form of RFC 5321, 4.1.2, in ASCII, without quoted local parts, address literals, domains without
  a dot and all-digit top levels (RFC 3696, 2). In an export, other letters are far more often a wrong encoding or a
  typing error than a mailbox of RFC 6531; an international domain is written as ``xn--…``.
- The page has value and currency as two optional parameters: one without the other is allowed.
- Integers pass up to the largest float64: the page names no width, and a 19-digit id must keep its digits.
- 2KB and 8KB are 2,048 bytes of UTF-8 before escaping, and 8,192 bytes of the compact JSON object that is sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer import currencies
from importer.columns import E164, LONGEST_TEXT, among, matches, rows_of, text_bytes, violations, where_true
from importer.json_columns import Member, object_sizes
from importer.model import EVENT_COLUMNS, ArrowArray, Bools, Events, Int64s, Property, ValidationResult, Violations
from importer.reasons import is_error

LONGEST_LOCAL_PART = 64
"""Characters before the ``@`` (RFC 5321, 4.5.3.1.1)."""
LONGEST_EMAIL = 254
"""Characters: a path's 256 less its angle brackets (RFC 5321, 4.5.3.1.3; RFC 3696, erratum 1690)."""
LARGEST_OBJECT = 8_192
"""Bytes of compact JSON that all properties take together."""
_LONGEST_FINITE = 308
"""A token of digits (with a point and a sign) this short is below 1.8e308, the largest float64."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_REST = r"(?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_LABEL = rf"[A-Za-z0-9]{_REST}"
_TOP_LEVEL = rf"(?:[0-9]*[A-Za-z]{_REST}|[0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])"
EMAIL = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP_LEVEL}$"
"""RE2. Lengths are checked apart: counted repetitions would make it slow."""
_LONG_LABEL = r"[.@][^.@]{64}"
"""A label of more than 63 characters (RFC 1035, 2.3.4) in an address whose local part is not too long."""
_CURRENT, _NOT_MONEY = pa.array(currencies.CURRENT), pa.array(sorted(currencies.NOT_MONEY))


def validate(events: Events, *, strict: bool) -> ValidationResult:
    """Judge every row of a chunk; a row gets all its reasons, one per rule and field.

    Filtered rows keep the filter's reason alone, and a row that is part of another row's event gets none of the API's
    rules, which are about events. Where the conversion already found an error in a field, the rules on that field are
    silent: one cell, one reason. ``strict`` makes errors of the warnings that `importer.reasons` says it lifts.
    """
    count, passes = len(events.passes_filter), events.passes_filter
    converted = [one for one in events.violations if one.code.startswith("filtered.")]
    converted += among((one for one in events.violations if not one.code.startswith("filtered.")), passes)
    errors = [one for one in converted if is_error(one.code, strict=strict)]
    judged = passes if events.group_heads is None else passes & (events.group_heads < 0)
    found: list[Violations] = []
    for one in (*_subscriber(events), *_money(events), *_properties(events)):
        explained = rows_of((error for error in errors if _is_about(error.field, one.field)), count)
        found.extend(among([one], judged & ~explained))
    errors += [one for one in found if is_error(one.code, strict=strict)]
    return ValidationResult(violations=(*converted, *found), valid=passes & ~rows_of(errors, count))


def fitted(events: Events) -> Events:
    """The events as the mapping makes them fit: texts cut (`max_bytes`), what is invalid omitted (`on_invalid`)."""
    if not events.omit and not events.max_bytes:
        return events
    judged = events.passes_filter if events.group_heads is None else events.passes_filter & (events.group_heads < 0)
    properties = [_cut(each, events.max_bytes.get(f"properties.{each.name}"), judged) for each in events.properties]
    notes = [note for _, note in properties if note is not None]
    events = replace(events, properties=tuple(each for each, _ in properties))
    broken = [one for one in (*_subscriber(events), *_money(events), *_properties(events)) if one.field in events.omit]
    for one in among((one for one in broken if is_error(one.code, strict=False)), judged):
        said = pc.binary_join_element_wise(f"{one.code}: ", one.values, "")
        notes.append(Violations("field.omitted", one.field, one.positions, said))
        events = _without(events, one)
    return replace(events, violations=(*events.violations, *notes))


def _cut(each: Property, max_bytes: int | None, judged: Bools) -> tuple[Property, Violations | None]:
    """A property with the texts of the judged rows cut at a character, and a note of those that were too long."""
    if max_bytes is None:
        return each, None
    mask = pc.and_(pc.greater(pc.binary_length(each.values), max_bytes).fill_null(fill_value=False), pa.array(judged))
    long = each.values.filter(mask)
    if not len(long):
        return each, None
    short = [text.encode()[:max_bytes].decode(errors="ignore") for text in long.to_pylist()]
    values = pc.replace_with_mask(each.values, mask, pa.array(short, pa.string()))
    return replace(each, values=values), Violations("property.cut", f"properties.{each.name}", where_true(mask), long)


def _without(events: Events, one: Violations) -> Events:
    """The events with a target's default in the rows of a violation."""
    rows = pa.array(rows_of([one], len(events.passes_filter)))
    instead = pa.scalar(events.omit[one.field], pa.string())
    if not one.field.startswith("properties."):
        name = EVENT_COLUMNS[one.field]
        return replace(events, **{name: pc.if_else(rows, instead, getattr(events, name))})
    properties = [
        replace(each, values=pc.if_else(rows, instead, each.values)) if one.field == f"properties.{each.name}" else each
        for each in events.properties
    ]
    return replace(events, properties=tuple(properties))


def _is_about(converted: str, field: str) -> bool:
    """Whether an error in one field answers for a rule on another; a bad phone is not a missing subscriber."""
    return converted == field or (field == "subscriber" and converted.startswith("subscriber."))


def _subscriber(events: Events) -> Iterator[Violations]:
    if events.email.null_count and events.phone.null_count:
        missing = pc.and_(pc.and_(_is_blank(events.subscriber_id), events.email.is_null()), events.phone.is_null())
        yield from violations("subscriber.missing", "subscriber", missing, events.email)
    if events.email.null_count < len(events.email):
        yield from violations("email.invalid", "subscriber.email", not_an_email(events.email), events.email)
    if events.phone.null_count < len(events.phone):
        no_phone = pc.invert(matches(events.phone, E164))
        yield from violations("phone.invalid", "subscriber.phone", no_phone, events.phone)


def not_an_email(values: ArrowArray) -> ArrowArray:
    """Whether a text is not an e-mail address; null where it is."""
    broken = pc.invert(matches(values, EMAIL))
    lengths = pc.binary_length(values)
    if (pc.max(lengths).as_py() or 0) <= LONGEST_LOCAL_PART:
        return broken
    too_long = (
        pc.greater(lengths, LONGEST_EMAIL),
        pc.greater(pc.find_substring(values, "@"), LONGEST_LOCAL_PART),
        pc.match_substring_regex(values, _LONG_LABEL),
    )
    return reduce(pc.or_, too_long, broken)


def _money(events: Events) -> Iterator[Violations]:
    yield from violations("type.missing", "type", _is_blank(events.type), events.type)
    has_value, codes = events.value.null_count < len(events.value), events.value_currency
    if has_value:
        yield from violations("value.not_finite", "value", _not_finite(events.value), events.value)
    if codes.null_count == len(codes):
        return
    odd = pc.and_(pc.invert(pc.is_in(codes, _CURRENT, skip_nulls=True)), codes.is_valid())
    if odd.true_count:
        no_money = pc.is_in(codes, _NOT_MONEY)
        retired = pc.is_in(codes, pa.array(sorted(currencies.retired())))
        unknown = pc.and_not(odd, pc.or_(no_money, retired))
        yield from violations("currency.unknown", "value_currency", unknown, codes)
        yield from violations("currency.not_money", "value_currency", no_money, codes)
        yield from violations("currency.retired", "value_currency", retired, codes)
    if has_value:
        yield from _more_decimals(events.value, codes)


def _more_decimals(values: ArrowArray, codes: ArrowArray) -> Iterator[Violations]:
    """Amounts with more decimals than their currency has, shown as ``12.345 EUR``."""
    points = pc.fill_null(pc.find_substring(values, "."), -1).to_numpy()
    digits = np.where(points < 0, 0, pc.fill_null(pc.binary_length(values), 0).to_numpy() - points - 1)
    longest = int(digits.max(initial=0))
    for code in pc.unique(codes).drop_null().to_pylist() if longest else ():
        places = currencies.decimals(code)
        if places is not None and places < longest:
            longer = pc.and_(pa.array(digits > places), pc.equal(codes, code))
            yield from violations("value.decimals", "value", longer, pc.binary_join_element_wise(values, codes, " "))


def _properties(events: Events) -> Iterator[Violations]:
    for each in events.properties:
        field = f"properties.{each.name}"
        if each.kind in ("integer", "number"):
            yield from violations("property.not_finite", field, _not_finite(each.values), each.values)
        elif each.kind != "boolean":
            lengths = pc.binary_length(each.values)
            positions = where_true(pc.greater(lengths, LONGEST_TEXT))
            yield from _sizes("property.text_too_long", field, positions, lengths.take(pa.array(positions)).to_numpy())
    members = [Member.of_property(each) for each in events.properties]
    if members or events.more_properties is not None:
        sizes = object_sizes(members, events.more_properties)
        positions = np.flatnonzero(sizes > LARGEST_OBJECT)
        yield from _sizes("properties.too_large", "properties", positions, sizes[positions])


def _sizes(code: str, field: str, positions: Int64s, sizes: Int64s) -> Iterator[Violations]:
    if len(positions):
        yield Violations(code, field, positions, pa.array([f"{size:,} bytes" for size in sizes.tolist()], pa.string()))


def _is_blank(values: ArrowArray) -> ArrowArray:
    """Whether a text is null, empty or blank, which the API's framework takes for the same; never null."""
    if values.null_count == len(values):
        return values.is_null()
    return pc.or_(pc.utf8_is_space(values), pc.equal(pc.binary_length(values), 0)).fill_null(fill_value=True)


def _not_finite(values: ArrowArray) -> ArrowArray:
    """Whether a JSON number token is too large for a float64, or no number at all (``NaN``); null where the token is.

    The page says float: a token that a float64 takes for infinite would arrive as something else. Ordinary tokens
    are short and have no exponent, so hardly any is ever parsed.
    """
    suspect = pc.greater(pc.binary_length(values), _LONGEST_FINITE)
    if text_bytes(values).max(initial=0) > ord("9"):
        suspect = pc.or_(suspect, pc.match_substring_regex(values, "[^0-9.+-]"))
    if not suspect.true_count:
        return suspect
    found = pa.array([not _is_finite(token) for token in values.filter(suspect).to_pylist()])
    return pc.replace_with_mask(suspect, suspect.fill_null(fill_value=False), found)


def _is_finite(token: str) -> bool:
    try:
        return math.isfinite(float(token))
    except ValueError:
        return False
