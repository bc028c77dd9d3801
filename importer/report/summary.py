"""``summary.json``: a run in one small file, for scripts.

Nothing secret enters: an endpoint's user, password and query are left out, and so are the run's options.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import msgspec

import importer
from importer.ledger.imports import Imports
from importer.model import Counts, Run, RunSource, State
from importer.report.model import ImportTotal, MappingSummary, RunInfo, SourceSummary, Summary, WrittenFile
from importer.report.totals import Totals
from importer.wording import iso

_SHORTEST = 1.0
"""Seconds; two answers in one millisecond are not a thousand a second."""


@dataclass(frozen=True, slots=True)
class Books:
    """What the rows came to."""

    counts: Counts
    balanced: bool
    sources: Sequence[RunSource]
    without_originals: int
    import_total: ImportTotal | None = None


def summarise(info: RunInfo, books: Books, totals: Totals, files: tuple[WrittenFile, ...]) -> Summary:
    """Put what is known of a run and its rows together."""
    delivering = _between(totals.first_answer, totals.last_answer)
    reasons = totals.reasons()
    warnings: dict[str, int] = {}
    for reason in reasons:
        if reason.severity == "warning":
            warnings[reason.code] = warnings.get(reason.code, 0) + reason.count
    return Summary(
        run=info.run,
        state=info.state,
        started_at=iso(info.started_at),
        finished_at=iso(info.finished_at),
        balanced=books.balanced,
        rows=counts_by_name(books.counts),
        account=info.account,
        endpoint=_without_secrets(info.endpoint),
        mapping=MappingSummary(info.mapping_name, info.mapping_digest),
        stop_reason=info.stop_reason,
        seconds=_between(info.started_at, info.finished_at),
        seconds_delivering=delivering,
        events_per_second=_rate(totals.answers, delivering),
        sources=tuple(_source(one) for one in books.sources),
        reasons=reasons,
        warnings=warnings,
        filters=totals.filters(),
        totals=totals.money(),
        without_originals=books.without_originals,
        files=files,
        versions={"importer": importer.__version__, "python": platform.python_version()},
        import_total=books.import_total,
    )


def import_total(ledger: Imports, run: Run) -> ImportTotal | None:
    """The import that the run is part of; None where no other run is."""
    runs = ledger.import_of(run)
    return ImportTotal(tuple(one.id for one in runs), counts_by_name(ledger.import_counts(runs))) if runs[1:] else None


def counts_by_name(counts: Counts) -> dict[str, int]:
    """``read`` and every state by its name."""
    return {"read": counts.read} | {state.value: counts[state] for state in State}


def summary_bytes(summary: Summary) -> bytes:
    """The summary as indented JSON, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


def _source(one: RunSource) -> SourceSummary:
    dialect = one.source.dialect
    form = "xlsx" if dialect.sheet else dialect.format
    encoding = "" if form in ("parquet", "xlsx") else dialect.encoding
    return SourceSummary(one.source.name, one.rows, one.error, form, encoding)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(max(0.0, end - start), 3)


def _rate(answers: int, seconds: float | None) -> float | None:
    """Between the first answer and the last are one answer fewer than there are; a moment has no rate worth saying."""
    return None if seconds is None or seconds < _SHORTEST else round((answers - 1) / seconds, 3)


def _without_secrets(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
