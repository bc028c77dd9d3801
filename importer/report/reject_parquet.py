"""Rejects of Parquet sources: the file's own columns as they were, and the ``importer_…`` columns behind them.

This module owns Parquet only; which rows come here is ``rejects``' decision.
"""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa

from importer.report.rejected import Rejected
from importer.report.writers import ParquetTable
from importer.roundtrip import APPENDED

_FACTS = pa.schema(
    [(name, pa.int64() if name in ("importer_row", "importer_line") else pa.string()) for name in APPENDED]
)


class ParquetRejects:
    """One file of one schema; columns that an earlier rejects file appended are replaced."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        # The index goes by position, since a Parquet file may hold a name twice.
        self._positions = [at for at, name in enumerate(schema.names) if name not in APPENDED]
        fields = [schema.field(at) for at in self._positions]
        self._schema = pa.schema([*fields, *_FACTS])
        self._table = ParquetTable(file, self._schema)

    def add(self, rows: Rejected) -> None:
        """See `RejectsWriter.add`."""
        columns = [rows.raw_rows.column(at) for at in self._positions] + rows.facts.cast(_FACTS).columns
        self._table.add(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """See `RejectsWriter.close`."""
        self._table.close()
