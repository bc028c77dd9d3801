"""One review: what the page asks for while people type, and what is done in the end.

The page runs on a thread of its own; what was decided is done on the main thread, where Ctrl-C is heard: rows in doubt
are resolved, rows are given up, and corrected rows are delivered by the program that `importer run` is, whose question
the page answers.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from importer.deliver import Progress
from importer.errors import ImporterError
from importer.model import SANDBOX_ENDPOINT, Counts, Run, State
from importer.pipeline import find, program
from importer.pipeline.connect import open_ledger
from importer.pipeline.console import Console, Forecast, Result
from importer.pipeline.options import RunOptions, TargetOptions
from importer.report.model import counts_by_name
from importer.review.checks import Checker, load
from importer.review.desk import Desk, Line
from importer.wording import counted

_AT_ONCE = 5_000
"""Rows checked together."""
_LEFT = (State.INVALID, State.REFUSED, State.FAILED, State.IN_DOUBT, State.PENDING)
_WAIT = 0.5
"""Seconds between two looks at whether the page still waits for an answer."""


@dataclass
class Work(Console):
    """What is being done, as the page shows it; also the console of the program that delivers."""

    say_here: Callable[[str], None]
    """Says a message on the terminal, too."""
    active: bool = False
    words: list[str] = field(default_factory=list)
    error: str = ""
    forecast: Forecast | None = None
    """The question that waits for its answer."""
    progress: Progress | None = None
    rows_read: int = 0
    is_abandoned: Callable[[], bool] = lambda: False
    """Whether the page is not looked at any more."""
    _answer: queue.Queue[bool] = field(default_factory=queue.Queue)

    def begin(self) -> None:
        """Forget what was done before."""
        self.active, self.words, self.error, self.progress, self.rows_read = True, [], "", None, 0

    def answer(self, *, yes: bool) -> None:
        """The page's answer to the question."""
        if self.forecast is not None:
            self._answer.put(yes)

    def say(self, text: str) -> None:
        """See `Console.say`."""
        self.words.append(text)
        self.say_here(text)

    def confirm(self, forecast: Forecast) -> bool:
        """See `Console.confirm`; a rehearsal needs no question. A page that was left, and Ctrl-C, mean no."""
        if forecast.rehearsal:
            return True
        self.forecast = forecast
        try:
            while not self.is_abandoned():
                with suppress(queue.Empty):
                    return self._answer.get(timeout=_WAIT)
        except KeyboardInterrupt:
            self.say("interrupted")
        finally:
            self.forecast = None
        return False

    def confirm_more(self, sent: int) -> bool:
        """See `Console.confirm_more`; the page sends all."""
        del sent
        return True

    def read(self, rows: int) -> None:
        """See `Console.read`."""
        self.rows_read += rows

    def watch(self, progress: Progress) -> None:
        """See `Console.watch`."""
        self.progress = progress


class Review:
    """The rows of one import, what was typed about them, and the work on them."""

    def __init__(
        self, run_id: str | None, target: TargetOptions, options: RunOptions, say: Callable[[str], None]
    ) -> None:
        """Raises `UsageError`, `MappingError` or `LedgerError` where there is nothing to review."""
        with find.open_run(target, run_id) as (ledger, run):
            find.refuse_pruned(run)
            self.run = ledger.import_of(run)[0]
        self.target = find.target_of(target, self.run.id)
        self._options = options
        self._checker = Checker(self.run)
        self.work = Work(say)
        out = Path(self.run.options.get("out") or Path("importer-runs") / self.run.id)
        self.desk = Desk(out / "review.db")
        self.reload()

    def reload(self) -> None:
        """Take the rows anew from the ledger, and check what was typed about them."""
        with open_ledger(self.target) as ledger:
            self.runs: list[Run] = ledger.import_of(self.run)
            self.lost = load(self.desk, ledger, self.runs, self._checker.loaded.mapping)
            self.counts: Counts = ledger.import_counts(self.runs)
            self.waiting = sum(ledger.counts(run)[State.PENDING] for run in self.runs)
            self.names = tuple(one.source.name for one in ledger.sources(self.run))
        self._judge(self.desk.touched())

    @property
    def is_rehearsal(self) -> bool:
        """Whether a sandbox gets the events."""
        return self.run.endpoint == SANDBOX_ENDPOINT

    @property
    def is_done(self) -> bool:
        """Whether nothing of the import is left to be decided or sent."""
        return not any(self.counts[state] for state in _LEFT)

    @property
    def totals(self) -> dict[str, int]:
        """What the import comes to: ``read``, and every state by its name."""
        return counts_by_name(self.counts)

    @property
    def mapped(self) -> tuple[str, ...]:
        """The columns that the mapping reads."""
        return self._checker.targets.mapped

    # What the page asks for

    def type_cell(self, number: int, column: str, text: str) -> list[Line]:
        """Correct a cell; returns the rows of its event as they are now. Raises `ValueError` if there is none."""
        line = self.desk.line(number)
        if not line.content.has(self.desk.forms[line.form], column):
            raise ValueError(column)
        self.desk.say([number], f"cell:{column}", text)
        self.recheck([number])
        return self.desk.lines([number])

    def type_like(self, column: str, before: str, text: str) -> int:
        """Correct the same bad text in the same column of every other row; returns in how many."""
        numbers = self.desk.like(column, before)
        if numbers:
            self.desk.say(numbers, f"cell:{column}", text)
            self.recheck(numbers)
        return len(numbers)

    def word(self, numbers: Sequence[int], word: str) -> None:
        """Decide on rows: ``as_is``, ``given_up`` and a note, ``arrived``, ``lost``; an empty word takes it back."""
        if numbers:
            self.desk.say(numbers, "word", word)
            self.recheck(numbers)

    def undo(self) -> int:
        """Take the last step back; returns how many rows it was about."""
        numbers = self.desk.undo()
        self.recheck(numbers)
        return len(numbers)

    def recheck(self, numbers: Sequence[int]) -> None:
        """Check rows as they are typed."""
        for at in range(0, len(numbers), _AT_ONCE):
            self._judge(self.desk.lines(numbers[at : at + _AT_ONCE]))

    def _judge(self, lines: Sequence[Line]) -> None:
        rows = [line for line in lines if line.status != "doubt"]
        if rows:
            self.desk.judge(list(self._checker.check(rows, self.desk.forms)))

    # What is done in the end, on the main thread

    def finish(self) -> None:
        """Resolve, give up and deliver what was decided; errors and results are shown on the page."""
        self.work.begin()
        try:
            self._resolve()
            self._give_up()
            self._deliver()
        except ImporterError as error:
            self.work.error = f"{error.message}" + (f"; {error.hint}" if error.hint else "")
            self.work.say_here(str(error))
        finally:
            self.reload()
            self.work.active = False

    def _resolve(self) -> None:
        """Say of rows in doubt what the user says of them."""
        for run in self.runs:
            lines = [line for line in self.desk.with_status("doubt") if line.run == run.id and line.word]
            if not lines:
                continue
            with find.open_run(self.target, run.id) as (ledger, current), find.locked(ledger, current):
                known: dict[tuple[str, int], list[int]] = {}
                for number, source, row, *_ in ledger.doubtful(current):
                    known.setdefault((source, row), []).append(number)
                for word, state in (("arrived", State.SENT), ("lost", State.PENDING), ("given_up", State.FAILED)):
                    chosen = [line for line in lines if line.word == word]
                    places = [known.get((self.desk.forms[line.form].source.name, line.row), []) for line in chosen]
                    numbers = [found.pop(0) for found in places if found]
                    if numbers:
                        ledger.resolve(current, state, numbers)
                        self.work.say(f"{counted(len(numbers), 'row')} in doubt resolved")
            self.desk.forget([line.no for line in lines])

    def _give_up(self) -> None:
        lines = self.desk.with_status("given_up")
        for run in self.runs:
            for note in dict.fromkeys(line.note for line in lines if line.run == run.id):
                places = [line.place for line in lines if line.run == run.id and line.note == note]
                with find.open_run(self.target, run.id) as (ledger, current), find.locked(ledger, current):
                    count = ledger.give_up(current, places, note)
                self.work.say(f"{counted(count, 'row')} given up")

    def _deliver(self) -> None:
        """Deliver the corrected rows as a run of their own, then what waits in the import's other runs."""
        lines = self.desk.with_status("ready")
        if lines:
            rows = [(line, line.corrected(self.desk.forms)) for line in lines]
            with self._checker.written(rows, self.desk.forms) as (inputs, _, mapping):
                options = replace(self._options.of_run(self.run), inputs=tuple(inputs), mapping=mapping, out=None)
                if not self._conclude(program.run(options, self.target, self.work)):
                    return
        with open_ledger(self.target) as ledger:
            waiting = [run for run in ledger.import_of(self.run) if ledger.has_pending(run)]
        for run in waiting:
            if not self._conclude(program.resume(run.id, self._options, self.target, self.work)):
                return

    def _conclude(self, result: Result) -> bool:
        """Say what a run came to; returns whether it came to its end."""
        if result.ended.declined and self._withdraw(result):
            self.work.say("nothing was sent; what you corrected is still here")
            return False
        if result.ended.reason:
            hint = f"; {result.ended.hint}" if result.ended.hint else ""
            self.work.error = f"stopped: {result.ended.reason}{hint}"
        read = counted(result.written.counts.read, "row")
        self.work.say(f"run {result.run.id}: {result.written.counts[State.SENT]:,} of {read} sent")
        return not result.ended.reason

    def _withdraw(self, result: Result) -> bool:
        """Forget the run that the user did not want after all, and its report."""
        with open_ledger(self.target) as ledger, find.locked(ledger, result.run):
            gone = ledger.withdraw(result.run)
        if gone:
            for path in result.written.paths:
                path.unlink(missing_ok=True)
            with suppress(OSError, IndexError):
                Path(str(result.written.paths[0].parent)).rmdir()
        return gone
