"""What to change in a mapping so that rows which break a rule would pass: the very line, made from what was found.

This module owns the step from offending values to a pick. It advises only what makes every value at hand readable in
one way; where they leave a choice, it says so. Finding the rows is the stages'; showing it is ``report``'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from importer.mapping.checks import ORDERS
from importer.mapping.model import ImportMapping, Pick
from importer.suggest import numbers, times
from importer.suggest.names import fit
from importer.suggest.people import country_of
from importer.suggest.roles import CURRENCIES
from importer.suggest.yaml_text import flow, scalar


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows that break one rule at one target."""

    code: str
    field: str
    values: tuple[str, ...]
    """Distinct offending values, some of them at least; one that ends in an ellipsis was cut."""
    is_common: bool = True
    """Whether half of all rows have it, or more."""


@dataclass(frozen=True, slots=True)
class Context:
    """What else the files show."""

    phones: tuple[str, ...] = ()
    """Some phones that are sound."""
    unmapped: tuple[str, ...] = ()
    """Columns that nothing maps."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to write instead."""

    why: str
    """What the values have in common."""
    target: str
    """``value``, ``subscriber.phone``, ``properties.total`` …"""
    pick: Mapping[str, Any]
    """The new pick, as YAML would have it."""

    @property
    def line(self) -> str:
        """The line of the mapping, such as ``value: {column: Total, decimal: ","}``."""
        return f"{scalar(self.target.partition('.')[2] or self.target)}: {flow(self.pick)}"

    def restated(self, mapping: ImportMapping) -> str:
        """The line of a mapping that extends ``mapping``: `subscriber` is replaced whole, properties one by one."""
        word, _, name = self.target.partition(".")
        if not name:
            return self.line
        others: dict[str, Any] = {}
        if word == "subscriber":
            others = mapping.subscriber.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return f"{word}: {flow({**others, name: self.pick})}"


def phone_for_want_of_email(mapping: ImportMapping) -> Advice | None:
    """The phone only where there is no e-mail: many a phone in an export cannot be used, and its row is refused."""
    email, phone = mapping.subscriber.email, mapping.subscriber.phone
    if email is None or phone is None or phone.extract is not None or phone.const is not None:
        return None
    first = [*_alternatives(email), *_alternatives(phone)]
    if any(set(one) != {"column"} for one in first):
        return None
    pick = {"first_of": [one["column"] for one in first], "extract": "^[^@]+$"}
    country = _written(phone).get("country")
    why = "some phones cannot be used; only rows without an e-mail need one"
    return Advice(why, "subscriber.phone", pick | ({"country": country} if country is not None else {}))


def _alternatives(pick: Pick) -> list[dict[str, Any]]:
    several = pick.first_of if pick.first_of is not None else (pick,)
    return [{word: one for word, one in _written(each).items() if word != "country"} for each in several]


def alike(mapping: ImportMapping, advice: Advice) -> Iterator[Advice]:
    """The same for the other amounts: a file writes all of them in one way, whichever the rows at hand have."""
    style = {word: advice.pick[word] for word in ("decimal", "thousands") if word in advice.pick}
    for target, pick in mapping.picks() if style else ():
        is_amount = target == "value" or pick.as_ == "number"
        if target != advice.target and is_amount and pick.const is None and pick.product_of is None:
            said = {word: one for word, one in _written(pick).items() if word not in ("decimal", "thousands")}
            yield Advice(f"as for {advice.target}, {advice.why}", target, said | style)


_Words = tuple[str, dict[str, Any]]
"""What the values have in common, and the words of a pick that help."""

_YES_NO = {"ja": True, "nein": False, "oui": True, "non": False, "si": True, "sí": True, "taip": True, "ne": False,
           "tak": True, "nie": False, "sim": True, "nee": False, "x": True, "-": False, "wahr": True, "falsch": False,
           "vrai": True, "faux": False, "active": True, "inactive": False}  # fmt: skip
_NOTHING = re.compile(r"(?i)n/?a|none|null|nil|-+|\?+|#n/a|unknown|free|gratis|guest|kostenlos|tbd|empty|leer|nan")


def advise(mapping: ImportMapping, finding: Finding, context: Context) -> Advice | None:
    """The change that would help; None where nothing is sure enough to be written into a mapping."""
    if finding.code == "subscriber.missing":
        return _another_address(mapping, context)
    pick = _picks(mapping).get(finding.field)
    rule = _RULES.get(finding.code)
    if pick is None or rule is None or pick.const is not None or pick.product_of is not None or not finding.values:
        return None
    found = rule(pick, finding.values, context)
    if found is None:
        return None
    why, words = found
    if not finding.is_common and {"dmy", "mdy"} <= {*_formats(pick), *_formats(words)}:
        return None  # a column of both orders is not one that a format can tell apart
    if not finding.is_common and words.get("format") in ORDERS:
        # Without a format the others are ISO 8601, which is `ymd` too.
        words = words | {"format": ["ymd", words["format"]]}
    return Advice(why, finding.field, _written(pick) | words)


def _picks(mapping: ImportMapping) -> dict[str, Pick]:
    return dict(mapping.picks())


def _written(pick: Pick) -> dict[str, Any]:
    """The words of a pick, as they could stand in a mapping."""
    said: dict[str, Any] = pick.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return said


def _number(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del context
    if nothing := _as_nothing(pick, values):
        return nothing
    read = numbers.look(values)
    if read is not None and read.share == 1 and read.other is None and read.style != numbers.NumberStyle():
        return f"the values are written like {read.style.example()}", read.style.words()
    if read is not None and read.share == 1 and read.other is not None:
        return None
    inner = [re.fullmatch(r"[^0-9()\-+]*([-+]?[0-9][0-9.,' ]*?)\s*[^0-9()]*", value) for value in values]
    if read is None and all(inner) and pick.extract is None:
        plain = numbers.look([one[1] for one in inner if one])
        if plain is not None and plain.share == 1 and plain.other is None:
            words = {"extract": r"[-+]?[0-9][0-9.,]*"} | plain.style.words()
            return "there is text around the numbers", words
    return None


def _integer(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    read = numbers.look(values)
    if read is not None and read.share == 1 and read.other is None and not read.whole:
        return "the values are numbers, but not whole ones", {"as": "number", **read.style.words()}
    return _number(pick, values, context)


def _as_nothing(pick: Pick, values: Sequence[str]) -> _Words | None:
    """Words that people write where there is no value."""
    if len(values) <= 5 and all(map(_NOTHING.fullmatch, values)):
        return "these words stand for no value", {"map": {**(pick.map or {}), **dict.fromkeys(values)}}
    return None


def _date(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del context
    if nothing := _as_nothing(pick, values):
        return nothing
    read = times.look(values, hinted=True)
    if read is None or read.share < 1 or read.other or not read.format:
        return None
    had = _formats(pick)
    if read.format in ORDERS:  # a column has one order: with two, 03/04 would be read as the first says
        had = [one for one in had if one not in ORDERS]
    formats = [*had, read.format] if had else read.format
    return f"the values are written as {_form(read.format)}", {"format": formats}


def _formats(said: Pick | Mapping[str, Any]) -> list[str]:
    found = said.format if isinstance(said, Pick) else said.get("format")
    return [found] if isinstance(found, str) else list(found or ())


def _form(form: str) -> str:
    named = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day", "s": "seconds since 1970",
             "ms": "milliseconds since 1970", "us": "microseconds since 1970"}  # fmt: skip
    return named.get(form, form)


def _boolean(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del context
    if len(values) > 10 or not all(value.lower() in _YES_NO or _NOTHING.fullmatch(value) for value in values):
        return None
    meant = {value: _YES_NO.get(value.lower()) for value in values}
    return "other words are used for true and false", {"map": {**(pick.map or {}), **meant}}


def _phone(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del values, pick
    if country := country_of(list(context.phones)):
        return f"most of the phones that have a country code are from {country}", {"country": country}
    return None


def _currency(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del context
    if all(value.upper() in CURRENCIES for value in values) and not pick.upper and not pick.lower:
        return "the codes are right, but in small letters", {"upper": True}
    if len(values) <= 10 and all(value in numbers.CURRENCY_OF_SIGN for value in values):
        return "signs stand for codes", {
            "map": {**(pick.map or {}), **{value: numbers.CURRENCY_OF_SIGN[value] for value in values}}
        }
    return _as_nothing(pick, values)


def _email(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del context
    if nothing := _as_nothing(pick, values):
        return nothing
    address = r"[^\s<>:;,]+@[^\s<>:;,]+\.[A-Za-z]{2,}"
    if pick.extract is None and all(re.search(address, value) and not re.fullmatch(address, value) for value in values):
        return "there is text around the addresses", {"extract": address}
    return None


def _invalid_phone(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del context
    return _as_nothing(pick, values)


def _text(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del values, context
    return ("its beginning can be sent", {"extract": r"(?s)^.{1,500}"}) if pick.extract is None else None


def _nested(pick: Pick, values: Sequence[str], context: Context) -> _Words | None:
    del values, context, pick
    return "its JSON can be sent as text", {"as": "text"}


def _another_address(mapping: ImportMapping, context: Context) -> Advice | None:
    """A column that is named like an address, and that nothing maps."""
    for role in ("email", "phone"):
        pick = getattr(mapping.subscriber, role)
        found = [one for one in context.unmapped if fit(one, role) >= 0.8]
        if found and (pick is None or not pick.const):
            why = f"nothing maps the column {found[0]}, which may have what these rows lack"
            had = [] if pick is None else (pick.first_of and _written(pick)["first_of"]) or [_written(pick)]
            new: dict[str, Any] = {"first_of": [*had, {"column": found[0]}]} if had else {"column": found[0]}
            country = had[0].pop("country", None) if len(had) == 1 else pick and pick.country
            return Advice(why, f"subscriber.{role}", new | ({"country": country} if isinstance(country, str) else {}))
    return None


_RULES: Mapping[str, Callable[[Pick, Sequence[str], Context], _Words | None]] = {
    "value.not_a_number": _number,
    "property.not_a_number": _number,
    "property.not_an_integer": _integer,
    "property.not_a_date": _date,
    "property.ambiguous_date": _date,
    "order_by.ambiguous_date": _date,
    "order_by.invalid": _date,
    "property.not_a_boolean": _boolean,
    "phone.no_country": _phone,
    "currency.unknown": _currency,
    "email.invalid": _email,
    "phone.invalid": _invalid_phone,
    "property.text_too_long": _text,
    "property.nested": _nested,
}
