"""The round over the directory: take what is complete, find out about it, deliver it, settle it.

This module owns the order of things for a file, and what a round does when something stops it. One file at a time, the
oldest first; what an earlier round left in ``processing/`` comes before everything new.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from importer.deliver import Progress
from importer.errors import ExitCode, ImporterError, LedgerError, UsageError
from importer.model import RunState
from importer.pipeline import check, connect, program
from importer.pipeline.connect import open_ledger
from importer.pipeline.options import Console, Forecast, RunOptions, TargetOptions
from importer.read import is_data_name
from importer.watch.columns import Columns, columns_of
from importer.watch.drops import Drop
from importer.watch.hook import run_hook
from importer.watch.inbox import Inbox, original, sign_of
from importer.watch.outcome import Outcome, Place, WatchOptions, in_all
from importer.watch.settled import Settled, settled_before

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Voice:
    """How the watcher speaks and waits."""

    console: Console
    show: Callable[[Outcome], None]
    """Each file's line."""
    wait: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


class Watcher:
    """Watches one directory. Use `once` or `forever`, once."""

    def __init__(self, options: WatchOptions, destination: TargetOptions, voice: Voice) -> None:
        self._options = options
        self._destination = destination
        self._voice = voice
        self._inbox = Inbox(options.directory, options.marker)
        self._columns = Columns(self._inbox.memory)
        self._told: set[str] = set()
        """Names that were said to be nobody's."""
        self._outcomes: list[Outcome] = []
        """Of the round's files."""
        self._stopped = False
        """Something stopped the round: no other file would fare better."""
        self._interrupted = False

    def __repr__(self) -> str:
        return f"<Watcher {self._options.directory}>"

    def once(self) -> ExitCode:
        """One round over what is there and complete; the worst that happened to a file."""
        with self._inbox.alone(), self._interruptible() as worst:
            connect.check(self._destination, self._voice.console.say)
            self._inbox.look()
            self._voice.wait(self._options.settle)
            complete, growing = self._inbox.look()
            worst.extend(self._round(complete))
            for name in growing:
                if self._drop(name):
                    self._voice.console.say(f"{name} is not complete yet; it is left for the next time")
            if len(self._outcomes) > 1:
                self._voice.console.say(f"in all {in_all(self._outcomes)}")
        return max(worst, default=ExitCode.DELIVERED)

    def forever(self) -> ExitCode:
        """Round after round, until a signal comes or the time given with --until or --for is over.

        `ExitCode.STOPPED` if a file is left in its middle.
        """
        with self._inbox.alone(), self._interruptible():
            connect.check(self._destination, self._voice.console.say)
            again = 0.0
            self._voice.console.say(f"watching {self._options.directory}; Ctrl-C stops")
            while not (self._interrupted or self._options.order.delivery.schedule.over(self._voice.now())):
                complete, _ = self._inbox.look()
                left = self._inbox.processing()
                if complete or (left and self._voice.now() >= again):
                    list(self._round(complete, left=self._voice.now() >= again))
                    self._outcomes.clear()
                    again = self._voice.now() + self._options.retry
                if not self._interrupted:
                    self._voice.wait(self._options.settle)
        return ExitCode.STOPPED if self._inbox.processing() else ExitCode.DELIVERED

    @contextmanager
    def _interruptible(self) -> Iterator[list[ExitCode]]:
        """Ctrl-C and SIGTERM end the round; delivery heeds them itself while it sends."""
        worst: list[ExitCode] = []
        usual = signal.getsignal(signal.SIGTERM)
        try:
            _heed_sigterm()
            yield worst
        except KeyboardInterrupt:
            self._voice.console.say("interrupted; what was begun goes on with the next `importer watch`")
            worst.append(ExitCode.STOPPED)
        finally:
            signal.signal(signal.SIGTERM, usual)

    def _round(self, complete: list[str], *, left: bool = True) -> Iterator[ExitCode]:
        self._stopped = False
        for own in self._inbox.processing() if left else ():
            if self._stopped:
                return
            yield self._file(own)
        for name in complete:
            if self._stopped:
                return
            if self._drop(name):
                try:
                    own = self._inbox.take(name)
                except FileNotFoundError:
                    continue  # whoever dropped it took it away again
                yield self._file(own)
            elif name not in self._told and not self._is_mapping(name):
                self._told.add(name)
                self._voice.console.say(f"{name} is none of the files to be delivered; it is left where it is")

    def _drop(self, name: str) -> Drop | None:
        for drop in self._options.drops:
            if drop.fits(name) and (drop.pattern != EVERYTHING or is_data_name(name)):
                return drop
        return None

    def _is_mapping(self, name: str) -> bool:
        path = self._options.directory / name
        return any(Path(drop.mapping).absolute() == path.absolute() for drop in self._options.drops)

    def _file(self, own: str) -> ExitCode:
        """Deliver one file, tell of it, and call the hook."""
        try:
            outcome = self._settle(own, self._deliver(own))
        except ImporterError as error:
            self._stopped = isinstance(error, LedgerError) or error.exit_code is ExitCode.STOPPED
            self._voice.console.say(str(error))
            outcome = self._outcome(own, Settled(Place.PROCESSING, error.exit_code, error.message))
        self._voice.show(outcome)
        self._outcomes.append(outcome)
        if self._options.on_finish and outcome.place is not Place.PROCESSING:
            summary = self._inbox.report(own, outcome.place) / "summary.json"
            if trouble := run_hook(self._options.on_finish, outcome, summary):
                self._voice.console.say(f"warning: {own}: {trouble}")
        return outcome.code

    def _deliver(self, own: str) -> Settled:
        path = self._inbox.path(own, Place.PROCESSING)
        if self._inbox.half_moved(own):
            return settled_before(self._inbox, own) or Settled(Place.DONE, ExitCode.DELIVERED)
        drop = self._drop(original(own))
        if drop is None:
            raise UsageError(
                f"{path}: no pattern fits this file any more", hint="mend the drops, or move the file away"
            )
        destination = replace(self._destination, account=drop.account or self._destination.account)
        before = settled_before(self._inbox, own)
        if before is not None and _is_finished(before.run, destination):
            return before
        sign = sign_of(path)
        order = replace(self._options.order, sources=(str(path),), mapping=drop.mapping)
        if reason := self._unusable(own, drop, order):
            return Settled(Place.FAILED, ExitCode.UNUSABLE, reason)
        if sign_of(path) != sign:
            return Settled(Place.PROCESSING, ExitCode.INCOMPLETE, "it was written to while it was read; later")
        order = replace(order, out=self._inbox.report(own, Place.PROCESSING))
        try:
            result = program.run(order, destination, self._voice.console)
        finally:
            _heed_sigterm()  # asyncio took it over, and gave it back to the system: the next wait would be its victim
        self._stopped = bool(result.ended.reason) or result.ended.interrupted
        self._interrupted = result.ended.interrupted
        settled = Settled.of(result)
        if settled.place is Place.DONE and sign_of(path) != sign:
            return replace(
                settled,
                place=Place.FAILED,
                code=ExitCode.UNUSABLE,
                reason="somebody wrote to it after it was read: what came last was not delivered",
            )
        return settled

    def _unusable(self, own: str, drop: Drop, order: RunOptions) -> str:
        """Read the whole file, and compare its columns, before anything of it is sent; why it cannot be used, if so.

        A file that breaks off is not delivered in part: its mended successor has other content and would be sent whole.
        """
        columns = columns_of(Path(order.sources[0]), drop)
        changes = self._columns.changes(drop, columns)
        if changes:
            self._voice.console.say(f"warning: {own}: its columns differ from the last file's: {changes}")
        sources = check.check(order, _Deaf()).summary.sources
        broken = [one.error.removeprefix(f"{order.sources[0]}: ") for one in sources if one.error]
        if not broken:
            self._columns.remember(drop, columns)
        return "; ".join(broken)

    def _settle(self, own: str, settled: Settled) -> Outcome:
        outcome = self._outcome(own, settled)
        if settled.place is not Place.PROCESSING:
            if settled.place is Place.FAILED:
                report = self._inbox.report(own, self._inbox.half_moved(own) or Place.PROCESSING)
                report.mkdir(mode=0o700, exist_ok=True)
                (report / "reason.txt").write_text(settled.reason + "\n", encoding="utf-8")
            self._inbox.settle(own, settled.place)
        return outcome

    def _outcome(self, own: str, settled: Settled) -> Outcome:
        return Outcome(
            name=own,
            place=settled.place,
            code=settled.code,
            path=self._inbox.path(own, settled.place),
            reason=settled.reason,
            run=settled.run,
            rows=settled.rows,
            at=self._voice.now(),
        )


class _Deaf:
    """A desk for the look before a run: what it would say, the run itself says."""

    def say(self, text: str) -> None:
        """Nobody listens."""

    def require_answer(self) -> None:
        """Nothing is asked."""

    def confirm(self, forecast: Forecast) -> bool:
        """Nothing is sent."""
        del forecast
        return False

    def confirm_more(self, sent: int) -> bool:
        """Nothing is sent."""
        del sent
        return False

    def read(self, rows: int) -> None:
        """Nobody looks."""

    def watch(self, progress: Progress) -> None:
        """Nobody looks."""


def _is_finished(run_id: str, destination: TargetOptions) -> bool:
    """Whether the ledger says so too; the report is written a moment before."""
    with open_ledger(destination) as ledger:
        return any(run.id == run_id and run.state is RunState.FINISHED for run in ledger.runs())


def _heed_sigterm() -> None:
    """Let SIGTERM end a wait or a file's reading as Ctrl-C does; asyncio takes the signal over, and lets it go."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
