"""What an event is worth: the column of its value, how amounts are written, and their currency."""

from __future__ import annotations

from typing import Any

from importer.currencies import CURRENT
from importer.suggest.decide import NONE, Draft, Grade
from importer.suggest.forms import CURRENCY_OF_SIGN
from importer.suggest.profile import Column, Sample
from importer.suggest.vocabulary import Fit, fit, is_called, plain

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
    read, picks, asked = column.money, [_number(column)], ""
    if read is not None and read.other is not None:
        ways = {style.example(): style for style in (read.style, read.other)}
        question = f"How are the amounts in `{column.name}` written"
        options = dict.fromkeys(ways, "the cells may be written in either way")
        chosen = made.choose("decimal sign", question, Grade.OPEN, options)
        asked = "" if chosen else "decimal sign"
        styles = [ways[chosen]] if chosen in ways else ways.values()
        picks = [{"column": column.name, "decimal": one.decimal} | one.words() for one in styles]
    minor = [one | {"minor_units": True} for one in picks]
    if is_called(column.name, "minor_units"):
        picks = minor
        made.notes["value"].append("sure: the column's name says that the amounts are in minor units (cents)")
    elif read is not None and read.whole and _may_be_minor(made, column):
        options = {
            "minor": "whole numbers without decimals, as programs write amounts in minor units (cents)",
            "major": "whole amounts",
        }
        question = f"Are the amounts in `{column.name}` in minor units: is 1999 the amount 19.99"
        chosen = made.choose("minor units", question, Grade.OPEN, options)
        asked = asked or ("" if chosen else "minor units")
        picks = {"minor": minor, "major": picks}.get(chosen or "", minor + picks)
    if made.group is not None and column.varies_within(made.group):
        picks = [one | {"aggregate": "sum"} for one in picks]
    if asked:
        made.leave_open("value", asked, picks)
    else:
        made.words["value"] = picks[0]


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
    """The currencies that a sign may stand for, if it is one of several."""
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
