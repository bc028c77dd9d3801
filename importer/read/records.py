"""From UTF-8 blocks to records and fields: where each begins and ends, and on which physical line.

Line ends are LF, CRLF and a lone CR. What would otherwise spread is fenced in: a quote that is never closed, an endless
line, bytes that are not UTF-8.

A quote opens only at a field's start, blanks before it ignored; within, two mean one, or one behind the escape
character. Text after a closing quote belongs to the field (RFC 4180 with everybody's leniency). One rule is stricter:
where a quoted field spans lines, its closing quote must be followed by a delimiter or a line end; else its opening line
alone is given up, since the quote that seems to close it opens a later row's field.

Almost every block with quotes is settled at once, by counting the quotes before each line end. Where some quote is at
a place where none may be, the block is read record by record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from importer.errors import SourceError
from importer.model import ArrowArray, Bools, Int64s
from importer.read.arrow import is_utf8
from importer.read.encoding import show
from importer.read.files import Limits, shorten

Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Faults: TypeAlias = dict[int, tuple[str, str]]
"""Of unreadable records, by their position: reason code and value."""

_Ends: TypeAlias = tuple[Int64s, Faults, frozenset[int]]
"""Which of the line ends end a record, as indices; the faults and the odd ones by the record's position."""

WHITESPACE = "whitespace"
BLANKS = b" \t"
_LF, _CR, _AFTER_ASCII = 10, 13, 0x80
_KEPT_OF_ENDLESS = 1 << 10
_NOT_UTF8 = re.compile(r"\\x[0-9a-f]{2}|\\ud[0-9a-f]{3}")


class Rules(msgspec.Struct, frozen=True, dict=True):
    """How a file is cut into records and fields."""

    delimiter: bytes
    """One character or more; empty for runs of blanks."""
    quote: bytes = b'"'
    """Empty: quotes mean nothing."""
    escape: bytes = b""
    """What takes the meaning from a quote, a delimiter or itself; empty without one."""
    comment: bytes = b""
    """What a line begins with that is no record; empty without one."""
    remarks: bytes = b""
    """The same for lines that hold no delimiter; others are records."""
    blank: bytes = b""
    """Characters that make a line blank if it holds nothing else; an empty line always is."""
    skip_lines: int = 0

    @cached_property
    def is_standard(self) -> bool:
        """Whether Arrow's parser knows these rules."""
        return len(self.delimiter) == 1 and len(self.quote) <= 1 and not self.escape

    @property
    def _separator(self) -> bytes:
        return re.escape(self.delimiter) if self.delimiter else rb"[ \t]++"

    @property
    def _blanks(self) -> bytes:
        return b"" if self.delimiter in {b" ", b"\t"} else rb"[ \t]*+"

    @property
    def _quoted(self) -> bytes:
        """A quoted field from its opening to its closing quote, as a possessive pattern: it never backtracks."""
        quote, escape = re.escape(self.quote), re.escape(self.escape)
        pair = quote * 2 + (b"|" + escape + b"." if escape else b"")
        return b"%b([^%b%b]*+(?:(?:%b)[^%b%b]*+)*+)%b" % (quote, quote, escape, pair, quote, escape, quote)

    @property
    def _rest(self) -> bytes:
        """What is left of a field, up to its delimiter or line end."""
        escaped = re.escape(self.escape) + rb"[^\r\n]|" if self.escape else b""
        if not self.delimiter:
            return rb"[^ \t\r\n]*+"
        if len(self.delimiter) == 1:
            return b"(?:%b[^%b\r\n])*+" % (escaped, re.escape(self.delimiter))
        return b"(?:%b(?!%b)[^\r\n])*+" % (escaped, self._separator)

    @cached_property
    def quoted(self) -> re.Pattern[bytes]:
        """A quoted field, blanks before it included."""
        return re.compile(self._blanks + self._quoted, re.DOTALL)

    @cached_property
    def _field(self) -> re.Pattern[bytes]:
        return re.compile(b"(?:%b%b)?+(%b)" % (self._blanks, self._quoted, self._rest), re.DOTALL)

    @cached_property
    def separator(self) -> re.Pattern[bytes]:
        """What is between two fields."""
        return re.compile(self._separator)

    @cached_property
    def orderly(self) -> re.Pattern[bytes]:
        """A record in which every quote is where RFC 4180 allows one."""
        field = b"(?>%b(?=%b|[\r\n]|\\Z)|[^%b\r\n%b]*+)" % (
            self._quoted, self._separator, re.escape(self.quote), re.escape(self.delimiter[:1])
        )  # fmt: skip
        return re.compile(b"%b(?:%b%b)*+" % (field, self._separator, field), re.DOTALL)

    @cached_property
    def lenient(self) -> re.Pattern[bytes]:
        """As many fields of a record as can be read."""
        quote = re.escape(self.quote)
        on_a_line = self._quoted.replace(b"[^" + quote, b"[^\r\n" + quote)
        field = b"(?>%b%b%b|%b%b(?=[ \t]*+(?:%b|[\r\n]|\\Z))|(?!%b%b)%b)" % (
            self._blanks, on_a_line, self._rest, self._blanks, self._quoted, self._separator,
            self._blanks, quote, self._rest,
        )  # fmt: skip
        return re.compile(b"%b(?:%b%b)*+" % (field, self._separator, field), re.DOTALL)

    def is_comment(self, record: bytes) -> bool:
        """Whether the record is a comment line."""
        if self.comment:
            return record.startswith(self.comment)
        return bool(self.remarks) and record.startswith(self.remarks) and self.delimiter not in record

    def fields(self, record: bytes) -> list[bytes]:
        """One record's fields, without their quotes."""
        if not self.delimiter:
            record = record.strip(BLANKS)
        if (not self.quote or self.quote not in record) and (not self.escape or self.escape not in record):
            return record.split(self.delimiter) if self.delimiter else record.split()
        found: list[bytes] = []
        at = 0
        while True:
            field = self._field.match(record, at)
            assert field is not None  # it matches nothing at least
            text, rest = field[1], field[2]
            if text is None:
                found.append(self._unescaped(rest))
            else:
                found.append(
                    self._unescaped(text).replace(self.quote * 2, self.quote) + (rest if rest.strip() else b"")
                )
            separator = self.separator.match(record, field.end())
            if separator is None:
                return found
            at = separator.end()

    def _unescaped(self, text: bytes) -> bytes:
        if not self.escape or self.escape not in text:
            return text
        special = b"|".join(re.escape(sign) for sign in (self.escape, self.quote, self.delimiter) if sign)
        return re.sub(re.escape(self.escape) + b"(" + special + b")", rb"\1", text)


class Records(msgspec.Struct, frozen=True):
    """Consecutive records of one buffer; blank lines are left out."""

    data: bytes
    starts: Int64s
    """Offset of each record's first byte, shape (n,)."""
    ends: Int64s
    """Offset behind each record's last byte, its line end excluded, shape (n,)."""
    lines: Int64s
    """1-based physical line on which each record begins, shape (n,)."""
    faults: Faults = {}
    odd: frozenset[int] = frozenset()
    """Positions of records in which some quote is where RFC 4180 allows none."""

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, position: int) -> bytes:
        return self.data[self.starts[position] : self.ends[position]]

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets these records' bytes, and not the whole buffer."""
        begin, end = (int(self.starts[0]), int(self.ends[-1])) if len(self) else (0, 0)
        places = self.starts - begin, self.ends - begin, self.lines
        return Records, (self.data[begin:end], *places, self.faults, self.odd)

    def part(self, first: int, last: int) -> Records:
        """The records ``first … last - 1``, as far as there are so many."""
        faults = {at - first: fault for at, fault in self.faults.items() if first <= at < last}
        odd = frozenset(at - first for at in self.odd if first <= at < last)
        cut = slice(first, last)
        return Records(self.data, self.starts[cut], self.ends[cut], self.lines[cut], faults, odd)

    def texts(self, positions: Int64s | None = None) -> list[bytes]:
        """Some records, or all of them."""
        cut = slice(None) if positions is None else positions
        return [
            self.data[start:end] for start, end in zip(self.starts[cut].tolist(), self.ends[cut].tolist(), strict=True)
        ]

    def column(self) -> ArrowArray:
        """All records as a ``binary`` array."""
        gaps = self.starts[1:] - self.ends[:-1]
        gap = int(gaps[0]) if len(gaps) else 0
        begin, end = (int(self.starts[0]), int(self.ends[-1]) + gap) if gap else (0, 0)
        if not gap or end > len(self.data) or (gaps != gap).any():
            return pa.array(self.texts(), pa.binary())
        # Each with its line end, which Arrow takes away faster than Python makes objects.
        bounds = np.append(self.starts - begin, end - begin).astype(np.int32)
        data = pa.py_buffer(memoryview(self.data)[begin:end])
        texts = pa.Array.from_buffers(pa.binary(), len(self), [None, pa.py_buffer(bounds), data])
        return pc.binary_slice(texts, 0, -gap)

    @property
    def is_gapless(self) -> bool:
        """Whether nothing but line ends is between the records."""
        return bool((self.starts[1:] - self.ends[:-1]).max(initial=0) <= len(b"\r\n"))


def split(blocks: Iterator[bytes], rules: Rules, limits: Limits) -> Iterator[Records]:
    """Cut blocks of UTF-8 into records. Memory is bounded by the limits, whatever the bytes are."""
    splitter = _Splitter(rules, limits)
    # One block is held back, so that a last line without a line end is no block of its own.
    held = next(blocks, b"")
    try:
        for block in blocks:
            yield from splitter.feed(held, final=False)
            held = block
    except SourceError:
        yield from splitter.feed(held, final=False)
        raise
    yield from splitter.feed(held, final=True)


def split_sample(text: bytes, rules: Rules, *, complete: bool) -> Records | None:
    """The records at a file's beginning; unless ``text`` is the whole file, without the one it ends in."""
    return next(_Splitter(rules, Limits()).feed(text, final=complete), None)


class _Splitter:
    """The state between two blocks: the incomplete record at the end, and the line it begins on."""

    def __init__(self, rules: Rules, limits: Limits) -> None:
        self._rules = rules
        self._limits = limits
        self._tail = b""
        self._line = 1
        self._skip = rules.skip_lines
        """Lines to pass over: what the user asked for, or the rest of one that was given up."""

    def feed(self, block: bytes, *, final: bool) -> Iterator[Records]:
        """Records completed by ``block``."""
        data = self._tail + block
        if final and data and not data.endswith((b"\n", b"\r")):
            data += b"\n"
        codes = np.frombuffer(data, np.uint8)
        line_ends = find_line_ends(data, codes, final=final)
        passed = min(self._skip, len(line_ends))
        if passed:
            self._line += passed
            self._skip -= passed
            cut = int(line_ends[passed - 1]) + 1
            data, codes, line_ends = data[cut:], codes[cut:], line_ends[passed:] - cut
        if self._skip:
            self._tail = data[-1:] if data.endswith(b"\r") else b""
            return
        yield from self._records(data, codes, line_ends, final=final)

    def _records(self, data: bytes, codes: Bytes, line_ends: Int64s, *, final: bool) -> Iterator[Records]:
        quote = self._rules.quote
        found: _Ends = np.arange(len(line_ends)), {}, frozenset()
        if quote and quote in data:
            found = self._ends(data, codes, line_ends, final=final)
        chosen = found[0]
        if len(chosen):
            yield self._finish(data, codes, line_ends, found)
            consumed = int(line_ends[chosen[-1]]) + 1
            self._line += int(chosen[-1]) + 1
            data = data[consumed:]
        if len(data) > self._limits.line:
            start, end, line = (np.array([at], np.int64) for at in (0, _KEPT_OF_ENDLESS, self._line))
            yield Records(data, start, end, line, {0: _endless(data, self._limits.line)})
            self._skip = 1
            data = data[-1:] if data.endswith(b"\r") else b""
        self._tail = data

    def _ends(self, data: bytes, codes: Bytes, line_ends: Int64s, *, final: bool) -> _Ends:
        """What follows the last of them is an incomplete record; with ``final`` there is none."""
        rules, longest = self._rules, self._limits.quoted
        if rules.is_standard:
            within = within_quotes(codes, line_ends, delimiter=rules.delimiter, quote=rules.quote)
            if within is not None:
                ends = np.flatnonzero(~within)
                at = int(ends[-1]) + 1 if len(ends) else 0
                lines = np.diff(ends, prepend=-1)
                lengths = np.diff(line_ends[ends], prepend=-1)
                start = int(line_ends[at - 1]) + 1 if at else 0
                given_up = at < len(line_ends) and (final or len(data) - start > longest)
                if not given_up and not ((lines > 1) & (lengths > longest)).any():
                    return ends, {}, frozenset()
        return self._ends_one_by_one(data, line_ends.tolist(), rules, final=final)

    def _ends_one_by_one(self, data: bytes, line_ends: list[int], rules: Rules, *, final: bool) -> _Ends:
        """The same for blocks in which quotes are misplaced, or not closed in time."""
        chosen: list[int] = []
        faults: Faults = {}
        odd: set[int] = set()
        first, start, limit = 0, 0, line_ends[-1] + 1 if line_ends else 0
        while first < len(line_ends):
            last, line_end = first, line_ends[first]
            if data.find(rules.quote, start, line_end) >= 0 and not self._rules.is_comment(data[start:line_end]):
                end, kind = _record_end(data, start, limit, rules)
                if kind == "open" and not final and len(data) - start <= self._limits.quoted:
                    break
                while kind in {"orderly", "odd"} and line_ends[last] < end:
                    last += 1
                if last > first and line_ends[last] + 1 - start > self._limits.quoted:
                    kind = "unclosed"
                if kind in {"open", "unclosed"}:
                    last = first
                    faults[len(chosen)] = ("row.unclosed_quote", shorten(show(data[start:line_end])))
                elif kind == "odd":
                    odd.add(len(chosen))
            chosen.append(last)
            start = line_ends[last] + 1
            first = last + 1
        return np.array(chosen, np.int64), faults, frozenset(odd)

    def _finish(self, data: bytes, codes: Bytes, line_ends: Int64s, found: _Ends) -> Records:
        """Offsets and lines of the records; finds what is blank or undecodable."""
        chosen, faults, odd = found
        last = line_ends[chosen]
        starts = np.concatenate([np.zeros(1, np.int64), last[:-1] + 1])
        lines = self._line + np.concatenate([np.zeros(1, np.int64), chosen[:-1] + 1])
        ends = last
        if b"\r" in data:
            ends = last - ((codes[last] == _LF) & (codes[last - 1] == _CR) & (last > starts))
        for position in np.flatnonzero(ends - starts > self._limits.line).tolist():
            ends = ends.copy()
            faults[position] = _endless(data[starts[position] :], self._limits.line)
            ends[position] = starts[position] + _KEPT_OF_ENDLESS
        if codes[: int(last[-1]) + 1].max() >= _AFTER_ASCII:
            _find_undecodable(data[: int(last[-1]) + 1], starts, ends, faults)
        keep = ends > starts
        rules = self._rules
        suspects = np.isin(codes[starts], [*rules.blank, *(rules.comment or rules.remarks)[:1]])
        for position in np.flatnonzero(suspects & keep).tolist():
            record = data[starts[position] : ends[position]]
            keep[position] = record.strip(rules.blank or None) and not rules.is_comment(record)
        if not keep.all():
            places = np.cumsum(keep) - 1
            faults = {int(places[position]): fault for position, fault in faults.items() if keep[position]}
            odd = frozenset(int(places[position]) for position in odd if keep[position])
            starts, ends, lines = starts[keep], ends[keep], lines[keep]
        return Records(data, starts, ends, lines, faults, odd)


def _record_end(data: bytes, start: int, limit: int, rules: Rules) -> tuple[int, str]:
    """Where the record that begins at ``start`` ends, and what it is.

    ``orderly``; ``odd``: a quote is where none may be, but the fields can be told; ``open``: a quote is not closed
    before ``limit``; ``unclosed``: a quote spans lines and does not close at the end of a field.
    """
    found = rules.orderly.match(data, start, limit)
    if found is not None and data[found.end()] in b"\r\n":
        return found.end(), "orderly"
    found = rules.lenient.match(data, start, limit)
    at = start if found is None else found.end()
    if found is not None and data[at] in b"\r\n":
        return at, "odd"
    separator = None if found is None else rules.separator.match(data, at)
    quoted = rules.quoted.match(data, at if separator is None else separator.end(), limit)
    return at, "open" if quoted is None else "unclosed"


def find_line_ends(data: bytes, codes: Bytes, *, final: bool) -> Int64s:
    """Offsets of each line's last byte: LF (also of CRLF), or a CR alone.

    A CR at the very end may be half of a CRLF; it counts only if it is ``final``.
    """
    feeds = np.flatnonzero(codes == _LF)
    if b"\r" not in data:
        return feeds
    returns = np.flatnonzero(codes == _CR)
    inner = returns[returns < len(codes) - 1]
    lone = inner[codes[inner + 1] != _LF]
    if final and data.endswith(b"\r"):
        lone = np.append(lone, len(codes) - 1)
    return np.sort(np.concatenate([feeds, lone])) if len(lone) else feeds


def _endless(data: bytes, limit: int) -> tuple[str, str]:
    return "row.unreadable", shorten(f"a line of more than {limit:,} bytes: {show(data[:60])}")


def _find_undecodable(data: bytes, starts: Int64s, ends: Int64s, faults: Faults) -> None:
    """Add a fault for each record with bytes that are not UTF-8 (see `encoding` for other encodings)."""
    if is_utf8(data):
        return
    after_ascii = np.logical_or.reduceat(np.frombuffer(data, np.uint8) >= _AFTER_ASCII, starts)
    for position in np.flatnonzero(after_ascii).tolist():
        record = data[starts[position] : ends[position]]
        if not is_utf8(record):
            faults.setdefault(position, ("row.undecodable", _around(record)))


def _around(record: bytes) -> str:
    """The first undecodable byte with some of the text before it."""
    text = show(record)
    found = _NOT_UTF8.search(text)
    begin = max(found.start() - 40, 0) if found else 0
    return shorten(("…" if begin else "") + text[begin:])


def within_quotes(codes: Bytes, places: Int64s, *, delimiter: bytes, quote: bytes) -> Bools | None:
    """Whether each of the places, none of them a quote's, lies within quotes; None where some quote is misplaced.

    The block begins outside of quotes. Within them, two quotes stand for one. A quote that opens must stand at the
    block's start or behind a delimiter, a line end or a quote, and one that closes before such or at the block's end.
    """
    quotes = np.flatnonzero(codes == quote[0]).astype(np.int32)
    may_be_beside = np.isin(np.arange(256), [*quote, *delimiter, _LF, _CR])
    for beside in (quotes[::2] - 1, quotes[1::2] + 1):
        # At the block's ends, the quote itself takes the place of a byte that is not there.
        if not may_be_beside.take(codes.take(beside, mode="clip")).all():
            return None
    inside: Bools = np.searchsorted(quotes, places.astype(np.int32)) % 2 == 1
    return inside
