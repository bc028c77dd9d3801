"""Picks: where a value comes from and the steps on its way.

This module owns the words of a pick and what they mean; see ``model`` for where picks stand in a mapping.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Strict,
    StringConstraints,
    Tag,
    WithJsonSchema,
)

from importer.mapping import rules
from importer.mapping.clashes import PICKS, Role, exactly_one, serving, steps
from importer.mapping.groups import How
from importer.mapping.mistakes import Given, Mistake, Model
from importer.mapping.template import split

Scalar = str | bool | int | float
"""A YAML scalar; ``bool`` before ``int`` so that ``true`` stays a boolean."""

AsKind = Literal["text", "integer", "number", "boolean", "date", "datetime"]

Flag = Annotated[bool, Strict()]
Column = Annotated[
    str, BeforeValidator(rules.column_name), WithJsonSchema({"type": ["string", "integer"], "pattern": r"\S"})
]
Pattern = Annotated[str, AfterValidator(rules.regular_expression)]
_Filled = Annotated[
    Scalar, AfterValidator(rules.filled), WithJsonSchema({"type": ["string", "boolean", "number"], "pattern": r"\S"})
]
_TimeFormat = Annotated[str, AfterValidator(rules.time_format)]


def _name_or_words(value: Any) -> str:
    """Where a name stands for itself, only words are a pick; a bare name is no column."""
    return "words" if isinstance(value, abc.Mapping | Pick) else "name"


class Pick(Model):
    """Where a target's value comes from (exactly one of column, first_of, const, template, product_of), and its steps.

    A bare string is a column. The steps are applied in this order, however they are written:
    trim, extract, lower/upper, map, default, then `as` with its format, timezone, decimal, thousands and scale;
    with `group_by`, aggregate follows, and only then default.
    A cell that is empty or blank is absent, before the first step and after each; `default` takes its place.
    Everything is text unless `as` says otherwise. What a step makes of an absent value is absent.
    """

    column: Column | None = None
    """A column's name, or a dotted path into nested JSON and Parquet; an exact name wins over a path."""
    first_of: Annotated[tuple[_Inner, ...], Field(min_length=1)] | None = None
    """The first pick that is not absent after its own steps; the steps beside `first_of` go on with its text.

    What belongs to `as`, and `country`, stand beside `first_of`, not inside.
    """
    const: _Filled | None = None
    """The same value for every row. Without `as`, a property's number stays a number and true stays true."""
    template: Annotated[str, AfterValidator(rules.template)] | None = None
    """Text with `{column}` in it; absent if any column in it is. `{{` and `}}` are braces.

    Cells are trimmed (unless `trim: false`) before they are put in; the other steps see the whole text.
    """
    product_of: Annotated[tuple[_Factor, ...], Field(min_length=2)] | None = None
    """Numbers multiplied, exactly; absent if any of them is.

    Each may be a pick with steps of its own, `decimal` and `thousands` included. Of the steps beside it, `default`,
    `scale`, `aggregate` and `as: integer` make sense.
    """

    trim: Flag = True
    """Strip white space at both ends; on unless said otherwise. A blank cell is absent either way."""
    extract: Pattern | None = None
    """A regular expression (RE2): its first group, or the whole match; absent where it does not match."""
    lower: Flag = False
    """Make all letters small."""
    upper: Flag = False
    """Make all letters capitals."""
    map: abc.Mapping[str, Scalar | None] | None = None
    """Replace whole values: `{paid: purchase}`; null makes absent; values not named stay as they are."""
    default: _Filled | None = None
    """What stands in for an absent value; it is written as a cell would be, since `as` reads it like one.

    With `group_by` it stands in where no row of a group has a value.
    """
    as_: AsKind | None = Field(default=None, alias="as")
    """What the text is read as, and so what is sent.

    text: as it is; a list or an object of JSON or Parquet as its JSON. integer: a whole number however written (`7`,
    `+7`, `7.0`, `7e3`). number: exact, sent in its shortest form (12.50 as 12.5). boolean: true/false, yes/no, y/n,
    t/f, on/off, 1/0 in any case. date: sent as `YYYY-MM-DD`, on its own clock. datetime: sent as ISO 8601 with the
    offset it has; a naive time stays naive without `timezone`.
    """
    format: _TimeFormat | Annotated[tuple[_TimeFormat, ...], Field(min_length=1)] | None = None
    """For date and datetime: how they are written, or several such forms, the first that fits. ISO 8601 without it.

    `dmy`, `mdy`, `ymd`: day, month and year of digits in this order, with or without a clock. `s`, `ms`, `us`: seconds,
    milliseconds, microseconds since 1970. Anything else is a strptime format.
    """
    timezone: _Zone | None = None
    """For datetime: the zone of naive times, whose offset they get. Epochs and other times keep their own.

    An IANA zone, or words such as `{column: Time Zone}`, whose cells name each row's zone.
    """
    decimal: Literal[".", ","] | None = None
    """The decimal sign of numbers; a dot without it, or a comma where `thousands` is a dot."""
    thousands: Literal[".", ",", " ", "'", "_"] | None = None
    """The sign between a number's groups of digits; none without it. A space also stands for no-break spaces."""
    scale: Annotated[int, Strict(), Field(ge=-12, le=12)] | None = None
    """Move the decimal point: `-2` divides by 100."""
    minor_units: Flag = False
    """The amount is in minor units (cents) of its row's `value_currency`: JPY 0, EUR 2, KWD 3 places."""
    country: _Country | None = None
    """For subscriber.phone: the ISO 3166 country of national numbers.

    A code, or words such as `{column: Country Code}`, whose cells name each row's country.
    """
    aggregate: How | None = None
    """With `group_by`: how the values of a group's rows become one; `first` without it.

    first, last: of the cells that are not blank. sum, min, max: of numbers (min and max also of dates and times).
    count: how many rows have a value, 0 if none. join: all of them as one text, with `separator` between.
    """
    separator: str | None = None
    """What stands between the texts of `aggregate: join`; a comma and a space without it."""

    @classmethod
    def written(cls, data: Any) -> Any:
        """A bare name is a column; a number is one in a file without a header."""
        bare = isinstance(data, str) or (isinstance(data, int) and not isinstance(data, bool))
        return {"column": data} if bare else data

    @classmethod
    def clashes(cls, given: Given) -> Iterator[Mistake]:
        """Exactly one source, and no step that makes another one senseless."""
        hint = "name a column, such as {column: Total}"
        yield from exactly_one(given, PICKS, f"a pick takes its value from one of {', '.join(PICKS)}", hint)
        yield from steps(given)

    def columns(self) -> tuple[str, ...]:
        """Every column this pick reads, those of `asides` last, each once."""
        names = [name for aside in self.asides() for name in aside.own_columns()]
        return tuple(dict.fromkeys((*self.own_columns(), *names)))

    def own_columns(self) -> tuple[str, ...]:
        """The columns that the value comes from, in order of appearance, each once."""
        names = [self.column] if self.column is not None else []
        names += [name for inner in (*(self.first_of or ()), *(self.product_of or ())) for name in inner.columns()]
        names += [piece.text for piece in split(self.template or "") if piece.is_column]
        return tuple(dict.fromkeys(names))

    def asides(self) -> tuple[Pick, ...]:
        """The picks that say how to read this one: the zone's and the country's, if a column names them."""
        return tuple(one for one in (self.timezone, self.country) if isinstance(one, Pick))


_Inner = Annotated[Pick, serving(Role("a pick of `first_of`", is_inner=True, aggregates=()))]
_Factor = Annotated[
    Pick, serving(Role("a factor of `product_of`", implied="number", kinds=("number", "integer"), aggregates=()))
]
_Zone = Annotated[
    Annotated[str, AfterValidator(rules.zone), Tag("name")]
    | Annotated[Pick, serving(Role("a `timezone`", is_aside=True, aggregates=())), Tag("words")],
    Discriminator(_name_or_words),
]
_Country = Annotated[
    Annotated[str, StringConstraints(pattern="^[A-Z]{2}$"), AfterValidator(rules.country), Tag("name")]
    | Annotated[Pick, serving(Role("a `country`", is_aside=True, aggregates=())), Tag("words")],
    Discriminator(_name_or_words),
]
