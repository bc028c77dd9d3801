"""What an event says: who it is about, what it is worth and in which currency, and what else is sent.

An id of another system is none of Sender's, so none is ever guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import phonenumbers

from importer.currencies import CURRENT
from importer.suggest.decide import NONE, Draft, Grade
from importer.suggest.profile import CURRENCY_OF_SIGN, Column, Sample
from importer.suggest.vocabulary import Fit, fit, is_called, is_never, is_warehouse, plain

_MOST_OFFERED = 4
_SEVERAL = 3


def decide_subscriber(made: Draft) -> None:
    """Fill ``subscriber``, or leave it open where no column surely names a person."""
    columns = made.sample.columns
    emails = _emails(columns)
    unnamed = [one for one in columns if one.emails >= 0.5 and not fit(one.name, "email") and one.has_name]
    offered = [one.name for one in unnamed if not is_never(one.name, "person")]
    grade = emails[0][1] if emails else Grade.OPEN
    options = {one.name: _reason(one, grade) for one, grade in emails}
    for one in offered:
        options.setdefault(one, "its cells are e-mail addresses, its name does not say whose")
    question = "Which column has the subscriber's e-mail address"
    name = made.choose("subscriber.email", question, grade, options | {NONE: "no column has it"})
    subscriber: dict[str, Any] = {}
    if name is not None and name != NONE:
        subscriber["email"] = _email(made, name)
        made.note("subscriber.email", "subscriber.email")
    else:
        del made.decisions["subscriber.email"]
    _add_phone(made, subscriber)
    if subscriber:
        made.words["subscriber"] = subscriber
    else:
        _leave_open(made, offered)


def _emails(columns: Sequence[Column]) -> list[tuple[Column, Grade]]:
    """The columns that name whom a row is about by an e-mail address, the surest first."""
    found = []
    for one in columns:
        named = fit(one.name, "email")
        if one.nested or (one.distinct and one.emails < 0.5):
            continue
        is_unnamed = one.emails >= 0.9 and _may_be_whom(one) and (not one.has_name or fit(one.name, "person"))
        if named and one.emails >= 0.9 and _may_be_whom(one):
            found.append((one, Grade.SURE))
        elif (named and (one.distinct or named is Fit.EXACT)) or is_unnamed:
            found.append((one, Grade.LIKELY))
    return sorted(found, key=lambda at: (-at[1], -fit(at[0].name, "email"), -at[0].filled, at[0].name.count(".")))


def _phones(sample: Sample) -> list[Column]:
    return [one for one in sample.named("phone") if one.phones >= 0.5]


def addresses(sample: Sample) -> dict[str, str]:
    """The columns of a list of people with their e-mail address and phone, by the subscriber's keys."""
    found = [("email", one.name) for one, _ in _emails(sample.columns)[:1]]
    found += [("phone", one.name) for one in _phones(sample)[:1] if _valid(one, None) >= 0.5]
    return dict(found)


def _may_be_whom(one: Column) -> bool:
    """Whether rows have different addresses; one that several rows share may be the shop's own."""
    return len(one.counts) > 1 or len(one.cells) < _SEVERAL


def _reason(one: Column, grade: Grade) -> str:
    if not one.distinct:
        return "named like e-mail addresses, but its cells are blank"
    share = "all" if one.emails == 1 else f"{int(100 * one.emails)}%"
    if not _may_be_whom(one):
        return "named like e-mail addresses, but all rows have the same one, which may be the shop's own"
    named = "named like e-mail addresses, and" if fit(one.name, "email") else "not by its name, but"
    return f"{named} {share} of its cells {'are' if grade is Grade.SURE else 'look like'} e-mail addresses"


def _email(made: Draft, name: str) -> Any:
    """The column; with others that are surely theirs behind it, which have an address where it has none."""
    chosen = [name]
    column = made.sample.column(name)
    if column is not None and column.filled:
        left = {at for at, cell in enumerate(column.cells) if not cell}
        for other, grade in _emails(made.sample.columns):
            filled = {at for at in left if other.cells[at]}
            if other.name != name and filled and grade is Grade.SURE:
                chosen.append(other.name)
                left -= filled
    made.used.update(chosen)
    return {"first_of": chosen} if len(chosen) > 1 else name


def _add_phone(made: Draft, subscriber: dict[str, Any]) -> None:
    """The phone, where it is surely one."""
    found = _phones(made.sample)
    if not found:
        return
    best = found[0]
    country = _country_column(made, best)
    has_email = "email" in subscriber
    if _valid(best, country) < (0.5 if has_email else 0.9):
        if has_email:
            why = "most of its numbers have no country code or are not valid"
            made.notes["subscriber"].append(f"{best.name} is not taken: {why}")
        return
    if has_email and fit(best.name, "phone") is not Fit.EXACT:
        return  # another person's perhaps, and the e-mail names the person
    options = {best.name: "named like phone numbers, and its cells are valid ones", NONE: ""}
    if made.choose("subscriber.phone", "The subscriber's phone", Grade.SURE, options) == best.name:
        phone: dict[str, Any] = {"column": best.name}
        phone |= {"country": {"column": country.name}} if country is not None else {}
        # Beside an e-mail, a phone that cannot be used is left out and does not cost the row.
        subscriber["phone"] = phone | ({"on_invalid": "omit"} if has_email else {})
        made.note("subscriber.phone", "subscriber.phone")
        made.used.add(best.name)


def _country_column(made: Draft, phones: Column) -> Column | None:
    """The column that names the countries of national numbers; None if there is none, or none is needed."""
    if not any(re.match(r"'?(?!00)[0-9(]", cell) for cell in phones.distinct):
        return None
    codes = phonenumbers.SUPPORTED_REGIONS.__contains__
    return next((one for one in made.sample.named("country") if one.share(codes) > 0.8), None)


def _valid(phones: Column, country: Column | None) -> float:
    """The share of numbers in use, with their country code or that of the row's country."""
    regions = country.cells if country is not None else ("",) * len(phones.cells)
    found = {(cell, region) for cell, region in zip(phones.cells, regions, strict=True) if cell}
    return sum(_is_valid(cell, region) for cell, region in found) / len(found)


def _is_valid(text: str, region: str) -> bool:
    digits = re.sub(r"^'?00", "+", text).lstrip("'")
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region or None))
    except phonenumbers.NumberParseException:
        return False


def country_of(numbers: Iterable[str]) -> str | None:
    """The one country that all of the international numbers are from; None if there is not exactly one."""
    regions = set()
    for text in numbers:
        try:
            regions.add(phonenumbers.region_code_for_number(phonenumbers.parse(text, None)))
        except phonenumbers.NumberParseException:
            continue
    return regions.pop() if len(regions) == 1 else None


def _leave_open(made: Draft, emails: Sequence[str]) -> None:
    """Ask whom the events are about; a mapping without a subscriber cannot run."""
    phones = [one.name for one in _phones(made.sample)]
    ids = [one.name for one in made.sample.named("person") if one.name not in emails]
    why = "no column surely does, by an e-mail address or a phone; `id` is the id that Sender gave, not the shop's own"
    options = dict.fromkeys((*emails, *ids)[:_MOST_OFFERED] or (NONE,), why)
    question = "Who is the event about: which column names the subscriber"
    name = made.choose("subscriber", question, Grade.OPEN, options, takes_any=True)
    if name is not None and made.sample.column(name) is not None:
        word = "email" if name in emails else "phone" if name in phones else "id"
        made.words["subscriber"] = {word: name}
        made.used.add(name)
        return
    values: list[Any] = [{"email": one} for one in emails[:_MOST_OFFERED] or ("COLUMN",)]
    values += [{"phone": {"column": one, "country": "COUNTRY"}} for one in phones[:1]]
    values += [{"id": one} for one in ids[:2]]
    made.leave_open("subscriber", "subscriber", values)


_AMBIGUOUS_SIGNS = {"$": ("USD", "CAD", "AUD"), "¥": ("JPY", "CNY")}
CURRENCY_QUESTION = "Which currency are the amounts in, which the file does not name: a code such as EUR"
_AMOUNT_WORDS = {"amount", "amounts", "value", "total", "price", "currency", "code", "money", "sum"}


def candidates(sample: Sample, role: str) -> list[Column]:
    """Columns of money, the best first."""
    found = []
    for one in sample.columns:
        read, named = one.money, fit(one.name, role)
        if not one.cells:
            is_money = named is Fit.EXACT  # a file without rows: the name alone says it
        elif one.nested or read is None or read.share < 0.5 or (one.times is not None and fit(one.name, "time")):
            is_money = False
        else:
            is_money = bool(named) or (not one.has_name and not read.whole and one.times is None)
        found += [one] if is_money else []
    return sorted(found, key=lambda one: _rank(one, role))


def _rank(one: Column, role: str) -> tuple[int, int, int]:
    """The order's own total before others; what the shop counts in before what the customer saw."""
    name = plain(one.name)
    aside = any(word in name for word in ("sub", "presentment", " pres ", "net", "base"))
    whole = any(word in name for word in ("total", "grand", "gesamt")) * 2 + ("order" in name)
    return -fit(one.name, role), int(aside), -whole


def decide_value(made: Draft) -> None:
    """Fill ``value`` and ``value_currency``."""
    if not made.kind.value and made.group is None:
        return
    role = "refund_value" if made.kind.name == "refund" else "value"
    found = [one for one in candidates(made.sample, role) if one.name not in made.used]
    named = "named like an amount, and its cells are numbers"
    options = {one.name: named if one.has_name else "its cells look like amounts of money" for one in found}
    grade = Grade.SURE if found and found[0].cells and fit(found[0].name, role) is Fit.EXACT else Grade.LIKELY
    product = _product(made)
    label = " × ".join(one.name for one in product)
    if product and made.group is not None:
        options = {one.name: options[one.name] for one in found if not one.varies_within(made.group)}
        options[label] = "the items' quantity times their price, added up"
    elif len(found) > 1 and _rank(found[0], role) == _rank(found[1], role) and found[0].cells != found[1].cells:
        grade = Grade.OPEN  # two columns could be the value as well, and differ
    if not options:
        return
    options[NONE] = "the event has no value"
    name = made.choose("value", "Which column is the event's value", grade, options)
    made.note("value", "value")
    if name is None:
        made.leave_open("value", "value", [_number(one) for one in found[:3]])
    elif product and name == label:
        made.words["value"] = {"product_of": [_number(one) for one in product], "aggregate": "sum"}
        made.amount = product[0]
        _decide_currency(made, product[1])
    elif (column := made.sample.column(name)) is not None:
        made.used.add(name)
        made.amount = column
        _write_value(made, column)
        _decide_currency(made, column)


def _product(made: Draft) -> list[Column]:
    """Quantity and unit price of line items; empty where the rows are none."""
    found: list[Column] = []
    for role in ("quantity", "price") if made.group is not None else ():
        named = [one for one in made.sample.named(role) if one.numbers is not None and one.numbers.share > 0.9]
        found += named[:1]
    return found if len({one.name for one in found}) == 2 else []


def _number(one: Column) -> dict[str, Any]:
    return {"column": one.name} | (one.money.style.words() if one.money is not None else {})


def _write_value(made: Draft, column: Column) -> None:
    read, choices, asked = column.money, [_number(column)], ""
    if read is not None and read.other is not None:
        ways = {style.example(): style for style in (read.style, read.other)}
        question = f"How are the amounts in `{column.name}` written"
        options = dict.fromkeys(ways, "the cells may be written in either way")
        chosen = made.choose("decimal sign", question, Grade.OPEN, options)
        asked = "" if chosen else "decimal sign"
        styles = [ways[chosen]] if chosen in ways else ways.values()
        choices = [{"column": column.name, "decimal": one.decimal} | one.words() for one in styles]
    minor = [one | {"minor_units": True} for one in choices]
    if is_called(column.name, "minor_units"):
        choices = minor
        made.notes["value"].append("sure: the column's name says that the amounts are in minor units (cents)")
    elif read is not None and read.whole and _may_be_minor(made, column):
        options = {
            "minor": "whole numbers without decimals, as programs write amounts in minor units (cents)",
            "major": "whole amounts",
        }
        question = f"Are the amounts in `{column.name}` in minor units: is 1999 the amount 19.99"
        chosen = made.choose("minor units", question, Grade.OPEN, options)
        asked = asked or ("" if chosen else "minor units")
        choices = {"minor": minor, "major": choices}.get(chosen or "", minor + choices)
    if made.group is not None and column.varies_within(made.group):
        choices = [one | {"aggregate": "sum"} for one in choices]
    if asked:
        made.leave_open("value", asked, choices)
    else:
        made.words["value"] = choices[0]


def _may_be_minor(made: Draft, column: Column) -> bool:
    """Whether nothing says that whole numbers are whole amounts: programs write small letters, spreadsheets do not."""
    if not column.distinct or any("." in cell for cell in column.distinct):
        return False
    codes = [cell for one in _currencies(made.sample) for cell in one.distinct]
    is_small = bool(codes) and all(map(str.islower, codes))
    return is_small or (made.sample.is_warehouse and all(len(cell) > 2 or cell == "0" for cell in column.distinct))


def _currencies(sample: Sample) -> list[Column]:
    """Columns of currency codes or signs."""
    named = sample.named("currency")
    return [one for one in named if one.currencies >= 0.9 or all(cell in CURRENCY_OF_SIGN for cell in one.distinct)]


def _stem(name: str) -> str:
    """What an amount and its currency share: ``total price set shop`` of ``total_price_set_shop_amount``."""
    words = plain(name).split()
    while words and words[-1] in _AMOUNT_WORDS:
        words.pop()
    return " ".join(words)


def _decide_currency(made: Draft, value: Column) -> None:
    found = _currencies(made.sample)
    own = [one for one in found if _stem(one.name) == _stem(value.name)]
    own += [one for one in found if fit(one.name, "currency") is Fit.EXACT and not own]
    amounts = {_stem(one.name) for one in made.sample.columns if one.money is not None and one.name != value.name}
    others = [one for one in found if one not in own and _stem(one.name) not in amounts]
    options = {one.name: "it has the currency of these amounts" for one in own}
    grade = Grade.SURE if own else Grade.LIKELY if len(others) == 1 else Grade.OPEN
    options |= {one.name: "it has currency codes" for one in others}
    sign = value.money.sign if value.money is not None else ""
    if not options and value.money is not None and value.money.has_codes:
        made.words["value_currency"] = {"column": value.name, "extract": "[A-Z]{3}"}
        made.notes["value_currency"].append("sure: each amount has the code of its currency")
        return
    if not options and sign in CURRENCY_OF_SIGN and sign not in _AMBIGUOUS_SIGNS:
        grade, options = Grade.SURE, {CURRENCY_OF_SIGN[sign]: f"the amounts have the sign {sign}"}
    elif not options:
        coded = [one for one in made.sample.columns if one.currencies >= 0.9 and one.name not in made.used]
        options = {one.name: "its cells are currency codes" for one in coded} or ambiguous(sign)
    name = made.choose("value_currency", CURRENCY_QUESTION, grade, options, takes_any=True)
    made.note("value_currency", "value_currency")
    if name is None:
        columns = [one for one in options if made.sample.column(one) is not None]
        made.leave_open(
            "value_currency", "value_currency", columns or [{"const": one} for one in options or ["CURRENCY"]]
        )
    elif name != NONE:
        made.words["value_currency"] = _currency(made, name)


def ambiguous(sign: str) -> dict[str, str]:
    """The currencies that a sign may mean, if it is one of several."""
    return dict.fromkeys(_AMBIGUOUS_SIGNS.get(sign, ()), f"the sign {sign} is used for several")


def _currency(made: Draft, name: str) -> dict[str, Any]:
    column = made.sample.column(name)
    if column is None:
        return {"const": name.upper()}
    made.used.add(name)
    signs = {cell: CURRENCY_OF_SIGN[cell] for cell in column.distinct if cell in CURRENCY_OF_SIGN}
    return {"column": name} | ({"map": signs} if signs else {})


def is_currency(answer: str, sample: Sample) -> bool:
    """Whether an answer names a column or a code."""
    return answer == NONE or sample.column(answer) is not None or answer.upper() in CURRENT


_FEW = 25
"""In a file with so few columns all are sent that hold nothing personal."""
_MOST = 15
"""Properties taken from a wider file."""
_GENERIC = ("id", "name", "key", "value", "type", "code")
"""Names that say little without what they are within."""
_ROOM = 1_000
"""Bytes up to which a group's items are joined; a property holds 2,048, and other groups may be longer."""
_TELLING = ("key", "quantity", "item", "status", "country", "price", "type", "value")


def decide_properties(made: Draft) -> dict[str, Any]:
    """Fill ``properties``; returns those left out, by their names, for comments."""
    properties: dict[str, Any] = made.words.setdefault("properties", {})
    columns = made.sample.columns
    for one in columns:
        if one.name in made.used and f"{{{one.name}}}" in str(made.words.get("key")):
            properties[_name(one.name, properties) if plain(one.name) != "id" else "id"] = one.name
    left: dict[str, Any] = {}
    for one in sorted(columns, key=_importance):
        if one.nested or one.name in made.used or not one.distinct or is_warehouse(one.name):
            continue
        value = _property(made, one)
        is_telling = len(columns) <= _FEW or _importance(one) < len(_TELLING)
        is_wanted = is_telling and len(properties) < _MOST and not _is_personal(one) and value is not None
        if is_wanted and value is not None and value.get("aggregate") == "count":
            properties.setdefault("items", value)  # how many items there are is worth telling once
        else:
            name = _name(one.name, properties, left)
            (properties if is_wanted else left)[name] = value or {"column": one.name, "aggregate": "join"}
    if not properties and not any(word.startswith("properties.") for word in made.opens):
        del made.words["properties"]
    return left


def _importance(one: Column) -> int:
    return next((at for at, role in enumerate(_TELLING) if fit(one.name, role)), len(_TELLING))


def _is_personal(one: Column) -> bool:
    return one.emails > 0.1 or any(fit(one.name, role) for role in ("personal", "phone", "email"))


def _property(made: Draft, one: Column) -> dict[str, Any] | None:
    """The value mapping of a column; None where a group's rows differ in it, and nothing makes one of them."""
    value = {"column": one.name, **_read_as(one)}
    if made.group is None or not one.varies_within(made.group):
        return value
    if fit(one.name, "quantity") and value.get("as") in ("integer", "number"):
        return {**value, "aggregate": "sum"}
    if not fit(one.name, "item"):
        return None
    sizes: Counter[str] = Counter()
    for at, cell in zip(made.group.cells, one.cells, strict=True):
        sizes[at] += len(cell.encode("utf-8", "surrogatepass")) + 2
    return {"column": one.name, "aggregate": "join" if max(sizes.values(), default=0) <= _ROOM else "count"}


def _read_as(one: Column) -> dict[str, Any]:
    """How its cells are read; as text, wherever one of them could not be."""
    if one.is_flag:
        return {"as": "boolean"}
    times = one.times if fit(one.name, "time") else None
    if times is not None and times.share == 1 and not times.other and times.format in ("", "s", "ms", "us"):
        return times.words()
    read = one.money if fit(one.name, "value") or fit(one.name, "price") else one.numbers
    if read is None or read.share < 1 or read.other is not None or _is_code(one):
        return {}
    if fit(one.name, "quantity") and read.whole:
        return {"as": "integer", **read.style.words()}
    return {"as": "number", **read.style.words()} if not read.whole or read.sign or read.style.thousands else {}


def _is_code(one: Column) -> bool:
    """Whether its digits are a name: an order's number, a code with zeros in front."""
    words = {"id", "code", "sku", "zip", "no", "nr"}
    named = fit(one.name, "key") or fit(one.name, "person") or words.intersection(plain(one.name).split())
    return bool(named) or any((cell[:1] == "0" and cell[1:2].isdigit()) or len(cell) > 15 for cell in one.distinct)


def _name(column: str, *taken: Mapping[str, Any]) -> str:
    """A property's name for a column: its words in small letters, or the column's own name if it has none of ours."""
    outer, _, last = column.rpartition(".")
    if last in _GENERIC and outer:
        last = f"{outer.rpartition('.')[2]} {last}"
    wanted = name = plain(last).replace(" ", "_") or " ".join(column.split())
    number = 2
    while any(name in names for names in taken):
        name, number = f"{wanted}_{number}", number + 1
    return name
