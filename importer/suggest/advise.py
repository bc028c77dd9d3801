"""Advice for the reasons of a check or a run: lines that the real stages have tried on rows, and that helped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import islice
from typing import Any

import msgspec
import pyarrow.compute as pc

from importer.convert import RowMapper
from importer.convert.lookups import Lookups
from importer.encode import encode
from importer.errors import ImporterError, MappingError
from importer.group import grouped
from importer.lookups import read_lookups
from importer.mapping.checks import ORDERS
from importer.mapping.load import OWN, LoadedMapping, from_data, loads, preset_names
from importer.mapping.model import ImportMapping, Subscriber, ValueMapping
from importer.model import Chunk, EncodedChunk, Events, Run, SourceStream, State
from importer.read import expand, open_source
from importer.report.model import MappingAdvice, ReasonSummary
from importer.suggest.decide import flow, put, scalar
from importer.suggest.fields import country_of
from importer.suggest.profile import CURRENCY_OF_SIGN, NumberStyle, as_numbers, as_times
from importer.suggest.sampling import LIMITS, is_file
from importer.suggest.vocabulary import fit, is_nothing, meant
from importer.validate import fitted, validate

_SHOWN = 3
_MOST_VALUES = 200
_MOST_ROUNDS = 12
_MOST_CHUNKS = 8
"""Chunks of rows that lines are tried on: the first, and those with the first row of each reason."""


def advise(
    arguments: Sequence[str], loaded: LoadedMapping, reasons: Sequence[ReasonSummary], *, strict: bool = False
) -> tuple[MappingAdvice | None, ...]:
    """For each reason the line that lets rows with it through, tried; None where there is none.

    ``arguments`` name the sources, which are read again as far as the first row of each reason.
    """
    found: Mapping[tuple[str, str], Advice] = {}
    if any(one.code in ADVISED for one in reasons):
        read = _chunks(arguments, loaded.mapping, reasons)
        columns = tuple(dict.fromkeys(name for chunk in read for name in chunk.source.columns or ()))
        _, found = improved(loaded.mapping, read, columns, strict=strict)
    lines = (found.get((one.code, one.field)) for one in reasons)
    return tuple(None if line is None else _placed(line, loaded) for line in lines)


def advise_run(run: Run, reasons: Sequence[ReasonSummary]) -> tuple[MappingAdvice | None, ...]:
    """The same for a run, whose sources are read again where they still are."""
    options = run.options
    if not options.get("transform"):  # what the user's function makes of the cells, no line of the mapping can know
        with suppress(Exception):  # advice never costs a report
            loaded = loads(run.mapping_text, run.mapping_name)
            return advise(options.get("sources", ()), loaded, reasons, strict=bool(options.get("strict")))
    return (None,) * len(reasons)


_Words = tuple[str, dict[str, Any]]
"""What the cells have in common, and the keys of a value mapping that help."""


class Finding(msgspec.Struct, frozen=True):
    """Rows that break one rule at one target."""

    code: str
    field: str
    values: tuple[str, ...]
    """Distinct offending cells, some of them at least; one that ends in an ellipsis was cut."""
    is_common: bool = True
    """Whether half of all rows have it, or more."""
    rows: int = 1


class Trial(msgspec.Struct, frozen=True):
    """What a mapping makes of some rows."""

    states: tuple[str, ...]
    """Of every row, in order."""
    bodies: tuple[bytes, ...]
    """The first events that would be sent."""
    findings: tuple[Finding, ...]
    """What rows break, most frequent first."""
    phones: tuple[str, ...]
    """Some that are valid."""
    unmapped: tuple[str, ...]
    """Columns that nothing maps."""

    @property
    def rows(self) -> int:
        """How many were tried."""
        return len(self.states)

    @property
    def invalid(self) -> int:
        """Rows that break a rule."""
        return self.states.count(State.INVALID)

    @property
    def filtered(self) -> int:
        """Rows that ``where`` leaves out."""
        return self.states.count(State.FILTERED)

    def is_better_than(self, other: Trial) -> bool:
        """Whether fewer rows are invalid, and none that was valid is; or as many, with fewer faults each."""
        lost = any(now == State.INVALID != before for now, before in zip(self.states, other.states, strict=True))
        faults, others = (sum(finding.rows for finding in one.findings) for one in (self, other))
        return not lost and (self.invalid, faults) < (other.invalid, others)


def _attempt(
    mapping: ImportMapping,
    chunks: Sequence[Chunk],
    columns: Iterable[str],
    lookups: Mapping[str, Lookups],
    strict: bool,
) -> Trial:
    """Convert, group, validate and encode the chunks; ``columns`` are all that the file has."""
    encoded = list(_encoded(mapping, chunks, lookups, strict)) if chunks else []
    states = tuple(state for one in encoded for state in one.rows["state"].to_pylist())
    bodies = (body for one in encoded for body in one.rows["body"].drop_null().slice(0, _SHOWN).to_pylist())
    phones = [one.identities[2].drop_null() for one in encoded]
    international = {phone for one in phones for phone in one.filter(pc.starts_with(one, "+")).to_pylist()}
    counts: Counter[tuple[str, str]] = Counter()
    values: dict[tuple[str, str], dict[str, None]] = {}
    for reason in (reason for one in encoded for reason in one.reasons.to_pylist()):
        if not reason["code"].startswith("filtered."):
            at = reason["code"], reason["field"]
            counts[at] += 1
            values.setdefault(at, {})[reason["value"]] = None
    asked = len(states) - states.count(State.FILTERED)
    findings = tuple(
        Finding(*at, tuple(values[at])[:_MOST_VALUES], is_common=count * 2 >= asked, rows=count)
        for at, count in counts.most_common()
    )
    mapped = mapping.columns()
    unmapped = tuple(name for name in columns if name not in mapped)
    return Trial(states, tuple(islice(bodies, _SHOWN)), findings, tuple(sorted(international)[:_MOST_VALUES]), unmapped)


def _encoded(
    mapping: ImportMapping, chunks: Sequence[Chunk], lookups: Mapping[str, Lookups], strict: bool
) -> Iterator[EncodedChunk]:
    convert = RowMapper(mapping, lookups)
    stream = SourceStream(chunks[0].source, map(convert, chunks), partial(str, ""), threaded=False)
    sources: Iterator[SourceStream[Events]] = iter([stream])
    if mapping.group_by is not None:
        sources = grouped(sources, mapping, convert.absent())
    for source in sources:
        for events in map(fitted, source.chunks):
            yield encode(events, validate(events, strict=strict))


def improved(
    mapping: ImportMapping,
    rows: Sequence[Chunk],
    columns: Sequence[str],
    *,
    everywhere: bool = False,
    strict: bool = False,
) -> tuple[Trial, Mapping[tuple[str, str], Advice]]:
    """Change a mapping, line by line, as long as fewer rows are invalid afterwards and none more.

    ``everywhere`` also writes all amounts in one way, and takes no other address than those of the mapping. Returns how
    the mapping does, and the changes that help, each by the code and field of the reason that it is for.
    """
    lookups = read_lookups(mapping, lambda _: None) if mapping.looked_up() else {}
    attempt = partial(_attempt, chunks=rows, columns=columns, lookups=lookups, strict=strict)
    first = best = attempt(mapping)
    now, taken = mapping, dict[tuple[str, str], Advice]()
    refused: set[str] = set()
    for _ in range(_MOST_ROUNDS):
        proposed = (
            (finding, advice)
            for finding in best.findings
            if not (everywhere and finding.code == "subscriber.missing")
            and (advice := propose(now, finding, phones=best.phones, unmapped=best.unmapped)) is not None
            and advice.line not in refused
        )
        finding, advice = next(proposed, (None, None))
        if finding is None or advice is None:
            break
        refused.add(advice.line)
        others = list(alike(now, advice)) if everywhere else []
        for also in (others, []) if others else ([],):
            changed = _changed(now, [advice, *also])
            trial = attempt(changed) if changed is not None else best
            if changed is not None and trial.is_better_than(best):
                now, best = changed, trial
                taken |= {(finding.code, finding.field): advice} | {("", one.target): one for one in also}
                break
    return (best, taken) if best.invalid < first.invalid else (first, {})


def _changed(mapping: ImportMapping, changes: Sequence[Advice]) -> ImportMapping | None:
    """The mapping with other value mappings; None where its other words forbid them."""
    data = written(mapping)
    for word in OWN:
        data.pop(word, None)
    for one in changes:
        put(data, one.target, dict(one.value))
    try:
        return from_data({"version": 1, **data})
    except MappingError:
        return None


def _chunks(arguments: Sequence[str], mapping: ImportMapping, reasons: Sequence[ReasonSummary]) -> list[Chunk]:
    """The first rows, and those around the first row of each reason."""
    wanted = {(one.example.source, one.example.row) for one in reasons if one.code in ADVISED}
    found: list[Chunk] = []
    for each in expand(arguments):
        if not is_file(each):
            continue  # a stream cannot be read twice
        if found and not any(source == each.name or source.startswith(f"{each.name}/") for source, _ in wanted):
            continue
        with (
            suppress(ImporterError),
            open_source(each, mapping.source, LIMITS, columns=mapping.columns(), each=mapping.each) as reader,
        ):
            rows = {row for source, row in wanted if source == reader.source.name}
            header = reader.source.columns or ()
            others = [name for name in header if header.count(name) == 1 and (fit(name, "email") or fit(name, "phone"))]
            names = tuple(dict.fromkeys((*mapping.columns(), *others)))
            with closing(reader.chunks(names, raw_rows=False)) as read:
                for chunk in read:
                    here = {row for row in rows if chunk.first_row <= row < chunk.first_row + chunk.count}
                    rows -= here
                    if here or not found:
                        found.append(chunk)
                    if not rows or len(found) >= _MOST_CHUNKS:
                        break
    return found


def _placed(advice: Advice, loaded: LoadedMapping) -> MappingAdvice:
    """Where to write it: over the line that says it now, or into the mapping that extends another."""
    if loaded.name in preset_names():
        place = f"a mapping of your own that begins with `extends: {loaded.name}`"
        return MappingAdvice(advice.why, advice.restated(loaded.mapping), place)
    at = loaded.places.get(advice.target)
    if at is not None and at.file == loaded.name:
        return MappingAdvice(advice.why, advice.line, f"{at.file}, line {at.line}")
    if at is None and not loaded.mapping.extends:
        word = advice.target.partition(".")[0]
        return MappingAdvice(advice.why, advice.line, f"{loaded.name}, below `{word}`")
    return MappingAdvice(advice.why, advice.restated(loaded.mapping), f"{loaded.name}, over what it extends")


class Advice(msgspec.Struct, frozen=True):
    """What to write instead."""

    why: str
    """What the cells have in common."""
    target: str
    """``value``, ``subscriber.phone``, ``properties.total`` …"""
    value: Mapping[str, Any]
    """The new value mapping, as YAML would have it."""

    @property
    def line(self) -> str:
        """The line of the mapping, such as ``value: {column: Total, decimal: ","}``."""
        return f"{scalar(self.target.partition('.')[2] or self.target)}: {flow(self.value)}"

    def restated(self, mapping: ImportMapping) -> str:
        """The line of a mapping that extends ``mapping``: `subscriber` is replaced whole, properties one by one."""
        word, _, name = self.target.partition(".")
        if not name:
            return self.line
        others = written(mapping.subscriber) if word == "subscriber" else {}
        return f"{word}: {flow({**others, name: self.value})}"


def propose(
    mapping: ImportMapping, finding: Finding, *, phones: Sequence[str] = (), unmapped: Sequence[str] = ()
) -> Advice | None:
    """The change that could help; None where the cells leave a choice.

    ``phones`` are some that are valid, ``unmapped`` the columns that nothing maps. Only lines that make every cell at
    hand readable in one way are proposed, and none cuts a part out of a cell.
    """
    if finding.code == "subscriber.missing":
        return _another_address(mapping, unmapped)
    mapped, rule = dict(mapping.fields()).get(finding.field), _RULES.get(finding.code)
    if mapped is None or mapped.const is not None or mapped.product_of is not None or not finding.values:
        return None
    found: _Words | None = None
    if finding.code == "phone.no_country":
        country = country_of(phones)
        found = (f"all phones that have a country code are from {country}", {"country": country}) if country else None
    elif finding.code in ADVISED and len(finding.values) <= 5 and all(map(is_nothing, finding.values)):
        found = "these words mean no value", {"map": {**(mapped.map or {}), **dict.fromkeys(finding.values)}}
    elif rule is not None:
        found = rule(mapped, finding)
    if found is None:
        return None
    why, words = found
    if not finding.is_common and {"dmy", "mdy"} <= {*formats_of(mapped), *formats_of(words)}:
        return None  # no format reads a column of both orders
    if not finding.is_common and words.get("format") in ORDERS:
        # Without a format the others are ISO 8601, which is `ymd` too.
        words = words | {"format": ["ymd", words["format"]]}
    return Advice(why, finding.field, written(mapped) | words)


def alike(mapping: ImportMapping, advice: Advice) -> Iterator[Advice]:
    """The same for the other amounts: a file writes all of them in one way, also those that no row at hand shows."""
    style = {word: advice.value[word] for word in ("decimal", "thousands") if word in advice.value}
    for target, mapped in mapping.fields() if style else ():
        is_amount = target == "value" or mapped.as_ == "number"
        if target != advice.target and is_amount and mapped.const is None and mapped.product_of is None:
            said = {word: one for word, one in written(mapped).items() if word not in ("decimal", "thousands")}
            yield Advice(f"as for {advice.target}, {advice.why}", target, said | style)


def written(said: ValueMapping | Subscriber | ImportMapping) -> dict[str, Any]:
    """The keys, as a file has them."""
    keys: dict[str, Any] = said.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return keys


def formats_of(said: ValueMapping | Mapping[str, Any]) -> list[str]:
    """The ways to write times that a value mapping names."""
    found = said.format if isinstance(said, ValueMapping) else said.get("format")
    return [found] if isinstance(found, str) else list(found or ())


def _number(mapped: ValueMapping, finding: Finding) -> _Words | None:
    del mapped
    read = as_numbers(finding.values, money=finding.field == "value")
    if read is None or read.share < 1 or read.other is not None:
        return None
    if finding.code == "property.not_an_integer" and not read.whole:
        return "the values are numbers, but not whole ones", {"as": "number", **read.style.words()}
    plain = read.style == NumberStyle()
    return None if plain else (f"the values are written like {read.style.example()}", read.style.words())


def _date(mapped: ValueMapping, finding: Finding) -> _Words | None:
    read = as_times(finding.values, hinted=True)
    if read is None or read.share < 1 or read.other or not read.format:
        return None
    # A column has one order: with two, 03/04 would be read as the first says.
    had = [one for one in formats_of(mapped) if not {one, read.format} <= set(ORDERS)]
    named = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day", "s": "seconds since 1970",
             "ms": "milliseconds since 1970", "us": "microseconds since 1970"}  # fmt: skip
    why = f"the values are written as {named.get(read.format, read.format)}"
    return why, {"format": [*had, read.format] if had else read.format}


def _boolean(mapped: ValueMapping, finding: Finding) -> _Words | None:
    words = {value: meant(value) for value in finding.values}
    if len(words) > 10 or any(value is None and not is_nothing(word) for word, value in words.items()):
        return None
    return "other words are used for true and false", {"map": {**(mapped.map or {}), **words}}


def _currency(mapped: ValueMapping, finding: Finding) -> _Words | None:
    signs = {value: CURRENCY_OF_SIGN.get(value) for value in finding.values}
    is_clear = all(signs.values()) and not {"$", "¥"} & signs.keys()
    return ("signs mean codes", {"map": {**(mapped.map or {}), **signs}}) if is_clear else None


def _another_address(mapping: ImportMapping, unmapped: Sequence[str]) -> Advice | None:
    """A column that is named like the person's address, and that nothing maps."""
    for role in ("email", "phone"):
        mapped = getattr(mapping.subscriber, role)
        found = [one for one in unmapped if fit(one, role)]
        if found and (mapped is None or not mapped.const):
            why = f"nothing maps the column {found[0]}, which may have what these rows lack"
            had = [] if mapped is None else (mapped.first_of and written(mapped)["first_of"]) or [written(mapped)]
            new: dict[str, Any] = {"first_of": [*had, {"column": found[0]}]} if had else {"column": found[0]}
            country = had[0].pop("country", None) if len(had) == 1 else mapped and mapped.country
            return Advice(why, f"subscriber.{role}", new | ({"country": country} if isinstance(country, str) else {}))
    return None


_RULES: Mapping[str, Callable[[ValueMapping, Finding], _Words | None]] = {
    "value.not_a_number": _number,
    "property.not_a_number": _number,
    "property.not_an_integer": _number,
    "property.not_a_date": _date,
    "property.ambiguous_date": _date,
    "order_by.ambiguous_date": _date,
    "order_by.invalid": _date,
    "property.not_a_boolean": _boolean,
    "currency.unknown": _currency,
    "property.nested": lambda *_: ("its JSON can be sent as text", {"as": "text"}),
}
ADVISED = frozenset(_RULES) | {"subscriber.missing", "phone.no_country", "phone.invalid", "email.invalid"}
"""Codes of reasons that a line of the mapping may help with."""
