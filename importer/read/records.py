"""From UTF-8 blocks to records: where each begins and ends, and on which physical line.

This module owns line ends (LF, CRLF, lone CR), quoted newlines, and the fencing in of what would otherwise spread: a
quote that is never closed, an endless line, bytes that are not UTF-8. What a record holds is its reader's.

A quote opens only at a field's start; within, two stand for one; text after a closing quote belongs to the field
(RFC 4180 with pyarrow's leniency). One rule is stricter: where a quoted field spans lines, its closing quote must be
followed by a delimiter or a line end; else its opening line alone is given up, since the quote that seems to close it
opens a later row's field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from importer.errors import SourceError
from importer.model import Int64s
from importer.read.quotes import QuotedBlock, Quoting
from importer.read.reader import Limits, shorten
from importer.read.text import show

Bytes = npt.NDArray[np.uint8]
_LF, _CR, _BEYOND_ASCII = 10, 13, 0x80
_KEPT_OF_ENDLESS = 1 << 10


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of one buffer; blank lines are left out."""

    data: bytes
    starts: Int64s
    """Offset of each record's first byte, shape (n,)."""
    ends: Int64s
    """Offset behind each record's last byte, its line end excluded, shape (n,)."""
    lines: Int64s
    """1-based physical line on which each record begins, shape (n,)."""
    faults: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Per spoiled record, by its position: reason code and value."""
    gapless: bool = True
    """Whether nothing but line ends and empty lines lies between the records."""

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, position: int) -> bytes:
        return self.data[self.starts[position] : self.ends[position]]

    def part(self, first: int, last: int) -> Records:
        """The records ``first … last - 1``."""
        faults = {at - first: fault for at, fault in self.faults.items() if first <= at < last}
        cut = slice(first, last)
        return Records(self.data, self.starts[cut], self.ends[cut], self.lines[cut], faults, self.gapless)

    def parts(self, rows: int) -> Iterator[Records]:
        """All records, at most ``rows`` at a time."""
        for first in range(0, len(self), rows):
            yield self.part(first, min(first + rows, len(self)))

    def good(self) -> Int64s:
        """Positions of the records that are not spoiled."""
        mask = np.ones(len(self), np.bool_)
        mask[list(self.faults)] = False
        return np.flatnonzero(mask)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the splitter must know of a file."""

    quoting: Quoting | None
    """None: every line is a record."""
    blank: bytes = b""
    """Characters that make a line blank if it holds nothing else; an empty line always is."""
    skip_lines: int = 0


def split(blocks: Iterator[bytes], layout: Layout, limits: Limits) -> Iterator[Records]:
    """Cut blocks of UTF-8 into records. Memory is bounded by the limits, whatever the bytes are."""
    splitter = _Splitter(layout, limits)
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


def split_sample(text: bytes, layout: Layout, *, complete: bool) -> Records | None:
    """The records at a file's beginning; unless ``text`` is the whole file, without the one it ends in."""
    return next(_Splitter(layout, Limits()).feed(text, final=complete), None)


class _Splitter:
    """The state between two blocks: the incomplete record at the end, and the line it begins on."""

    def __init__(self, layout: Layout, limits: Limits) -> None:
        self._layout = layout
        self._limits = limits
        self._tail = b""
        self._line = 1
        self._skip = layout.skip_lines
        self._in_endless = False

    def feed(self, block: bytes, *, final: bool) -> Iterator[Records]:
        """Records completed by ``block``."""
        data = self._tail + block
        if final and data and not data.endswith((b"\n", b"\r")):
            data += b"\n"
        codes = np.frombuffer(data, np.uint8)
        line_ends = find_line_ends(data, codes, final=final)
        # What is passed over: the lines the user asked to skip, and the rest of a line that was given up.
        passed = min(self._skip or int(self._in_endless), len(line_ends))
        if passed:
            self._line += passed
            self._skip = max(self._skip - passed, 0)
            self._in_endless = False
            cut = int(line_ends[passed - 1]) + 1
            data, codes, line_ends = data[cut:], codes[cut:], line_ends[passed:] - cut
        if self._skip or self._in_endless:
            self._tail = data[-1:] if data.endswith(b"\r") else b""
            return
        yield from self._records(data, codes, line_ends, final=final)

    def _records(self, data: bytes, codes: Bytes, line_ends: Int64s, *, final: bool) -> Iterator[Records]:
        faults: dict[int, tuple[str, str]] = {}
        if self._layout.quoting is not None and self._layout.quoting.quote in data:
            block = QuotedBlock(data, codes, line_ends, self._layout.quoting, self._limits.quoted)
            chosen, faults = block.record_ends(final=final)
        else:
            chosen = np.arange(len(line_ends))
        if len(chosen):
            yield self._finish(data, codes, line_ends, chosen, faults)
            consumed = int(line_ends[chosen[-1]]) + 1
            self._line += int(chosen[-1]) + 1
            data = data[consumed:]
        if len(data) > self._limits.line:
            start, end, line = (np.array([at], np.int64) for at in (0, _KEPT_OF_ENDLESS, self._line))
            yield Records(data, start, end, line, {0: _endless(data, self._limits.line)}, gapless=False)
            self._in_endless = True
            data = data[-1:] if data.endswith(b"\r") else b""
        self._tail = data

    def _finish(
        self, data: bytes, codes: Bytes, line_ends: Int64s, chosen: Int64s, faults: dict[int, tuple[str, str]]
    ) -> Records:
        """Offsets and lines of the records that end at ``line_ends[chosen]``; finds what is blank or undecodable."""
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
        if codes[: int(last[-1]) + 1].max() >= _BEYOND_ASCII:
            _find_undecodable(data[: int(last[-1]) + 1], starts, ends, faults)
        keep = ends > starts
        gapless = True
        if self._layout.blank:
            suspects = np.logical_or.reduce([codes[starts] == code for code in self._layout.blank])
            for position in np.flatnonzero(suspects & keep).tolist():
                if not data[starts[position] : ends[position]].strip(self._layout.blank):
                    keep[position] = gapless = False
        if not keep.all():
            place = np.cumsum(keep) - 1
            faults = {int(place[at]): fault for at, fault in faults.items() if keep[at]}
            starts, ends, lines = starts[keep], ends[keep], lines[keep]
        return Records(data, starts, ends, lines, faults, gapless)


def find_line_ends(data: bytes, codes: Bytes, *, final: bool) -> Int64s:
    """Offset of each line end's last byte, ascending. A CR at the very end counts only if nothing can follow it."""
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


_NOT_UTF8 = re.compile(r"\\x[0-9a-f]{2}|\\ud[0-9a-f]{3}")


def _find_undecodable(data: bytes, starts: Int64s, ends: Int64s, faults: dict[int, tuple[str, str]]) -> None:
    """Add a fault for each record with bytes that are not UTF-8 (see `text` for other encodings)."""
    if _is_utf8(data):
        return
    beyond_ascii = np.logical_or.reduceat(np.frombuffer(data, np.uint8) >= _BEYOND_ASCII, starts)
    for position in np.flatnonzero(beyond_ascii).tolist():
        record = data[starts[position] : ends[position]]
        if not _is_utf8(record):
            faults.setdefault(position, ("row.undecodable", _around(record)))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _around(record: bytes) -> str:
    """The first undecodable byte with some of the text before it."""
    text = show(record)
    found = _NOT_UTF8.search(text)
    begin = max(found.start() - 40, 0) if found else 0
    return shorten(("…" if begin else "") + text[begin:])
