"""The program of the report: a run's rows, batch by batch, into files that appear together.

Each output gets each batch once, in one pass; another output is one more line in `_with_files`.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit, urlunsplit

import importer
from importer.errors import ReportError
from importer.model import Counts, Format, Pause, RowBatch, Run, RunSource
from importer.report.atomic import SUMMARY, Outputs, keep_user_files
from importer.report.check import Advise, with_advice
from importer.report.model import (
    CHECK,
    ImportTotal,
    MappingSummary,
    ReportOptions,
    SourceSummary,
    Summary,
    Written,
    WrittenFile,
    counts_by_name,
    summary_bytes,
)
from importer.report.next_steps import next_steps
from importer.report.reject_workbook import columns_by_target
from importer.report.rejects import Rejects
from importer.report.rows import WRITERS, ExplainedBatch, explain, report_table
from importer.report.totals import Totals
from importer.wording import iso

if TYPE_CHECKING:
    from importer.ledger.ledger import Ledger

_PAGE = "report.html"
_SHORTEST = 1.0
"""Seconds; two answers in one millisecond are not a thousand a second."""

Explain = Callable[[Summary, Totals], Summary]
"""Adds to a summary what the ledger does not know."""


@dataclass(frozen=True, slots=True)
class _Story:
    """What there is to report; ``sources`` are asked for when all batches have come by."""

    run: Run
    batches: Iterator[ExplainedBatch]
    sources: Callable[[], Sequence[RunSource]]
    explain: Explain | None
    pauses: Sequence[Pause] = ()
    import_total: Callable[[], ImportTotal | None] = lambda: None

    @classmethod
    def of(cls, ledger: Ledger, run: Run, *, raw_rows: bool = False, advise: Advise | None = None) -> _Story:
        """A run of the ledger."""

        def import_total() -> ImportTotal | None:
            runs = ledger.import_of(run)
            ids = tuple(one.id for one in runs)
            return ImportTotal(ids, counts_by_name(ledger.import_counts(runs))) if runs[1:] else None

        return cls(
            run,
            _explained(ledger.batches(run, raw_rows=raw_rows)),
            lambda: ledger.sources(run),
            lambda summary, _: with_advice(summary, advise),
            ledger.halts(run),
            import_total,
        )


def write(ledger: Ledger, run: Run, options: ReportOptions, advise: Advise | None = None) -> Written:
    """Write report, rejects, page and summary of a run, finished or not, from the ledger alone.

    ``advise`` says what to change in the mapping about each reason.
    All files appear together when they are complete, or none does. Where they cannot be written, the page and the
    summary alone are tried; what went wrong is the result's ``failure``. Raises `LedgerError` where the ledger cannot
    be read.
    """
    return _write(_Story.of(ledger, run, raw_rows=options.rejects, advise=advise), options)


def count_run(ledger: Ledger, run: Run) -> Written:
    """What `write` would return, without writing anything."""
    return _count(_Story.of(ledger, run))


def write_check(
    batches: Iterable[RowBatch],
    sources: Callable[[], Sequence[RunSource]],
    run: Run,
    options: ReportOptions | None,
    explain: Explain | None = None,
) -> Written:
    """Write the same files for `importer check`, which has no ledger; without ``options`` nothing is written.

    ``batches`` come as they are checked (`Checked` makes them); ``sources`` is asked once they are at their end.
    ``run`` is a `check_run`, whose valid rows are ``pending``; ``explain`` is `Checking.explain`.
    """
    story = _Story(run, _explained(batches), sources, explain)
    return _count(story) if options is None else _write(story, options)


def write_file(ledger: Ledger, run: Run, path: Path, form: Format) -> None:
    """Write a run's report alone to a file, whole or not at all; raises `ReportError` where it cannot be written."""
    with Outputs(path.parent, again=_again(run)) as outputs:
        stream(ledger, run, outputs.create(path.name), form)
        outputs.commit([(path.name, path.name)])


def stream(ledger: Ledger, run: Run, file: BinaryIO, form: Format) -> None:
    """Write a run's report alone to an open file, such as stdout; raises `OSError` where that refuses."""
    writer = WRITERS[form](file)
    for explained in _explained(ledger.batches(run)):
        writer.add(report_table(explained, run.id))
    writer.close()


def _explained(batches: Iterable[RowBatch]) -> Iterator[ExplainedBatch]:
    return (explain(batch) for batch in batches if batch.table.num_rows)


def _count(story: _Story) -> Written:
    totals = Totals(foresees=story.run.id == CHECK)
    for explained in story.batches:
        totals.add(explained)
    return _written(story, totals)


def _write(story: _Story, options: ReportOptions) -> Written:
    totals = Totals(foresees=story.run.id == CHECK)
    try:
        return _with_files(story, options, totals)
    except ReportError as failure:
        for explained in story.batches:  # the numbers are right all the same
            totals.add(explained)
        # What was written so far is gone, which may have made room for the small files.
        try:
            written = _with_files(story, options, totals, rows=False)
        except ReportError:
            written = _written(story, totals)
        return replace(written, failure=failure)


def _with_files(story: _Story, options: ReportOptions, totals: Totals, *, rows: bool = True) -> Written:
    """All files; without ``rows`` the page and the summary of what was counted."""
    from importer.report.page import render_page  # a check without files can do without

    with Outputs(options.out, again=_again(story.run, options.ledger_option)) as outputs:
        files, lost = _with_rows(story, options, totals, outputs) if rows else ([], 0)
        files.append((_PAGE, WrittenFile(_PAGE, "page", totals.counts.read)))
        written = _written(story, totals, tuple(file for _, file in files), lost, options)
        page = render_page(story.run, written.summary, totals, written.steps, story.pauses)
        outputs.create(_PAGE).write(page)
        outputs.create(SUMMARY).write(summary_bytes(written.summary))
        with outputs.explained():
            keep_user_files(options.out, {file.name for _, file in files})
        names = [(placeholder, file.name) for placeholder, file in files]
        return replace(written, paths=outputs.commit([*names, (SUMMARY, SUMMARY)]))


def _with_rows(
    story: _Story, options: ReportOptions, totals: Totals, outputs: Outputs
) -> tuple[list[tuple[str, WrittenFile]], int]:
    """The files with a line per row; and how many undelivered rows are in no file, for want of their originals."""
    name, run = f"report.{options.format}", story.run
    report = WRITERS[options.format](outputs.create(name))
    columns = columns_by_target(run.mapping_text, run.mapping_name)
    # Rejects that come back say of which run they are; the ledger does not know a check.
    origin = "" if run.id == CHECK else run.id
    rejects = Rejects(outputs, origin, columns, as_workbook=options.rejects_format == "xlsx")
    for explained in story.batches:
        totals.add(explained)
        report.add(report_table(explained, run.id))
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
    options: ReportOptions | None = None,
) -> Written:
    run, sources = story.run, tuple(story.sources())
    # States as the report has them: a run that is being delivered moves on between two looks at the ledger.
    counts = Counts(sum(one.rows for one in sources), totals.counts.by_state)
    delivering = _between(totals.first_answer, totals.last_answer)
    # Between the first answer and the last are one answer fewer than there are; a moment has no rate worth saying.
    rate = None if delivering is None or delivering < _SHORTEST else round((totals.answers - 1) / delivering, 3)
    reasons = totals.reasons()
    warnings: Counter[str] = Counter()
    for reason in reasons:
        if reason.severity == "warning":
            warnings[reason.code] += reason.count
    address = urlsplit(run.endpoint)
    summary = Summary(
        run=run.id,
        state="checked" if run.id == CHECK else run.state.value,
        started_at=iso(run.started_at),
        finished_at=iso(run.finished_at),
        balanced=counts.balanced,
        rows=counts_by_name(counts),
        account=run.account,
        endpoint=urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path, "", "")),
        mapping=MappingSummary(run.mapping_name, run.mapping_digest),
        stop_reason=run.stop_reason,
        seconds=_between(run.started_at, run.finished_at),
        seconds_delivering=delivering,
        events_per_second=rate,
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
    summary = story.explain(summary, totals) if story.explain else summary
    there = (options.out_afterwards or options.out) if options else Path()
    rejects = [there / one.name for one in files if one.holds == "rejects" and one.rows]
    steps = next_steps(run, summary, rejects, options.ledger_option if options else "")
    return Written((), counts, counts.balanced, summary, tuple(steps))


def _source(one: RunSource) -> SourceSummary:
    dialect = one.source.dialect
    form = "xlsx" if dialect.sheet else dialect.format
    encoding = "" if form in ("parquet", "xlsx") else dialect.encoding
    return SourceSummary(one.source.name, one.rows, one.error, form, encoding)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(max(0.0, end - start), 3)


def _again(run: Run, ledger_option: str = "") -> str:
    if run.id == CHECK:
        return "run the same command again"
    return f"`importer report {run.id}{ledger_option}` writes the reports again; what was delivered is recorded"
