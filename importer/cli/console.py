"""The user at a terminal, or a log file in the terminal's place.

This module owns what is said before and while a run sends, on stderr. What is said afterwards is the report's.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

from importer.cli.rhythm import Rhythm
from importer.cli.wording import on_screen
from importer.errors import ExitCode, UsageError, counted
from importer.model import State

if TYPE_CHECKING:
    from tqdm import tqdm

    from importer.cli.manner import Manner
    from importer.deliver import Progress
    from importer.errors import ImporterError
    from importer.pipeline.options import Forecast
    from importer.pipeline.program import Result

_BAR = "{percentage:3.0f}%|{bar:6}| {n_fmt}/{total_fmt}{postfix}"
"""What matters most stands first: at 80 columns the end is cut off, and nothing wraps."""


class TerminalConsole:
    """See `importer.pipeline.options.Console`."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._yes = manner.yes
        self._rows = 0
        self._bar: tqdm[None] | None = None
        self._rhythm = Rhythm(time.monotonic(), verbose=manner.verbose)

    def say(self, text: str) -> None:
        """Tell something, above the progress bar if there is one."""
        if self._manner.quiet and not text.startswith(("warning", "error")):
            return
        self._close_bar()
        click.echo(on_screen(text), err=True)

    def read(self, rows: int) -> None:
        """Count rows as they are read."""
        self._rows += rows
        if self._manner.quiet:
            return
        if _moves():
            click.echo(f"\rreading: {counted(self._rows, 'row')}", err=True, nl=False)
        elif self._rhythm.due(time.monotonic()):
            click.echo(f"reading: {counted(self._rows, 'row')} so far", err=True)

    def require_answer(self) -> None:
        """Refuse where nobody can be asked and --yes was not given."""
        if not self._yes and not sys.stdin.isatty():
            refuse_silence()

    def confirm(self, forecast: Forecast) -> bool:
        """Show what is about to be sent, and ask unless told not to; a rehearsal needs no question."""
        self._end_reading()
        asks = not (self._yes or forecast.rehearsal)
        if asks or not self._manner.quiet:
            click.echo((_forecast_line if self._manner.brief else _forecast_text)(forecast), err=True)
        return not asks or _agreed("Send these events now?")

    def confirm_more(self, sent: int) -> bool:
        """After ``--first``: look at them in Sender, then decide."""
        self._close_bar()
        if self._yes and not sys.stdin.isatty():
            return False
        return _agreed(f"{counted(sent, 'event')} sent, as --first asks. Send the rest?")

    def watch(self, progress: Progress) -> None:
        """Show how delivery stands."""
        if self._manner.quiet:
            return
        if _moves():
            self._show_bar(progress)
        elif (turned := self._rhythm.turned(progress)) is not None:
            click.echo(turned or "going on", err=True)
        elif self._rhythm.due(time.monotonic()):
            click.echo(progress_line(progress), err=True)

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self._close_bar()

    def fail(self, error: ImporterError) -> None:
        """Leave the words to whoever started the command."""
        raise error

    def conclude(self, result: Result) -> None:
        """Say what became of every row."""
        from importer.report import render_summary

        if not self._manner.quiet:
            click.echo(err=True)
            click.echo(render_summary(result.written), err=True, nl=False)
        elif result.exit_code is ExitCode.INCOMPLETE:
            click.echo(on_screen(_trouble(result)), err=True)
        if result.ended.reason:
            above = "" if self._manner.quiet else "\n"
            click.echo(on_screen(f"{above}stopped: {result.ended.reason}"), err=True)
            if result.ended.hint:
                click.echo(on_screen(f"\nhint: {result.ended.hint}"), err=True)

    def _show_bar(self, progress: Progress) -> None:
        done = progress.sent + progress.refused + progress.failed + progress.in_doubt
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=done + progress.left, file=sys.stderr, dynamic_ncols=True, bar_format=_BAR)
        self._bar.n = done
        self._bar.set_postfix_str(_details(progress), refresh=True)

    def _close_bar(self) -> None:
        self._end_reading()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _end_reading(self) -> None:
        if self._rows and _moves() and not self._manner.quiet:
            click.echo(err=True)
        self._rows = 0


def _agreed(question: str) -> bool:
    """The user's word; Ctrl-C, and the end of the input, say no, so that the report is written all the same."""
    try:
        return click.confirm(question, default=False, err=True)
    except click.Abort:
        click.echo(err=True)
        return False


def duration(seconds: float) -> str:
    """A time to wait, to two units: ``28 h 10 min``."""
    left = round(seconds)
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def refuse_silence() -> NoReturn:
    """Where nobody can be asked and --yes was not given."""
    raise UsageError(
        "a live run asks before it sends, and there is no terminal to ask on",
        hint="give --yes if this is meant, or rehearse with --sandbox",
    )


def _moves() -> bool:
    """Whether a line can be written over and over."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def progress_line(progress: Progress) -> str:
    """How delivery stands, for a log."""
    done = progress.sent + progress.refused + progress.failed + progress.in_doubt
    return f"{done:,} of {done + progress.left:,} events done; {_details(progress)}"


def _details(progress: Progress) -> str:
    """What it waits for, or how long it will take; what went wrong; the pace. The most important comes first."""
    pace = progress.pace
    words = []
    if pace.waiting_for:
        told = pace.wait_until is None or "next try" in pace.waiting_for
        wait = "" if told else f", {duration(max(0.0, (pace.wait_until or 0.0) - time.time()))}"
        words.append(f"{pace.waiting_for}{wait}")
    elif pace.rate and progress.left:
        words.append(f"{duration(progress.left / pace.rate)} left")
    for count, name in ((progress.refused, "refused"), (progress.in_doubt, "in doubt"), (progress.failed, "failed")):
        if count:
            words.append(f"{count:,} {name}")
    if pace.rate and not pace.waiting_for:
        words.append(f"{pace.rate * 60:,.0f}/min")
    if pace.limit is not None:
        words.append(f"limit {pace.limit}/min, {pace.remaining} left")
    return ", ".join(words) or "sending"


def _trouble(result: Result) -> str:
    """One line for those who want to hear of trouble alone."""
    counts = result.written.counts
    states = (State.INVALID, State.REFUSED, State.FAILED, State.IN_DOUBT, State.PENDING)
    found = ", ".join(f"{counts[state]:,} {state.value.replace('_', ' ')}" for state in states if counts[state])
    what = found or "a source was not read to its end, or the books do not balance"
    return (
        f"warning: run {result.run.id}: of {counted(counts.read, 'row')} {what}; see {result.written.paths[0].parent}"
    )


def _forecast_line(forecast: Forecast) -> str:
    outlook = forecast.outlook
    time_needed = "" if forecast.seconds is None else f", about {duration(forecast.seconds)}"
    people = counted(outlook.subscribers, "subscriber")
    return f"run {forecast.run.id}: {counted(outlook.events, 'event')} to {people}{time_needed}"


def _forecast_text(forecast: Forecast) -> str:
    outlook = forecast.outlook
    where = "the sandbox on this machine" if forecast.rehearsal else forecast.endpoint
    most = f"; most for one: {outlook.most_for_one:,} ({outlook.most_subscriber})" if outlook.events else ""
    lines = [
        f"run {forecast.run.id} is about to send to {where}:",
        f"  events       {outlook.events:,}",
        f"  subscribers  {outlook.subscribers:,}{most}",
        "  types        " + ", ".join(f"{name} ({count:,})" for name, count in outlook.types),
    ]
    for currency, count, total in outlook.totals:
        lines.append(f"  value        {total} {currency or '(no currency)'} in {counted(count, 'event')}")
    if outlook.oldest is not None and outlook.newest is not None:
        lines.append(f"  source time  {_day(outlook.oldest)} to {_day(outlook.newest)}")
    if forecast.limit is not None and forecast.seconds is not None:
        lines.append(
            f"  will take    about {duration(forecast.seconds)} at {counted(forecast.limit, 'request')} a minute"
        )
    elif not forecast.rehearsal:
        lines.append("  will take    unknown: the API did not tell its limit")
    if not forecast.rehearsal:
        lines.append("Each event is recorded as happening now, and can start automations:\ne-mails to real people.")
    return "\n".join(lines)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
