"""Advice for the reasons of a check or a run: lines that the real stages have tried on rows, and that helped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice

import pyarrow.compute as pc

from importer.convert import RowMapper
from importer.convert.lookups import Lookups
from importer.encode import encode
from importer.errors import ImporterError, MappingError
from importer.group import grouped
from importer.lookups import read_lookups
from importer.mapping.load import OWN, LoadedMapping, from_data, loads, preset_names
from importer.mapping.model import ImportMapping
from importer.model import Chunk, EncodedChunk, Events, Run, SourceStream, State
from importer.read import expand, open_source
from importer.report.model import MappingAdvice, ReasonSummary
from importer.suggest.advice import ADVISED, Advice, Context, Finding, alike, propose, written
from importer.suggest.decide import put
from importer.suggest.sampling import LIMITS, is_file
from importer.suggest.vocabulary import fit
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


@dataclass(frozen=True, slots=True)
class Trial:
    """What a mapping makes of some rows."""

    states: tuple[str, ...]
    """Of every row, in order."""
    bodies: tuple[bytes, ...]
    """The first events that would be sent."""
    findings: tuple[tuple[Finding, int], ...]
    """What rows break, and how many do; most frequent first."""
    context: Context

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
        faults, others = (sum(count for _, count in one.findings) for one in (self, other))
        return not lost and (self.invalid, faults) < (other.invalid, others)


def attempt(
    mapping: ImportMapping,
    chunks: Sequence[Chunk],
    columns: Iterable[str],
    *,
    strict: bool = False,
    lookups: Mapping[str, Lookups] | None = None,
) -> Trial:
    """Convert, group, validate and encode the chunks; ``columns`` are all that the file has."""
    encoded = list(_encoded(mapping, chunks, lookups, strict=strict)) if chunks else []
    states = tuple(state for one in encoded for state in one.states.to_pylist())
    bodies = (body for one in encoded for body in one.bodies.drop_null().slice(0, _SHOWN).to_pylist())
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
        (Finding(*at, tuple(values[at])[:_MOST_VALUES], is_common=count * 2 >= asked), count)
        for at, count in counts.most_common()
    )
    mapped = mapping.columns()
    unmapped = tuple(name for name in columns if name not in mapped)
    context = Context(phones=tuple(sorted(international)[:_MOST_VALUES]), unmapped=unmapped)
    return Trial(states, tuple(islice(bodies, _SHOWN)), findings, context)


def _encoded(
    mapping: ImportMapping, chunks: Sequence[Chunk], lookups: Mapping[str, Lookups] | None, *, strict: bool
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
    lookups = read_lookups(mapping, lambda _: None) if mapping.looked_up() else None
    first = best = attempt(mapping, rows, columns, strict=strict, lookups=lookups)
    now, taken = mapping, dict[tuple[str, str], Advice]()
    refused: set[str] = set()
    for _ in range(_MOST_ROUNDS):
        proposed = (
            (finding, advice)
            for finding, _ in best.findings
            if not (everywhere and finding.code == "subscriber.missing")
            and (advice := propose(now, finding, best.context)) is not None
            and advice.line not in refused
        )
        finding, advice = next(proposed, (None, None))
        if finding is None or advice is None:
            break
        refused.add(advice.line)
        others = list(alike(now, advice)) if everywhere else []
        for also in (others, []) if others else ([],):
            changed = _changed(now, [advice, *also])
            trial = attempt(changed, rows, columns, strict=strict, lookups=lookups) if changed is not None else best
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
        put(data, one.target, dict(one.pick))
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
