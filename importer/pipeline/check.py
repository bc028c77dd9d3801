"""Everything but sending: touches neither the API nor the ledger.

This module owns what `importer check` does with the same prepared chunks that `importer run` would plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from importer import report
from importer.errors import ExitCode, SourceError
from importer.mapping.load import LoadedMapping, load
from importer.model import RowBatch, RunSource, State
from importer.pipeline.examples import run_tests
from importer.pipeline.options import Console, RunOptions
from importer.pipeline.prepare import ReadOptions, prepare_sources
from importer.report import CHECK, Checking, Facts, ReportOptions, Written


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
    checking = Checking(loaded, rate)
    batches = _batches(options, loaded, books, checking, console)
    facts = Facts(CHECK, "checked", "", "", loaded.name, loaded.mapping.digest(), mapping_text=loaded.text)
    if options.out is None:
        return report.count_check(batches, lambda: books.sources, facts, checking.explain)
    outputs = ReportOptions(out=options.out, format=options.report_format)
    return report.write_check(batches, lambda: books.sources, facts, outputs, checking.explain)


def _batches(
    options: RunOptions, loaded: LoadedMapping, books: _Books, checking: Checking, console: Console
) -> Iterator[RowBatch]:
    reading = ReadOptions(
        strict=options.strict, raw_rows=options.out is not None, transform=options.transform, bodies=False
    )
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


def exit_code(written: Written) -> ExitCode:
    """0 if every row could be sent, 1 if some could not, 2 if no file could be used."""
    broken = [source for source in written.summary.sources if source.error]
    if broken and not written.counts.read:
        return ExitCode.UNUSABLE
    whole = written.balanced and not written.counts[State.INVALID] and not broken
    return ExitCode.DELIVERED if whole else ExitCode.INCOMPLETE
