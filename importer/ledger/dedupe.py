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
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from importer.ledger.database import Database
from importer.ledger.lanes import STEP
from importer.ledger.tables import CLAIMED, MAYBE_ACCEPTED, RUN_BITS, SPOKEN_FOR, VERSION, ids
from importer.model import ArrowTable, Run, State

if TYPE_CHECKING:
    from types import TracebackType

    from importer.model import Bools, Int64s

_MAY_HAVE = f"(e.state IN {MAYBE_ACCEPTED} OR e.state = '{State.PENDING}' AND e.maybe_sent = 1)"
"""In SQL, whether an event may have been accepted."""


@dataclass(frozen=True, slots=True)
class _Twin:
    """Rows of this run, and the rows of the same content whose plan was sealed before."""

    first: int
    last: int
    delta: int
    """What must be added to a row's id for its twin's."""
    run_id: str
    where: str
    keyed: bool
    """Keys can tell the two apart."""


class Deduplicator:
    """Marks what a run repeats; used while no other importer seals a plan."""

    def __init__(self, database: Database, run: Run, *, alive: Collection[str], again: bool) -> None:
        self._db = database
        self._run = run
        self._alive = alive
        self._again = again
        self._first, self._last = ids(run)
        self._places = Places(database, run)

    def __enter__(self) -> Self:
        self._db.execute("CREATE TEMP TABLE taken (theirs INTEGER PRIMARY KEY, mine INTEGER NOT NULL)")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for table in ("taken", "keyed"):
            self._db.execute(f"DROP TABLE IF EXISTS temp.{table}")

    def mark(self) -> None:
        """Mark this run's repeated rows, in short transactions; of other runs nothing changes yet."""
        twins = self._twins()
        for twin in twins:
            self._mark_twins(twin)
        if not self._again:
            self._mark_corrected()
            for twin in twins:
                if not self._is_held(twin):
                    self._note_taken(twin)
            for twin in twins:
                if not self._is_held(twin):
                    self._mark_parts(twin)
        self._mark_keys()

    def take_over(self) -> None:
        """Make duplicates of what waits in other runs and will be sent by this one; in the transaction that seals it.

        What was claimed or sent there in the meantime becomes a duplicate here instead.
        """
        execute = self._db.execute
        if not self._db.value("SELECT COUNT(*) FROM temp.taken"):
            return
        execute(
            "UPDATE row SET state = $1, message = $2,"
            " code = CASE WHEN key_hash IS NULL THEN 'duplicate.row' ELSE 'duplicate.key' END,"
            " other = (SELECT mine FROM temp.taken WHERE theirs = row.id)"
            " WHERE id IN (SELECT t.theirs FROM temp.taken t JOIN row m ON m.id = t.mine WHERE m.state = $3)"
            " AND state = $3 AND maybe_sent = 0",
            State.DUPLICATE,
            f"taken over by run {self._run.id}",
            State.PENDING,
        )
        execute(
            "UPDATE row SET state = $1, code = 'duplicate.row', message = 'sent by another run in the meantime',"
            " other = (SELECT MIN(theirs) FROM temp.taken WHERE mine = row.id) WHERE state = $2 AND id IN"
            f" (SELECT t.mine FROM temp.taken t JOIN row e ON e.id = t.theirs WHERE {_MAY_HAVE})",
            State.DUPLICATE,
            State.PENDING,
        )
        for (number,) in self._db.rows(f"SELECT DISTINCT theirs >> {RUN_BITS} FROM temp.taken"):
            execute(
                "UPDATE run SET state = 'superseded' WHERE no = $1 AND state IN ('ready', 'delivering', 'stopped')"
                " AND NOT EXISTS (SELECT 1 FROM row WHERE id BETWEEN $2 AND $3 AND row.state IN ($4, $5))",
                number,
                *ids(number),
                State.PENDING,
                CLAIMED,
            )

    # The same row of the same content

    def _twins(self) -> list[_Twin]:
        found = self._db.rows(
            "SELECT mine.first_id, MIN(mine.rows, s.rows), mine.name, s.first_id, s.name, r.id, r.planned_by"
            " FROM source mine JOIN run own ON own.no = mine.run JOIN source s ON s.digest = mine.digest"
            " JOIN run r ON r.no = s.run AND r.scope = own.scope WHERE mine.run = $1 AND mine.digest <> ''"
            " AND CASE WHEN r.no = mine.run THEN s.no < mine.no ELSE r.state <> 'planning' END ORDER BY mine.no, s.no",
            self._run.no,
        )
        return [
            _Twin(
                first=first,
                last=first + rows - 1,
                delta=twin_first - first,
                run_id=run_id,
                where=f"run {run_id}" if twin_name == name else f"run {run_id}, as {twin_name}",
                keyed=planned_by == VERSION,
            )
            for first, rows, name, twin_first, twin_name, run_id, planned_by in found
            if not self._again or run_id == self._run.id
        ]

    def _is_held(self, twin: _Twin) -> bool:
        """Whether nothing may be taken from the twin's run: it is this one, or a process works on it."""
        return twin.run_id == self._run.id or twin.run_id in self._alive

    def _mark_twins(self, twin: _Twin) -> None:
        """Mark rows whose twin may have been accepted, or is about to be sent by a run that is at work."""
        waits = f" OR e.state = '{State.PENDING}'" if self._is_held(twin) else ""
        corrected = (
            "SELECT x.id FROM row t JOIN row x ON x.origin = COALESCE(t.origin, t.id)"
            f" WHERE t.id = row.id + $3 AND x.id <> row.id AND x.state IN {SPOKEN_FOR}"
        )
        other = (
            "SELECT e.id FROM row t JOIN row e ON e.id = COALESCE(t.group_head, t.id)"
            f" WHERE t.id = row.id + $3 AND ({_MAY_HAVE}{waits}) AND {_same_event('row', 'e', twin)}"
        )
        self._mark_stepwise(twin, f"COALESCE(({other}), ({corrected} LIMIT 1))")

    def _mark_parts(self, twin: _Twin) -> None:
        """Mark rows whose twin is part of an event that waits in the other run and was not taken over."""
        other = (
            "SELECT e.id FROM row t JOIN row e ON e.id = t.group_head"
            f" WHERE t.id = row.id + $3 AND e.state = '{State.PENDING}'"
            f" AND e.id NOT IN (SELECT theirs FROM temp.taken) AND {_same_event('row', 'e', twin)}"
        )
        self._mark_stepwise(twin, f"({other})")

    def _mark_stepwise(self, twin: _Twin, other: str) -> None:
        """Make duplicates of the pending rows for which ``other``, in SQL, gives the id of another row."""
        for begin in range(twin.first, twin.last + 1, STEP):
            with self._db.transaction(durable=False):
                self._db.execute(
                    "UPDATE row SET state = $1, code = 'duplicate.row', message = $2, other = found.other FROM"
                    f" (SELECT id, {other} AS other FROM row WHERE id BETWEEN $4 AND $5 AND state = $6) AS found"
                    " WHERE row.id = found.id AND found.other IS NOT NULL",
                    State.DUPLICATE,
                    f"already in {twin.where}",
                    twin.delta,
                    begin,
                    min(begin + STEP - 1, twin.last),
                    State.PENDING,
                )

    def _note_taken(self, twin: _Twin) -> None:
        """Note the rows that wait in the other run, and whose event waits here."""
        self._db.execute(
            "INSERT INTO temp.taken SELECT r.id, e.id FROM row r JOIN row m ON m.id = r.id - $1"
            " JOIN row e ON e.id = COALESCE(m.group_head, m.id)"
            " WHERE r.id BETWEEN $2 AND $3 AND r.state = $4 AND r.maybe_sent = 0 AND e.state = $4"
            f" AND {_same_event('e', 'r', twin)} ON CONFLICT DO NOTHING",
            twin.delta,
            twin.first + twin.delta,
            twin.last + twin.delta,
            State.PENDING,
        )

    def _mark_corrected(self) -> None:
        """Mark corrections of rows that were sent all the same, and note those that still wait elsewhere."""
        kin = (
            "SELECT row.id AS mine, e.id AS theirs, e.state, e.maybe_sent FROM row"
            " JOIN row x ON x.id = row.origin OR x.origin = row.origin"
            " JOIN row e ON e.id = COALESCE(x.group_head, x.id)"
            " WHERE row.id BETWEEN $1 AND $2 AND row.origin IS NOT NULL AND row.state = $3 AND x.id < $1"
        )
        bounds = (self._first, self._last, State.PENDING)
        if not self._db.value(
            "SELECT EXISTS (SELECT 1 FROM row WHERE id BETWEEN $1 AND $2 AND origin IS NOT NULL)", *bounds[:2]
        ):
            return
        alive = self._numbers_alive()
        with self._db.transaction(durable=False):
            found = self._db.rows(f"SELECT mine, theirs, state, maybe_sent FROM ({kin}) AS kin", *bounds)
            marked, taken = {}, {}
            for mine, theirs, state, maybe_sent in found:
                if state == State.PENDING and not maybe_sent and theirs >> RUN_BITS not in alive:
                    taken[theirs] = mine
                elif state in (State.PENDING, State.SENT, State.IN_DOUBT, State.FAILED, CLAIMED):
                    marked[mine] = theirs
            ours, others = [*marked], [*marked.values()]
            words = [
                f"the row that it corrects was sent all the same, by run {self._places.run(one)}" for one in others
            ]
            self._mark(ours, State.DUPLICATE, "duplicate.row", words, others)
            self._take(taken)

    def _numbers_alive(self) -> set[int]:
        found = self._db.rows("SELECT no, id FROM run WHERE state <> 'finished'")
        return {no for no, run_id in found if run_id in self._alive}

    # The same key

    def _mark_keys(self) -> None:
        self._db.execute(
            "CREATE TEMP TABLE keyed AS SELECT key_hash, id, event_hash, subscriber_hash FROM row"
            f" WHERE id BETWEEN {self._first} AND {self._last} AND state = '{State.PENDING}' AND key_hash IS NOT NULL"
            " ORDER BY key_hash, id"
        )
        scope = self._db.value("SELECT scope FROM run WHERE no = $1", self._run.no)
        known = not self._again and bool(
            self._db.value("SELECT EXISTS (SELECT 1 FROM delivered_key WHERE scope = $1)", scope)
        )
        for table in sorted_groups(self._db):
            with self._db.transaction(durable=False):
                first = self._settle_repeats(table)
                if known:
                    first = first.filter(pa.array(~self._settle_delivered(first, scope)))
                columns = {"$1": pa.repeat(pa.scalar(scope, pa.int64()), first.num_rows)}
                columns |= {"$2": first.column("key_hash"), "$3": first.column("id")}
                self._db.execute("INSERT INTO delivered_key VALUES ($1, $2, $3)", table=pa.table(columns))

    def _settle_repeats(self, table: ArrowTable) -> ArrowTable:
        """Mark rows that share a key within the run; the rows that are left, one for each key."""
        repeats = repeated(table)
        ids_here = table.column("id").to_numpy()
        if not repeats.any:
            return table
        conflicts = np.flatnonzero(repeats.conflict)
        others = ids_here[np.where(repeats.head[conflicts] == conflicts, conflicts + 1, repeats.head[conflicts])]
        words = [f"another event has the same key: {place}" for place in self._places.describe(others)]
        self._mark(ids_here[conflicts].tolist(), State.INVALID, "key.conflict", words, others.tolist())
        copies = np.flatnonzero(repeats.copy)
        others = ids_here[repeats.head[copies]]
        words = ["another row of this run has the same key and is the same event"] * len(copies)
        self._mark(ids_here[copies].tolist(), State.DUPLICATE, "duplicate.key", words, others.tolist())
        return table.filter(pa.array(~(repeats.conflict | repeats.copy)))

    def _settle_delivered(self, table: ArrowTable, scope: int) -> Bools:
        """Mark rows whose key another run has; which rows of the table were marked."""
        asked = table.select(["id", "event_hash", "subscriber_hash", "key_hash"]).append_column(
            "scope", pa.repeat(pa.scalar(scope, pa.int64()), table.num_rows)
        )
        found = self._db.query(
            "SELECT $1, o.id, o.state, o.maybe_sent, o.event_hash <> $2, o.subscriber_hash <> $3"
            f" FROM delivered_key d JOIN row o ON o.id = d.id JOIN run r ON r.no = o.id >> {RUN_BITS}"
            f" WHERE d.key = $4 AND d.scope = $5 AND o.state IN {SPOKEN_FOR} AND r.state <> 'planning'"
            f" AND NOT o.id BETWEEN {self._first} AND {self._last}",
            table=asked.rename_columns(["$1", "$2", "$3", "$4", "$5"]),
        )
        alive = self._numbers_alive()
        marked: dict[int, tuple[State, str, str, int]] = {}
        taken: dict[int, int] = {}
        for mine, theirs, state, maybe_sent, changed, another in zip(
            *(column.to_pylist() for column in found.columns), strict=True
        ):
            waits = state == State.PENDING and not maybe_sent and theirs >> RUN_BITS not in alive
            if another and not (waits and self._places.same_row(mine, theirs)):
                place = self._places.describe_other(theirs)
                words = f"another subscriber has the same key: {place}"
                marked[mine] = (State.INVALID, "key.conflict", words, theirs)
            elif waits:
                taken[theirs] = mine
            elif mine not in marked:
                code = "duplicate.changed" if changed else "duplicate.key"
                marked[mine] = (State.DUPLICATE, code, f"already in run {self._places.run(theirs)}", theirs)
        for kind in {(state, code) for state, code, _, _ in marked.values()}:
            chosen = [mine for mine, (state, code, _, _) in marked.items() if (state, code) == kind]
            self._mark(chosen, *kind, [marked[mine][2] for mine in chosen], [marked[mine][3] for mine in chosen])
        self._take({theirs: mine for theirs, mine in taken.items() if mine not in marked})
        return np.isin(table.column("id").to_numpy(), np.fromiter(marked, dtype=np.int64, count=len(marked)))

    # Writing

    def _mark(self, rows: list[int], state: State, code: str, words: list[str], others: list[int]) -> None:
        if not rows:
            return
        table = pa.table(
            {
                "$1": pa.repeat(state.value, len(rows)),
                "$2": pa.repeat(code, len(rows)),
                "$3": words,
                "$4": others,
                "$5": rows,
            }
        )
        self._db.execute(
            "UPDATE row SET state = $1, code = $2, message = $3, other = $4"
            f" WHERE id = $5 AND state = '{State.PENDING}'",
            table=table,
        )

    def _take(self, taken: dict[int, int]) -> None:
        if taken:
            table = pa.table({"$1": [*taken], "$2": [*taken.values()]})
            self._db.execute("INSERT INTO temp.taken VALUES ($1, $2) ON CONFLICT DO NOTHING", table=table)


def _same_event(mine: str, theirs: str, twin: _Twin) -> str:
    """In SQL, whether two rows of one content are the same event: of one type, and not told apart by keys."""
    keys = f"({mine}.key_hash IS NULL OR {theirs}.key_hash IS NULL)" if twin.keyed else "1 = 1"
    return f"COALESCE({mine}.type = {theirs}.type, 1 = 1) AND {keys}"


@dataclass(frozen=True, slots=True)
class Repeats:
    """Which rows of a table that is sorted by key share one."""

    head: Int64s
    """Where the first row with the same key is."""
    conflict: Bools
    """Rows that share a key with a different event."""
    copy: Bools
    """Rows but the first of those that share a key and are the same event."""

    @property
    def any(self) -> bool:
        """Whether any do."""
        return bool(self.conflict.any() or self.copy.any())


def repeated(table: ArrowTable) -> Repeats:
    """Find the rows that share a key; ``table`` has ``key_hash`` (16 bytes), by which it is sorted, and ``event_hash``.

    The one rule for keys within a run, for whoever plans or merely checks.
    """
    count = table.num_rows
    keys = np.frombuffer(b"".join(table.column("key_hash").to_pylist()), dtype="<u8").reshape(count, 2)
    events = table.column("event_hash").to_numpy()
    starts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1)))[:count]
    sizes = np.diff(np.append(starts, count))
    differ = np.minimum.reduceat(events, starts) != np.maximum.reduceat(events, starts) if count else starts > 0
    head = np.repeat(starts, sizes)
    conflict = np.repeat(differ, sizes)
    return Repeats(head, conflict, (head != np.arange(count)) & ~conflict)


def sorted_groups(database: Database) -> Iterator[ArrowTable]:
    """The rows of ``temp.keyed`` in steps; rows that share a key come in one."""
    begin, size = 1, STEP
    while True:
        found = database.query(
            "SELECT key_hash, id, event_hash, subscriber_hash FROM temp.keyed WHERE rowid BETWEEN $1 AND $2",
            begin,
            begin + size - 1,
        )
        if not found.num_rows:
            return
        if found.num_rows == size:
            start = int(repeated(found).head[-1])
            if not start:
                size *= 2
                continue
            found = found.slice(0, start)
        yield found.combine_chunks()
        begin, size = begin + found.num_rows, STEP


class Places:
    """Where rows stand, for messages."""

    def __init__(self, database: Database, run: Run) -> None:
        self._db = database
        self._run = run
        self._sources: dict[int, list[tuple[int, str, str]]] = {}
        self._ids: dict[int, str] = {run.no: run.id}

    def run(self, row_id: int) -> str:
        """The id of the run that a row belongs to."""
        no = row_id >> RUN_BITS
        if no not in self._ids:
            self._ids[no] = str(self._db.value("SELECT id FROM run WHERE no = $1", no))
        return self._ids[no]

    def same_row(self, one: int, other: int) -> bool:
        """Whether two rows are the same row of the same content."""
        (first, _, digest), (other_first, _, other_digest) = self._source(one), self._source(other)
        return bool(digest) and digest == other_digest and one - first == other - other_first

    def describe(self, rows: Int64s) -> list[str]:
        """Each row by its source's name, its number and its line."""
        found = self._db.query("SELECT line FROM row WHERE id = $1", table=pa.table({"$1": rows}))
        lines = found.column("line").to_pylist()
        return [self._words(row_id, line) for row_id, line in zip(rows.tolist(), lines, strict=True)]

    def describe_other(self, row_id: int) -> str:
        """A row of another run."""
        line = self._db.value("SELECT line FROM row WHERE id = $1", row_id)
        return f"run {self.run(row_id)}, {self._words(row_id, line)}"

    def _words(self, row_id: int, line: int | None) -> str:
        first, name, _ = self._source(row_id)
        place = f" (line {line})" if line is not None else ""
        return f"{name}, row {row_id - first + 1}{place}"

    def _source(self, row_id: int) -> tuple[int, str, str]:
        no = row_id >> RUN_BITS
        if no not in self._sources:
            found = self._db.rows(
                "SELECT first_id, name, digest FROM source WHERE run = $1 AND rows > 0 ORDER BY no", no
            )
            self._sources[no] = [(int(first), str(name), str(digest)) for first, name, digest in found]
        known: Sequence[tuple[Any, ...]] = self._sources[no]
        return self._sources[no][bisect_right([first for first, *_ in known], row_id) - 1]
