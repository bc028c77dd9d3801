"""A mapping tried on rows by the real stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow.compute as pc

from importer.convert import RowMapper
from importer.convert.lookups import Lookups
from importer.encode import encode
from importer.group import grouped
from importer.mapping.model import ImportMapping
from importer.model import Chunk, EncodedChunk, Events, SourceStream, State
from importer.suggest.advice import Context, Finding
from importer.validate import fitted, validate

_SHOWN = 3
_MOST_VALUES = 200


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


@dataclass(slots=True)
class _Seen:
    states: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    values: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    phones: set[str] = field(default_factory=set)

    def add(self, prepared: EncodedChunk) -> None:
        self.states += prepared.states.to_pylist()
        bodies = prepared.bodies.drop_null()
        self.bodies += bodies.slice(0, max(0, _SHOWN - len(self.bodies))).to_pylist()
        for reason in prepared.reasons.to_pylist():
            if reason["code"].startswith("filtered."):
                continue
            at = reason["code"], reason["field"]
            self.counts[at] += 1
            values = self.values.setdefault(at, {})
            if len(values) < _MOST_VALUES:
                values[reason["value"]] = None
        if len(self.phones) < _MOST_VALUES:
            phones = prepared.identities[2].drop_null()
            self.phones.update(pc.unique(phones.filter(pc.starts_with(phones, "+"))).to_pylist())


def attempt(
    mapping: ImportMapping,
    chunks: Sequence[Chunk],
    columns: Iterable[str],
    *,
    strict: bool = False,
    lookups: Mapping[str, Lookups] | None = None,
) -> Trial:
    """Convert, group, validate and encode the chunks; ``columns`` are all that the file has."""
    seen = _Seen()
    convert = RowMapper(mapping, lookups)
    if chunks:
        stream = SourceStream(chunks[0].source, map(convert, chunks), partial(str, ""), threaded=False)
        sources: Iterator[SourceStream[Events]] = iter([stream])
        if mapping.group_by is not None:
            sources = grouped(sources, mapping, convert.absent())
        for source in sources:
            for events in source.chunks:
                seen.add(_prepared(events, strict=strict))
    asked = len(seen.states) - seen.states.count(State.FILTERED)
    findings = tuple(
        (Finding(code, at, tuple(seen.values[code, at]), is_common=count * 2 >= asked), count)
        for (code, at), count in seen.counts.most_common()
    )
    mapped = mapping.columns()
    unmapped = tuple(name for name in columns if name not in mapped)
    context = Context(phones=tuple(sorted(seen.phones)[:_MOST_VALUES]), unmapped=unmapped)
    return Trial(tuple(seen.states), tuple(seen.bodies), findings, context)


def _prepared(events: Events, *, strict: bool) -> EncodedChunk:
    events = fitted(events)
    return encode(events, validate(events, strict=strict))
