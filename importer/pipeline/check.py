"""Everything but sending: touches neither the API nor the ledger.

This module owns what `importer check` does with the same prepared chunks that `importer run` would plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from importer import report
from importer.errors import ExitCode, SourceError
from importer.mapping.load import LoadedMapping, load
from importer.model import RowBatch, RunSource, State
from importer.pipeline.examples import run_tests
from importer.pipeline.options import Console, RunOptions
from importer.pipeline.prepare import ReadOptions, prepare_sources
from importer.report import CHECK, Checking, ReportOptions, RunInfo, Written
from importer.report.check import no_advice
from importer.suggest.advise import advise


@dataclass(slots=True)
class _Books:
    """The sources as they are read, for the report."""

    sources: list[RunSource] = field(default_factory=list)


def check_mapping(name: str) -> tuple[str, int]:
    """Check a mapping alone, by its own tests; returns its name and how many passed.

    Raises `MappingError`, `FailedTestsError` or `UsageError`; of a mapping that leaves words to those that extend it
    only when its tests have passed.
    """
    passed = run_tests(load(name, partial=True))
    return load(name).name, passed


def preview(options: RunOptions, console: Console, count: int, show: Callable[[bytes], None]) -> None:
    """Show the first bodies that would be sent, byte for byte; the mapping's tests come first."""
    loaded = load(options.mapping)
    run_tests(loaded)
    reading = ReadOptions(strict=options.strict, transform=options.transform)
    with closing(prepare_sources(options.sources, loaded.mapping, reading, console.say)) as found:
        for supply in found:
            for prepared in supply.chunks:
                for body in prepared.bodies.drop_null().slice(0, count).to_pylist():
                    show(body)
                    count -= 1
                if count <= 0:
                    return


def check(options: RunOptions, console: Console, *, rate: int = report.ASSUMED_RATE) -> Written:
    """Read, shape and validate everything; with ``order.out``, write the report and the rejects.

    ``rate`` is the events a minute by which the time of delivery is foreseen.
    Raises `MappingError`, `FailedTestsError` or `UsageError` where nothing can be checked; no file was read then.
    """
    loaded = load(options.mapping)
    run_tests(loaded)
    books = _Books()
    # What the user's function makes of the cells, no line of the mapping can know.
    advised = no_advice if options.transform else partial(advise, options.sources, loaded, strict=options.strict)
    checking = Checking(loaded, rate, advised)
    batches = _batches(options, loaded, books, checking, console)
    info = RunInfo(
        CHECK, "checked", "", "", loaded.name, loaded.mapping.digest(), mapping_text=loaded.text,
        transform=options.transform, given=options.sources,
    )  # fmt: skip
    if options.out is None:
        return report.count_check(batches, lambda: books.sources, info, checking.explain)
    outputs = ReportOptions(out=options.out, format=options.report_format)
    return report.write_check(batches, lambda: books.sources, info, outputs, checking.explain)


def _batches(
    options: RunOptions, loaded: LoadedMapping, books: _Books, checking: Checking, console: Console
) -> Iterator[RowBatch]:
    written = options.out is not None  # the page shows the first events
    reading = ReadOptions(strict=options.strict, raw_rows=written, transform=options.transform, bodies=written)
    found = prepare_sources(options.sources, loaded.mapping, reading, console.say)
    checked = report.Checked()
    for number, supply in enumerate(found, start=1):
        rows, error = 0, supply.error
        try:
            for prepared in supply.chunks:
                rows += prepared.count
                console.read(prepared.count)
                checking.add(prepared)
                yield checked(prepared)
        except SourceError as broken:
            error = broken.message
        if not options.transform:  # a function may make any columns of the file's
            checking.close_source(supply.source)
        books.sources.append(RunSource(number, supply.source, "", rows, error))


def exit_code(written: Written, *, ready: bool = True) -> ExitCode:
    """0 if every row is delivered (or, after a check, could be), 1 if some rows are not, 2 if no file can be used.

    Rows that a filter leaves out were asked for; but where a filter leaves out *every* row, it is the wrong filter.
    ``ready``: pending rows count as good.
    """
    counts = written.counts
    broken = [source for source in written.summary.sources if source.error]
    if broken and not counts.read:
        return ExitCode.UNUSABLE
    bad = (State.INVALID, State.REFUSED, State.FAILED, State.IN_DOUBT, *(() if ready else (State.PENDING,)))
    none_left = counts.read > 0 and counts[State.FILTERED] == counts.read
    whole = written.balanced and written.failure is None and not broken and not none_left
    return ExitCode.DELIVERED if whole and not any(counts[state] for state in bad) else ExitCode.INCOMPLETE
