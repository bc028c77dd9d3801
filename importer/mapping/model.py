"""The mapping language as frozen, typed models; the source of ``schemas/mapping.schema.json``.

The docstrings below the keys are the schema's descriptions. ``checks`` says what a single key may be set to, besides
its type; ``rules`` how keys go together; ``load`` applies both. A model made in Python is checked for its types alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import abc
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Strict,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from importer.mapping import checks
from importer.mapping.errors import Expects, Model

CALCULATIONS = ("product_of", "sum_of", "difference_of")
ORIGINS = ("column", "first_of", "const", "template", *CALCULATIONS, "cases", "file")
"""Where a value comes from; a value mapping has exactly one of them."""
TESTS = (
    "in", "not_in", "equals", "not_equals", "matches", "not_matches", "empty", "above", "below",
    "since", "before", "any",
)  # fmt: skip
"""What a test of `where` asks; it has exactly one of them."""

Scalar = str | bool | int | float
"""A YAML scalar; ``bool`` before ``int`` so that ``true`` stays a boolean."""
AsKind = Literal["text", "integer", "number", "boolean", "date", "datetime"]
Aggregate = Literal["first", "last", "sum", "min", "max", "count", "join"]
"""How the values of a group's rows become one."""

COLUMN_SCHEMA: dict[str, Any] = {"type": ["string", "integer"], "pattern": r"\S"}
"""A column's name as JSON Schema; editors are offered names in its place."""
_SCALAR = Expects("a text, a number, true or false")
_SIGN = Expects("one ASCII character in quotes")
_NUMBER = Expects("a number")


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Flag = Annotated[bool, Strict(), Expects("true or false")]
Column = Annotated[
    str,
    BeforeValidator(checks.column_name),
    WithJsonSchema(COLUMN_SCHEMA),
    Expects("a column's name"),
]
Pattern = Annotated[str, AfterValidator(checks.regular_expression), Expects("a regular expression in quotes")]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), Expects("a number")]
Text = Annotated[
    str, BeforeValidator(checks.as_text), WithJsonSchema({"type": ["string", "integer"]}), Expects("a text")
]
Filled = Annotated[
    Scalar,
    AfterValidator(checks.filled),
    WithJsonSchema({"type": ["string", "boolean", "number"], "pattern": r"\S"}),
    _SCALAR,
]
_TimeFormat = Annotated[str, AfterValidator(checks.time_format)]
Formats = Annotated[
    _TimeFormat | Annotated[tuple[_TimeFormat, ...], Field(min_length=1)],
    Expects('a format such as "%d.%m.%Y", or a list of them'),
]
DecimalSign = Annotated[
    Literal[".", ","] | Annotated[tuple[Literal[".", ","], ...], Field(min_length=1, max_length=2)],
    Expects('".", "," or [".", ","]'),
]
_AGO = Expects("a date or a time, such as 2024-01-31, or how long ago, such as 30d")
Bound = Annotated[str, AfterValidator(checks.bound), _AGO]
Sign = Annotated[str, AfterValidator(checks.sign), _schema(r"^[\x01-\x09\x0b\x0c\x0e-\x7f]$"), _SIGN]


_Operands = Annotated[
    tuple["ValueMapping", ...],
    Field(min_length=2),
    Expects("a list of at least two values, such as [Quantity, Price]"),
]


def _name_or_keys(value: Any) -> str:
    """Where a name means itself, only keys are a value mapping; a bare name is no column."""
    return "keys" if isinstance(value, abc.Mapping | ValueMapping) else "name"


class ValueMapping(Model):
    """Where a value comes from (exactly one of its origins, column … file), and its steps.

    A bare string is a column. The steps are applied in this order, however they are written:
    trim, extract, lower/upper, map, default, then `as` with its format, timezone, decimal, thousands, scale, abs and
    negate; with `group_by`, aggregate follows, and only then default.
    A cell that is empty or blank is absent, before the first step and after each; `default` takes its place.
    Everything is text unless `as` says otherwise. What a step makes of an absent value is absent.
    """

    called: ClassVar[str] = "a value"
    looks_like: ClassVar[str] = "a column's name, or keys such as {column: Total, as: number}"
    belongs: ClassVar[str] = "in a value, such as {column: Total, as: number}"

    column: Column | None = None
    """A column's name, or a dotted path into nested JSON and Parquet; an exact name wins over a path."""
    first_of: Annotated[
        Annotated[tuple[ValueMapping, ...], Field(min_length=1)] | None,
        Expects("a list of values, such as [Phone, Billing Phone]"),
    ] = None
    """The first value that is not absent after its own steps; the steps beside `first_of` go on with its text.

    What belongs to `as`, and `country`, is written beside `first_of`, not inside.
    """
    const: Filled | None = None
    """The same value for every row. Without `as`, a property's number stays a number and true stays true."""
    template: Annotated[str, AfterValidator(checks.template), Expects("text with {column} in it")] | None = None
    """Text with `{column}` in it; absent if any column in it is. `{{` and `}}` are braces.

    Cells are trimmed (unless `trim: false`) before they are put in; the other steps see the whole text.
    """
    product_of: _Operands | None = None
    """Numbers multiplied, exactly; absent if any of them is.

    Each may be a value with steps of its own, `decimal` and `thousands` included. Of the steps beside it, `default`,
    `scale`, `aggregate` and `as: integer` make sense.
    """

    sum_of: _Operands | None = None
    """Numbers added, exactly; absent if any of them is. As `product_of` in all else."""
    difference_of: _Operands | None = None
    """The first number less all others, exactly; absent if any of them is. As `product_of` in all else."""
    cases: Annotated[
        Annotated[tuple[Case, ...], Field(min_length=1)] | None,
        Expects("a list of cases, such as [{when: [{column: Net, below: 0}], use: {const: refund}}]"),
    ] = None
    """The value of the first case whose tests all pass; `default` where none does, else absent."""
    file: Annotated[
        Literal["name", "stem", "directory", "path", "line", "row"] | None,
        Expects("name, stem, directory, path, line or row"),
    ] = None
    """What is known of the file and the row's place in it.

    name: the file's name, in an archive its member's (`north-2026-01-31.csv`). stem: the name up to its first dot after
    the first character. directory: the name of the directory it is in. path: as it was given. line, row: the row's
    first line, and its number among the file's rows.
    """
    lookup: Annotated[Text | None, Expects("a name from `lookups`")] = None
    """The name of one of the mapping's `lookups`, whose `column` it takes, from the row whose key is `by`."""
    by: ValueMapping | None = None
    """With `lookup`: the value that is looked up."""
    parts: Annotated[
        Annotated[abc.Mapping[str, ValueMapping], Field(min_length=1)] | None,
        Expects("names and their values, such as {shop: {file: stem}}"),
    ] = None
    """For `template`: values that its braces name, before any column of that name."""

    trim: Flag = True
    """Strip white space at both ends; on unless false. A blank cell is absent either way."""
    extract: Pattern | None = None
    """A regular expression (RE2): its first group, or the whole match; absent where it does not match."""
    lower: Flag = False
    """Turn all letters into small ones."""
    upper: Flag = False
    """Turn all letters into capitals."""
    map: Annotated[
        abc.Mapping[str, Scalar | None] | None, Expects("values and their replacements, such as {paid: purchase}")
    ] = None
    """Replace whole values: `{paid: purchase}`; null makes absent; values not named stay as they are."""
    default: Filled | None = None
    """The value in place of an absent one; it is written as a cell would be, since `as` reads it like one.

    With `group_by` it is used where no row of a group has a value.
    """
    as_: AsKind | None = Field(default=None, alias="as")
    """What the text is read as, and so what is sent.

    text: as it is; a list or an object of JSON or Parquet as its JSON. integer: a whole number however written (`7`,
    `+7`, `7.0`, `7e3`). number: exact, sent in its shortest form (12.50 as 12.5). boolean: true/false, yes/no, y/n,
    t/f, on/off, 1/0 in any case. date: sent as `YYYY-MM-DD`, on its own clock. datetime: sent as ISO 8601 with the
    offset it has; a naive time stays naive without `timezone`.
    """
    format: Formats | None = None
    """For date and datetime: how they are written, or several such forms, the first that fits. ISO 8601 without it.

    `dmy`, `mdy`, `ymd`: day, month and year of digits in this order, with or without a clock. `s`, `ms`, `us`: seconds,
    milliseconds, microseconds since 1970. Anything else is a strptime format.
    """
    timezone: Annotated[
        Annotated[
            Annotated[str, AfterValidator(checks.zone), Tag("name")] | Annotated[ValueMapping, Tag("keys")],
            Discriminator(_name_or_keys),
        ]
        | None,
        Expects("an IANA zone, such as Europe/Vilnius, or {column: …}"),
    ] = None
    """For datetime: the zone of naive times, whose offset they get. Epochs and other times keep their own.

    An IANA zone, or keys such as `{column: Time Zone}`, whose cells name each row's zone.
    """
    decimal: DecimalSign | None = None
    """The decimal sign of numbers; a dot without it, or a comma where `thousands` is a dot.

    A list: either sign, where a cell leaves no doubt (`12,50`, `1.234,50`, but not `1,250`).
    """
    thousands: Literal[".", ",", " ", "'", "_"] | None = None
    """The sign between a number's groups of digits; none without it. A space also means no-break spaces."""
    scale: Annotated[int, Strict(), Field(ge=-12, le=12), Expects("a whole number from -12 to 12")] | None = None
    """Move the decimal point: `-2` divides by 100. For an amount in cents, `minor_units` knows the currency."""
    minor_units: Flag = False
    """The amount is in minor units (cents) of its row's `value_currency`: JPY has none, EUR two places, KWD three."""
    abs: Flag = False
    """For numbers: without their sign."""
    negate: Flag = False
    """For numbers: with the opposite sign."""
    max_bytes: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=8192)] | None, Expects("a number of bytes, from 1 to 8192")
    ] = None
    """For text: the bytes in UTF-8 after which it is cut, at a character, with a warning (`property.cut`)."""
    on_invalid: Literal["refuse", "omit"] | None = None
    """What becomes of a cell that cannot be read, or that the API would refuse; `refuse` without it.

    refuse: its row is invalid. omit: the value is absent, so that `default` takes its place, and the row carries the
    warning `field.omitted`. Not for `type`, `key`, `group_by` and `order_by`.
    """
    country: Annotated[
        Annotated[
            Annotated[str, StringConstraints(pattern="^[A-Z]{2}$"), AfterValidator(checks.country), Tag("name")]
            | Annotated[ValueMapping, Tag("keys")],
            Discriminator(_name_or_keys),
        ]
        | None,
        Expects("a country's two capital letters, such as US, or {column: …}"),
    ] = None
    """For subscriber.phone: the ISO 3166 country of national numbers.

    A code, or keys such as `{column: Country Code}`, whose cells name each row's country.
    """
    aggregate: Aggregate | None = None
    """With `group_by`: how the values of a group's rows become one; `first` without it.

    first, last: of the cells that are not blank. sum, min, max: of numbers (min and max also of dates and times).
    count: how many rows have a value, 0 if none. join: all of them as one text, with `separator` between.
    """
    separator: Annotated[str | None, Expects('a text in quotes, such as ", "')] = None
    """The text between those of `aggregate: join`; a comma and a space without it."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        """A bare name is a column; a number is one in a file without a header. A default may be written as a value."""
        if isinstance(data, str) or (isinstance(data, int) and not isinstance(data, bool)):
            return {"column": data}
        match data:
            case {"default": {"const": default, **others}} if not others:
                return {**data, "default": default}
        return data

    def columns(self) -> tuple[str, ...]:
        """Every column this value reads, those of `asides` last, each once."""
        names = [name for aside in self.asides() for name in aside.own_columns()]
        return tuple(dict.fromkeys((*self.own_columns(), *names)))

    def own_columns(self) -> tuple[str, ...]:
        """The columns that the value comes from, each once; those of tests and templates first."""
        parts = self.parts or {}
        names = [self.column] if self.column is not None and self.lookup is None else []
        names += [name for case in self.cases or () for test in case.when for name in test.columns()]
        names += [one.text for one in checks.split(self.template or "") if one.is_column and one.text not in parts]
        names += [name for one in self.made_of() for name in one.columns()]
        return tuple(dict.fromkeys(names))

    def made_of(self) -> tuple[ValueMapping, ...]:
        """The values that it is made of."""
        by = () if self.by is None else (self.by,)
        cases = (case.use for case in self.cases or ())
        return (*by, *(self.first_of or ()), *self.operands(), *cases, *(self.parts or {}).values())

    def inside(self) -> Iterator[ValueMapping]:
        """This value and every one that it is made of, or read by."""
        yield self
        for one in (*self.made_of(), *self.asides()):
            yield from one.inside()

    def operands(self) -> tuple[ValueMapping, ...]:
        """The numbers that a calculation is made of; empty if it is none."""
        return self.product_of or self.sum_of or self.difference_of or ()

    def asides(self) -> tuple[ValueMapping, ...]:
        """The values that say how to read this one: the zone's and the country's, if a column names them."""
        return tuple(one for one in (self.timezone, self.country) if isinstance(one, ValueMapping))


class Condition(Model):
    """One test of `where`; a row is kept if all of the list hold. A `column` and exactly one test key, or `any` alone.

    Cells are compared after trimming: with a text exactly, with a number numerically (1 and 1.0 are equal), with true
    and false in any case. A blank or absent cell compares like the empty text `""`, and is neither above nor below.
    """

    called: ClassVar[str] = "a test of `where`"
    looks_like: ClassVar[str] = "keys such as {column: Status, equals: paid}"
    belongs: ClassVar[str] = "in a test of `where`"

    column: Column | None = None
    """The column to test."""
    in_: Annotated[
        Annotated[tuple[Scalar, ...], Field(min_length=1)] | None, Expects("a list, such as [paid, pending]")
    ] = Field(default=None, alias="in")
    """The cell is one of these."""
    not_in: Annotated[tuple[Scalar, ...], Field(min_length=1), Expects("a list, such as [test, void]")] | None = None
    """The cell is none of these; a blank cell passes, unless `""` is among them."""
    equals: Annotated[Scalar | None, _SCALAR] = None
    """The cell is this."""
    not_equals: Annotated[Scalar | None, _SCALAR] = None
    """The cell is not this; a blank cell passes."""
    matches: Pattern | None = None
    """A regular expression (RE2) found anywhere in the cell."""
    not_matches: Pattern | None = None
    """A regular expression (RE2) found nowhere in the cell; a blank cell passes."""
    empty: Flag | None = None
    """true: the cell is empty or blank; false: it is not."""
    above: Number | None = None
    """The cell is a number greater than this."""
    below: Number | None = None
    """The cell is a number less than this."""
    since: Bound | None = None
    """The cell is a date or time, and not earlier than this: ISO 8601, or `30d`, `12h` before now.

    Cells are read by the format and the zone of that column elsewhere in the mapping, unless the test has its own. A
    time without an offset is taken in that zone, in UTC where there is none.
    """
    before: Bound | None = None
    """The cell is a date or time earlier than this; see `since`."""
    any_: Annotated[
        Annotated[tuple[Condition, ...], Field(min_length=1)] | None,
        Expects("a list of tests, such as [{column: Status, equals: paid}, {column: Total, above: 0}]"),
    ] = Field(default=None, alias="any")
    """One of these tests passes."""
    format: Formats | None = None
    """For `since` and `before`: how the cells are written, as in a value."""
    timezone: Annotated[str, AfterValidator(checks.zone), Expects("an IANA zone, such as Europe/Vilnius")] | None = None
    """For `since` and `before`: the zone of times without an offset."""
    decimal: DecimalSign | None = None
    """For tests with numbers: the decimal sign of the cells, as in a value."""
    thousands: Literal[".", ",", " ", "'", "_"] | None = None
    """For tests with numbers: the sign between groups of digits, as in a value."""
    rows: Literal["first", "any", "all", "each"] | None = None
    """With `group_by`, which rows of a group are asked; `first` without it.

    first: the first cell that is not blank answers for the whole group. any, all: the group is kept if one of its rows,
    or every row, passes. each: every row answers for itself; those that fail are left out of their group.
    """

    def columns(self) -> tuple[str, ...]:
        """Every column it asks, each once."""
        names = [] if self.column is None else [self.column]
        names += [name for test in self.any_ or () for name in test.columns()]
        return tuple(dict.fromkeys(names))


class Case(Model):
    """One of several ways to a value, and the tests for it."""

    called: ClassVar[str] = "a case"
    looks_like: ClassVar[str] = "keys such as {when: [{column: Net, below: 0}], use: {const: refund}}"
    belongs: ClassVar[str] = "in a case of `cases`"
    missing: ClassVar[abc.Mapping[str, str]] = {"use": "such as `use: {const: refund}`"}

    when: Annotated[tuple[Condition, ...], Expects("a list of tests, such as [{column: Net, below: 0}]")] = ()
    """The tests of the row that must all pass; without any, the case always holds."""
    use: ValueMapping
    """The value then."""


ValueMapping.model_rebuild()


class Subscriber(Model):
    """Who the event is about; at least one of the three."""

    called: ClassVar[str] = "`subscriber`"
    looks_like: ClassVar[str] = "keys such as `email: Email`"
    belongs: ClassVar[str] = "under `subscriber`"

    id: ValueMapping | None = None
    """The subscriber's id in Sender, not the shop's own. A spreadsheet's apostrophe before its digits is dropped."""
    email: ValueMapping | None = None
    """The subscriber's e-mail address."""
    phone: ValueMapping | None = None
    """The subscriber's phone, with its country code, or a national one with `country`."""


class SourceOptions(Model):
    """How to read the files, where recognition is not enough."""

    called: ClassVar[str] = "`source`"
    looks_like: ClassVar[str] = 'keys such as `delimiter: ";"`'
    belongs: ClassVar[str] = "under `source`"

    format: Literal["csv", "jsonl", "parquet"] | None = None
    """The files' format, regardless of their names."""
    compression: Literal["none", "gzip", "bz2", "xz", "zstd", "zip"] | None = None
    """How the files are compressed, regardless of their names."""
    encoding: Annotated[
        Annotated[str, AfterValidator(checks.encoding)] | None, Expects("an encoding's name, such as cp1252")
    ] = None
    """The files' text encoding, such as `cp1252`."""
    delimiter: Annotated[
        Annotated[
            str, AfterValidator(checks.delimiter), _schema(r"^([\x01-\x09\x0b\x0c\x0e-\x7f]{1,3}|tab|whitespace)$")
        ]
        | None,
        Expects("one to three ASCII characters in quotes, `tab` or `whitespace`"),
    ] = None
    """One to three ASCII characters, such as `", "` or `"||"`, `tab`, or `whitespace` for runs of blanks."""
    quote: Sign | None = None
    """The one ASCII character around cells that contain delimiters or line ends."""
    escape: Sign | None = None
    """The ASCII character that takes the meaning from a quote or delimiter behind it, such as a backslash."""
    comment: Sign | None = None
    """The ASCII character that a line begins with which is no row, such as `#`."""
    header: Annotated[
        Annotated[Flag | Annotated[tuple[Column, ...], Field(min_length=1)], AfterValidator(checks.header)] | None,
        Expects("true, false, or a list of column names"),
    ] = None
    """false: columns are named 1, 2, 3 …; a list: their names, and the file's first line is data."""
    skip_lines: Annotated[int, Strict(), Field(ge=0, le=1_000_000), Expects("a number of lines, from 0 to 1000000")] = 0
    """Lines before the header."""
    ragged: Literal["refuse", "pad"] = "refuse"
    """pad: short rows are filled up with empty cells."""
    max_ratio: Annotated[int, Strict(), Field(ge=1, le=1_000_000), Expects("a number from 1 to 1000000")] | None = None
    """How many times its size a compressed file may unpack to; 200 without this key. More is taken for a bomb."""
    sheet: Annotated[Annotated[str, AfterValidator(checks.filled)] | None, Expects("a sheet's name")] = None
    """Of an Excel workbook, the sheet to read; the first one without this key."""


class Lookup(Model):
    """A file that answers what a row's own cells do not say, such as a list of customers."""

    called: ClassVar[str] = "a lookup"
    looks_like: ClassVar[str] = "keys such as {file: customers.csv, key: Customer ID}"
    belongs: ClassVar[str] = "in a lookup of `lookups`"
    missing: ClassVar[abc.Mapping[str, str]] = {
        "file": "such as `file: customers.csv`",
        "key": "name the column of the file that is looked up, such as `key: Customer ID`",
    }

    file: Annotated[
        Annotated[str, AfterValidator(checks.filled)] | Annotated[tuple[str, ...], Field(min_length=1)],
        Expects("a path, or a list of them"),
    ]
    """The file, or several; a relative path counts from where the mapping is."""
    key: ValueMapping
    """The value of the file's rows that is looked up; in rows that share it all answers must be the same.

    With `as: integer`, zeros in front of it do not count.
    """
    source: SourceOptions = SourceOptions()
    """How to read the file, where recognition is not enough."""


class MoreProperties(Model):
    """Columns that nothing else in the mapping uses, as properties of the types that they have in the file."""

    called: ClassVar[str] = "`more_properties`"
    looks_like: ClassVar[str] = 'keys such as {columns: "*", rename: snake_case}'
    belongs: ClassVar[str] = "under `more_properties`"
    missing: ClassVar[abc.Mapping[str, str]] = {"columns": 'such as `columns: "*"`, which is all'}

    columns: Annotated[
        Annotated[str, AfterValidator(checks.filled)] | Annotated[tuple[str, ...], Field(min_length=1)],
        Expects('"*", or a list of columns, such as ["utm_*", "event_properties.*"]'),
    ]
    """Which columns: names in which `*` means any characters, or a list of them.

    `address.*` are the members of an object, whose names are the properties' names.
    """
    except_: Annotated[tuple[str, ...], Expects('a list of columns, such as ["internal_*"]')] = Field(
        default=(), alias="except"
    )
    """Columns that are left out, in the same way."""
    rename: Literal["as_is", "snake_case"] = "as_is"
    """snake_case: `Billing Name` and `billingName` become `billing_name`."""


class ExpectedSubscriber(Model):
    """Who an expected event is about."""

    called: ClassVar[str] = "`subscriber`"
    looks_like: ClassVar[str] = "keys such as `email: ada@example.com`"

    id: Text | None = None
    """The id that is sent."""
    email: Text | None = None
    """The e-mail address that is sent."""
    phone: Text | None = None
    """The phone that is sent, such as +37061234567."""


class ExpectedEvent(Model):
    """An event as the API gets it, whole: what is not named must not be there."""

    called: ClassVar[str] = "an expected event"
    looks_like: ClassVar[str] = "keys such as {subscriber: {email: ada@example.com}, type: purchase}"

    subscriber: ExpectedSubscriber | None = None
    """Who the event is about."""
    type: Text | None = None
    """The event's type."""
    value: Annotated[
        Annotated[int, Strict()] | Annotated[float, Strict(), Field(allow_inf_nan=False)] | None, _NUMBER
    ] = None
    """The event's value."""
    value_currency: Text | None = None
    """The value's currency."""
    properties: Annotated[
        abc.Mapping[str, str | bool | int | float] | None, Expects("names and their values, such as {order_id: 1001}")
    ] = None
    """All its properties."""


class ExpectedReason(Model):
    """A reason of the report: why a row is refused, or a warning about it. A bare text is its code."""

    called: ClassVar[str] = "an expected reason"
    looks_like: ClassVar[str] = "a code such as email.invalid, or keys such as {row: 2, code: …}"
    missing: ClassVar[abc.Mapping[str, str]] = {"code": "such as `code: email.invalid`"}

    code: Annotated[str, AfterValidator(checks.reason_code), Expects("the code of a reason, such as email.invalid")]
    """The reason's code, such as email.invalid."""
    row: Annotated[int, Strict(), Field(ge=1), Expects("the number of a row, from 1")] | None = None
    """The row's number among those of the example, from 1. Any row without it."""
    field: Text | None = None
    """The invalid target, such as subscriber.email. Any target without it."""

    @model_validator(mode="before")
    @classmethod
    def _from_code(cls, data: Any) -> Any:
        return {"code": data} if isinstance(data, str) else data


class Example(Model):
    """Rows, and what they must produce: these events and these reasons, and no others, in this order.

    A row that makes neither is left out by `where`, or joined to another one.
    """

    called: ClassVar[str] = "an example of `tests`"
    looks_like: ClassVar[str] = "keys such as {rows: […], events: […]}"
    belongs: ClassVar[str] = "in an example of `tests`"
    missing: ClassVar[abc.Mapping[str, str]] = {"rows": "such as `rows: [{Email: ada@example.com}]`"}

    name: Text | None = None
    """What the example shows, in a few words."""
    rows: Annotated[
        str | Annotated[tuple[abc.Mapping[str, Any], ...], Field(min_length=1)],
        Expects("a list of rows, such as [{Email: ada@example.com}], or a text as it would be in a file"),
    ]
    """Rows as columns and their cells; or a text that is read as a file of the mapping's `source` would be."""
    events: Annotated[tuple[ExpectedEvent, ...] | None, Expects("a list of events")] = None
    """The events that come out, in the order of the rows."""
    reasons: Annotated[tuple[ExpectedReason, ...] | None, Expects("a list of codes, such as [email.invalid]")] = None
    """The reasons that come out, in the order of the rows."""


_ABOUT_ITSELF = {"extends", "about", "recognised_by", "needs", "tests"}
"""Keys that change no event."""


class ImportMapping(Model):
    """A whole mapping file."""

    called: ClassVar[str] = "the mapping"
    looks_like: ClassVar[str] = "keys such as `version: 1`"
    belongs: ClassVar[str] = "at the left margin"
    missing: ClassVar[abc.Mapping[str, str]] = {
        "version": "begin with `version: 1`",
        "subscriber": "say who the events are about, such as `subscriber: {email: Email}`",
        "type": "name a column, or give every event one with `type: {const: purchase}`",
    }

    version: Annotated[Literal[1], BeforeValidator(checks.one), Expects("1")]
    """The language's version: 1."""
    extends: Annotated[
        Annotated[str, AfterValidator(checks.filled)] | None, Expects("a preset's name, or the path of a mapping")
    ] = None
    """A preset's name, or the path of a mapping from here: its keys hold, except those that are set here.

    Members of `properties` are inherited one by one; null removes what is inherited.
    """
    about: Annotated[str | None, Expects("a sentence")] = None
    """What the mapping makes of a row, in a sentence."""
    recognised_by: Annotated[
        tuple[Column | Annotated[tuple[Column, ...], Field(min_length=1)], ...],
        Expects("a list of columns, such as [Email, Total]"),
    ] = ()
    """Columns that a file of this kind has, for `importer init`; a list inside the list: any of its columns."""
    needs: Annotated[
        abc.Mapping[Annotated[str, AfterValidator(checks.needed_key)], str],
        Expects("keys and why they are needed, such as {value_currency: the export has none}"),
    ] = {}
    """Keys that a mapping which extends this one must set, and why.

    `subscriber` must be set by the extending mapping itself, even if this one has it.
    """
    source: SourceOptions = SourceOptions()
    """How to read the files, where recognition is not enough."""
    lookups: Annotated[
        abc.Mapping[str, Lookup],
        Expects("names and their files, such as {customers: {file: customers.csv, key: Customer ID}}"),
    ] = {}
    """Other files, by a name, whose columns values can take with `lookup`."""
    each: Annotated[Column | None, Expects("the name of a list in the file, such as items")] = None
    """A list in JSON or Parquet, each of whose elements is a row: the whole object, with the element in its place."""
    where: Annotated[tuple[Condition, ...], Expects("a list of tests, such as [{column: Status, equals: paid}]")] = ()
    """Which rows to take: those that pass all tests. The others are filtered."""
    group_by: ValueMapping | None = None
    """Rows that share this become one event; they may be anywhere, in several files. A row without it is invalid."""
    order_by: ValueMapping | None = None
    """Deliver in ascending order of this; a datetime unless `as` says otherwise."""
    key: ValueMapping | None = None
    """The same key is never delivered twice, whichever file it comes from."""
    subscriber: Subscriber
    """Who the event is about."""
    type: ValueMapping
    """The event's type, such as purchase."""
    value: ValueMapping | None = None
    """The event's value; always a number, so `as` is implied."""
    value_currency: ValueMapping | None = None
    """The value's currency, an ISO 4217 code such as EUR."""
    properties: Annotated[
        abc.Mapping[str, ValueMapping], Expects("names and their values, such as {order_id: Name}")
    ] = {}
    """What else the event says, by name. An absent value leaves its property out."""
    more_properties: MoreProperties | None = None
    """Columns that nothing else uses, as further properties."""
    missing_columns: Literal["refuse", "warn"] = "refuse"
    """What to do with a file that lacks a column the mapping needs."""
    tests: Annotated[tuple[Example, ...], Expects("a list of examples, such as [{rows: […], events: […]}]")] = ()
    """Rows, and the events or reasons that they must produce; `importer check` runs them."""

    def fields(self) -> Iterator[tuple[str, ValueMapping]]:
        """Every target with its value, by the name that reports use: ``subscriber.email``, ``properties.total``."""
        named = {
            "order_by": self.order_by,
            "key": self.key,
            "subscriber.id": self.subscriber.id,
            "subscriber.email": self.subscriber.email,
            "subscriber.phone": self.subscriber.phone,
            "type": self.type,
            "value": self.value,
            "value_currency": self.value_currency,
        }
        for name, value in (*named.items(), *((f"properties.{name}", one) for name, one in self.properties.items())):
            if value is not None:
                yield name, value

    def columns(self) -> tuple[str, ...]:
        """Every column named anywhere, each once: those of `where` and `group_by` first, then the targets'."""
        names = [name for test in self.where for name in test.columns()]
        names += self.group_by.columns() if self.group_by is not None else ()
        names += [name for _, value in self.fields() for name in value.columns()]
        return tuple(dict.fromkeys(names))

    def looked_up(self) -> dict[str, tuple[str, ...]]:
        """The columns that values take from each lookup."""
        group_by = () if self.group_by is None else (self.group_by,)
        found: dict[str, dict[str, None]] = {}
        for value in (*group_by, *(value for _, value in self.fields())):
            for one in value.inside():
                if one.lookup is not None and one.column is not None:
                    found.setdefault(one.lookup, {})[one.column] = None
        return {name: tuple(columns) for name, columns in found.items()}

    def digest(self) -> str:
        """SHA-256 of what the mapping does with rows: comments, layout, the order of keys, tests do not count."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_ABOUT_ITSELF)
        text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
