"""The console as the program needs one, and what it shows: what a run is about to do, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from importer.deliver import Progress, StopReason
from importer.errors import ExitCode
from importer.model import Counts, PendingSummary, Run, State
from importer.report import Written

if TYPE_CHECKING:
    from importer.report.accounts import AccountsReport


class Forecast(msgspec.Struct, frozen=True):
    """What a live run is about to do, shown before it asks."""

    run: Run
    outlook: PendingSummary
    limit: int | None
    """Requests a minute that the API grants; None where it did not say."""
    seconds: float | None
    """How long delivery will take at that limit."""
    endpoint: str
    rehearsal: bool
    """It is a sandbox that will get the events."""
    counts: Counts
    """The run's totals now."""
    first: int | None = None
    """So many events are sent before it asks again."""
    most: int | None = None
    """So many events are sent in all."""


class Result(msgspec.Struct, frozen=True):
    """What a command leaves behind."""

    run: Run
    written: Written
    ended: StopReason
    elsewhere: int = 0
    """Rows of this run that another run holds and has not delivered."""
    page: str = ""
    """Of a rehearsal: where a browser shows what arrived, until the sandbox ends."""

    @property
    def exit_code(self) -> ExitCode:
        """The design's table of exit codes."""
        if self.ended.reason:
            return ExitCode.STOPPED
        return ExitCode.INCOMPLETE if self.elsewhere else exit_code(self.written, ready=False)


class AccountsResult(msgspec.Struct, frozen=True):
    """What a command leaves behind for all its accounts."""

    batch: Run
    results: Mapping[str, Result]
    """By account, in the order of the file; `NO_ACCOUNT` is last, where rows belong to no account."""
    report: AccountsReport

    @property
    def exit_code(self) -> ExitCode:
        """The worst of all accounts."""
        return ExitCode(self.report.exit_code)


def exit_code(written: Written, *, ready: bool = True, among: bool = False) -> ExitCode:
    """0 if every row is delivered (or, after a check, could be), 1 if some rows are not, 2 if no file can be used.

    Rows that a filter leaves out were asked for; but where a filter leaves out *every* row, it is the wrong filter. So
    were those that the user gave up.
    ``ready``: pending rows count as good. ``among``: it is one of several accounts, all of whose rows may be filtered.
    """
    counts = written.counts
    broken = [source for source in written.summary.sources if source.error]
    if broken and not counts.read:
        return ExitCode.UNUSABLE
    bad = (State.INVALID, State.REFUSED, State.IN_DOUBT, *(() if ready else (State.PENDING,)))
    failed = counts[State.FAILED] - written.summary.given_up
    none_left = not among and counts.read > 0 and counts[State.FILTERED] == counts.read
    whole = written.balanced and written.failure is None and not broken and not none_left
    return ExitCode.DELIVERED if whole and not failed and not any(map(counts.__getitem__, bad)) else ExitCode.INCOMPLETE


class Console(Protocol):
    """The user, as the program needs one. Its own methods show nothing, and agree to nothing."""

    def say(self, text: str) -> None:
        """Show a message."""
        del text

    def require_answer(self) -> None:
        """A live run will ask: raises `UsageError` without a terminal."""
        return

    def confirm(self, forecast: Forecast) -> bool:
        """Show what is about to be sent; whether to go on."""
        del forecast
        return False

    def confirm_more(self, sent: int) -> bool:
        """After ``--first``: whether to send the rest. No person has looked at the first events, unless one says so."""
        del sent
        return False

    def read(self, rows: int) -> None:
        """So many more rows were read."""
        del rows

    def watch(self, progress: Progress) -> None:
        """Delivery moves."""
        del progress

    def conclude(self, result: Result) -> None:
        """The run is over and its report is written; a rehearsal's sandbox ends when this returns."""
        del result

    def of(self, account: str) -> Console:
        """The same user, for one of several accounts: messages name the account."""
        del account
        return self

    def confirm_all(self, accounts: Sequence[tuple[str, Forecast | str]], *, rehearsal: bool) -> bool:
        """Show what each account is about to send, or why it sends nothing; whether to go on."""
        del accounts, rehearsal
        return False

    def conclude_all(self, result: AccountsResult) -> None:
        """All accounts are at their end, and the reports are written."""
        del result
