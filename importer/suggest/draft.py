"""From a sample to the words of a mapping: one decision after the other.

This module owns what is decided and in which order. Who plays which role is ``roles``'s and ``groups``'s, who the
event is about ``people``'s, what else it tells ``extras``'s, and the text ``text``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from importer.suggest import groups
from importer.suggest.decide import NONE, Deciding, Option
from importer.suggest.groups import varies
from importer.suggest.numbers import CURRENCY_OF_SIGN
from importer.suggest.people import decide_subscriber
from importer.suggest.roles import Looked, Roles
from importer.suggest.rows import decide_rows
from importer.suggest.sample import Sample
from importer.suggest.times import decide_date_order, decide_zone


@dataclass
class Draft:
    """A mapping in the making; filled step by step, then written."""

    sample: Sample
    deciding: Deciding
    words: dict[str, Any] = field(default_factory=lambda: {"version": 1})
    """The mapping's data, in the order of its text."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """Comments by the word that they stand above: ``key``, ``subscriber.email`` …"""
    used: set[str] = field(default_factory=set)
    """Columns that are mapped, or that an event does not need."""
    group: Looked | None = None
    """The column by which rows become one event."""
    amounts: dict[str, Looked] = field(default_factory=dict)
    """The columns that make the value, by ``value``, or by ``quantity`` and ``price``."""

    def note(self, word: str, *decisions: str) -> None:
        """Put what was decided above a word."""
        self.notes.setdefault(word, []).extend(text for one in decisions if (text := self.deciding.note(one)))


def decide(sample: Sample, answers: Mapping[str, str]) -> Draft:
    """Decide everything; `answers` replace guesses, by the decision's target."""
    draft = Draft(sample, Deciding(answers))
    roles = Roles(sample)
    source: dict[str, Any] = {"header": False} if not sample.has_header else {}
    source |= {"delimiter": sample.delimiter} if sample.delimiter else {}
    if source:
        draft.notes["source"] = ["the file's first line looks like data, so columns are called 1, 2, 3 …"]
    if sample.skip_lines:
        source["skip_lines"] = sample.skip_lines
    if source:
        draft.words["source"] = source
    _decide_key(draft, roles)
    _decide_time(draft, roles)
    decide_subscriber(draft, roles)
    _decide_type(draft, roles)
    _decide_value(draft, roles)
    _decide_currency(draft, roles)
    decide_rows(draft, roles, draft.amounts)
    return draft


def _decide_key(draft: Draft, roles: Roles) -> None:
    found = groups.keys(roles)
    if found.groups is not None:
        name = found.groups.looked.name
        options = [
            Option(name, found.groups.score, found.groups.reason),
            Option(NONE, 1 - found.groups.score, "every row is an event of its own"),
        ]
        if draft.deciding.choose("rows of one event", "Rows that share this are one event", options) == name:
            draft.group = found.groups.looked
            draft.words["group_by"] = name
            draft.note("group_by", "rows of one event")
            draft.words["key"] = name
            draft.notes["key"] = ["the same event is never delivered twice, whichever file it comes from"]
            draft.used.add(name)
            return
    options = [Option(NONE, 0.45, "no column identifies a row; the same row of the same file is never sent twice")]
    if found.unique is not None:
        options.append(found.unique.option())
    name = draft.deciding.choose("key", "What identifies an event, so that it is never delivered twice", options)
    if name == NONE:
        del draft.deciding.made["key"]
        return
    draft.words["key"] = name
    draft.note("key", "key")
    draft.used.add(name)


def _decide_time(draft: Draft, roles: Roles) -> None:
    found = [one for one in roles.clocked() if one.looked.name not in draft.used]
    if not found:
        return
    options = [one.option() for one in found] + [Option(NONE, 0.1, "no column says when it happened")]
    name = draft.deciding.choose("time", "When the event happened", options)
    looked = next((one.looked for one in found if one.looked.name == name), None)
    if looked is None or looked.times is None:
        return
    pick: dict[str, Any] = {"column": name}
    clock, zone = _companions(looked, roles)
    if clock is not None:
        pick = {"template": f"{{{_braced(name)}}} {{{_braced(clock)}}}"}
        draft.used.add(clock)
    pick |= looked.times.words() | ({"as": "datetime"} if clock is not None else {})
    if looked.times.other:
        pick["format"] = decide_date_order(draft.deciding, looked.times)
    if pick["as"] == "datetime" and not looked.times.zoned:
        _decide_zone(draft, name, zone, pick)
    draft.used.add(name)
    draft.words.setdefault("properties", {})["occurred_at"] = pick
    draft.note("properties.occurred_at", "time", "date order", "time zone")
    if looked.times.share < 1:
        draft.notes["properties.occurred_at"].append("some of its cells are no times: their rows would be refused")
    if _is_sortable(looked, clock, roles):
        draft.words["order_by"] = {name: word for name, word in pick.items() if word != "datetime"}
        draft.notes["order_by"] = ["events are delivered oldest first, whatever the order of the file"]


def _is_sortable(looked: Looked, clock: str | None, roles: Roles) -> bool:
    """Whether every row has a time, and the rows are not known to be in its order."""
    if looked.times is None or not looked.column.is_full or looked.times.share < 1:
        return False
    if clock is None:
        return not _ascends(looked)
    return all(one.column.is_full and one.clocks == 1 for one in roles.columns if one.name == clock)


def _companions(date: Looked, roles: Roles) -> tuple[str | None, str | None]:
    """The columns of the time of day and of its zone, where they are columns of their own."""
    clock = None
    if date.times is not None and date.times.dates:
        clocks = [one.looked for one in roles.named("clock") if one.looked.clocks > 0.9]
        clock = next((one.name for one in clocks), None)
    zones = [one.looked.name for one in roles.named("zone") if one.looked.column.filled]
    return clock, zones[0] if zones else None


def _braced(name: str) -> str:
    return name.replace("{", "{{").replace("}", "}}")


def _decide_zone(draft: Draft, name: str, zone: str | None, pick: dict[str, Any]) -> None:
    if zone is not None:
        pick["timezone"] = {"column": zone}
        draft.used.add(zone)
        return
    if "utc" in name.lower():
        pick["timezone"] = "UTC"
        return
    if (chosen := decide_zone(draft.deciding)) != NONE:
        pick["timezone"] = chosen


def _ascends(looked: Looked) -> bool:
    """Whether the cells are in ascending order as they stand, which is sure only of ISO 8601 and epochs."""
    cells = looked.column.cells
    form = looked.times.format if looked.times is not None else ""
    return form in ("", "s", "ms", "us") and all(one <= other for one, other in pairwise(cells))


def _decide_type(draft: Draft, roles: Roles) -> None:
    money = any(one.score >= 0.75 and 2 * one.looked.column.filled > draft.sample.rows for one in roles.values())
    likely = "purchase" if money or draft.group is not None else "imported"
    options = [Option(likely, 0.6, "a guess; the type must exist in Sender, and is the same for all rows")]
    for one in roles.named("type"):
        distinct = len(one.looked.column.counts)
        filled = one.looked.column.filled
        if filled >= 0.9 * draft.sample.rows and distinct <= 50 and (distinct * 3 <= filled or distinct == 1):
            options.append(Option(one.looked.name, 0.9 * one.score, "named like the type, with a few types in it"))
    question = "The event's type: a column, or a text that is the same for all rows"
    name = draft.deciding.choose("type", question, options, takes_any=True)
    column = draft.sample.column(name)
    if column is None:
        draft.words["type"] = {"const": name}
    else:
        draft.words["type"] = name if column.is_full else {"column": name, "default": likely}
        draft.used.add(name)
    draft.note("type", "type")


def _decide_value(draft: Draft, roles: Roles) -> None:
    options = [one.option() for one in roles.values() if one.looked.name not in draft.used]
    product = _product(draft, roles)
    if product is not None:
        varying = {one.name for one in roles.columns if draft.group is not None and varies(one, draft.group)}
        options = [one for one in options if one.name not in varying]
        label = f"{product[0].name} × {product[1].name}"
        options.append(Option(label, 0.85, "the items' quantity times their price, added up"))
    options.append(Option(NONE, 0.3 if options else 0.85, "no column looks like the event's value"))
    name = draft.deciding.choose("value", "The event's value", options)
    by_name = {one.name: one for one in roles.columns}
    if product is not None and "×" in name:
        factors = [_number(by_name[one.name]) for one in product]
        draft.words["value"] = {"product_of": factors, "aggregate": "sum"}
    elif name in by_name:
        draft.words["value"] = _value(draft, by_name[name])
        draft.used.add(name)
    draft.note("value", "value", "decimal sign", "minor units")
    if product is not None and "×" in name:
        draft.amounts.update(quantity=product[0], price=product[1])
    elif name in by_name:
        draft.amounts["value"] = by_name[name]


def _product(draft: Draft, roles: Roles) -> tuple[Looked, Looked] | None:
    """Quantity and unit price of line items."""
    if draft.group is None:
        return None
    found = []
    for role in ("quantity", "price"):
        named = [one.looked for one in roles.named(role) if one.looked.numbers and one.looked.numbers.share > 0.9]
        found += named[:1]
    return (found[0], found[1]) if len(found) == 2 and found[0].name != found[1].name else None


def _value(draft: Draft, looked: Looked) -> dict[str, Any]:
    pick = _number(looked)
    read = looked.numbers
    if read is not None and read.other is not None:
        options = [
            Option(read.style.example(), 0.6, f"the cells may be written as {read.style.example()}"),
            Option(read.other.example(), 0.4, f"or as {read.other.example()}"),
        ]
        chosen = draft.deciding.choose("decimal sign", "How the amounts are written", options)
        style = read.other if chosen == read.other.example() else read.style
        pick = {"column": looked.name} | style.words()
    if read is not None and read.whole and _may_be_cents(draft, looked):
        options = [
            Option("cents", 0.65, "whole numbers beside a currency in small letters: cents, as programs write them"),
            Option("whole", 0.35, "whole amounts"),
        ]
        if draft.deciding.choose("minor units", "Whether the amounts are cents", options) == "cents":
            pick["scale"] = -2
    if draft.group is not None and varies(looked, draft.group):
        pick["aggregate"] = "sum"
    return pick


def _number(looked: Looked) -> dict[str, Any]:
    return {"column": looked.name} | (looked.numbers.style.words() if looked.numbers is not None else {})


def _may_be_cents(draft: Draft, looked: Looked) -> bool:
    if any(word in looked.name.lower() for word in ("cents", "minor")):
        return True
    codes = [cell for one in Roles(draft.sample).currencies()[:1] for cell in one.looked.cells]
    return bool(codes) and all(map(str.islower, codes)) and all("." not in cell for cell in looked.cells)


def _decide_currency(draft: Draft, roles: Roles) -> None:
    if "value" not in draft.words:
        return
    options = [one.option() for one in roles.currencies() if one.looked.name not in draft.used]
    column = draft.words["value"].get("column")
    value = next((one for one in roles.columns if one.name == column), None)
    sign = value.numbers.sign if value is not None and value.numbers is not None else ""
    if sign in CURRENCY_OF_SIGN:
        score = 0.6 if sign in "$¥" else 0.85
        options.append(Option(CURRENCY_OF_SIGN[sign], score, f"the amounts have the sign {sign}"))
    options.append(Option(NONE, 0.4, "no column names the currency; `value_currency: {const: EUR}` would say it"))
    question = "The value's currency: a column, or a code such as EUR"
    name = draft.deciding.choose("value_currency", question, options, takes_any=True)
    draft.note("value_currency", "value_currency")
    if name == NONE:
        return
    named = next((one for one in roles.columns if one.name == name), None)
    if named is None:
        draft.words["value_currency"] = {"const": name.upper()}
        return
    small = any(cell != cell.upper() for cell in named.cells)
    draft.words["value_currency"] = {"column": name} | ({"upper": True} if small else {})
    draft.used.add(name)
