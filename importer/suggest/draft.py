"""From a sample to a mapping: what the rows are, what identifies them, their type, their time, which are events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from msgspec.structs import replace

from importer.suggest import fields
from importer.suggest.decide import NONE, PURCHASE, UNKNOWN, Draft, Grade, Open, template
from importer.suggest.profile import Column, Sample, Times
from importer.suggest.vocabulary import Fit, Kind, fit, is_called, is_warehouse, kinds, paid_pattern, plain, state

_TOTAL = {"order total", "grand total", "invoice total", "total", "total price", "gesamtbetrag", "order amount"}
BELOW_ZERO = r"^\W*(?:[A-Z]{3}\W*)?[-(−]\W*[0-9]|[0-9]\s*-$"  # noqa: RUF001 # a minus sign is meant
"""An amount with a minus before or behind it, or in brackets; no text that only begins with a dash."""
_MOST_STATES = 50
_MOST_UNKNOWN = 12


def draft(sample: Sample, answers: Mapping[str, str]) -> Draft:
    """Decide everything; `answers` replace guesses, by the decision's target."""
    made = Draft(sample, answers, _kind(sample))
    made.write_source()
    _decide_key(made)
    _decide_time(made)
    fields.decide_subscriber(made)
    _decide_type(made)
    fields.decide_value(made)
    _decide_rows(made)
    return made


def _kind(sample: Sample) -> Kind:
    """What a row is, by the names of the columns and the file's."""
    stem = plain(PurePath(sample.name).name.partition(".")[0])
    filled = [one for one in sample.columns if one.filled * 2 > sample.rows or not sample.rows]
    names = {text for one in filled for text in (plain(one.name), plain(one.name.rpartition(".")[2]))}
    there = {
        "total": bool(names & _TOTAL) or any(name.startswith("total price set") for name in names),
        "order": any(fit(name, "key") is Fit.EXACT for one in sample.columns for name in (one.name, _end(one.name))),
    }
    for kind in kinds():
        if any(there[role] for role in kind.without):
            continue
        if kind.name == "line":  # its signs are roles
            signs = sum(bool(sample.named(role)) for role in kind.signs)
        else:
            signs = sum(any(re.fullmatch(sign, name) for name in names) for sign in kind.signs)
        called = re.fullmatch(kind.file, stem)
        if called is not None and kind.name == "thing":
            noun = re.sub("ies$", "y", called[1]).removesuffix("s").replace(" ", "_")
            return replace(kind, name=noun, type=noun)
        if called is not None or (kind.signs and signs >= kind.need):
            return kind
    first = sample.columns[0]
    noun, _, last = plain(first.name).rpartition(" ")
    roles = ("key", "person", "own_id", "item", "sequence")
    is_known = any(fit(name, role) for role in roles for name in (first.name, _end(first.name)))
    if noun and last in ("id", "uuid", "guid") and first.is_full and first.is_unique and not is_known:
        return Kind(noun, noun.replace(" ", "_"))  # the first column numbers the rows: a `review_id` is of reviews
    is_money = any(one.filled * 2 > sample.rows for one in fields.candidates(sample, "value"))
    return PURCHASE if there["order"] or there["total"] or is_money else UNKNOWN


def _end(name: str) -> str:
    """The last two words: an `amazon_order_id` is the id of an order, whose ever it is."""
    return " ".join(plain(name).split()[-2:])


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
    # Lines that have an id of their own, and name no person, are what they are; others are parts of an order.
    are_lines = own or (pair and not sample.named("email"))
    grouping = None if are_lines else next((one for one in named if _is_grouping(one, sample)), None)
    if grouping is not None:
        made.kind = PURCHASE
        many = sum(count > 1 for count in grouping.counts.values())
        reason = f"{many:,} of {len(grouping.counts):,} of them have several rows, which differ in their items"
        grade = Grade.SURE if fit(grouping.name, "key") is Fit.EXACT else Grade.LIKELY
        options = {grouping.name: reason, NONE: "every row is an event of its own"}
        question = "The column whose rows are one event"
        if made.choose("rows of one event", question, grade, options) == grouping.name:
            made.group = grouping
            made.words["group_by"] = grouping.name
            made.note("group_by", "rows of one event")
            _write_key(made, grouping.name)
            made.notes["key"] = ["the same event is never delivered twice, whichever file it comes from"]
            return
    options = {one.name: "the row's own id: every row has another one" for one in own}
    is_refund = made.kind.name == "refund"
    if made.kind.name in ("purchase", "") or (is_refund and not sample.named("own_id")):
        for one in named:
            is_exact = fit(one.name, "key") is Fit.EXACT and one.is_full and one.is_unique
            if is_exact and (not is_refund or "refund" in plain(one.name)):
                options.setdefault(one.name, "named like a key, and every row has another one")
    grade = Grade.SURE if options else Grade.LIKELY
    if pair and not options and made.kind.name in ("line", "purchase", ""):
        options[" + ".join(pair)] = "together every row has other ones"
    options[NONE] = "no column identifies a row, so the same event in another file would be sent again"
    name = made.choose("key", "What identifies an event, so that it is never delivered twice", grade, options)
    made.note("key", "key")
    if name is not None and name != NONE:
        _write_key(made, *(pair if " + " in name and name in options else (name,)))


def _write_key(made: Draft, *names: str) -> None:
    """A key that carries what it numbers: another table of the same shop counts from 1 as well."""
    made.words["key"] = {"template": f"{made.kind.type or 'event'} {template(*names)}"}
    made.used.update(names)


def _is_grouping(key: Column, sample: Sample) -> bool:
    """Whether rows that share the column's cell are lines of one order: items differ, the e-mail does not."""
    if key.filled < 0.95 * len(key.cells) or key.is_unique:
        return False
    emails = [one for one in sample.columns if one.emails >= 0.5 and fit(one.name, "email")]
    items = any(one.varies_within(key) for one in sample.named("item"))
    return items and not any(one.varies_within(key) for one in emails[:1])


def _pair(sample: Sample, named: Sequence[Column]) -> tuple[str, ...]:
    """An order's id and a line's number, which together no two rows share; empty if there are none."""
    for key in named:
        for line in sample.named("sequence"):
            pairs = set(zip(key.cells, line.cells, strict=True))
            if line.name != key.name and key.is_full and line.is_full and len(pairs) == len(key.cells):
                return key.name, line.name
    return ()


def _decide_type(made: Draft) -> None:
    sample, kind = made.sample, made.kind
    named = sample.named("type")
    if kind.name in ("event", ""):
        named += [one for one in sample.columns if plain(one.name.rpartition(".")[2]) == "type" and one not in named]
    columns = [one.name for one in named if _holds_types(one, sample)]
    options = dict.fromkeys(columns, "named like the type, with a few types in it")
    grade = Grade.LIKELY if options or kind.type else Grade.OPEN
    if kind.type:
        options[kind.type] = "a guess; the type must exist in Sender, and is the same for all rows"
    else:
        options[NONE] = "no column names the event"
    question = "The event's type: a column, or a text that is the same for all rows"
    name = made.choose("type", question, grade, options, takes_any=True)
    if name is None:
        made.leave_open("type", "type", [{"const": "imported"}])
        return
    # A column may be called as the guess is: `points`.
    column = sample.column(name) if name in columns or "type" in made.answers else None
    value: dict[str, Any] = {"const": name}
    if column is not None:
        value = {"column": name}
        if len({cell.lower() for cell in column.counts}) < len(column.counts):
            value["lower"] = True  # the same types in another case
        if not column.is_full:
            value["default"] = kind.type or "imported"
        made.used.add(name)
    made.words["type"] = value
    made.note("type", "type")


def _holds_types(one: Column, sample: Sample) -> bool:
    types = {cell.lower() for cell in one.counts}
    if types <= {"event", "track", "identify", "page"}:
        return False  # the kind of record, not the event's name
    is_few = len(types) <= 50 and (len(types) * 3 <= one.filled or len(types) <= 3)
    return one.filled >= 0.9 * sample.rows and is_few and not one.is_flag and one.times is None


# When it happened


def _decide_time(made: Draft) -> None:
    """Fill ``order_by`` and the property of the time."""
    sample = made.sample
    found = [
        (one, one.times)
        for one in sample.columns
        if one.times is not None and not one.nested and one.name not in made.used and not is_warehouse(one.name)
        # Another column of a name that is never one would be the time of something else: an update, a birthday.
        if fit(one.name, "time") or (one.times.share >= 0.9 and fit(f"{one.name} date", "time"))
    ]
    found.sort(key=lambda at: (-fit(at[0].name, "time"), not at[0].is_full, at[0].name.count(".")))
    if not found:
        return
    options = {}
    for one, times in found:
        named = "named like the time of an event, and " if fit(one.name, "time") is Fit.EXACT else ""
        options[one.name] = (
            f"{named}{'all' if times.share == 1 else f'{int(100 * times.share)}%'} of its cells are times"
        )
    options[NONE] = "no column says when it happened"
    grade = Grade.SURE if fit(found[0][0].name, "time") is Fit.EXACT else Grade.LIKELY
    name = made.choose("time", "When the event happened", grade, options)
    for column, times in found:
        if column.name == name:
            _write_time(made, column, times)


def _write_time(made: Draft, column: Column, times: Times) -> None:
    clocks = [one for one in made.sample.named("clock") if one.clocks > 0.9 and times.dates][:1]
    value: dict[str, Any] = {"column": column.name} | times.words()
    if clocks:
        value = {"template": template(column.name, clocks[0].name)} | times.words() | {"as": "datetime"}
    made.used.update(one.name for one in (column, *clocks))
    forms = [times.format]
    if times.other:
        chosen = decide_date_order(made, column.name, times)
        forms = [chosen] if chosen is not None else ["dmy", "mdy"]
    zone = _zone(made, column) if value["as"] == "datetime" and not times.zoned else {}
    choices = [value | ({"format": form} if form else {}) | zone for form in forms]
    orders = [{word: one for word, one in value.items() if (word, one) != ("as", "datetime")} for value in choices]
    is_sortable = column.is_full and times.share == 1 and all(one.is_full and one.clocks == 1 for one in clocks)
    properties = made.words.setdefault("properties", {})
    at = "properties.occurred_at"
    if len(choices) > 1:
        made.leave_open("order_by" if is_sortable else at, "date order", orders if is_sortable else choices)
        made.opens.setdefault(at, Open("", tuple(("occurred_at", one) for one in choices)))
        return
    properties["occurred_at"] = choices[0]
    made.note(at, "time", "time zone")
    if times.share < 1:
        made.notes[at].append("some of its cells are no times: their rows are not sent")
    if is_sortable:
        made.words["order_by"] = orders[0]
        made.notes["order_by"] = ["events are delivered oldest first, regardless of the order of the file"]


def decide_date_order(made: Draft, column: str, times: Times) -> str | None:
    """Whether the day or the month comes first, which these cells do not say; None if the user has to."""
    why = "no day is above 12, so day and month cannot be distinguished"
    if times.mixed:
        why = "some dates have the day first, others the month, so neither form reads all of them"
    question = f"Does the day (dmy) or the month (mdy) come first in `{column}`"
    return made.choose("date order", question, Grade.OPEN, {"dmy": why, "mdy": why})


def _zone(made: Draft, date: Column) -> dict[str, Any]:
    """What a mapping says of the zone of times that have none."""
    if "utc" in plain(date.name).split():
        return {"timezone": "UTC"}
    if made.sample.is_warehouse:
        made.choose("time zone", "", Grade.SURE, {"UTC": "tables of a warehouse have UTC"})
        return {"timezone": "UTC"}
    # A zone in a list of people is where each of them lives, not when the row happened.
    zones = [] if made.kind.name in ("customer", "activity") else made.sample.named("zone")
    if zones and plain(zones[0].name.rpartition(".")[0]) == plain(date.name.rpartition(".")[0]):
        made.used.add(zones[0].name)
        return {"timezone": {"column": zones[0].name}}
    return decide_zone(made)


def decide_zone(made: Draft) -> dict[str, Any]:
    """The `timezone` of times that have none; empty where it is not known."""
    why = "the times have no zone and are sent as they are; `timezone: Europe/Vilnius` adds one"
    question = "The times have no zone: one such as Europe/Vilnius, or none"
    chosen = made.choose("time zone", question, Grade.LIKELY, {NONE: why}, takes_any=True)
    return {} if chosen in (None, NONE) else {"timezone": chosen}


# Which rows are events. The tests are for the next file too, so they are written whether or not these rows need them.


def _decide_rows(made: Draft) -> None:
    """Fill ``where``: what is below zero, was not paid, was called off or is a test is no purchase."""
    is_one_type = "const" in made.words.get("type", ())
    tests = [*(_below_zero(made) if is_one_type else ()), *(_states(made) if is_one_type else ()), *_flags(made)]
    if tests:
        made.words["where"] = tests


def _below_zero(made: Draft) -> list[dict[str, Any]]:
    """Refunds and cancellations."""
    if made.amount is None or made.kind.name == "refund":
        return []
    made.notes["where"].append("an amount below zero is a refund or a cancellation, no purchase")
    is_count = fit(made.amount.name, "quantity")
    test = {"column": made.amount.name} | ({"above": 0} if is_count else {"not_matches": BELOW_ZERO})
    # An invoice may have a discount below zero; only if all its rows are, it takes something back.
    several = made.group is not None and made.amount.varies_within(made.group)
    return [test | ({"rows": "any"} if several else {})]


def _states(made: Draft) -> list[dict[str, Any]]:
    """States that say that something was bought, also those of other files; the user is asked about unknown ones."""
    found: list[dict[str, Any]] = []
    is_purchase = made.kind.name == "purchase"
    if not is_purchase and made.kind.name not in ("line", "refund", ""):
        return found
    sorts = made.sample.named("sort") if is_purchase else []
    for one in (*made.sample.named("status"), *sorts):
        unknown = [cell for cell in one.counts if state(cell) is None]
        is_asked = (is_purchase and one not in sorts) or len(unknown) < len(one.counts)
        if one.is_flag or len(one.counts) > _MOST_STATES or not is_asked:
            continue
        found.append({"column": one.name, "matches": paid_pattern(one.counts, _answered(made, one, unknown))})
        made.notes["where"].append(
            f"rows whose {one.name} does not say that something was bought are left out: canceled, pending, refunded …"
        )
    return found


def _answered(made: Draft, one: Column, unknown: list[str]) -> list[str]:
    """Of words that are not known, those that the user says are purchases."""
    if not unknown:
        return []
    named = ", ".join(cell if len(cell) <= 40 else f"{cell[:39]}…" for cell in unknown[:_MOST_UNKNOWN])
    question = f"Which words in `{one.name}` mean that something was bought: {named}"
    options = {NONE: "they are not known here", "all": "each of them means it"}
    answer = made.choose(f"rows by {one.name}", question, Grade.OPEN, options, takes_any=True)
    if answer is None:
        asked = [made.opens["where"].question] if "where" in made.opens else []
        made.opens["where"] = Open(". ".join([*asked, f"{question}? Add them to the test below"]))
        return []
    return unknown if answer == "all" else [cell for cell in unknown if cell in map(str.strip, answer.split(","))]


def _flags(made: Draft) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def add(one: Column, test: dict[str, Any], why: str) -> None:
        if test:
            found.append({"column": one.name, **test})
            made.notes["where"].append(why)

    for one in made.sample.columns:
        if one.nested:
            continue
        if made.kind.name == "cart" and is_called(one.name, "recovered"):
            test = _answers(one, bad=True) if one.is_flag else {"empty": True}
            add(one, test, f"a cart with {one.name} was bought after all")
        elif is_called(one.name, "called_off"):
            add(one, {"empty": True}, f"a row with {one.name} was called off")
        for word, bad in (("must", False), ("must_not", True)):
            if one.counts and is_called(one.name, word):
                add(one, _answers(one, bad=bad), f"a row is left out where {one.name} is {str(bad).lower()}")
    return found


def _answers(one: Column, *, bad: bool) -> dict[str, Any]:
    """The test that leaves the bad answer out, as the column writes it."""
    cells = {cell.lower() for cell in one.counts}
    if cells <= {"true", "false"}:
        return {"not_equals": bad}
    if cells <= {"0", "1"}:
        return {"not_equals": int(bad)}
    if cells <= {"yes", "no", "y", "n", "t", "f"}:
        return {"not_matches": "(?i)^(?:yes|y|t)$" if bad else "(?i)^(?:no|n|f)$"}
    return {}
