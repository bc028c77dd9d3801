"""What the user should know of rows that were planned or delivered before, a sentence each."""

from __future__ import annotations

from collections import Counter

import msgspec

from importer.ledger.runs import RunRepository
from importer.ledger.tables import CLAIMED, RUN_BITS, of_run
from importer.model import Run, RunState, State
from importer.wording import counted, shown

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
