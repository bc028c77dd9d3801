"""A file whose platform is recognised by its header: the platform's preset, and what the file asks to be adapted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from importer.currencies import CURRENT
from importer.mapping.checks import ORDERS
from importer.mapping.columns import check_columns
from importer.mapping.model import ImportMapping, ValueMapping
from importer.mapping.presets import load_preset, recognise
from importer.suggest.advice import written
from importer.suggest.decide import NONE, PURCHASE, Decisions, Draft, Grade, Option, put
from importer.suggest.money import CURRENCY_QUESTION, ambiguous
from importer.suggest.numbers import CURRENCY_OF_SIGN
from importer.suggest.profile import Column, Sample
from importer.suggest.times import Times
from importer.suggest.when import decide_date_order, decide_zone

_GRAVE = ("group_by", "order_by", "key", "subscriber.email", "type", "value", "value_currency")


def adapt(sample: Sample, answers: Mapping[str, str]) -> Draft | None:
    """The draft of a mapping that extends the preset that fits best; None where none does, or the user takes none."""
    found = recognise(column.name for column in sample.columns) if sample.has_header else []
    if not found:
        return None
    made = Draft(sample, Decisions(answers), PURCHASE)
    options = [Option(name, _why(name, sample)) for name, _ in found]
    options.append(Option(NONE, "no preset: infer everything from the rows"))
    name = made.decisions.choose("preset", "The platform's preset", Grade.SURE, options)
    if name is None or name == NONE:
        return None
    preset = load_preset(name).mapping
    made.preset = name
    made.words["extends"] = name
    made.notes["extends"] = [
        made.decisions.note("preset"),
        f"`importer presets {name}` shows what it says; what is below takes the place of its words",
    ]
    made.write_source()
    if preset.about:
        made.notes["version"] = [preset.about]
    _add_needs(made, preset)
    _add_times(made, preset)
    _name_lacks(made, preset)
    return made


def _why(name: str, sample: Sample) -> str:
    marks = load_preset(name).mapping.recognised_by
    return f"the header has the columns of {name} ({len(marks)} of which identify it, among {len(sample.columns)})"


def _add_needs(made: Draft, preset: ImportMapping) -> None:
    """The currency and the subscriber, where the export does not say them."""
    if "subscriber" in preset.needs:
        _ask_whom(made, " ".join(preset.needs["subscriber"].split()))
    word = "value_currency"
    if word not in preset.needs:
        return
    why = " ".join(preset.needs[word].split())
    signs = {one.money.sign for one in made.sample.columns if one.money is not None and one.money.sign}
    codes = {CURRENCY_OF_SIGN[sign] for sign in signs if sign in CURRENCY_OF_SIGN} & CURRENT.keys()
    doubtful = [option for sign in sorted(signs) for option in ambiguous(sign)]
    grade = Grade.SURE if len(codes) == 1 and not doubtful else Grade.OPEN
    options = doubtful or [Option(code, f"the amounts have its sign; {why}") for code in sorted(codes)]
    code = made.decisions.choose(word, CURRENCY_QUESTION, grade, options, takes_any=True)
    if code is None:
        names = [one.name for one in options] or ["CURRENCY"]
        made.leave_open(word, word, [_currency(one, preset.value, made.sample) for one in names])
    else:
        made.words[word] = _currency(code.upper(), preset.value, made.sample)
        made.note(word, word)


def _currency(code: str, value: ValueMapping | None, sample: Sample) -> dict[str, Any]:
    """The code; only beside a value, where some rows have none."""
    column = sample.column(value.column or "") if value is not None and value.aggregate is None else None
    if column is None or column.is_full:
        return {"const": code}
    return {"cases": [{"when": [{"column": column.name, "empty": False}], "use": {"const": code}}]}


def _ask_whom(made: Draft, why: str) -> None:
    """The export names no subscriber: only a column that was joined to it can."""
    question = "Who is the event about: which column has the subscriber's e-mail address"
    emails = [one.name for one in made.sample.columns if one.emails >= 0.9]
    options = [Option(name, why) for name in emails] or [Option(NONE, why)]
    name = made.decisions.choose("subscriber", question, Grade.OPEN, options, takes_any=True)
    if name is not None and made.sample.column(name) is not None:
        made.words["subscriber"] = {"email": name}
    else:
        made.leave_open("subscriber", "subscriber", [{"email": one} for one in emails or ["COLUMN"]])


def _add_times(made: Draft, mapping: ImportMapping) -> None:
    """How the file writes day and month, where that is not what the preset expects; and the zone of its times."""
    columns = [replace(one, has_name=False) for one in made.sample.columns if not one.nested]
    for target, pick in mapping.fields():
        if pick.as_ not in ("date", "datetime") and (target != "order_by" or pick.as_ is not None):
            continue
        times = _times(pick, columns)
        if times is None:
            continue
        new, whys, is_open = _order(made, times, pick)
        if pick.timezone is None and not times.zoned and not times.dates and pick.as_ != "date":
            zone = decide_zone(made.decisions)
            new |= {"timezone": zone} if zone != NONE else {}
            whys.append(made.decisions.note("time zone"))
        if is_open:
            _leave_open(made, target, [written(pick) | new | {"format": form} for form in ("dmy", "mdy")])
        elif new:
            put(made.words, target, written(pick) | new)
        at = target if new and not is_open else "extends"
        notes = made.notes.setdefault(at, [])
        notes.extend(why for why in whys if why and why not in notes)


def _leave_open(made: Draft, target: str, picks: Sequence[dict[str, Any]]) -> None:
    """The question once, and its lines for each target."""
    asked = any("day (dmy)" in one.question for one in made.opens.values())
    made.leave_open(target, "date order", picks)
    if asked:
        made.opens[target] = replace(made.opens[target], question="")


def _times(pick: ValueMapping, columns: Sequence[Column]) -> Times | None:
    """How the first of a pick's columns that holds times writes them."""
    names = pick.own_columns()
    found = [one.times for name in names for one in columns if one.name == name and one.times is not None]
    clocks = any(one.clocks == 1 for one in columns if one.name in names)
    return replace(found[0], dates=found[0].dates and not clocks) if found else None


def _order(made: Draft, times: Times, pick: ValueMapping) -> tuple[dict[str, Any], list[str], bool]:
    """The `format` to say, why, and whether the user has to choose; empty where the preset's own reads the file."""
    said = [pick.format] if isinstance(pick.format, str) else list(pick.format or ())
    is_said = times.format in said or (times.other in said and not times.mixed)
    if times.format not in ORDERS or is_said:
        # A preset's own order is taken where the cells allow both.
        return {}, [], False
    form: str | None = times.format
    if times.other:
        form = decide_date_order(made.decisions, ", ".join(pick.own_columns()), times)
    if form is None:
        return {}, [], True
    others = [one for one in said if one not in ORDERS]
    instead = "the preset's order" if said else "ISO 8601"
    return {"format": [*others, form] if others else form}, [f"the dates are written as {form}, not {instead}"], False


def _name_lacks(made: Draft, preset: ImportMapping) -> None:
    """What the file does without; a look is asked for if it is whom an event is about, its value, key or time."""
    lacks = check_columns(preset, [column.name.strip() for column in made.sample.columns])
    if not lacks:
        return
    if preset.missing_columns == "refuse":
        made.words["missing_columns"] = "warn"
    names = ", ".join(one.name for one in lacks)
    made.notes["extends"].append(f"the file lacks columns that the preset knows, which stay blank: {names}")
    grave = []
    for one in lacks:
        if targets := [target for target in one.targets if target in _GRAVE]:
            meant = f" (is it {one.nearest}?)" if one.nearest else ""
            grave.append(f"{one.name} for {' and '.join(targets)}{meant}")
    if grave:
        why = f"the file lacks {'; '.join(grave)}: a line of the mapping can say where it is"
        made.decisions.choose("columns", "Columns that the file lacks", Grade.LIKELY, [Option("stay blank", why)])
        made.notes["extends"].append(made.decisions.note("columns"))
