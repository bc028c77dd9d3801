"""A mapping for a file: inferred, tried on the file's first rows by the real stages, and changed where they say so.

This module owns that loop, and the questions put to the user in between. Inferring is ``suggest``'s, advice
``suggest.advice``'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import pyarrow.compute as pc

from importer.convert import RowMapper
from importer.encode import encode
from importer.errors import MappingError
from importer.group import grouped
from importer.mapping.load import loads
from importer.mapping.model import ImportMapping
from importer.model import Events, SourceStream, State
from importer.pipeline.sampling import ROWS, Sampled
from importer.read import Limits, Reader, open_source
from importer.suggest import CURRENCIES, NONE, Change, Decision, Inferred, Sample, infer
from importer.suggest.advice import Advice, Context, Finding, advise, alike, phone_for_want_of_email
from importer.validate import validate

_SHOWN = 3
_ROUNDS = 12
_MOST_VALUES = 200
Ask = Callable[[Decision], str]


@dataclass(frozen=True, slots=True)
class Trial:
    """What a mapping makes of the first rows."""

    rows: int
    valid: int
    """Rows that would be sent, or are part of what would be."""
    filtered: int
    """Rows that ``where`` leaves out."""
    bodies: tuple[bytes, ...]
    """The first events that would be sent."""
    findings: tuple[tuple[Finding, int], ...]
    """What rows break, and how many do; most frequent first."""
    context: Context

    def better_than(self, other: Trial) -> bool:
        """Whether more rows pass, or those that do not have fewer faults: some need several changes."""
        faults, others = (sum(count for _, count in one.findings) for one in (self, other))
        return (self.valid, -faults) > (other.valid, -others)


@dataclass(frozen=True, slots=True)
class Drafted:
    """A mapping, what was decided, and how it does."""

    inferred: Inferred
    trial: Trial


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the mapping is for."""

    sampled: Sampled
    name: str
    """The mapping's file."""
    command: str
    """How to check it."""


def draft(wanted: Wanted, ask: Ask | None, say: Callable[[str], None]) -> Drafted:
    """Infer, ask about what is unclear (if there is somebody to ask), try, and change.

    The mapping always loads. ``say`` hears why an answer cannot be taken.
    """
    answers: dict[str, str] = {}
    inferred = _infer(wanted, answers, {})
    while ask is not None and (question := _unclear(inferred, answers)) is not None:
        answer = ask(question)
        if question.target == "value_currency" and not _is_currency(answer, wanted.sampled.sample):
            say(f"{answer!r} is neither a column nor a currency code such as EUR")
            continue
        answers[question.target] = answer
        try:
            inferred = _infer(wanted, answers, {})
            loads(inferred.text, wanted.name)
        except MappingError as error:
            del answers[question.target]
            say("that cannot be: " + "; ".join(dict.fromkeys(problem.message for problem in error.problems)))
            inferred = _infer(wanted, answers, {})
    return _adapted(wanted, answers, inferred)


def _is_currency(answer: str, sample: Sample) -> bool:
    return answer == NONE or sample.column(answer) is not None or answer.upper() in CURRENCIES


def _infer(wanted: Wanted, answers: Mapping[str, str], changes: Mapping[str, Change]) -> Inferred:
    return infer(wanted.sampled.sample, answers, command=wanted.command, changes=changes)


def _unclear(inferred: Inferred, answers: Mapping[str, str]) -> Decision | None:
    open_ = (one for one in inferred.decisions if one.is_unsure and one.target not in answers)
    return next((one for one in open_ if one.others or one.takes_any), None)


def _adapted(wanted: Wanted, answers: Mapping[str, str], inferred: Inferred) -> Drafted:
    """Take every piece of advice that lets more rows through."""
    changes: dict[str, Change] = {}
    best = Drafted(inferred, _try(wanted, inferred.text))
    refused: set[str] = set()
    for _ in range(_ROUNDS):
        mapping = loads(best.inferred.text, wanted.name).mapping
        advice = _advice(mapping, best.trial, refused)
        if advice is None:
            break
        refused.add(advice.line)
        one = {advice.target: Change(advice.pick, advice.why)}
        several = one | {other.target: Change(other.pick, other.why) for other in alike(mapping, advice)}
        for changed in (changes | several, changes | one) if len(several) > 1 else (changes | one,):
            tried = _tried(wanted, answers, changed)
            if tried is not None and tried.trial.better_than(best.trial):
                changes, best = changed, tried
                break
    return _without_bad_phones(wanted, answers, changes, best)


def _without_bad_phones(
    wanted: Wanted, answers: Mapping[str, str], changes: Mapping[str, Change], best: Drafted
) -> Drafted:
    """Phones that no advice has mended refuse no row that has an e-mail."""
    if not any(finding.code.startswith("phone.") for finding, _ in best.trial.findings):
        return best
    advice = phone_for_want_of_email(loads(best.inferred.text, wanted.name).mapping)
    if advice is None:
        return best
    tried = _tried(wanted, answers, {**changes, advice.target: Change(advice.pick, advice.why)})
    return tried if tried is not None and tried.trial.better_than(best.trial) else best


def _tried(wanted: Wanted, answers: Mapping[str, str], changes: Mapping[str, Change]) -> Drafted | None:
    """The mapping with these changes; None where the preset's other words forbid them."""
    inferred = _infer(wanted, answers, changes)
    try:
        loads(inferred.text, wanted.name)
    except MappingError:
        return None
    return Drafted(inferred, _try(wanted, inferred.text))


def _advice(mapping: ImportMapping, trial: Trial, refused: set[str]) -> Advice | None:
    for finding, _ in trial.findings:
        if finding.code == "subscriber.missing":
            continue  # whom an event is about was decided; another address may be the shop's own
        advice = advise(mapping, finding, trial.context)
        if advice is not None and advice.line not in refused:
            return advice
    return None


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    valid: int = 0
    filtered: int = 0
    bodies: list[bytes] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    values: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    phones: set[str] = field(default_factory=set)


def _try(wanted: Wanted, text: str) -> Trial:
    """Run the first rows through the real stages."""
    mapping = loads(text, wanted.name).mapping
    sampled = wanted.sampled
    seen = _Tally()
    with open_source(sampled.input, mapping.source, Limits(block=1 << 20, rows=ROWS)) as reader:
        shaper = RowMapper(mapping)
        sources: Iterator[SourceStream[Events]] = iter(
            [SourceStream(reader.source, _first(reader, mapping, shaper), partial(str, ""))]
        )
        if mapping.group_by is not None:
            sources = grouped(sources, mapping, shaper.absent())
        for source in sources:
            for events in source.chunks:
                _count(seen, events)
    columns = [column.name for column in sampled.sample.columns]
    asked = seen.rows - seen.filtered
    findings = [
        (Finding(code, field, tuple(seen.values[code, field]), is_common=count * 2 >= asked), count)
        for (code, field), count in seen.counts.most_common()
    ]
    unmapped = tuple(name for name in columns if name not in mapping.columns())
    context = Context(phones=tuple(sorted(seen.phones)[:_MOST_VALUES]), unmapped=unmapped)
    return Trial(seen.rows, seen.valid, seen.filtered, tuple(seen.bodies), tuple(findings), context)


def _first(reader: Reader, mapping: ImportMapping, shaper: RowMapper) -> Iterator[Events]:
    rows = 0
    with closing(reader.chunks(mapping.columns(), raw_rows=False)) as chunks:  # type: ignore[type-var]  # a generator
        for chunk in chunks:
            yield shaper(chunk)
            rows += chunk.count
            if rows >= ROWS:
                return


def _count(seen: _Tally, events: Events) -> None:
    prepared = encode(events, validate(events, strict=False))
    seen.rows += prepared.count
    states = Counter(prepared.states.to_pylist())
    seen.valid += states[State.PENDING] + states[State.GROUPED]
    seen.filtered += states[State.FILTERED]
    bodies = prepared.bodies.drop_null()
    seen.bodies += bodies.slice(0, max(0, _SHOWN - len(seen.bodies))).to_pylist()
    for reason in prepared.reasons.to_pylist():
        at = reason["code"], reason["field"]
        seen.counts[at] += 1
        values = seen.values.setdefault(at, {})
        if len(values) < _MOST_VALUES:
            values[reason["value"]] = None
    if len(seen.phones) < _MOST_VALUES:
        phones = prepared.identities[2].drop_null()
        seen.phones.update(pc.unique(phones.filter(pc.starts_with(phones, "+"))).to_pylist())
