"""From a sample to a mapping: what the rows are, who they are about, what they are worth, decision after decision."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from importer.suggest import money, people, rows, when
from importer.suggest.decide import NONE, PURCHASE, UNKNOWN, Decisions, Draft, Grade, Option, braced
from importer.suggest.profile import Column, Sample
from importer.suggest.vocabulary import Fit, Kind, fit, is_warehouse, kinds, plain

_FEW = 25
"""In a file with so few columns all are sent that hold nothing personal."""
_MOST = 15
"""Properties taken from a wider file."""
_GENERIC = ("id", "name", "key", "value", "type", "code")
"""Names that say little without what they are within."""
_ROOM = 1_000
"""Bytes up to which a group's items are joined; a property holds 2,048, and other groups may be longer."""
_TELLING = ("key", "quantity", "item", "status", "country", "price", "type", "value")
_PLAIN_FORMS = {"s", "ms", "us", ""}
_TOTAL = ("order total", "grand total", "invoice total", "total", "total price", "gesamtbetrag", "order amount")


def draft(sample: Sample, answers: Mapping[str, str]) -> Draft:
    """Decide everything; `answers` replace guesses, by the decision's target."""
    made = Draft(sample, Decisions(answers))
    made.kind = _kind(sample)
    made.write_source()
    _decide_key(made)
    when.decide_time(made)
    people.decide_subscriber(made)
    _decide_type(made)
    money.decide_value(made)
    rows.decide_rows(made)
    return made


def _kind(sample: Sample) -> Kind:
    """What a row is, by the names of the columns and the file's."""
    stem = plain(PurePath(sample.name).name.partition(".")[0])
    filled = [one for one in sample.columns if one.filled * 2 > sample.rows or not sample.rows]
    names = {text for one in filled for text in (plain(one.name), plain(one.name.rpartition(".")[2]))}
    there = {
        "total": bool(names.intersection(_TOTAL)) or any(name.startswith("total price set") for name in names),
        "order": any(fit(one.name, "key") is Fit.EXACT for one in sample.columns),
    }
    for kind in kinds():
        if any(there[role] for role in kind.without):
            continue
        if kind.name == "line":
            signs = sum(bool(sample.named(role)) for role in ("item", "quantity", "price"))
        else:
            signs = sum(any(sign.fullmatch(name) for name in names) for sign in kind.signs)
        called = kind.file.fullmatch(stem) if kind.file is not None else None
        if called is not None or (kind.signs and signs >= kind.need) or (kind.name == "line" and signs >= kind.need):
            if kind.name == "thing" and called is not None:
                noun = re.sub("ies$", "y", called[1]).removesuffix("s").replace(" ", "_")
                return replace(kind, name=noun, type=noun)
            return kind
    if noun := _noun_of_own_id(sample):
        return Kind(noun, noun.replace(" ", "_"), None, (), 1, (), has_value=True)
    is_money = any(one.filled * 2 > sample.rows for one in money.candidates(sample, "value"))
    return PURCHASE if there["order"] or there["total"] or is_money else UNKNOWN


def _noun_of_own_id(sample: Sample) -> str:
    """What the first column numbers, row by row: ``review`` of ``review_id``; empty if that is an order or a person."""
    first = sample.columns[0]
    noun, _, last = plain(first.name).rpartition(" ")
    is_id = bool(noun) and last in ("id", "uuid", "guid") and first.is_full and first.is_unique
    known = any(fit(first.name, role) for role in ("key", "person", "own_id", "item", "sequence"))
    return noun if is_id and not known else ""


def _is_own_id(one: Column, made: Draft) -> bool:
    """Whether every row has another one, and it is called the id of what the rows are."""
    if not (one.is_full and one.is_unique) or one.nested or one.name.count(".") > 1:
        return False
    noun, _, last = plain(one.name).rpartition(" ")
    is_of_kind = last in ("id", "uuid", "guid", "no", "number", "token") and noun in made.kind.name.split("_")
    return is_of_kind or fit(one.name, "own_id") > Fit.NO


def _decide_key(made: Draft) -> None:
    sample = made.sample
    own = sorted((one for one in sample.columns if _is_own_id(one, made)), key=lambda one: -fit(one.name, "own_id"))
    named = [one for one in sample.named("key") if not one.is_flag and one.clocks < 0.5 and one.emails < 0.5]
    pair = _pair(sample, named)
    # Lines that have an id of their own, and name nobody, are what they are; others are parts of an order.
    are_lines = bool(own) or (pair is not None and not sample.named("email"))
    grouping = None if are_lines else next((one for one in named if _is_grouping(one, sample)), None)
    if grouping is not None:
        made.kind = PURCHASE
        many = sum(count > 1 for count in grouping.counts.values())
        reason = f"{many:,} of {len(grouping.counts):,} of them have several rows, which differ in their items"
        grade = Grade.SURE if fit(grouping.name, "key") is Fit.EXACT else Grade.LIKELY
        options = [Option(grouping.name, reason), Option(NONE, "every row is an event of its own")]
        question = "The column whose rows are one event"
        if made.decisions.choose("rows of one event", question, grade, options) == grouping.name:
            made.group = grouping
            made.words["group_by"] = grouping.name
            made.note("group_by", "rows of one event")
            made.words["key"] = _numbered(made, grouping.name)
            made.notes["key"] = ["the same event is never delivered twice, whichever file it comes from"]
            made.used.add(grouping.name)
            return
    options = [Option(one.name, "the row's own id: every row has another one") for one in own]
    exact = [one for one in named if fit(one.name, "key") is Fit.EXACT and one.is_full and one.is_unique]
    if made.kind.name in ("purchase", "") or (made.kind.name == "refund" and not sample.named("own_id")):
        options += [Option(one.name, "named like a key, and every row has another one") for one in exact
                    if made.kind.name != "refund" or "refund" in plain(one.name)]  # fmt: skip
    if options or made.kind.name not in ("line", "purchase", ""):
        pair = None
    if pair is not None:
        options.append(Option(" + ".join(one.name for one in pair), "together every row has other ones"))
    why = "no column identifies a row, so the same event in another file would be sent again"
    options.append(Option(NONE, why))
    grade = Grade.SURE if len(options) > 1 and pair is None else Grade.LIKELY
    name = made.decisions.choose("key", "What identifies an event, so that it is never delivered twice", grade, options)
    made.note("key", "key")
    if name is None or name == NONE:
        return
    parts = [one.name for one in pair] if pair is not None and " + " in name else [name]
    made.words["key"] = _numbered(made, *parts)
    made.used.update(parts)


def _numbered(made: Draft, *names: str) -> dict[str, Any]:
    """A key that carries what it numbers: another table of the same shop counts from 1 as well."""
    noun = made.kind.type or "event"
    return {"template": " ".join([noun, *(f"{{{braced(name)}}}" for name in names)])}


def _is_grouping(key: Column, sample: Sample) -> bool:
    """Whether rows that share the column's cell are lines of one order: items differ, the e-mail does not."""
    if key.filled < 0.95 * len(key.cells) or key.is_unique:
        return False
    items = [one for one in sample.named("item") if one.varies_within(key)]
    emails = [one for one in sample.columns if one.emails >= 0.5 and fit(one.name, "email")]
    return bool(items) and not any(one.varies_within(key) for one in emails[:1])


def _pair(sample: Sample, named: Sequence[Column]) -> tuple[Column, Column] | None:
    """An order's id and a line's number, which together no two rows share."""
    for key in named:
        for line in sample.named("sequence"):
            pairs = set(zip(key.cells, line.cells, strict=True))
            if line.name != key.name and key.is_full and line.is_full and len(pairs) == len(key.cells):
                return key, line
    return None


def _decide_type(made: Draft) -> None:
    sample, kind = made.sample, made.kind
    named = sample.named("type")
    if kind.name in ("event", ""):
        named += [one for one in sample.columns if plain(one.name.rpartition(".")[2]) == "type" and one not in named]
    columns = [one for one in named if _holds_types(one, sample)]
    options = [Option(one.name, "named like the type, with a few types in it") for one in columns]
    if kind.type:
        why = "a guess; the type must exist in Sender, and is the same for all rows"
        options.append(Option(kind.type, why))
    else:
        options.append(Option(NONE, "no column names the event"))
    grade = Grade.LIKELY if columns or kind.type else Grade.OPEN
    question = "The event's type: a column, or a text that is the same for all rows"
    name = made.decisions.choose("type", question, grade, options, takes_any=True)
    if name is None:
        made.leave_open("type", "type", [{"const": "imported"}])
        return
    column = sample.column(name)
    if column is None:
        made.words["type"] = {"const": name}
    else:
        pick: dict[str, Any] = {"column": name}
        if len({cell.lower() for cell in column.counts}) < len(column.counts):
            pick["lower"] = True  # the same types in another case
        if not column.is_full:
            pick["default"] = kind.type or "imported"
        made.words["type"] = pick if len(pick) > 1 else name
        made.used.add(name)
    made.note("type", "type")


def _holds_types(one: Column, sample: Sample) -> bool:
    distinct = len({cell.lower() for cell in one.counts})
    if {cell.lower() for cell in one.counts} <= {"event", "track", "identify", "page"}:
        return False  # the kind of record, not the event's name
    is_few = distinct <= 50 and (distinct * 3 <= one.filled or distinct <= 3)
    return one.filled >= 0.9 * sample.rows and is_few and not one.is_flag and one.times is None


def decide_properties(made: Draft) -> dict[str, Any]:
    """Fill ``properties``; returns those left out, by their names, for comments."""
    properties: dict[str, Any] = made.words.setdefault("properties", {})
    sample = made.sample
    for one in [
        one for one in sample.columns if one.name in made.used and f"{{{one.name}}}" in str(made.words.get("key"))
    ]:
        properties[_name(one.name, properties) if plain(one.name) != "id" else "id"] = one.name
    left: dict[str, Any] = {}
    for one in sorted(sample.columns, key=_importance):
        if one.nested or one.name in made.used or not one.distinct or is_warehouse(one.name):
            continue
        pick = _property(made, one)
        telling = len(sample.columns) <= _FEW or any(fit(one.name, role) for role in _TELLING)
        wanted = telling and len(properties) < _MOST and not _is_personal(one) and pick is not None
        if wanted and pick is not None and pick.get("aggregate") == "count":
            properties.setdefault("items", pick)  # how many items there are is worth telling once
            continue
        into = properties if wanted else left
        into[_name(one.name, properties, left)] = pick or {"column": one.name, "aggregate": "join"}
    if not properties and not any(word.startswith("properties.") for word in made.opens):
        del made.words["properties"]
    return left


def _importance(one: Column) -> int:
    return next((at for at, role in enumerate(_TELLING) if fit(one.name, role)), len(_TELLING))


def _is_personal(one: Column) -> bool:
    return bool(fit(one.name, "personal") or fit(one.name, "phone") or one.emails > 0.1 or fit(one.name, "email"))


def _property(made: Draft, one: Column) -> dict[str, Any] | None:
    """The pick of a column; None where a group's rows differ in it, and nothing says how to make one of them."""
    words = _read_as(one)
    if made.group is None or not one.varies_within(made.group):
        return {"column": one.name, **words}
    if fit(one.name, "quantity") and words.get("as") in ("integer", "number"):
        return {"column": one.name, **words, "aggregate": "sum"}
    if not fit(one.name, "item"):
        return None
    return {"column": one.name, "aggregate": "join" if _longest(one, made.group) <= _ROOM else "count"}


def _longest(one: Column, key: Column) -> int:
    """Bytes of the longest text that a group's cells make together."""
    sizes: Counter[str] = Counter()
    for at, cell in zip(key.cells, one.cells, strict=True):
        sizes[at] += len(cell.encode("utf-8", "surrogatepass")) + 2
    return max(sizes.values(), default=0)


def _read_as(one: Column) -> dict[str, Any]:
    """How its cells are read; as text, wherever one of them could not be."""
    if one.is_flag:
        return {"as": "boolean"}
    times = one.times
    is_plain = times is not None and times.share == 1 and not times.other and times.format in _PLAIN_FORMS
    if times is not None and is_plain and fit(one.name, "time"):
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
    name = plain(last).replace(" ", "_") or " ".join(column.split())
    names, number = {one for names in taken for one in names}, 2
    wanted = name
    while wanted in names:
        wanted, number = f"{name}_{number}", number + 1
    return wanted
