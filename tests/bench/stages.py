"""Each stage alone, in one process: ``python -m tests.bench.stages FILE MAPPING [URL]``; prints JSON.

Per stage: its rows, wall seconds and CPU seconds (of all threads), chunk by chunk and without its neighbours'. The raw
readers of pyarrow go over the same file first. With URL, a sink's, the plan is delivered to it and reported, too.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from importer import report
from importer.convert import RowMapper
from importer.deliver import Progress
from importer.deliver.endpoint import Endpoint
from importer.deliver.token import Token
from importer.encode import encode
from importer.ledger.ledger import Ledger
from importer.mapping.load import LoadedMapping, load
from importer.model import Run
from importer.pipeline.connect import Target
from importer.pipeline.options import Forecast, RunOptions, TargetOptions
from importer.pipeline.program import Result
from importer.pipeline.send import send
from importer.read import expand, open_source
from importer.report import ReportOptions
from importer.validate import validate

MEBIBYTE = 1 << 20


class Stopwatch:
    """Seconds and CPU seconds by stage."""

    def __init__(self) -> None:
        self.figures: dict[str, list[float]] = {}

    @contextmanager
    def over(self, stage: str) -> Iterator[None]:
        began, used = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            figure = self.figures.setdefault(stage, [0.0, 0.0])
            figure[0] += time.perf_counter() - began
            figure[1] += time.process_time() - used


class Silent:
    """A desk that agrees to everything."""

    def say(self, text: str) -> None:
        """Nobody reads it."""

    def require_answer(self) -> None:
        """It has one."""

    def confirm(self, forecast: Forecast) -> bool:
        return True

    def confirm_more(self, sent: int) -> bool:
        return True

    def read(self, rows: int) -> None:
        """Nobody watches."""

    def watch(self, progress: Progress) -> None:
        """Nobody watches."""

    def conclude(self, result: Result) -> None:
        """Nobody watches."""


def raw(path: Path) -> int:
    """The rows of the file, by pyarrow's own streaming reader: all columns, one thread."""
    if path.suffix == ".csv":
        names = pa.csv.open_csv(path).schema.names
        convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        options = pa.csv.ReadOptions(use_threads=False, block_size=MEBIBYTE)
        with pa.csv.open_csv(path, read_options=options, convert_options=convert) as batches:
            return sum(batch.num_rows for batch in batches)
    if path.suffix == ".jsonl":
        options = pa.json.ReadOptions(use_threads=False, block_size=MEBIBYTE)
        return int(pa.json.read_json(path, read_options=options).num_rows)
    with pa.parquet.ParquetFile(path) as file:
        return sum(batch.num_rows for batch in file.iter_batches(use_threads=False))


def prepare(watch: Stopwatch, path: Path, loaded: LoadedMapping, ledger: Ledger, run: Run) -> int:
    """Read, shape, validate, encode, store; returns the rows."""
    (source,) = expand([str(path)])
    shaper, rows = RowMapper(loaded.mapping), 0
    with open_source(source, loaded.mapping.source) as reader:
        number = ledger.add_source(run, reader.source)
        chunks = iter(reader.chunks(loaded.mapping.columns(), raw_rows=True))
        while True:
            with watch.over("read"):
                chunk = next(chunks, None)
            if chunk is None:
                break
            with watch.over("shape"):
                events = shaper(chunk)
            with watch.over("validate"):
                verdict = validate(events, strict=False)
            with watch.over("encode"):
                prepared = encode(events, verdict)
            with watch.over("plan"):
                ledger.add_chunk(run, number, prepared)
            rows += prepared.count
        with watch.over("plan"):
            ledger.close_source(run, number, digest=reader.digest)
    return rows


def main(file: str, mapping: str, url: str = "") -> None:
    """Measure."""
    path, watch, loaded = Path(file), Stopwatch(), load(mapping)
    with watch.over("raw reader"):
        raw(path)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with Ledger(home / "ledger.db", account="bench", endpoint=url or "none") as ledger:
            options = {"sources": [file]}
            run = ledger.create_run(
                mapping_name=mapping, mapping_text=loaded.text, mapping_digest="bench", options=options
            )
            rows = prepare(watch, path, loaded, ledger, run)
            with watch.over("plan"):
                run = ledger.seal(run)
            if url:
                way = Target(Endpoint.parse(url), Token("bench"), rehearsal=True)
                order = RunOptions((file,), mapping, out=home)
                with watch.over("deliver"):
                    send(ledger, run, order, TargetOptions(ledger=ledger.location), way, Silent())
                with watch.over("report"):
                    report.write(ledger, run, ReportOptions(out=home / "out"))
    print(json.dumps({"rows": rows, "stages": watch.figures}))  # noqa: T201 - its output


if __name__ == "__main__":
    main(*sys.argv[1:])
