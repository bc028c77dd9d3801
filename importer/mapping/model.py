"""The mapping language as frozen, typed models; the source of ``schemas/mapping.schema.json``.

This module owns which words a mapping has and what they mean, those of picks apart (``mapping.pick``). What a single
word may be set to beyond its type is ``mapping.rules``'s, how words go together ``mapping.clashes``'s, how mistakes
are worded ``mapping.words``'s; reading YAML and pointing at lines is ``mapping.load``'s; applying it is ``shape``'s.
"""

from __future__ import annotations

import hashlib
import json
from collections import abc
from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from importer.mapping import rules
from importer.mapping.clashes import TESTS, Role, exactly_one, serving
from importer.mapping.example import Example
from importer.mapping.groups import How, without_groups
from importer.mapping.mistakes import Given, Mistake, Model
from importer.mapping.pick import AsKind, Column, Flag, Pattern, Pick, Scalar

__all__ = ["AsKind", "Condition", "ImportMapping", "Model", "Pick", "Scalar", "SourceOptions", "Subscriber"]

_Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]

_MEASURES: tuple[How, ...] = ("first", "last", "sum", "min", "max", "count")
_PLACES: tuple[How, ...] = ("first", "last", "min", "max")

_Identifier = Annotated[Pick, serving(Role("`id`"))]
_Email = Annotated[Pick, serving(Role("an e-mail", kinds=("text",)))]
_Phone = Annotated[Pick, serving(Role("a phone", kinds=("text",), is_phone=True))]
_Type = Annotated[Pick, serving(Role("`type`"))]
_Value = Annotated[Pick, serving(Role("`value`", implied="number", kinds=("number", "integer"), aggregates=_MEASURES))]
_Currency = Annotated[Pick, serving(Role("a currency", kinds=("text",)))]
_Key = Annotated[Pick, serving(Role("`key`"))]
_OrderBy = Annotated[Pick, serving(Role("`order_by`", implied="datetime", aggregates=_PLACES))]
_Property = Annotated[Pick, serving(Role("a property", aggregates=get_args(How)))]
_GroupBy = Annotated[Pick, serving(Role("`group_by`", aggregates=()))]


_ABOUT_ITSELF = {"extends", "about", "recognised_by", "needs", "tests"}
"""Words that change no event."""


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


class Condition(Model):
    """One test of `where`; a row is kept if all of the list hold. Exactly one test word besides `column`.

    Cells are compared after trimming: with a text exactly, with a number numerically (1 and 1.0 are equal), with true
    and false in any case. A blank or absent cell compares like the empty text `""`, and is neither above nor below.
    """

    column: Column
    """The column to test."""
    in_: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = Field(default=None, alias="in")
    """The cell is one of these."""
    not_in: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = None
    """The cell is none of these; a blank cell passes, unless `""` is among them."""
    equals: Scalar | None = None
    """The cell is this."""
    not_equals: Scalar | None = None
    """The cell is not this; a blank cell passes."""
    matches: Pattern | None = None
    """A regular expression (RE2) found anywhere in the cell."""
    not_matches: Pattern | None = None
    """A regular expression (RE2) found nowhere in the cell; a blank cell passes."""
    empty: Flag | None = None
    """true: the cell is empty or blank; false: it is not."""
    above: _Number | None = None
    """The cell is a number greater than this."""
    below: _Number | None = None
    """The cell is a number less than this."""
    rows: Literal["first", "any", "all", "each"] | None = None
    """With `group_by`, which rows of a group are asked; `first` without it.

    first: the first cell that is not blank answers for the whole group. any, all: the group is kept if one of its rows,
    or every row, passes. each: every row answers for itself; those that fail are left out of their group.
    """

    @classmethod
    def clashes(cls, given: Given) -> Iterator[Mistake]:
        """Exactly one test."""
        yield from exactly_one(
            given, TESTS, f"a test of `where` has one of {', '.join(TESTS)}", "such as `equals: paid`"
        )


class Subscriber(Model):
    """Who the event is about; at least one of the three."""

    id: _Identifier | None = None
    """The subscriber's id in Sender. An apostrophe that a spreadsheet put before its digits is dropped."""
    email: _Email | None = None
    """The subscriber's e-mail address."""
    phone: _Phone | None = None
    """The subscriber's phone, with its country code, or a national one with `country`."""

    @classmethod
    def clashes(cls, given: Given) -> Iterator[Mistake]:
        """At least one."""
        if not given.has_unknown and not given.values:
            yield Mistake((), "`subscriber` needs at least one of id, email, phone", "such as `email: Email`")


class SourceOptions(Model):
    """How to read the files, where recognising is not enough."""

    format: Literal["csv", "jsonl", "parquet"] | None = None
    """What the files are, whatever their names say."""
    compression: Literal["none", "gzip", "bz2", "xz", "zstd", "zip"] | None = None
    """How the files are packed, whatever their names say."""
    encoding: Annotated[str, AfterValidator(rules.encoding)] | None = None
    """The files' text encoding, such as `cp1252`."""
    delimiter: (
        Annotated[str, AfterValidator(rules.delimiter), _schema(r"^([\x01-\x09\x0b\x0c\x0e-\x7f]|tab|whitespace)$")]
        | None
    ) = None
    """One ASCII character, `tab`, or `whitespace` for runs of blanks."""
    quote: Annotated[str, AfterValidator(rules.quote), _schema(r"^[\x01-\x09\x0b\x0c\x0e-\x7f]$")] | None = None
    """The one ASCII character around cells that hold delimiters or line ends."""
    header: (
        Annotated[Flag | Annotated[tuple[Column, ...], Field(min_length=1)], AfterValidator(rules.header)] | None
    ) = None
    """false: columns are named 1, 2, 3 …; a list: their names, and the file's first line is data."""
    skip_lines: Annotated[int, Strict(), Field(ge=0)] = 0
    """Lines before the header."""
    ragged: Literal["refuse", "pad"] = "refuse"
    """pad: short rows are filled up with empty cells."""

    @classmethod
    def clashes(cls, given: Given) -> Iterator[Mistake]:
        """No word for CSV where the format is another, and two different signs."""
        kind = given.sound("format")
        if kind in {"jsonl", "parquet"}:
            senseless = ["delimiter", "quote", "header", "skip_lines", "ragged"]
            for word in given.among([*senseless, "encoding"] if kind == "parquet" else senseless):
                yield Mistake((word,), f"`{word}` means nothing for `format: {kind}`", "leave it out")
        if given.sound("delimiter") == (given.sound("quote") or '"'):
            word = "quote" if "quote" in given else "delimiter"
            yield Mistake((word,), "`quote` and `delimiter` are the same character", "one of them is something else")


class ImportMapping(Model):
    """A whole mapping file."""

    version: Annotated[Literal[1], BeforeValidator(rules.one)]
    """The language's version: 1."""
    extends: Annotated[str, AfterValidator(rules.filled)] | None = None
    """A preset's name, or the path of a mapping from here: its words hold, but for those that are said here.

    Members of `properties` are inherited one by one; null takes away what is inherited.
    """
    about: str | None = None
    """What the mapping makes of a row, in a sentence."""
    recognised_by: tuple[Column | Annotated[tuple[Column, ...], Field(min_length=1)], ...] = ()
    """Columns that a file of this kind has, for `importer init`; a list inside the list: any of its columns."""
    needs: abc.Mapping[Annotated[str, AfterValidator(rules.optional_word)], str] = {}
    """Words that a mapping must say which extends this one, and why."""
    source: SourceOptions = SourceOptions()
    """How to read the files, where recognising is not enough."""
    where: tuple[Condition, ...] = ()
    """Which rows to take: those that pass all tests. The others are filtered."""
    group_by: _GroupBy | None = None
    """Rows that share this become one event; they may lie apart, and in several files. A row without it is invalid."""
    order_by: _OrderBy | None = None
    """Deliver in ascending order of this; a datetime unless `as` says otherwise."""
    key: _Key | None = None
    """The same key is never delivered twice, whichever file it comes from."""
    subscriber: Subscriber
    """Who the event is about."""
    type: _Type
    """The event's type, such as purchase."""
    value: _Value | None = None
    """The event's value; always a number, so `as` is implied."""
    value_currency: _Currency | None = None
    """The value's currency, an ISO 4217 code such as EUR."""
    properties: abc.Mapping[str, _Property] = {}
    """What else the event tells, by name. An absent value leaves its property out."""
    missing_columns: Literal["refuse", "warn"] = "refuse"
    """What to do with a file that lacks a column the mapping needs."""
    tests: tuple[Example, ...] = ()
    """Rows, and the events or reasons that must come of them; `importer check` runs them."""

    @classmethod
    def clashes(cls, given: Given) -> Iterator[Mistake]:
        """No property without a name, no word of groups without groups."""
        yield from without_groups(given)
        names = given.values.get("properties")
        for name in names if isinstance(names, abc.Mapping) else ():
            if not str(name).strip():
                yield Mistake(("properties", name), "a property's name is empty", "give it a name")

    def picks(self) -> Iterator[tuple[str, Pick]]:
        """Every target with its pick, by the name that reports use: ``subscriber.email``, ``properties.total``."""
        if self.order_by is not None:
            yield "order_by", self.order_by
        if self.key is not None:
            yield "key", self.key
        for name, pick in (
            ("id", self.subscriber.id),
            ("email", self.subscriber.email),
            ("phone", self.subscriber.phone),
        ):
            if pick is not None:
                yield f"subscriber.{name}", pick
        yield "type", self.type
        if self.value is not None:
            yield "value", self.value
        if self.value_currency is not None:
            yield "value_currency", self.value_currency
        for name, pick in self.properties.items():
            yield f"properties.{name}", pick

    def columns(self) -> tuple[str, ...]:
        """Every column named anywhere, each once: those of `where` and `group_by` first, then the targets'."""
        names = [test.column for test in self.where]
        names += self.group_by.columns() if self.group_by is not None else ()
        names += [name for _, pick in self.picks() for name in pick.columns()]
        return tuple(dict.fromkeys(names))

    def unmet(self) -> Iterator[tuple[str, str]]:
        """The words that it `needs` and that nothing says, each with the reason."""
        for word, why in self.needs.items():
            if getattr(self, word) is None:
                yield word, why

    def digest(self) -> str:
        """SHA-256 of what the mapping says of rows: comments, layout, the order of words, tests do not count."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_ABOUT_ITSELF)
        text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
