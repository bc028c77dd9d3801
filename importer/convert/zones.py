"""The offsets of naive times in a named zone, for whole columns.

Where the clock was put back and a time came twice, the first one is meant; a time that never was, because the clock
was put forward, is moved forward by the gap (``zoneinfo``'s ``fold=0``, PEP 495).
"""

from __future__ import annotations

from datetime import UTC, timedelta, tzinfo
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import Leftovers
from importer.convert.moments import EPOCH, Moment, micros, of_iso, offset_text
from importer.model import ArrowArray

_DAY = 86_400_000_000
_MINUTE = timedelta(minutes=1)


def in_zone(moment: Moment, zone: tzinfo) -> Moment:
    """A naive moment with the offset it has in the zone; one that has an offset stays as it is."""
    if moment.offset is not None:
        return moment
    local = moment.local.replace(tzinfo=zone)
    try:
        # There and back again moves a time that never was out of the gap.
        found = local.astimezone(UTC).astimezone(zone)
        offset = found.utcoffset()
        if offset is not None and offset % _MINUTE:
            # ISO 8601 has no seconds in offsets (local mean times of the 19th century).
            found, offset = local.astimezone(UTC), timedelta()
    except OverflowError:  # the first or the last day of the calendar
        return moment
    return Moment(found.replace(tzinfo=None), moment.beyond, offset)


@lru_cache(maxsize=100_000)
def _day_offset(zone: tzinfo, day: int) -> int:
    """The zone's offset in microseconds, the same for all of a local day (counted from 1970); -1 if it changes."""
    try:
        midnight = EPOCH + timedelta(days=day)
        offsets = {(midnight + timedelta(days=one)).replace(tzinfo=zone).utcoffset() for one in (0, 1)}
    except OverflowError:
        return -1
    offset = offsets.pop()
    if offsets or offset is None or offset % _MINUTE:
        return -1
    return micros(offset)


def localised(texts: ArrowArray, local: ArrowArray, zone: tzinfo) -> tuple[ArrowArray, ArrowArray]:
    """Canonical naive texts and their local microseconds → texts with offset, and instants in UTC."""
    days = pa.array(local.to_numpy() // _DAY).dictionary_encode()
    offsets = [_day_offset(zone, day) for day in days.dictionary.to_pylist()]
    spelled = pa.array([offset_text(offset) for offset in offsets])
    steady = pa.array([offset != -1 for offset in offsets]).take(days.indices)
    zoned = pc.binary_join_element_wise(texts, spelled.take(days.indices), "")
    instants = pc.subtract(local, pa.array(offsets, pa.int64()).take(days.indices))
    changing = Leftovers.of(texts, steady, lambda text: _relocated(text, zone))
    return (
        changing.scattered(zoned, lambda moment: moment.text),
        changing.scattered(instants, lambda moment: moment.instant),
    )


def _relocated(text: str, zone: tzinfo) -> Moment:
    moment = of_iso(text)
    assert moment is not None, "only canonical texts come here"
    return in_zone(moment, zone)
