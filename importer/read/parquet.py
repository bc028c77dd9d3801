"""Parquet files, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace

from importer.columns import where_true
from importer.errors import SourceError
from importer.model import ArrowArray, Chunk, Dialect, Int64s, Source, UnreadableRow
from importer.read import nested
from importer.read.arrow import plain, plain_type, text_of
from importer.read.encoding import show
from importer.read.files import MAX_RATIO, Content, Limits, shorten
from importer.read.reader import Reader

_UNREADABLE = (pa.ArrowException, OSError, ValueError, NotImplementedError)
_BUFFER = 1 << 20
_LARGE = 256 << 20
"""Bytes of a column's part that are not suspicious, however well they are packed."""
_ROWS = 16_384
"""Most rows of a chunk: their columns are held as the file has them, and as text."""
_PROBE_ROWS = 256
_DELTA = "DELTA_BYTE_ARRAY"
_DELTA_ROWS = 256
"""Texts that are stored as differences from the one before unpack to any size; so few are taken at a time."""


_Located: TypeAlias = dict[str, tuple[str, nested.Path | None]]
"""Of each wanted column the top-level one in which it is, and the path in there."""


class ParquetReader(Reader):
    """Reads Parquet."""

    def __init__(self, content: Content, limits: Limits, max_ratio: int = MAX_RATIO, each: str = "") -> None:
        """``each``: the column of lists whose elements are the rows.

        Raises `SourceError` where it is no Parquet file, or an encrypted or damaged one.
        """
        self._limits = limits
        self._rows = min(limits.rows, _ROWS)
        self._raw = content.seekable()
        try:
            self._file = self._open()
        except _UNREADABLE as error:
            raise _explain(content.name, error) from None
        _refuse_bomb(content.name, self._file.metadata, max_ratio)
        schema = pa.schema([field.with_type(plain_type(field.type)) for field in self._file.schema_arrow])
        dialect = Dialect(format="parquet", compression=content.compression, has_header=False)
        super().__init__(content, Source(content.name, content.path, dialect, None), schema.names)
        for name in self._partitions:
            schema = schema.append(pa.field(name, pa.string()))
        self._list = _parts_of_list(schema, each) if each else None
        if self._list is not None:
            self._each = each
            empty = pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
            schema = _rows_of_elements(empty, self._list)[0].schema
        self._schema = schema
        self.source = replace(self.source, columns=tuple(schema.names))
        if each and not self.available(each):
            hint = "`each` names a column of lists of the file, or a path to one"
            raise SourceError(content.name, f"has no column {each!r} for `each`", hint=hint)
        self._rows_read = 0
        self._rows_made = 0
        """Rows of chunks, which differ from those of the file where elements are rows."""

    def _open(self, **how: Any) -> Any:
        self._raw.seek(0)
        return pq.ParquetFile(
            self._raw,
            pre_buffer=False,
            buffer_size=_BUFFER,
            coerce_int96_timestamp_unit="us",  # nanoseconds end in the year 2262
            page_checksum_verification=True,
            **how,
        )

    @property
    def bytes_read(self) -> int:
        """See `Reader.bytes_read`: the share of the rows."""
        total = self._file.metadata.num_rows
        return round((self.size or 0) * self._rows_read / total) if total else self.size or 0

    def available(self, column: str) -> bool:
        """Whether there is a column of this name, or a path that the types allow."""
        return self._locate(column) is not None

    def _locate(self, column: str) -> tuple[str, nested.Path | None] | None:
        """The top-level column in which ``column`` is, and the path in there, if there is one."""
        names = self._schema.names
        if column in names:
            return column, None
        for head, path in nested.parse(column).splits:
            if head in names and nested.reach(pa.nulls(0, self._schema.field(head).type), path) is not None:
                return head, path
        return None

    def _taken(self) -> Iterator[str]:
        """Columns, and members of structs, that nothing else of the mapping uses and `more_properties` takes."""
        unused = self._unused
        if unused is None:
            return
        for prefix in ("", *unused.prefixes):
            for each in self._fields(prefix):
                path = f"{prefix}.{each.name}" if prefix else each.name
                is_used = pa.types.is_nested(each.type) and unused.is_reached(path)
                if not is_used and unused.property_of(path) is not None:
                    yield path

    def _fields(self, prefix: str) -> Sequence[Any]:
        """The fields of the struct at a dotted path, or of the whole table."""
        fields = list(self._schema)
        for name in filter(None, prefix.split(".")):
            kind = next((each.type for each in fields if each.name == name), pa.null())
            fields = nested.struct_fields(kind)
        return fields

    def _parts(self, columns: Sequence[str], *, raw_rows: bool) -> Iterator[Chunk]:
        columns = list(dict.fromkeys((*columns, *self._taken())))
        located = {column: found for column in columns if (found := self._locate(column)) is not None}
        heads = dict.fromkeys((*(head for head, _ in located.values()), *(self._list or ())[:1]))
        self._mapped_partitions = {name: value for name, value in self._partitions.items() if name in heads}
        for column, (head, _) in located.items():
            if self._schema.names.count(head) > 1:
                raise SourceError(
                    self.source.name, f"has more than one column {column!r}", hint="rename one of them in the export"
                )
            if _is_period(self._file.schema_arrow, head):
                raise SourceError(
                    self.source.name,
                    f"column {head!r} has pandas' periods, which Parquet holds as counts and not as dates",
                    hint=f"write their text: df[{head!r}] = df[{head!r}].astype(str)",
                )
        needed = None if raw_rows else [name for name in heads if name not in self._partitions]
        try:
            for stored in self._batches(needed):
                batch = stored
                for name, value in self._partitions.items():
                    batch = batch.append_column(name, pa.array([value] * len(batch), pa.string()))
                for part in _parts(batch, self._limits.batch):
                    for chunk in self._chunks_of(part, located, raw_rows=raw_rows):
                        yield chunk
                        self._rows_made += chunk.count
                    self._rows_read += part.num_rows
            self._content.finish(self._raw)
        except _UNREADABLE as error:
            raise _explain(self.source.name, error, after=self._rows_read) from None
        if self._rows_read != self._file.metadata.num_rows:
            raise SourceError(
                self.source.name,
                f"is damaged: it announces {self._file.metadata.num_rows:,} rows and holds {self._rows_read:,}",
                hint="export it again",
            )

    def _chunks_of(self, batch: Any, located: _Located, *, raw_rows: bool) -> Iterator[Chunk]:
        lines = self._rows_read + 1 + np.arange(batch.num_rows)
        if self._list is None:
            yield self._chunk(batch, lines, located, raw_rows=raw_rows)
            return
        batch, origins = _rows_of_elements(batch, self._list)
        for start in range(0, batch.num_rows, self._rows):
            part, own = batch.slice(start, self._rows), lines[origins[start : start + self._rows]]
            yield self._chunk(part, own, located, raw_rows=raw_rows)

    def _batches(self, needed: Sequence[str] | None) -> Iterator[Any]:
        """The rows in batches of a chunk's size, however few of them are decoded at a time."""
        held: list[Any] = []
        rows = size = 0
        try:
            for batch in self._decoded(needed):
                if held and (rows + batch.num_rows > self._rows or size + batch.nbytes > self._limits.batch):
                    yield pa.concat_batches(held)
                    held, rows, size = [], 0, 0
                held.append(batch)
                rows, size = rows + batch.num_rows, size + batch.nbytes
        except _UNREADABLE:
            if held:
                yield pa.concat_batches(held)
            raise
        if held:
            yield pa.concat_batches(held)

    def _decoded(self, needed: Sequence[str] | None) -> Iterator[Any]:
        for group in range(self._file.num_row_groups):
            rows = self._rows_at_a_time(group, needed)
            for batch in self._file.iter_batches(rows, row_groups=[group], columns=needed, use_threads=False):
                arrays = [plain(column) for column in batch.columns]
                yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names) if arrays else batch

    def _rows_at_a_time(self, group: int, needed: Sequence[str] | None) -> int:
        """How many rows of a row group to decode at once, by their size on average and at the worst.

        Repeated texts are not kept as dictionaries: a dictionary that the writer gave up grows with the row group.
        """
        part, most = self._file.metadata.row_group(group), self._rows
        if not part.num_rows:
            return most
        average = worst = 0.0
        for at in range(part.num_columns):
            column = part.column(at)
            if needed is not None and not any(f"{column.path_in_schema}.".startswith(f"{name}.") for name in needed):
                continue
            average += column.total_uncompressed_size / part.num_rows
            worst += self._longest(group, at) * column.num_values / part.num_rows
            if _DELTA in column.encodings:
                most = min(most, _DELTA_ROWS)
        return max(1, min(most, int(self._limits.batch / max(average, worst, 1))))

    def _longest(self, group: int, at: int) -> int:
        """Bytes of the longest text that a column's dictionary may repeat in every row; 0 where that does no harm."""
        column = self._file.metadata.row_group(group).column(at)
        if column.physical_type != "BYTE_ARRAY":
            return max(int(self._file.schema.column(at).length), 0)  # of FIXED_LEN_BYTE_ARRAY
        rows = min(self._rows, column.num_values)
        if not column.has_dictionary_page or rows * column.total_uncompressed_size <= self._limits.batch:
            return 0
        path = column.path_in_schema
        probe = self._open(read_dictionary=[path])
        for batch in probe.iter_batches(_PROBE_ROWS, row_groups=[group], columns=[path], use_threads=False):
            values = batch.column(0)
            while pa.types.is_nested(values.type):
                values = values.flatten()[0] if pa.types.is_struct(values.type) else values.flatten()
            if pa.types.is_dictionary(values.type) and len(values.dictionary):
                return int(pc.max(pc.binary_length(values.dictionary)).as_py())
        return 0

    def _chunk(self, batch: Any, lines: Int64s, located: _Located, *, raw_rows: bool) -> Chunk:
        texts: dict[str, ArrowArray] = {}
        inside: dict[str, ArrowArray] = {}
        literal: dict[str, ArrowArray] = {}
        faults: dict[int, tuple[str, str]] = {}
        for column, (head, path) in located.items():
            values = batch.column(head)
            if path is not None:
                values = nested.reach(values, path)
            texts[column], where, bad = text_of(values)
            if where is not None and where.true_count:
                inside[column] = where
            if self._unused is not None and _is_literal(values.type):
                literal[column] = values.is_valid()
            for at in [] if bad is None else np.flatnonzero(bad).tolist():
                faults.setdefault(at, _fault(column, values[at]))
            for at in where_true(pc.greater(pc.binary_length(texts[column]), self._limits.line)).tolist():
                faults.setdefault(at, ("row.unreadable", f"{column}: more than {self._limits.line:,} bytes"))
        readable = np.ones(batch.num_rows, np.bool_)
        readable[list(faults)] = False
        first = self._rows_made + 1
        rows = first + np.flatnonzero(readable)
        table = pa.table(texts) if texts else pa.Table.from_batches([batch]).select([])
        if faults:
            mask = pa.array(readable)
            table = table.filter(mask)
            inside = {column: where.filter(mask) for column, where in inside.items()}
            literal = {column: where.filter(mask) for column, where in literal.items()}
        return Chunk(
            source=self.source,
            first_row=first,
            count=batch.num_rows,
            table=table,
            rows=rows,
            lines=lines[readable],
            unreadable=tuple(UnreadableRow(first + at, int(lines[at]), *fault) for at, fault in sorted(faults.items())),
            nested=inside,
            literal=literal,
            raw_rows=pa.Table.from_batches([batch]) if raw_rows else None,
        )


def _is_period(schema: Any, name: str) -> bool:
    """Whether a column has pandas' type for months and the like, which is known by its name where pandas is loaded."""
    at = schema.get_field_index(name)
    field = schema.field(at) if at >= 0 else pa.field("", pa.null())
    noted = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
    return "pandas.period" in (noted, getattr(field.type, "extension_name", ""))


def _is_literal(kind: Any) -> bool:
    """Whether JSON writes values of the type without quotes."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def _refuse_bomb(name: str, metadata: Any, max_ratio: int) -> None:
    """Raise `SourceError` where a column unpacks to so much more than it takes that no page of it may be opened."""
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            column = metadata.row_group(group).column(at)
            size = column.total_uncompressed_size
            if size > _LARGE and size > max_ratio * column.total_compressed_size:
                raise SourceError(
                    name,
                    f"column {column.path_in_schema} unpacks to more than {max_ratio:,} times its size",
                    hint="if it is right, set `source: {max_ratio: 5000}` in the mapping",
                )


def _parts(batch: Any, most: int) -> Iterator[Any]:
    """The batch in slices of at most ``most`` bytes; a single row may have more."""
    if batch.num_rows <= 1 or batch.nbytes <= most:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _parts(batch.slice(0, half), most)
    yield from _parts(batch.slice(half), most)


def _fault(column: str, value: Any) -> tuple[str, str]:
    """Why a cell has no text."""
    kind = value.type
    if pa.types.is_temporal(kind):
        return "row.unreadable", f"{column}: a {kind} outside of the years 1 to 9999"
    if pa.types.is_nested(kind):
        return "row.unreadable", f"{column}: bytes that are not text, or a time outside of the years 1 to 9999"
    return "row.unreadable", shorten(f"{column} holds binary data, not text: {show(value.as_py())}")


def _explain(name: str, error: Exception, after: int | None = None) -> SourceError:
    reason = shorten(str(error))
    if "ncrypt" in str(error):
        return SourceError(name, "is encrypted", hint="export it without encryption")
    if after is None:
        hint = "copy, download or export the file again"
        return SourceError(name, f"is not a readable Parquet file ({reason})", hint=hint)
    where, rest = (f" after row {after:,}", "; the rows before were read") if after else ("", "")
    return SourceError(name, f"is damaged{where} ({reason}){rest}", hint="export it again")


def _parts_of_list(schema: Any, path: str) -> tuple[str, ...] | None:
    """The column of a Parquet file, and the members of structs in it, that lead to a list; None: no list."""
    names = [path] if path in schema.names else [path[:at] for at, letter in enumerate(path) if letter == "."]
    for head in names:
        rest = path[len(head) + 1 :]
        parts = (head, *(rest.split(".") if rest else ()))
        kind = schema.field(head).type if schema.names.count(head) == 1 else pa.null()
        for name in parts[1:]:
            kind = kind.field(name).type if pa.types.is_struct(kind) and kind.get_field_index(name) >= 0 else pa.null()
        if pa.types.is_list(kind):
            return parts
    return None


def _rows_of_elements(batch: Any, parts: tuple[str, ...]) -> tuple[Any, Any]:
    """A batch of Parquet with a row for each element of a column's lists, and the row of the batch that each is of."""
    lists = batch.column(parts[0])
    for name in parts[1:]:
        lists = pc.struct_field(lists, name)
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    origins = np.repeat(np.arange(len(lists)), np.maximum(counts, 1))
    is_element = np.repeat(counts > 0, np.maximum(counts, 1))
    places = np.where(is_element, np.cumsum(is_element) - 1, -1)
    elements = lists.flatten().take(pa.array(places, mask=places < 0))
    taken = batch.take(pa.array(origins))
    at = batch.schema.get_field_index(parts[0])
    changed = _put(taken.column(at), parts[1:], elements)
    return taken.set_column(at, pa.field(parts[0], changed.type), changed), origins


def _put(values: ArrowArray, inner: tuple[str, ...], elements: ArrowArray) -> ArrowArray:
    """The structs with the elements in place of a list."""
    if not inner:
        return elements
    names = [field.name for field in nested.struct_fields(values.type)]
    members = [pc.struct_field(values, [at]) for at in range(len(names))]
    at = names.index(inner[0])
    members[at] = _put(members[at], inner[1:], elements)
    return pa.StructArray.from_arrays(members, names, mask=values.is_null())
