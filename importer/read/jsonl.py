"""JSON lines: one object a line, as columns of text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from importer.errors import SourceError
from importer.mapping.columns import UnusedColumns
from importer.mapping.model import SourceOptions
from importer.model import Dialect, Int64s
from importer.read.detect import refuse_document
from importer.read.files import Content, Limits, shorten
from importer.read.nested import MISSING, Path, find, members, parse
from importer.read.reader import Converted, TextReader, TextSample
from importer.read.records import BLANKS, Faults, Records, Rules
from importer.roundtrip import JSON_KEY

_NOT_JSON = (msgspec.DecodeError, ValueError, RecursionError)
"""ValueError: an integer of more digits than Python is willing to read."""


_MOST_UNUSED = 2_000
"""Columns of one chunk that are taken because nothing else uses them; an event has no room for as many."""


_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WHOLE = msgspec.json.Decoder(dict[str, Any], float_hook=msgspec.Raw)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_RETURNED = f'{{"{JSON_KEY}"'.encode()
"""How rejects begin that were no objects."""
_MOST_BYTES = 8 << 20
"""Bytes of the records that are made at a time: each repeats the object that it is of."""


class JsonLinesReader(TextReader):
    """Reads JSONL."""

    def __init__(
        self,
        content: Content,
        text: TextSample,
        options: SourceOptions,
        limits: Limits,
        columns: Collection[str],
        each: str = "",
    ) -> None:
        """``columns``: what the objects should have. ``each``: the list whose elements are the rows.

        Raises `SourceError` where the file is one JSON document.
        """
        refuse_document(content.name, text.data, complete=text.complete, columns=columns)
        dialect = Dialect(
            format="jsonl",
            compression=content.compression,
            encoding=text.encoding.name,
            has_header=False,
            has_bom=bool(text.encoding.bom),
            skip_lines=options.skip_lines,
        )
        rules = Rules(b"", quote=b"", blank=BLANKS, skip_lines=options.skip_lines)
        super().__init__(content, text.encoding, (dialect, None), rules, limits)
        self._each = each

    def _records(self) -> Iterator[Records]:
        for records in super()._records():
            yield from _records_of_elements(records, self._each) if self._each else (records,)

    def available(self, column: str) -> bool:
        """Always: any line may have it."""
        return bool(column)

    def _with_partitions(self, partitions: Mapping[str, str | None]) -> Callable[[bytes], bytes] | None:
        return partial(_with_members, {name: msgspec.json.encode(value) for name, value in partitions.items()})

    def _converter(self, columns: Sequence[str]) -> Callable[[Records], Converted]:
        return _Columns(self.source.name, columns, self._unused)


class _Columns:
    """The wanted columns; only the keys they may lie under are decoded."""

    def __init__(self, name: str, columns: Sequence[str], unused: UnusedColumns | None) -> None:
        self._made_of = (name, columns, unused)
        self._name, self._unused = name, unused
        self._paths = {column: parse(column) for column in columns}
        keys = list(dict.fromkeys(key for path in self._paths.values() for key in path.heads))
        self._fields = {key: f"f{at}" for at, key in enumerate(keys)}
        try:
            row = msgspec.defstruct(
                "Row",
                # Only where a shorter key may hold the value is an absent one told from null.
                [(field, Any, MISSING if parse(key).splits else None) for key, field in self._fields.items()],
                gc=False,
                rename={field: key for key, field in self._fields.items()},
            )
        except ValueError:
            odd = next(key for key in keys if not key.isprintable() or '"' in key or "\\" in key)
            raise SourceError(
                name, f"a JSON key cannot be looked up by the name {odd!r}", hint="rename the key in the file"
            ) from None
        self._decoder = msgspec.json.Decoder(row, float_hook=msgspec.Raw)  # numbers keep their digits

    def __reduce__(self) -> tuple[Any, ...]:
        """Decoders are made where they are used."""
        return _Columns, self._made_of

    def __call__(self, records: Records) -> Converted:
        """See `Converted`."""
        rows, positions, faults = self._decode(records)
        found = {column: self._values(rows, path) for column, path in self._paths.items()}
        if self._unused is not None:
            found |= self._unused_values(records, positions, self._unused)
        columns: dict[str, Any] = {}
        nested: dict[str, Any] = {}
        literal: dict[str, Any] = {}
        for column, values in found.items():
            kinds = set(map(type, values)) - {type(None)}
            columns[column] = _texts(values, kinds)
            if kinds & {dict, list}:
                nested[column] = pa.array([isinstance(value, dict | list) for value in values])
            if kinds & {int, bool, msgspec.Raw}:
                literal[column] = pa.array([isinstance(value, int | msgspec.Raw) for value in values])
        table = pa.table(columns) if columns else pa.table({"": pa.nulls(len(rows))}).select([])
        return Converted(table, positions, faults, nested, literal)

    def _unused_values(self, records: Records, positions: Int64s, unused: UnusedColumns) -> dict[str, list[Any]]:
        """The columns that nothing else of the mapping uses."""
        found: dict[str, list[Any]] = {}
        for at, position in enumerate(positions.tolist()):
            for path, value in members(_WHOLE.decode(records[position]), unused):
                if path not in found and len(found) == _MOST_UNUSED:
                    message = f"has more than {_MOST_UNUSED:,} different keys for `more_properties`"
                    raise SourceError(
                        self._name, message, hint="name those that you want, or what to leave out: `except`"
                    )
                found.setdefault(path, [None] * len(positions))[at] = value
        return found

    def _decode(self, records: Records) -> tuple[list[Any], Int64s, Faults]:
        """The readable lines as objects, their positions, and the faults of the others."""
        faults = dict(records.faults)
        good = np.delete(np.arange(len(records)), list(faults))
        rows: list[Any] = []
        for at, line in zip(good.tolist(), records.texts(good), strict=True):
            try:
                if line.startswith(_RETURNED) and not _RAW.decode(line).keys() - {JSON_KEY}:
                    faults[at] = ("row.unreadable", f"its line is in {JSON_KEY}; put the corrected object here")
                    continue
                rows.append(self._decoder.decode(line))
            except _NOT_JSON as error:
                faults[at] = ("row.not_json", shorten(f"{line[:60].decode('utf-8', 'ignore')} ({error})"))
        return rows, np.delete(good, np.searchsorted(good, sorted(faults.keys() - records.faults.keys()))), faults

    def _values(self, rows: Sequence[Any], path: Path) -> list[Any]:
        """What lies at ``path`` in each row; None where nothing does."""
        whole = self._fields[path.text]
        if not path.splits:
            return list(map(attrgetter(whole), rows))
        heads = [(self._fields[head], tail) for head, tail in path.splits]
        return [self._value(row, whole, heads) for row in rows]

    @staticmethod
    def _value(row: Any, whole: str, heads: Sequence[tuple[str, Path]]) -> Any:
        found = getattr(row, whole)
        for field, tail in heads:
            if found is not MISSING:
                break
            found = find(getattr(row, field), tail)
        return None if found is MISSING else found


def _with_members(added: Mapping[str, bytes], record: bytes) -> bytes:
    """A record with members that it lacks, or has as null; one that is no object stays as it is."""
    try:
        members = _RAW.decode(record)
    except _NOT_JSON:
        return record
    own = {name: value for name, value in members.items() if name not in added or bytes(value) != b"null"}
    return msgspec.json.encode({name: msgspec.Raw(value) for name, value in added.items()} | own)


def _texts(values: list[Any], kinds: set[type]) -> Any:
    """A column of text of values of these types, besides None."""
    if kinds in ({int}, {bool}):
        with suppress(OverflowError):  # beyond 64 bits
            return pa.array(values, pa.int64() if int in kinds else pa.bool_()).cast(pa.string())
    return pa.array(values if kinds <= {str} else list(map(_text, values)), pa.string())


def _text(value: Any) -> str | None:
    """A value as text; but for texts, as it is in JSON."""
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def _records_of_elements(records: Records, path: str) -> Iterator[Records]:
    """The records of the elements; an object without the list, or with an empty one, stays one record."""
    lines: list[bytes] = []
    origins: list[int] = []
    size = 0
    for at in range(len(records)):
        line = records[at]
        for one in [line] if at in records.faults else _elements(line, path):
            lines.append(one)
            origins.append(at)
            size += len(one) + 1
            if size > _MOST_BYTES:
                yield _joined(records, lines, origins)
                lines, origins, size = [], [], 0
    if lines:
        yield _joined(records, lines, origins)


def _elements(line: bytes, path: str) -> list[bytes]:
    """The object once for each element of the list at a path, exactly; as it is where there is no such list."""
    try:
        whole = _RAW.decode(line)
        head, _, rest = (path, "", "") if path in whole else path.partition(".")
        if head not in whole:
            return [line]
        inner = bytes(whole[head])
        parts = _elements(inner, rest) if rest else [bytes(one) for one in _LIST.decode(inner)]
    except _NOT_JSON:
        return [line]
    if parts == [inner]:
        return [line]
    if not parts:
        del whole[head]
        return [msgspec.json.encode(whole)]
    return [msgspec.json.encode({**whole, head: msgspec.Raw(part)}) for part in parts]


def _joined(records: Records, lines: list[bytes], origins: list[int]) -> Records:
    ends = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    faults = {place: records.faults[at] for place, at in enumerate(origins) if at in records.faults}
    return Records(b"\n".join(lines), starts, ends, records.lines[origins], faults)
