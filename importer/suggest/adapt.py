"""A file whose platform is recognised by its header: the platform's preset, and what the file asks to be adapted.

This module owns that choice, and the words that the preset leaves to each file. Recognising is ``mapping.recognise``'s;
presets are YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from importer.mapping.checks import ORDERS
from importer.mapping.columns import check_columns
from importer.mapping.model import ImportMapping, Pick
from importer.mapping.presets import load_preset, recognise
from importer.suggest.decide import NONE, Deciding, Option
from importer.suggest.numbers import CURRENCY_OF_SIGN
from importer.suggest.roles import CURRENCIES, Looked, Roles
from importer.suggest.sample import Sample
from importer.suggest.times import Times, decide_date_order, decide_zone

_GUESSED = "EUR"
_GRAVE = ("group_by", "order_by", "key", "subscriber.email", "type", "value", "value_currency")


@dataclass
class Adapted:
    """A mapping that extends a preset."""

    preset: str
    deciding: Deciding
    words: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def adapt(sample: Sample, answers: Mapping[str, str]) -> Adapted | None:
    """The preset that fits best, if the user does not say otherwise; None where none does."""
    found = recognise(column.name for column in sample.columns) if sample.has_header else []
    if not found:
        return None
    deciding = Deciding(answers)
    options = [Option(name, sure, _why(name, sample)) for name, sure in found]
    options.append(Option(NONE, 0.1, "no preset: infer everything from the rows"))
    name = deciding.choose("preset", "The platform's preset", options)
    if name == NONE:
        return None
    adapted = Adapted(name, deciding, {"version": 1, "extends": name})
    preset = load_preset(name)
    adapted.notes["extends"] = [
        deciding.note("preset"),
        f"`importer presets {name}` shows what it says; what stands below takes the place of its words",
    ]
    if sample.skip_lines:
        adapted.words["source"] = {"skip_lines": sample.skip_lines}
    if preset.mapping.about:
        adapted.notes["version"] = [preset.mapping.about]
    _add_needs(adapted, sample, preset.mapping)
    _add_times(adapted, sample, preset.mapping)
    _tell_lacks(adapted, sample, preset.mapping)
    return adapted


def _tell_lacks(adapted: Adapted, sample: Sample, preset: ImportMapping) -> None:
    """What the file does without; a look is asked for if it is whom an event is about, its value, key or time."""
    lacks = check_columns(preset, [column.name.strip() for column in sample.columns])
    if not lacks:
        return
    if preset.missing_columns == "refuse":
        adapted.words["missing_columns"] = "warn"
    names = ", ".join(one.name for one in lacks)
    adapted.notes["extends"].append(f"the file lacks columns that the preset knows, which stay blank: {names}")
    grave = []
    for one in lacks:
        if targets := [target for target in one.targets if target in _GRAVE]:
            meant = f" (is it {one.nearest}?)" if one.nearest else ""
            grave.append(f"{one.name} for {' and '.join(targets)}{meant}")
    if grave:
        why = f"the file lacks {'; '.join(grave)}: a line of the mapping can say where it is"
        adapted.deciding.choose("columns", "Columns that the file lacks", [Option("stay blank", 0.5, why)])
        adapted.notes["extends"].append(adapted.deciding.note("columns"))


def _why(name: str, sample: Sample) -> str:
    marks = load_preset(name).mapping.recognised_by
    return f"the header has the columns of {name} ({len(marks)} of which identify it, among {len(sample.columns)})"


def _add_needs(adapted: Adapted, sample: Sample, preset: ImportMapping) -> None:
    """Words that the export does not tell."""
    for word, why in preset.needs.items():
        if word == "value_currency":
            options = [*_currencies(Roles(sample).columns, why), Option(_GUESSED, 0.2, f"a mere guess: {why}")]
            code = adapted.deciding.choose(word, "The currency of the values, such as EUR", options, takes_any=True)
            adapted.words[word] = _currency(code.upper(), preset.value, sample)
        else:
            columns = [Option(one.name, 0.1, f"a mere guess: {why}") for one in sample.columns[:3]]
            adapted.words[word] = adapted.deciding.choose(word, f"The column for `{word}`", columns)
        adapted.notes[word] = [adapted.deciding.note(word)]


def _add_times(adapted: Adapted, sample: Sample, mapping: ImportMapping) -> None:
    """How the file writes day and month, where that is not what the preset expects; and the zone of its times."""
    columns = Roles(sample, hinted=True).columns
    for target, pick in mapping.picks():
        if pick.as_ not in ("date", "datetime") and (target != "order_by" or pick.as_ is not None):
            continue
        times = _written(pick, columns)
        if times is None:
            continue
        new, whys = _order(adapted, times, pick)
        if pick.timezone is None and not times.zoned and not times.dates and pick.as_ != "date":
            zone = decide_zone(adapted.deciding)
            new |= {"timezone": zone} if zone != NONE else {}
            whys.append(adapted.deciding.note("time zone"))
        if new:
            _put(adapted, target, pick.model_dump(mode="json", by_alias=True, exclude_defaults=True) | new)
        adapted.notes.setdefault(target if new else "extends", []).extend(
            why for why in whys if new or why not in adapted.notes["extends"]
        )


def _written(pick: Pick, columns: Sequence[Looked]) -> Times | None:
    """How the first of a pick's columns that holds times writes them."""
    names = pick.own_columns()
    found = [one.times for name in names for one in columns if one.name == name and one.times is not None]
    clocks = any(one.clocks == 1 for one in columns if one.name in names)
    return replace(found[0], dates=found[0].dates and not clocks) if found else None


def _order(adapted: Adapted, times: Times, pick: Pick) -> tuple[dict[str, Any], list[str]]:
    """The `format` to say, and why; empty where the preset's own reads the file."""
    said = [pick.format] if isinstance(pick.format, str) else list(pick.format or ())
    if times.format not in ORDERS or times.format in said or times.other in said:
        # A preset's own order is taken where the cells allow both.
        return {}, []
    form = decide_date_order(adapted.deciding, times) if times.other else times.format
    others = [one for one in said if one not in ORDERS]
    instead = "the preset's order" if said else "ISO 8601"
    why = adapted.deciding.note("date order") if times.other else f"the dates are written as {form}, not {instead}"
    return {"format": [*others, form] if others else form}, [why]


def _put(adapted: Adapted, target: str, pick: dict[str, Any]) -> None:
    word, _, name = target.partition(".")
    if name:
        adapted.words.setdefault(word, {})[name] = pick
    else:
        adapted.words[word] = pick


def _currency(code: str, value: Pick | None, sample: Sample) -> dict[str, Any]:
    """The code; only beside a value, where some rows have none."""
    column = sample.column(value.column or "") if value is not None and value.aggregate is None else None
    if column is None or column.is_full:
        return {"const": code}
    return {"template": f"{{{column.name}}} {code}", "extract": f"{code}$"}


def _currencies(columns: list[Looked], why: str) -> list[Option]:
    """What signs before amounts say of the currency."""
    signs = {one.numbers.sign for one in columns if one.numbers is not None and one.numbers.sign}
    found = [CURRENCY_OF_SIGN[sign] for sign in signs if sign in CURRENCY_OF_SIGN]
    return [
        Option(code, 0.6 if code in ("USD", "JPY") else 0.85, f"amounts have its sign; {why}")
        for code in found
        if code in CURRENCIES
    ]
