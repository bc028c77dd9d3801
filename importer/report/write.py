"""The program of the report: a run's rows, batch by batch, into files that appear together.

This module owns the order of work. What is said of a row is ``explain``'s, the report's columns ``table``'s, files
``atomic``'s, rejects ``rejects``', counting ``tally``'s. Another output is one more thing that gets each batch in
`_write`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from importer.ledger.interface import Ledger
from importer.model import Counts, Format, Pause, RowBatch, Run, RunSource, scope_options
from importer.report.afterwards import steps
from importer.report.atomic import Outputs
from importer.report.explain import Explained, explain
from importer.report.model import CHECK, Facts, ReportOptions, Step, Summary, Written, WrittenFile
from importer.report.previous import SUMMARY, Previous
from importer.report.rejects import STATES, Rejects
from importer.report.summary import Books, summarise, summary_bytes
from importer.report.table import report_table
from importer.report.tally import Tally
from importer.report.writers import REPORTS

_PAGE = "report.html"


def _as_it_is(summary: Summary) -> Summary:
    return summary


@dataclass(frozen=True, slots=True)
class _Story:
    """What is to be told; ``sources`` and ``counts`` are asked for when all batches have come by."""

    facts: Facts
    batches: Iterable[RowBatch]
    sources: Callable[[], Sequence[RunSource]]
    counts: Callable[[], Counts] | None
    """The books to compare with; None: the sources' rows are all there is."""
    halts: Sequence[Pause] = ()
    explain: Callable[[Summary], Summary] = _as_it_is
    """Adds what only a check knows."""


def write(ledger: Ledger, run: Run, options: ReportOptions) -> Written:
    """Write report, rejects, page and summary of a run, finished or not, from the ledger alone.

    All files appear together when they are complete, or none does. Raises `ReportError` where they cannot be written
    and `LedgerError` where the ledger cannot be read.
    """
    books = ledger.counts(run)
    place = scope_options(run.account, run.endpoint) if options.place is None else options.place
    undelivered = any(books[state] for kind in STATES.values() for state in kind)
    story = _Story(
        facts=replace(Facts.of_run(run), place=place),
        batches=ledger.batches(run, raw_rows=options.rejects and undelivered),
        sources=lambda: ledger.sources(run),
        counts=lambda: ledger.counts(run),
        halts=ledger.halts(run),
    )
    return _write(story, options)


def write_check(
    batches: Iterable[RowBatch],
    sources: Callable[[], Sequence[RunSource]],
    facts: Facts,
    options: ReportOptions,
    explain: Callable[[Summary], Summary] = _as_it_is,
) -> Written:
    """Write the same files for `importer check`, which has no ledger.

    ``batches`` come as they are checked (`Checked` makes them); ``sources`` is asked once they are at their end.
    Rows that are valid are ``pending``. ``explain`` is `Checking.explain`. Raises as `write` does.
    """
    return _write(_Story(facts, batches, sources, counts=None, explain=explain), options)


def count_check(
    batches: Iterable[RowBatch],
    sources: Callable[[], Sequence[RunSource]],
    facts: Facts,
    explain: Callable[[Summary], Summary] = _as_it_is,
) -> Written:
    """What `write_check` would return, for a check that writes no files."""
    tally = Tally()
    for batch in batches:
        if batch.table.num_rows:
            tally.add(batch)
    books = _books(_Story(facts=facts, batches=(), sources=sources, counts=None), tally, without_originals=0)
    return Written((), books.counts, books.balanced, explain(summarise(facts, books, ())))


def write_file(ledger: Ledger, run: Run, path: Path, form: Format) -> None:
    """Write a run's report alone to a file, whole or not at all; raises `ReportError` where it cannot be written."""
    with Outputs(path.parent, again=_again(Facts.of_run(run))) as outputs:
        stream(ledger, run, outputs.create(path.name), form)
        outputs.commit([(path.name, path.name)])


def stream(ledger: Ledger, run: Run, file: BinaryIO, form: Format) -> None:
    """Write a run's report alone to an open file, such as stdout; raises `OSError` where that refuses."""
    writer = REPORTS[form](file)
    for explained in _explained(ledger.batches(run)):
        writer.add(report_table(explained, run.id))
    writer.close()


def _explained(batches: Iterable[RowBatch]) -> Iterator[Explained]:
    return (explain(batch) for batch in batches if batch.table.num_rows)


def _write(story: _Story, options: ReportOptions) -> Written:
    from importer.report.page import Figures, render_page  # a check without files can do without

    tally = Tally()
    name = f"report.{options.format}"
    with Outputs(options.out, again=_again(story.facts)) as outputs:
        report = REPORTS[options.format](outputs.create(name))
        rejects = Rejects(outputs)
        figures = Figures(story.halts)
        for explained in _explained(story.batches):
            report.add(report_table(explained, story.facts.run))
            tally.add(explained.batch)
            figures.add(explained)
            if options.rejects:
                rejects.add(explained)
        report.close()
        rows = tally.counts.read
        page = (_PAGE, WrittenFile(_PAGE, "page", rows))
        files = [(name, WrittenFile(name, "report", rows)), *rejects.close(), page]
        books = _books(story, tally, rejects.without_originals)
        summary = story.explain(summarise(story.facts, books, tuple(file for _, file in files)))
        rest = _steps(story, summary, options.out)
        outputs.create(_PAGE).write(render_page(story.facts, summary, figures, rest))
        outputs.create(SUMMARY).write(summary_bytes(summary))
        names = [(placeholder, file.name) for placeholder, file in files] + [(SUMMARY, SUMMARY)]
        with outputs.explained():
            Previous.of(options.out).give_way(file.name for _, file in files)
        paths = outputs.commit(names)
    return Written(paths, books.counts, books.balanced, summary, rest)


def _steps(story: _Story, summary: Summary, out: Path) -> tuple[Step, ...]:
    if story.facts.run == CHECK:
        return ()
    return tuple(steps(story.facts, summary, [out / one.name for one in summary.files if one.holds == "rejects"]))


def _books(story: _Story, tally: Tally, without_originals: int) -> Books:
    sources = tuple(story.sources())
    kept = story.counts() if story.counts else Counts(sum(s.rows for s in sources), tally.counts.by_state)
    # States as the report has them: a run that is being delivered moves on between two looks at the ledger.
    counts = Counts(kept.read, tally.counts.by_state)
    return Books(counts, counts.balanced and kept.balanced, sources, tally, without_originals)


def _again(facts: Facts) -> str:
    if facts.run == CHECK:
        return "run the same command again"
    return f"`importer report {facts.run}` writes the reports again; what was delivered is recorded"
