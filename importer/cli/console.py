"""The consoles: what a command says on stderr while it works, to a person, into a log, or to a program.

stdout carries data alone. A terminal gets a progress bar; a log gets a line now and then, so that a run of weeks leaves
some dozens of lines.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from importer.child import tokens
from importer.cli.options import fields_of
from importer.errors import ExitCode, ImporterError, UsageError
from importer.wording import brief, counted, duration, event_in_words, shown, shown_json, shown_lines

if TYPE_CHECKING:
    from tqdm import tqdm

    from importer.deliver import Progress
    from importer.metrics import Metrics
    from importer.model import Counts, State
    from importer.pipeline.accounts import AccountsConsole, AccountsResult
    from importer.pipeline.options import Console, Forecast
    from importer.pipeline.program import Result

_VALUES = 6
"""Types and currencies whose values are shown before a live run."""
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
    account: str = "default"
    output_format: str = "text"
    """``json``: the summary also goes to stdout."""
    brief: bool = False
    """One of many runs: the plan takes one line."""
    timed: bool = False
    """Every line begins with the time, as in a service's log."""

    @classmethod
    def of(cls, given: dict[str, Any]) -> ConsoleOptions:
        """From all options of a command. Raises `UsageError` for --quiet with --verbose."""
        if given["quiet"] and given["verbose"]:
            raise UsageError("--quiet and --verbose exclude each other", hint="give one of them")
        return cls(**fields_of(cls, given))

    def console(self) -> TerminalConsole | JsonConsole:
        """The console that the options ask for."""
        return JsonConsole(self) if self.log_format == "json" else TerminalConsole(self)

    def print_summary(self, result: Result | AccountsResult) -> None:
        """Print the summary to stdout, if asked for."""
        if self.output_format == "json":
            print_json(result.summary_bytes())

    def open_metrics(self) -> Metrics | None:
        """The metrics, if asked for. Raises `UsageError` if their file cannot be written."""
        if self.metrics is None:
            return None
        from importer.metrics import Metrics

        metrics = Metrics(self.metrics, self.account)
        metrics.write()
        return metrics


def finish(work: Callable[[AccountsConsole], Result | AccountsResult], options: ConsoleOptions) -> int:
    """Do the work with a console, which says what became of every row; returns the exit code."""
    console = options.console()
    metrics = None
    try:
        metrics = options.open_metrics()
        result = work(metrics.console(console) if metrics else console)
    except ImporterError as error:
        console.close()
        if metrics:
            metrics.end(error.exit_code)
        console.fail(error)
        return int(error.exit_code)
    finally:
        console.close()
    return int(result.exit_code)


def print_json(data: bytes) -> None:
    """Write lines of JSON to stdout, whatever its encoding; what is invisible is escaped, which changes no value."""
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


class _Spoken:
    """What both consoles have; see `importer.pipeline.options.Console`."""

    def __init__(self, options: ConsoleOptions) -> None:
        self._options = options
        self._rows = 0
        """Read so far."""
        self._throttle = ProgressThrottle(time.monotonic(), verbose=options.verbose)


class TerminalConsole(_Spoken):
    """A person at a terminal, or a log file in the terminal's place."""

    _bar: tqdm[None] | None = None

    def say(self, text: str) -> None:
        """Print a message, above the progress bar if there is one."""
        if self._options.quiet and not text.startswith(("warning", "error")):
            return
        self._close_bar()
        self._print(on_screen(text))

    def _print(self, text: str) -> None:
        if self._options.timed:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S  ")
            text = "\n".join(stamp + line for line in text.split("\n") if line)
        click.echo(text, err=True)

    def read(self, rows: int) -> None:
        """Count rows as they are read."""
        self._rows += rows
        if self._options.quiet:
            return
        if _rewrites_lines():
            click.echo(f"\rreading: {counted(self._rows, 'row')}", err=True, nl=False)
        elif self._throttle.due(time.monotonic()):
            self._print(f"reading: {counted(self._rows, 'row')} so far")

    def require_answer(self) -> None:
        """Raise `UsageError` where no terminal can answer and --yes was not given."""
        if not self._options.yes and not sys.stdin.isatty():
            refuse_without_terminal()

    def confirm(self, forecast: Forecast) -> bool:
        """Show what is about to be sent, and ask unless --yes was given; a rehearsal needs no question."""
        self._end_reading()
        asks = not (self._options.yes or forecast.rehearsal)
        if asks or not self._options.quiet:
            text = _forecast_line(forecast) if self._options.brief else _forecast_text(forecast)
            self._print(shown_lines(text))
        return not asks or _agreed("Send these events now?")

    def confirm_more(self, sent: int) -> bool:
        """After ``--first``: ask whether to send the rest."""
        self._close_bar()
        if self._options.yes and not sys.stdin.isatty():
            return False
        return _agreed(f"{counted(sent, 'event')} sent, as --first asks. Send the rest?")

    def watch(self, progress: Progress) -> None:
        """Show the progress of a delivery."""
        if self._options.quiet:
            return
        if _rewrites_lines():
            self._show_bar(progress)
        elif (turned := self._throttle.turned(progress)) is not None:
            self._print(shown(turned) or "sending again")
        elif self._throttle.due(time.monotonic()):
            self._print(progress_line(progress))

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._close_bar()

    def fail(self, error: ImporterError) -> None:
        """Leave the words to the caller."""
        raise error

    def conclude(self, result: Result) -> None:
        """Show what became of every row; keep a rehearsal's page alive until Enter."""
        from importer.report import render_summary

        self._close_bar()
        if self._options.timed:  # the log of a service, in which each file has its line
            return
        self._options.print_summary(result)
        if result.ended.reason:
            click.echo(on_screen(f"\nstopped: {result.ended.reason}"), err=True)
            if result.ended.hint:
                click.echo(on_screen(f"\nhint: {result.ended.hint}"), err=True)
        if not self._options.quiet:
            click.echo(err=True)
            click.echo(render_summary(result.written, colour=in_colour()), err=True, nl=False)
        elif result.exit_code is ExitCode.INCOMPLETE:
            click.echo(on_screen(_trouble(result)), err=True)
        if result.page and not self._options.yes and sys.stdin.isatty() and sys.stderr.isatty():
            click.echo(f"\n{result.page} shows what arrived; Enter closes it", err=True)
            with suppress(KeyboardInterrupt):
                sys.stdin.readline()

    def of(self, account: str) -> Console:
        """The same person; each message names the account."""
        return _AccountConsole(self, account)

    def confirm_all(self, accounts: Sequence[tuple[str, Forecast | str]], *, rehearsal: bool) -> bool:
        """Show what each account is about to send, in one table, and ask once."""
        self._end_reading()
        asks = not (self._options.yes or rehearsal)
        if asks or not self._options.quiet:
            table = list(_accounts_table(accounts, rehearsal=rehearsal))
            self._print(shown_lines("\n".join(table[:1] if self._options.brief else table)))
        return not asks or _agreed("Send the events of these accounts now?")

    def conclude_all(self, result: AccountsResult) -> None:
        """Show what became of every row, by account."""
        from importer.report.accounts import render_accounts

        self._close_bar()
        if self._options.timed:  # the log of a service, in which each file has its line
            return
        self._options.print_summary(result)
        if not self._options.quiet or result.exit_code:
            click.echo(err=True)
            click.echo(on_screen(render_accounts(result.report)), err=True, nl=False)

    def _show_bar(self, progress: Progress) -> None:
        done = _done(progress)
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=done + progress.left, file=sys.stderr, dynamic_ncols=True, bar_format=_BAR)
        self._bar.n = done
        self._bar.set_description_str(progress_line(progress), refresh=True)

    def _close_bar(self) -> None:
        self._end_reading()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _end_reading(self) -> None:
        if self._rows and _rewrites_lines() and not self._options.quiet:
            click.echo(err=True)
        self._rows = 0


class _AccountConsole:
    """A console's messages on one account; see `importer.pipeline.options.Console`."""

    def __init__(self, console: TerminalConsole, account: str) -> None:
        self._console = console
        self._account = account
        self.require_answer = console.require_answer
        self.confirm = console.confirm
        self.confirm_more = console.confirm_more
        self.read = console.read

    def say(self, text: str) -> None:
        """Print a message that names the account."""
        level, colon, rest = text.partition(": ")
        known = colon and level in ("warning", "error")
        self._console.say(f"{level}: {self._account}: {rest}" if known else f"{self._account}: {text}")

    def watch(self, progress: Progress) -> None:
        """Show nothing: the progress of all accounts is shown as one."""

    def conclude(self, result: Result) -> None:
        """Say that the account was stopped; how the others ended is shown at the end."""
        if result.ended.reason:
            self.say(f"warning: stopped: {result.ended.reason}")


class JsonConsole(_Spoken):
    """One JSON object a line, for programs: ``time`` (ISO 8601, UTC), ``level``, ``event``, ``message``, and figures.

    It asks no question: without --yes only rehearsals go on.
    """

    def __init__(self, options: ConsoleOptions, account: str = "") -> None:
        """``account``: of several, which every line names."""
        super().__init__(options)
        self._account = {"account": account} if account else {}

    def of(self, account: str) -> Console:
        """A console whose lines name the account."""
        return JsonConsole(dataclasses.replace(self._options, output_format="text"), account)

    def confirm_all(self, accounts: Sequence[tuple[str, Forecast | str]], *, rehearsal: bool) -> bool:
        """Write what each account is about to send."""
        for name, forecast in accounts:
            if isinstance(forecast, str):
                self._write("warning", "plan", f"sends nothing: {forecast}", account=name)
            else:
                JsonConsole(self._options, name).confirm(forecast)
        return self._options.yes or rehearsal

    def conclude_all(self, result: AccountsResult) -> None:
        """Write what became of the rows of all accounts."""
        if self._options.timed:  # the log of a service, in which each file has its line
            return
        self._options.print_summary(result)
        summary = result.report.summary
        self._write(
            "info" if summary.exit_code == 0 else "warning",
            "accounts",
            f"run {summary.run}: {summary.state}",
            run=summary.run,
            rows=dict(summary.rows),
            balanced=summary.balanced,
            accounts={one.account: one.exit_code for one in summary.accounts},
            reports=[str(path) for path in result.report.paths],
            exit_code=int(result.exit_code),
        )

    def say(self, text: str) -> None:
        """Write a message."""
        level, _, rest = text.partition(": ")
        level, text = (level, rest) if level in ("warning", "error") else ("info", text)
        self._write(level, "said", text)

    def read(self, rows: int) -> None:
        """Count rows as they are read."""
        self._rows += rows
        if self._throttle.due(time.monotonic()):
            self._write("info", "reading", f"{self._rows:,} rows so far", rows=self._rows)

    def require_answer(self) -> None:
        """Raise `UsageError` unless --yes was given."""
        if not self._options.yes:
            refuse_without_terminal()

    def confirm(self, forecast: Forecast) -> bool:
        """Write what is about to be sent."""
        outlook = forecast.outlook
        self._write(
            "info",
            "plan",
            f"{outlook.events:,} events to {outlook.subscribers:,} subscribers",
            run=forecast.run.id,
            events=outlook.events,
            subscribers=outlook.subscribers,
            most_for_one=outlook.most_for_one,
            limit=forecast.limit,
            seconds=forecast.seconds,
            rehearsal=forecast.rehearsal,
        )
        return self._options.yes or forecast.rehearsal

    def confirm_more(self, sent: int) -> bool:
        """Stop after the first events: no person has looked at them."""
        del sent
        return False

    def watch(self, progress: Progress) -> None:
        """Write the progress of a delivery now and then."""
        if (turned := self._throttle.turned(progress)) is not None:
            level, words = ("warning", turned) if turned else ("info", "sending again")
            self._write(level, "wait", words, **_figures(progress))
        elif self._throttle.due(time.monotonic()):
            self._write("info", "progress", progress_line(progress), **_figures(progress))

    def close(self) -> None:
        """Do nothing: no line stays open."""

    def fail(self, error: ImporterError) -> None:
        """Write why the command cannot go on."""
        self._write("error", "error", error.message, hint=error.hint, exit_code=int(error.exit_code))

    def conclude(self, result: Result) -> None:
        """Write what became of the rows."""
        if self._options.timed:  # the log of a service, in which each file has its line
            return
        self._options.print_summary(result)
        summary = result.written.summary
        code = int(result.exit_code)
        self._write(
            "info" if code == 0 else "warning",
            "summary",
            f"run {summary.run}: {summary.state}",
            run=summary.run,
            rows=dict(summary.rows),
            balanced=summary.balanced,
            stopped=result.ended.reason or None,
            hint=result.ended.hint or None,
            reports=[str(path) for path in result.written.paths],
            exit_code=code,
        )

    def _write(self, level: str, event: str, message: str, **more: Any) -> None:
        if self._options.quiet and level == "info":
            return
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": moment, "level": level, "event": event, **self._account, "message": masked(message), **more}
        click.echo(json.dumps(line, ensure_ascii=True), file=sys.stderr)


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
    import shutil

    return "\n".join(_wrapped(line, shutil.get_terminal_size().columns) for line in text.split("\n"))


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
    figures = dataclasses.asdict(progress)
    pace = figures.pop("pace")
    return {**figures, **{name: pace[name] for name in ("rate", "limit", "remaining", "waiting_for")}}


def _trouble(result: Result) -> str:
    """The one line of --quiet about rows that were not delivered."""
    from importer.model import State

    counts = result.written.counts
    found = _in_words(counts, State.INVALID, State.REFUSED, State.FAILED, State.IN_DOUBT, State.PENDING)
    what = found or "a source was not read to its end, or the totals do not add up"
    failure, paths = result.written.failure, result.written.paths
    see = f"{failure.message}; {failure.hint}" if failure else f"see {paths[0].parent}"
    return f"warning: run {result.run.id}: of {counted(counts.read, 'row')} {what}; {see}"


def in_colour() -> bool:
    """Whether states are shown in colours: on a terminal, unless NO_COLOR asks for none."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _forecast_line(forecast: Forecast) -> str:
    outlook = forecast.outlook
    time_needed = "" if forecast.seconds is None else f", about {duration(forecast.seconds)}"
    people = counted(outlook.subscribers, "subscriber")
    return f"run {forecast.run.id}: {counted(outlook.events, 'event')} to {people}{time_needed}"


def _forecast_text(forecast: Forecast) -> str:
    from importer.report.words import amount

    outlook = forecast.outlook
    where = "the sandbox on this machine" if forecast.rehearsal else forecast.endpoint
    most = f"; most for one: {outlook.most_for_one:,} ({shown(outlook.most_subscriber)})" if outlook.events else ""
    lines = [
        f"run {forecast.run.id} is about to send to {where}:",
        f"  events       {outlook.events:,}{_left_out(forecast)}",
        *_parts(forecast),
        f"  subscribers  {outlook.subscribers:,}{most}",
        "  types        " + ", ".join(f"{shown(name)} ({count:,})" for name, count in outlook.types),
    ]
    for kind, currency, count, total in outlook.totals[:_VALUES]:
        worth = f"{amount(total, currency, named=False)} {shown(currency) or '(no currency)'}"
        lines.append(f"  value        {worth} in {counted(count, 'event')} of type {shown(kind)}")
    if (more := len(outlook.totals) - _VALUES) > 0:
        lines.append(f"               … and {more:,} more types or currencies")
    if outlook.oldest is not None and outlook.newest is not None:
        days = (time.strftime("%Y-%m-%d", time.gmtime(moment)) for moment in (outlook.oldest, outlook.newest))
        lines.append(f"  source time  {' to '.join(days)}")
    if forecast.limit is not None and forecast.seconds is not None:
        pace = counted(forecast.limit, "request")
        lines.append(f"  will take    about {duration(forecast.seconds)} at {pace} a minute")
    elif not forecast.rehearsal:
        lines.append("  will take    unknown: the API did not name its limit")
    if not forecast.rehearsal:
        example = event_in_words(outlook.example) if outlook.example else []
        lines += ["  one of them"] + [f"    {brief(line, 74)}" for line in example]
        lines.append("Each event is recorded as happening now, and can start automations:\ne-mails to real people.")
    return "\n".join(lines)


def _accounts_table(accounts: Sequence[tuple[str, Forecast | str]], *, rehearsal: bool) -> Iterator[str]:
    """What each account is about to send: events, subscribers, value per currency, and how long it takes."""
    from importer.report.words import amount

    where = "the sandbox on this machine" if rehearsal else "the API"
    ready = [forecast for _, forecast in accounts if not isinstance(forecast, str)]
    yield f"{counted(len(ready), 'account')} {'is' if len(ready) == 1 else 'are'} about to send to {where}:"
    wide = max(len(name) for name, _ in accounts)
    for name, forecast in accounts:
        if isinstance(forecast, str):
            yield f"  {name:<{wide}}  sends nothing: {shown(forecast)}"
            continue
        outlook, sums = forecast.outlook, dict[str, Decimal]()
        for _, currency, _, total in outlook.totals:
            sums[currency] = sums.get(currency, Decimal()) + Decimal(total)
        worth = [amount(str(total), currency) if currency else str(total) for currency, total in sums.items()]
        needed = "" if forecast.seconds is None else f"about {duration(forecast.seconds)}"
        parts = [counted(outlook.events, "event"), counted(outlook.subscribers, "subscriber"), *worth, needed]
        left_out = _left_out(forecast).partition("; ")[2]
        yield f"  {name:<{wide}}  {', '.join(filter(None, parts))}{left_out and f' ({left_out})'}"
    if not rehearsal:
        yield "Each event is recorded as happening now, and can start automations:\ne-mails to real people."


def _parts(forecast: Forecast) -> Iterator[str]:
    """What --first and --max-events make of it."""
    events, first, most = forecast.outlook.events, forecast.first, forecast.most
    if most is not None and most < events:
        yield f"  in all now   {most:,} of them (--max-events); {events - most:,} wait for `importer resume`"
    if first is not None and first < min(events, most or events):
        yield f"  at first     {first:,} of them (--first); then it asks again"


def _left_out(forecast: Forecast) -> str:
    """The rows that the run leaves out, by state, behind the number of events."""
    from importer.model import State

    found = _in_words(forecast.counts, State.INVALID, State.FILTERED, State.GROUPED, State.DUPLICATE)
    return f" of {counted(forecast.counts.read, 'row')}; not sent: {found}" if found else ""


def _in_words(counts: Counts, *states: State) -> str:
    return ", ".join(f"{counts[state]:,} {state.value.replace('_', ' ')}" for state in states if counts[state])


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


def _wrapped(line: str, width: int) -> str:
    indent = "  " if line.startswith("  ") else ""
    return textwrap.fill(
        line, width, subsequent_indent=indent * 2, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
