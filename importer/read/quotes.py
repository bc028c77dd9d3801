"""Where records end in a block that holds quotes.

This module owns the rules of quoting (told in ``records``). Almost every block is settled by counting quotes: a line
end with an even number of quotes before it ends a record, provided every quote stands where a quote may stand
(``parity``). Where one does not, that record alone is read field by field.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from importer.model import Bools, Int64s
from importer.read.parity import within_quotes
from importer.read.reader import shorten
from importer.read.text import show

_LONGEST_STREAK = 1024


@dataclass(frozen=True)
class Quoting:
    """A file's delimiter and quote, one ASCII character each."""

    delimiter: bytes
    quote: bytes

    @cached_property
    def quoted(self) -> re.Pattern[bytes]:
        """A quoted field from its opening to its closing quote; possessive, so that it never backtracks."""
        quote = re.escape(self.quote)
        return re.compile(b"%b([^%b]*+(?:%b%b[^%b]*+)*+)%b" % (quote, quote, quote, quote, quote, quote))

    @cached_property
    def rest(self) -> re.Pattern[bytes]:
        """What is left of a field, up to its delimiter or line end."""
        return re.compile(b"[^%b\r\n]*+" % re.escape(self.delimiter))

    def fields(self, record: bytes) -> list[bytes]:
        """One record's fields, without their quotes."""
        found: list[bytes] = []
        at = 0
        while True:
            text = b""
            if quoted := self.quoted.match(record, at):
                text, at = quoted[1].replace(self.quote * 2, self.quote), quoted.end()
            rest = self.rest.match(record, at)
            assert rest is not None  # it matches nothing at least
            found.append(text + rest[0])
            at = rest.end()
            if at >= len(record) or record[at : at + 1] != self.delimiter:
                return found
            at += 1


@dataclass(frozen=True, slots=True)
class Unquoted:
    """A file in which quotes mean nothing."""

    delimiter: bytes

    def fields(self, record: bytes) -> list[bytes]:
        """One record's fields."""
        return record.split(self.delimiter)


class QuotedBlock:
    """A block that begins at a record's start and holds at least one quote."""

    def __init__(
        self, data: bytes, codes: npt.NDArray[np.uint8], line_ends: Int64s, quoting: Quoting, longest: int
    ) -> None:
        self._data = data
        self._codes = codes
        self._line_ends = line_ends
        self._quoting = quoting
        self._longest = longest
        self._misplaced: dict[int, Int64s] = {}

    @cached_property
    def _quotes(self) -> Int64s:
        return np.flatnonzero(self._codes == self._quoting.quote[0])

    @cached_property
    def _odd(self) -> Bools:
        """Of each line end whether an odd number of quotes stands before it."""
        odd: Bools = (np.searchsorted(self._quotes, self._line_ends) & 1).astype(np.bool_)
        return odd

    @cached_property
    def _places(self) -> tuple[Bools, Bools]:
        """Of each quote whether it may open a field where it stands, and whether it may close one."""
        quotes, codes = self._quotes, self._codes
        may_open = self._is_edge(codes[quotes - 1])
        may_close = self._is_edge(codes[np.minimum(quotes + 1, len(codes) - 1)])
        # The block's own ends are edges too: it begins with a record, and what comes next is not known yet.
        may_open[0] |= quotes[0] == 0
        may_close[-1] |= quotes[-1] == len(codes) - 1
        # Of two adjacent quotes within a field, the first seems to close it and the second to open it again.
        adjacent = quotes[1:] == quotes[:-1] + 1
        may_open[1:] |= adjacent
        may_close[:-1] |= adjacent
        return may_open, may_close

    def _is_edge(self, codes: npt.NDArray[np.uint8]) -> Bools:
        edge: Bools = (codes == self._quoting.delimiter[0]) | (codes == 10) | (codes == 13)
        return edge

    def _misplaced_if(self, parity: int) -> Int64s:
        """Indices of the quotes that cannot stand where they do, if those at even (0) or odd (1) indices open."""
        if parity not in self._misplaced:
            may_open, may_close = self._places
            placed = may_close.copy()
            placed[parity::2] = may_open[parity::2]
            self._misplaced[parity] = np.flatnonzero(~placed)
        return self._misplaced[parity]

    def record_ends(self, *, final: bool) -> tuple[Int64s, dict[int, tuple[str, str]]]:
        """Which of the line ends end a record, as indices, and the faults by the record's position among them.

        What follows the last of them is an incomplete record; with ``final`` there is none.
        """
        delimiter, quote = self._quoting.delimiter, self._quoting.quote
        within = within_quotes(self._codes, self._line_ends, delimiter=delimiter, quote=quote)
        if within is not None:
            ends = np.flatnonzero(~within)
            at = int(ends[-1]) + 1 if len(ends) else 0
            if not len(self._too_long(ends, 0)) and not self._must_settle(at, final=final):
                return ends, {}
        return self._record_ends(final=final)

    def _record_ends(self, *, final: bool) -> tuple[Int64s, dict[int, tuple[str, str]]]:
        """The same for blocks in which quotes are misplaced, or not closed in time."""
        found: list[Int64s] = []
        faults: dict[int, tuple[str, str]] = {}
        count, at, streak = 0, 0, 1
        while at < len(self._line_ends):
            sure, complete = self._sure(at)
            found.append(sure)
            count += len(sure)
            at = int(sure[-1]) + 1 if len(sure) else at
            if complete and not self._must_settle(at, final=final):
                break
            # Where misplaced quotes abound, counting anew after each of them would be the slower way.
            streak = min(2 * streak, _LONGEST_STREAK) if len(sure) < streak else 1
            read = self._read_some(at, streak, final=final)
            if not read:
                break
            faults |= {count + place: self._unclosed(at) for place, (at, end) in enumerate(read) if end < 0}
            found.append(np.array([at if end < 0 else end for at, end in read]))
            count += len(read)
            at = int(found[-1][-1]) + 1
        return (np.concatenate(found) if found else np.zeros(0, np.int64)), faults

    def _unclosed(self, at: int) -> tuple[str, str]:
        return "row.unclosed_quote", shorten(show(self._data[self._start(at) : int(self._line_ends[at])]))

    def _start(self, at: int) -> int:
        return int(self._line_ends[at - 1]) + 1 if at else 0

    def _must_settle(self, at: int, *, final: bool) -> bool:
        """Whether the incomplete record at the end cannot wait for more data."""
        return at < len(self._line_ends) and (final or len(self._data) - self._start(at) > self._longest)

    def _sure(self, at: int) -> tuple[Int64s, bool]:
        """Record ends from line ``at`` on that counting quotes settles, and whether it settled the whole block."""
        start = self._start(at)
        first_quote = int(np.searchsorted(self._quotes, start))
        misplaced = self._misplaced_if(first_quote & 1)
        next_bad = int(np.searchsorted(misplaced, first_quote))
        complete = next_bad == len(misplaced)
        stop = len(self._line_ends)
        if not complete:
            stop = int(np.searchsorted(self._line_ends, self._quotes[misplaced[next_bad]]))
        ends = at + np.flatnonzero(self._odd[at:stop] == bool(first_quote & 1))
        too_long = self._too_long(ends, at)
        return (ends[: too_long[0]], False) if len(too_long) else (ends, complete)

    def _too_long(self, ends: Int64s, at: int) -> Int64s:
        """Which of the records from line ``at`` on have several lines and are too long: ``_read_one`` gives them up."""
        lines = np.diff(ends, prepend=at - 1)
        lengths = np.diff(self._line_ends[ends], prepend=self._start(at) - 1)
        return np.flatnonzero((lines > 1) & (lengths > self._longest))

    def _read_some(self, at: int, most: int, *, final: bool) -> list[tuple[int, int]]:
        """Up to ``most`` records from line ``at`` on, field by field: the lines' ends they begin and end with.

        -1: a quote in it is never closed, and its first line alone is given up. Fewer where more data is needed.
        """
        read: list[tuple[int, int]] = []
        while len(read) < most and at < len(self._ends):
            end = self._read_one(at, final=final)
            if end is None:
                break
            read.append((at, end))
            at = max(at, end) + 1
        return read

    def _read_one(self, first: int, *, final: bool) -> int | None:
        """The last line end of the record that has line end ``first``; -1 as above; None: more data is needed."""
        at = start = self._start(first)
        size = len(self._data)
        more = -1 if size - start > self._longest else None
        while True:
            if self._data[at : at + 1] == self._quoting.quote:
                quoted = self._quoting.quoted.match(self._data, at)
                close = quoted.end() if quoted else size
                if close == size and not final:
                    return more
                spans = bisect_left(self._ends, at) < bisect_left(self._ends, close)
                if quoted is None or (spans and not self._at_edge(close)):
                    return -1
                at = close
            rest = self._quoting.rest.match(self._data, at)
            assert rest is not None  # it matches nothing at least
            at = rest.end()
            if self._data[at : at + 1] != self._quoting.delimiter:
                break
            at += 1
        end = bisect_left(self._ends, at, first)
        if end == len(self._ends):
            return more
        return -1 if end > first and self._ends[end] + 1 - start > self._longest else end

    @cached_property
    def _ends(self) -> list[int]:
        """``_line_ends``, faster to look up one by one."""
        ends: list[int] = self._line_ends.tolist()
        return ends

    def _at_edge(self, at: int) -> bool:
        return self._data[at : at + 1] in {self._quoting.delimiter, b"\r", b"\n", b""}
