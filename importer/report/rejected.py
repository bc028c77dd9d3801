"""Rows for a rejects file, taken out of a batch.

This module owns which facts travel with a rejected row, in the order of ``roundtrip.APPENDED``; the writers own their
text.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowArray, ArrowTable
from importer.report.explain import Explained, column
from importer.roundtrip import APPENDED, harmless_column


@dataclass(frozen=True, slots=True)
class Rejected:
    """Some rows of one batch, in source order."""

    raw_rows: ArrowTable
    """As in ``Chunk.originals``."""
    facts: ArrowTable
    """The columns of ``roundtrip.APPENDED``, as long as ``originals``; none null."""

    @classmethod
    def of(cls, explained: Explained, raw_rows: ArrowTable, positions: ArrowArray) -> Rejected:
        """The rows at ``positions`` (0-based) of a batch."""
        batch = explained.batch
        arrays = (
            column(batch, "state"),
            explained.codes,
            explained.fields,
            explained.messages,
            pa.repeat(pa.scalar(batch.source.name, pa.string()), batch.table.num_rows),
            column(batch, "row"),
            column(batch, "line"),
        )
        facts = pa.table(dict(zip(APPENDED, arrays, strict=True))).take(positions)
        filled = [pc.fill_null(a, "") if pa.types.is_string(a.type) else a for a in facts.columns]
        return cls(raw_rows.take(positions), pa.table(filled, names=list(APPENDED)))

    def records(self) -> list[str]:
        """The raw records of a text source; bytes that are not text are lone surrogates."""
        raw = self.raw_rows.column("record").to_pylist()
        return [record.decode("utf-8", "surrogatepass") for record in raw]

    def harmless_facts(self) -> list[tuple[str, ...]]:
        """The facts of each row as text that no spreadsheet takes for a formula."""
        columns = (harmless_column(pc.cast(a.combine_chunks(), pa.string())).to_pylist() for a in self.facts.columns)
        return list(zip(*columns, strict=True))
