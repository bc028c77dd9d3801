"""Parquet files, a batch at a time.

This module owns which columns are read and what a damaged file is. How types are written as text is ``arrow``'s.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from importer.errors import SourceError
from importer.model import ArrowArray, Chunk, Dialect, Source, UnreadableRow
from importer.read import paths
from importer.read.arrow import child_type, reach, text_of
from importer.read.content import Content
from importer.read.reader import Limits, shorten
from importer.read.storage import spool
from importer.read.text import show

_UNREADABLE = (pa.ArrowException, OSError, ValueError, NotImplementedError)


class ParquetReader:
    """A `Reader` of Parquet; see there."""

    def __init__(self, content: Content, limits: Limits) -> None:
        """Raises `SourceError` where it is no Parquet file, or an encrypted or damaged one."""
        self._content = content
        self._limits = limits
        self._raw = _seekable(content, limits)
        try:
            self._file = pq.ParquetFile(self._raw, pre_buffer=False)
        except _UNREADABLE as error:
            self.close()
            raise self._explain(error) from None
        self._schema = self._file.schema_arrow
        dialect = Dialect(format="parquet", compression=content.compression, has_header=False)
        self.source = Source(content.name, content.path, dialect, tuple(self._schema.names))
        self._rows_read = 0
        self._digest = ""

    @property
    def size(self) -> int | None:
        """See `Reader.size`."""
        return self._content.size

    @property
    def bytes_read(self) -> int:
        """See `Reader.bytes_read`: the share of the rows."""
        total = self._file.metadata.num_rows
        return round((self.size or 0) * self._rows_read / total) if total else self.size or 0

    @property
    def digest(self) -> str:
        """See `Reader.digest`."""
        return self._digest

    def available(self, column: str) -> bool:
        """Whether there is a column of this name, or a path that the types allow."""
        return self._locate(column) is not None

    def _locate(self, column: str) -> str | None:
        """The top-level column in which ``column`` lies."""
        path = paths.parse(column)
        if column in self._schema.names:
            return column
        for head, tail in path.splits:
            if head in self._schema.names and child_type(self._schema.field(head).type, tail):
                return head
        return None

    def chunks(self, columns: Sequence[str], *, raw_rows: bool) -> Iterator[Chunk]:
        """See `Reader.chunks`."""
        located = {column: head for column in columns if (head := self._locate(column)) is not None}
        for column, head in located.items():
            if self._schema.names.count(head) > 1:
                raise SourceError(
                    self.source.name, f"has more than one column {column!r}", hint="rename one of them in the export"
                )
        needed = None if raw_rows else list(dict.fromkeys(located.values()))
        try:
            for batch in self._file.iter_batches(self._limits.rows, columns=needed):
                yield self._chunk(batch, located, raw_rows=raw_rows)
                self._rows_read += batch.num_rows
            self._raw.seek(0)
            self._digest = hashlib.file_digest(self._raw, "sha256").hexdigest()
        except _UNREADABLE as error:
            raise self._explain(error, after=self._rows_read) from None

    def _chunk(self, batch: Any, located: dict[str, str], *, raw_rows: bool) -> Chunk:
        texts: dict[str, ArrowArray] = {}
        nested: dict[str, ArrowArray] = {}
        undecodable: dict[int, str] = {}
        for column, head in located.items():
            array = batch.column(head)
            values = array if column == head else reach(array, _tail(column, head))
            texts[column], inner, bad = text_of(values)
            if inner is not None and inner.true_count:
                nested[column] = inner
            for at in [] if bad is None else np.flatnonzero(bad).tolist():
                undecodable.setdefault(at, shorten(f"{column}: {show(values[at].as_py())}"))
        readable = np.ones(batch.num_rows, np.bool_)
        readable[list(undecodable)] = False
        first = self._rows_read + 1
        rows = first + np.flatnonzero(readable)
        table = pa.table(texts) if texts else pa.Table.from_batches([batch]).select([])
        if undecodable:
            mask = pa.array(readable)
            table = table.filter(mask)
            nested = {column: inner.filter(mask) for column, inner in nested.items()}
        return Chunk(
            source=self.source,
            first_row=first,
            count=batch.num_rows,
            table=table,
            rows=rows,
            lines=rows,
            unreadable=tuple(
                UnreadableRow(first + at, first + at, "row.undecodable", value)
                for at, value in sorted(undecodable.items())
            ),
            nested=nested,
            raw_rows=pa.Table.from_batches([batch]) if raw_rows else None,
        )

    def _explain(self, error: Exception, after: int | None = None) -> SourceError:
        name, reason = self._content.name, shorten(str(error))
        if "ncrypt" in str(error):
            return SourceError(name, "is encrypted", hint="export it without encryption")
        if after is not None:
            return SourceError(
                name, f"is damaged after row {after} ({reason}); the rows before were read", hint="export it again"
            )
        return SourceError(
            name, f"is not a readable Parquet file ({reason})", hint="copy, download or export the file again"
        )

    def close(self) -> None:
        """See `Reader.close`."""
        self._raw.close()
        self._content.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _seekable(content: Content, limits: Limits) -> io.BufferedReader | io.BufferedRandom:
    """Parquet is read from its end: what came through a pipe or a decompressor goes to the disk first."""
    if content.path is not None and content.compression == "none":
        return Path(content.path).open("rb")
    return spool(lambda: content.read(limits.block))


def _tail(column: str, head: str) -> paths.Path:
    """What is left of a path below its top-level column."""
    return next(tail for text, tail in paths.parse(column).splits if text == head)
