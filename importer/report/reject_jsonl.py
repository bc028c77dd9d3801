"""Rejects of JSONL sources: each line's own object with one more key, ``_importer``, that says why.

This module owns JSONL only. The object's text stays as it was, to the last digit, since the key is put in before its
closing brace. A line that is no object becomes an object of its own, with the raw text in ``_importer.original``. In
rejects of rejects the key is replaced; an ``original`` that nobody mended is kept.
"""

from __future__ import annotations

import json
from typing import BinaryIO

import msgspec

from importer.model import Dialect
from importer.report.encoded import EncodedText
from importer.report.rejected import Rejected
from importer.roundtrip import APPENDED, JSON_KEY

_KEYS = [name.removeprefix("importer_") for name in APPENDED]
_QUOTED_KEY = f'"{JSON_KEY}"'
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTE = msgspec.json.Decoder(dict[str, object])


class JsonlRejects:
    """One file, in its sources' encoding; the mapping skips as many lines at its beginning as in the sources."""

    def __init__(self, file: BinaryIO, dialect: Dialect) -> None:
        self._text = EncodedText(file, dialect.encoding)
        self._text.write("skipped\n" * dialect.skip_lines)

    def add(self, rows: Rejected) -> None:
        """See `RejectsWriter.add`."""
        facts = zip(*(array.to_pylist() for array in rows.facts.columns), strict=True)
        notes = (dict(zip(_KEYS, values, strict=True)) for values in facts)
        lines = [_line(record, note) + "\n" for record, note in zip(rows.records(), notes, strict=True)]
        self._text.write("".join(lines))

    def close(self) -> None:
        """See `RejectsWriter.close`."""


def _line(record: str, note: dict[str, object]) -> str:
    body = record.strip(" \t\r\n\ufeff")
    try:
        members = _OBJECT.decode(body)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        # Whatever the encoding, ASCII can hold the text; what was no text at all shows as \udc80 … \udcff.
        return json.dumps({JSON_KEY: {**note, "original": record}})
    if JSON_KEY in members:
        note = {**_unmended(members), **note}
        kept = {name: value for name, value in members.items() if name != JSON_KEY}
        body = msgspec.json.encode(kept).decode()
    comma = "," if members.keys() - {JSON_KEY} else ""
    return f"{body[:-1]}{comma}{_QUOTED_KEY}:{json.dumps(note)}}}"


def _unmended(members: dict[str, msgspec.Raw]) -> dict[str, object]:
    """The raw text that an earlier rejects file kept, if its line still holds nothing else."""
    if len(members) > 1:
        return {}
    try:
        note = _NOTE.decode(members[JSON_KEY])
    except msgspec.DecodeError:
        return {}
    return {"original": note["original"]} if "original" in note else {}
