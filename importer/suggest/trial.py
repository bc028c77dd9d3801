"""A mapping tried on rows by the real stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

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
        (Finding(code, at, tuple(values[code, at])[:_MOST_VALUES], is_common=count * 2 >= asked), count)
        for (code, at), count in counts.most_common()
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
