"""What a text file is, by its beginning: CSV or JSON lines, its delimiter and quotes, and the line of its header.

Whatever the mapping sets is not recognised. The columns that the mapping names decide first: the header is the line
that has them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from importer.errors import SourceError
from importer.mapping.model import SourceOptions
from importer.model import Format
from importer.read import nested
from importer.read.files import PACKED
from importer.read.reader import TextSample
from importer.read.records import BLANKS, WHITESPACE, Records, Rules, split_sample
from importer.roundtrip import is_formula, is_rejects, original_cell

PARQUET_MAGIC = (b"PAR1", b"PARE")
_ROWS = 100
_MOST_ABOVE = 20
"""Lines looked at for the header."""
_COMMON = (b",", b";", b"\t", b"|")
_RARE = (b"^", b"~", b"\x01", b"\x1f", b":")
_TRIAL = 64 << 10
"""Bytes that are enough to tell delimiter and header."""
_MOSTLY, _MANY = 0.9, 0.4
_FEWEST = 2
"""Records that must be alike before an unusual delimiter is believed."""
_SEPARATOR_LINE = re.compile(rb'"?sep=([^\r\n"]+)"?\r?\n', re.IGNORECASE)
_DATA = re.compile(rb"[^@\s]+@[^@\s]+\.[a-z]+|[-+]?[$\xe2\x82\xac\xc2\xa3]*[0-9][0-9.,:/ TZ-]*")

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
_DOCUMENT = re.compile(rb'(?:\[\s*)?[{]\s*"[^"\r\n]*"\s*:')
_WRAPPER = re.compile(
    r"(?i)@|^(next|prev|previous|first|last|count|total|size|pages?|per_?page|page_?(info|size|number)|limit|offset|"
    r"has_?more|object|url|links?|meta|metadata|cursors?|next_.*|total_.*|paging|pagination|status|success|ok|errors?|"
    r"message|version|took|self|self_link|request_?id|generated_?at|exported_?at)$"
)
"""Names of what comes beside a list in an API's answer, and not in a row."""


def refuse_foreign(name: str, sample: bytes) -> None:
    """Raise `SourceError` for well-known formats that are no table of text."""
    for magic, what in _FOREIGN.items():
        if sample.startswith(magic):
            raise SourceError(name, f"is {what}, not CSV, JSONL or Parquet", hint="export or save it as CSV (UTF-8)")


def recognise_format(name: str, text: bytes) -> Format:
    """CSV or JSONL, by the beginning where that is a JSON object, else by the name's ending (``text`` is UTF-8)."""
    stem = name.lower()
    for packed in PACKED:
        stem = stem.removesuffix(packed)
    if stem.endswith((".jsonl", ".ndjson", ".json")):
        return "jsonl"
    beginning = text.lstrip()
    if isinstance(_json(beginning.split(b"\n", 1)[0]), dict) or _DOCUMENT.match(beginning):
        return "jsonl"
    if stem.endswith((".csv", ".tsv", ".psv")):
        return "csv"
    return "jsonl" if re.match(rb'[{]\s*["}]|\[\s*[{]', beginning) else "csv"


def refuse_document(name: str, text: bytes, *, complete: bool, columns: Collection[str]) -> None:
    """Raise `SourceError` for JSON that is one document instead of one object a line; ``columns`` are the wanted ones.

    One object on one line is a row, unless it has none of the columns and wraps a list of objects.
    """
    lines = [line for line in text.split(b"\n", 50) if line.strip()]
    if not lines:
        return
    first = lines[0].strip()
    array = first == b"[" or re.match(rb"\[\s*[{]", first) is not None
    document = _json(first)
    spread = first.startswith(b"{") and document is None and not first.endswith(b"}") and len(lines) > 1
    if array:
        what, query = "an array of objects", ".[]"
    elif spread and not lines[1].startswith(b"{"):
        document = _json(text) if complete else None
        what, query = "an object spread over several lines", "."
    elif len(lines) == 1 and complete and isinstance(document, dict):
        what, query = "", "."
    else:
        return
    if isinstance(document, dict):
        rows = any(nested.find(document, nested.parse(column)) is not nested.MISSING for column in columns)
        path = "" if rows else _wrapped_list(document, sure=bool(columns) or len(document) == 1)
        if path:
            what, query = f"one object with a list of objects in {path!r}", "".join(f".{_key(part)}" for part in
                                                                                   path.split(".")) + "[]"  # fmt: skip
    if what:
        raise SourceError(
            name,
            f"holds {what}, not one JSON object a line",
            hint=f"turn it into lines first: jq -c '{query}' {name} > lines.jsonl",
        )


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f'"{name}"'


def _wrapped_list(document: dict[str, Any], *, sure: bool) -> str:
    """The path of the list of objects that a document is made around; empty if it is a row of its own."""
    for key, value in document.items():
        others = [other for other in document if other != key]
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            if sure or all(_WRAPPER.search(other) or document[other] is None for other in others):
                return key
        elif isinstance(value, dict) and all(_WRAPPER.search(other) for other in others):
            inner = _wrapped_list(value, sure=sure or len(value) == 1)
            if inner:
                return f"{key}.{inner}"
    return ""


def _json(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None


class Table(msgspec.Struct, frozen=True):
    """How a CSV file is laid out."""

    rules: Rules
    header: tuple[str, ...]
    """The columns' names; empty for an empty file."""
    width: int = 0
    """How many fields a row has; those after the header's last name are empty in every row."""
    above: int = 0
    """Records before the first row: titles, notes and the header itself."""
    records: tuple[bytes, ...] = ()
    """The header as it is in the file, and a second one that says what the columns hold; empty without one."""
    notes: tuple[str, ...] = ()
    """What was assumed, as sentences."""


def recognise_table(name: str, text: TextSample, options: SourceOptions, columns: Collection[str]) -> Table:
    """The rules of a CSV file and its header. Raises `SourceError` where the header cannot be read."""
    if not text.data.strip():
        names = options.header if isinstance(options.header, tuple) else ()
        return Table(Rules(b","), names, len(names))
    announced = None if options.skip_lines else _SEPARATOR_LINE.match(text.data)
    trials = _Trials(text, options, announced and announced[1], columns)
    best = trials.best()
    if best is None:
        raise SourceError(name, "begins with no complete record", hint="a CSV file needs at least a header line")
    return _settled(name, best, options)


class _Trial(msgspec.Struct, frozen=True):
    """The first records as some rules read them."""

    rules: Rules
    records: Records
    rows: list[list[bytes]]
    """The fields of each record; none of one that cannot be read."""
    width: int
    """How many fields most records have."""
    head: int
    """Which of the records is the header."""
    matched: int
    """How many of the columns that the mapping names the header has."""

    @property
    def table(self) -> list[list[bytes]]:
        """The header and what is below it."""
        return self.rows[self.head :]

    @property
    def alike(self) -> float:
        """The share of records that are as wide as most, the header included."""
        return sum(len(row) == self.width for row in self.table) / len(self.table)

    @property
    def score(self) -> tuple[int, bool, float, int]:
        """The greater, the better the rules fit."""
        odd = sum(at >= self.head for at in self.records.odd) / len(self.table)
        return self.matched, self.width > 1, round(self.alike - odd / 2, 2), self.width

    @property
    def is_table(self) -> bool:
        """Whether the rules make a table of the file, but for a few broken rows."""
        return self.width > 1 and self.score[2] > _MOSTLY


class _Trials:
    """Reads a file's beginning by one set of rules after the other, the usual ones first."""

    def __init__(
        self, text: TextSample, options: SourceOptions, delimiter: bytes | None, columns: Collection[str]
    ) -> None:
        self._text = text
        self._options = options
        skip_lines = options.skip_lines + (delimiter is not None)
        if options.delimiter is not None:
            delimiter = {"tab": b"\t", WHITESPACE: b""}.get(options.delimiter, options.delimiter.encode())
        self._delimiter = delimiter
        self._searches = options.header in {None, True} and not options.skip_lines
        self._names = frozenset(column.strip().encode() for column in columns) if self._searches else frozenset()
        self._plain = Rules(
            b",",
            b'"' if options.quote is None else options.quote.encode(),
            (options.escape or "").encode(),
            (options.comment or "").encode(),
            blank=BLANKS,
            skip_lines=skip_lines,
        )

    def best(self) -> _Trial | None:
        """The rules that fit best; the usual ones where others fit no better. None where there is no whole record."""
        signs = _COMMON if self._delimiter is None else (self._delimiter,)
        known = [sign for sign in signs if sign in self._text.data] or signs[:1]
        trials = [trial for sign in known if (trial := self._read(replace(self._plain, delimiter=sign))) is not None]
        if not trials:
            return None
        best = max(trials, key=lambda trial: trial.score)
        best = self._quoted_otherwise(best)
        if self._delimiter is None:
            best = self._delimited_otherwise(best)
        if any(row and row[0].startswith(b"#") for row in best.rows[: best.head]) and not best.rules.comment:
            best = self._read(replace(best.rules, remarks=b"#")) or best
        return best

    def _quoted_otherwise(self, best: _Trial) -> _Trial:
        """With backslashes before quotes, or with apostrophes for quotes."""
        rules = best.rules
        has_escaped = b"\\" + rules.quote in self._text.data and (best.width <= 1 or best.score[2] < 1)
        if self._options.escape is None and has_escaped:
            best = self._better(best, replace(rules, escape=b"\\"))
        if self._options.quote is None and rules.delimiter and (_in_quotes(best) or not best.is_table):
            other = self._read(replace(rules, quote=b"'")) if b"'" in self._text.data else None
            if other is not None and (other.score > best.score or (other.alike >= best.alike and _in_quotes(best))):
                best = other
        return best

    def _delimited_otherwise(self, best: _Trial) -> _Trial:
        """With two characters, an unusual one, or blanks between the fields."""
        sign, header = best.rules.delimiter, best.records[best.head]
        for pair, width in ((sign + b" ", best.width), (sign * 2, (best.width + 1) // 2)):
            if width > 1 and header.count(pair) >= width - 1:
                other = self._read(replace(best.rules, delimiter=pair))
                if other is not None and other.width == width and other.score[2] >= best.score[2]:
                    best = other
        if best.is_table:
            return best
        for unusual in _RARE:
            if unusual in self._text.data:
                doubled = self._better(best, replace(self._plain, delimiter=unusual * 2), 2, 1)
                single = replace(self._plain, delimiter=unusual)
                best = doubled if doubled is not best else self._better(best, single, 2, 1)
        for blanks in (b"", b" "):
            best = self._better(best, replace(self._plain, delimiter=blanks), 3, 1)
        if sign not in header:
            best = self._better(best, replace(self._plain, delimiter=b" "), 5, _MANY)
        return best

    def _better(self, best: _Trial, rules: Rules, width: int = 0, alike: float = 0) -> _Trial:
        """The rules if they fit better, and if so large a share of the records has at least that many fields.

        Two are enough where only these rules find columns that the mapping names.
        """
        other = self._read(rules)
        if other is None or other.score <= best.score:
            return best
        width = min(width, 2) if other.matched > best.matched else width
        if width and (other.width < width or other.alike < alike or len(other.table) < _FEWEST):
            return best
        return best if width and not _names_columns(other.table[0]) else other

    def _read(self, rules: Rules) -> _Trial | None:
        complete = self._text.complete and len(self._text.data) <= _TRIAL
        records = split_sample(self._text.data[:_TRIAL], rules, complete=complete)
        if records is None and not complete:
            records = split_sample(self._text.data, rules, complete=self._text.complete)
        if records is None or not len(records):
            return None
        records = records.part(0, min(len(records), _ROWS))
        rows = [[] if at in records.faults else rules.fields(records[at]) for at in range(len(records))]
        widths = Counter(len(row) for row in rows if row)
        width = max(widths, key=lambda found: (widths[found], found)) if widths else 0
        head, matched = self._header_at(rows, width)
        return _Trial(rules, records, rows, width, head, matched)

    def _header_at(self, rows: list[list[bytes]], width: int) -> tuple[int, int]:
        """Which record is the header, and how many of the known names it has."""
        if not self._searches:
            return 0, 0
        if self._names:
            counts = [len({cell.strip() for cell in row} & self._names) for row in rows[:_MOST_ABOVE]]
            best = max(counts)
            at = counts.index(best)
            if best and (at == 0 or best > 1 or best == len(self._names)):
                return at, best
        for at, row in enumerate(rows[:_MOST_ABOVE]):
            filled = sum(bool(cell.strip()) for cell in row)
            if len(row) == width and filled > min(width, 2) // 2:
                below = [found for found in rows[at + 1 :] if len(found) == width]
                if _is_over_names(row, below):
                    return at + 1, 0
                few = all(sum(map(bool, above)) <= max(1, width // 2) for above in rows[:at])
                return (at if below and _names_columns(row) and (few or _is_above_data(row, below)) else 0), 0
        return 0, 0


def _names_columns(row: list[bytes]) -> bool:
    """Whether a record looks like a header: names, each once, and no data."""
    named = [cell.strip() for cell in row if cell.strip()]
    return len(named) > len(row) / 2 and len(set(named)) == len(named) and not any(map(_DATA.fullmatch, named))


def _is_above_data(row: list[bytes], below: list[list[bytes]]) -> bool:
    """Whether some column has data in each of the rows, and none in this one, which then names it."""
    columns = zip(row, zip(*below, strict=True), strict=True)
    return any(cell.strip() and all(map(_DATA.fullmatch, map(bytes.strip, cells))) for cell, cells in columns)


def _is_over_names(row: list[bytes], below: list[list[bytes]]) -> bool:
    """Whether a record has what groups columns, once for each or at the first of them, and the next one their names."""
    if len(below) <= _FEWEST or _names_columns(row) or any(map(_DATA.fullmatch, map(bytes.strip, row))):
        return False
    return _names_columns(below[0]) and _is_above_data(below[0], below[1:])


def _is_second_header(row: list[bytes], below: list[list[bytes]]) -> bool:
    """Whether a record below the header has texts where all others have data, and no data: units, or other names."""
    if len(below) < _FEWEST or any(map(_DATA.fullmatch, map(bytes.strip, row))):
        return False
    columns = [list(filter(None, map(bytes.strip, cells))) for cells in zip(*below, strict=True)]
    data = [bool(cells) and all(map(_DATA.fullmatch, cells)) for cells in columns]
    return sum(bool(cell.strip()) and is_data for cell, is_data in zip(row, data, strict=False)) > 1


def _in_quotes(trial: _Trial) -> bool:
    """Whether all cells of some column are in apostrophes; in rejects, where one may be added, other ones than that."""
    body = [row for row in trial.table[1:] if len(row) == trial.width]
    is_added = is_rejects(map(partial(str, encoding="utf-8", errors="replace"), trial.table[0]))
    columns = (
        [cell for cell in cells if cell and not (is_added and is_formula(cell.decode("utf-8", "replace")))]
        for cells in zip(*body, strict=True)
    )
    return any(
        len(cells) > 1 and all(len(cell) > 1 and cell.startswith(b"'") and cell.endswith(b"'") for cell in cells)
        for cells in columns
    )


def _settled(name: str, trial: _Trial, options: SourceOptions) -> Table:
    """The table with its columns' names."""
    rules = trial.rules
    notes = _dialect_notes(rules, options)
    if isinstance(options.header, tuple):
        return Table(_with_blanks(rules, len(options.header)), options.header, len(options.header), notes=notes)
    raw, row = trial.records[trial.head], trial.rows[trial.head]
    if b"\0" in (trial.records.data if trial.head in trial.records.faults else raw):
        hint = "copy or download it again, or export it as CSV, JSONL or Parquet"
        raise SourceError(name, "holds binary data, which is neither text nor Parquet", hint=hint)
    if options.header is False:
        width = len(row) or trial.width
        return Table(_with_blanks(rules, width), tuple(map(str, range(1, width + 1))), width, notes=notes)
    body = [found for found in trial.rows[trial.head + 1 :] if len(found) == trial.width]
    names, note = _header(raw, row, body, trial)
    if note:
        notes = (*notes, note)
    if not names:
        code, value = trial.records.faults[trial.head]
        raise SourceError(
            name,
            f"line {trial.records.lines[trial.head]}: the header cannot be read ({code}: {value})",
            hint="fix the line, or set `source: {encoding: …}` or `skip_lines`",
        )
    above = trial.head + 1
    while above < len(trial.rows) and trial.rows[above] == row:
        above += 1
    below = [found for found in trial.rows[above + 1 :] if len(found) == trial.width]
    is_second = above < len(trial.rows) and _is_second_header(trial.rows[above], below)
    second = (trial.records[above],) if is_second else ()
    if trial.head:
        line = trial.records.lines[trial.head]
        notes = (*notes, f"the header is on line {line}; the lines above it are left out")
    width = max(len(names), trial.width if len(names) < trial.width and note is not None else 0)
    found = tuple(cell.decode() for cell in names)
    header = tuple(map(original_cell, found)) if is_rejects(found) else found
    return Table(_with_blanks(rules, width), header, width, above, (raw, *second), notes)


def _with_blanks(rules: Rules, width: int) -> Rules:
    """Which characters make a blank line: in a file of one column a blank is a cell."""
    return replace(rules, blank=b"" if rules.delimiter and width <= 1 else BLANKS.replace(rules.delimiter, b""))


def _header(raw: bytes, row: list[bytes], body: list[list[bytes]], trial: _Trial) -> tuple[list[bytes], str | None]:
    """The columns' names, and what was assumed of them; None: nothing, as far as the rows are wider than the header."""
    wanted = trial.width
    if not body or len(row) == wanted:
        return row, None
    filled = sum(any(cell.strip() for cell in found[len(row) :]) for found in body)
    if 0 < len(row) < wanted and filled < len(body) / 2:
        return row, ""
    blank = [at for at, cell in enumerate(row) if not cell.strip()]
    if len(row) > wanted and all(not cell.strip() for cell in row[wanted:]):
        return row[:wanted], None
    if len(row) > wanted and len(blank) == len(row) - wanted:
        note = f"its header has {len(row)} names for {wanted} columns; the empty ones are left out"
        return [cell for cell in row if cell.strip()], note
    return _header_of_its_own(raw, trial) or (row, None)


def _header_of_its_own(raw: bytes, trial: _Trial) -> tuple[list[bytes], str] | None:
    """A header with a quote that is not closed, or with another delimiter than the rows; None if it is neither."""
    rules, wanted = trial.rules, trial.width
    literal = raw.split(rules.delimiter) if rules.delimiter and rules.quote in raw else []
    if len(literal) == wanted:
        cells = [cell[1:-1] if len(cell) > 1 and cell[:1] == cell[-1:] == rules.quote else cell for cell in literal]
        return cells, "a quote in its header is not closed; it is taken as a character of the column's name"
    for sign in (b" ", *_COMMON):
        cells = replace(rules, delimiter=sign).fields(raw) if len(trial.rows[trial.head]) == 1 else []
        if len(cells) == wanted and _names_columns(cells):
            return cells, f"its header is divided by {sign.decode()!r} and its rows are not"
    return None


def _dialect_notes(rules: Rules, options: SourceOptions) -> tuple[str, ...]:
    """What of the rules is unusual and was not set."""
    found = []
    if rules.escape and options.escape is None:
        found.append("escape: '\\'")
    if rules.quote == b"'" and options.quote is None:
        found.append('quote: "\'"')
    if rules.delimiter not in _COMMON and options.delimiter is None:
        found.append(f'delimiter: "{rules.delimiter.decode() or WHITESPACE}"')
    return (f"read with `source: {{{', '.join(found)}}}`",) if found else ()
