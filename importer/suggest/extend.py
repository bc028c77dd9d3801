"""What a mapping takes from elsewhere: a platform's preset, and a second file as a lookup."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from importer.currencies import CURRENT
from importer.mapping.checks import ORDERS
from importer.mapping.columns import check_columns
from importer.mapping.load import load_preset, recognise
from importer.mapping.model import ImportMapping, ValueMapping
from importer.suggest.advise import formats_of, written
from importer.suggest.decide import NONE, PURCHASE, Draft, Grade, put
from importer.suggest.draft import decide_date_order, decide_zone
from importer.suggest.fields import CURRENCY_QUESTION, addresses, ambiguous
from importer.suggest.profile import CURRENCY_OF_SIGN, Column, Sample, Times
from importer.suggest.vocabulary import fit, plain

_GRAVE = ("group_by", "order_by", "key", "subscriber.email", "type", "value", "value_currency")


def adapt(sample: Sample, answers: Mapping[str, str]) -> Draft | None:
    """The draft of a mapping that extends the preset that fits best; None where none does, or the user takes none."""
    found = recognise(column.name for column in sample.columns) if sample.has_header else []
    if not found:
        return None
    made = Draft(sample, answers, PURCHASE)
    options = {}
    for name in found:
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
    for target, mapped in mapping.fields():
        if mapped.as_ not in ("date", "datetime") and (target != "order_by" or mapped.as_ is not None):
            continue
        times = _times(mapped, columns)
        if times is None:
            continue
        new, whys, is_open = _order(made, times, mapped)
        if mapped.timezone is None and not times.zoned and not times.dates and mapped.as_ != "date":
            new |= decide_zone(made)
            whys.append(made.decisions["time zone"].note())
        if is_open:
            is_asked = any("day (dmy)" in one.question for one in made.opens.values())
            made.leave_open(target, "date order", [written(mapped) | new | {"format": form} for form in ("dmy", "mdy")])
            if is_asked:  # once, and its lines for each target
                made.opens[target] = replace(made.opens[target], question="")
        elif new:
            put(made.words, target, written(mapped) | new)
        notes = made.notes[target if new and not is_open else "extends"]
        notes.extend(why for why in whys if why not in notes)


def _times(mapped: ValueMapping, columns: Sequence[Column]) -> Times | None:
    """How the first of a value's columns that holds times writes them."""
    own = [one for name in mapped.own_columns() for one in columns if one.name == name]
    times = next((one.times for one in own if one.times is not None), None)
    return times and replace(times, dates=times.dates and not any(one.clocks == 1 for one in own))


def _order(made: Draft, times: Times, mapped: ValueMapping) -> tuple[dict[str, Any], list[str], bool]:
    """The `format` to say, why, and whether the user has to choose; empty where the preset's own reads the file."""
    said = formats_of(mapped)
    is_said = times.format in said or (times.other in said and not times.mixed)
    if times.format not in ORDERS or is_said:
        # A preset's own order is taken where the cells allow both.
        return {}, [], False
    form: str | None = times.format
    if times.other:
        form = decide_date_order(made, ", ".join(mapped.own_columns()), times)
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


_SHORT = 4
"""Digits of numbers that may count anything."""
_ENOUGH = 0.5
"""Of a column's cells, those that must be keys of the second file."""
_NEARLY_ALL = 0.9
"""Those that leave no doubt, however the columns are called."""


def add_lookup(made: Draft, second: Sample, mapping: str) -> None:
    """Propose the lookup, and take the subscriber's address from it where the file itself has none.

    Where it is not plain which columns belong together, a question above both proposals; where no column of the file
    has the second one's keys, a comment says so.
    """
    path = os.path.relpath(second.name, Path(mapping).parent)
    found = _joined(made.sample, second)
    if found is None:
        why = f"likely: {second.name} is not used: no column of the file has the keys of a column there"
        made.notes["lookups"].append(why)
        return
    by, key = found.by.name, found.key.name
    options = {f"{by} = {key}": found.reason, NONE: "it is not used"}
    grade = Grade.LIKELY if found.is_plain else Grade.OPEN
    name = made.choose("lookups", f"Which column has the keys of {second.name}", grade, options)
    lookup = re.sub(r"\W+", "_", Path(second.name).name.partition(".")[0]).strip("_") or "second"
    source = {"source": dict(second.source)} if second.source else {}
    words: dict[str, Any] = {"lookups": {lookup: {"file": path, "key": key, **source}}}
    if addressed := addresses(second):
        words["subscriber"] = _subscriber(made, lookup, by, addressed)
    if name is None:
        made.leave_open("lookups", "lookups", ())
        made.opens["lookups"] = replace(made.opens["lookups"], lines=tuple(words.items()))
    elif name != NONE:
        made.words |= words
        made.note("lookups", "lookups")
        made.used.add(by)
        if addressed:
            made.opens.pop("subscriber", None)
            columns = " and ".join(f"`{one}`" for one in addressed.values())
            options = {f"{columns} of {second.name}": f"by {by}, its {key}"}
            made.decisions.pop("subscriber", None)
            made.choose("subscriber", "", Grade.LIKELY, options)
            made.note("subscriber", "subscriber")


def _subscriber(made: Draft, lookup: str, by: str, addressed: dict[str, str]) -> dict[str, Any]:
    """The subscriber with the second file's addresses; what the rows say themselves comes first."""
    taken: dict[str, Any] = {word: {"lookup": lookup, "by": by, "column": one} for word, one in addressed.items()}
    for word, own in (made.words.get("subscriber") or inherited_subscriber(made.preset)).items():
        if word == "email" and word in taken:
            candidates = own["first_of"] if isinstance(own, dict) and own.keys() == {"first_of"} else [own]
            taken[word] = {"first_of": [*candidates, taken[word]]}
        else:
            taken[word] = own
    if "email" in taken and "lookup" in taken.get("phone", ()):
        taken["phone"]["on_invalid"] = "omit"
    return taken


class _Joint(msgspec.Struct, frozen=True):
    """A column of the first file, and the key of the second one that its cells are."""

    by: Column
    key: Column
    reason: str
    known: float
    """Of the column's cells, the share that are keys."""
    is_alike: bool
    """Whether the names mean the same."""
    is_plain: bool
    """Whether the cells leave no doubt, or the cells and the names together."""


def _joined(first: Sample, second: Sample) -> _Joint | None:
    """The surest pair of columns."""
    found = []
    for key in second.columns:
        if not (key.is_full and key.is_unique) or key.emails >= _ENOUGH:
            continue
        keys = {_spelled(cell) for cell in key.counts}
        # A column of 1, 2, 3 …: small numbers of anything are among them.
        is_counter = all(cell.isdecimal() and len(cell) <= _SHORT for cell in key.distinct)
        for by in first.columns:
            if not by.filled or by.nested:
                continue
            known = sum(count for cell, count in by.counts.items() if _spelled(cell) in keys) / by.filled
            alike = _is_alike(by.name, key.name, second.name)
            is_plain = known >= (_ENOUGH if alike else _NEARLY_ALL)
            # The first rows of a long list hold few of the keys.
            if known >= _ENOUGH and (alike or not is_counter):
                found.append(_Joint(by, key, f"{known:.0%} of its cells are keys there", known, alike, is_plain))
            elif alike and not second.whole:
                found.append(_Joint(by, key, "named alike", known, alike, is_plain))
    return max(found, key=lambda one: (one.is_plain, one.is_alike, one.known), default=None)


def _spelled(cell: str) -> str:
    return re.sub(r"^'?([0-9]+)(?:\.0+)?$", r"\1", cell)


def _is_alike(by: str, key: str, file: str) -> bool:
    """Whether names mean the same: ``Customer ID`` twice, or ``customer_id`` and the ``id`` of ``customers.csv``."""
    stem = plain(Path(file).name.partition(".")[0]).removesuffix("s")
    own, other = plain(by.rpartition(".")[2] if by.count(".") else by), plain(key)
    whole = plain(by)
    others = {other, f"{stem} {other}"}
    is_id = bool(fit(by, "person")) and other in ("id", "reference id")
    return is_id or bool({own, whole, f"{own} id", f"{whole} id"} & others)
