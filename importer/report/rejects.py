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
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from importer.model import ArrowTable, RowBatch, Source, State
from importer.report.atomic import Outputs
from importer.report.model import WrittenFile
from importer.report.reject_files import Rejected, RejectsWriter, open_writer
from importer.report.reject_workbook import WorkbookRejects, suits
from importer.report.rows import ExplainedBatch
from importer.roundtrip import APPENDED, DOUBT

STATES = {"rejects": (State.INVALID, State.REFUSED), "in_doubt": (State.IN_DOUBT, State.FAILED)}
"""What a file holds, and the states of its rows' events."""

_APPENDED = {"rejects": APPENDED, "in_doubt": (*APPENDED, *DOUBT)}
_FILE_NAMES = {"rejects": "rejects", "in_doubt": "in-doubt"}


@dataclass(slots=True)
class _Form:
    """The files of all sources that look alike."""

    first: Source
    schema: pa.Schema | None
    """A Parquet source's columns; None while they are unknown, and for text."""
    writers: dict[str, RejectsWriter] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)


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
        self._forms: dict[tuple[object, ...], _Form] = {}
        self.without_originals = 0
        """Rows that belong in a file but whose original cells are no longer kept."""

    def add(self, explained: ExplainedBatch) -> None:
        """Put the batch's undelivered rows where they belong."""
        batch = explained.batch
        form = self._form(batch)
        states, leader_states = explained.column("state"), explained.column("leader_state")
        for kind, chosen in STATES.items():
            wanted = pa.array([state.value for state in chosen])
            part_of = pc.and_(pc.equal(states, State.GROUPED.value), pc.is_in(leader_states, wanted))
            here = pc.or_(pc.is_in(states, wanted), part_of)
            positions = np.flatnonzero(here.to_numpy(zero_copy_only=False))
            if not len(positions):
                continue
            if batch.raw_rows is None:
                self.without_originals += len(positions)
                continue
            self._writer(form, kind).add(
                Rejected.of(explained, self._run, pa.array(positions), in_doubt=kind == "in_doubt")
            )
            form.rows[kind] = form.rows.get(kind, 0) + len(positions)

    def close(self) -> list[tuple[str, WrittenFile]]:
        """Finish the files; returns for each its placeholder in ``outputs`` and what it is finally called."""
        if len(self._forms) == 1 and not self.without_originals:
            self._writer(next(iter(self._forms.values())), "rejects")
        names = _names([form.first for form in self._forms.values()])
        written = []
        for form, name in zip(self._forms.values(), names, strict=True):
            for kind, writer in form.writers.items():
                writer.close()
                final = f"{_FILE_NAMES[kind]}{name}.{self._ending(form, kind)}"
                written.append((self._placeholder(form, kind), WrittenFile(final, kind, form.rows.get(kind, 0))))
        return written

    def _form(self, batch: RowBatch) -> _Form:
        schema = batch.raw_rows.schema if batch.raw_rows is not None and _is_parquet(batch.source) else None
        key = _form_key(batch.source, schema)
        if key not in self._forms:
            self._forms[key] = _Form(batch.source, schema)
        return self._forms[key]

    def _writer(self, form: _Form, kind: str) -> RejectsWriter:
        if kind not in form.writers:
            file = self._outputs.create(self._placeholder(form, kind))
            if self._ending(form, kind) == "xlsx":
                form.writers[kind] = WorkbookRejects(file, form.first, _APPENDED[kind], self._columns)
            else:
                form.writers[kind] = open_writer(file, form.first, form.schema, _APPENDED[kind])
        return form.writers[kind]

    def _ending(self, form: _Form, kind: str) -> str:
        """How the file's name ends; rows in doubt stay in a form that `importer resolve` reads."""
        wanted = kind == "rejects" and (self._as_workbook or bool(form.first.dialect.sheet))
        return "xlsx" if wanted and suits(form.first) else form.first.dialect.format

    def _placeholder(self, form: _Form, kind: str) -> str:
        number = next(number for number, other in enumerate(self._forms.values(), 1) if other is form)
        return f"{_FILE_NAMES[kind]}{f'-{number}' if number > 1 else ''}.{self._ending(form, kind)}"


def _is_parquet(source: Source) -> bool:
    return source.dialect.format == "parquet"


def _form_key(source: Source, schema: ArrowTable | None) -> tuple[object, ...]:
    dialect = source.dialect
    if dialect.format == "jsonl":
        return ("jsonl", dialect.encoding, dialect.skip_lines)
    if dialect.format == "parquet":
        return ("parquet", source.columns, str(schema))
    return ("csv", source.columns, replace(dialect, compression="none", has_bom=False))


def _names(sources: Sequence[Source]) -> list[str]:
    """What follows ``rejects`` in the name of each form's file; nothing if there is but one form."""
    if len(sources) <= 1:
        return [""] * len(sources)
    names: list[str] = []
    for source in sources:
        stem = re.split(r"[/\\]", source.name)[-1].split(".")[0]
        safe = re.sub(r"[^\w-]+", "_", stem).strip("_") or "source"
        name, number = f"-{safe}", 2
        while name in names:
            name, number = f"-{safe}-{number}", number + 1
        names.append(name)
    return names
