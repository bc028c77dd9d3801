"""The report's table into a file: CSV, JSONL or Parquet.

This module owns one writer per format behind one small interface. Names and atomicity are ``atomic``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from importer.model import ArrowTable, Format
from importer.report.lines import csv_header, csv_lines, json_lines
from importer.report.table import COLUMNS, SCHEMA

_ROW_GROUP = 131_072
"""Rows per Parquet row group: what is kept in memory before it is written."""


class TableWriter(Protocol):
    """Takes a table's rows, a batch at a time."""

    def add(self, table: ArrowTable) -> None:
        """Write some rows; raises `OSError` where the file system refuses."""

    def close(self) -> None:
        """Write what is left; the file itself stays open."""


class CsvReport:
    """RFC 4180 with LF line ends, UTF-8 without a BOM."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(csv_header(COLUMNS))

    def add(self, table: ArrowTable) -> None:
        """See `TableWriter.add`."""
        self._file.write(csv_lines(table))

    def close(self) -> None:
        """See `TableWriter.close`."""


class JsonlReport:
    """One JSON object a line, every key in each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, table: ArrowTable) -> None:
        """See `TableWriter.add`."""
        self._file.write(json_lines(table))

    def close(self) -> None:
        """See `TableWriter.close`."""


class _Abandonable(pq.ParquetWriter):  # type: ignore[misc]  # pyarrow ships no types
    """A writer that may be dropped unfinished, since its file is dropped with it; pyarrow's would write a footer."""

    def __del__(self) -> None:
        """Do nothing."""


class ParquetTable:
    """Typed columns, zstd, in row groups of even size."""

    def __init__(self, file: BinaryIO, schema: pa.Schema = SCHEMA) -> None:
        self._writer = _Abandonable(file, schema, compression="zstd")
        self._waiting: list[ArrowTable] = []
        self._rows = 0

    def add(self, table: ArrowTable) -> None:
        """See `TableWriter.add`."""
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= _ROW_GROUP:
            self._write()

    def close(self) -> None:
        """See `TableWriter.close`."""
        if self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting, self._rows = [], 0


REPORTS: Mapping[Format, type[CsvReport | JsonlReport | ParquetTable]] = {
    "csv": CsvReport,
    "jsonl": JsonlReport,
    "parquet": ParquetTable,
}
"""The writer for each format of the report."""
