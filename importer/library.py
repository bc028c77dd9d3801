"""The importer as a library: `check` and `run` over paths or a DataFrame, in a script or a notebook.

This module owns typed results, DataFrames as sources, and working where an event loop is running already. It asks
nobody: a live run takes its confirmation as an argument.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from importer import report
from importer.deliver import Progress
from importer.errors import ExitCode, UsageError
from importer.pipeline import check as checking
from importer.pipeline import program
from importer.pipeline.connect import open_ledger
from importer.pipeline.options import Forecast, RunOptions, TargetOptions, default_ledger
from importer.report import Summary
from importer.sandbox import SandboxOptions

Path_: TypeAlias = "str | os.PathLike[str]"
Sources: TypeAlias = "Path_ | Sequence[Path_] | pd.DataFrame"
Confirm: TypeAlias = "bool | Callable[[Forecast], bool]"
_FRAME = "DataFrame"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of every row."""

    report: pd.DataFrame
    """One line per source row, in source order; the columns of ``report.csv``."""
    summary: Summary
    """Counts, reasons and files, as in ``summary.json``."""
    exit_code: ExitCode
    """What the command would have exited with: 0 all delivered (or, after a check, all could be) …"""
    messages: tuple[str, ...]
    """What was said on the way: rows delivered before, files that could not be read …"""
    files: tuple[Path, ...]
    """What was written, if ``out`` was given."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run may be told besides its sources; as the options of `importer run`."""

    target: TargetOptions | None = None
    """Account, endpoint, token, ledger …; None: as the command line without options."""
    order: RunOptions = field(default_factory=lambda: RunOptions(sources=(), mapping=""))
    """How to deliver and report; its sources and mapping are those of the call."""


def check(
    sources: Sources, mapping: Path_, *, strict: bool = False, transform: str = "", out: Path_ | None = None
) -> Result:
    """Everything but sending, as `importer check`.

    ``sources`` are paths, globs, directories, or a DataFrame; ``mapping`` is a YAML file's path, or a preset's name.
    Raises `MappingError`, `UsageError` or `TransformError` where nothing can be checked; a row's trouble is in the
    result.
    """
    console = _Console()
    with _named(sources) as names, tempfile.TemporaryDirectory() as scratch:
        order = RunOptions(
            sources=names,
            mapping=os.fspath(mapping),
            strict=strict,
            transform=transform,
            out=Path(scratch),
            report_format="parquet",
        )
        written = checking.check(order, console)
        rows = pq.read_table(Path(scratch) / "report.parquet").to_pandas()
        if out is not None:
            written = checking.check(replace(order, out=Path(out), report_format="csv"), _Console())
    paths = written.paths if out is not None else ()
    return _renamed(
        Result(rows, written.summary, checking.exit_code(written), tuple(console.said), paths), sources, names
    )


def run(
    sources: Sources,
    mapping: Path_,
    *,
    confirm: Confirm = False,
    sandbox: bool | SandboxOptions = False,
    out: Path_ | None = None,
    settings: Settings | None = None,
) -> Result:
    """Plan, deliver and report, as `importer run`.

    With ``sandbox`` nothing leaves the machine. A live run needs ``confirm``: True, or a function that is shown the
    `Forecast` (events, subscribers, value, how long it takes) and says whether to go on. ``settings`` carries whatever
    else the command line could say. Ctrl-C (a notebook's stop button) stops it cleanly; the same call again goes on.

    Raises `MappingError`, `UsageError`, `LedgerError` or `TransformError` where nothing can be done.
    """
    settings = settings or Settings()
    place = settings.target or TargetOptions(ledger=default_ledger(os.environ), environment=os.environ)
    if sandbox:
        place = replace(place, sandbox=sandbox if isinstance(sandbox, SandboxOptions) else SandboxOptions())
    console = _Console(confirm)
    with _named(sources) as names:
        wanted = replace(settings.order, sources=names, mapping=os.fspath(mapping))
        if out is not None:
            wanted = replace(wanted, out=Path(out))
        done = program.run(wanted, place, console)
    with open_ledger(place) as ledger:
        table = BytesIO()
        report.stream(ledger, done.run, table, "parquet")
    rows = pq.read_table(pa.BufferReader(table.getvalue())).to_pandas()
    found = Result(rows, done.written.summary, done.exit_code, tuple(console.said), done.written.paths)
    return _renamed(found, sources, names)


def _renamed(result: Result, sources: Sources, names: tuple[str, ...]) -> Result:
    """A DataFrame is called so, not like the scratch file that it lay in."""
    if not isinstance(sources, pd.DataFrame):
        return result
    said = tuple(message.replace(names[0], _FRAME) for message in result.messages)
    return replace(result, report=result.report.replace({"source": {names[0]: _FRAME}}), messages=said)


@dataclass(slots=True)
class _Console:
    """A user who was asked beforehand."""

    answer: Confirm = False
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Keep it for the result."""
        self.said.append(text)

    def read(self, rows: int) -> None:
        """Nobody looks."""

    def watch(self, progress: Progress) -> None:
        """Nobody looks."""

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

    def confirm_more(self, sent: int) -> bool:
        """Look at the first events in Sender, then call again."""
        del sent
        return False


@contextmanager
def _named(sources: Sources) -> Iterator[tuple[str, ...]]:
    """Sources as names; a DataFrame lies in a temporary Parquet file meanwhile."""
    if isinstance(sources, str | os.PathLike):
        yield (os.fspath(sources),)
    elif isinstance(sources, pd.DataFrame):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / f"{_FRAME}.parquet"
            pq.write_table(_table(sources), path)
            yield (str(path),)
    else:
        yield tuple(os.fspath(source) for source in sources)


def _table(frame: pd.DataFrame) -> pa.Table:
    """A DataFrame's columns, exactly; a column of mixed types as the text of its values."""
    twice = sorted({str(name) for name in frame.columns[frame.columns.map(str).duplicated()]})
    if twice:
        raise UsageError(
            f"the DataFrame has more than one column of the name {', '.join(twice)}",
            hint="rename or drop one: df = df.loc[:, ~df.columns.duplicated()]",
        )
    columns = {}
    for name in frame.columns:
        try:
            columns[str(name)] = pa.array(frame[name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            mixed = [None if pd.api.types.is_scalar(one) and pd.isna(one) else str(one) for one in frame[name]]
            columns[str(name)] = pa.array(mixed, pa.string())
    return pa.table(columns)
