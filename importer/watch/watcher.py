"""The round over the directory: take what is complete, check it, deliver it, move it to its last place.

One file at a time, the oldest first; files that an earlier round left in ``processing/`` come before everything new. No
file blocks the others: one that cannot be used, for any reason, goes to ``failed/``. Only what every file would
meet (the API, the token, the ledger, the disk) stops a round.
"""

from __future__ import annotations

import errno
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import msgspec
from msgspec.structs import replace

from importer.errors import ExitCode, ImporterError, LedgerError, SourceError, SpaceError, StoppedError, UsageError
from importer.model import RunState
from importer.pipeline import accounts, check, connect, program
from importer.pipeline.connect import open_ledger
from importer.pipeline.console import AccountsResult, Console, Result
from importer.pipeline.options import RunOptions, TargetOptions
from importer.read import expand, is_data_name
from importer.remote import RemotePath
from importer.report import Written
from importer.watch.drops import FileRule
from importer.watch.inbox import Inbox, signature_of
from importer.watch.outcome import (
    FileOutcome,
    KnownColumns,
    Place,
    WatchOptions,
    columns_of,
    failed,
    file_outcome,
    in_all,
    recorded_outcome,
    refusal,
    run_hook,
)
from importer.wording import original_name, shown

EVERYTHING = "*"
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""Errors of the disk itself, which every file would meet."""


class WatchConsole(msgspec.Struct, frozen=True):
    """How a watch speaks and waits."""

    console: Console
    show: Callable[[FileOutcome], None]
    """Each file's line."""
    wait: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


class Watcher:
    """Watches one directory. Use `once` or `forever`, once."""

    def __init__(self, options: WatchOptions, target: TargetOptions, console: WatchConsole) -> None:
        self._options = options
        self._target = target
        self._console = console
        self._say = console.console.say
        self._inbox = Inbox(options.directory, options.marker)
        self._columns = KnownColumns(self._inbox.memory)
        self._said: set[str] = set()
        """Notices about things in the directory that are no files to deliver; each is given once."""
        self._outcomes: list[FileOutcome] = []
        """Of the round's files."""
        self._displaced: Callable[[], str] = str
        """Why another machine may watch by now, in words; empty while it may not."""
        self._stopped = False
        """Something stopped the round: no other file would fare better."""
        self._interrupted = False

    def once(self) -> ExitCode:
        """One round over what is there and complete; the worst that happened to a file."""
        with self._inbox.exclusive(), self._alone(), self._interruptible() as worst:
            self._look_ahead()
            self._inbox.scan()
            self._console.wait(self._options.stable_for)
            complete, growing = self._inbox.scan()
            worst.extend(self._round(complete))
            for name in growing:
                if self._rule(name):
                    self._say_once(f"{shown(name)} is not complete yet; it is left for the next time")
            if len(self._outcomes) > 1:
                self._say(f"in all {in_all(self._outcomes)}")
        return max(worst, default=ExitCode.DELIVERED)

    def forever(self) -> ExitCode:
        """Round after round, until a signal comes or the time given with --until is over.

        `ExitCode.STOPPED` if a file is left half done.
        """
        with self._inbox.exclusive(), self._alone(), self._interruptible():
            self._look_ahead()
            again = 0.0
            self._say(f"watching {self._options.directory}; Ctrl-C stops")
            while not (self._interrupted or self._options.run.delivery.schedule.over(self._console.now())):
                try:
                    complete, _ = self._inbox.scan()
                    left = self._inbox.processing()
                except SourceError as error:  # an object store that cannot be reached now
                    self._say(str(error))
                    self._console.wait(self._options.retry)
                    continue
                if complete or (left and self._console.now() >= again):
                    list(self._round(complete, left=self._console.now() >= again))
                    self._outcomes.clear()
                    again = self._console.now() + self._options.retry
                if not self._interrupted:
                    self._console.wait(self._options.stable_for)
        return ExitCode.STOPPED if self._inbox.processing() else ExitCode.DELIVERED

    def _look_ahead(self) -> None:
        """Find what would stop every file, before any is taken."""
        name = self._options.accounts_file
        if name is None:
            connect.check(self._target, self._say)
            return
        file = accounts.load_accounts(name)
        accounts.look_ahead(self._target, file, self._console.console)
        for rule in self._options.rules:
            if rule.account:
                accounts.target_of_one(self._target, file, rule.account)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep importers on other machines out; a directory of this one has a lock of its own."""
        place = self._options.directory
        if isinstance(place, Path):
            yield
            return
        with open_ledger(self._target) as ledger:
            lock = ledger.watch_lock(str(place))
            if not lock.try_acquire():
                hint = "stop that one first, or let it do the work"
                raise UsageError(f"{lock.holder()} already watches {place}", hint=hint)
            self._displaced = ledger.sending_stops
            try:
                yield
            finally:
                lock.release()

    def _goes_on(self) -> bool:
        """Whether the round does; raises `StoppedError` where another machine may take the files by now."""
        if self._displaced():
            raise StoppedError(
                f"the ledger was out of reach for so long that another machine may watch {self._options.directory} now",
                hint="run the same command again: it goes on unless another importer watches",
            )
        return not self._stopped

    @contextmanager
    def _interruptible(self) -> Iterator[list[ExitCode]]:
        """Ctrl-C and SIGTERM end the round; while events are sent, delivery handles them itself."""
        worst: list[ExitCode] = []
        usual = signal.getsignal(signal.SIGTERM)
        try:
            _handle_sigterm()
            yield worst
        except KeyboardInterrupt:
            self._say("interrupted; the next `importer watch` goes on with what was begun")
            worst.append(ExitCode.STOPPED)
        finally:
            signal.signal(signal.SIGTERM, usual)

    def _round(self, complete: list[str], *, left: bool = True) -> Iterator[ExitCode]:
        self._stopped = False
        for one in self._inbox.not_files():
            if not self._is_mapping(one.partition(" is ")[0]):
                self._say_once(f"{one}; only regular files are delivered")
        for taken in self._inbox.processing() if left else ():
            if not self._goes_on():
                return
            yield self._file(taken)
        for name in complete:
            if not self._goes_on():
                return
            if self._rule(name):
                with suppress(FileNotFoundError):  # its sender took it away again
                    yield self._file(self._inbox.take(name))
            elif not self._is_mapping(name):
                self._say_once(f"{shown(name)} is none of the files to be delivered; it is left where it is")

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _rule(self, name: str) -> FileRule | None:
        fitting = (rule for rule in self._options.rules if rule.fits(name))
        return next((rule for rule in fitting if rule.pattern != EVERYTHING or is_data_name(name)), None)

    def _is_mapping(self, name: str) -> bool:
        path = Path(str(self._options.directory / name))
        return any(Path(rule.mapping).absolute() == path.absolute() for rule in self._options.rules)

    def _file(self, taken: str) -> ExitCode:
        """Deliver one file, show what became of it, and run the user's commands."""
        try:
            outcome = self._deliver(taken)
        except ImporterError as error:
            self._stopped = isinstance(error, LedgerError | SpaceError) or error.exit_code is ExitCode.STOPPED
            self._say(str(error))
            outcome = FileOutcome(Place.PROCESSING, error.exit_code, error.message)
        except Exception as error:  # noqa: BLE001 - one file never blocks the others
            disk = isinstance(error, OSError) and error.errno in _DISK
            self._stopped |= disk
            stopped = FileOutcome(Place.PROCESSING, ExitCode.STOPPED, f"stopped: {error}")
            outcome = stopped if disk else self._unknown(taken, error)
        outcome = self._moved(taken, outcome)
        self._console.show(outcome)
        self._outcomes.append(outcome)
        if outcome.place is not Place.PROCESSING:
            self._run_hooks(taken, outcome)
            with suppress(OSError, SourceError):
                self._inbox.tidy()
        return outcome.code

    def _run_hooks(self, taken: str, outcome: FileOutcome) -> None:
        summary = self._inbox.report(taken, outcome.place) / "summary.json"
        hooks = [("--on-finish", self._options.on_finish)]
        if outcome.code is ExitCode.DELIVERED:
            hooks.append(("--on-success", self._options.on_success))
        for option, command in hooks:
            if command and (trouble := run_hook(option, command, outcome, summary, self._say)):
                self._say(f"warning: {shown(taken)}: {trouble}")

    def _unknown(self, taken: str, error: Exception) -> FileOutcome:
        """The outcome of an exception that nothing foresaw; its details are kept beside the file."""
        details = self._inbox.report(taken, Place.PROCESSING) / "error.txt"
        with suppress(OSError):
            details.parent.mkdir(mode=0o700, exist_ok=True)
            details.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
        there = self._inbox.published(taken, Place.PROCESSING) / details.name
        return FileOutcome(
            Place.FAILED,
            ExitCode.UNUSABLE,
            f"importer failed in a way that it does not know: {type(error).__name__}: {error}; the details are in "
            f"{there}, and `importer runs` shows whether anything was sent",
        )

    def _deliver(self, taken: str) -> FileOutcome:
        path = self._inbox.path(taken, Place.PROCESSING)
        if place := self._inbox.half_moved(taken):
            recorded = recorded_outcome(self._inbox.report(taken, place), place)
            return recorded or FileOutcome(Place.DONE, ExitCode.DELIVERED)
        rule = self._rule(original_name(taken))
        if rule is None:
            raise UsageError(
                f"{path}: no pattern fits this file any more", hint="correct the patterns, or move the file away"
            )
        target = replace(self._target, account=rule.account or self._target.account)
        before = recorded_outcome(self._inbox.report(taken, Place.PROCESSING), Place.PROCESSING)
        if before is not None and _is_finished(before.run, target):
            return before
        signature = signature_of(path)
        source = path.address if isinstance(path, RemotePath) else str(path)
        inputs = tuple(replace(one, name=one.name.replace(str(path), taken)) for one in expand([source]))
        options = replace(self._options.run, sources=(source,), inputs=inputs, mapping=rule.mapping)
        refused = self._refused(taken, rule, options)
        if refused is not None and signature_of(path) == signature:
            return refused
        if signature_of(path) != signature:
            return self._changed(path, FileOutcome(Place.PROCESSING, ExitCode.INCOMPLETE))
        out, afterwards = self._inbox.report(taken, Place.PROCESSING), self._inbox.published(taken, Place.DONE)
        options = replace(options, out=out, out_afterwards=afterwards, brief=True)
        try:
            result = self._run(options, target, rule)
        finally:
            _handle_sigterm()  # asyncio took the signal over and gave it back to the system
        if isinstance(result, AccountsResult):  # what stops one account stops no other, of no other file
            self._interrupted = any(one.ended.interrupted for one in result.results.values())
            self._stopped = self._interrupted or self._options.run.delivery.schedule.over(self._console.now())
        else:
            self._interrupted = result.ended.interrupted
            self._stopped = bool(result.ended.reason) or self._interrupted
        outcome = file_outcome(result)
        if outcome.place is Place.DONE and signature_of(path) != signature:
            return self._changed(path, outcome)
        return outcome

    def _run(self, options: RunOptions, target: TargetOptions, rule: FileRule) -> Result | AccountsResult:
        if self._options.accounts_file is None:
            return program.run(options, target, self._console.console)
        file = accounts.load_accounts(self._options.accounts_file)
        return accounts.run(options, target, file, self._console.console, rule.account)

    def _changed(self, path: Path | RemotePath, outcome: FileOutcome) -> FileOutcome:
        """The outcome of a file that was written to, or taken away, while it was worked on."""
        if signature_of(path) is None:
            return failed(outcome, "it was removed from processing/ during the run; the ledger has what was sent")
        if outcome.place is Place.PROCESSING:
            return replace(outcome, reason="it was written to while it was read; it is tried again later")
        return failed(outcome, "it was written to after it was read: what came last was not delivered")

    def _refused(self, taken: str, rule: FileRule, options: RunOptions) -> FileOutcome | None:
        """Read the whole file, and compare its columns, before anything of it is sent; None if it may be sent.

        A file that breaks off is not delivered in part: its corrected successor has other content and would be sent
        whole.
        """
        columns = columns_of(options.sources[0], rule)
        if changes := self._columns.changes(rule, columns):
            self._say(f"warning: {shown(taken)}: its columns differ from the last file's: {changes}")
        if self._options.accounts_file is None or rule.account:
            found: Sequence[Written] = [check.check(options, _Silent())]
        else:
            _, found = accounts.check(options, accounts.load_accounts(self._options.accounts_file), _Silent())
        if reason := refusal(found, self._options):
            return FileOutcome(Place.FAILED, ExitCode.UNUSABLE, reason)
        self._columns.remember(rule, columns)
        return None

    def _moved(self, taken: str, outcome: FileOutcome) -> FileOutcome:
        """Move a file to its last place; its outcome, with paths as they are then."""
        before, after = (self._inbox.path(taken, place) for place in (Place.PROCESSING, outcome.place))
        reason = outcome.reason.removeprefix(f"{taken}: ").replace(f"{before}: ", "").replace(str(before), str(after))
        outcome = replace(outcome, name=taken, path=after, reason=reason, at=self._console.now())
        if outcome.place is Place.PROCESSING:
            return outcome
        if outcome.place is Place.FAILED:
            report = self._inbox.report(taken, self._inbox.half_moved(taken) or Place.PROCESSING)
            with suppress(OSError):  # without room, the line in the log must do
                report.mkdir(mode=0o700, exist_ok=True)
                (report / "reason.txt").write_text(f"{reason}\n", encoding="utf-8", errors="backslashreplace")
        try:
            there = self._inbox.finish(taken, outcome.place)
        except (OSError, SourceError) as error:
            words = error.message if isinstance(error, SourceError) else str(error)
            return replace(outcome, place=Place.PROCESSING, path=before, reason=f"it cannot be moved: {words}")
        return outcome if there else replace(outcome, reason=reason or "the file itself has left processing/")


class _Silent(Console):
    """A console for the check before a run, whose messages the run itself gives."""


def _is_finished(run_id: str, target: TargetOptions) -> bool:
    """Whether the ledger says so too; the report is written a moment before."""
    with open_ledger(target) as ledger:
        return any(run.id == run_id and run.state is RunState.FINISHED for run in ledger.runs(everywhere=True))


def _handle_sigterm() -> None:
    """Let SIGTERM end a wait or a file's reading as Ctrl-C does; asyncio takes the signal over, and lets it go."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
