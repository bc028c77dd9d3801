"""Rejected rows as cells, and corrected rows as files that the stages read like any other.

A CSV row is its cells under the header's names; a JSON or Parquet row is the text of a JSON object. A row that could
not be split into cells is its raw record, and is corrected as a whole. For every encoding and delimiter of the source,
corrected rows are written as plain CSV or as JSON lines in UTF-8, each with the run, source and row that it corrects.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePath
from typing import Literal

import msgspec
import pyarrow as pa

from importer.mapping.model import SourceOptions
from importer.model import ArrowTable, Source
from importer.read import Input, text_of
from importer.read.records import WHITESPACE, Rules
from importer.roundtrip import APPENDED, DOUBT, JSON_KEY, ORIGINAL, is_rejects, original_cell

RECORD = ""
"""The column where a row is its raw record."""
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CELLS = msgspec.json.Decoder(list[str])
_NOT_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)
_OWN = {*APPENDED, *DOUBT, ORIGINAL}
_ORIGIN = ("run", "source", "row", "line")

Shape = Literal["cells", "object", "record"]


class Form(msgspec.Struct, frozen=True, dict=True):
    """What all rows of one source share."""

    run: str
    source: Source
    pads: bool
    """Short rows are filled up with empty cells."""

    @cached_property
    def rules(self) -> Rules:
        """How its records are split into cells."""
        dialect = self.source.dialect
        delimiter = "" if dialect.delimiter == WHITESPACE else dialect.delimiter
        return Rules(delimiter.encode(), dialect.quote.encode(), dialect.escape.encode())

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of rows that are cells, without those that files of rejects add."""
        return tuple(name for name in self.source.columns or () if name not in _OWN)

    @property
    def is_text(self) -> bool:
        """Whether its rows are cells."""
        return self.source.dialect.format == "csv"


class Content(msgspec.Struct, frozen=True):
    """What a row holds."""

    shape: Shape
    text: str
    """A JSON list of cells, a JSON object, or the raw record."""

    def cell(self, form: Form, column: str) -> str | None:
        """The cell of that column as text; None where the row has none."""
        if self.shape == "record":
            return self.text if column == RECORD else None
        if self.shape == "object":
            return _member(self.text.encode(), column)
        cells = _CELLS.decode(self.text)
        return cells[form.columns.index(column)] if column in form.columns else None

    def cells(self, form: Form, mapped: Sequence[str]) -> dict[str, str]:
        """Every cell by its column; of an object those that the mapping names, there or not, and its other members."""
        if self.shape == "record":
            return {RECORD: self.text}
        if self.shape == "cells":
            return dict(zip(form.columns, _CELLS.decode(self.text), strict=True))
        found = {name: _member(self.text.encode(), name) for name in mapped}
        heads = {name.partition(".")[0] for name, value in found.items() if value is not None}
        found |= {name: _member(self.text.encode(), name) for name in _object(self.text.encode()) if name not in heads}
        return {name: value or "" for name, value in found.items()}

    def has(self, form: Form, column: str) -> bool:
        """Whether there is such a cell, or can be."""
        return self.shape == "object" or self.cell(form, column) is not None

    def corrected(self, form: Form, edits: Mapping[str, str]) -> Content:
        """The row with cells replaced; a record that can be split into cells now becomes cells."""
        if self.shape == "record":
            return _read(form, edits.get(RECORD, self.text)) if RECORD in edits else self
        if self.shape == "cells":
            cells = _CELLS.decode(self.text)
            for column, text in edits.items():
                cells[form.columns.index(column)] = text
            return Content("cells", _text(cells))
        raw = self.text.encode()
        for column, text in edits.items():
            raw = _replaced(raw, column, text)
        return Content("object", raw.decode())


def contents(form: Form, raw_rows: ArrowTable, codes: Sequence[str]) -> Iterator[Content]:
    """What some rows of a source hold; ``codes`` are those of their reasons."""
    if form.source.dialect.format == "parquet":
        columns = {name: _json_column(raw_rows.column(at)) for at, name in enumerate(raw_rows.column_names)}
        for at in range(raw_rows.num_rows):
            members = {name: msgspec.Raw(cells[at]) for name, cells in columns.items() if name not in _OWN}
            yield Content("object", msgspec.json.encode(members).decode())
        return
    for record, code in zip(raw_rows.column("record").to_pylist(), codes, strict=True):
        text = record.decode("utf-8", "surrogatepass")
        if any(one.startswith("row.") for one in code.split("; ")):
            yield Content("record", _shown_bytes(text))
        else:
            yield _read(form, text)


def write(form: Form, rows: Sequence[tuple[Content, int, int]], directory: Path) -> Input:
    """A file of corrected rows, each with the row and line that it corrects; none of them a record.

    Its directory has the name of the source's own, for mappings that look at it.
    """
    folder = directory / (PurePath(form.source.path or form.source.name).parent.name or "source")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("rows.csv" if form.is_text else "rows.jsonl")
    origin = (form.run, form.source.name)
    with path.open("w", encoding="utf-8", newline="") as file:
        if form.is_text:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow([*form.columns, *(f"importer_{name}" for name in _ORIGIN)])
            lines.writerows([*_CELLS.decode(content.text), *origin, *place] for content, *place in rows)
        else:
            for content, *place in rows:
                note = msgspec.Raw(json.dumps(dict(zip(_ORIGIN, (*origin, *place), strict=True))).encode())
                file.write(msgspec.json.encode({**_object(content.text.encode()), JSON_KEY: note}).decode() + "\n")
    return Input(form.source.name, str(path))


def how_to_read(forms: Sequence[Form]) -> SourceOptions:
    """How files of corrected rows are read, in the place of the mapping's own ``source``."""
    kinds = {form.is_text for form in forms}
    if kinds == {True}:
        return SourceOptions(
            format="csv", compression="none", encoding="utf-8", delimiter=",", quote='"', header=True, ragged="refuse"
        )
    return SourceOptions(format=None if True in kinds else "jsonl", compression="none", encoding="utf-8")


def _read(form: Form, text: str) -> Content:
    """A record split into cells, if it can be; what a file of rejects kept whole is a record again."""
    if not form.is_text:
        members = _object(text.encode("utf-8", "replace"))
        kept = {name: value for name, value in members.items() if name != JSON_KEY}
        encoded = msgspec.json.encode(kept).decode()
        return Content("object", encoded) if members else Content("record", _shown_bytes(text))
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # bytes that are no text
        return Content("record", _shown_bytes(text))
    columns = form.source.columns or ()
    cells = [cell.decode() for cell in form.rules.fields(raw)]
    if len(cells) == len(form.columns) != len(columns):
        return Content("cells", _text(cells))
    if form.pads:
        cells += [""] * (len(columns) - len(cells))
    if len(cells) != len(columns):
        return Content("record", text)
    if is_rejects(columns):
        cells = [original_cell(cell) for cell in cells]
    by_name = dict(zip(columns, cells, strict=True))
    own = [cell for name, cell in zip(columns, cells, strict=True) if name not in _OWN]
    if by_name.get(ORIGINAL) and not any(own):
        return Content("record", by_name[ORIGINAL])
    return Content("cells", _text(own))


def _text(cells: list[str]) -> str:
    return msgspec.json.encode(cells).decode()


def _shown_bytes(text: str) -> str:
    r"""The text with bytes that are no text as ``\xe9``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _object(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _OBJECT.decode(raw)
    except _NOT_JSON:
        return {}


def _member(raw: bytes, path: str) -> str | None:
    """The value at a name or dotted path of an object as text; None where there is none."""
    members = _object(raw)
    if path in members:
        value = bytes(members[path])
        if value == b"null":
            return ""
        return str(msgspec.json.decode(value)) if value.startswith(b'"') else value.decode()
    heads = (path[:at] for at, sign in enumerate(path) if sign == ".")
    found = (_member(bytes(members[head]), path[len(head) + 1 :]) for head in heads if head in members)
    return next((value for value in found if value is not None), None)


def _replaced(raw: bytes, path: str, text: str) -> bytes:
    """The object with another value at a path; a number stays a number where the text is one."""
    members = _object(raw)
    if path not in members:
        for at, sign in enumerate(path):
            head, rest = path[:at], path[at + 1 :]
            if sign == "." and head in members and _member(bytes(members[head]), rest) is not None:
                return msgspec.json.encode({**members, head: msgspec.Raw(_replaced(bytes(members[head]), rest, text))})
    before = bytes(members.get(path, msgspec.Raw(b'""')))
    value = msgspec.json.encode(text)
    if not before.startswith(b'"'):
        with suppress(*_NOT_JSON):
            value = value if isinstance(msgspec.json.decode(text), str) else text.encode()
    return msgspec.json.encode({**members, path: msgspec.Raw(value)})


def _json_column(column: ArrowTable) -> list[bytes]:
    """Each value of a Parquet column as JSON: numbers and nested values as they are, all else as the reader's text."""
    array = column.combine_chunks()
    texts, nested, _ = text_of(array)
    plain = (pa.types.is_integer, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_floating)
    as_is = nested is not None or any(holds(array.type) for holds in plain)
    return [
        b"null" if text is None else text.encode() if as_is else msgspec.json.encode(text) for text in texts.to_pylist()
    ]
