"""A file whose platform is recognised by its header: the platform's preset, and what the file asks to be adapted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from importer.currencies import CURRENT
from importer.mapping.checks import ORDERS
from importer.mapping.columns import check_columns
from importer.mapping.load import load_preset, recognise
from importer.mapping.model import ImportMapping, ValueMapping
from importer.suggest.advise import formats_of, written
from importer.suggest.decide import NONE, PURCHASE, Draft, Grade, put
from importer.suggest.draft import decide_date_order, decide_zone
from importer.suggest.forms import CURRENCY_OF_SIGN, Times
from importer.suggest.money import CURRENCY_QUESTION, ambiguous
from importer.suggest.profile import Column, Sample

_GRAVE = ("group_by", "order_by", "key", "subscriber.email", "type", "value", "value_currency")


def adapt(sample: Sample, answers: Mapping[str, str]) -> Draft | None:
    """The draft of a mapping that extends the preset that fits best; None where none does, or the user takes none."""
    found = recognise(column.name for column in sample.columns) if sample.has_header else []
    if not found:
        return None
    made = Draft(sample, answers, PURCHASE)
    options = {}
    for name, _ in found:
        marks, count = len(load_preset(name).mapping.recognised_by), len(sample.columns)
        options[name] = f"the header has the columns of {name} ({marks} of which identify it, among {count})"
    options[NONE] = "no preset: infer everything from the rows"
    made.preset = made.choose("preset", "The platform's preset", Grade.SURE, options) or NONE
    if made.preset == NONE:
        return None
    preset = load_preset(made.preset).mapping
    made.words["extends"] = made.preset
    made.note("extends", "preset")
    shows = f"`importer presets {made.preset}` shows what it says; what is below takes the place of its words"
    made.notes["extends"].append(shows)
    made.write_source()
    if preset.about:
        made.notes["version"] = [preset.about]
    _add_needs(made, preset)
    _add_times(made, preset)
    _name_lacks(made, preset)
    return made


def inherited_subscriber(preset: str) -> dict[str, Any]:
    """The subscriber of a preset, where it has one that holds."""
    mapping = load_preset(preset).mapping if preset else None
    return {} if mapping is None or "subscriber" in mapping.needs else written(mapping.subscriber)


def _add_needs(made: Draft, preset: ImportMapping) -> None:
    """The currency and the subscriber, where the export does not say them."""
    whys = {word: " ".join(why.split()) for word, why in preset.needs.items()}
    if "subscriber" in whys:
        _ask_whom(made, whys["subscriber"])
    word = "value_currency"
    if word not in whys:
        return
    signs = {one.money.sign for one in made.sample.columns if one.money is not None and one.money.sign}
    codes = {CURRENCY_OF_SIGN[sign] for sign in signs if sign in CURRENCY_OF_SIGN} & CURRENT.keys()
    options = {code: why for sign in sorted(signs) for code, why in ambiguous(sign).items()}
    grade = Grade.SURE if len(codes) == 1 and not options else Grade.OPEN
    options = options or dict.fromkeys(sorted(codes), f"the amounts have its sign; {whys[word]}")
    code = made.choose(word, CURRENCY_QUESTION, grade, options, takes_any=True)
    if code is None:
        made.leave_open(word, word, [_currency(one, preset.value, made.sample) for one in options or ["CURRENCY"]])
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
    options = dict.fromkeys(emails or [NONE], why)
    name = made.choose("subscriber", question, Grade.OPEN, options, takes_any=True)
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
            new |= decide_zone(made)
            whys.append(made.decisions["time zone"].note())
        if is_open:
            is_asked = any("day (dmy)" in one.question for one in made.opens.values())
            made.leave_open(target, "date order", [written(pick) | new | {"format": form} for form in ("dmy", "mdy")])
            if is_asked:  # once, and its lines for each target
                made.opens[target] = replace(made.opens[target], question="")
        elif new:
            put(made.words, target, written(pick) | new)
        notes = made.notes[target if new and not is_open else "extends"]
        notes.extend(why for why in whys if why not in notes)


def _times(pick: ValueMapping, columns: Sequence[Column]) -> Times | None:
    """How the first of a pick's columns that holds times writes them."""
    own = [one for name in pick.own_columns() for one in columns if one.name == name]
    times = next((one.times for one in own if one.times is not None), None)
    return times and replace(times, dates=times.dates and not any(one.clocks == 1 for one in own))


def _order(made: Draft, times: Times, pick: ValueMapping) -> tuple[dict[str, Any], list[str], bool]:
    """The `format` to say, why, and whether the user has to choose; empty where the preset's own reads the file."""
    said = formats_of(pick)
    is_said = times.format in said or (times.other in said and not times.mixed)
    if times.format not in ORDERS or is_said:
        # A preset's own order is taken where the cells allow both.
        return {}, [], False
    form: str | None = times.format
    if times.other:
        form = decide_date_order(made, ", ".join(pick.own_columns()), times)
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
        made.choose("columns", "Columns that the file lacks", Grade.LIKELY, {"stay blank": why})
        made.note("extends", "columns")
