"""The rows that were not delivered or are in doubt, and what was typed about them.

The rows are a temporary database that is made from the ledger at each start. What was typed is kept in
``review.db`` in the run's directory until it is sent, so that it survives a restart: a log of steps, of which the last
one can be undone. The newest word about a row's cell counts.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from importer.errors import UsageError
from importer.review.cells import Content, Form

PAGE = 25
"""Rows on a page."""
Status = Literal["open", "ready", "given_up", "doubt"]
STATUSES: dict[str, str] = {"open": "To fix", "ready": "Corrected", "given_up": "Given up", "doubt": "In doubt"}

_TABLES = """
CREATE TABLE line (
    no INTEGER PRIMARY KEY, run TEXT, place INTEGER, head INTEGER, code TEXT, searched TEXT, facts BLOB, status TEXT,
    verdict BLOB
);
CREATE TABLE bad (no INTEGER, column TEXT, text TEXT, typed INTEGER, PRIMARY KEY (no, column)) WITHOUT ROWID;
CREATE UNIQUE INDEX line_by_place ON line (run, place);
CREATE INDEX line_by_head ON line (head);
CREATE INDEX line_by_status ON line (status, code, no);
CREATE INDEX bad_by_text ON bad (column, text, typed);
CREATE TABLE IF NOT EXISTS kept.word (
    step INTEGER, run TEXT, place INTEGER, about TEXT, text TEXT, PRIMARY KEY (run, place, about, step)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kept.word_by_step ON word (step);
"""
_NEWEST = (
    "SELECT w.about, w.text FROM kept.word w WHERE w.run = l.run AND w.place = l.place AND w.step = (SELECT MAX(x.step)"
    " FROM kept.word x WHERE x.run = w.run AND x.place = w.place AND x.about = w.about)"
)
_IS_TYPED = (
    "EXISTS (SELECT 1 FROM line l JOIN kept.word w ON w.run = l.run AND w.place = l.place"
    " WHERE l.no = bad.no AND w.about = 'cell:' || bad.column)"
)


class Problem(msgspec.Struct, frozen=True, array_like=True):
    """Why a row is not sent, or what it is warned of."""

    code: str
    field: str
    message: str
    columns: tuple[str, ...] = ()
    """Those that the field is made from and the row has."""
    is_error: bool = True


class Line(msgspec.Struct, frozen=True):
    """One row."""

    no: int
    run: str
    place: int
    """How many rows of its run are before it."""
    form: int
    row: int
    line: int
    head: int
    """The number of the line that carries its event: its own, unless rows are grouped."""
    state: str
    code: str
    """Of the first reason; empty if there is none."""
    key: str
    subscriber: str
    value: str
    currency: str
    sent_at: float | None
    content: Content
    problems: tuple[Problem, ...]
    """What is wrong with it as it is now."""
    status: str
    edits: dict[str, str] = {}
    """Its cells as they were typed, by column."""
    word: str = ""
    """``given_up``, ``as_is``, ``arrived``, ``lost``, or empty."""
    note: str = ""
    """Why it is given up."""

    def corrected(self, forms: Sequence[Form]) -> Content:
        """What the row holds with what was typed."""
        return self.content.corrected(forms[self.form], self.edits)


class Filter(msgspec.Struct, frozen=True):
    """Which rows to show."""

    status: str = "open"
    code: str = ""
    text: str = ""
    """In its key, subscriber, source or content."""

    def sql(self) -> tuple[str, list[str]]:
        """A condition, and its values."""
        parts, values = ["l.status = ?"], [self.status]
        if self.code:
            parts.append("l.code = ?")
            values.append(self.code)
        if self.text:
            parts.append("instr(lower(l.searched), lower(?))")
            values.append(self.text)
        return " AND ".join(parts), values


class Desk:
    """The rows of one import. All methods may be called from any thread; one waits for the other."""

    def __init__(self, kept: Path) -> None:
        """``kept`` is the file of what was typed. Raises `UsageError` if it cannot be used."""
        self._lock = threading.RLock()
        self.forms: list[Form] = []
        self.kept = kept
        try:
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(kept, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute("ATTACH ? AS kept", (str(kept),))
            self._db.execute("PRAGMA kept.synchronous = FULL")
            self._db.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise UsageError(
                f"{kept}: what is typed cannot be kept: {error}", hint="make the run's directory writable"
            ) from error

    def close(self) -> None:
        """Forget the rows; what was typed stays, unless there is nothing."""
        with self._lock:
            empty = not self._one("SELECT EXISTS (SELECT 1 FROM kept.word)")
            self._db.close()
        if empty:
            self.kept.unlink(missing_ok=True)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: Any) -> Any:
        return self._rows(sql, *values)[0][0]

    # Filling it

    def fill(self, lines: Iterable[Line]) -> None:
        """Take the rows from the ledger, in the place of all that was there; their `forms` come with them.

        Words about rows that are no longer here are forgotten.
        """
        with self._transaction():
            self.forms.clear()
            self._db.execute("DELETE FROM line")
            self._db.execute("DELETE FROM bad")
            for line in lines:
                searched = "\n".join((line.key, line.subscriber, line.value, line.content.text, str(line.line)))
                facts = (line.no, line.run, line.place, line.head, line.code, searched, _PACKED.encode(line))
                self._db.execute("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", (*facts, line.status))
                for column in dict.fromkeys(name for one in line.problems if one.is_error for name in one.columns):
                    text = line.content.cell(self.forms[line.form], column) or ""
                    self._db.execute("INSERT INTO bad VALUES (?, ?, ?, 0)", (line.no, column, text))
            self._db.execute(
                "DELETE FROM kept.word WHERE NOT EXISTS"
                " (SELECT 1 FROM line l WHERE l.run = word.run AND l.place = word.place)"
            )
            self._db.execute(f"UPDATE bad SET typed = 1 WHERE {_IS_TYPED}")

    # Looking at it

    def counts(self) -> dict[str, int]:
        """Rows by status."""
        found = dict(self._rows("SELECT status, COUNT(*) FROM line GROUP BY status"))
        return {status: found.get(status, 0) for status in STATUSES}

    def decided(self) -> dict[str, int]:
        """How many rows in doubt the user has a word on, by the word."""
        newest = (
            f"SELECT (SELECT text FROM ({_NEWEST}) WHERE about = 'word') AS text FROM line l WHERE status = 'doubt'"
        )
        return dict(self._rows(f"SELECT text, COUNT(*) FROM ({newest}) WHERE text <> '' GROUP BY text"))

    def codes(self, status: str) -> list[tuple[str, int]]:
        """The reasons of the rows with a status, most frequent first."""
        sql = "SELECT code, COUNT(*) FROM line WHERE status = ? AND code <> '' GROUP BY code ORDER BY 2 DESC, 1"
        return self._rows(sql, status)

    def count(self, chosen: Filter) -> int:
        """How many rows a filter leaves."""
        condition, values = chosen.sql()
        return int(self._one(f"SELECT COUNT(*) FROM line l WHERE {condition}", *values))

    def page(self, chosen: Filter, after: int = 0) -> list[Line]:
        """The rows behind a number, a page of them."""
        condition, values = chosen.sql()
        return self._lines(f"WHERE {condition} AND l.no > ? ORDER BY l.no LIMIT {PAGE}", *values, after)

    def line(self, number: int) -> Line:
        """A row by its number; raises `ValueError` if there is none."""
        (line,) = self._lines("WHERE no = ?", number)
        return line

    def lines(self, numbers: Sequence[int]) -> list[Line]:
        """Rows by their numbers, with all others of their events."""
        marks = ", ".join("?" * len(numbers))
        return self._lines(f"WHERE l.head IN (SELECT head FROM line WHERE no IN ({marks})) ORDER BY l.no", *numbers)

    def with_status(self, status: str) -> list[Line]:
        """Every row with a status."""
        return self._lines("WHERE l.status = ? ORDER BY l.no", status)

    def touched(self) -> list[Line]:
        """Every row of an event about which something was typed."""
        return self._lines(
            "WHERE l.head IN (SELECT t.head FROM kept.word w JOIN line t ON t.run = w.run AND t.place = w.place)"
            " ORDER BY l.no"
        )

    def like(self, column: str, text: str) -> list[int]:
        """The rows with that bad text in that column about which nothing was typed."""
        sql = "SELECT no FROM bad WHERE column = ? AND text = ? AND typed = 0 ORDER BY no"
        return [no for (no,) in self._rows(sql, column, text)]

    def count_like(self, column: str, text: str) -> int:
        """How many there are."""
        return int(self._one("SELECT COUNT(*) FROM bad WHERE column = ? AND text = ? AND typed = 0", column, text))

    def matching(self, chosen: Filter) -> list[int]:
        """The numbers of all rows that a filter leaves."""
        condition, values = chosen.sql()
        return [no for (no,) in self._rows(f"SELECT no FROM line l WHERE {condition} ORDER BY no", *values)]

    def _lines(self, rest: str, *values: Any) -> list[Line]:
        said = f"SELECT json_group_object(about, text) FROM ({_NEWEST})"
        found = self._rows(f"SELECT facts, status, verdict, ({said}) FROM line l {rest}", *values)
        return [_line(*fields) for fields in found]

    # Typing

    def say(self, numbers: Sequence[int], about: str, text: str) -> None:
        """Note a word about some rows as one step; one more letter in the same cell is the same step."""
        with self._transaction():
            last = self._one("SELECT MAX(step) FROM kept.word") or 0
            same = len(numbers) == 1 and self._one(
                "SELECT COUNT(*) = 1 AND MAX(w.about = ? AND l.no = ?) FROM kept.word w JOIN line l ON l.run = w.run"
                " AND l.place = w.place WHERE w.step = ?",
                about, numbers[0], last,
            )  # fmt: skip
            step = last if same else last + 1
            self._db.executemany(
                "INSERT OR REPLACE INTO kept.word SELECT ?, run, place, ?, ? FROM line WHERE no = ?",
                [(step, about, text, number) for number in numbers],
            )
            self._mark_typed(numbers)

    def undo(self) -> list[int]:
        """Take the last step back; returns the rows that it was about."""
        with self._transaction():
            last = self._one("SELECT MAX(step) FROM kept.word")
            about = "kept.word w JOIN line l ON l.run = w.run AND l.place = w.place WHERE step = ?"
            numbers = [no for (no,) in self._rows(f"SELECT DISTINCT l.no FROM {about}", last)]
            self._db.execute("DELETE FROM kept.word WHERE step = ?", (last,))
            self._mark_typed(numbers)
        return numbers

    def _mark_typed(self, numbers: Sequence[int]) -> None:
        self._db.executemany(f"UPDATE bad SET typed = {_IS_TYPED} WHERE no = ?", [(number,) for number in numbers])

    def can_undo(self) -> bool:
        """Whether there is a step."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM kept.word)"))

    def judge(self, verdicts: Iterable[tuple[int, str, Sequence[Problem] | None]]) -> None:
        """Note the status of rows, and what is wrong with them now; None: what the ledger says."""
        rows = [(status, None if found is None else _PACKED.encode(found), no) for no, status, found in verdicts]
        with self._transaction():
            self._db.executemany("UPDATE line SET status = ?, verdict = ? WHERE no = ?", rows)

    def forget(self, numbers: Sequence[int]) -> None:
        """Forget what was typed about rows that are done with."""
        with self._transaction():
            self._db.executemany(
                "DELETE FROM kept.word WHERE (run, place) = (SELECT run, place FROM line WHERE no = ?)",
                [(number,) for number in numbers],
            )


_PACKED = msgspec.msgpack.Encoder()
_LINE = msgspec.msgpack.Decoder(Line)
_KEPT_WORDS = msgspec.json.Decoder(dict[str, str])
_PROBLEMS = msgspec.msgpack.Decoder(tuple[Problem, ...])


def _line(facts: bytes, status: str, verdict: bytes | None, said: str) -> Line:
    """The row as it is now."""
    line, kept = _LINE.decode(facts), _KEPT_WORDS.decode(said)
    word, _, note = kept.get("word", "").partition(" ")
    edits = {about.removeprefix("cell:"): text for about, text in kept.items() if about.startswith("cell:")}
    problems = line.problems if verdict is None else _PROBLEMS.decode(verdict)
    return replace(line, problems=problems, status=status, edits=edits, word=word, note=note)
