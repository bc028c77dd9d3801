"""The types of reports: what is asked for, what is known, and what was written; `Summary` is ``summary.json``.

``schemas/summary.schema.json`` describes `Summary` to other programs. Times in it are ISO 8601 in UTC, sums exact
decimal digits.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import importer
from importer.errors import ReportError
from importer.model import Counts, Format, RejectsFormat, Run, RunState, State
from importer.remote import RemotePath

CHECK = "check"
"""The id of the run in the outputs of `importer check`."""


VERSIONS = {"importer": importer.__version__, "python": platform.python_version()}
"""What made a report."""


class ReportOptions(msgspec.Struct, frozen=True):
    """What to write, and where."""

    out: Path
    """The directory; made, for its owner alone, if it is missing."""
    format: Format = "csv"
    """Of the report. Rejects keep their sources' formats."""
    rejects: bool = True
    """Whether to write the rows that were not delivered into files of their own."""
    rejects_format: RejectsFormat = "source"
    """``xlsx``: an Excel workbook, where the source is CSV; ``source``: the source's own format."""
    ledger_option: str = ""
    """The option by which a command finds the run's ledger, where it is not the usual one: `` --ledger FILE``."""
    out_afterwards: Path | RemotePath | None = None
    """Where the directory is moved to, by which the report names its files; None: it stays."""


def check_run(mapping_name: str, mapping_text: str = "", mapping_digest: str = "", **options: Any) -> Run:
    """What is in the place of a run where `importer check` reports; ``options`` are those of the command."""
    state = RunState.READY
    return Run(0, CHECK, "", "", state, 0.0, None, None, mapping_name, mapping_text, mapping_digest, "", options)


class Example(msgspec.Struct, frozen=True):
    """The first row that a reason was found in."""

    source: str
    row: int
    line: int
    value: str
    """The offending value, or the API's words."""


class MappingAdvice(msgspec.Struct, frozen=True):
    """A change of the mapping that would let rows through."""

    why: str
    """What their values have in common."""
    write: str
    """The line to write, such as ``value: {column: Total, decimal: ","}``."""
    place: str
    """Where, such as ``orders.yaml, line 9, below `properties` ``."""


class ReasonSummary(msgspec.Struct, frozen=True):
    """One reason code at one field, over the whole run."""

    code: str
    severity: str
    """``error``, ``warning``, or ``info`` for rows that the mapping leaves out."""
    field: str
    count: int
    """Rows that have it."""
    message: str
    """The wording, for the example."""
    fix: str
    example: Example
    advice: MappingAdvice | None = None
    """What to change in the mapping; None where the rows themselves are wrong, and for runs."""


class FilterSummary(msgspec.Struct, frozen=True):
    """The rows that one test of the mapping's ``where``, or ``--transform``, leaves out."""

    test: str
    """In words: ``Total above 0``."""
    rows: int
    totals: tuple[CurrencyTotal, ...]
    """What they are worth, as far as that can be read."""
    values: tuple[str, ...]
    """Some different cells that the test saw, most frequent of the first batch first."""


class CurrencyTotal(msgspec.Struct, frozen=True):
    """Events with a value in one currency."""

    currency: str
    """Empty: none."""
    events: int
    total: str
    """The exact sum, in decimal digits."""


class TypeTotals(msgspec.Struct, frozen=True):
    """Events of one type and currency, and their values' exact sums, by what became of them."""

    type: str
    """Empty: none."""
    currency: str
    """Empty: none."""
    sent: int = 0
    sent_total: str = "0"
    unconfirmed: int = 0
    """In doubt or failed: they may have been accepted."""
    unconfirmed_total: str = "0"
    not_sent: int = 0
    """Invalid or refused."""
    not_sent_total: str = "0"
    pending: int = 0
    pending_total: str = "0"


class SourceSummary(msgspec.Struct, frozen=True):
    """One source of the run."""

    name: str
    rows: int
    error: str
    """Why it could not be read (to its end); empty if it could."""
    format: str = ""
    encoding: str = ""
    """The encoding that its text was read with; empty for Parquet."""


class WrittenFile(msgspec.Struct, frozen=True):
    """One output, by its name in the output directory."""

    name: str
    holds: str
    """``report``, ``rejects``, ``in_doubt`` or ``page``."""
    rows: int


class MappingSummary(msgspec.Struct, frozen=True):
    """Which mapping was used."""

    name: str
    digest: str


class TypeCount(msgspec.Struct, frozen=True):
    """Events of one type."""

    type: str
    events: int


class Forecast(msgspec.Struct, frozen=True):
    """The events that would be sent."""

    events: int
    subscribers: int
    """Counted by e-mail, then phone, then id."""
    subscribers_exact: bool
    """False: an estimate, to about two in a thousand."""
    types: tuple[TypeCount, ...]
    """Most frequent first; at most 20."""
    other_types: int
    """Events of all other types."""
    totals: tuple[CurrencyTotal, ...]
    """Most events first."""
    oldest: str | None
    """The source's own time."""
    newest: str | None
    rate: int
    """Events a minute that delivery is assumed to make."""
    seconds: int
    """How long it takes then."""


class MissingColumn(msgspec.Struct, frozen=True):
    """A column that the mapping names and files lack."""

    name: str
    targets: tuple[str, ...]
    """What it is needed for."""
    nearest: str | None
    """The file's column that was probably meant."""


class SourceColumns(msgspec.Struct, frozen=True):
    """What there is to say of the columns of files that share a header."""

    sources: tuple[str, ...]
    unmapped: tuple[str, ...]
    missing: tuple[MissingColumn, ...]


class CheckSummary(msgspec.Struct, frozen=True):
    """What only a check knows."""

    foreseen: Forecast
    columns: tuple[SourceColumns, ...]
    """One per header; none for JSON lines, whose keys may differ from line to line."""
    samples: tuple[str, ...] = ()
    """The first bodies that would be sent, as JSON; none where bodies are not made."""


class ImportTotal(msgspec.Struct, frozen=True):
    """What a run, and the runs of its corrected rows, come to as one import."""

    runs: tuple[str, ...]
    """Their ids, oldest first."""
    rows: Mapping[str, int]
    """Every original row once: ``read``, and every state by its name, of the version that was sent, or the newest."""


class Summary(msgspec.Struct, frozen=True):
    """``summary.json``, key by key."""

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
    """Errors and warnings, most frequent first."""
    warnings: Mapping[str, int]
    """Rows by warning code."""
    filters: tuple[FilterSummary, ...]
    """What was left out, per test; most rows first."""
    totals: tuple[TypeTotals, ...]
    """What the events are worth, per type and currency; most events first."""
    without_originals: int
    """Undelivered rows that are in no rejects file since the ledger no longer keeps their original cells."""
    files: tuple[WrittenFile, ...]
    versions: Mapping[str, str]
    check: CheckSummary | None = None
    """What only a check knows; None for runs."""
    import_total: ImportTotal | None = None
    """The import that the run is part of; None where it is all of it."""

    @property
    def given_up(self) -> int:
        """Failed rows that the user gave up: nothing is left to do for them."""
        return sum(one.count for one in self.reasons if one.code == "failed.given_up")


class Step(msgspec.Struct, frozen=True):
    """Something left to do when a run is over."""

    words: str
    commands: tuple[str, ...]
    """To paste; of several, one is to be chosen."""
    about_doubt: bool = False
    """The page says it where it lists the rows in doubt."""


class Written(msgspec.Struct, frozen=True):
    """What a report leaves behind."""

    paths: tuple[Path | RemotePath, ...]
    """The report first, the summary last; none where nothing was to be written, or nothing could be."""
    counts: Counts
    balanced: bool
    """Whether every row read is in exactly one state and has exactly one line in the report."""
    summary: Summary
    steps: tuple[Step, ...] = ()
    """What is left to do."""
    failure: ReportError | None = None
    """Why the files could not be written; the counts are right all the same."""


def counts_by_name(counts: Counts) -> dict[str, int]:
    """``read`` and every state by its name."""
    return {"read": counts.read} | {state.value: counts[state] for state in State}


def summary_bytes(summary: object) -> bytes:
    """A summary, of one account or of several, as indented JSON, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
