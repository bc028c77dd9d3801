"""What is remembered across runs, so that nothing is delivered twice; settled when a plan is sealed.

With a key, only the key counts, whichever file it comes from. In one run, rows that share a key and are the same event
are sent once; where they differ in anything, none of them is. A key that another run has delivered is a duplicate for
the same subscriber, and a conflict for another one. Without a key, the same row of the same content is never sent
twice, whatever the file is called, if it becomes an event of the same type.

A row that still waits in an earlier, interrupted run is taken over: it becomes a duplicate there and is pending here,
so that after a corrected mapping or a renamed file no two runs have the same row to send. From a run that another
process works on now nothing is taken, and from none a row that may have been accepted: whether it is sent again is
that run's question (``--on-doubt``). A row that comes back from another run's rejects takes the place of the row that
it corrects.

With ``group_by`` the row that counts is the group's head. It is a duplicate if its row was sent before, be it as an
event or as a part of one.

`Repeats` says in sentences what the user should know of all this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from importer.columns import text_bytes, whole
from importer.ledger import tables
from importer.ledger.database import Database
from importer.ledger.runs import RunRepository
from importer.ledger.tables import CLAIMED, KEYED_SINCE, MAYBE_ACCEPTED, RUN_BITS, SPOKEN_FOR, ids, of_run, steps
from importer.model import Run, RunState, State
from importer.spill import SortedSpill
from importer.wording import counted, shown

if TYPE_CHECKING:
    import numpy.typing as npt

    from importer.model import ArrowArray, ArrowTable, Bools, Int64s

_MAY_HAVE = f"(e.state IN {MAYBE_ACCEPTED} OR e.state = '{State.PENDING}' AND e.maybe_sent = 1)"
"""In SQL, whether an event may have been accepted."""

TEMPORARY = {
    "mark": "id INTEGER PRIMARY KEY, kind INTEGER, other INTEGER",
    "taken": "theirs INTEGER PRIMARY KEY, mine INTEGER NOT NULL",
    "found": "mine INTEGER, theirs INTEGER, kind INTEGER",
    "keyed": "key_hash BLOB, id INTEGER, event_hash INTEGER, subscriber_hash INTEGER, PRIMARY KEY (key_hash, id)",
    "known": "theirs INTEGER, mine INTEGER, event_hash INTEGER, subscriber_hash INTEGER",
    "pair": "theirs INTEGER, mine INTEGER, event_hash INTEGER, subscriber_hash INTEGER",
    "repeat": "key_hash BLOB PRIMARY KEY, head INTEGER, conflict INTEGER",
}
"""``mark``: what rows of this run become, and on account of which others. ``taken``: rows that wait in other runs, and
those here that take their place. ``found``: rows of other runs that are rows of this one. ``keyed``: some of
this run's pending rows by key. ``known``: those whose key another row has; ``pair``: the same in the order of the rows
that have it. ``repeat``: keys of several rows, the first of them, and whether they differ."""

# What is found of a row, the strongest first; the last is no mark.
_DIFFERS, _SOMEONE_ELSES, _CHANGED, _DELIVERED, _COPY, _SAME_ROW, _CORRECTED, _WAITS = range(8)


class PlannedKeys(SortedSpill):
    """The hashes of a run's keys while it is planned; they lie in a temporary file."""

    def __init__(self) -> None:
        super().__init__("the keys of the plan", high="u8", low="u8", id="i8", event="i8", subscriber="i8")

    def note(self, rows: ArrowTable | None) -> None:
        """Keep rows that have a key: `WrittenChunk.keys`."""
        if rows is not None and rows.num_rows:
            row_ids, keys, *others = (whole(column) for column in rows.columns)
            hashed = text_bytes(keys).view(">u8").astype("u8")
            self.add(hashed[::2], hashed[1::2], *(column.to_numpy() for column in (row_ids, *others)))

    def parts(self, most: int = tables.STEP) -> Iterator[npt.NDArray[Any]]:
        """All rows with a key, by its hash and then by id; no key is in two parts."""
        for part in super().parts(most):
            repeats = (part["high"][1:] == part["high"][:-1]).any()
            yield part[np.lexsort((part["id"], part["low"], part["high"]))] if repeats else part


class _RowSet:
    """Some of a run's rows by their ids, a bit for each row of the run."""

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._bits = np.zeros((last - first) // 8 + 1, np.uint8)

    def add(self, row_ids: Int64s) -> None:
        at = row_ids - self._first
        np.bitwise_or.at(self._bits, at >> 3, np.uint8(1) << (at & 7).astype(np.uint8))

    def others(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Those of the rows that are not in it."""
        at = rows["id"] - self._first
        found: Bools = (self._bits[at >> 3] >> (at & 7).astype(np.uint8) & 1).astype(np.bool_)
        return rows[~found] if found.any() else rows


class _Twin(msgspec.Struct, frozen=True):
    """Rows of this run, and the rows of the same content whose plan was sealed before."""

    first: int
    last: int
    delta: int
    """What must be added to a row's id for its twin's."""
    run_id: str
    where: str
    keyed: bool
    """Keys distinguish the two."""
    held: bool
    """Nothing may be taken from the twin's run: it is this one, or a process works on it."""


class Deduplicator:
    """Marks what a run repeats; used while no other importer seals a plan, and the tables of `TEMPORARY` are there."""

    def __init__(
        self, database: Database, run: Run, last: int, keys: PlannedKeys, *, alive: Collection[str], again: bool
    ) -> None:
        """``last`` is the id of the run's last row."""
        self._db = database
        self._run = run
        self._last = last
        self._keys = keys
        self._alive = alive
        self._again = again
        self.marked = False
        """Some rows are not what they were planned to be, or may not be."""

    def mark(self) -> None:
        """Mark this run's repeated rows, in short transactions; of other runs nothing changes yet."""
        twins = self._twins()
        for twin in twins:
            self._mark_twins(twin)
        if not self._again:
            self._mark_corrected()
            for twin in twins:
                if not twin.held:
                    self._note_taken(twin)
            for twin in twins:
                if not twin.held:
                    self._mark_parts(twin)
        self._mark_keys()

    def take_over(self) -> None:
        """Make duplicates of what waits in other runs and will be sent by this one; in the transaction that seals it.

        What was claimed or sent there in the meantime becomes a duplicate here instead.
        """
        execute = self._db.execute
        if not self._db.value("SELECT COUNT(*) FROM taken"):
            return
        self.marked = True
        execute(
            f"UPDATE row SET state = '{State.DUPLICATE}', message = 'taken over by run {self._run.id}',"
            " code = CASE WHEN key_hash IS NULL THEN 'duplicate.row' ELSE 'duplicate.key' END,"
            " other = (SELECT mine FROM taken WHERE theirs = row.id)"
            f" WHERE id IN (SELECT t.theirs FROM taken t JOIN row m ON m.id = t.mine WHERE m.state = '{State.PENDING}')"
            f" AND state = '{State.PENDING}' AND maybe_sent = 0"
        )
        execute(
            f"UPDATE row SET state = '{State.DUPLICATE}', code = 'duplicate.row',"
            " message = 'sent by another run in the meantime',"
            f" other = (SELECT MIN(theirs) FROM taken WHERE mine = row.id) WHERE state = '{State.PENDING}' AND id IN"
            f" (SELECT t.mine FROM taken t JOIN row e ON e.id = t.theirs WHERE {_MAY_HAVE})"
        )
        for (number,) in self._db.rows(f"SELECT DISTINCT theirs >> {RUN_BITS} FROM taken"):
            waits = f"{of_run(number)} AND row.state IN ('{State.PENDING}', '{CLAIMED}')"
            execute(
                f"UPDATE run SET state = 'superseded' WHERE no = {number}"
                f" AND state IN ('ready', 'delivering', 'stopped') AND NOT EXISTS (SELECT 1 FROM row WHERE {waits})"
            )

    # The same row of the same content

    def _twins(self) -> list[_Twin]:
        found = self._db.rows(
            "SELECT mine.first_id, CASE WHEN mine.rows < s.rows THEN mine.rows ELSE s.rows END, mine.name, s.first_id,"
            " s.name, r.id, r.planned_by FROM source mine JOIN run own ON own.no = mine.run"
            " JOIN source s ON s.digest = mine.digest JOIN run r ON r.no = s.run AND r.scope = own.scope"
            " WHERE mine.run = $1 AND mine.digest <> '' AND CASE WHEN r.no = mine.run THEN s.no < mine.no"
            " ELSE r.state <> 'planning' END ORDER BY mine.no, s.no",
            self._run.no,
        )
        return [
            _Twin(
                first=first,
                last=first + rows - 1,
                delta=twin_first - first,
                run_id=run_id,
                where=f"run {run_id}" if twin_name == name else f"run {run_id}, as {twin_name}",
                keyed=planned_by >= KEYED_SINCE,
                held=run_id == self._run.id or run_id in self._alive,
            )
            for first, rows, name, twin_first, twin_name, run_id, planned_by in found
            if not self._again or run_id == self._run.id
        ]

    def _mark_twins(self, twin: _Twin) -> None:
        """Mark rows whose twin may have been accepted, or is about to be sent by a run that is at work."""
        waits = f" OR e.state = '{State.PENDING}'" if twin.held else ""
        corrected = (
            "SELECT x.id FROM row t JOIN row x ON x.origin = COALESCE(t.origin, t.id)"
            f" WHERE t.id = row.id + {twin.delta} AND x.id <> row.id AND x.state IN {SPOKEN_FOR}"
        )
        other = (
            "SELECT e.id FROM row t JOIN row e ON e.id = COALESCE(t.group_head, t.id)"
            f" WHERE t.id = row.id + {twin.delta} AND ({_MAY_HAVE}{waits}) AND {_same_event('row', 'e', twin)}"
        )
        self._mark_as(twin, f"COALESCE(({other}), ({corrected} LIMIT 1))")

    def _mark_parts(self, twin: _Twin) -> None:
        """Mark rows whose twin is part of an event that waits in the other run and was not taken over."""
        other = (
            "SELECT e.id FROM row t JOIN row e ON e.id = t.group_head"
            f" WHERE t.id = row.id + {twin.delta} AND e.state = '{State.PENDING}'"
            f" AND e.id NOT IN (SELECT theirs FROM taken) AND {_same_event('row', 'e', twin)}"
        )
        self._mark_as(twin, f"({other})")

    def _mark_as(self, twin: _Twin, other: str) -> None:
        """Make duplicates of the pending rows for which ``other``, in SQL, gives the id of another row."""
        self._db.execute(
            f"INSERT INTO mark SELECT id, {_SAME_ROW}, other FROM (SELECT id, {other} AS other FROM row"
            f" WHERE id BETWEEN {twin.first} AND {twin.last} AND state = '{State.PENDING}') AS twin"
            " WHERE other IS NOT NULL"
        )
        self._apply_marks(f"already in {twin.where}")

    def _note_taken(self, twin: _Twin) -> None:
        """Note the rows that wait in the other run, and whose event waits here."""
        self._db.execute(
            f"INSERT INTO taken SELECT r.id, e.id FROM row r JOIN row m ON m.id = r.id - ({twin.delta})"
            " JOIN row e ON e.id = COALESCE(m.group_head, m.id)"
            f" WHERE r.id BETWEEN {twin.first + twin.delta} AND {twin.last + twin.delta}"
            f" AND r.state = '{State.PENDING}' AND r.maybe_sent = 0 AND e.state = '{State.PENDING}'"
            f" AND {_same_event('e', 'r', twin)} ON CONFLICT DO NOTHING"
        )

    def _mark_corrected(self) -> None:
        """Mark corrections of rows that were sent all the same, and note those that still wait elsewhere."""
        self._db.execute(
            f"INSERT INTO found SELECT m.id, e.id, {self._kind('e', str(_CORRECTED))} FROM row m"
            " JOIN row x ON x.id = m.origin OR x.origin = m.origin JOIN row e ON e.id = COALESCE(x.group_head, x.id)"
            f" WHERE m.origin IS NOT NULL AND {of_run(self._run, '+m.id')} AND m.state = '{State.PENDING}'"
            f" AND x.id < {ids(self._run)[0]} AND e.state IN {SPOKEN_FOR}"
        )
        self._mark_found()
        self._apply_marks()

    def _kind(self, row: str, otherwise: str) -> str:
        """In SQL, whether an event of another run waits to be taken over; ``otherwise`` is what it is else."""
        waits = f"{row}.state = '{State.PENDING}' AND {row}.maybe_sent = 0 AND {row}.id >> {RUN_BITS}"
        return f"CASE WHEN {waits} NOT IN ({self._numbers_alive()}) THEN {_WAITS} ELSE {otherwise} END"

    def _numbers_alive(self) -> str:
        found = self._db.rows("SELECT no, id FROM run WHERE state <> 'finished'")
        return ", ".join(["0", *(str(no) for no, run_id in found if run_id in self._alive)])

    # The same key

    def _mark_keys(self) -> None:
        scope = int(self._db.value("SELECT scope FROM run WHERE no = $1", self._run.no))
        known = f"SELECT EXISTS (SELECT 1 FROM delivered_key WHERE scope = {scope})"
        others = not self._again and bool(self._db.value(known))
        left_out = self._no_longer_pending()
        for part in self._keys.parts():
            rows = left_out.others(part)
            same = (rows["high"][1:] == rows["high"][:-1]) & (rows["low"][1:] == rows["low"][:-1])
            if others or same.any():
                repeated = np.append(False, same) | np.append(same, False)
                self._look_at(rows if others else rows[repeated], scope if others else None)
        if others:
            self._mark_delivered()
        self._include(left_out, "SELECT id FROM mark")
        for part in self._keys.parts():
            rows = left_out.others(part)
            for at in range(0, len(rows), tables.STEP):
                step = rows[at : at + tables.STEP]
                with self._db.transaction(private=True):
                    columns = {"scope": np.full(len(step), scope), "key": _key_hashes(step), "id": step["id"]}
                    self._db.insert("delivered_key", columns)
        self._apply_marks()

    def _no_longer_pending(self) -> _RowSet:
        """The rows with a key that have been marked, or whose source broke off, since they were planned."""
        rows = _RowSet(ids(self._run)[0], self._last)
        broken = f"SELECT EXISTS (SELECT 1 FROM source WHERE run = {self._run.no} AND error <> '')"
        if self.marked or self._db.value(broken):
            chosen = f"key_hash IS NOT NULL AND state <> '{State.PENDING}'"
            self._include(rows, f"SELECT id FROM row WHERE {of_run(self._run)} AND {chosen}")
        return rows

    def _include(self, rows: _RowSet, sql: str) -> None:
        for batch in self._db.batches(sql):
            rows.add(batch.column(0).to_numpy())

    def _look_at(self, rows: npt.NDArray[Any], scope: int | None) -> None:
        """Mark what repeats a key of the run among rows with all their repeats; with a scope, note those it knows."""
        columns = {"id": rows["id"], "event_hash": rows["event"], "subscriber_hash": rows["subscriber"]}
        self._db.insert("keyed", {"key_hash": _key_hashes(rows), **columns}, temporary=True)
        self._db.analyze("keyed")
        self._mark_repeats()
        if scope is not None:
            self._db.execute(
                "INSERT INTO known SELECT d.id, k.id, k.event_hash, k.subscriber_hash FROM keyed k"
                f" JOIN delivered_key d ON d.scope = {scope} AND d.key = k.key_hash"
                f" WHERE NOT {of_run(self._run, 'd.id')} AND k.id NOT IN (SELECT id FROM mark)"
            )
        self._db.execute("DELETE FROM repeat")
        self._db.execute("DELETE FROM keyed")

    def _mark_repeats(self) -> None:
        """Mark rows that share a key within the run: all of them where they differ, else all but the first."""
        self._db.execute(
            "INSERT INTO repeat SELECT k.key_hash, k.head, COUNT(DISTINCT r.body) - 1 FROM (SELECT key_hash,"
            " MIN(id) AS head FROM keyed GROUP BY key_hash HAVING COUNT(*) > 1) AS k JOIN keyed o"
            " ON o.key_hash = k.key_hash JOIN row r ON r.id = o.id GROUP BY k.key_hash, k.head"
        )
        second = "SELECT MIN(id) FROM keyed n WHERE n.key_hash = p.key_hash AND n.id > p.head"
        self._db.execute(
            f"INSERT INTO mark SELECT k.id, CASE WHEN p.conflict > 0 THEN {_DIFFERS} ELSE {_COPY} END,"
            f" CASE WHEN k.id = p.head THEN ({second}) ELSE p.head END"
            " FROM repeat p JOIN keyed k ON k.key_hash = p.key_hash WHERE p.conflict > 0 OR k.id <> p.head"
        )

    def _mark_delivered(self) -> None:
        """Mark rows whose key another run has."""
        self._db.execute("INSERT INTO pair SELECT * FROM known ORDER BY theirs")
        same_row = (
            "EXISTS (SELECT 1 FROM source s JOIN source t ON t.digest = s.digest"
            f" WHERE s.run = {self._run.no} AND s.digest <> '' AND t.run = r.no"
            " AND p.mine BETWEEN s.first_id AND s.first_id + s.rows - 1 AND o.id - p.mine = t.first_id - s.first_id)"
        )
        known = f"CASE WHEN o.event_hash <> p.event_hash THEN {_CHANGED} ELSE {_DELIVERED} END"
        kind = self._kind("o", known)
        self._db.execute(
            "INSERT INTO found SELECT p.mine, o.id, CASE WHEN COALESCE(o.subscriber_hash <> p.subscriber_hash, 1 = 0)"
            f" AND NOT ({kind} = {_WAITS} AND {same_row}) THEN {_SOMEONE_ELSES} ELSE {kind} END"
            f" FROM pair p JOIN row o ON o.id = p.theirs JOIN run r ON r.no = o.id >> {RUN_BITS}"
            f" WHERE o.state IN {SPOKEN_FOR} AND r.state <> 'planning'"
        )
        self._mark_found()

    # Marking

    def _mark_found(self) -> None:
        """Mark rows by the strongest of what was found for each; what merely waits elsewhere is to be taken over."""
        self._db.execute(
            f"INSERT INTO mark SELECT mine, kind, theirs FROM found WHERE kind < {_WAITS}"
            f" ORDER BY CASE WHEN kind = {_SOMEONE_ELSES} THEN 0 ELSE 1 END, theirs ON CONFLICT DO NOTHING"
        )
        self._db.execute(
            f"INSERT INTO taken SELECT theirs, mine FROM found WHERE kind = {_WAITS}"
            " AND mine NOT IN (SELECT id FROM mark) ON CONFLICT DO NOTHING"
        )
        self._db.execute("DELETE FROM found")

    def _apply_marks(self, words: str = "") -> None:
        """Change the marked rows that are pending, step by step; ``words`` for those that are the same row again."""
        run = f"(SELECT r.id FROM run r WHERE r.no = mark.other >> {RUN_BITS})"
        code = (
            f"CASE WHEN kind IN ({_DIFFERS}, {_SOMEONE_ELSES}) THEN 'key.conflict'"
            f" WHEN kind = {_CHANGED} THEN 'duplicate.changed'"
            f" WHEN kind IN ({_DELIVERED}, {_COPY}) THEN 'duplicate.key' ELSE 'duplicate.row' END"
        )
        message = (
            f"CASE kind WHEN {_DIFFERS} THEN 'another event has the same key: ' || {_PLACE}"
            f" WHEN {_SOMEONE_ELSES} THEN 'another subscriber has the same key: run ' || {run} || ', ' || {_PLACE}"
            f" WHEN {_COPY} THEN 'another row of this run has the same key and is the same event'"
            f" WHEN {_SAME_ROW} THEN $1"
            f" WHEN {_CORRECTED} THEN 'the row that it corrects was sent, or may have been, by run ' || {run}"
            f" ELSE 'already in run ' || {run} END"
        )
        state = f"CASE WHEN kind IN ({_DIFFERS}, {_SOMEONE_ELSES}) THEN '{State.INVALID}' ELSE '{State.DUPLICATE}' END"
        for after, upto in steps(self._db, "mark", "id", 0):
            with self._db.transaction(private=True):
                self._db.execute(
                    f"UPDATE row SET (state, code, message, other) = (SELECT {state}, {code}, {message}, mark.other"
                    " FROM mark WHERE mark.id = row.id)"
                    f" WHERE id IN (SELECT id FROM mark WHERE id > $2 AND id <= $3) AND state = '{State.PENDING}'",
                    words,
                    after,
                    upto,
                )
            self.marked = True
        self._db.execute("DELETE FROM mark")


def _key_hashes(rows: npt.NDArray[Any]) -> ArrowArray:
    """The keys' hashes as the ledger has them."""
    pairs = np.stack([rows["high"], rows["low"]], axis=1).astype(">u8")
    return pa.Array.from_buffers(pa.binary(16), len(rows), [None, pa.py_buffer(pairs)]).cast(pa.binary())


def _same_event(mine: str, theirs: str, twin: _Twin) -> str:
    """In SQL, whether two rows of one content are the same event: of one type, and not distinguished by keys."""
    keys = f"({mine}.key_hash IS NULL OR {theirs}.key_hash IS NULL)" if twin.keyed else "1 = 1"
    return f"COALESCE({mine}.type = {theirs}.type, 1 = 1) AND {keys}"


_PLACE = (
    "(SELECT s.name || ', row ' || (x.id - s.first_id + 1) || COALESCE(' (line ' || x.line || ')', '')"
    f" FROM row x JOIN source s ON s.run = x.id >> {RUN_BITS}"
    " AND x.id BETWEEN s.first_id AND s.first_id + s.rows - 1 WHERE x.id = mark.other)"
)
"""In SQL, the other row of a mark by its source's name, its number and its line, as far as they are known."""


_TAKEN_FROM = "('ready', 'delivering', 'stopped', 'superseded')"
"""States of runs that may have lost rows to a later one, in SQL."""

_CONFLICT = "key.conflict"
_UNSETTLED = (
    (f"state = '{State.IN_DOUBT}'", "in doubt: `importer resolve {}` resolves them"),
    (f"state = '{State.FAILED}'", "failed, and may have been accepted: `importer retry {}` sends them again"),
    (f"state = '{State.PENDING}' AND maybe_sent = 1", "to be sent again, by that run alone: `importer resume {}`"),
)
"""In SQL, rows of another run that may or may not have arrived, and what is to be said of them."""


class PendingElsewhere(msgspec.Struct, frozen=True):
    """Rows that another run has, and has not delivered."""

    run_id: str
    rows: int
    state: RunState
    in_doubt: int
    """How many of the rows may have arrived: they wait for `importer resolve` or `importer retry` of that run."""
    alive: bool
    """A process works on that run now."""


class Repeats(RunRepository):
    """What the user should know of rows that were planned or delivered before."""

    def repeats(self, run: Run) -> list[str]:
        """What the user should know of rows that were planned or delivered before, a sentence each."""
        found = self._db.rows(
            f"SELECT code, CASE WHEN state = '{State.DUPLICATE}' THEN message END AS words,"
            f" other >> {RUN_BITS} AS there, COUNT(*), MIN(id) FROM row WHERE {of_run(run)}"
            f" AND (state = '{State.DUPLICATE}' OR state = '{State.INVALID}' AND code = '{_CONFLICT}')"
            " GROUP BY code, words, there ORDER BY MIN(id)"
        )
        repeated: Counter[tuple[str, str | None]] = Counter()
        for code, words, _, count, _ in found:
            repeated[code, words] += count
        conflicts = repeated.pop((_CONFLICT, None), 0)
        sentences = [
            f"{counted(count, 'row')} will not be sent: {words} ({code})" for (code, words), count in repeated.items()
        ]
        earlier = {there for code, _, there, _, _ in found if code != _CONFLICT} - {run.no, None}
        if earlier:
            sentences.append("--again sends delivered rows again")
        for number in sorted(earlier):
            sentences += self._unsettled(number)
        if conflicts:
            first = min(first for code, *_, first in found if code == _CONFLICT)
            sentences.append(self._conflict(conflicts, first))
        sentences += [*self._taken_over(run), *self._grown(run)]
        return [shown(sentence) for sentence in sentences]

    def _unsettled(self, number: int) -> list[str]:
        """Sentences on what still depends on the user's word in that run."""
        run_id = self._db.value("SELECT id FROM run WHERE no = $1", number)
        sums = ", ".join(f"COUNT(CASE WHEN {condition} THEN 1 END)" for condition, _ in _UNSETTLED)
        (counts,) = self._db.rows(f"SELECT {sums} FROM row WHERE {of_run(number)}")
        return [
            f"{counted(count, 'row')} of run {run_id} {words.format(run_id)}"
            for count, (_, words) in zip(counts, _UNSETTLED, strict=True)
            if count
        ]

    def _conflict(self, count: int, first: int) -> str:
        """A sentence on so many rows whose key is another event's, with the first of them."""
        ((key, message, line),) = self._db.rows("SELECT key, message, line FROM row WHERE id = $1", first)
        said = f"{counted(count, 'row')} will not be sent, because one key belongs to different events (key.conflict);"
        return f"{said} the first is line {line}, key {key!r}: {message}"

    def _taken_over(self, run: Run) -> list[str]:
        """Sentences on the runs that rows were taken over from."""
        sentences = []
        for number, other, digest in self._db.rows(
            "SELECT no, id, mapping_digest FROM run WHERE no <> $1 AND scope = (SELECT scope FROM run WHERE no = $1)"
            f" AND state IN {_TAKEN_FROM} ORDER BY no",
            run.no,
        ):
            taken = f"{of_run(number)} AND state = '{State.DUPLICATE}' AND {of_run(run, 'other')}"
            if count := self._db.value(f"SELECT COUNT(*) FROM row WHERE {taken}"):
                how = "" if digest == run.mapping_digest else ", with this mapping instead of that run's"
                sentences.append(
                    f"{counted(count, 'row')} that waited in the interrupted run {other} will be sent by this run{how}"
                )
        return sentences

    def _grown(self, run: Run) -> list[str]:
        """Warnings of files that were delivered before they grew: without a key, their old rows count as new ones."""
        found = self._db.rows(
            # Materialized, lest a database look through the rows of sources that have not grown.
            "WITH grown AS MATERIALIZED (SELECT s.no, s.name, s.first_id, s.rows, r.no AS run_no, r.id AS run_id,"
            " t.first_id AS old_first, t.rows AS old_rows, t.name AS old_name FROM source s"
            " JOIN run own ON own.no = s.run JOIN source t ON t.first_event = s.first_event"
            " AND t.digest <> s.digest AND t.digest <> '' AND t.rows <= s.rows"
            " JOIN run r ON r.no = t.run AND r.scope = own.scope AND r.no <> own.no"
            " WHERE s.run = $1 AND s.digest <> '') SELECT no, name, old_name, run_id, old_rows FROM grown g"
            " WHERE EXISTS (SELECT 1 FROM row WHERE row.id >= g.first_id AND row.id < g.first_id + g.rows"
            f" AND row.state = '{State.PENDING}' AND row.key IS NULL) AND EXISTS (SELECT 1 FROM row"
            f" WHERE row.id >= g.old_first AND row.id < g.old_first + g.old_rows AND row.state = '{State.SENT}')"
            " ORDER BY no, run_no, old_first",
            run.no,
        )
        advice = "without a key its old rows count as new ones and would be sent again; give the mapping a `key`"
        newest = {
            number: f"warning: {name} begins as {'it' if old == name else old} did in run {run_id}, when it had"
            f" {counted(rows, 'row')}: {advice}"
            for number, name, old, run_id, rows in found
        }
        return list(newest.values())

    def pending_elsewhere(self, run: Run) -> tuple[PendingElsewhere, ...]:
        """The other runs that hold rows of this one and have not delivered them."""
        maybe = f"'{State.IN_DOUBT}', '{State.FAILED}'"
        found = self._db.rows(
            f"SELECT r.id, r.state, COUNT(*), COUNT(CASE WHEN e.state IN ({maybe}) THEN 1 END)"
            f" FROM row m JOIN row e ON e.id = m.other JOIN run r ON r.no = e.id >> {RUN_BITS}"
            f" WHERE {of_run(run, 'm.id')} AND m.state = '{State.DUPLICATE}' AND r.no <> {run.no}"
            f" AND e.state IN ('{State.PENDING}', '{CLAIMED}', {maybe})"
            " AND COALESCE(e.code, '') <> 'failed.given_up' GROUP BY r.no, r.id, r.state ORDER BY r.no"
        )
        return tuple(
            PendingElsewhere(run_id, rows, RunState(state), in_doubt, alive=self._lock(run_id).is_taken())
            for run_id, state, rows, in_doubt in found
        )
