"""The types of the report's room: what is asked for, and what was written.

This module owns the shape of ``summary.json`` (`Summary`, checked against ``schemas/summary.schema.json``) and leaves
filling it to ``tally`` and ``write``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from importer.model import Counts, Format, Run
from importer.report.check_model import CheckSummary, MappingAdvice

CHECK = "check"
"""What stands for a run's id in the outputs of `importer check`."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What to write, and where."""

    out: Path
    """The directory; made, for its owner alone, if it is missing."""
    format: Format = "csv"
    """Of the report. Rejects keep their sources' formats."""
    rejects: bool = True
    """Whether to write the rows that were not delivered into files of their own."""
    place: str | None = None
    """The options by which a command finds the run again; None: those of its account and endpoint."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run besides its rows. Times are seconds since the epoch."""

    run: str
    state: str
    account: str
    endpoint: str
    mapping_name: str
    mapping_digest: str
    started_at: float | None = None
    finished_at: float | None = None
    stop_reason: str = ""
    mapping_text: str = ""
    """As it was read; shown on the page only."""
    transform: str = ""
    """``file.py:function``, where the run had one."""
    place: str = ""
    """The options by which a command finds the run again."""

    @classmethod
    def of_run(cls, run: Run) -> Facts:
        """A run as the ledger remembers it."""
        return cls(
            run=run.id,
            state=run.state.value,
            account=run.account,
            endpoint=run.endpoint,
            mapping_name=run.mapping_name,
            mapping_digest=run.mapping_digest,
            started_at=run.started_at,
            finished_at=run.finished_at,
            stop_reason=run.stop_reason,
            mapping_text=run.mapping_text,
            transform=run.options.get("transform", ""),
        )


@dataclass(frozen=True, slots=True)
class Example:
    """The first row that a reason was found in."""

    source: str
    row: int
    line: int
    value: str
    """The offending value, or the API's words."""


@dataclass(frozen=True, slots=True)
class ReasonSummary:
    """One reason code at one field, over the whole run."""

    code: str
    severity: str
    """``error`` or ``warning``."""
    field: str
    count: int
    """Rows that have it."""
    message: str
    """The wording, for the example."""
    fix: str
    example: Example
    advice: MappingAdvice | None = None
    """What to change in the mapping; None where the rows are at fault, and for runs."""


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """One source of the run."""

    name: str
    rows: int
    error: str
    """Why it could not be read (to its end); empty if it could."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One output, by its name in the output directory."""

    name: str
    holds: str
    """``report``, ``rejects``, ``in_doubt`` or ``page``."""
    rows: int


@dataclass(frozen=True, slots=True)
class MappingSummary:
    """Which mapping was used."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Summary:
    """``summary.json``, key by key; times are ISO 8601 in UTC with milliseconds, or null."""

    run: str
    state: str
    started_at: str | None
    finished_at: str | None
    balanced: bool
    rows: Mapping[str, int]
    """``read`` and every state by its name."""
    account: str
    endpoint: str
    mapping: MappingSummary
    stop_reason: str
    seconds: float | None
    """From ``started_at`` to ``finished_at``."""
    seconds_delivering: float | None
    """From the first answer to the last."""
    events_per_second: float | None
    """Answers in that time; null if it was under a second, where a rate would be chance."""
    sources: tuple[SourceSummary, ...]
    reasons: tuple[ReasonSummary, ...]
    """Most frequent first."""
    without_originals: int
    """Undelivered rows that are in no rejects file since the ledger no longer keeps their original cells."""
    files: tuple[WrittenFile, ...]
    versions: Mapping[str, str]
    check: CheckSummary | None = None
    """What only a check tells; None for runs."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something left to do when a run is over."""

    words: str
    commands: tuple[str, ...]
    """To paste; of several, one is to be chosen."""
    told_with_rows: bool = False
    """The page says it where it lists the rows."""


@dataclass(frozen=True, slots=True)
class Written:
    """What `write` leaves behind."""

    paths: tuple[Path, ...]
    """The report first, the summary last."""
    counts: Counts
    balanced: bool
    """Whether every row read is in exactly one state and has exactly one line in the report."""
    summary: Summary
    steps: tuple[Step, ...] = ()
    """What is left to do; none of a check."""
