"""What is remembered across runs, so that nothing is delivered twice.

This module owns the two rules of the design ("What is remembered across runs"): the same row of the same content is
never sent twice, whatever the file is called; and with ``key:`` the same key is never sent twice, whichever file it
comes from. Both are settled in the transaction that seals a plan, before a slot of the quota is spent, and so hold
between importers that plan at the same time.

A row that still waits in an earlier, interrupted run is taken over: it becomes a duplicate there and is pending here,
so that after a mended mapping or a renamed file no two runs have the same row to send. So is a row that waits there
with the same key, as after a file that grew. From a run that another process is delivering right now nothing is taken,
and from none a row that waits there to be sent *once more*, for an earlier request may have been accepted: whether it
is sent again is that run's question (``--on-doubt``), and this one would not even ask it.

With ``group_by`` the row that counts is the leader: the first of an event's rows. It is a duplicate if it was sent
before, be it as an event or as a part of one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from importer.ledger.database import Database
from importer.ledger.schema import CLAIMED, CODES, MAYBE_BEFORE, RUN_BITS, ids
from importer.model import Run, State

_PENDING = CODES[State.PENDING]
_DUPLICATE = CODES[State.DUPLICATE]
_MAYBE_ACCEPTED = f"({CODES[State.SENT]}, {CODES[State.IN_DOUBT]}, {CODES[State.FAILED]}, {CLAIMED})"
SPOKEN_FOR = f"({CODES[State.SENT]}, {CODES[State.IN_DOUBT]}, {CODES[State.FAILED]}, {CLAIMED}, {_PENDING})"
"""States of a row, in SQL, beside which no other row with its content or its key is to be sent."""
_STANDS = (
    f"(SELECT CASE WHEN e.state = {_PENDING} AND {MAYBE_BEFORE.format('e')}"
    f" THEN {CODES[State.IN_DOUBT]} ELSE e.state END"
    " FROM row t LEFT JOIN member m ON m.id = t.id JOIN row e ON e.id = COALESCE(m.leader, t.id)"
    " WHERE t.id = row.id {shift})"
)
"""How a twin stands: as its event does, which may be another row's; what is to be sent once more, as in doubt."""
_IN_RUN = "already in run "
_INTERRUPTED = "('ready', 'delivering', 'stopped', 'superseded')"
"""States of runs that may have lost rows to a later one, in SQL."""
_KEYED = "id BETWEEN ? AND ? AND state = ? AND key IS NOT NULL"


@dataclass(frozen=True, slots=True)
class _Twin:
    """Rows of this run, and the rows of the same content whose plan was sealed before."""

    first: int
    last: int
    delta: int
    """What must be added to a row's id for its twin's."""
    run_id: str
    where: str


def mark_repeated_rows(connection: sqlite3.Connection, run: Run, alive: Collection[str]) -> int:
    """Mark rows whose twin may have been accepted, or is about to be sent; take over the twins that merely wait.

    ``alive`` holds the ids of the runs that some process is delivering now. Returns how many rows were marked.
    """
    marked = 0
    for twin in _twins(connection, run):
        ours = twin.run_id == run.id or twin.run_id in alive
        marked += _mark_ours(connection, twin, SPOKEN_FOR if ours else _MAYBE_ACCEPTED)
        if not ours:
            _mark_theirs(connection, twin, run)
            marked += _mark_parts(connection, twin)
            _retire(connection, twin.run_id)
    return marked


def _twins(connection: sqlite3.Connection, run: Run) -> list[_Twin]:
    found = connection.execute(
        "SELECT mine.first_id, MIN(mine.rows, s.rows), mine.name, s.first_id, s.name, r.id"
        " FROM source mine JOIN run own ON own.no = mine.run JOIN source s ON s.digest = mine.digest"
        " JOIN run r ON r.no = s.run AND r.scope = own.scope WHERE mine.run = ? AND mine.digest <> ''"
        # Of two runs that were planned side by side, the one sealed first is the earlier, whichever began first.
        " AND CASE WHEN r.no = mine.run THEN s.no < mine.no ELSE r.state <> 'planning' END ORDER BY mine.no, s.no",
        (run.no,),
    )
    return [
        _Twin(
            first=first,
            last=first + rows - 1,
            delta=twin_first - first,
            run_id=run_id,
            where=f"run {run_id}" if twin_name == name else f"run {run_id}, as {twin_name}",
        )
        for first, rows, name, twin_first, twin_name, run_id in found.fetchall()
    ]


def _mark_ours(connection: sqlite3.Connection, twin: _Twin, states: str) -> int:
    return connection.execute(
        "UPDATE row SET state = ?, code = 'duplicate.row', message = ? WHERE id BETWEEN ? AND ? AND state = ?"
        f" AND {_STANDS.format(shift='+ ?')} IN {states}",
        (_DUPLICATE, f"already in {twin.where}", twin.first, twin.last, _PENDING, twin.delta),
    ).rowcount


def _mark_theirs(connection: sqlite3.Connection, twin: _Twin, run: Run) -> None:
    connection.execute(
        "UPDATE row SET state = ?, code = 'duplicate.row', message = ? WHERE id BETWEEN ? AND ? AND state = ?"
        f" AND {_STANDS.format(shift='- ?')} = ?",
        (
            _DUPLICATE,
            f"taken over by run {run.id}",
            twin.first + twin.delta,
            twin.last + twin.delta,
            _PENDING,
            twin.delta,
            _PENDING,
        ),
    )


def _mark_parts(connection: sqlite3.Connection, twin: _Twin) -> int:
    """Mark rows whose twin is part of an event that waits in the other run and was not taken over."""
    return connection.execute(
        "UPDATE row SET state = ?, code = 'duplicate.row', message = ? WHERE id BETWEEN ? AND ? AND state = ?"
        " AND (SELECT l.state FROM member m JOIN row l ON l.id = m.leader WHERE m.id = row.id + ?) = ?",
        (_DUPLICATE, f"already in {twin.where}", twin.first, twin.last, _PENDING, twin.delta, _PENDING),
    ).rowcount


def _retire(connection: sqlite3.Connection, run_id: str) -> None:
    """A run that has lost all that it had left is not one to resume."""
    connection.execute(
        "UPDATE run SET state = 'superseded' WHERE id = ? AND state IN ('ready', 'delivering', 'stopped')"
        " AND NOT EXISTS (SELECT 1 FROM row"
        "  WHERE row.id BETWEEN run.no << 40 AND (run.no + 1) << 40 AND row.state = ?)",
        (run_id, _PENDING),
    )


class Keys:
    """The keys of a run's pending rows, in a temporary table: sorting them is done before others have to wait."""

    def __init__(self, connection: sqlite3.Connection, run: Run) -> None:
        self._connection = connection
        self._run = run
        self._own = (*ids(run.no), _PENDING)
        self._rows = self._distinct = 0
        self.collect()

    def collect(self) -> None:
        """Look at the rows once more: some may not be pending any longer."""
        execute = self._connection.execute
        (self._rows,) = execute(f"SELECT COUNT(*) FROM row WHERE {_KEYED}", self._own).fetchone()
        execute("DROP TABLE IF EXISTS temp.keyed")
        execute("CREATE TEMP TABLE keyed (key TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID")
        if self._rows:
            # Of rows with one key the first stays. Ignoring the others takes two thirds of the time of grouping.
            found = f"SELECT key, id FROM row WHERE {_KEYED} ORDER BY key, id"
            self._distinct = execute(f"INSERT OR IGNORE INTO temp.keyed {found}", self._own).rowcount

    def claim(self, *, again: bool, alive: Collection[str]) -> None:
        """Let each key's first pending row keep it; every other row with that key is a duplicate.

        What merely waits under the key in a run that is not ``alive`` is taken over. With ``again`` only repetitions
        within the run count. Belongs into the transaction that seals the run.
        """
        if not self._rows:
            return
        execute = self._connection.execute
        if self._distinct < self._rows:
            execute(
                "UPDATE row SET state = ?, code = 'duplicate.key',"
                f" message = 'the key stands in an earlier row of this run' WHERE {_KEYED}"
                " AND id NOT IN (SELECT id FROM temp.keyed)",
                (_DUPLICATE, *self._own),
            )
        (scope,) = execute("SELECT scope FROM run WHERE no = ?", (self._run.no,)).fetchone()
        (known,) = execute("SELECT EXISTS (SELECT 1 FROM delivered_key WHERE scope = ?)", (scope,)).fetchone()
        marked = self._mark_owned(scope, alive) if known and not again else 0
        if known and not again:
            self._take_over(scope)
        free = f" WHERE id IN (SELECT id FROM row WHERE {_KEYED})" if marked else ""
        execute(
            f"INSERT INTO delivered_key SELECT ?, key, id FROM temp.keyed{free}",
            (scope, *self._own) if marked else (scope,),
        )
        execute("DROP TABLE temp.keyed")

    def _mark_owned(self, scope: int, alive: Collection[str]) -> int:
        """Mark the rows whose keys other runs have delivered, or are delivering; returns how many."""
        return self._connection.execute(
            "UPDATE row SET state = ?, code = 'duplicate.key', message = 'already in run ' || owner.run_id"
            " FROM (SELECT k.id, r.id AS run_id, MIN(o.id) FROM temp.keyed k"
            "   JOIN delivered_key d ON d.scope = ? AND d.key = k.key"
            f"   JOIN row o ON o.id = d.id JOIN run r ON r.no = o.id >> {RUN_BITS}"
            f"   WHERE o.state IN {_MAYBE_ACCEPTED}"
            f"   OR o.state = ? AND ({MAYBE_BEFORE.format('o')} OR r.id IN (SELECT value FROM json_each(?)))"
            "   GROUP BY k.id) AS owner"
            " WHERE row.id = owner.id",
            (_DUPLICATE, scope, _PENDING, json.dumps(sorted(alive))),
        ).rowcount

    def _take_over(self, scope: int) -> None:
        """Make duplicates of the rows that wait in other runs with a key that this run will send."""
        execute = self._connection.execute
        taken = execute(
            "UPDATE row SET state = ?, code = 'duplicate.key', message = ? WHERE state = ? AND id IN"
            " (SELECT d.id FROM temp.keyed k JOIN delivered_key d ON d.scope = ? AND d.key = k.key"
            "  JOIN row mine ON mine.id = k.id AND mine.state = ?) RETURNING id",
            (_DUPLICATE, f"taken over by run {self._run.id}", _PENDING, scope, _PENDING),
        )
        for number in {row_id >> RUN_BITS for (row_id,) in taken}:
            (run_id,) = execute("SELECT id FROM run WHERE no = ?", (number,)).fetchone()
            _retire(self._connection, run_id)


def repeats(database: Database, run: Run) -> list[str]:
    """Sentences on the rows of this run that are duplicates, and on the runs that it took rows over from."""
    with database.explained():
        found = database.connection.execute(
            "SELECT code, message, COUNT(*) FROM row WHERE id BETWEEN ? AND ? AND state = ? GROUP BY code, message",
            (*ids(run.no), _DUPLICATE),
        ).fetchall()
        taken = _taken_over(database.connection, run)
    sentences = [f"{_rows(count)} will not be sent: {message} ({code})" for code, message, count in found]
    if any(message.startswith("already in") for _, message, _ in found):
        sentences.append("--again sends once more what was delivered before")
    earlier = sorted({message.split()[3].rstrip(",") for _, message, _ in found if message.startswith(_IN_RUN)})
    for other in earlier:
        sentences += _unsettled(database, other)
    for other, same_mapping, count in taken:
        how = "" if same_mapping else ", with this mapping instead of that run's"
        sentences.append(f"{_rows(count)} that waited in the interrupted run {other} will be sent by this run{how}")
    return sentences


_UNSETTLED = (
    (f"row.state = {CODES[State.IN_DOUBT]}", "in doubt: `importer resolve {}` settles them"),
    (f"row.state = {CODES[State.FAILED]}", "failed, and may have been accepted: `importer retry {}` sends them again"),
    (
        f"row.state = {_PENDING} AND {MAYBE_BEFORE.format('row')}",
        "to be sent once more, by that run alone: `importer resume {}`",
    ),
)
"""In SQL, rows of another run that may or may not have arrived, and what is to be said of them."""


def _unsettled(database: Database, run_id: str) -> list[str]:
    """Sentences on what still hangs on the user's word in that run."""
    sums = ", ".join(f"COUNT(CASE WHEN {condition} THEN 1 END)" for condition, _ in _UNSETTLED)
    with database.explained():
        counts = database.connection.execute(
            f"SELECT {sums} FROM run JOIN row ON row.id BETWEEN run.no << ? AND (run.no + 1) << ? WHERE run.id = ?",
            (RUN_BITS, RUN_BITS, run_id),
        ).fetchone()
    return [
        f"{_rows(count)} of run {run_id} {words.format(run_id)}"
        for count, (_, words) in zip(counts, _UNSETTLED, strict=True)
        if count
    ]


def _taken_over(connection: sqlite3.Connection, run: Run) -> list[tuple[str, bool, int]]:
    """The runs that rows were taken over from, whether with this mapping, and how many."""
    found = []
    for other, first_no, digest in connection.execute(
        "SELECT id, no, mapping_digest FROM run WHERE no <> ? AND scope = (SELECT scope FROM run WHERE no = ?)"
        f" AND state IN {_INTERRUPTED} ORDER BY no",
        (run.no, run.no),
    ).fetchall():
        (count,) = connection.execute(
            "SELECT COUNT(*) FROM row WHERE id BETWEEN ? AND ? AND state = ? AND message = ?",
            (*ids(first_no), _DUPLICATE, f"taken over by run {run.id}"),
        ).fetchone()
        if count:
            found.append((other, digest == run.mapping_digest, count))
    return found


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
