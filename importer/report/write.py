"""The program of the report: a run's rows, batch by batch, into files that appear together.

Each output gets each batch once, in one pass; another output is one more line in `_with_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from importer.errors import ReportError
from importer.ledger.ledger import Ledger
from importer.model import Counts, Format, Pause, RowBatch, Run, RunSource, scope_options
from importer.report.atomic import SUMMARY, Outputs, PreviousFiles
from importer.report.check import Advise, no_advice, with_advice
from importer.report.model import CHECK, ImportTotal, ReportOptions, RunInfo, Summary, Written, WrittenFile
from importer.report.next_steps import next_steps
from importer.report.reject_workbook import columns_by_target
from importer.report.rejects import STATES, Rejects
from importer.report.rows import ExplainedBatch, explain, report_table
from importer.report.summary import Books, import_total, summarise, summary_bytes
from importer.report.tables import WRITERS
from importer.report.totals import Totals

_PAGE = "report.html"

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
    story = _story(ledger, run, scope, raw_rows=options.rejects and undelivered)

    def explained(summary: Summary, _: Totals) -> Summary:
        return replace(summary, reasons=with_advice(summary.reasons, advise))

    return _write(replace(story, explain=explained), options)


def write_check(
    batches: Iterable[RowBatch],
    sources: Callable[[], Sequence[RunSource]],
    info: RunInfo,
    options: ReportOptions,
    explain: Explain = _nothing_more,
) -> Written:
    """Write the same files for `importer check`, which has no ledger.

    ``batches`` come as they are checked (`Checked` makes them); ``sources`` is asked once they are at their end.
    Rows that are valid are ``pending``. ``explain`` is `Checking.explain`.
    """
    return _write(_Story(info, batches, sources, explain=explain), options)


def count_check(
    batches: Iterable[RowBatch],
    sources: Callable[[], Sequence[RunSource]],
    info: RunInfo,
    explain: Explain = _nothing_more,
) -> Written:
    """What `write_check` would return, for a check that writes no files."""
    return _count(_Story(info, batches, sources, explain=explain))


def count_run(ledger: Ledger, run: Run) -> Written:
    """What `write` would return, without writing anything."""
    return _count(_story(ledger, run, scope_options(run.account, run.endpoint), raw_rows=False))


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


def _story(ledger: Ledger, run: Run, scope: str, *, raw_rows: bool) -> _Story:
    return _Story(
        info=RunInfo.of_run(run, scope),
        batches=ledger.batches(run, raw_rows=raw_rows),
        sources=lambda: ledger.sources(run),
        counts=lambda: ledger.counts(run),
        pauses=ledger.halts(run),
        import_total=lambda: import_total(ledger, run),
    )


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
        written = _written(story, totals, tuple(file for _, file in files), lost, options.out)
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
    story: _Story, totals: Totals, files: tuple[WrittenFile, ...] = (), lost: int = 0, out: Path | None = None
) -> Written:
    sources = tuple(story.sources())
    kept = story.counts() if story.counts else Counts(sum(s.rows for s in sources), totals.counts.by_state)
    # States as the report has them: a run that is being delivered moves on between two looks at the ledger.
    counts = Counts(kept.read, totals.counts.by_state)
    books = Books(counts, counts.balanced and kept.balanced, sources, lost, story.import_total())
    summary = story.explain(summarise(story.info, books, totals, files), totals)
    rejects = [out / one.name for one in files if one.holds == "rejects" and one.rows] if out else []
    return Written((), counts, books.balanced, summary, tuple(next_steps(story.info, summary, rejects)))


def _run_id(info: RunInfo) -> str:
    """What rejects that come back say of where they came from; nothing of a check, which the ledger does not know."""
    return "" if info.is_check else info.run


def _again(info: RunInfo) -> str:
    if info.run == CHECK:
        return "run the same command again"
    return f"`importer report {info.run}{info.scope_options}` writes the reports again; what was delivered is recorded"
