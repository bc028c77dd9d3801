"""The program of the report: a run's rows, batch by batch, into files that appear together.

Each output gets each batch once, in one pass; another output is one more line in `_with_files`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit, urlunsplit

from msgspec.structs import replace

from importer import DEFAULT_ENDPOINT
from importer.errors import MappingError, ReportError, UsageError
from importer.mapping.load import loads
from importer.model import SANDBOX_ENDPOINT, Counts, Format, RowBatch, Run, RunSource, State, scope_options
from importer.remote import RemotePath
from importer.report.atomic import SUMMARY, Outputs, keep_user_files
from importer.report.check import Advise, with_advice
from importer.report.model import (
    CHECK,
    VERSIONS,
    ImportTotal,
    MappingSummary,
    ReportOptions,
    SourceSummary,
    Step,
    Summary,
    Written,
    WrittenFile,
    counts_by_name,
    summary_bytes,
)
from importer.report.rejects import Rejects
from importer.report.rows import WRITERS, ExplainedBatch, explain, report_table
from importer.report.totals import Totals
from importer.wording import counted, iso, shell_quoted

if TYPE_CHECKING:
    from importer.ledger.ledger import Ledger

_PAGE = "report.html"
_SHORTEST = 1.0
"""Seconds; two answers in one millisecond are not a thousand a second."""

Explain = Callable[[Summary, Totals], Summary]
"""Adds to a summary what the ledger does not know."""


def write(ledger: Ledger, run: Run, options: ReportOptions, advise: Advise | None = None) -> Written:
    """Write report, rejects, page and summary of a run, finished or not, from the ledger alone.

    ``advise`` says what to change in the mapping about each reason.
    All files appear together when they are complete, or none does. Where they cannot be written, the page and the
    summary alone are tried; what went wrong is the result's ``failure``. Raises `LedgerError` where the ledger cannot
    be read.
    """
    batches = ledger.batches(run, raw_rows=options.rejects)
    sources = partial(ledger.sources, run)
    return _Report(run, batches, sources, options, lambda summary, _: with_advice(summary, advise), ledger).written()


def count_run(ledger: Ledger, run: Run) -> Written:
    """What `write` would return, without writing anything."""
    return _Report(run, ledger.batches(run), partial(ledger.sources, run), ledger=ledger).written()


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
    return _Report(run, batches, sources, options, explain).written()


def write_file(ledger: Ledger, run: Run, path: Path, form: Format) -> None:
    """Write a run's report alone to a file, whole or not at all; raises `ReportError` where it cannot be written."""
    with Outputs(path.parent, again=_again(run)) as outputs:
        stream(ledger, run, outputs.create(path.name), form)
        outputs.commit()


def stream(ledger: Ledger, run: Run, file: BinaryIO, form: Format) -> None:
    """Write a run's report alone to an open file, such as stdout; raises `OSError` where that refuses."""
    writer = WRITERS[form](file)
    for explained in _explained(ledger.batches(run)):
        writer.add(report_table(explained, run.id))
    writer.close()


def _explained(batches: Iterable[RowBatch]) -> Iterator[ExplainedBatch]:
    return (explain(batch) for batch in batches if batch.table.num_rows)


class _Report:
    """What is reported of one run; ``sources`` are asked for when all batches have come by."""

    def __init__(
        self,
        run: Run,
        batches: Iterable[RowBatch],
        sources: Callable[[], Sequence[RunSource]],
        options: ReportOptions | None = None,
        explain: Explain | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """``ledger`` is None for a check."""
        self._run, self._sources, self._options, self._explain, self._ledger = run, sources, options, explain, ledger
        self._batches = _explained(batches)
        self._totals = Totals(foresees=run.id == CHECK and explain is not None)
        self._lost = 0
        """Undelivered rows that are in no file, for want of their originals."""

    def written(self) -> Written:
        """Write all files, or count only where there are no options."""
        if self._options is None:
            self._count()
            return self._summed_up()
        try:
            return self._with_files(self._options)
        except ReportError as failure:
            self._count()  # the numbers are right all the same
            self._lost = 0
            # What was written so far is gone, which may have made room for the small files.
            try:
                written = self._with_files(self._options, rows=False)
            except ReportError:
                written = self._summed_up()
            return replace(written, failure=failure)

    def _count(self) -> None:
        for explained in self._batches:
            self._totals.add(explained)

    def _with_files(self, options: ReportOptions, *, rows: bool = True) -> Written:
        """All files; without ``rows`` the page and the summary of what was counted."""
        from importer.report.page import render_page  # a check without files can do without

        with Outputs(options.out, again=_again(self._run, options.ledger_option)) as outputs:
            files = self._with_rows(options, outputs) if rows else []
            files.append((_PAGE, WrittenFile(_PAGE, "page", self._totals.counts.read)))
            written = self._summed_up(tuple(file for _, file in files))
            pauses = self._ledger.pauses(self._run) if self._ledger else ()
            page = render_page(self._run, written.summary, self._totals, written.steps, pauses)
            outputs.create(_PAGE).write(page)
            outputs.create(SUMMARY).write(summary_bytes(written.summary))
            with outputs.explained():
                keep_user_files(options.out, {file.name for _, file in files})
            names = {placeholder: file.name for placeholder, file in files}
            return replace(written, paths=outputs.commit({**names, SUMMARY: SUMMARY}))

    def _with_rows(self, options: ReportOptions, outputs: Outputs) -> list[tuple[str, WrittenFile]]:
        """The files with a line per row, each by its placeholder."""
        name, run = f"report.{options.format}", self._run
        report = WRITERS[options.format](outputs.create(name))
        columns = _columns_by_target(run.mapping_text, run.mapping_name)
        # Rejects that come back say of which run they are; the ledger does not know a check.
        origin = "" if run.id == CHECK else run.id
        rejects = Rejects(outputs, origin, columns, as_workbook=options.rejects_format == "xlsx")
        for explained in self._batches:
            self._totals.add(explained)
            report.add(report_table(explained, run.id))
            if options.rejects:
                rejects.add(explained)
        report.close()
        files = [(name, WrittenFile(name, "report", self._totals.counts.read)), *rejects.close()]
        self._lost = rejects.without_originals
        return files

    def _summed_up(self, files: tuple[WrittenFile, ...] = ()) -> Written:
        run, totals, options, sources = self._run, self._totals, self._options, tuple(self._sources())
        # States as the report has them: a run that is being delivered moves on between two looks at the ledger.
        counts = Counts(sum(one.rows for one in sources), totals.counts.by_state)
        delivering = _between(totals.first_answer, totals.last_answer)
        # Between the first answer and the last are one answer fewer than there are; a moment has no rate worth saying.
        rate = (totals.answers - 1) / delivering if delivering and delivering >= _SHORTEST else None
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
            events_per_second=None if rate is None else round(rate, 3),
            sources=tuple(map(_source, sources)),
            reasons=reasons,
            warnings=dict(warnings),
            filters=totals.filters(),
            totals=totals.money(),
            without_originals=self._lost,
            files=files,
            versions=VERSIONS,
            import_total=self._import_total(),
        )
        summary = self._explain(summary, totals) if self._explain else summary
        there = (options.out_afterwards or options.out) if options else Path()
        rejects = [there / one.name for one in files if one.holds == "rejects" and one.rows]
        steps = _next_steps(run, summary, rejects, options.ledger_option if options else "")
        return Written((), counts, counts.balanced, summary, tuple(steps))

    def _import_total(self) -> ImportTotal | None:
        runs = self._ledger.import_of(self._run) if self._ledger else []
        if self._ledger is None or len(runs) < 2:
            return None
        return ImportTotal(tuple(one.id for one in runs), counts_by_name(self._ledger.import_counts(runs)))


def _columns_by_target(text: str, name: str) -> Mapping[str, tuple[str, ...]]:
    """The columns that each target of a mapping comes from; none where the mapping cannot be loaded any more."""
    try:
        mapping = loads(text, name, partial=True).mapping
    except (MappingError, UsageError):
        return {}
    return {target: value.columns() for target, value in mapping.fields()}


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


def _next_steps(run: Run, summary: Summary, rejects: Sequence[Path | RemotePath], ledger_option: str) -> Iterator[Step]:
    """What is left to do when it is over, as commands to paste; a run's id alone says its account and endpoint.

    ``rejects`` are the files to be corrected, ``ledger_option`` names an unusual ledger.
    """
    rows, this = summary.rows, f"{run.id}{ledger_option}"
    transform = run.options.get("transform", "")
    mapping = f"-m {shell_quoted(run.mapping_name)}" + (f" --transform {shell_quoted(transform)}" if transform else "")
    left = rows[State.PENDING.value]
    if run.id == CHECK:
        if left:
            given = run.options.get("sources") or [source.name for source in summary.sources]
            command = f"importer run {' '.join(map(shell_quoted, given))} {mapping}"
            if file := run.options.get("accounts_file"):
                command += f" --accounts {shell_quoted(file)}"
            words = f"rehearse {counted(left, 'event')} on this machine, then send for real"
            yield Step(words, (f"{command} --sandbox", command))
        return
    if left:
        words = f"{rows[State.SENT.value]:,} sent, {left:,} left; continue with"
        yield Step(words, (f"importer resume {this}",))
    # While rows wait, the others can wait too: they are all said when the run is over.
    undelivered = 0 if left else rows[State.INVALID.value] + rows[State.REFUSED.value]
    failed = 0 if left else rows[State.FAILED.value] - summary.given_up
    refused = 0 if left else rows[State.REFUSED.value]
    if undelivered and rejects:
        files = " ".join(shell_quoted(str(path)) for path in rejects)
        names = " and ".join(path.name for path in rejects)
        names = names if len(rejects) <= 2 else f"{len(rejects)} rejects files"
        yield Step(
            f"fix the {_rows(undelivered)} in {names}, then run this (it sends only those); or fix them on a page",
            (
                f"importer run {files} {mapping}{_goal(run)}{ledger_option}",
                f"importer review {this}",
            ),
        )
    if failed:
        words = (
            f"check in Sender for the {_rows(failed)} that failed; if not there, send what failed or was refused again"
        )
        yield Step(words, (f"importer retry {this}",))
    elif refused:  # the same command sends what failed, too
        words = f"if the rows are right as they are: send the {_rows(refused)} that the API refused again"
        yield Step(words, (f"importer retry {this}",))
    if doubtful := rows[State.IN_DOUBT.value]:
        yield Step(
            f"check in Sender for the {_rows(doubtful)} in doubt, then say: arrived, or not",
            tuple(f"importer resolve {this} {word}" for word in ("--assume-sent", "--resend")),
            about_doubt=True,
        )


def _goal(run: Run) -> str:
    """The options by which corrected rows go to the same account and endpoint."""
    file = run.options.get("accounts_file")
    if file is None:
        return scope_options(run.account, run.endpoint)
    one = run.account if run.options["accounts"]["column"] is None and "batch" in run.options else "default"
    scope = scope_options(one, run.endpoint if run.endpoint == SANDBOX_ENDPOINT else DEFAULT_ENDPOINT)
    return f" --accounts {shell_quoted(file)}{scope}"


def _rows(count: int) -> str:
    return "row" if count == 1 else f"{count:,} rows"
