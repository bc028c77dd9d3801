"""The program of the report: a run's rows, batch by batch, into files that appear together.

Each output gets each batch once, in one pass; another output is one more line in `_with_files`.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

import importer
from importer.errors import ReportError
from importer.ledger.ledger import Ledger
from importer.model import Counts, Format, Pause, RowBatch, Run, RunSource, scope_options
from importer.remote import RemotePath
from importer.report.atomic import SUMMARY, Outputs, PreviousFiles
from importer.report.check import Advise, no_advice, with_advice
from importer.report.model import (
    CHECK,
    ImportTotal,
    MappingSummary,
    ReportOptions,
    RunInfo,
    SourceSummary,
    Summary,
    Written,
    WrittenFile,
    counts_by_name,
    summary_bytes,
)
from importer.report.next_steps import next_steps
from importer.report.reject_workbook import columns_by_target
from importer.report.rejects import STATES, Rejects
from importer.report.rows import WRITERS, ExplainedBatch, explain, report_table
from importer.report.totals import Totals
from importer.wording import iso

_PAGE = "report.html"
_SHORTEST = 1.0
"""Seconds; two answers in one millisecond are not a thousand a second."""

Explain = Callable[[Summary, Totals], Summary]
"""Adds to a summary what only a check knows."""


def _nothing_more(summary: Summary, totals: Totals) -> Summary:
    del totals
    return summary


@dataclass(frozen=True, slots=True)
class _Story:
    """What there is to report; ``sources`` and ``counts`` are asked for when all batches have come by."""

    info: RunInfo
    batches: Iterable[RowBatch]
    sources: Callable[[], Sequence[RunSource]]
    counts: Callable[[], Counts] | None = None
    """The ledger's counts to compare with; None: the sources' rows are all there is."""
    pauses: Sequence[Pause] = ()
    explain: Explain = _nothing_more
    import_total: Callable[[], ImportTotal | None] = lambda: None


def write(ledger: Ledger, run: Run, options: ReportOptions, advise: Advise = no_advice) -> Written:
    """Write report, rejects, page and summary of a run, finished or not, from the ledger alone.

    ``advise`` says what to change in the mapping about each reason.
    All files appear together when they are complete, or none does. Where they cannot be written, the page and the
    summary alone are tried; what went wrong is the result's ``failure``. Raises `LedgerError` where the ledger cannot
    be read.
    """
    counts = ledger.counts(run)
    undelivered = any(counts[state] for kind in STATES.values() for state in kind)
    scope = scope_options(run.account, run.endpoint) if options.scope_options is None else options.scope_options

    def explained(summary: Summary, _: Totals) -> Summary:
        return replace(summary, reasons=with_advice(summary.reasons, advise))

    return _write(_story(ledger, run, scope, explained, raw_rows=options.rejects and undelivered), options)


def count_run(ledger: Ledger, run: Run) -> Written:
    """What `write` would return, without writing anything."""
    return _count(_story(ledger, run, scope_options(run.account, run.endpoint), _nothing_more, raw_rows=False))


def write_check(
    batches: Iterable[RowBatch],
    sources: Callable[[], Sequence[RunSource]],
    info: RunInfo,
    options: ReportOptions | None,
    explain: Explain = _nothing_more,
) -> Written:
    """Write the same files for `importer check`, which has no ledger; without ``options`` nothing is written.

    ``batches`` come as they are checked (`Checked` makes them); ``sources`` is asked once they are at their end.
    Rows that are valid are ``pending``. ``explain`` is `Checking.explain`.
    """
    story = _Story(info, batches, sources, explain=explain)
    return _count(story) if options is None else _write(story, options)


def write_file(ledger: Ledger, run: Run, path: Path, form: Format) -> None:
    """Write a run's report alone to a file, whole or not at all; raises `ReportError` where it cannot be written."""
    with Outputs(path.parent, again=_again(RunInfo.of_run(run))) as outputs:
        stream(ledger, run, outputs.create(path.name), form)
        outputs.commit([(path.name, path.name)])


def stream(ledger: Ledger, run: Run, file: BinaryIO, form: Format) -> None:
    """Write a run's report alone to an open file, such as stdout; raises `OSError` where that refuses."""
    writer = WRITERS[form](file)
    for explained in _explained(ledger.batches(run)):
        writer.add(report_table(explained, run.id))
    writer.close()


def _story(ledger: Ledger, run: Run, scope: str, explain: Explain, *, raw_rows: bool) -> _Story:
    return _Story(
        info=RunInfo.of_run(run, scope),
        batches=ledger.batches(run, raw_rows=raw_rows),
        sources=lambda: ledger.sources(run),
        counts=lambda: ledger.counts(run),
        pauses=ledger.halts(run),
        explain=explain,
        import_total=lambda: _import_total(ledger, run),
    )


def _import_total(ledger: Ledger, run: Run) -> ImportTotal | None:
    runs = ledger.import_of(run)
    return ImportTotal(tuple(one.id for one in runs), counts_by_name(ledger.import_counts(runs))) if runs[1:] else None


def _explained(batches: Iterable[RowBatch]) -> Iterator[ExplainedBatch]:
    return (explain(batch) for batch in batches if batch.table.num_rows)


def _count(story: _Story) -> Written:
    totals = Totals()
    for explained in _explained(story.batches):
        totals.add(explained)
    return _written(story, totals)


def _write(story: _Story, options: ReportOptions) -> Written:
    totals, batches = Totals(), _explained(story.batches)
    try:
        return _with_files(story, options, batches, totals)
    except ReportError as failure:
        for explained in batches:  # the numbers are right all the same
            totals.add(explained)
        # What was written so far is gone, which may have made room for the small files.
        try:
            written = _with_files(story, options, None, totals)
        except ReportError:
            written = _written(story, totals)
        return replace(written, failure=failure)


def _with_files(
    story: _Story, options: ReportOptions, batches: Iterator[ExplainedBatch] | None, totals: Totals
) -> Written:
    """All files; without ``batches`` the page and the summary of what was counted."""
    from importer.report.page import render_page  # a check without files can do without

    with Outputs(options.out, again=_again(story.info)) as outputs:
        files, lost = ([], 0) if batches is None else _with_rows(story, options, batches, totals, outputs)
        files.append((_PAGE, WrittenFile(_PAGE, "page", totals.counts.read)))
        there = options.out_afterwards or options.out
        written = _written(story, totals, tuple(file for _, file in files), lost, there)
        page = render_page(story.info, written.summary, totals, written.steps, story.pauses)
        outputs.create(_PAGE).write(page)
        outputs.create(SUMMARY).write(summary_bytes(written.summary))
        with outputs.explained():
            PreviousFiles.of(options.out).keep_user_files(file.name for _, file in files)
        names = [(placeholder, file.name) for placeholder, file in files]
        return replace(written, paths=outputs.commit([*names, (SUMMARY, SUMMARY)]))


def _with_rows(
    story: _Story, options: ReportOptions, batches: Iterator[ExplainedBatch], totals: Totals, outputs: Outputs
) -> tuple[list[tuple[str, WrittenFile]], int]:
    """The files with a line per row; and how many undelivered rows are in no file, for want of their originals."""
    name = f"report.{options.format}"
    report = WRITERS[options.format](outputs.create(name))
    columns = columns_by_target(story.info.mapping_text, story.info.mapping_name)
    as_workbook = options.rejects_format == "xlsx"
    rejects = Rejects(outputs, _run_id(story.info), columns, as_workbook=as_workbook)
    for explained in batches:
        totals.add(explained)
        report.add(report_table(explained, story.info.run))
        if options.rejects:
            rejects.add(explained)
    report.close()
    files = [(name, WrittenFile(name, "report", totals.counts.read)), *rejects.close()]
    return files, rejects.without_originals


def _written(
    story: _Story,
    totals: Totals,
    files: tuple[WrittenFile, ...] = (),
    lost: int = 0,
    out: Path | RemotePath | None = None,
) -> Written:
    info, sources = story.info, tuple(story.sources())
    kept = story.counts() if story.counts else Counts(sum(s.rows for s in sources), totals.counts.by_state)
    # States as the report has them: a run that is being delivered moves on between two looks at the ledger.
    counts = Counts(kept.read, totals.counts.by_state)
    balanced = counts.balanced and kept.balanced
    delivering = _between(totals.first_answer, totals.last_answer)
    reasons = totals.reasons()
    warnings: Counter[str] = Counter()
    for reason in reasons:
        if reason.severity == "warning":
            warnings[reason.code] += reason.count
    summary = Summary(
        run=info.run,
        state=info.state,
        started_at=iso(info.started_at),
        finished_at=iso(info.finished_at),
        balanced=balanced,
        rows=counts_by_name(counts),
        account=info.account,
        endpoint=_without_secrets(info.endpoint),
        mapping=MappingSummary(info.mapping_name, info.mapping_digest),
        stop_reason=info.stop_reason,
        seconds=_between(info.started_at, info.finished_at),
        seconds_delivering=delivering,
        events_per_second=_rate(totals.answers, delivering),
        sources=tuple(map(_source, sources)),
        reasons=reasons,
        warnings=dict(warnings),
        filters=totals.filters(),
        totals=totals.money(),
        without_originals=lost,
        files=files,
        versions={"importer": importer.__version__, "python": platform.python_version()},
        import_total=story.import_total(),
    )
    summary = story.explain(summary, totals)
    rejects = [out / one.name for one in files if one.holds == "rejects" and one.rows] if out else []
    return Written((), counts, balanced, summary, tuple(next_steps(info, summary, rejects)))


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


def _run_id(info: RunInfo) -> str:
    """What rejects that come back say of where they came from; nothing of a check, which the ledger does not know."""
    return "" if info.is_check else info.run


def _again(info: RunInfo) -> str:
    if info.run == CHECK:
        return "run the same command again"
    return f"`importer report {info.run}{info.scope_options}` writes the reports again; what was delivered is recorded"
