"""``summary.json``: a run in one small file, for people's scripts.

This module owns what is in it and how it is encoded; ``schemas/summary.schema.json`` says the same to other programs.
Nothing secret may enter: an endpoint's user, password and query are left out, and so are the run's options.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import msgspec

import importer
from importer.model import Counts, RunSource, State
from importer.report.model import Facts, MappingSummary, SourceSummary, Summary, WrittenFile
from importer.report.tally import Tally
from importer.report.wording import iso

SHORTEST = 1.0
"""Seconds; two answers in one millisecond are not a thousand a second."""


@dataclass(frozen=True, slots=True)
class Books:
    """What the rows came to."""

    counts: Counts
    balanced: bool
    sources: Sequence[RunSource]
    tally: Tally
    without_originals: int


def summarise(facts: Facts, books: Books, files: tuple[WrittenFile, ...]) -> Summary:
    """Put a run's facts and books together."""
    tally = books.tally
    delivering = _between(tally.first_answer, tally.last_answer)
    return Summary(
        run=facts.run,
        state=facts.state,
        started_at=iso(facts.started_at),
        finished_at=iso(facts.finished_at),
        balanced=books.balanced,
        rows={"read": books.counts.read} | {state.value: books.counts[state] for state in State},
        account=facts.account,
        endpoint=_without_secrets(facts.endpoint),
        mapping=MappingSummary(facts.mapping_name, facts.mapping_digest),
        stop_reason=facts.stop_reason,
        seconds=_between(facts.started_at, facts.finished_at),
        seconds_delivering=delivering,
        events_per_second=_rate(tally.answers, delivering),
        sources=tuple(SourceSummary(s.source.name, s.rows, s.error) for s in books.sources),
        reasons=tally.reasons(),
        without_originals=books.without_originals,
        files=files,
        versions={"importer": importer.__version__, "python": platform.python_version()},
    )


def summary_bytes(summary: Summary) -> bytes:
    """The summary as indented JSON, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(max(0.0, end - start), 3)


def _rate(answers: int, seconds: float | None) -> float | None:
    """Between the first answer and the last lie one answer fewer than there are; a moment has no rate worth saying."""
    return None if seconds is None or seconds < SHORTEST else round((answers - 1) / seconds, 3)


def _without_secrets(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
