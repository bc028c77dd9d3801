"""CSV and its relatives: records as columns of text."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from importer.columns import flags
from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.model import Dialect, Int64s
from importer.read.detect import Table, recognise_table
from importer.read.files import Content, Limits
from importer.read.reader import Converted, TextReader, TextSample
from importer.read.records import WHITESPACE, Records
from importer.roundtrip import APPENDED, DOUBT, ORIGINAL, is_rejects, original
from importer.wording import counted

_BOM = "\ufeff".encode()
_WAITS = f"it is in {ORIGINAL}; copy the values into their cells"


class DelimitedReader(TextReader):
    """Reads CSV, TSV and the like."""

    def __init__(
        self, content: Content, text: TextSample, options: SourceOptions, limits: Limits, columns: Collection[str]
    ) -> None:
        """``columns``: the names that the header should have. Raises `SourceError` where it cannot be read."""
        table = recognise_table(content.name, text, options, columns)
        rules = table.rules
        dialect = Dialect(
            format="csv",
            compression=content.compression,
            encoding=text.encoding.name,
            delimiter=rules.delimiter.decode() or WHITESPACE,
            quote=rules.quote.decode(),
            escape=rules.escape.decode(),
            has_header=options.header in {None, True},
            has_bom=bool(text.encoding.bom),
            skip_lines=options.skip_lines,
        )
        super().__init__(content, text.encoding, (dialect, table.header), table.rules, limits, table.notes)
        self._table = table
        self._pads = options.ragged == "pad"

    def available(self, column: str) -> bool:
        """Whether the header has this name, exactly or but for white space around it."""
        return bool(self._places(column)) or column in self._partitions

    def _places(self, column: str) -> list[int]:
        header = self._table.header
        exact = [at for at, name in enumerate(header) if name == column]
        return exact or [at for at, name in enumerate(header) if name.strip() == column.strip()]

    def _with_partitions(self, partitions: Mapping[str, str | None]) -> Callable[[bytes], bytes] | None:
        dialect = self.source.dialect
        if not dialect.has_header:
            return None  # the mapping says what a record is made of
        delimiter = " " if dialect.delimiter == WHITESPACE else dialect.delimiter
        cells = [value or "" for value in partitions.values()]
        if quote := dialect.quote:
            special = {delimiter, quote, "\n", "\r"}
            cells = [quote + cell.replace(quote, quote * 2) + quote if special & {*cell} else cell for cell in cells]
        return partial(operator.add, "".join(cell + delimiter for cell in cells).encode())

    def _converter(self, columns: Sequence[str]) -> Callable[[Records], Converted]:
        wanted: dict[str, int] = {}
        more = () if self._unused is None else self._unused.taken(self._table.header)
        for column in dict.fromkeys((*columns, *more)):
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
        return _Columns(self._table, self._pads, wanted)

    def _records(self) -> Iterator[Records]:
        above = self._table.above
        for records in super()._records():
            passed = min(above, len(records))
            above -= passed
            if passed < len(records):
                yield records.part(passed, len(records)) if passed else records


class _Columns(msgspec.Struct, frozen=True):
    """Turns records into the wanted columns: with Arrow where it can, with the plain parser where quotes are odd."""

    table: Table
    pads: bool
    wanted: Mapping[str, int]
    """Places of the columns by their names."""

    def __call__(self, records: Records) -> Converted:
        """See `Converted`."""
        header, width = self.table.header, self.table.width
        faults = dict(records.faults)
        for at in self._repeated_headers(records):
            faults.setdefault(at, ("row.repeated_header", ""))
        good = np.delete(np.arange(len(records)), list(faults))
        kept, own = self._kept
        columns = tuple(dict.fromkeys((*self.wanted.values(), *range(len(header), width), *kept, *own))) or (0,)
        table, ragged = self._parse(records, good, columns)
        places = np.delete(np.arange(len(good)), list(ragged))
        for at in range(len(header), width):
            # A field more than there are names is nobody's, as long as it is empty.
            filled = pc.greater(pc.binary_length(pc.utf8_trim_whitespace(table.column(f"c{at}"))), 0)
            if pc.any(filled).as_py():
                mask = filled.to_numpy()
                ragged |= dict.fromkeys(places[mask].tolist(), width)
                table, places = table.filter(pc.invert(filled)), places[~mask]
        for at in kept:
            waits = pc.not_equal(table.column(f"c{at}"), "")
            for cell in own:
                waits = pc.and_(waits, pc.equal(pc.utf8_trim_whitespace(table.column(f"c{cell}")), ""))
            mask = flags(waits.combine_chunks())
            faults |= dict.fromkeys(good[places[mask]].tolist(), ("row.unreadable", _WAITS))
            table, places = table.filter(pc.invert(waits)), places[~mask]
        for place, found in ragged.items():
            expected = len(header) if found == width else width
            faults[int(good[place])] = ("row.ragged", f"{counted(found, 'field')} instead of {expected}")
        table = table.select([f"c{at}" for at in self.wanted.values()])  # of no column keeps the number of rows
        if self.wanted and is_rejects(header):
            cells = [original(column.combine_chunks()) for column in table.columns]
            table = pa.Table.from_arrays(cells, names=table.column_names)
        return Converted(table.rename_columns(list(self.wanted)), good[places], faults)

    @property
    def _kept(self) -> tuple[Sequence[int], Sequence[int]]:
        """Of rejects, where whole records are that were no rows, and the columns into which they belong."""
        header = self.table.header
        if not is_rejects(header) or header.count(ORIGINAL) != 1:
            return (), ()
        ours = {*APPENDED, *DOUBT, ORIGINAL}
        return (header.index(ORIGINAL),), [at for at, name in enumerate(header) if name not in ours]

    def _repeated_headers(self, records: Records) -> list[int]:
        """Rows that repeat a header, as in files that were joined."""
        lengths = records.ends - records.starts
        found: list[int] = []
        for header in self.table.records:
            suspects = np.flatnonzero((lengths == len(header)) | (lengths == len(header) + len(_BOM)))
            found += [at for at in suspects.tolist() if records[at].removeprefix(_BOM) == header]
        return found

    def _parse(self, records: Records, good: Int64s, columns: Sequence[int]) -> tuple[Any, dict[int, int]]:
        """A table of the good records that have the right width; of the others their place in ``good`` and width."""
        odd = np.isin(good, list(records.odd)) if records.odd else np.zeros(len(good), np.bool_)
        if not self.table.rules.is_standard:
            odd[:] = True
        if not odd.any():
            return self._parse_orderly(records, good, columns)
        plain, spoiled = self._parse_odd(records.texts(good[odd]), columns)
        if odd.all():
            return plain, spoiled
        odd_places, places = np.flatnonzero(odd), np.flatnonzero(~odd)
        table, ragged = self._parse_orderly(records, good[~odd], columns)
        order = np.concatenate([np.delete(places, list(ragged)), np.delete(odd_places, list(spoiled))])
        merged = {int(places[at]): found for at, found in ragged.items()}
        merged |= {int(odd_places[at]): found for at, found in spoiled.items()}
        return pa.concat_tables([table, plain]).take(np.argsort(order)).combine_chunks(), merged

    def _parse_orderly(self, records: Records, good: Int64s, columns: Sequence[int]) -> tuple[Any, dict[int, int]]:
        if len(good) == len(records) > 0 and records.is_gapless:  # as they are, without a copy
            block = memoryview(records.data)[records.starts[0] : records.ends[-1]]
        else:
            block = memoryview(b"\n".join(records.texts(good)) or b"\n")
        table, ragged = self._with_arrow(block, columns)
        is_short = self.pads and any(found < self.table.width for found in ragged.values())
        if table is None or is_short or table.num_rows + len(ragged) != len(good):
            return self._parse_odd(records.texts(good), columns)
        return table, ragged

    def _with_arrow(self, block: memoryview, columns: Sequence[int]) -> tuple[Any, dict[int, int]]:
        """As `_parse`, for whole records in one buffer; None where Arrow refuses it."""
        ragged: dict[int, int] = {}

        def note(row: Any) -> str:
            ragged[row.number - 1] = row.actual_columns
            return "skip"

        names = [f"c{at}" for at in range(self.table.width)]
        include = [names[at] for at in columns]
        rules = self.table.rules
        if block[: len(_BOM)] == _BOM:
            block = memoryview(_BOM + bytes(block))  # Arrow takes one away, but a mark inside of a file is text
        try:
            table = pyarrow.csv.read_csv(
                pa.py_buffer(block),
                # One block, in this thread: the whole buffer consists of whole records.
                read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=rules.delimiter.decode(),
                    quote_char=rules.quote.decode() or False,
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

    def _parse_odd(self, records: list[bytes], columns: Sequence[int]) -> tuple[Any, dict[int, int]]:
        width = self.table.width
        rows = [self.table.rules.fields(record) for record in records]
        if self.pads:
            rows = [row + [b""] * (width - len(row)) for row in rows]
        ragged = {place: len(row) for place, row in enumerate(rows) if len(row) != width}
        whole = [row for row in rows if len(row) == width]
        arrays = {f"c{at}": pa.array([row[at] for row in whole], pa.binary()).cast(pa.string()) for at in columns}
        return pa.table(arrays), ragged
