"""What a file is, told by its beginning: format and delimiter.

This module owns the guessing; whatever the mapping sets is not guessed. Compression is ``content``'s, encoding
``text``'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from importer.errors import SourceError
from importer.model import Format
from importer.read.quotes import Quoting
from importer.read.records import Layout, split_sample
from importer.read.storage import PACKED


@dataclass(frozen=True, slots=True)
class TextSample:
    """A text file's beginning, and how it is encoded."""

    data: bytes
    """As UTF-8, without the BOM."""
    complete: bool
    """Whether this is the whole file."""
    encoding: str
    bom: bytes


PARQUET_MAGIC = (b"PAR1", b"PARE")
_DELIMITERS = (b",", b";", b"\t", b"|")
_ROWS = 100
_SEPARATOR_LINE = re.compile(rb"sep=(.)\r?\n")

_FOREIGN = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"%PDF": "a PDF",
    b"SQLite format 3": "an SQLite database",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"ARROW1": "an Arrow file",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}


def refuse_foreign(name: str, sample: bytes) -> None:
    """Raise `SourceError` for well-known formats that are no table of text."""
    for magic, what in _FOREIGN.items():
        if sample.startswith(magic):
            raise SourceError(name, f"is {what}, not CSV, JSONL or Parquet", hint="export or save it as CSV (UTF-8)")


def recognise_format(name: str, text: bytes) -> Format:
    """CSV or JSONL, by the name's ending where it says so, else by the first line (``text`` is UTF-8)."""
    stem = name.lower()
    for packed in PACKED:
        stem = stem.removesuffix(packed)
    if stem.endswith((".jsonl", ".ndjson", ".json")):
        return "jsonl"
    if stem.endswith((".csv", ".tsv", ".psv")):
        return "csv"
    beginning = text.lstrip()
    return "jsonl" if re.match(rb'[{]\s*["}]|\[\s*[{]', beginning) else "csv"


def separator_line(text: bytes) -> bytes | None:
    """The delimiter that Excel writes into a line of its own before the header: ``sep=;``."""
    found = _SEPARATOR_LINE.match(text)
    return found[1] if found else None


def recognise_delimiter(text: TextSample, quote: bytes, *, skip_lines: int) -> bytes:
    """The delimiter with which most rows have as many fields as the first one; a comma if none divides it."""
    lines = text.data.split(b"\n", skip_lines + 1)
    first_line = lines[min(skip_lines, len(lines) - 1)]
    scores: dict[bytes, tuple[float, int]] = {}
    # Usually one line tells; a header cell that spans lines may hide the delimiter from it.
    for delimiter in [sign for sign in _DELIMITERS if sign in first_line] or _DELIMITERS:
        widths = _widths(text, Quoting(delimiter, quote), skip_lines)
        if widths and widths[0] > 1:
            scores[delimiter] = widths.count(widths[0]) / len(widths), widths[0]
    return max(scores, key=scores.__getitem__) if scores else b","


def _widths(text: TextSample, quoting: Quoting, skip_lines: int) -> Sequence[int]:
    records = split_sample(text.data, Layout(quoting, skip_lines=skip_lines), complete=text.complete)
    return [len(quoting.fields(records[at])) for at in records.good()[:_ROWS].tolist()] if records else []


def refuse_document(name: str, text: bytes) -> None:
    """Raise `SourceError` for JSON that is one document instead of one object a line."""
    lines = [line for line in text.split(b"\n", 50) if line.strip()]
    if not lines:
        return
    first = lines[0].strip()
    array = first == b"[" or re.match(rb"\[\s*[{]", first) is not None
    spread = first.startswith(b"{") and not _is_json(first) and len(lines) > 1 and not lines[1].startswith(b"{")
    if array or (spread and b"\n" in text and not first.endswith(b"}")):
        what, query = ("an array of objects", ".[]") if array else ("an object spread over several lines", ".")
        raise SourceError(
            name,
            f"holds {what}, not one JSON object a line",
            hint=f"turn it into lines first: jq -c '{query}' {name} > lines.jsonl",
        )


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
