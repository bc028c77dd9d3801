"""What the stages say of corrected rows: they are written as a file and read, converted, validated and encoded.

The run's own mapping is used, as the ledger keeps it. Nothing is planned: whether a row was sent before, the ledger
says when the corrected rows are planned.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from importer.errors import ImporterError, SourceError, UsageError
from importer.mapping.load import LoadedMapping, loads
from importer.model import Run, State
from importer.pipeline.options import ReadOptions
from importer.pipeline.prepare import prepare_sources
from importer.read import Input
from importer.report.words import message_of
from importer.review.cells import Content, Form, how_to_read, write
from importer.review.desk import Line, Problem
from importer.review.load import Targets, problem_of

Verdict = tuple[int, str, tuple[Problem, ...] | None]
"""A line's number, its status, and what is wrong with it now (None: what the ledger says)."""


class Checker(msgspec.Struct, frozen=True):
    """Checks rows by one run's mapping."""

    loaded: LoadedMapping
    options: ReadOptions

    @classmethod
    def of_run(cls, run: Run) -> Checker:
        """Raises `UsageError` or `MappingError` where the run's mapping can no longer be used."""
        if not run.mapping_text:
            raise UsageError(
                f"run {run.id} has no mapping that can be read again",
                hint="correct rejects.csv, and give it to the program that made the run",
            )
        return cls(loads(run.mapping_text, run.mapping_name), ReadOptions.of_run(run))

    @property
    def targets(self) -> Targets:
        """Which columns the mapping's targets are made from."""
        return Targets.of(self.loaded.mapping)

    def reading(self, forms: Sequence[Form]) -> LoadedMapping:
        """The mapping for files of corrected rows."""
        mapping = self.loaded.mapping.model_copy(update={"source": how_to_read(forms)})
        return replace(self.loaded, mapping=mapping)

    def check(self, lines: Sequence[Line], forms: Sequence[Form]) -> Iterator[Verdict]:
        """The verdict on each row. All rows of an event are to be given; it is ready only if all of them are."""
        touched = {line.head for line in lines if line.edits or line.word == "as_is"}
        corrected = [(line, line.corrected(forms)) for line in lines]
        readable = [one for one in corrected if one[0].head in touched and one[1].shape != "record"]
        found: dict[int, tuple[bool, tuple[Problem, ...]]] = {}
        try:
            found = self._checked(readable, forms) if readable else {}
        except ImporterError as error:
            problem = Problem("row.unreadable", "", error.message)
            found = {line.no: (False, (problem,)) for line, _ in readable}
        broken = {line.head for line, _ in corrected if not found.get(line.no, (False, ()))[0]}
        for line, content in corrected:
            problems = found[line.no][1] if line.no in found else None
            if line.word == "given_up":
                yield line.no, "given_up", problems
            elif line.head not in touched:
                yield line.no, "open", None
            elif content.shape == "record" and line.edits:
                unread = Problem("row.ragged", "", "these are still not the cells of the header", ("",))
                yield line.no, "open", (unread,)
            else:
                yield line.no, "open" if line.head in broken else "ready", problems

    def _checked(
        self, rows: Sequence[tuple[Line, Content]], forms: Sequence[Form]
    ) -> dict[int, tuple[bool, tuple[Problem, ...]]]:
        """Whether each row would be sent, or left out by the filter, and what is wrong with it."""
        targets = self.targets
        found: dict[int, tuple[bool, tuple[Problem, ...]]] = {}
        with tempfile.TemporaryDirectory(prefix="importer-review-") as scratch:
            inputs, members = written(rows, forms, Path(scratch))
            mapping = self.reading([forms[number] for number, _ in members]).mapping
            with closing(prepare_sources(inputs, mapping, self.options, lambda _: None)) as sources:
                for (number, those), source in zip(members, sources, strict=True):
                    if source.error:
                        raise SourceError(source.source.name, source.error)
                    for chunk in source.chunks:
                        here = those[chunk.first_row - 1 : chunk.first_row - 1 + chunk.count]
                        for (line, _), state in zip(here, chunk.rows["state"].to_pylist(), strict=True):
                            found[line.no] = (state != State.INVALID.value, ())
                        for one in chunk.reasons.to_pylist():
                            line, content = here[one["row"] - chunk.first_row]
                            reason = (one["code"], one["field"], one["value"])
                            problem = problem_of(targets, forms[number], content, (*reason, message_of(*reason)))
                            found[line.no] = (found[line.no][0], (*found[line.no][1], problem))
        return found


def written(
    rows: Sequence[tuple[Line, Content]], forms: Sequence[Form], directory: Path
) -> tuple[list[Input], list[tuple[int, list[tuple[Line, Content]]]]]:
    """Files of rows, one per source that they come from; and of each file its form's number and its rows."""
    by_form: dict[int, list[tuple[Line, Content]]] = {}
    for line, content in rows:
        by_form.setdefault(line.form, []).append((line, content))
    inputs = [
        write(forms[number], [(content, line.row, line.line) for line, content in those], directory / str(number))
        for number, those in by_form.items()
    ]
    return inputs, list(by_form.items())
