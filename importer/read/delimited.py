"""CSV and its relatives: records as columns of text."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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
    """Turns records into the wanted columns with Arrow, which gets those with odd quotes in the usual spelling."""

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
        every = range(len(good))
        odd = set(np.flatnonzero(np.isin(good, list(records.odd))).tolist() if self.table.rules.is_standard else every)
        if not odd and len(good) == len(records) > 0 and records.is_gapless:  # as they are, without a copy
            block = memoryview(records.data)[records.starts[0] : records.ends[-1]]
        else:
            block = self._block(records.texts(good), odd)
        try:
            table, ragged = self._with_arrow(block, columns)
            is_told = table.num_rows + len(ragged) == len(good)
        except pa.ArrowInvalid:
            table, ragged, is_told = None, {}, False
        short = {place for place, found in ragged.items() if found < self.table.width} if self.pads else set()
        if is_told and not short:
            return table, ragged
        odd |= short if is_told else {*every}
        return self._with_arrow(self._block(records.texts(good), odd), columns)

    def _block(self, records: list[bytes], odd: Iterable[int]) -> memoryview:
        """The records, one a line; the odd ones are written anew, as RFC 4180 has them."""
        delimiter, quote = self._signs
        for place in odd:
            cells = self.table.rules.fields(records[place])
            cells += [b""] * (self.table.width - len(cells)) if self.pads else []
            records[place] = delimiter.join(quote + cell.replace(quote, quote * 2) + quote for cell in cells)
        return memoryview(b"\n".join(records) or b"\n")

    @property
    def _signs(self) -> tuple[bytes, bytes]:
        """Delimiter and quote as Arrow gets them."""
        rules = self.table.rules
        return (rules.delimiter, rules.quote) if rules.is_standard else (b",", b'"')

    def _with_arrow(self, block: memoryview, columns: Sequence[int]) -> tuple[Any, dict[int, int]]:
        """As `_parse`, for whole records in one buffer."""
        ragged: dict[int, int] = {}

        def note(row: Any) -> str:
            ragged[row.number - 1] = row.actual_columns
            return "skip"

        names = [f"c{at}" for at in range(self.table.width)]
        include = [names[at] for at in columns]
        delimiter, quote = self._signs
        if block[: len(_BOM)] == _BOM:
            block = memoryview(_BOM + bytes(block))  # Arrow takes one away, but a mark inside of a file is text
        table = pyarrow.csv.read_csv(
            pa.py_buffer(block),
            # One block, in this thread: the whole buffer consists of whole records.
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter.decode(),
                quote_char=quote.decode() or False,
                newlines_in_values=True,
                invalid_row_handler=note,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,  # checked already, over all columns
                column_types=dict.fromkeys(include, pa.string()),
                include_columns=include,
            ),
        )
        return table, ragged
