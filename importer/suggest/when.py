"""When an event happened: the column of its time, how that is written, and in which zone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from importer.suggest.decide import NONE, Decisions, Draft, Grade, Open, Option, braced
from importer.suggest.profile import Column
from importer.suggest.times import Times
from importer.suggest.vocabulary import Fit, fit, is_warehouse, plain


def decide_time(made: Draft) -> None:
    """Fill ``order_by`` and the property of the time."""
    sample = made.sample
    found = [
        one
        for one in sample.columns
        if one.times is not None and not one.nested and one.name not in made.used and not is_warehouse(one.name)
        if fit(one.name, "time") or (one.times.share >= 0.9 and not _is_never_time(one.name))
    ]
    found.sort(key=lambda one: (-fit(one.name, "time"), not one.is_full, one.name.count(".")))
    if not found:
        return
    options = [Option(one.name, _time_reason(one)) for one in found]
    grade = Grade.SURE if fit(found[0].name, "time") is Fit.EXACT else Grade.LIKELY
    options.append(Option(NONE, "no column says when it happened"))
    name = made.decisions.choose("time", "When the event happened", grade, options)
    column = next((one for one in found if one.name == name), None)
    if column is None or column.times is None:
        return
    clock = next((one for one in sample.named("clock") if one.clocks > 0.9), None) if column.times.dates else None
    pick: dict[str, Any] = {"column": column.name}
    if clock is not None:
        pick = {"template": f"{{{braced(column.name)}}} {{{braced(clock.name)}}}"}
        made.used.add(clock.name)
    pick |= column.times.words() | ({"as": "datetime"} if clock is not None else {})
    made.used.add(column.name)
    is_sortable = (
        column.is_full and column.times.share == 1 and (clock is None or (clock.is_full and clock.clocks == 1))
    )
    forms = [column.times.format]
    if column.times.other:
        chosen = decide_date_order(made.decisions, column.name, column.times)
        forms = [chosen] if chosen is not None else ["dmy", "mdy"]
    zone = _zone(made, column) if pick["as"] == "datetime" and not column.times.zoned else {}
    picks = [pick | ({"format": form} if form else {}) | zone for form in forms]
    properties = made.words.setdefault("properties", {})
    if len(picks) > 1:
        if is_sortable:
            made.leave_open("order_by", "date order", [_order(one) for one in picks])
            made.opens["properties.occurred_at"] = Open("", tuple(("occurred_at", one) for one in picks))
        else:
            made.leave_open("properties.occurred_at", "date order", picks)
        return
    properties["occurred_at"] = picks[0]
    made.note("properties.occurred_at", "time", "time zone")
    if column.times.share < 1:
        made.notes["properties.occurred_at"].append("some of its cells are no times: their rows are not sent")
    if is_sortable:
        made.words["order_by"] = _order(picks[0])
        made.notes["order_by"] = ["events are delivered oldest first, whatever the order of the file"]


def _time_reason(one: Column) -> str:
    named = "named like the time of an event, and " if fit(one.name, "time") is Fit.EXACT else ""
    share = one.times.share if one.times is not None else 0
    return f"{named}{'all' if share == 1 else f'{int(100 * share)}%'} of its cells are times"


def _is_never_time(name: str) -> bool:
    """Whether another column of this name would be called the time of something else: an update, a birthday."""
    return fit(f"{name} date", "time") is Fit.NO


def _order(pick: Mapping[str, Any]) -> dict[str, Any]:
    return {name: word for name, word in pick.items() if (name, word) != ("as", "datetime")}


def decide_date_order(decisions: Decisions, column: str, times: Times) -> str | None:
    """Whether the day or the month comes first, which these cells do not say; None if the user has to."""
    why = "no day is above 12, so day and month cannot be told apart"
    if times.mixed:
        why = "some dates have the day first, others the month, so neither form reads all of them"
    options = [Option("dmy", why), Option("mdy", why)]
    question = f"Does the day (dmy) or the month (mdy) come first in `{column}`"
    return decisions.choose("date order", question, Grade.OPEN, options)


def _zone(made: Draft, date: Column) -> dict[str, Any]:
    """What a mapping says of the zone of times that have none."""
    if "utc" in plain(date.name).split():
        return {"timezone": "UTC"}
    if made.is_warehouse:
        made.decisions.choose("time zone", "", Grade.SURE, [Option("UTC", "tables of a warehouse have UTC")])
        return {"timezone": "UTC"}
    # A zone in a list of people is where each of them lives, not when the row happened.
    zones = [] if made.kind.name in ("customer", "activity") else made.sample.named("zone")
    if zones and plain(zones[0].name.rpartition(".")[0]) == plain(date.name.rpartition(".")[0]):
        made.used.add(zones[0].name)
        return {"timezone": {"column": zones[0].name}}
    chosen = decide_zone(made.decisions)
    return {"timezone": chosen} if chosen != NONE else {}


def decide_zone(decisions: Decisions) -> str:
    """The zone of times that have none; a zone of the IANA database, or `NONE`."""
    why = "the times have no zone and are sent as they are; `timezone: Europe/Vilnius` adds one"
    question = "The times have no zone: one such as Europe/Vilnius, or none"
    return decisions.choose("time zone", question, Grade.LIKELY, [Option(NONE, why)], takes_any=True) or NONE
