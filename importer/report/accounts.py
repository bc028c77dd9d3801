"""The reports of several accounts as one: ``summary.json`` and ``report.html`` above the accounts' own directories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from importer.errors import ExitCode, ReportError
from importer.model import SANDBOX_ENDPOINT, Run, State
from importer.remote import RemotePath
from importer.report.atomic import SUMMARY, Outputs
from importer.report.model import CHECK, VERSIONS, MappingSummary, Summary, TypeTotals, summary_bytes
from importer.report.words import states_in_words
from importer.wording import counted, iso, shown, shown_lines

_PAGE = "report.html"
_OWN = ("run", "state", "endpoint", "balanced", "rows", "totals", "stop_reason")
"""What an account's summary among all has of its own summary."""


class AccountSummary(msgspec.Struct, frozen=True):
    """One account in the summary of all."""

    account: str
    """``(no account)``: rows that belong to none."""
    run: str
    state: str
    endpoint: str
    balanced: bool
    rows: Mapping[str, int]
    """``read`` and every state by its name."""
    totals: tuple[TypeTotals, ...]
    """What its events are worth, per type and currency; most events first."""
    stop_reason: str
    """Why it stopped before its end; empty otherwise."""
    hint: str
    """What to do about that."""
    exit_code: int
    """How `importer run` would have ended for this account alone."""
    directory: str
    """Where its reports are, beside this summary."""

    @classmethod
    def of(cls, account: str, summary: Summary, code: int, hint: str, directory: str) -> AccountSummary:
        """An account's own summary, and how it ended."""
        own = {name: getattr(summary, name) for name in _OWN}
        return cls(account=account, hint=hint, exit_code=code, directory=directory, **own)


class AccountsSummary(msgspec.Struct, frozen=True):
    """``summary.json`` of several accounts, key by key."""

    run: str
    """By which `importer resume` finds all of them."""
    state: str
    started_at: str | None
    finished_at: str | None
    balanced: bool
    """Every row read is in exactly one account's totals, and those are balanced."""
    rows: Mapping[str, int]
    """Of all accounts together: ``read`` and every state by its name."""
    exit_code: int
    mapping: MappingSummary
    accounts: tuple[AccountSummary, ...]
    """In the order of the file of accounts; rows that belong to none are last."""
    without_rows: tuple[str, ...]
    """Accounts of the file for which there was no row."""
    versions: Mapping[str, str]


class AccountsReport(msgspec.Struct, frozen=True):
    """What the report of several accounts leaves behind."""

    summary: AccountsSummary
    paths: tuple[Path | RemotePath, ...] = ()
    failure: ReportError | None = None
    """Why the files could not be written."""

    @property
    def exit_code(self) -> int:
        """The exit code of all."""
        return self.summary.exit_code or int(ExitCode.INCOMPLETE if self.failure else ExitCode.DELIVERED)


def write_accounts(
    out: Path | None, batch: Run, accounts: Sequence[AccountSummary], *, balanced: bool, without_rows: tuple[str, ...]
) -> AccountsReport:
    """Write the summary and the page of all accounts, if ``out`` is given; ``balanced``: none of their rows is lost."""
    rows: dict[str, int] = dict.fromkeys(("read", *(state.value for state in State)), 0)
    for one in accounts:
        for name, count in one.rows.items():
            rows[name] += count
    whole = balanced and all(one.balanced for one in accounts)
    checked = batch.id == CHECK
    summary = AccountsSummary(
        run=batch.id,
        state="checked" if checked else batch.state.value,
        started_at=None if checked else iso(batch.created_at),
        finished_at=iso(batch.finished_at),
        balanced=whole,
        rows=rows,
        exit_code=int(_worst(accounts, rows, balanced=whole)),
        mapping=MappingSummary(batch.mapping_name, batch.mapping_digest),
        accounts=tuple(accounts),
        without_rows=without_rows,
        versions=VERSIONS,
    )
    if out is None:
        return AccountsReport(summary)
    from importer.report.page import rendered  # jinja2 is slow to load, and most commands need no page

    try:
        with Outputs(out, again=f"`importer report {batch.id}` writes an account's reports again") as outputs:
            done = f"{rows['pending' if checked else 'sent']:,} of {counted(rows['read'], 'row')}"
            title = f"All accounts: {done} {'ready' if checked else 'sent'}"
            rehearsal = batch.endpoint == SANDBOX_ENDPOINT
            outputs.create(_PAGE).write(rendered("accounts.html", summary=summary, title=title, rehearsal=rehearsal))
            outputs.create(SUMMARY).write(summary_bytes(summary))
            return AccountsReport(summary, outputs.commit())
    except ReportError as failure:
        return AccountsReport(summary, failure=failure)


def _worst(accounts: Sequence[AccountSummary], rows: Mapping[str, int], *, balanced: bool) -> ExitCode:
    """3 if any account was stopped; else 1 if any row was not delivered; 2 only where nothing could be used."""
    codes = {one.exit_code for one in accounts}
    if codes == {ExitCode.UNUSABLE}:
        return ExitCode.UNUSABLE
    if ExitCode.STOPPED in codes:
        return ExitCode.STOPPED
    none_left = rows["read"] and rows[State.FILTERED.value] == rows["read"]
    return ExitCode.INCOMPLETE if any(codes) or none_left or not balanced else ExitCode.DELIVERED


def render_accounts(made: AccountsReport) -> str:
    """What people see at the end: a line for each account, those that need something last; then all together."""
    summary = made.summary
    checked = summary.state == "checked"
    wide = max((len(one.account) for one in summary.accounts), default=0)
    lines = []
    for one in sorted(summary.accounts, key=lambda one: one.exit_code != 0):
        states = states_in_words(one.rows, checked=checked)
        lines.append(f"  {one.account:<{wide}}  {one.rows['read']:>9,} read  {states}")
        if one.stop_reason:
            lines += [f"  {'':<{wide}}  stopped: {shown(one.stop_reason)}", f"  {'':<{wide}}  {shown(one.hint)}"]
        if one.exit_code and made.paths:
            lines.append(f"  {'':<{wide}}  see {made.paths[0].parent / one.directory / _PAGE}")
    if summary.without_rows:
        lines.append(f"  no rows for {', '.join(summary.without_rows)}")
    states = states_in_words(summary.rows, checked=checked)
    lines += ["", f"all accounts: {summary.rows['read']:,} read, {states}"]
    if not summary.balanced:
        lines.append("the totals do not add up: please report this as a bug")
    if made.failure is not None:
        lines.append(f"{made.failure.message}; {made.failure.hint}")
    elif made.paths:
        lines.append(f"all accounts on one page: {made.paths[0]}")
    if summary.exit_code == ExitCode.STOPPED:
        lines.append("the same command again goes on with what is left")
    return shown_lines("\n".join(lines)) + "\n"
