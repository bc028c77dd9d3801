"""Dates and times, whole columns at once.

Every form (ISO 8601, ``strptime`` formats, epochs) is rewritten to ISO 8601 text with Arrow's own expressions, checked
against the calendar by an expression, and cast to instants. What does not fit goes to ``moments``, distinct text by
distinct text. ISO text comes out with ``T``, seconds, no trailing zeros in the fraction, and its own offset (``Z`` for
none); a naive time stays naive unless the mapping names a ``timezone`` (see ``zones`` for its gaps and repeats).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import tzinfo
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from importer.convert.arrays import Leftovers, absent, holds, where_true, without
from importer.convert.faults import Converted, Fault, faults_of, together
from importer.convert.formats import Epoch, Rewrite, Strptime, rewriter
from importer.convert.moments import BLANK, ORDERS, Moment, of_form, of_iso
from importer.convert.zones import in_zone, localised
from importer.mapping.model import Pick
from importer.mapping.zones import zone_named
from importer.model import ArrowArray
from importer.texts import matches

_DATE = (
    "[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
"""Every date from the year 1000 that needs no look at leap years; 29 February is left to ``moments``."""
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_FRACTION = r"(?:\.[0-9]{1,6})?"
_MICROSECONDS, _UTC_MICROSECONDS = pa.timestamp("us"), pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class _Shape:
    """A family of ISO texts."""

    pattern: str
    """Matches exactly the texts of this family that are real dates and times."""
    parts: str
    """Takes a text of the family apart, for ``rewrite``."""
    rewrite: str
    usual: int
    """The length at which only the ``T`` has to be put in its place; 0 for none."""
    zoned: bool
    """Whether the rewritten text has an offset."""

    def canonical(self, texts: ArrowArray) -> ArrowArray:
        """The texts of this family in canonical form."""
        lengths = pc.min_max(pc.binary_length(texts)).as_py()
        if self.usual and lengths == {"min": self.usual, "max": self.usual}:
            return pc.binary_replace_slice(texts, 10, 11, "T").cast(pa.string())
        return pc.replace_substring_regex(texts, self.parts, self.rewrite)


_PARTS = r"^(.{10})[T ](.{8})(\.[0-9]*[1-9])?\.?0*"
_NAIVE = _Shape(f"^{_DATE}[T ]{_CLOCK}{_FRACTION}$", f"{_PARTS}$", r"\1T\2\3", usual=19, zoned=False)
_UTC = _Shape(
    rf"^{_DATE}[T ]{_CLOCK}{_FRACTION}(?:Z| ?(?:UTC|[+-]00:?00))$",
    rf"{_PARTS} ?(?:Z|UTC|[+-]00:?00)$",
    r"\1T\2\3Z",
    usual=20,
    zoned=True,
)
_PLAIN_OFFSET = _Shape(
    rf"^{_DATE}[T ]{_CLOCK}[+-](?:0[1-9]|1[0-9]):[0-5][0-9]$", "^(.{10})[T ](.*)$", r"\1T\2", usual=25, zoned=True
)
_OFFSET = _Shape(
    rf"^{_DATE}[T ]{_CLOCK}{_FRACTION} ?[+-](?:0[1-9]|1[0-9]):?[0-5][0-9]$",
    rf"{_PARTS} ?([+-][0-9]{{2}}):?([0-9]{{2}})$",
    r"\1T\2\3\4:\5",
    usual=0,
    zoned=True,
)
_MINUTES = _Shape(
    f"^{_DATE}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]$", "^(.{10})[T ](.{5})$", r"\1T\2:00", usual=0, zoned=False
)
_DAYS = _Shape(f"^{_DATE}$", "^(.*)$", r"\1T00:00:00", usual=0, zoned=False)
_ISO = (_NAIVE, _UTC, _PLAIN_OFFSET, _OFFSET, _DAYS, _MINUTES)
"""The commonest first."""
_SHAPES: dict[type, tuple[_Shape, ...]] = {Epoch: (_UTC,), Strptime: (_NAIVE,)}
"""What a way rewrites to, if it is not everything."""


_NAMED = rf"^(?P<head>.*?[0-9](?:{BLANK}?[AaPp]\.?[Mm]\.?)?){BLANK}+(?P<name>\(?[A-Za-z].*)$"
"""A time and the name of its zone. The head ends before the first word, AM and PM apart."""
_HALF = re.compile(r"[AaPp]\.?[Mm]\.?")
_ZONE = " %Z"
"""How a format says that a zone's name ends the text."""
_HAS_OFFSET = "(?:Z|[+-][0-9]{2}:[0-9]{2})$"
_AMBIGUOUS = re.compile(r"[0-9]{1,2}([./-])[0-9]{1,2}\1(?:[0-9]{4}|[0-9]{2})(?![0-9])")
"""Begins like a date whose day and month can only be told apart by someone who knows."""


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How a mapping says dates and times are written."""

    formats: tuple[str, ...] = ()
    """``strptime`` formats, ``dmy`` and its like, ``s``, ``ms``, ``us``, tried in this order; empty for ISO 8601."""
    zone: tzinfo | None = None
    """Of naive times that no column gives a zone."""
    dates: bool = False
    """Whether only the date is wanted."""

    @classmethod
    def of(cls, pick: Pick, *, dates: bool) -> TimeForm:
        """A pick's form.

        Raises:
            zoneinfo.ZoneInfoNotFoundError: there is no such zone.
        """
        formats = (pick.format,) if isinstance(pick.format, str) else pick.format or ()
        return cls(formats, ZoneInfo(pick.timezone) if isinstance(pick.timezone, str) else None, dates)

    def before_a_name(self) -> TimeForm | None:
        """The form of what stands before a zone's name; None if there is no place for names."""
        formats = tuple(one.removesuffix(_ZONE) for one in self.formats if one in ORDERS or one.endswith(_ZONE))
        return replace(self, formats=formats, zone=None) if formats or not self.formats else None


@dataclass(frozen=True, slots=True)
class _Way:
    """One way of reading a column: rewrite it to ISO 8601, then see which families it holds."""

    rewrite: Rewrite
    shapes: tuple[_Shape, ...]


class TimeReader:
    """Texts → ISO 8601 texts and instants, for one form."""

    def __init__(self, form: TimeForm, *, names: bool = True) -> None:
        self._form = form
        self._ways: list[_Way] = []
        """The fast ways; up to the first format that has none, so that formats keep their order."""
        if not form.formats:
            self._ways.append(_Way(lambda texts: texts, _ISO))
        self._plain = tuple(one for one in form.formats if not one.endswith(_ZONE))
        for one in self._plain:
            rewrite = rewriter(one)
            if rewrite is None:
                break
            self._ways.append(_Way(rewrite, _SHAPES.get(type(rewrite), _ISO)))
        heads = form.before_a_name() if names else None
        self._heads = None if heads is None else TimeReader(heads, names=False)
        """Reads what stands before a zone's name."""

    def __call__(self, texts: ArrowArray, zones: ArrowArray | None = None) -> Converted:
        """Convert a column; every text that is not null gives a date or time, or a fault.

        ``zones`` names the zone of each naive time; where it is null, the form's own zone counts.
        """
        if zones is None or zones.null_count == len(zones):
            return self._converted(texts, self._form.zone)
        names = zones.dictionary_encode()
        codes = pc.fill_null(names.indices, -1)
        parts = []
        for code, name in enumerate([None, *names.dictionary.to_pylist()], start=-1):
            rows = where_true(pc.and_(pc.equal(codes, code), pc.is_valid(texts)))
            if len(rows):
                zone = self._form.zone if name is None else zone_named(name)
                made = self._converted(texts.take(pa.array(rows)), zone)
                parts.append((rows, made if zone is not None or name is None else _only_with_offset(made)))
        return together(len(texts), parts)

    def _converted(self, texts: ArrowArray, zone: tzinfo | None) -> Converted:
        """Convert a column whose naive times are in one zone."""
        values, instants = absent(len(texts)), pa.nulls(len(texts), pa.int64())
        left = texts
        for way in self._ways:
            if left.null_count == len(left):
                break
            iso = way.rewrite(left)
            for shape in _likely_first(way.shapes, iso):
                if iso.null_count == len(iso):
                    break
                fits = pc.fill_null(matches(iso, shape.pattern), fill_value=False)
                if holds(fits):
                    if fits.true_count == len(texts):
                        found, at = self._settled(shape, iso, zone)
                        return Converted(found, instants=at)
                    found, at = self._settled(shape, iso.filter(fits), zone)
                    values = pc.replace_with_mask(values, fits, found)
                    instants = pc.replace_with_mask(instants, fits, at)
                    iso = pc.if_else(fits, None, iso)
            left = pc.if_else(pc.is_valid(values), None, left)
        if self._heads is not None and left.null_count < len(left):
            made = self._heads.named(left)
            values, instants = pc.coalesce(values, made.values), pc.coalesce(instants, made.instants)
            left = pc.if_else(pc.is_valid(values), None, left)
        odd = Leftovers.of(left, pc.is_null(left), lambda text: self._written(text, zone))
        values = odd.scattered(values, lambda found: None if isinstance(found, Fault) else found[0])
        instants = odd.scattered(instants, lambda found: None if isinstance(found, Fault) else found[1])
        return Converted(values, faults_of(odd), instants)

    def named(self, texts: ArrowArray) -> Converted:
        """Those of the texts that end in the name of a zone that is known; the others null, without a fault."""
        found = pc.extract_regex(texts, _NAMED)
        names = pc.struct_field(found, "name")
        known = [name for name in pc.unique(names).to_pylist() if name and zone_named(name)]
        rows = where_true(pc.and_(pc.is_valid(found), pc.is_in(names, pa.array(known, pa.string()))))
        if not len(rows):
            return Converted(absent(len(texts)), (), pa.nulls(len(texts), pa.int64()))
        chosen = found.take(pa.array(rows))
        return together(len(texts), [(rows, self(pc.struct_field(chosen, "head"), pc.struct_field(chosen, "name")))])

    def _settled(self, shape: _Shape, texts: ArrowArray, zone: tzinfo | None) -> tuple[ArrowArray, ArrowArray]:
        """Texts of one family → what the event holds, and instants."""
        texts = shape.canonical(texts)
        if self._form.dates:
            days = pc.utf8_slice_codeunits(texts, 0, 10)
            return days, days.cast(pa.date32()).cast(_MICROSECONDS).cast(pa.int64())
        instants = texts.cast(_UTC_MICROSECONDS if shape.zoned else _MICROSECONDS).cast(pa.int64())
        if zone is None or shape.zoned:
            return texts, instants
        return localised(texts, instants, zone)

    def _written(self, text: str, zone: tzinfo | None) -> tuple[str, int] | Fault:
        """One text's canonical text and instant."""
        found = self.read(text)
        if isinstance(found, Fault):
            return found
        moment = found
        if self._form.dates:
            return moment.date, moment.midnight
        if zone is not None:
            moment = in_zone(moment, zone)
        return moment.text, moment.instant

    def read(self, text: str) -> Moment | Fault:
        """One text's moment on its own clock, in the first form that fits; a spreadsheet's apostrophe is dropped."""
        text = text.removeprefix("'")
        for form in self._plain:
            moment = of_form(text, form)
            if moment is not None:
                return moment
        moment = None if self._form.formats else of_iso(text)
        if moment is not None:
            return moment
        if self._heads is not None:
            split = re.search(_NAMED, text)
            head = self._heads.read(split["head"]) if split else Fault.NOT_A_DATE
            if split and isinstance(head, Moment):
                return self._in_named_zone(head, split["name"])
        return Fault.AMBIGUOUS_DATE if not self._form.formats and _AMBIGUOUS.match(text) else Fault.NOT_A_DATE

    def _in_named_zone(self, moment: Moment, name: str) -> Moment | Fault:
        zone = zone_named(name)
        if zone is None:
            return Fault.NOT_A_DATE if _HALF.fullmatch(name) else Fault.UNKNOWN_ZONE
        # A date is taken from the clock that it was written by.
        return moment if self._form.dates else in_zone(moment, zone)


def _only_with_offset(made: Converted) -> Converted:
    """The faults of naive times whose zone nobody knows."""
    assert made.instants is not None, "times have instants"
    naive = pc.invert(pc.match_substring_regex(made.values, _HAS_OFFSET))
    faults = (*made.faults, (Fault.UNKNOWN_ZONE, where_true(naive)))
    return Converted(without(made.values, naive), faults, without(made.instants, naive))


def _likely_first(shapes: tuple[_Shape, ...], texts: ArrowArray) -> tuple[_Shape, ...]:
    """The families, the first text's before the others: most columns hold one family."""
    place = pc.index(pc.is_valid(texts), value=True).as_py() if len(shapes) > 1 else -1
    first = texts[place].as_py() if place >= 0 else ""
    return tuple(sorted(shapes, key=lambda shape: re.search(shape.pattern, first) is None))
