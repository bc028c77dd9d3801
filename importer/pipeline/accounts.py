"""Many accounts at once: a file of accounts says which rows go to which; each account has a run of its own.

The sources are read once. Each account's run gets the account's rows alone, under their own numbers; rows of no account
are INVALID in one more run, the *batch*, by whose id all of them are found again. The batch is sealed last: only when
it is are the plans of all accounts complete. All accounts are delivered side by side; what stops one stops no other.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from importer import TOKEN_VARIABLE, report
from importer.child import SECRETS
from importer.deliver import Progress, StopReason
from importer.deliver.endpoint import Endpoint
from importer.deliver.token import Token, exposure
from importer.errors import ExitCode, LedgerError, UsageError
from importer.ledger.ledger import Ledger
from importer.ledger.planning import Place
from importer.mapping.accounts import UNASSIGNED, Accounts, load_accounts
from importer.mapping.load import LoadedMapping
from importer.model import (
    NO_ACCOUNT,
    SANDBOX_ENDPOINT,
    AccountColumn,
    Pace,
    PlannedChunk,
    RoutedChunk,
    Run,
    RunState,
    Source,
    WrittenChunk,
)
from importer.pipeline import find, outputs, program
from importer.pipeline.connect import Target, live_target, open_ledger
from importer.pipeline.console import AccountsResult, Console, Forecast, Result, exit_code
from importer.pipeline.examples import run_tests
from importer.pipeline.options import RunOptions, TargetOptions
from importer.pipeline.prepare import by_account, prepare_stored
from importer.pipeline.send import DeliveryJob, ledger_failed, send
from importer.plan import plan
from importer.read import Input, expand
from importer.remote import RemotePath
from importer.report import ReportOptions, Written
from importer.report.accounts import AccountsReport, AccountSummary, write_accounts
from importer.sandbox.options import SandboxOptions

__all__ = ["check", "load_accounts", "resume", "run", "target_of_one"]


class _Part(msgspec.Struct):
    """The run of one account."""

    name: str
    ledger: Ledger
    run: Run
    options: RunOptions
    target: TargetOptions
    out: Path | RemotePath
    """Where the outputs of all accounts go."""
    here: Path = msgspec.field(default_factory=Path)
    """Where its own are made."""


def run(
    options: RunOptions, target: TargetOptions, accounts: Accounts, console: Console, one: str | None = None
) -> Result | AccountsResult:
    """Plan the sources for all accounts, or find the batch that the same command began; confirm, deliver, report.

    ``one``: all sources are this account's. Raises `MappingError`, `UsageError` or `LedgerError` where nothing can be
    done; nothing was sent then.
    """
    if one is not None:
        return program.run(options, target_of_one(target, accounts, one), console)
    loaded = options.load_mapping()
    options = replace(options, routes=accounts.routes())
    work = _Work(options, target, accounts, console)
    with work.opened():
        work.look_ahead()
        unfinished = find.find_unfinished(work.ledger(NO_ACCOUNT), options, loaded)
        if unfinished is not None:
            console.say(f"run {unfinished.id} of the same files, mapping and accounts was interrupted; it goes on")
            return work.go_on(unfinished)
        return work.deliver(work.plan(loaded))


def look_ahead(target: TargetOptions, accounts: Accounts, console: Console) -> None:
    """Find what would stop accounts before any file is read; raises `UsageError` if none of them can send."""
    _Work(RunOptions((), ""), target, accounts, console).look_ahead()


def check(options: RunOptions, accounts: Accounts, console: Console) -> tuple[AccountsReport, Sequence[Written]]:
    """Everything but sending, by account, in a ledger that is thrown away; with ``options.out`` the reports, too.

    Returns the report of all, and that of each account.

    Raises `MappingError`, `FailedTestsError` or `UsageError` where nothing can be checked.
    """
    loaded = options.load_mapping()
    run_tests(loaded)
    with tempfile.TemporaryDirectory(prefix="importer-check-") as scratch:
        target = TargetOptions(ledger=Path(scratch) / "ledger.db", sandbox=SandboxOptions())
        work = _Work(replace(options, routes=accounts.routes()), target, accounts, console)
        with work.opened():
            return work.check(loaded)


def resume(
    run_id: str | None, options: RunOptions, target: TargetOptions, accounts: Accounts, console: Console
) -> AccountsResult:
    """Go on with all accounts of a batch; the newest unfinished one, if none is named."""
    work = _Work(options, find.target_of(target, run_id) if run_id else target, accounts, console)
    work.look_ahead()
    with work.opened():
        ledger = work.ledger(NO_ACCOUNT)
        batch = find.planned(ledger, run_id) if run_id else find.newest_unfinished(ledger)
        return work.go_on(batch)


def target_of_one(target: TargetOptions, accounts: Accounts, name: str) -> TargetOptions:
    """The target where all sources are one account's. Raises `UsageError` where a column names the accounts."""
    if accounts.by_column() is not None:
        raise UsageError(
            f"--account {name}: {accounts.name} says that a column names the account of each row",
            hint="leave out --account; of a file with the rows of one account, only that account gets some",
        )
    return target_of_account(target, accounts, name)


def target_of_account(target: TargetOptions, accounts: Accounts, name: str) -> TargetOptions:
    """The target of one account of a file. Raises `UsageError` if the file has no such account."""
    entry = accounts.entries.get(name)
    if entry is None:
        known = ", ".join(accounts.entries)
        raise UsageError(f"{accounts.name} has no account {name}", hint=f"its accounts are {known}")
    variable = entry.token_env or TOKEN_VARIABLE
    SECRETS.add(variable)
    sandbox = target.sandbox
    return replace(
        target,
        account=name,
        endpoint=entry.endpoint or target.endpoint,
        token_file=accounts.token_file(name),
        token_variable=variable,
        cap=entry.limit,
        sandbox=None if sandbox is None else replace(sandbox, limit=entry.limit or sandbox.limit),
    )


class _Work:
    """One command for several accounts."""

    def __init__(self, options: RunOptions, target: TargetOptions, accounts: Accounts, console: Console) -> None:
        self._options = options
        self._accounts = accounts
        self._console = console
        self._targets = {name: target_of_account(target, accounts, name) for name in accounts.entries}
        self._targets[NO_ACCOUNT] = replace(target, account=NO_ACCOUNT)
        self._lacking: dict[str, UsageError] = {}
        """Why accounts cannot send, such as for want of a token."""
        self._stack = ExitStack()
        self._ledgers: dict[str, Ledger] = {}
        self._results: dict[str, Result] = {}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Leave all ledgers and locks at the end."""
        with self._stack:
            yield

    def ledger(self, account: str) -> Ledger:
        """The ledger, by a connection of the account's own."""
        if account not in self._ledgers:
            say = None if self._ledgers else self._console.say
            self._ledgers[account] = self._stack.enter_context(open_ledger(self._targets[account], say))
        return self._ledgers[account]

    def _lock(self, ledger: Ledger, run: Run) -> None:
        """Work on a run, alone, to the end of the command."""
        self._stack.enter_context(find.locked(ledger, run, wait=self._options.wait, say=self._console.say))

    def look_ahead(self) -> None:
        """Find what would stop accounts before any file is read; raises `UsageError` if none of them can send."""
        rehearsal = self._targets[NO_ACCOUNT].sandbox is not None
        for name in self._accounts.entries:
            target = self._targets[name]
            Endpoint.parse(target.endpoint)
            if rehearsal:
                continue
            try:
                live_target(target)
                if target.token_file and (warning := exposure(target.token_file)):
                    self._console.say(f"warning: {name}: {warning}")
            except UsageError as error:
                self._lacking[name] = error
        if len(self._lacking) == len(self._accounts.entries):
            name, lack = next(iter(self._lacking.items()))
            raise UsageError(f"no account can send; {name}: {lack.message}", hint=lack.hint)
        for name, lack in self._lacking.items():
            self._console.say(f"warning: {name}: {lack.message}; its rows will wait, and the other accounts go on")
        if not rehearsal:
            self._console.require_answer()

    # Planning

    def plan(self, loaded: LoadedMapping) -> dict[str, _Part]:
        """Read everything into the runs of the accounts. Whatever interrupts it, nothing of them is left."""
        options = self._options
        ledger = self.ledger(NO_ACCOUNT)
        batch = find.create(ledger, options, loaded, accounts_file=self._accounts.name)
        self._lock(ledger, batch)
        out = options.out or Path("importer-runs") / batch.id
        whole = _Part(NO_ACCOUNT, ledger, batch, replace(options, out=out / UNASSIGNED), self._targets[NO_ACCOUNT], out)
        parts = {NO_ACCOUNT: whole}

        def part(name: str) -> _Part:
            if name not in parts:
                target = self._targets[name]
                moved = options.out_afterwards and options.out_afterwards / name
                own = replace(options, out=out / name, out_afterwards=moved)
                more = {"batch": batch.id, "accounts_file": self._accounts.name, "token": _token_place(target)}
                run = find.create(self.ledger(name), own, loaded, files=[], **more)
                self._lock(self.ledger(name), run)
                parts[name] = _Part(name, self.ledger(name), run, own, target, out)
            return parts[name]

        with program.planning(lambda: [(one.ledger, one.run) for one in parts.values()]):
            self._plan(loaded, part)
            for one in sorted(parts.values(), key=lambda one: one.name == NO_ACCOUNT):
                one.run = one.ledger.seal(one.run, again=options.again)
        for one in parts.values():
            for note in one.ledger.repeats(one.run):
                self._of(one.name).say(note)
        if empty := [name for name in self._accounts.entries if name not in parts]:
            self._console.say(f"no rows for {', '.join(empty)}")
        return parts

    def _plan(self, loaded: LoadedMapping, part: Callable[[str], _Part]) -> None:
        column = self._accounts.by_column()
        options = self._options
        reading = options.reading(raw_rows=True)
        whole, console = part(NO_ACCOUNT), self._console
        hasher = whole.ledger.hasher
        if column is not None:
            routed = replace(reading, accounts=column)
            router = _Router(part)
            prepared = prepare_stored(options.readable, loaded.mapping, routed, console.say, hasher, router.places)
            with closing(prepared) as sources:
                plan(router, whole.run, sources, console.read)
            return
        inputs: dict[str, list[str | Input]] = {}
        for one in expand(options.readable):
            inputs.setdefault(self._accounts.of_file(one.name) or NO_ACCOUNT, []).append(one)
        for name, own in inputs.items():
            its = part(name)
            unassigned = AccountColumn(None, dict.fromkeys(self._accounts.entries, "")) if name == NO_ACCOUNT else None
            routed = replace(reading, accounts=unassigned)
            places = partial(its.ledger.places, its.run)
            with closing(prepare_stored(own, loaded.mapping, routed, console.say, hasher, places)) as sources:
                plan(its.ledger, its.run, sources, console.read)

    # Delivery

    def go_on(self, batch: Run) -> AccountsResult:
        """Deliver what a batch has left."""
        ledger, own_target = self.ledger(NO_ACCOUNT), self._targets[NO_ACCOUNT]
        self._lock(ledger, batch)
        options = self._options.of_run(batch)
        out = options.out or Path("importer-runs") / batch.id
        parts = {NO_ACCOUNT: _Part(NO_ACCOUNT, ledger, batch, replace(options, out=out / UNASSIGNED), own_target, out)}
        for run in ledger.runs(everywhere=True):
            if run.options.get("batch") == batch.id and run.state is not RunState.PLANNING:
                if run.account not in self._accounts.entries:
                    raise UsageError(
                        f"{self._accounts.name} has no account {run.account}, whose run is {run.id}",
                        hint="put it back into the file, or go on without the file: `importer resume RUN` for each run",
                    )
                target = self._targets[run.account]
                if run.endpoint != SANDBOX_ENDPOINT:
                    target = replace(target, endpoint=run.endpoint)
                self._targets[run.account] = target
                own = self.ledger(run.account)
                self._lock(own, run)
                parts[run.account] = _Part(run.account, own, run, replace(options, out=out / run.account), target, out)
        return self.deliver(parts)

    def deliver(self, parts: Mapping[str, _Part]) -> AccountsResult:
        """Deliver what the accounts have pending, all at once, then report."""
        out = parts[NO_ACCOUNT].out
        here = self._stack.enter_context(outputs.made_for(out))
        for name, one in parts.items():
            one.here = here / _directory(name)
            report.prepare(one.here)
        ordered = [parts[name] for name in self._accounts.entries if name in parts]
        waiting = [one for one in ordered if self._waits(one)]
        stopped: dict[str, str] = {}
        ready = []
        for one in waiting:
            if one.name in self._lacking:
                error = self._lacking[one.name]
                stopped[one.name] = error.message
                self._finish(one, StopReason(error.message, unauthorized=True))
            else:
                ready.append(one)
        for one in ordered:
            if one not in waiting:
                self._finish(one, StopReason(""))
        if ready:
            with self._apis(ready, here) as (apis, page):
                if page:
                    self._console.say(f"the sandbox shows what arrives at {page}")
                self._send(ready, apis, stopped)
        return self._conclude(parts, here)

    def _waits(self, one: _Part) -> bool:
        try:
            return program.take_up(one.ledger, one.run, one.options, self._of(one.name))
        except LedgerError as error:
            self._finish(one, ledger_failed(error))
            return False

    def _send(self, ready: Sequence[_Part], apis: Sequence[Target], stopped: Mapping[str, str]) -> None:
        by_id = {one.run.id: one for one in ready}
        seen: dict[str, Progress] = {}
        jobs = []
        for one, api in zip(ready, apis, strict=True):
            lock = None if api.rehearsal else one.ledger.sender_lock(one.run)
            console = self._of(one.name)
            watch = partial(self._watch, seen, one.name, console)
            jobs.append(DeliveryJob(one.ledger, one.run, one.options, one.target, api, console, watch, lock))

        def agree(forecasts: Sequence[Forecast]) -> bool:
            shown: list[tuple[str, Forecast | str]] = [(one.run.account, one) for one in forecasts]
            shown += list(stopped.items())
            return self._console.confirm_all(shown, rehearsal=apis[0].rehearsal)

        def conclude(job: DeliveryJob, ended: StopReason) -> None:
            one = by_id[job.run.id]
            if ended.declined:
                one.ledger.take_back(one.run)
            self._finish(one, ended)

        send(jobs, self._console, agree, conclude)

    def _watch(self, seen: dict[str, Progress], name: str, console: Console, progress: Progress) -> None:
        """Show an account's progress, and that of all; ``seen`` is the last of each."""
        console.watch(progress)
        seen[name] = progress
        self._console.watch(summed(list(seen.values())))

    @contextmanager
    def _apis(self, ready: Sequence[_Part], here: Path) -> Iterator[tuple[list[Target], str]]:
        """How each account's API is reached; a rehearsal has one sandbox for all, with a token for each."""
        sandbox = self._targets[NO_ACCOUNT].sandbox
        if sandbox is None:
            yield [live_target(one.target) for one in ready], ""
            return
        from importer.sandbox import process

        options = replace(
            sandbox,
            tokens=tuple(process.made_up_token() for _ in ready),
            accounts=tuple((one.name, one.target.sandbox.limit if one.target.sandbox else None) for one in ready),
            events=sandbox.events or str(here / outputs.EVENTS),
        )
        with process.start(options) as running:
            endpoint = Endpoint.parse(running.url)
            yield [Target(endpoint, Token(token), rehearsal=True) for token in options.tokens], running.page

    # Reports

    def check(self, loaded: LoadedMapping) -> tuple[AccountsReport, Sequence[Written]]:
        """Report what would become of every row."""
        parts, options, out = self.plan(loaded), self._options, self._options.out
        whole = parts[NO_ACCOUNT]
        here = None if out is None else self._stack.enter_context(outputs.made_for(out))
        kept = options.kept() | {"accounts_file": self._accounts.name}
        run = report.check_run(loaded.name, loaded.text, loaded.mapping.digest(), **kept)
        summaries, reports = [], []
        for name in (*self._accounts.entries, *([NO_ACCOUNT] if _has_something(whole) else [])):
            if name not in parts:
                continue
            one, directory, made = parts[name], _directory(name), None
            if here is not None and out is not None:
                made = ReportOptions(
                    here / directory,
                    options.report_format,
                    rejects_format=options.rejects_format,
                    out_afterwards=out / directory,
                )
            batches = one.ledger.batches(one.run, raw_rows=out is not None)
            written = report.write_check(batches, partial(one.ledger.sources, one.run), run, made)
            if made is not None and out is not None:
                written = outputs.publish(written, made.out, out / directory)
            code = exit_code(written, among=True)
            reports.append(written)
            summaries.append(AccountSummary.of(name, written.summary, int(code), "", directory))
        done = write_accounts(
            here, run, summaries, balanced=self._is_balanced(whole, summaries), without_rows=self._without(parts)
        )
        return done if here is None or out is None else outputs.publish(done, here, out), reports

    def _is_balanced(self, whole: _Part, summaries: Sequence[AccountSummary]) -> bool:
        """Whether the other accounts have the very rows that the batch left to them."""
        read = sum(one.rows["read"] for one in summaries if one.account != NO_ACCOUNT)
        return self._accounts.by_column() is None or read == whole.ledger.others(whole.run)

    def _without(self, parts: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(name for name in self._accounts.entries if name not in parts)

    def _finish(self, one: _Part, ended: StopReason) -> None:
        """Write an account's report, and show how it ended."""
        if one.name in self._results:
            return
        if ended.unauthorized:
            ended = replace(ended, hint=self._token_hint(one.name))
        left = one.ledger.has_pending(one.run)
        ended = ended if left else StopReason("", interrupted=ended.interrupted)
        console = self._of(one.name)
        self._results[one.name] = result = program.write_report(
            one.ledger, one.run, ended, one.options, one.target, one.here, console
        )
        if one.name != NO_ACCOUNT:
            console.conclude(result)

    def _token_hint(self, name: str) -> str:
        source = self._accounts.token_source(name)
        return f"put a valid token of {name} into {source}, then run the same command again: it sends what is left"

    def _of(self, name: str) -> Console:
        return self._console if name == NO_ACCOUNT else self._console.of(name)

    def _conclude(self, parts: Mapping[str, _Part], here: Path) -> AccountsResult:
        whole = parts[NO_ACCOUNT]
        self._finish(whole, StopReason(""))
        shown = _has_something(whole)
        if not shown:
            shutil.rmtree(whole.here, ignore_errors=True)
        order = [*self._accounts.entries, *([NO_ACCOUNT] if shown else [])]
        results = {name: self._results[name] for name in order if name in self._results}
        stopped = [name for name, one in results.items() if one.ended.reason]
        state = RunState.STOPPED if stopped else RunState.FINISHED
        words = f"stopped: {', '.join(stopped)}" if stopped else ""
        batch = whole.ledger.set_state(whole.run, state, stop_reason=words)
        summaries = [_summary(name, one) for name, one in results.items()]
        made = write_accounts(
            here, batch, summaries, balanced=self._is_balanced(whole, summaries), without_rows=self._without(results)
        )
        made = outputs.publish(made, here, whole.out)
        done = AccountsResult(batch, results, made)
        self._console.conclude_all(done)
        return done


def _has_something(whole: _Part) -> bool:
    """Whether there are rows of no account, or sources that cannot be read."""
    sources = whole.ledger.sources(whole.run)
    return bool(whole.ledger.counts(whole.run).read or any(one.error for one in sources))


def _directory(name: str) -> str:
    """Where an account's reports are, among those of all."""
    return UNASSIGNED if name == NO_ACCOUNT else name


def _summary(name: str, result: Result) -> AccountSummary:
    code = ExitCode.STOPPED if result.ended.reason else exit_code(result.written, ready=False, among=True)
    if result.elsewhere and code is ExitCode.DELIVERED:
        code = ExitCode.INCOMPLETE
    return AccountSummary.of(name, result.written.summary, int(code), result.ended.hint, _directory(name))


def _token_place(target: TargetOptions) -> dict[str, Any]:
    """Where the token is, so that a run's id alone is enough to go on with it; never the token."""
    file = None if target.token_file is None else str(target.token_file.absolute())
    return {"variable": target.token_variable, "file": file, "cap": target.cap}


class _Router:
    """Writes each row of a plan into the run of its account; see `importer.plan.PlanTarget`."""

    def __init__(self, part: Callable[[str], _Part]) -> None:
        self._part = part
        self._source: Source | None = None
        self._begin = self._end = 0
        """Places of the source's first row, and of the next row."""
        self._numbers: dict[str, int] = {}
        self._own: dict[str, int] = {}

    def add_source(self, run: Run, source: Source) -> int:
        """Begin a source; an account gets it with the first of its rows."""
        del run
        self._source, self._begin = source, self._end
        self._numbers, self._own = {}, {}
        self._number(NO_ACCOUNT)
        return 0

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            assert self._source is not None
            part = self._part(name)
            self._numbers[name] = part.ledger.add_source(part.run, self._source, self._begin)
            self._own[name] = 0
        return self._numbers[name]

    def places(self) -> dict[str, Place]:
        """Where workers write the rows of the accounts that the source is known to have rows of."""
        parts = {name: self._part(name) for name in list(self._numbers)}
        return {name: place for name, one in parts.items() for place in one.ledger.places(one.run).values()}

    def add_chunk(self, run: Run, source_no: int, chunk: PlannedChunk) -> None:
        """Store the rows of each account that has some, unless a worker has written them."""
        del run, source_no
        assert not isinstance(chunk, WrittenChunk)
        accounts = chunk.accounts if isinstance(chunk, RoutedChunk) else by_account(chunk)
        for name, its in accounts.items():
            part, number = self._part(name), self._number(name)
            if isinstance(its, WrittenChunk):
                part.ledger.add_chunk(part.run, number, its, at=self._end)
                self._own[name] += its.own
            else:
                part.ledger.add_chunk(part.run, number, chunk, its, self._end)
                self._own[name] += int(its.sum())
        self._end += chunk.count

    def close_source(self, run: Run, source_no: int, *, digest: str, error: str) -> None:
        """End the source for all that have rows of it."""
        del run, source_no
        rows = self._end - self._begin
        for name, number in self._numbers.items():
            part = self._part(name)
            others = rows - self._own[name]
            part.ledger.close_source(part.run, number, digest=digest, error=error, others=others)


def summed(all_of_them: Sequence[Progress]) -> Progress:
    """Several deliveries as one; what all of them wait for, if all do."""
    paces = [one.pace for one in all_of_them if one.left or one.in_flight] or [one.pace for one in all_of_them]
    waits = all(pace.waiting_for for pace in paces)
    soonest = min(paces, key=lambda pace: pace.wait_until or float("inf"))
    limits = [pace.limit for pace in paces]
    return Progress(
        sent=sum(one.sent for one in all_of_them),
        refused=sum(one.refused for one in all_of_them),
        failed=sum(one.failed for one in all_of_them),
        in_doubt=sum(one.in_doubt for one in all_of_them),
        left=sum(one.left for one in all_of_them),
        in_flight=sum(one.in_flight for one in all_of_them),
        pace=Pace(
            rate=sum(pace.rate or 0.0 for pace in paces) or None,
            limit=None if None in limits else sum(limit or 0 for limit in limits),
            remaining=None,
            waiting_for=soonest.waiting_for if waits else "",
            wait_until=soonest.wait_until if waits else None,
            pause=soonest.pause if waits else None,
        ),
    )
