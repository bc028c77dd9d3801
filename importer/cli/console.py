"""The consoles: what a command says on stderr while it works, to a person, into a log, or to a program.

stdout carries data alone. A terminal gets a progress bar; a log gets a line now and then, so that a run of weeks leaves
some dozens of lines.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import textwrap
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from importer.child import tokens
from importer.cli.options import fields_of
from importer.errors import ExitCode, ImporterError, UsageError
from importer.wording import counted, duration, iso, shown, shown_json, shown_lines

if TYPE_CHECKING:
    from tqdm import tqdm

    from importer.deliver import Progress
    from importer.metrics import Metrics
    from importer.pipeline.console import AccountsResult, Console, Forecast, Result
    from importer.report import Written
    from importer.report.accounts import AccountsReport

_BAR = "{percentage:3.0f}%|{bar:6}| {desc}"
"""The most important words come first: a narrow screen cuts the end, and nothing wraps."""

_SHORTEST_SECRET = 8
"""A token shorter than this is an everyday word, and is not masked."""


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """How a command speaks."""

    yes: bool
    quiet: bool = False
    verbose: bool = False
    log_format: str = "text"
    metrics: Path | None = None
    metrics_port: int | None = None
    account: str = "default"
    output_format: str = "text"
    """``json``: the summary also goes to stdout."""
    brief: bool = False
    """One of many runs: the plan takes one line."""
    timed: bool = False
    """The log of a service: every line begins with the time, and each file has its own line instead of a summary."""

    @classmethod
    def of(cls, given: dict[str, Any]) -> ConsoleOptions:
        """From all options of a command. Raises `UsageError` for --quiet with --verbose."""
        if given["quiet"] and given["verbose"]:
            raise UsageError("--quiet and --verbose exclude each other", hint="give one of them")
        return cls(**fields_of(cls, given))

    def console(self) -> TerminalConsole | JsonConsole:
        """The console that the options ask for."""
        return JsonConsole(self) if self.log_format == "json" else TerminalConsole(self)

    def print_summary(self, made: Written | AccountsReport) -> None:
        """Print ``summary.json`` to stdout, if asked for."""
        if self.output_format == "json":
            from importer.report import summary_bytes

            print_json(summary_bytes(made.summary))

    def open_metrics(self) -> Metrics | None:
        """The metrics, if asked for. Raises `UsageError` if their file cannot be written, or their port is taken."""
        if self.metrics is None and self.metrics_port is None:
            return None
        from importer.metrics import Metrics

        metrics = Metrics(self.metrics, self.account)
        metrics.write()
        if self.metrics_port is not None:
            metrics.serve(self.metrics_port)
        return metrics


def finish(work: Callable[[Console], Result | AccountsResult], options: ConsoleOptions) -> int:
    """Do the work with a console, which says what became of every row; returns the exit code."""
    console = options.console()
    metrics = None
    try:
        metrics = options.open_metrics()
        return int(work(metrics.console(console) if metrics else console).exit_code)
    except ImporterError as error:
        if metrics:
            metrics.end(error.exit_code)
        console.close()
        console.fail(error)
        return int(error.exit_code)
    finally:
        console.close()


def print_json(data: bytes) -> None:
    """Write lines of JSON to stdout, in UTF-8; invisible characters are escaped, which changes no value."""
    sys.stdout.buffer.write(shown_json(data))
    sys.stdout.buffer.flush()


class ProgressThrottle:
    """Says when a log gets its next line: after 30 s at first, then ever more rarely, at least once an hour."""

    FIRST, LAST, VERBOSE = 30.0, 3600.0, 5.0
    """Seconds between two lines: at first, at most, and with --verbose."""
    SHARE = 0.25
    """The pause grows to this share of the time that has passed."""
    ORDINARY = ("limit reached", "the API said 429")
    """Waits that happen every minute: the regular lines show them."""

    def __init__(self, now: float, *, verbose: bool = False) -> None:
        self._began = self._said = now
        self._verbose = verbose
        self._trouble = ""

    def due(self, now: float) -> bool:
        """Whether it is time for the next line, in monotonic seconds; a yes counts as that line."""
        pause = self.VERBOSE if self._verbose else min(self.LAST, max(self.FIRST, (now - self._began) * self.SHARE))
        if now - self._said < pause:
            return False
        self._said = now
        return True

    def turned(self, progress: Progress) -> str | None:
        """The wait that has begun, or an empty text if it has ended; None while nothing changes."""
        words = progress.pace.waiting_for
        trouble = words.partition(",")[0]  # the rest counts seconds
        if trouble.startswith(self.ORDINARY) and not self._verbose:
            trouble = ""
        if trouble == self._trouble:
            return None
        self._trouble = trouble
        return words if trouble else ""


class _Spoken(ABC):
    """What both consoles do; see `importer.pipeline.console.Console`. Notes are what is said of its own accord."""

    def __init__(self, options: ConsoleOptions, account: str = "") -> None:
        """``account``: of several, which every message names."""
        self._options = options
        self._account = account
        self._rows = 0
        """Read so far."""
        self._throttle = ProgressThrottle(time.monotonic(), verbose=options.verbose)

    def read(self, rows: int) -> None:
        """Count rows as they are read, and say how many now and then."""
        self._rows += rows
        if self._throttle.due(time.monotonic()):
            self._note("info", "reading", f"{counted(self._rows, 'row')} so far", rows=self._rows)

    def watch(self, progress: Progress) -> None:
        """Say now and then how far a delivery is, and when it begins or ends to wait."""
        if (turned := self._throttle.turned(progress)) is not None:
            level, words = ("warning", turned) if turned else ("info", "sending again")
            self._note(level, "wait", words, **_figures(progress))
        elif self._throttle.due(time.monotonic()):
            self._note("info", "progress", progress_line(progress), **_figures(progress))

    def require_answer(self) -> None:
        """Raise `UsageError` where no one can answer and --yes was not given."""
        if not self._options.yes and not self._can_ask():
            refuse_without_terminal()

    def _can_ask(self) -> bool:
        return False

    @abstractmethod
    def _note(self, level: str, event: str, words: str, **figures: Any) -> None:
        """Show a note; ``figures`` is for machines."""


class TerminalConsole(_Spoken):
    """A person at a terminal, or a log file in the terminal's place."""

    _bar: tqdm[None] | None = None
    _whole: TerminalConsole | None = None
    """Of one of several accounts: the console of all, which shows their progress as one."""

    def of(self, account: str) -> Console:
        """The same person; each message names the account."""
        one = TerminalConsole(self._options, account)
        one._whole = self._whole or self
        return one

    def say(self, text: str) -> None:
        """Print a message, above the progress bar if there is one."""
        level, rest = _level(text)
        if self._account:
            text = f"{self._account}: {text}" if level == "info" else f"{level}: {self._account}: {rest}"
        if not self._options.quiet or level != "info":
            (self._whole or self).close()
            self._print(on_screen(text))

    def _print(self, text: str) -> None:
        if self._options.timed:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S  ")
            text = "\n".join(stamp + line for line in text.split("\n") if line)
        click.echo(text, err=True)

    def _note(self, level: str, event: str, words: str, **figures: Any) -> None:
        del level, figures
        if not self._options.quiet:
            self._print(f"reading: {words}" if event == "reading" else shown(words))

    def _can_ask(self) -> bool:
        return sys.stdin.isatty()

    def read(self, rows: int) -> None:
        """Count rows as they are read."""
        if self._options.quiet or not _rewrites_lines():
            super().read(rows)
            return
        self._rows += rows
        click.echo(f"\rreading: {counted(self._rows, 'row')}", err=True, nl=False)

    def watch(self, progress: Progress) -> None:
        """Show the progress of a delivery."""
        if self._options.quiet or self._whole:
            return
        if not _rewrites_lines():
            super().watch(progress)
            return
        done = _done(progress)
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=done + progress.left, file=sys.stderr, dynamic_ncols=True, bar_format=_BAR)
        self._bar.n = done
        self._bar.set_description_str(progress_line(progress), refresh=True)

    def confirm(self, forecast: Forecast) -> bool:
        """Show what is about to be sent, and ask unless --yes was given; a rehearsal needs no question."""
        from importer.cli.forecast import forecast_line, forecast_lines

        lines = [forecast_line(forecast)] if self._options.brief else forecast_lines(forecast)
        return self._agreed(lines, "Send these events now?", rehearsal=forecast.rehearsal)

    def confirm_all(self, accounts: Sequence[tuple[str, Forecast | str]], *, rehearsal: bool) -> bool:
        """Show what each account is about to send, in one table, and ask once."""
        from importer.cli.forecast import accounts_lines

        lines = list(accounts_lines(accounts, rehearsal=rehearsal))
        question = "Send the events of these accounts now?"
        return self._agreed(lines[:1] if self._options.brief else lines, question, rehearsal=rehearsal)

    def _agreed(self, lines: Iterable[str], question: str, *, rehearsal: bool) -> bool:
        self._end_reading()
        asks = not (self._options.yes or rehearsal)
        if asks or not self._options.quiet:
            self._print(shown_lines("\n".join(lines)))
        return not asks or _agreed(question)

    def confirm_more(self, sent: int) -> bool:
        """After ``--first``: ask whether to send the rest."""
        self.close()
        if self._options.yes and not self._can_ask():
            return False
        return _agreed(f"{counted(sent, 'event')} sent, as --first asks. Send the rest?")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._end_reading()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _end_reading(self) -> None:
        if self._rows and _rewrites_lines() and not self._options.quiet:
            click.echo(err=True)
        self._rows = 0

    def fail(self, error: ImporterError) -> None:
        """Leave the words to the caller."""
        raise error

    def conclude(self, result: Result) -> None:
        """Show what became of every row; keep a rehearsal's page alive until Enter.

        Of one of several accounts, only that it was stopped: how they ended is shown together.
        """
        from importer.report import render_summary

        if self._whole:
            if result.ended.reason:
                self.say(f"warning: stopped: {result.ended.reason}")
            return
        self.close()
        if self._options.timed:
            return
        self._options.print_summary(result.written)
        if result.ended.reason:
            hint = f"\n\nhint: {result.ended.hint}" if result.ended.hint else ""
            click.echo(on_screen(f"\nstopped: {result.ended.reason}{hint}"), err=True)
        if not self._options.quiet:
            click.echo("\n" + render_summary(result.written, colour=in_colour()), err=True, nl=False)
        elif result.exit_code is ExitCode.INCOMPLETE:
            click.echo(on_screen(_trouble(result)), err=True)
        if result.page and not self._options.yes and self._can_ask() and sys.stderr.isatty():
            click.echo(f"\n{result.page} shows what arrived; Enter closes it", err=True)
            with suppress(KeyboardInterrupt):
                sys.stdin.readline()

    def conclude_all(self, result: AccountsResult) -> None:
        """Show what became of every row, by account."""
        from importer.report.accounts import render_accounts

        self.close()
        if self._options.timed:
            return
        self._options.print_summary(result.report)
        if not self._options.quiet or result.exit_code:
            click.echo("\n" + on_screen(render_accounts(result.report)), err=True, nl=False)


class JsonConsole(_Spoken):
    """One JSON object a line, for programs: ``time`` (ISO 8601, UTC), ``level``, ``event``, ``message``, and figures.

    It asks no question: without --yes only rehearsals go on.
    """

    def of(self, account: str) -> Console:
        """A console whose lines name the account."""
        return JsonConsole(dataclasses.replace(self._options, output_format="text"), account)

    def say(self, text: str) -> None:
        """Write a message."""
        level, text = _level(text)
        self._note(level, "said", text)

    def confirm(self, forecast: Forecast) -> bool:
        """Write what is about to be sent."""
        outlook = forecast.outlook
        figures = {name: getattr(outlook, name) for name in ("events", "subscribers", "most_for_one")}
        figures |= {name: getattr(forecast, name) for name in ("limit", "seconds", "rehearsal")}
        words = f"{outlook.events:,} events to {outlook.subscribers:,} subscribers"
        self._note("info", "plan", words, run=forecast.run.id, **figures)
        return self._options.yes or forecast.rehearsal

    def confirm_all(self, accounts: Sequence[tuple[str, Forecast | str]], *, rehearsal: bool) -> bool:
        """Write what each account is about to send."""
        for name, forecast in accounts:
            if isinstance(forecast, str):
                self._note("warning", "plan", f"sends nothing: {forecast}", account=name)
            else:
                JsonConsole(self._options, name).confirm(forecast)
        return self._options.yes or rehearsal

    def confirm_more(self, sent: int) -> bool:
        """Stop after the first events: no person has looked at them."""
        del sent
        return False

    def close(self) -> None:
        """Do nothing: no line stays open."""

    def fail(self, error: ImporterError) -> None:
        """Write why the command cannot go on."""
        self._note("error", "error", error.message, hint=error.hint, exit_code=int(error.exit_code))

    def conclude(self, result: Result) -> None:
        """Write what became of the rows."""
        ended = {"stopped": result.ended.reason or None, "hint": result.ended.hint or None}
        self._conclude("summary", result, result.written, **ended)

    def conclude_all(self, result: AccountsResult) -> None:
        """Write what became of the rows of all accounts."""
        codes = {one.account: one.exit_code for one in result.report.summary.accounts}
        self._conclude("accounts", result, result.report, accounts=codes)

    def _conclude(
        self, event: str, result: Result | AccountsResult, made: Written | AccountsReport, **more: Any
    ) -> None:
        if self._options.timed:
            return
        self._options.print_summary(made)
        summary, code = made.summary, int(result.exit_code)
        figures = {"run": summary.run, "rows": dict(summary.rows), "balanced": summary.balanced, **more}
        level, words = "warning" if code else "info", f"run {summary.run}: {summary.state}"
        self._note(level, event, words, **figures, reports=list(map(str, made.paths)), exit_code=code)

    def _note(self, level: str, event: str, words: str, **figures: Any) -> None:
        if self._options.quiet and level == "info":
            return
        account = {"account": self._account} if self._account else {}
        line = {"time": iso(time.time()), "level": level, "event": event, **account, "message": masked(words)}
        click.echo(json.dumps({**line, **figures}, ensure_ascii=True), file=sys.stderr)


def _level(text: str) -> tuple[str, str]:
    """``warning`` or ``error``, as a message begins, or ``info``; and the message without it."""
    level, colon, rest = text.partition(": ")
    return (level, rest) if colon and level in ("warning", "error") else ("info", text)


def masked(text: str) -> str:
    """The text without the API token, which a user's own function may have put into its error."""
    for token in tokens():
        text = text.replace(token, "(the token)") if len(token) >= _SHORTEST_SECRET else text
    return text


def on_screen(text: str) -> str:
    """The text without its secrets and control characters; on a terminal broken between words.

    A log in the terminal's place gets each paragraph as one line, so that it can be searched.
    """
    text = shown_lines(masked(text))
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(wrapped(line, width, "    " if line.startswith("  ") else "") for line in text.split("\n"))


def wrapped(line: str, width: int, margin: str, first: str = "") -> str:
    """The line broken between words, ``margin`` before all lines but the first."""
    return textwrap.fill(
        line, width, initial_indent=first, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )


def refuse_without_terminal() -> NoReturn:
    """Raise the `UsageError` of a live run that cannot ask."""
    raise UsageError(
        "a live run asks before it sends, and there is no terminal to ask on",
        hint="give --yes if this is meant, or rehearse with --sandbox",
    )


def progress_line(progress: Progress) -> str:
    """How far a delivery is: ``264 of 303 · 54 a minute of 60 allowed · 41 s left``; waits come first."""
    done = _done(progress)
    pace = progress.pace
    words = [f"{done:,} of {done + progress.left:,}"]
    if pace.waiting_for:
        says_when = pace.wait_until is None or "next try" in pace.waiting_for
        rest = "" if says_when else f", {duration(max(0.0, (pace.wait_until or 0.0) - time.time()))}"
        words.append(f"{shown(pace.waiting_for)}{rest}")
    elif pace.rate:
        allowed = "" if pace.limit is None else f" of {pace.limit:,} allowed"
        words.append(f"{pace.rate * 60:,.0f} a minute{allowed}")
        if progress.left:
            words.append(f"{duration(progress.left / pace.rate)} left")
    troubles = ((progress.refused, "refused"), (progress.in_doubt, "in doubt"), (progress.failed, "failed"))
    words += [f"{count:,} {name}" for count, name in troubles if count]
    return " · ".join(words)


def _done(progress: Progress) -> int:
    return progress.sent + progress.refused + progress.failed + progress.in_doubt


def _figures(progress: Progress) -> dict[str, Any]:
    figures = {name: getattr(progress, name) for name in progress.__struct_fields__ if name != "pace"}
    return figures | {name: getattr(progress.pace, name) for name in ("rate", "limit", "remaining", "waiting_for")}


def _trouble(result: Result) -> str:
    """The one line of --quiet about rows that were not delivered."""
    from importer.cli.forecast import counts_in_words
    from importer.model import State

    counts = result.written.counts
    found = counts_in_words(counts, State.INVALID, State.REFUSED, State.FAILED, State.IN_DOUBT, State.PENDING)
    what = found or "a source was not read to its end, or the totals do not add up"
    failure, paths = result.written.failure, result.written.paths
    see = f"{failure.message}; {failure.hint}" if failure else f"see {paths[0].parent}"
    return f"warning: run {result.run.id}: of {counted(counts.read, 'row')} {what}; {see}"


def in_colour() -> bool:
    """Whether states are shown in colours: on a terminal, unless NO_COLOR asks for none."""
    return _rewrites_lines() and not os.environ.get("NO_COLOR")


def _agreed(question: str) -> bool:
    """The user's answer; Ctrl-C and the end of the input mean no, so that the report is written all the same."""
    try:
        return click.confirm(question, default=False, err=True)
    except click.Abort:
        click.echo(err=True)
        return False


def _rewrites_lines() -> bool:
    """Whether stderr is a terminal that can write a line over and over."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
