"""The first rows of a file, through the real readers, for inference.

This module owns what is looked at: which of the files named, how many rows, and which paths nested formats have.
What the rows say is ``suggest``'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from importer.errors import SourceError, UsageError
from importer.mapping.model import SourceOptions
from importer.model import ArrowTable
from importer.read import Input, Limits, Reader, expand, open_source
from importer.suggest import DECISIVE, Column, Sample, open_dates

ROWS = 5_000
"""Rows looked at."""
_LAST_ROW = 5_000_000
"""Rows looked at for dates that tell the day from the month."""
_MOST_LATER = 100
_TITLE = 2
"""Names that a line may hold which is no header but a title, or a word and its value."""
_MOST_TITLES = 12
_OBJECTS = 1_000
"""Objects of JSON whose keys are looked at."""
_MOST_COLUMNS = 1_000
_LONGEST_NAME = 300
_DEEPEST = 6
_LIMITS = Limits(block=1 << 20, rows=ROWS)
_DATA = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]+|[-+]?[$€£]?[0-9][0-9.,:/ T-]*")


@dataclass(frozen=True, slots=True)
class Sampled:
    """A sample, and the input that it is of."""

    input: Input
    sample: Sample


def sample(argument: str, say: Callable[[str], None]) -> Sampled:
    """Look at the first file that the argument names and that can be read.

    Raises `UsageError` where it names none, or standard input, which cannot be read twice; `SourceError` where it
    cannot be read or has no column.
    """
    if argument == "-":
        hint = "save it to a file first: … > export.csv"
        raise UsageError("standard input cannot be looked at twice, as `importer init` has to", hint=hint)
    broken = None
    for at, each in enumerate(inputs := expand([argument])):
        try:
            found = _with_later_dates(_sample(each), inputs[at:])
        except SourceError as error:
            broken = broken or error
            continue
        if len(inputs) > 1:
            say(f"{argument} stands for {len(inputs):,} files; looking at {each.name}")
        return Sampled(each, found)
    if broken is not None:
        raise broken
    raise UsageError(f"{argument} stands for no file")


def _sample(each: Input) -> Sample:
    options = SourceOptions()
    with open_source(each, options) as reader:
        kind, columns = reader.source.dialect.format, reader.source.columns
    if kind == "csv":
        skipped = _title_lines(each, columns or ())
        options = SourceOptions(skip_lines=skipped) if skipped else _without_header(columns or ())
    elif kind == "jsonl":
        columns = tuple(_paths(each))
    else:
        columns = tuple(_members(each)) or columns
    with open_source(each, options) as reader:
        if options != SourceOptions():
            columns = reader.source.columns
        names = _usable(columns or (), reader)
        if not names:
            raise SourceError(each.name, "has no column with a name", hint="the first line of a CSV names its columns")
        return _cells(each, names, reader, options)


def _usable(columns: tuple[str, ...], reader: Reader) -> list[str]:
    """Names that a mapping can say, and that stand for one column."""
    once = [name for name in columns if columns.count(name) == 1] if len(columns) <= _MOST_COLUMNS else list(columns)
    sound = [name for name in once if name.strip() and len(name) <= _LONGEST_NAME and _is_text(name)]
    return [name for name in sound[:_MOST_COLUMNS] if reader.available(name)]


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


@dataclass(slots=True)
class _Found:
    """Cells as they come in."""

    cells: dict[str, list[str]]
    nested: set[str] = field(default_factory=set)
    rows: int = 0

    def add(self, table: ArrowTable) -> None:
        there = set(table.column_names)
        for name, cells in self.cells.items():
            if name in there:
                cells.extend(pc.utf8_trim_whitespace(pc.fill_null(table.column(name), "")).to_pylist())
            else:
                cells.extend([""] * table.num_rows)
        self.rows += table.num_rows


def _cells(each: Input, names: list[str], reader: Reader, options: SourceOptions) -> Sample:
    found = _Found({name: [] for name in names})
    whole = True
    with suppress(SourceError), closing(_generator(reader, names)) as chunks:
        for chunk in chunks:
            found.add(chunk.table.slice(0, ROWS - found.rows))
            found.nested |= {name for name, where in chunk.nested.items() if pc.any(where).as_py()}
            if found.rows >= ROWS:
                whole = False
                break
    columns = tuple(Column(name, tuple(cells), name in found.nested) for name, cells in found.cells.items())
    header = reader.source.columns or ()
    return Sample(
        each.name,
        columns,
        found.rows,
        whole,
        has_header=options.header is not False,
        doubled=tuple(dict.fromkeys(name for name in header if name.strip() and header.count(name) > 1)),
        skip_lines=options.skip_lines,
        delimiter=options.delimiter or "",
    )


def _with_later_dates(sample: Sample, inputs: Sequence[Input]) -> Sample:
    """Reads on for dates, where the first rows leave open which number is the day: often they are of one week."""
    names = open_dates(sample)
    if not names or (sample.whole and len(inputs) == 1):
        return sample
    options = SourceOptions(skip_lines=sample.skip_lines)
    if not sample.has_header:
        options = SourceOptions(header=False, delimiter=sample.delimiter or None)
    later: dict[str, tuple[str, ...]] = {}
    rows = 0
    for each in inputs:
        with suppress(SourceError), open_source(each, options) as reader:
            there = [name for name in names if reader.available(name)]
            with closing(_generator(reader, there)) as chunks:
                for chunk in chunks:
                    for name in set(there).intersection(chunk.table.column_names) - later.keys():
                        cells = pc.utf8_trim_whitespace(pc.unique(chunk.table.column(name)).drop_null())
                        if decisive := cells.filter(pc.match_substring_regex(cells, DECISIVE)).to_pylist():
                            later[name] = tuple(decisive[:_MOST_LATER])
                    rows += chunk.count
                    if len(later) == len(names) or rows > _LAST_ROW:
                        break
    columns = tuple(replace(one, later=later.get(one.name, ())) for one in sample.columns)
    return replace(sample, columns=columns)


def _generator(reader: Reader, names: list[str], *, raw_rows: bool = False) -> Any:
    return reader.chunks(names, raw_rows=raw_rows)


def _without_header(header: tuple[str, ...]) -> SourceOptions:
    """Whether the first line is data, and whether blanks divide it."""
    if len(header) == 1 and len(parts := header[0].split()) > 1 and all(map(_DATA.fullmatch, parts)):
        return SourceOptions(header=False, delimiter="whitespace")
    named = [name for name in header if name.strip()]
    if any("@" in name and _DATA.fullmatch(name) for name in named):
        return SourceOptions(header=False)
    if named and sum(_DATA.fullmatch(name) is not None for name in named) > len(named) / 2:
        return SourceOptions(header=False)
    return SourceOptions()


def _title_lines(each: Input, header: tuple[str, ...]) -> int:
    """How many lines stand before the header, where the first is no header: a title, a date, a blank line."""
    if sum(bool(name.strip()) for name in header) > _TITLE:
        return 0
    for count in range(1, _MOST_TITLES + 1):
        with suppress(SourceError), open_source(each, SourceOptions(skip_lines=count)) as reader:
            names = reader.source.columns or ()
            sound = all(name.strip() and not _DATA.fullmatch(name) for name in names) and len(set(names)) == len(names)
            if len(names) > _TITLE and sound and (len(names) > len(header) or "" in map(str.strip, header)):
                return count
    return 0


def _paths(each: Input) -> Iterator[str]:
    """The dotted paths of JSON objects, in order of appearance."""
    seen: dict[str, None] = {}
    with open_source(each, SourceOptions(format="jsonl"), _LIMITS) as reader:
        objects = 0
        with suppress(SourceError), closing(_generator(reader, [], raw_rows=True)) as chunks:
            for chunk in chunks:
                for record in chunk.raw_rows.column("record").slice(0, _OBJECTS - objects).to_pylist():
                    objects += 1
                    with suppress(ValueError, RecursionError):
                        seen |= dict.fromkeys(_inside(json.loads(record), "", 0))
                if objects >= _OBJECTS or len(seen) > _MOST_COLUMNS:
                    break
    yield from list(seen)[:_MOST_COLUMNS]


def _inside(value: Any, path: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict) and value and depth < _DEEPEST:
        for key, one in value.items():
            yield from _inside(one, f"{path}.{key}" if path else str(key), depth + 1)
    elif path:
        yield path


def _members(each: Input) -> Iterator[str]:
    """The dotted paths of a Parquet file's columns."""
    with open_source(each, SourceOptions(), _LIMITS) as reader:
        with suppress(SourceError), closing(_generator(reader, [], raw_rows=True)) as chunks:
            first = next(iter(chunks), None)
        schema = first.raw_rows.schema if first is not None and first.raw_rows is not None else ()
        for one in schema:
            yield from _fields(one, "", 0)


def _fields(one: Any, path: str, depth: int) -> Iterator[str]:
    name = f"{path}.{one.name}" if path else one.name
    if pa.types.is_struct(one.type) and depth < _DEEPEST:
        for inner in one.type:
            yield from _fields(inner, name, depth + 1)
    else:
        yield name
