"""The summary that people see when a run or a check ends: plain text that fits a screen of 80 columns and 24 lines.

What matters most comes last: the counts, and what to do next. Colour only repeats what the words say. Every figure is
one of `Summary`, so that screen and ``summary.json`` cannot differ.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from importer.model import State
from importer.report.labels import TONES, amount, label_of, source_facts, states_in_words
from importer.report.model import (
    CHECK,
    CheckSummary,
    FilterSummary,
    MappingAdvice,
    ReasonSummary,
    SourceColumns,
    Step,
    Summary,
    Written,
)
from importer.wording import brief, counted, duration, shown

WIDTH = 80
_SOURCES = 3
_REASONS = 3
_CHECK_REASONS = 8
"""A check is where reasons are looked for; a run's are all in `importer runs RUN`."""
_FILTERS = 3
_MONEY = 6
_COLOURS = {"sent": "32", "problem": "31", "unsure": "33", "waiting": "36"}


def render_summary(written: Written, *, colour: bool = False) -> str:
    """The whole summary, ending in a line break; with ``colour``, states in the colours of a terminal."""
    summary = written.summary
    checked = summary.run == CHECK
    goes_on = bool(summary.rows[State.PENDING.value]) and not checked
    blocks = [[_title(summary), *_wrapped_all(source_facts(summary, _SOURCES), summary)]]
    if summary.rows["read"] and summary.rows[State.FILTERED.value] == summary.rows["read"]:
        blocks += [[_wrap("warning: every row is skipped by your filter, so there is nothing to send")]]
    if checked:
        blocks += [list(_checked_reasons(summary)), list(_columns(summary.check)), list(_forecast(summary))]
    elif not goes_on:
        blocks += [list(_reasons(summary))]
    blocks += [list(_filters(summary.filters)), list(_files(written))]
    blocks += [] if checked else [list(_money(summary))]
    blocks += [list(_counts(summary, colour=colour)), list(_steps(written.steps))]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_reasons(summary: Summary) -> str:
    """Every reason with its example and what to do, and every test that left rows out; for `importer runs RUN`."""
    lines = [line for one in summary.reasons for line in (*_reason(one), *_fix(one))]
    lines += _filters(summary.filters, len(summary.filters))
    return "\n".join(lines) + "\n" if lines else ""


def _wrap(text: str, first: str = "", rest: str | None = None) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=first if rest is None else rest)


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _title(summary: Summary) -> str:
    rows = summary.rows
    unread = not rows["read"] and any(source.error for source in summary.sources)
    if summary.run == CHECK:
        ready = rows[State.PENDING.value] + rows[State.GROUPED.value]
        words = (
            f"Check finished: {ready:,} of {counted(rows['read'], 'row')} {'is' if rows['read'] == 1 else 'are'} ready"
        )
        return "Check finished: nothing could be read" if unread else words
    words = f"Run {summary.run} {summary.state}"
    if unread:
        words = f"Run {summary.run}: nothing could be read, nothing was sent"
    if summary.seconds is not None:
        words += f" in {duration(summary.seconds)}"
    if summary.events_per_second is not None:
        words += f" ({summary.events_per_second * 60:,.0f} events a minute)"
    return _wrap(words) + ("\n" + _wrap(shown(summary.stop_reason), "  ") if summary.stop_reason else "")


def _wrapped_all(lines: Iterable[str], summary: Summary) -> Iterator[str]:
    yield from (_wrap(line, "  ", "    ") for line in lines)
    if (rest := len(summary.sources) - _SOURCES) > 0:
        broken = sum(bool(source.error) for source in summary.sources[_SOURCES:])
        yield f"  and {counted(rest, 'source')} more" + (
            f", {broken:,} of them not read to their end" if broken else ""
        )


def _counts(summary: Summary, *, colour: bool) -> Iterator[str]:
    """The states that have rows, and below the line what they add up to."""
    width = max(len(f"{count:,}") for count in summary.rows.values())
    for state in State:
        if count := summary.rows[state.value]:
            label, meaning = label_of(state, checked=summary.run == CHECK)
            yield f"  {_painted(f'{label:<9}  {count:>{width},}', TONES.get(state, ''), colour=colour)}  {meaning}"
    yield f"  {'-' * (11 + width)}"
    read = summary.rows["read"]
    verdict = "every row is accounted for" if summary.balanced else "THE TOTALS DO NOT ADD UP"
    yield f"  {'rows read':<9}  {read:>{width},}  {verdict}"
    if not summary.balanced:
        total = sum(summary.rows[state] for state in State)
        yield _wrap(f"the states above add up to {total:,}; please report this as a bug", "  ")
    if one := summary.import_total:
        rows, states = counted(one.rows["read"], "row"), states_in_words(one.rows)
        yield _wrap(f"one import of {len(one.runs):,} runs: of {rows} {states}", "  ", "    ")


def _painted(text: str, tone: str, *, colour: bool) -> str:
    return f"\x1b[{_COLOURS[tone]}m{text}\x1b[0m" if colour and tone else text


def _money(summary: Summary) -> Iterator[str]:
    """What was sent, or would be, per type and currency: purchases and refunds are never added together."""
    checked = summary.run == CHECK
    found = [
        (shown(one.type) or "(no type)", count, amount(total, one.currency) if one.currency or total != "0" else "")
        for one in summary.totals
        for count, total in [(one.pending, one.pending_total) if checked else (one.sent, one.sent_total)]
        if count
    ]
    found.sort(key=lambda one: -one[1])
    wide = min(max((len(name) for name, _, _ in found[:_MONEY]), default=0), 30)
    for name, count, worth in found[:_MONEY]:
        yield _cut(f"  {name:<{wide}}  {counted(count, 'event')}{'' if checked else ' sent'}{worth and ', '}{worth}")
    if (rest := len(found) - _MONEY) > 0:
        yield f"  and {counted(rest, 'more type')} or currency, in summary.json"


def _reasons(summary: Summary) -> Iterator[str]:
    """The most frequent reasons, a line each; errors first."""
    ranked = sorted(summary.reasons, key=lambda one: one.severity != "error")
    for reason in ranked[:_REASONS]:
        where = f" ({shown(reason.field)})" if reason.field else ""
        warning = " warning" if reason.severity == "warning" else ""
        yield _cut(f"  {reason.count:,} x {reason.code}{where}{warning}: {reason.message}")
    if (rest := len(ranked) - _REASONS) > 0:
        yield f"  and {counted(rest, 'more reason')}: importer runs {summary.run}"


def _checked_reasons(summary: Summary) -> Iterator[str]:
    for reason in summary.reasons[:_CHECK_REASONS]:
        yield from _reason(reason)
        yield from _fix(reason)
    if (rest := len(summary.reasons) - _CHECK_REASONS) > 0:
        yield f"  and {counted(rest, 'more reason')}, in summary.json (--out DIR)"


def _reason(reason: ReasonSummary) -> Iterator[str]:
    where = f" ({shown(reason.field)})" if reason.field else ""
    warning = ", a warning" if reason.severity == "warning" else ""
    yield _wrap(f"{reason.count:,} x {reason.code}{where}{warning}", "  ", "    ")
    example = reason.example
    place = f"{shown(example.source)}, row {example.row:,}" + (f", line {example.line:,}" if example.line else "")
    yield _wrap(f"{place}: {reason.message}", "    ", "      ")


def _fix(reason: ReasonSummary) -> Iterator[str]:
    """What to do; a line for the mapping is alone and unbroken, to be copied."""
    advice: MappingAdvice | None = reason.advice
    if advice is not None:
        yield _wrap(f"fix: {advice.why}; in {shown(advice.place)}, write", "    ", "      ")
        yield f"      {shown(advice.write)}"
    elif reason.fix:
        yield _wrap(f"fix: {reason.fix}", "    ", "      ")


def _filters(filters: tuple[FilterSummary, ...], most: int = _FILTERS) -> Iterator[str]:
    """What your own tests leave out: how many rows, what they are worth, and what the test saw."""
    for one in filters[:most]:
        if one.test == "filtered.given_up":
            yield _wrap(f"{counted(one.rows, 'row')} given up" + _notes(one), "  ", "    ")
            continue
        worth = ", ".join(amount(total.total, total.currency) for total in one.totals[:3])
        seen = ", ".join(f"“{value}”" if value.strip() else "an empty cell" for value in one.values[:3])
        more = ", …" if len(one.values) > 3 else ""
        yield _wrap(
            f"{counted(one.rows, 'row')} skipped by your filter {_test(one)}"
            + (f", worth {worth}" if worth else "")
            + (f"; it saw {seen}{more}" if seen else ""),
            "  ",
            "    ",
        )
    if (rest := len(filters) - most) > 0:
        yield f"  and by {counted(rest, 'more test')}, in summary.json"


def _notes(one: FilterSummary) -> str:
    notes = "; ".join(f"“{value}”" for value in one.values[:3] if value.strip())
    return f": {notes}" if notes else ""


def _test(one: FilterSummary) -> str:
    return "(--transform)" if one.test == "filtered.transform" else f"`{brief(one.test)}`"


def _columns(check: CheckSummary | None) -> Iterator[str]:
    for header in check.columns if check else ():
        yield from _header(header, several=len(check.columns if check else ()) > 1)


def _header(header: SourceColumns, *, several: bool) -> Iterator[str]:
    more = f" and {counted(len(header.sources) - 1, 'file')} like it" if len(header.sources) > 1 else ""
    name = f" of {shown(header.sources[0])}{more}" if several else ""
    if header.unmapped:
        yield _wrap(f"  unused columns{name}: {', '.join(map(brief, header.unmapped))}", rest="    ")
    for one in header.missing:
        meant = f"; did you mean {shown(one.nearest)}?" if one.nearest else ""
        yield _wrap(
            f"  missing column{name}: {shown(one.name)}, for {', '.join(map(shown, one.targets))}{meant}", rest="    "
        )


def _forecast(summary: Summary) -> Iterator[str]:
    check = summary.check
    if check is None or not check.foreseen.events:
        return
    events = check.foreseen
    about = "" if events.subscribers_exact else "about "
    yield _wrap(
        f"  {counted(events.events, 'event')} for {about}{counted(events.subscribers, 'subscriber')} "
        "(counted by e-mail, then phone, then id)",
        rest="    ",
    )
    yield from _money(summary)
    if events.oldest is not None and events.newest is not None:
        yield _wrap(
            f"  {_minute(events.oldest)} to {_minute(events.newest)} by the source's own time (UTC)", rest="    "
        )
    yield _wrap(
        f"  Estimated {duration(events.seconds)} at {events.rate:,} events/min "
        "(assumed; the real limit is read from the API)",
        rest="    ",
    )


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _files(written: Written) -> Iterator[str]:
    if written.failure is not None:
        yield _wrap(f"  error: {shown(written.failure.message)}", rest="    ")
        yield _wrap(f"  hint: {shown(written.failure.hint or '')}", rest="    ")
    if not written.paths:
        return
    rows = {file.name: file.rows for file in written.summary.files if file.holds in ("rejects", "in_doubt")}
    # The directory is alone and unbroken, to be copied.
    yield f"  written to {shown(str(written.paths[0].parent))}"
    names = (f"{shown(p.name)} ({counted(rows[p.name], 'row')})" if p.name in rows else p.name for p in written.paths)
    yield _wrap(", ".join(names), "    ")
    if lost := written.summary.without_originals:
        yield _wrap(
            f"  {counted(lost, 'undelivered row')} in the report only: the ledger no longer keeps the original cells",
            rest="    ",
        )


def _steps(steps: Iterable[Step]) -> Iterator[str]:
    """Commands are alone and unbroken, to be copied."""
    for number, step in enumerate(steps):
        if not number:
            yield "next"
        yield _wrap(step.words, "  ")
        yield from (f"    {shown(command)}" for command in step.commands)
