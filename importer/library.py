"""The importer as a library: `check` and `run` over paths or a DataFrame, in a script or a notebook.

It asks no question: a live run takes its confirmation as an argument. An event loop may be running already.
"""

from __future__ import annotations

import html
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv_reader
import pyarrow.json as json_reader
import pyarrow.parquet as pq
from msgspec.structs import replace

from importer import report
from importer.deliver import Progress
from importer.errors import ExitCode, SourceError, UsageError
from importer.mapping.load import LoadedMapping, from_data, load, loads
from importer.model import ArrowArray, Format, State
from importer.pipeline import check as checking
from importer.pipeline import program
from importer.pipeline.connect import open_ledger
from importer.pipeline.console import Console, Forecast, exit_code
from importer.pipeline.options import RunOptions, TargetOptions, default_ledger
from importer.read import Input, text_of
from importer.remote import RemotePath
from importer.report import Summary, Written
from importer.report.rows import SCHEMA
from importer.roundtrip import original
from importer.sandbox import SandboxOptions
from importer.transform import arrays_of

Path_: TypeAlias = "str | os.PathLike[str]"
Sources: TypeAlias = "Path_ | Sequence[Path_] | pd.DataFrame"
MappingLike: TypeAlias = "Path_ | Mapping[str, Any]"
Confirm: TypeAlias = "bool | Callable[[Forecast], bool]"
_FRAME = "DataFrame"
_IN_MAPPING = "mapping"


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """What became of every row."""

    report: pd.DataFrame
    """One line per source row, in source order; the columns of ``report.csv``. A DataFrame's rows keep its index."""
    summary: Summary
    """Counts, reasons and files, as in ``summary.json``."""
    exit_code: ExitCode
    """The exit code of the command: 0 all delivered (or, after a check, all could be) …"""
    messages: tuple[str, ...]
    """What was said on the way: rows delivered before, files that could not be read …"""
    files: tuple[Path | RemotePath, ...]
    """What was written, if ``out`` was given."""

    def __repr__(self) -> str:
        return f"<Result {self._outcome()}>"

    def _repr_html_(self) -> str:
        """For a notebook: the counts, the messages, and the first rows that are not delivered."""
        messages = "".join(f"<li>{html.escape(message)}</li>" for message in self.messages)
        bad = self.report[~self.report["state"].isin([State.SENT.value, State.PENDING.value])].head(10)
        rows = bad[["source", "row", "state", "code", "message"]].to_html(escape=True) if len(bad) else ""
        return f"<p><b>{html.escape(self._outcome())}</b></p><ul>{messages}</ul>{rows}"

    def _outcome(self) -> str:
        rows = self.summary.rows
        parts = ", ".join(f"{rows[state.value]:,} {state.value}" for state in State if rows[state.value])
        return f"{rows['read']:,} rows: {parts or 'none'}"


@dataclass(frozen=True, slots=True)
class Settings:
    """A run's options other than its sources, as those of `importer run`."""

    target: TargetOptions | None = None
    """Account, endpoint, token, ledger …; None: as the command line without options."""
    options: RunOptions = field(default_factory=lambda: RunOptions(sources=(), mapping=""))
    """How to deliver and report; its sources and mapping are those of the call."""


def check(
    sources: Sources,
    mapping: MappingLike,
    *,
    strict: bool = False,
    transform: str = "",
    out: Path_ | None = None,
    report_format: Format = "csv",
) -> Result:
    """Everything but sending, as `importer check`.

    ``sources`` are paths, globs, directories, or a DataFrame; ``mapping`` is a YAML file's path, a preset's name, or a
    dict. With ``out`` the report and the rejects are written there, too.

    Raises `MappingError`, `UsageError` or `TransformError` where nothing can be checked, and `SourceError` if no source
    can be read; a row's trouble is in the result.
    """
    console = _Console()
    loaded = _loaded(mapping)
    with _readable(sources) as (names, inputs), tempfile.TemporaryDirectory() as scratch:
        form: Format = "parquet" if out is None else report_format
        place = Path(scratch) if out is None else RemotePath.parse(str(out))
        options = RunOptions(
            names, loaded, strict=strict, transform=transform, out=place, report_format=form, inputs=inputs
        )
        written = checking.check(options, console)
        _raise_if_unreadable(written.summary)
        rows = _rows(place / f"report.{form}", form)
    paths = () if out is None else written.paths
    _take_index(rows, sources)
    return Result(rows, written.summary, exit_code(written), console.messages(written), paths)


def run(
    sources: Sources,
    mapping: MappingLike,
    *,
    confirm: Confirm = False,
    sandbox: bool | SandboxOptions = False,
    out: Path_ | None = None,
    settings: Settings | None = None,
) -> Result:
    """Plan, deliver and report, as `importer run`.

    With ``sandbox`` nothing leaves the machine. A live run needs ``confirm``: True, or a function that gets the
    `Forecast` (events, subscribers, value, how long it takes) and says whether to go on. ``settings`` has the other
    options of the command line. Ctrl-C (a notebook's stop button) stops it cleanly; the same call again goes on, and
    sends nothing that was delivered.

    Raises `MappingError`, `UsageError`, `LedgerError` or `TransformError` where nothing can be done, and `SourceError`
    if no source can be read.
    """
    settings = settings or Settings()
    target = settings.target or TargetOptions(ledger=default_ledger(os.environ), environment=os.environ)
    if sandbox:
        target = replace(target, sandbox=sandbox if isinstance(sandbox, SandboxOptions) else SandboxOptions())
    console = _Console(confirm)
    with _readable(sources) as (names, inputs):
        options = replace(settings.options, sources=names, mapping=_loaded(mapping), inputs=inputs, brief=True)
        done = program.run(
            options if out is None else replace(options, out=RemotePath.parse(str(out))), target, console
        )
    _raise_if_unreadable(done.written.summary)
    with open_ledger(target) as ledger:
        table = BytesIO()
        report.stream(ledger, done.run, table, "parquet")
    rows = _frame(pq.read_table(pa.BufferReader(table.getvalue())))
    _take_index(rows, sources)
    return Result(rows, done.written.summary, done.exit_code, console.messages(done.written), done.written.paths)


def _loaded(mapping: MappingLike) -> LoadedMapping:
    if not isinstance(mapping, Mapping):
        return load(os.fspath(mapping))
    data = dict(mapping)
    if "extends" not in data:
        from_data(data, _IN_MAPPING)  # its problems name the dict's own keys, not lines of a text
    return loads(json.dumps(data, default=str), _IN_MAPPING)


def _rows(path: Path | RemotePath, form: Format) -> pd.DataFrame:
    """A report's rows with their types, from a file of any format."""
    file = pa.BufferReader(path.read_bytes())
    if form == "parquet":
        return _frame(pq.read_table(file))
    if form == "jsonl":
        return _frame(json_reader.read_json(file, parse_options=json_reader.ParseOptions(explicit_schema=SCHEMA)))
    table = csv_reader.read_csv(
        file,
        parse_options=csv_reader.ParseOptions(newlines_in_values=True),
        convert_options=csv_reader.ConvertOptions(column_types=SCHEMA, null_values=[""], strings_can_be_null=True),
    )
    for at, name in enumerate(SCHEMA.names):
        if pa.types.is_string(SCHEMA.field(name).type):
            table = table.set_column(at, SCHEMA.field(name), original(table.column(name).combine_chunks()))
    return _frame(table)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _raise_if_unreadable(summary: Summary) -> None:
    """Raise the first source's error if no row of any source could be read."""
    broken = [source for source in summary.sources if source.error]
    if broken and not summary.rows["read"]:
        name, error = broken[0].name, broken[0].error
        raise SourceError(name, error.removeprefix(f"{name}: "), hint="correct the file, or the mapping's `source`")


def _take_index(rows: pd.DataFrame, sources: Sources) -> None:
    """Give the report of a DataFrame its index."""
    if isinstance(sources, pd.DataFrame) and len(rows) == len(sources):
        rows.index = sources.index


@dataclass
class _Console(Console):
    """A user who was asked beforehand; in a notebook a progress bar shows how far it is."""

    answer: Confirm = False
    said: list[str] = field(default_factory=list)
    _bar: Any = None

    def say(self, text: str) -> None:
        """Keep it for the result."""
        self.said.append(text)

    def messages(self, written: Written) -> tuple[str, ...]:
        """All that was said, and why outputs could not be written."""
        failure = written.failure
        return (*self.said, *([] if failure is None else [f"error: {failure.message}; {failure.hint}"]))

    def watch(self, progress: Progress) -> None:
        """Show the progress in a notebook; a script has no such place."""
        if not _in_notebook():
            return
        done = progress.sent + progress.refused + progress.failed + progress.in_doubt
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=done + progress.left, unit="event")
        self._bar.update(done - self._bar.n)
        if not progress.left:
            self._bar.close()

    def require_answer(self) -> None:
        """Refuse a live run that was not confirmed."""
        if self.answer is False:
            raise UsageError(
                "a live run sends real events, and was not confirmed",
                hint="pass confirm=True, or a function that looks at the forecast; sandbox=True rehearses",
            )

    def confirm(self, forecast: Forecast) -> bool:
        """The answer given beforehand; a rehearsal needs none."""
        if forecast.rehearsal:
            return True
        return self.answer(forecast) if callable(self.answer) else self.answer


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython  # type: ignore[import-not-found]  # there in notebooks alone
    except ImportError:
        return False
    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


@contextmanager
def _readable(sources: Sources) -> Iterator[tuple[tuple[str, ...], tuple[Input, ...]]]:
    """Sources as paths, and a DataFrame as an input of that name; it is in a temporary Parquet file meanwhile."""
    if isinstance(sources, str | os.PathLike):
        yield (os.fspath(sources),), ()
    elif isinstance(sources, pd.DataFrame):
        with tempfile.TemporaryDirectory() as scratch:
            path = str(Path(scratch) / f"{_FRAME}.parquet")
            pq.write_table(_table(sources), path)
            yield (path,), (Input(_FRAME, path),)
    else:
        yield tuple(os.fspath(source) for source in sources), ()


def _table(frame: pd.DataFrame) -> pa.Table:
    """A DataFrame's columns, exactly; a column of mixed types as text, as JSON where it holds objects or lists."""
    twice = sorted({str(name) for name in frame.columns[frame.columns.map(str).duplicated()]})
    if twice:
        raise UsageError(
            f"the DataFrame has more than one column of the name {', '.join(twice)}",
            hint="rename or drop one: df = df.loc[:, ~df.columns.duplicated()]",
        )
    return pa.table({str(name): _arrow_column(frame[name]) for name in frame.columns})


def _arrow_column(series: pd.Series[Any]) -> ArrowArray:
    arrays, order = arrays_of(series)
    if len(arrays) > 1:
        found = [text_of(array) for array in arrays]
        if any(nested is not None for _, nested, _ in found):  # in a column with texts, only JSON distinguishes them
            texts = [one if nested is not None else pa.array(map(_quoted, one.to_pylist())) for one, nested, _ in found]
            return pa.ExtensionArray.from_storage(pa.json_(), pa.concat_arrays(texts).take(order))
        # Bytes stay bytes, so that those which are no text are a matter of their row.
        both = zip(arrays, found, strict=True)
        arrays = [array if pa.types.is_binary(array.type) else text.cast(pa.binary()) for array, (text, *_) in both]
    return pa.concat_arrays(arrays).take(order)


def _quoted(text: str | None) -> str | None:
    return None if text is None else json.dumps(text)
