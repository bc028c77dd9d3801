"""Rows that were not delivered, in the form they came in, with the reasons: ``rejects`` and ``in-doubt``.

A row that is invalid or refused goes to ``rejects``, to be corrected and run again, and with it all rows that were to
be part of its event: an order that is run again without some of its lines would be a wrong one. A row that is in doubt
or has failed may have been accepted, so it goes to a file of its own that is not run again by accident. Pending rows
go to neither: `importer resume` delivers them.

Sources of the same form (format, header, delimiter, quote, encoding) share a file. If the whole run has one form, that
file is ``rejects.<format>``, and it is written even if no row is in it; otherwise there is one per form that has any,
``rejects-<stem of the form's first source>.<format>``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, count

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from importer.model import RowBatch, Source, State
from importer.report.atomic import Outputs
from importer.report.model import WrittenFile
from importer.report.reject_files import Rejected, RejectsWriter, WorkbookRejects, open_writer, suits_sheet
from importer.report.rows import STATES, ExplainedBatch
from importer.roundtrip import APPENDED, DOUBT

_WANTED = {
    kind: np.array([*(state in chosen for state in STATES), False])
    for kind, chosen in (("rejects", (State.INVALID, State.REFUSED)), ("in_doubt", (State.IN_DOUBT, State.FAILED)))
}
"""What a file holds, and by the number of its event's state (-1: unknown) whether a row belongs there."""

_FILES = {"rejects": ("rejects", APPENDED), "in_doubt": ("in-doubt", (*APPENDED, *DOUBT))}
"""What a file is called, and the columns that it has besides its source's."""


class _File(msgspec.Struct):
    """One output."""

    placeholder: str
    ending: str
    writer: RejectsWriter
    rows: int = 0


class _Form(msgspec.Struct):
    """The files of all sources that look alike, by what they hold."""

    key: tuple[object, ...]
    """What its sources have in common."""
    first: Source
    schema: pa.Schema | None
    """A Parquet source's columns with their types; None while they are unknown, and for text."""
    number: str
    """Behind the placeholders of its files; empty for the first form."""
    files: dict[str, _File] = {}


class Rejects:
    """All rejects and in-doubt files of one run, written as batches come by."""

    def __init__(
        self, outputs: Outputs, run: str, columns: Mapping[str, tuple[str, ...]], *, as_workbook: bool = False
    ) -> None:
        """``columns`` are those that each target of the mapping comes from. Rejects of workbooks are workbooks.

        ``as_workbook``: rejects of CSV sources are, too.
        """
        self._outputs = outputs
        self._run = run
        self._columns = columns
        self._as_workbook = as_workbook
        self._forms: list[_Form] = []
        self.without_originals = 0
        """Rows that belong in a file but whose original cells are no longer kept."""

    def add(self, explained: ExplainedBatch) -> None:
        """Put the batch's undelivered rows where they belong."""
        batch = explained.batch
        form = self._form(batch)
        for kind, wanted in _WANTED.items():
            positions = np.flatnonzero(wanted[explained.event_states])
            if not len(positions):
                continue
            if batch.raw_rows is None:
                self.without_originals += len(positions)
                continue
            file = self._file(form, kind)
            file.writer.add(Rejected.of(explained, self._run, pa.array(positions), in_doubt=kind == "in_doubt"))
            file.rows += len(positions)

    def close(self) -> list[tuple[str, WrittenFile]]:
        """Finish the files; returns for each its placeholder in ``outputs`` and what it is finally called."""
        forms = self._forms
        if len(forms) == 1 and not self.without_originals:
            self._file(forms[0], "rejects")
        written = []
        for form, name in zip(forms, _names([form.first for form in forms]), strict=True):
            for kind, file in form.files.items():
                file.writer.close()
                final = WrittenFile(f"{_FILES[kind][0]}{name}.{file.ending}", kind, file.rows)
                written.append((file.placeholder, final))
        return written

    def _form(self, batch: RowBatch) -> _Form:
        source, dialect = batch.source, batch.source.dialect
        is_parquet = dialect.format == "parquet"
        key: tuple[object, ...] = (dialect.format, source.columns)
        if dialect.format == "jsonl":
            key = (dialect.format, dialect.encoding, dialect.skip_lines)
        elif not is_parquet:
            key = (*key, replace(dialect, compression="none", has_bom=False))
        schema = batch.raw_rows.schema if is_parquet and batch.raw_rows is not None else None
        for form in self._forms:
            # A batch whose rows are all fine comes without its raw rows, from which the types are known.
            if form.key == key and (schema is None or form.schema is None or form.schema == schema):
                form.schema = form.schema or schema
                return form
        number = f"-{len(self._forms) + 1}" if self._forms else ""
        self._forms.append(_Form(key, source, schema, number))
        return self._forms[-1]

    def _file(self, form: _Form, kind: str) -> _File:
        if kind not in form.files:
            source, (name, appended) = form.first, _FILES[kind]
            # Rows in doubt stay in a form that `importer resolve` reads.
            workbook = kind == "rejects" and (self._as_workbook or bool(source.dialect.sheet)) and suits_sheet(source)
            ending = "xlsx" if workbook else source.dialect.format
            placeholder = f"{name}{form.number}.{ending}"
            file = self._outputs.create(placeholder)
            writer: RejectsWriter = (
                WorkbookRejects(file, source, appended, self._columns)
                if workbook
                else open_writer(file, source, form.schema, appended)
            )
            form.files[kind] = _File(placeholder, ending, writer)
        return form.files[kind]


def _names(sources: Sequence[Source]) -> list[str]:
    """What follows ``rejects`` in the name of each form's file; nothing if there is but one form."""
    if len(sources) <= 1:
        return [""] * len(sources)
    names: list[str] = []
    for source in sources:
        stem = re.split(r"[/\\]", source.name)[-1].split(".")[0]
        safe = re.sub(r"[^\w-]+", "_", stem).strip("_") or "source"
        endings = chain([""], (f"-{number}" for number in count(2)))
        names.append(next(name for ending in endings if (name := f"-{safe}{ending}") not in names))
    return names
