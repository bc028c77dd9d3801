"""From cells that break a rule to the line of the mapping that reads them.

Only lines that make every cell at hand readable in one way are proposed, and none cuts a part out of a cell. Whether
one helps the file is tried in ``advise``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from importer.mapping.checks import ORDERS
from importer.mapping.model import ImportMapping, Subscriber, ValueMapping
from importer.suggest.forms import CURRENCY_OF_SIGN, NumberStyle, as_numbers, as_times
from importer.suggest.people import country_of
from importer.suggest.text import flow, scalar
from importer.suggest.vocabulary import fit, is_nothing, meant

_Words = tuple[str, dict[str, Any]]
"""What the cells have in common, and the keys of a value mapping that help."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows that break one rule at one target."""

    code: str
    field: str
    values: tuple[str, ...]
    """Distinct offending cells, some of them at least; one that ends in an ellipsis was cut."""
    is_common: bool = True
    """Whether half of all rows have it, or more."""


@dataclass(frozen=True, slots=True)
class Context:
    """What else the files show."""

    phones: tuple[str, ...] = ()
    """Some phones that are valid."""
    unmapped: tuple[str, ...] = ()
    """Columns that nothing maps."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to write instead."""

    why: str
    """What the cells have in common."""
    target: str
    """``value``, ``subscriber.phone``, ``properties.total`` …"""
    pick: Mapping[str, Any]
    """The new value mapping, as YAML would have it."""

    @property
    def line(self) -> str:
        """The line of the mapping, such as ``value: {column: Total, decimal: ","}``."""
        return f"{scalar(self.target.partition('.')[2] or self.target)}: {flow(self.pick)}"

    def restated(self, mapping: ImportMapping) -> str:
        """The line of a mapping that extends ``mapping``: `subscriber` is replaced whole, properties one by one."""
        word, _, name = self.target.partition(".")
        if not name:
            return self.line
        others = written(mapping.subscriber) if word == "subscriber" else {}
        return f"{word}: {flow({**others, name: self.pick})}"


def propose(mapping: ImportMapping, finding: Finding, context: Context) -> Advice | None:
    """The change that could help; None where the cells leave a choice."""
    if finding.code == "subscriber.missing":
        return _another_address(mapping, context)
    pick, rule = dict(mapping.fields()).get(finding.field), _RULES.get(finding.code)
    if pick is None or pick.const is not None or pick.product_of is not None or not finding.values:
        return None
    found: _Words | None = None
    if finding.code == "phone.no_country":
        country = country_of(context.phones)
        found = (f"all phones that have a country code are from {country}", {"country": country}) if country else None
    elif finding.code in ADVISED and len(finding.values) <= 5 and all(map(is_nothing, finding.values)):
        found = "these words mean no value", {"map": {**(pick.map or {}), **dict.fromkeys(finding.values)}}
    elif rule is not None:
        found = rule(pick, finding)
    if found is None:
        return None
    why, words = found
    if not finding.is_common and {"dmy", "mdy"} <= {*formats_of(pick), *formats_of(words)}:
        return None  # a column of both orders is not one that a format can tell apart
    if not finding.is_common and words.get("format") in ORDERS:
        # Without a format the others are ISO 8601, which is `ymd` too.
        words = words | {"format": ["ymd", words["format"]]}
    return Advice(why, finding.field, written(pick) | words)


def alike(mapping: ImportMapping, advice: Advice) -> Iterator[Advice]:
    """The same for the other amounts: a file writes all of them in one way, whichever the rows at hand have."""
    style = {word: advice.pick[word] for word in ("decimal", "thousands") if word in advice.pick}
    for target, pick in mapping.fields() if style else ():
        is_amount = target == "value" or pick.as_ == "number"
        if target != advice.target and is_amount and pick.const is None and pick.product_of is None:
            said = {word: one for word, one in written(pick).items() if word not in ("decimal", "thousands")}
            yield Advice(f"as for {advice.target}, {advice.why}", target, said | style)


def written(said: ValueMapping | Subscriber | ImportMapping) -> dict[str, Any]:
    """The keys, as a file has them."""
    keys: dict[str, Any] = said.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return keys


def formats_of(said: ValueMapping | Mapping[str, Any]) -> list[str]:
    """The ways to write times that a value mapping names."""
    found = said.format if isinstance(said, ValueMapping) else said.get("format")
    return [found] if isinstance(found, str) else list(found or ())


def _number(pick: ValueMapping, finding: Finding) -> _Words | None:
    del pick
    read = as_numbers(finding.values, money=finding.field == "value")
    if read is None or read.share < 1 or read.other is not None:
        return None
    if finding.code == "property.not_an_integer" and not read.whole:
        return "the values are numbers, but not whole ones", {"as": "number", **read.style.words()}
    plain = read.style == NumberStyle()
    return None if plain else (f"the values are written like {read.style.example()}", read.style.words())


def _date(pick: ValueMapping, finding: Finding) -> _Words | None:
    read = as_times(finding.values, hinted=True)
    if read is None or read.share < 1 or read.other or not read.format:
        return None
    # A column has one order: with two, 03/04 would be read as the first says.
    had = [one for one in formats_of(pick) if not {one, read.format} <= set(ORDERS)]
    named = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day", "s": "seconds since 1970",
             "ms": "milliseconds since 1970", "us": "microseconds since 1970"}  # fmt: skip
    why = f"the values are written as {named.get(read.format, read.format)}"
    return why, {"format": [*had, read.format] if had else read.format}


def _boolean(pick: ValueMapping, finding: Finding) -> _Words | None:
    words = {value: meant(value) for value in finding.values}
    if len(words) > 10 or any(value is None and not is_nothing(word) for word, value in words.items()):
        return None
    return "other words are used for true and false", {"map": {**(pick.map or {}), **words}}


def _currency(pick: ValueMapping, finding: Finding) -> _Words | None:
    signs = {value: CURRENCY_OF_SIGN.get(value) for value in finding.values}
    is_clear = all(signs.values()) and not {"$", "¥"} & signs.keys()
    return ("signs stand for codes", {"map": {**(pick.map or {}), **signs}}) if is_clear else None


def _another_address(mapping: ImportMapping, context: Context) -> Advice | None:
    """A column that is named like the person's address, and that nothing maps."""
    for role in ("email", "phone"):
        pick = getattr(mapping.subscriber, role)
        found = [one for one in context.unmapped if fit(one, role)]
        if found and (pick is None or not pick.const):
            why = f"nothing maps the column {found[0]}, which may have what these rows lack"
            had = [] if pick is None else (pick.first_of and written(pick)["first_of"]) or [written(pick)]
            new: dict[str, Any] = {"first_of": [*had, {"column": found[0]}]} if had else {"column": found[0]}
            country = had[0].pop("country", None) if len(had) == 1 else pick and pick.country
            return Advice(why, f"subscriber.{role}", new | ({"country": country} if isinstance(country, str) else {}))
    return None


_RULES: Mapping[str, Callable[[ValueMapping, Finding], _Words | None]] = {
    "value.not_a_number": _number,
    "property.not_a_number": _number,
    "property.not_an_integer": _number,
    "property.not_a_date": _date,
    "property.ambiguous_date": _date,
    "order_by.ambiguous_date": _date,
    "order_by.invalid": _date,
    "property.not_a_boolean": _boolean,
    "currency.unknown": _currency,
    "property.nested": lambda *_: ("its JSON can be sent as text", {"as": "text"}),
}
ADVISED = frozenset(_RULES) | {"subscriber.missing", "phone.no_country", "phone.invalid", "email.invalid"}
"""Codes of reasons that a line of the mapping may help with."""
