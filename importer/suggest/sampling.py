"""The first rows of a file, through the real readers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from importer.errors import SourceError, UsageError
from importer.mapping.model import SourceOptions
from importer.read import EncodingError, Input, Limits, Reader, expand, open_source
from importer.suggest.profile import DECISIVE, Column, Sample
from importer.wording import public_name

ROWS = 5_000
"""Rows looked at."""
LIMITS = Limits(block=1 << 20, rows=ROWS)
_LAST_ROW = 5_000_000
"""Rows looked at for dates that show which number is the day."""
_MOST_LATER = 100
_OBJECTS = 1_000
"""Objects of JSON whose keys are looked at."""
_MOST_COLUMNS = 1_000
_LONGEST_NAME = 300
_DEEPEST = 6
_DATA = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]+|[-+]?[$€£]?[0-9][0-9.,:/ T-]*")


def sample(argument: str, say: Callable[[str], None]) -> Sample:
    """Look at the first file that the argument names, that can be read, and that has rows, if one has.

    Raises:
        UsageError: it names no file, or standard input, which cannot be read twice.
        SourceError: the file cannot be read, or has no column that a mapping can name.
    """
    broken, empty = None, None
    inputs = expand([argument])
    if any(not is_file(each) for each in inputs):
        name = "standard input" if argument == "-" else public_name(argument)
        hint = "save it to a file first: … > export.csv"
        raise UsageError(f"{name} cannot be read twice, as `importer init` has to", hint=hint)
    for at, each in enumerate(inputs):
        try:
            found = _with_later_dates(_sample(each), inputs[at:])
        except SourceError as error:
            broken = broken or error
            continue
        if not found.rows:
            empty = empty or found
            continue
        if len(inputs) > 1:
            say(f"{public_name(argument)} is {len(inputs):,} files; this looks at {each.name}")
        return found
    if empty is not None:
        return empty
    raise broken or UsageError(f"{public_name(argument)} names no file")


def is_file(each: Input) -> bool:
    """Whether it can be read more than once: no standard input, pipe or device."""
    return each.is_remote or (each.path is not None and Path(each.path).is_file())


def sample_again(sample: Sample, encoding: str) -> Sample:
    """The same file, read in another encoding."""
    return _with_later_dates(_sample(sample.input, encoding), [sample.input])


def _sample(each: Input, encoding: str | None = None) -> Sample:
    options = SourceOptions(encoding=encoding)
    try:
        with open_source(each, options) as reader:
            kind, columns = reader.source.dialect.format, reader.source.columns or ()
    except EncodingError as error:
        if error.likely is not None:
            return _sample(each, error.likely)
        readings = tuple((one.encoding, ", ".join(one.words)) for one in error.readings)
        return replace(_sample(each, error.readings[0].encoding), readings=readings)
    binary: tuple[str, ...] = ()
    if kind == "csv":
        options = options.model_copy(update=_without_header(columns))
    elif kind == "jsonl":
        columns = tuple(_paths(each))
    elif members := _members(each):
        columns, binary = tuple(members), tuple(name for name, is_binary in members.items() if is_binary)
    found, has_unreadable = _read(each, options, columns, ())
    if binary and (has_unreadable or not found.rows):
        found, _ = _read(each, options, columns, binary)
    return found


def _read(each: Input, options: SourceOptions, columns: Sequence[str], binary: tuple[str, ...]) -> tuple[Sample, bool]:
    """The cells of the first rows, and whether some are unreadable; a header that comes again is no row."""
    nested: set[str] = set()
    rows, has_unreadable, whole = 0, False, True
    with open_source(each, options) as reader:
        dialect, header = reader.source.dialect, reader.source.columns or ()
        names = _usable(header if dialect.format == "csv" else columns, reader)
        if not names:
            raise _no_columns(each.name, header)
        cells: dict[str, list[str]] = {name: [] for name in names if name not in binary}
        with suppress(SourceError), closing(reader.chunks(list(cells), raw_rows=False)) as read:
            for chunk in read:
                table = chunk.table.slice(0, ROWS - rows)
                blank = pa.nulls(table.num_rows, pa.string())
                found = (table.column(name) if name in table.column_names else blank for name in cells)
                texts = [pc.utf8_trim_whitespace(pc.fill_null(column, "")).to_pylist() for column in found]
                heads = {at for at, row in enumerate(zip(*texts, strict=True)) if row == tuple(cells)}
                for name, more in zip(cells, texts, strict=True):
                    cells[name] += [cell for at, cell in enumerate(more) if at not in heads] if heads else more
                rows += table.num_rows - len(heads)
                has_unreadable |= bool(chunk.unreadable)
                nested |= {name for name, where in chunk.nested.items() if pc.any(where).as_py()}
                if rows >= ROWS:
                    whole = False
                    break
    has_header = options.header is not False
    sample = Sample(
        each,
        tuple(Column(one, tuple(found), one in nested, has_name=has_header) for one, found in cells.items()),
        rows,
        whole,
        format=dialect.format,
        delimiter=dialect.delimiter,
        sheet=dialect.sheet,
        encoding=dialect.encoding,
        has_header=has_header,
        doubled=_doubled(header),
        notes=tuple(reader.notes),
        binary=binary,
        source=tuple(options.model_dump(exclude_defaults=True).items()),
    )
    return sample, has_unreadable


def _doubled(header: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in header if name.strip() and header.count(name) > 1))


def _no_columns(source: str, header: Sequence[str]) -> SourceError:
    doubled = _doubled(header)
    if not doubled:
        return SourceError(source, "has no column with a name", hint="the first line of a CSV names its columns")
    before = [header[:at].count(name) for at, name in enumerate(header)]
    names = [f"{name}_{count + 1}" if count else name for name, count in zip(header, before, strict=True)]
    return SourceError(
        source,
        f"the header has {' and '.join(doubled)} more than once, so a mapping cannot say which column it means",
        hint=f"rename them, or name all in a mapping: `source: {{header: [{', '.join(names)}], skip_lines: 1}}`",
    )


def _usable(columns: Sequence[str], reader: Reader) -> list[str]:
    """Names that a mapping can say, and that are of one column."""
    once = [name for name in columns if columns.count(name) == 1] if len(columns) <= _MOST_COLUMNS else columns
    is_text = re.compile(rf"(?=.*\S)[^\ud800-\udfff]{{1,{_LONGEST_NAME}}}", re.DOTALL).fullmatch
    return [name for name in list(filter(is_text, once))[:_MOST_COLUMNS] if reader.available(name)]


def _with_later_dates(sample: Sample, inputs: Sequence[Input]) -> Sample:
    """Read on for dates where the first rows leave open which number is the day: often they are of one week."""
    names = [one.name for one in sample.columns if one.times is not None and one.times.other and not one.times.mixed]
    if not names or (sample.whole and len(inputs) == 1):
        return sample
    options = SourceOptions.model_validate(dict(sample.source))
    later: dict[str, list[str]] = {name: [] for name in names}
    rows = 0
    for each in inputs:
        with suppress(SourceError), open_source(each, options) as reader:
            there = [name for name in names if reader.available(name)]
            with closing(reader.chunks(there, raw_rows=False)) as read:
                for chunk in read:
                    for name in set(there).intersection(chunk.table.column_names):
                        cells = pc.utf8_trim_whitespace(pc.unique(chunk.table.column(name)).drop_null())
                        found = cells.filter(pc.match_substring_regex(cells, DECISIVE)).to_pylist()
                        later[name] += found[: _MOST_LATER - len(later[name])]
                    rows += chunk.count
                    if all(later.values()) or rows > _LAST_ROW:
                        break
    return replace(sample, columns=tuple(replace(one, later=tuple(later.get(one.name, ()))) for one in sample.columns))


def _without_header(header: Sequence[str]) -> dict[str, Any]:
    """Whether the first line is data, and whether blanks divide it."""
    if len(header) == 1 and len(parts := header[0].split()) > 1 and all(map(_DATA.fullmatch, parts)):
        return {"header": False, "delimiter": "whitespace"}
    named = [name for name in header if name.strip()]
    if any("@" in name and _DATA.fullmatch(name) for name in named):
        return {"header": False}
    return {"header": False} if named and sum(map(bool, map(_DATA.fullmatch, named))) > len(named) / 2 else {}


def _paths(each: Input) -> Iterator[str]:
    """The dotted paths of JSON objects, in order of appearance."""
    seen: dict[str, None] = {}
    with open_source(each, SourceOptions(format="jsonl"), LIMITS) as reader:
        objects = 0
        with suppress(SourceError), closing(reader.chunks([], raw_rows=True)) as read:
            for chunk in read:
                assert chunk.raw_rows is not None
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


def _members(each: Input) -> dict[str, bool]:
    """The dotted paths of a Parquet file's columns, and whether each holds bytes."""
    with open_source(each, SourceOptions(), LIMITS) as reader:
        with closing(reader.chunks([], raw_rows=True)) as read:
            first = next(read, None)
        if first is None or first.raw_rows is None:
            return {}
        table = first.raw_rows.slice(0, 0)
        for _ in range(_DEEPEST):
            table = table.flatten()
        kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
        return {one.name: any(is_kind(one.type) for is_kind in kinds) for one in table.schema}
