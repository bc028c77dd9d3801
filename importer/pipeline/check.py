"""Everything but sending: touches neither the API nor the ledger.

`importer check` looks at the same prepared chunks that `importer run` would plan. Where keys or whole files repeat in
them, it plans them into a temporary ledger, which resolves them as that of a run does, and reports from there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from importer import report
from importer.columns import Hashes, hashes, whole
from importer.errors import ExitCode, SourceError
from importer.mapping.load import LoadedMapping, load
from importer.model import EncodedChunk, RowBatch, Run, RunSource, State
from importer.pipeline import outputs
from importer.pipeline.console import Console
from importer.pipeline.examples import run_tests
from importer.pipeline.options import RunOptions
from importer.pipeline.prepare import prepare_sources, prepare_stored
from importer.plan import plan
from importer.report import CHECK, Checking, ReportOptions, Written, check_run
from importer.report.model import MappingAdvice, ReasonSummary

if TYPE_CHECKING:
    from importer.ledger.ledger import Ledger


def check_mapping(name: str) -> tuple[str, int]:
    """Check a mapping alone, by its own tests; returns its name and how many passed.

    Raises `MappingError`, `FailedTestsError` or `UsageError`; of a mapping that leaves words to those that extend it
    only when its tests have passed.
    """
    passed = run_tests(load(name, partial=True))
    return load(name).name, passed


def preview(options: RunOptions, say: Callable[[str], None], count: int, show: Callable[[bytes], None]) -> ExitCode:
    """Show the first bodies that would be sent, byte for byte; the mapping's tests come first."""
    loaded = options.load_mapping()
    run_tests(loaded)
    reading = options.reading()
    rows, left, code = 0, count, ExitCode.DELIVERED
    with closing(prepare_sources(options.readable, loaded.mapping, reading, say)) as found:
        for stream in found:
            code = ExitCode.UNUSABLE if stream.error else code
            for prepared in stream.chunks:
                rows += prepared.count
                for body in prepared.rows["body"].drop_null().slice(0, left).to_pylist():
                    show(body)
                    left -= 1
                if left <= 0:
                    return ExitCode.DELIVERED
    if left < count:
        return ExitCode.DELIVERED
    if rows:
        say(f"error: none of {rows:,} rows makes an event; without --preview, `importer check` says why")
        return ExitCode.INCOMPLETE
    return code


def _advise(
    options: RunOptions, loaded: LoadedMapping, reasons: Sequence[ReasonSummary]
) -> tuple[MappingAdvice | None, ...]:
    from importer.suggest.advise import advise  # a check without problems needs none of it

    return advise(options.sources, loaded, reasons, strict=options.strict)


def check(options: RunOptions, console: Console, *, rate: int = report.ASSUMED_RATE) -> Written:
    """Read, convert and validate everything; with ``options.out``, write the report and the rejects.

    ``rate`` is the events a minute by which the time of delivery is estimated.
    Raises `MappingError`, `FailedTestsError` or `UsageError` where nothing can be checked; no file was read then.
    """
    if options.out is None:
        return _check(options, console, rate, None)
    with outputs.made_for(options.out) as here:
        return outputs.publish(_check(options, console, rate, here), here, options.out)


def _check(options: RunOptions, console: Console, rate: int, here: Path | None) -> Written:
    loaded = options.load_mapping()
    run_tests(loaded)
    # What the user's function makes of the cells, no line of the mapping can know.
    advised = None if options.transform else partial(_advise, options, loaded)
    checking, repeats = Checking(loaded, rate, advised), _Repeats()
    run = check_run(loaded.name, loaded.text, loaded.mapping.digest(), **options.kept())

    def written(batches: Iterable[RowBatch], sources: Callable[[], Sequence[RunSource]]) -> Written:
        made = None
        if here is not None:
            made = ReportOptions(
                here, options.report_format, rejects_format=options.rejects_format, out_afterwards=options.out
            )
        return report.write_check(batches, sources, run, made, checking.explain)

    read: list[RunSource] = []
    done = written(_batches(options, loaded, read, (checking, repeats), console), lambda: read)
    if not repeats.found() or not all(map(_can_be_read_again, options.sources)):
        return done
    from importer.ledger.ledger import Ledger

    with tempfile.TemporaryDirectory(prefix="importer-check-") as scratch:
        ledger = Ledger(Path(scratch) / "ledger.db", account=CHECK, endpoint=CHECK)
        with closing(ledger):
            planned = _planned(ledger, options, loaded)
            batches = ledger.batches(planned, raw_rows=options.out is not None, times=True)
            return written(batches, lambda: ledger.sources(planned))


class _Repeats:
    """Whether keys, or whole files, repeat among what is checked; 8 bytes a row that has a key."""

    def __init__(self) -> None:
        self._hashes: list[Hashes] = []
        self._digests: list[str] = []

    def add(self, prepared: EncodedChunk) -> None:
        """Look at a chunk's rows that would be sent."""
        if "key" in prepared.rows.column_names:
            ready = pc.equal(prepared.rows["state"], State.PENDING.value)
            self._hashes.append(hashes(whole(prepared.rows["key"].filter(ready).drop_null())))

    def close_source(self, digest: str) -> None:
        """The content of a source that was read; empty if it is not known."""
        if digest:
            self._digests.append(digest)

    def found(self) -> bool:
        """Whether anything came twice; two texts of one hash are taken for one, which costs time and nothing else."""
        keys = np.concatenate([np.empty(0, np.uint64), *self._hashes])
        keys.sort()
        return bool((keys[1:] == keys[:-1]).any()) or len(set(self._digests)) < len(self._digests)


def _can_be_read_again(source: str) -> bool:
    return source != "-" and not (Path(source).exists() and not (Path(source).is_file() or Path(source).is_dir()))


def _planned(ledger: Ledger, options: RunOptions, loaded: LoadedMapping) -> Run:
    """Plan as `importer run` does, so that repeats are treated as they are there."""

    def ignore(_: object) -> None:
        """What there is to say was said when the files were read first."""

    digest = loaded.mapping.digest()
    run = ledger.create_run(mapping_name=loaded.name, mapping_text=loaded.text, mapping_digest=digest, options={})
    reading = options.reading(raw_rows=options.out is not None)
    plan(ledger, run, prepare_stored(options.readable, loaded.mapping, reading, ignore, ledger.hasher), ignore)
    return ledger.seal(run)


def _batches(
    options: RunOptions,
    loaded: LoadedMapping,
    read: list[RunSource],
    observers: tuple[Checking, _Repeats],
    console: Console,
) -> Iterator[RowBatch]:
    checking, repeats = observers
    written = options.out is not None  # the page shows the first events
    reading = options.reading(raw_rows=written, bodies=written)
    found = prepare_sources(options.readable, loaded.mapping, reading, console.say)
    checked = report.Checked()
    for number, stream in enumerate(found, start=1):
        rows, error = 0, stream.error
        try:
            for prepared in stream.chunks:
                rows += prepared.count
                console.read(prepared.count)
                checking.add(prepared)
                repeats.add(prepared)
                yield checked(prepared)
            repeats.close_source(stream.digest())
        except SourceError as broken:
            error = broken.message
        if not options.transform:  # a function may make any columns of the file's
            checking.close_source(stream.source)
        read.append(RunSource(number, stream.source, "", rows, error))
