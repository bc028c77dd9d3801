"""Dates and times → ISO 8601 texts and instants.

Columns are rewritten to ISO 8601 by Arrow's expressions, checked against the calendar and cast to instants as a whole.
Whatever does not fit is read text by text (`TimeReader.read`), once per distinct text. ISO text comes out with ``T``,
seconds, no trailing zeros in the fraction, and its own offset (``Z`` for none); a naive time stays naive unless the
mapping names a ``timezone`` or the text the name of a zone.

Where the clock was put back and a time came twice, the first one is meant; a time that never was, because the clock
was put forward, is moved forward by the gap (``zoneinfo``'s ``fold=0``, PEP 495).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from importer.columns import absent, holds, matches, where_true, without
from importer.convert.arrays import ConversionError, Converted, DistinctValues, Errors
from importer.mapping.checks import ORDERS
from importer.mapping.model import ValueMapping
from importer.mapping.zones import zone_named
from importer.model import ArrowArray

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 # local times are counted from a naive epoch
ISO = "ISO 8601"
"""The form of a mapping that names none.

Read are the ``T`` as a blank; seconds, fraction and offset left out; a comma before the fraction; AM and PM; an offset
as ``Z``, ``UTC``, ``GMT``, ``+02``, ``+0200`` or ``+02:00``, with or without a blank before it.
"""
PER_SECOND: dict[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000}
"""The epoch formats of the mapping language, and how many of each make a second."""

_MICROSECOND, _MINUTE = timedelta(microseconds=1), timedelta(minutes=1)
_DAY = 86_400_000_000
_BLANK = "[ \u00a0\u202f]"
"""The no-break kinds are before AM and PM in what newer browsers and ICU write."""
_CLOCK = (
    rf"(?:(?:[Tt,]|,?{_BLANK}{{1,8}})(?P<H>[0-9]{{1,2}}):(?P<M>[0-9]{{2}})"
    rf"(?::(?P<S>[0-9]{{2}})(?:[.,](?P<f>[0-9]{{1,9}}))?)?"
    rf"(?:{_BLANK}?(?P<half>[AaPp])\.?[Mm]\.?)?"
    rf"{_BLANK}{{0,8}}(?P<zone>[Zz]|UTC|GMT|(?P<zone_hour>[+-][0-9]{{2}})(?::?(?P<zone_minute>[0-9]{{2}}))?)?)?"
)
"""What may follow a date."""
_PARTS = {"d": "(?P<d>[0-9]{1,2})", "m": "(?P<m>[0-9]{1,2})", "y": "(?P<y>[0-9]{4}|[0-9]{2})"}
_SEPARATED = r"{}(?P<sep>\. ?|/|-){}(?P=sep){}"
_ORDERED = {order: _SEPARATED.format(*(_PARTS[one] for one in order)) + _CLOCK for order in ORDERS}
_ORDERED[ISO] = f"(?P<y>[0-9]{{4}})-(?P<m>[0-9]{{2}})-(?P<d>[0-9]{{2}}){_CLOCK}"
_COMPACT = re.compile("([0-9]{4})([0-9]{2})([0-9]{2})(?![0-9])")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_CENTURY_TURNS = 69
"""Years of two digits from here on are of the 20th century (POSIX, as in ``strptime``)."""


class Moment(msgspec.Struct, frozen=True):
    """A point on the calendar and the clock."""

    local: datetime
    """Without a zone, to the microsecond."""
    extra_fraction_digits: str = ""
    """Digits of the second's fraction after the sixth."""
    offset: timedelta | None = None
    """From UTC, in whole minutes; None for a naive time."""

    @property
    def text(self) -> str:
        """ISO 8601: ``2024-01-31T08:15:00.5+02:00``, ``Z`` for UTC, no trailing zeros in the fraction."""
        fraction = (f"{self.local.microsecond:06}" + self.extra_fraction_digits).rstrip("0")
        clock = self.local.replace(microsecond=0).isoformat() + (f".{fraction}" if fraction else "")
        return clock if self.offset is None else clock + _offset_text(self.offset // _MICROSECOND)

    @property
    def instant(self) -> int:
        """Microseconds since the epoch; a naive time is taken as UTC."""
        return (self.local - EPOCH - (self.offset or timedelta())) // _MICROSECOND

    def in_zone(self, zone: tzinfo) -> Moment:
        """A naive moment with the offset it has in the zone; one that has an offset stays as it is."""
        if self.offset is not None:
            return self
        local = self.local.replace(tzinfo=zone)
        try:
            # There and back again moves a time that never was out of the gap.
            found = local.astimezone(UTC).astimezone(zone)
            offset = found.utcoffset()
            if offset is not None and offset % _MINUTE:
                # ISO 8601 has no seconds in offsets (local mean times of the 19th century).
                found, offset = local.astimezone(UTC), timedelta()
        except OverflowError:  # the first or the last day of the calendar
            return self
        return Moment(found.replace(tzinfo=None), self.extra_fraction_digits, offset)


@lru_cache(maxsize=4096)
def _offset_text(offset: int) -> str:
    """An offset from UTC in microseconds, whole minutes, as ISO 8601 writes it; ``Z`` for none."""
    if not offset:
        return "Z"
    minutes = abs(offset) // 60_000_000
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def read_form(text: str, form: str) -> Moment | None:
    """A text in `ISO` or a form of the language: an epoch, an order of day, month and year, a ``strptime`` format."""
    if form in PER_SECOND:
        return _of_epoch(text, form)
    if form not in _ORDERED:
        return _of_format(text, form)
    if form == "ymd" and _COMPACT.match(text):
        text = _COMPACT.sub(r"\1-\2-\3", text, count=1)
    return _moment(re.fullmatch(_ORDERED[form], text))


def _moment(match: re.Match[str] | None) -> Moment | None:
    """The moment that the parts of a match make; None if there is none, or no such day or time."""
    if match is None:
        return None
    year, hour, fraction = int(match["y"]), int(match["H"] or 0), match["f"] or ""
    if len(match["y"]) == 2:
        year += 2000 if year < _CENTURY_TURNS else 1900
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (match["half"] in "Pp")
    clock = (hour, int(match["M"] or 0), int(match["S"] or 0), int(f"{fraction[:6]:0<6}"))
    try:
        local = datetime(year, int(match["m"]), int(match["d"]), *clock)  # noqa: DTZ001 # a naive moment
    except ValueError:
        return None
    if not match["zone"]:
        return Moment(local, fraction[6:])
    hours, minutes = abs(int(match["zone_hour"] or 0)), int(match["zone_minute"] or 0)
    if hours > 23 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return Moment(local, fraction[6:], -offset if match["zone"].startswith("-") else offset)


def _of_epoch(text: str, unit: str) -> Moment | None:
    """A count of seconds, milli- or microseconds since 1970 in UTC, to the microsecond."""
    if not _NUMBER.fullmatch(text):
        return None
    try:
        local = EPOCH + timedelta(microseconds=int(Decimal(text) * (1_000_000 // PER_SECOND[unit]) // 1))
    except OverflowError:
        return None
    return Moment(local, "", timedelta())


def _of_format(text: str, form: str) -> Moment | None:
    """A text in a ``strptime`` format; the language has no ``%Z``, whose names depend on the machine."""
    try:
        found = datetime.strptime(text, form)  # noqa: DTZ007 # a naive result is a naive moment
        offset = found.utcoffset()
        if offset is not None and offset % _MINUTE:
            found, offset = found.astimezone(UTC), timedelta()
    except (ValueError, OverflowError):
        return None
    return Moment(found.replace(tzinfo=None), "", offset)


_REAL_DATE = (
    "[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
"""Every date from the year 1000 that needs no look at leap years; 29 February is read text by text."""
_PLAIN = (
    rf"^{_REAL_DATE}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,6}})?"
    r"(?: ?(?:Z|UTC|[+-](?:0[0-9]|1[0-9]):?[0-5][0-9]))?$"
)
_ZONED = "(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2})$"
_HAS_OFFSET = "(?:Z|[+-][0-9]{2}:[0-9]{2})$"
_FIELDS = {"d": "(?P<d>[0-9]{1,2})", "m": "(?P<m>[0-9]{1,2})", "y": "(?P<y>[0-9]{4})"}


def _ordered(texts: ArrowArray, order: str) -> ArrowArray:
    """Dates of digits in a known order, with the sign that the first of them has between, as ISO 8601; others null."""
    first = texts.drop_null().slice(0, 1).to_pylist()
    sign = re.search("[/.-]", first[0]) if first else None
    if sign is None:
        return absent(len(texts))
    pattern = re.escape(sign[0]).join(_FIELDS[one] for one in order)
    found = pc.extract_regex(texts, f"^{pattern}(?P<rest>(?:[T ].*)?)$")
    day, month, year, rest = (pc.struct_field(found, name) for name in ("d", "m", "y", "rest"))
    date = pc.binary_join_element_wise(year, pc.ascii_lpad(month, 2, "0"), pc.ascii_lpad(day, 2, "0"), "-")
    return pc.binary_join_element_wise(date, pc.replace_substring_regex(rest, "^([T ])([0-9]:)", r"\10\2"), "")


def _as_iso(texts: ArrowArray, form: str) -> ArrowArray:
    """The texts of a form as ISO 8601, with seconds; whatever else they are is another text or null.

    What comes out as ISO 8601 is what `read_form` makes of the text.
    """
    if form in PER_SECOND:
        return _epochs(texts, form)
    if form in ORDERS:
        texts = _ordered(texts, form)
    elif form != ISO:
        parsed = pc.strptime(texts, format=form, unit="s", error_is_null=True)
        exact = pc.equal(pc.strftime(parsed, format=form), texts)
        texts = pc.if_else(exact, parsed.cast(pa.string()), None)
    lengths = pc.binary_length(texts)
    if holds(pc.equal(lengths, 10)):
        texts = pc.if_else(pc.equal(lengths, 10), pc.binary_join_element_wise(texts, "T00:00:00", ""), texts)
    if holds(pc.equal(lengths, 16)):
        texts = pc.if_else(pc.equal(lengths, 16), pc.binary_join_element_wise(texts, ":00", ""), texts)
    return texts


def _epochs(texts: ArrowArray, unit: str) -> ArrowArray:
    """Whole counts since 1970 as ISO 8601 in UTC."""
    counts = pc.if_else(pc.match_substring_regex(texts, "^-?[0-9]{1,18}$"), texts, None).cast(pa.int64())
    per_second = PER_SECOND[unit]
    calendar = pc.and_(
        pc.greater_equal(counts, -62_135_596_800 * per_second), pc.less(counts, 253_402_300_800 * per_second)
    )
    times = pc.if_else(calendar, counts, None).cast(pa.timestamp(unit)).cast(pa.string())
    return pc.binary_join_element_wise(times, "Z", "")


_NAMED = re.compile(rf"(?P<head>.*?[0-9](?:{_BLANK}?[AaPp]\.?[Mm]\.?)?){_BLANK}+(?P<name>\(?[A-Za-z].*)")
"""A time and the name of its zone. The head ends before the first word, AM and PM apart."""
_HALF = re.compile(r"[AaPp]\.?[Mm]\.?")
_ZONE = " %Z"
"""How a format says that a zone's name ends the text."""
_AMBIGUOUS = re.compile(r"[0-9]{1,2}([./-])[0-9]{1,2}\1(?:[0-9]{4}|[0-9]{2})(?![0-9])")
"""Begins like a date whose day and month could be either way round."""
_DIGITS_ONLY = re.compile(r"(?:%[YmdHMS]|[^%])*")


class TimeForm(msgspec.Struct, frozen=True):
    """How a mapping says dates and times are written."""

    formats: tuple[str, ...] = ()
    """``strptime`` formats, ``dmy`` and its like, ``s``, ``ms``, ``us``, tried in this order; empty for ISO 8601."""
    zone: tzinfo | None = None
    """Of naive times that no column gives a zone."""
    dates: bool = False
    """Whether only the date is wanted."""
    homes: tuple[tzinfo, ...] = ()
    """Zones that the mapping names: they decide what an abbreviation with several meanings (``CST``) means."""

    @classmethod
    def of(cls, pick: ValueMapping, *, dates: bool) -> TimeForm:
        """The form that a value mapping names.

        Raises:
            zoneinfo.ZoneInfoNotFoundError: there is no such zone.
        """
        formats = (pick.format,) if isinstance(pick.format, str) else pick.format or ()
        zone: tzinfo | None = None
        homes: tuple[tzinfo, ...] = ()
        if isinstance(pick.timezone, str):
            zone = ZoneInfo(pick.timezone)
            homes = (zone,)
        elif pick.timezone is not None:
            named = (pick.timezone.default, pick.timezone.const, *(pick.timezone.map or {}).values())
            homes = tuple(found for name in named if name is not None and (found := zone_named(str(name))))
        return cls(formats, zone, dates, homes)


class TimeReader:
    """Texts → ISO 8601 texts and instants, for one form."""

    def __init__(self, form: TimeForm) -> None:
        self._form = form
        forms = form.formats or (ISO,)
        self._plain = tuple(one for one in forms if not one.endswith(_ZONE))
        self._heads = tuple(one.removesuffix(_ZONE) for one in forms if one in _ORDERED or one.endswith(_ZONE))
        """The forms of what is before a zone's name."""
        self._quick = tuple(takewhile(_is_quick, self._plain))
        """The forms that are read as whole columns, up to the first that is not, so that forms keep their order."""

    def __call__(self, texts: ArrowArray, zones: ArrowArray | None = None) -> Converted:
        """Convert a column; every text that is not null gives a date or time, or an error.

        ``zones`` names the zone of each naive time; where it is null, the form's own zone counts.
        """
        if zones is None or zones.null_count == len(zones):
            return self._converted(texts, self._form.zone)
        values, instants, errors = absent(len(texts)), pa.nulls(len(texts), pa.int64()), Errors()
        for name in pc.unique(zones).to_pylist():
            its = pc.is_null(zones) if name is None else pc.fill_null(pc.equal(zones, name), fill_value=False)
            mask = pc.and_(its, pc.is_valid(texts))
            zone = self._form.zone if name is None else zone_named(name, self._form.homes)
            made = self._converted(texts.filter(mask), zone)
            made = made if zone is not None or name is None else _only_with_offset(made)
            values = pc.replace_with_mask(values, mask, made.values)
            instants = pc.replace_with_mask(instants, mask, made.instants)
            errors += tuple((error, where_true(mask)[positions]) for error, positions in made.errors)
        return Converted(values, errors, instants)

    def _converted(self, texts: ArrowArray, zone: tzinfo | None) -> Converted:
        """Convert a column whose naive times are in one zone."""
        values, instants, left = absent(len(texts)), pa.nulls(len(texts), pa.int64()), texts
        for form in self._quick:
            iso = _as_iso(left, form)
            fits = pc.fill_null(matches(iso, _PLAIN), fill_value=False)
            if not holds(fits):
                continue
            found, at = self._of_plain(iso.filter(fits), zone)
            if len(found) == len(texts):
                return Converted(found, (), at)
            values = pc.replace_with_mask(values, fits, found)
            instants = pc.replace_with_mask(instants, fits, at)
            left = pc.if_else(fits, None, left)
        odd = DistinctValues.of(left, None, lambda text: self._written(text, zone))
        values = odd.put_into(values, lambda found: found[0])
        instants = odd.put_into(instants, lambda found: found[1])
        return Converted(values, odd.errors(), instants)

    def _of_plain(self, texts: ArrowArray, zone: tzinfo | None) -> tuple[ArrowArray, ArrowArray]:
        """ISO texts that are real dates and times → what the event holds, and instants."""
        if self._form.dates:
            days = pc.utf8_slice_codeunits(texts, 0, 10)
            return days, days.cast(pa.date32()).cast(pa.timestamp("us")).cast(pa.int64())
        is_short = pc.max(pc.binary_length(texts)).as_py() == len("2024-01-31T08:15:00")
        zoned = None if is_short else pc.match_substring_regex(texts, _ZONED)
        texts = _canonical(texts, is_plain=is_short)
        if zoned is None or not holds(zoned):
            instants = texts.cast(pa.timestamp("us")).cast(pa.int64())
            return (texts, instants) if zone is None else _localized(texts, instants, zone)
        naive = pc.invert(zoned)
        instants = without(texts, naive).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        if holds(naive):
            found, at = self._of_plain(texts.filter(naive), zone)
            texts, instants = pc.replace_with_mask(texts, naive, found), pc.replace_with_mask(instants, naive, at)
        return texts, instants

    def _written(self, text: str, zone: tzinfo | None) -> tuple[str, int] | ConversionError:
        """The canonical text and the instant of one text."""
        moment = self.read(text)
        if isinstance(moment, ConversionError):
            return moment
        if self._form.dates:
            day = moment.local.date()
            return day.isoformat(), (day.toordinal() - EPOCH.toordinal()) * _DAY
        if zone is not None:
            moment = moment.in_zone(zone)
        return moment.text, moment.instant

    def read(self, text: str) -> Moment | ConversionError:
        """The moment of one text on its own clock, in the first form that fits; a spreadsheet's apostrophe is dropped.

        A date such as 3/4/2024 is never guessed.
        """
        text = text.removeprefix("'")
        if moment := _first(self._plain, text):
            return moment
        split = _NAMED.fullmatch(text) if self._heads else None
        if split and (moment := _first(self._heads, split["head"])):
            return self._in_named_zone(moment, split["name"])
        is_ambiguous = ISO in self._plain and _AMBIGUOUS.match(text)
        return ConversionError.AMBIGUOUS_DATE if is_ambiguous else ConversionError.NOT_A_DATE

    def _in_named_zone(self, moment: Moment, name: str) -> Moment | ConversionError:
        zone = zone_named(name, self._form.homes)
        if zone is None:
            return ConversionError.NOT_A_DATE if _HALF.fullmatch(name) else ConversionError.UNKNOWN_ZONE
        # A date is taken from the clock that it was written by.
        return moment if self._form.dates else moment.in_zone(zone)


def _first(forms: tuple[str, ...], text: str) -> Moment | None:
    return next((found for form in forms if (found := read_form(text, form))), None)


def _is_quick(form: str) -> bool:
    """Whether whole columns are read: of ``strptime`` formats, dates of digits are, with or without a clock."""
    if form in _ORDERED or form in PER_SECOND:
        return True
    fields = re.findall("%.", form)
    is_known = _DIGITS_ONLY.fullmatch(form) is not None and {"%Y", "%m", "%d"} <= {*fields}
    return is_known and len({*fields}) == len(fields)


def _only_with_offset(made: Converted) -> Converted:
    """The same, with an error for naive times, whose zone is not known."""
    naive = pc.invert(pc.match_substring_regex(made.values, _HAS_OFFSET))
    errors = (*made.errors, (ConversionError.UNKNOWN_ZONE, where_true(naive)))
    return Converted(without(made.values, naive), errors, without(made.instants, naive))


def _canonical(texts: ArrowArray, *, is_plain: bool) -> ArrowArray:
    """Texts of `_PLAIN` with ``T``, without trailing zeros in the fraction, and with ``Z`` or ``+02:00``."""
    if is_plain:
        return pc.binary_replace_slice(texts, 10, 11, "T").cast(pa.string())
    texts = pc.replace_substring_regex(texts, r"^(.{10})[T ](.{8})(\.[0-9]*[1-9])?\.?0* ?", r"\1T\2\3")
    texts = pc.replace_substring_regex(texts, r"(?:UTC|[+-]00:?00)$", "Z")
    return pc.replace_substring_regex(texts, "([+-][0-9]{2})([0-9]{2})$", r"\1:\2")


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
    return offset // _MICROSECOND


def _localized(texts: ArrowArray, local: ArrowArray, zone: tzinfo) -> tuple[ArrowArray, ArrowArray]:
    """Canonical naive texts and their local microseconds → texts with offset, and instants in UTC."""
    days = pa.array(local.to_numpy() // _DAY).dictionary_encode()
    offsets = [_day_offset(zone, day) for day in days.dictionary.to_pylist()]
    steady = pa.array([offset != -1 for offset in offsets]).take(days.indices)
    written = pa.array([_offset_text(offset) for offset in offsets]).take(days.indices)
    zoned = pc.binary_join_element_wise(texts, written, "")
    instants = pc.subtract(local, pa.array(offsets, pa.int64()).take(days.indices))

    def moved(text: str) -> Moment:
        moment = read_form(text, ISO)
        assert moment is not None, "only canonical texts come here"
        return moment.in_zone(zone)

    changing = DistinctValues.of(texts, steady, moved)
    return changing.put_into(zoned, lambda one: one.text), changing.put_into(instants, lambda one: one.instant)
