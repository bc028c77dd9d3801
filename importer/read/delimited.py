"""CSV and its relatives: the header, and records as columns of text.

This module owns header names, ragged rows and the handing of whole blocks to pyarrow's parser. Where records begin and
end is ``records``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.model import Dialect, Int64s
from importer.read.content import Content
from importer.read.quotes import Quoting, Unquoted
from importer.read.reader import Limits
from importer.read.records import Layout, Records, split, split_sample
from importer.read.sniff import TextSample, recognise_delimiter, separator_line
from importer.read.text import utf8_blocks
from importer.read.textfile import Converted, TextReader
from importer.roundtrip import is_rejects, original

_WHITESPACE = "whitespace"
_BLANKS = (9, 32)


@dataclass(frozen=True, slots=True)
class _Parser:
    """Turns records of ``width`` fields into columns."""

    rules: Quoting | Unquoted
    width: int
    pad: bool
    whitespace: bool

    def parse(self, records: Records, wanted: Sequence[int]) -> tuple[Any, Int64s, dict[int, tuple[str, str]]]:
        """The wanted fields of the readable records as a table of columns ``c0 …``, its positions, and the faults."""
        faults = dict(records.faults)
        good = records.good()
        if self.whitespace:
            records = _squeezed(records)
        table, ragged = self._parse(_joined(records, good), wanted)
        if ragged and self.pad and any(found < self.width for found in ragged.values()):
            padded = [records[at] for at in good.tolist()]
            for place, found in ragged.items():
                padded[place] += self.rules.delimiter * max(self.width - found, 0)
            table, ragged = self._parse(b"\n".join(padded), wanted)
        if table is None or table.num_rows + len(ragged) != len(good):
            table, ragged = self._parse_one_by_one([records[at] for at in good.tolist()], wanted)
        for place, found in ragged.items():
            faults[int(good[place])] = ("row.ragged", f"{_fields(found)} instead of {self.width}")
        return table, np.delete(good, list(ragged)), faults

    def _parse(self, block: bytes | memoryview, wanted: Sequence[int]) -> tuple[Any, dict[int, int]]:
        """A table (None: pyarrow refuses the block), and the ragged rows' places with their numbers of fields."""
        ragged: dict[int, int] = {}

        def note(row: Any) -> str:
            ragged[row.number - 1] = row.actual_columns
            return "skip"

        names = [f"c{at}" for at in range(self.width)]
        include = [names[at] for at in dict.fromkeys(wanted)] or names[:1]
        quote = self.rules.quote.decode() if isinstance(self.rules, Quoting) else False
        try:
            table = pyarrow.csv.read_csv(
                pa.py_buffer(block),
                # One block, in this thread: the whole buffer consists of whole records.
                read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self.rules.delimiter.decode(),
                    quote_char=quote,
                    newlines_in_values=True,
                    invalid_row_handler=note,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    check_utf8=False,  # checked already, over all columns
                    column_types=dict.fromkeys(include, pa.string()),
                    include_columns=include,
                ),
            )
        except pa.ArrowInvalid:
            return None, {}
        return table, ragged

    def _parse_one_by_one(self, records: list[bytes], wanted: Sequence[int]) -> tuple[Any, dict[int, int]]:
        """The same, slowly, for blocks that pyarrow's parser cuts differently."""
        rows = [self.rules.fields(record) for record in records]
        if self.pad:
            rows = [row + [b""] * (self.width - len(row)) for row in rows]
        ragged = {place: len(row) for place, row in enumerate(rows) if len(row) != self.width}
        whole = [row for row in rows if len(row) == self.width]
        columns = {
            f"c{at}": pa.array([row[at] for row in whole], pa.binary()).cast(pa.string()) for at in wanted or [0]
        }
        return pa.table(columns), ragged


def _fields(count: int) -> str:
    return f"{count} field" if count == 1 else f"{count} fields"


def _joined(records: Records, good: Int64s) -> bytes | memoryview:
    """The readable records as one buffer; without a copy if all are readable."""
    if not len(good):
        return b"\n"
    if records.gapless and len(good) == len(records):
        return memoryview(records.data)[records.starts[0] : records.ends[-1]]
    return b"\n".join(records[at] for at in good.tolist())


def _squeezed(records: Records) -> Records:
    """Runs of blanks as one space each, none at a record's ends."""
    joined = b"\n".join(records[at] for at in range(len(records))) + b"\n"
    codes = np.frombuffer(joined, np.uint8)
    blank = np.isin(codes, _BLANKS)
    codes = np.where(blank, np.uint8(32), codes)[~blank | ~np.append(blank[1:], False)]
    line_end, blank = codes == 10, codes == 32
    at_edge = np.append(True, line_end[:-1]) | np.append(line_end[1:], True)
    codes = codes[~(blank & at_edge)]
    ends = np.flatnonzero(codes == 10)
    starts = np.append(0, ends[:-1] + 1)
    return Records(codes.tobytes(), starts, ends, records.lines, records.faults)


class DelimitedReader(TextReader):
    """Reads CSV, TSV and the like."""

    def __init__(self, content: Content, text: TextSample, options: SourceOptions, limits: Limits) -> None:
        """Settle delimiter and header; raises `SourceError` where there are no columns."""
        shape = _settle(text, options)
        header = _read_header(content.name, text, shape, options.header)
        dialect = Dialect(
            format="csv",
            compression=content.compression,
            encoding=text.encoding,
            delimiter=_WHITESPACE if shape.whitespace else shape.rules.delimiter.decode(),
            quote=shape.rules.quote.decode() if isinstance(shape.rules, Quoting) else "",
            has_header=options.header in {None, True},
            has_bom=bool(text.bom),
            skip_lines=options.skip_lines,
        )
        super().__init__(content, dialect, header, limits)
        self._bom = text.bom
        self._parser = _Parser(shape.rules, len(header), options.ragged == "pad", shape.whitespace)
        blank = bytes(_BLANKS).replace(shape.rules.delimiter, b"") if len(header) > 1 and not shape.whitespace else b""
        self._layout = replace(shape.layout, blank=bytes(_BLANKS) if shape.whitespace else blank)

    def available(self, column: str) -> bool:
        """Whether the header has this name, exactly or but for white space around it."""
        return bool(self._places(column))

    def _places(self, column: str) -> list[int]:
        assert self.source.columns is not None
        exact = [at for at, name in enumerate(self.source.columns) if name == column]
        return exact or [at for at, name in enumerate(self.source.columns) if name.strip() == column.strip()]

    def _converter(self, columns: Sequence[str]) -> Callable[[Records], Converted]:
        wanted: dict[str, int] = {}
        for column in columns:
            places = self._places(column)
            if len(places) > 1:
                where = " and ".join(str(at + 1) for at in places)
                raise SourceError(
                    self.source.name,
                    f"the header has {column!r} more than once, as columns {where}",
                    hint="rename one of them, or name all columns with `source: {header: […]}` and `skip_lines: 1`",
                )
            if places:
                wanted[column] = places[0]

        assert self.source.columns is not None
        rejects = is_rejects(self.source.columns)

        def convert(records: Records) -> Converted:
            table, positions, faults = self._parser.parse(records, tuple(wanted.values()))
            return Converted(_renamed(table, wanted, rejects=rejects), positions, faults)

        return convert

    def _records(self) -> Iterator[Records]:
        header = self.source.dialect.has_header
        blocks = utf8_blocks(self._read_block, self.source.dialect.encoding, self._bom)
        for records in split(blocks, self._layout, self._limits):
            yield records.part(1, len(records)) if header else records
            header = False


def _renamed(table: Any, wanted: Mapping[str, int], *, rejects: bool) -> Any:
    if not wanted:
        return table.select([])  # keeps the number of rows
    columns = [table.column(f"c{at}") for at in wanted.values()]
    return pa.Table.from_arrays([original(cells) for cells in columns] if rejects else columns, names=list(wanted))


@dataclass(frozen=True, slots=True)
class _Shape:
    """How lines and fields are told apart."""

    rules: Quoting | Unquoted
    whitespace: bool
    layout: Layout


def _settle(text: TextSample, options: SourceOptions) -> _Shape:
    """Delimiter and quote as set, announced (``sep=;``) or recognised."""
    if options.delimiter == _WHITESPACE:
        layout = Layout(None, blank=bytes(_BLANKS), skip_lines=options.skip_lines)
        return _Shape(Unquoted(b" "), whitespace=True, layout=layout)
    quote = b'"' if options.quote is None else options.quote.encode()
    announced = None if options.skip_lines else separator_line(text.data)
    skip_lines = options.skip_lines + (announced is not None)
    if options.delimiter is not None:
        delimiter = b"\t" if options.delimiter == "tab" else options.delimiter.encode()
    else:
        delimiter = announced or recognise_delimiter(text, quote, skip_lines=skip_lines)
    rules = Quoting(delimiter, quote)
    layout = Layout(rules, skip_lines=skip_lines)
    return _Shape(rules, whitespace=False, layout=layout)


def _read_header(name: str, text: TextSample, shape: _Shape, wanted: bool | tuple[str, ...] | None) -> tuple[str, ...]:
    """The columns' names: as set, counted from the first row, or the first record's."""
    if isinstance(wanted, tuple):
        return wanted
    records = split_sample(text.data, shape.layout, complete=text.complete)
    if not records or not text.data.strip():
        what = "is empty" if not text.data.strip() else "begins with no complete record"
        raise SourceError(name, what, hint="a CSV file needs at least a header line")
    if b"\0" in (text.data if 0 in records.faults else records[0]):
        hint = "copy or download it again, or export it as CSV, JSONL or Parquet"
        raise SourceError(name, "holds binary data, which is neither text nor Parquet", hint=hint)
    if 0 in records.faults:
        code, value = records.faults[0]
        raise SourceError(name, f"line {records.lines[0]}: the header cannot be read ({code}: {value})",
                          hint="mend the line, or set `source: {encoding: …}` or `skip_lines`")  # fmt: skip
    first = _squeezed(records.part(0, 1))[0] if shape.whitespace else records[0]
    cells = [cell.decode() for cell in shape.rules.fields(first)]
    return tuple(str(at) for at in range(1, len(cells) + 1)) if wanted is False else tuple(cells)
