"""The summary that people see when a run or a check ends: plain text that fits a screen of 80 columns and 24 lines.

What matters most comes last: the counts, and what to do next. Colour only repeats what the words say. Every figure is
one of `Summary`, so that screen and ``summary.json`` cannot differ.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from importer.model import State
from importer.report.model import CHECK, FilterSummary, ReasonSummary, Summary, Written
from importer.report.words import amount, label_of, source_facts, states_in_words
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
    checked, rows = summary.run == CHECK, summary.rows
    blocks = [[_title(summary), *_sources(summary)]]
    if rows["read"] and rows[State.FILTERED.value] == rows["read"]:
        blocks += [[_wrap("warning: every row is skipped by your filter, so there is nothing to send")]]
    if checked:
        blocks += [list(_checked_reasons(summary)), list(_columns(summary)), list(_forecast(summary))]
    elif not rows[State.PENDING.value]:
        blocks += [list(_reasons(summary))]
    blocks += [list(_filters(summary.filters, _FILTERS)), list(_files(written))]
    blocks += [] if checked else [list(_money(summary))]
    blocks += [list(_counts(summary, colour=colour)), list(_steps(written))]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_reasons(summary: Summary) -> str:
    """Every reason with its example and what to do, and every test that left rows out; for `importer runs RUN`."""
    lines = [line for one in summary.reasons for line in _reason(one)]
    lines += _filters(summary.filters, len(summary.filters))
    return "\n".join(lines) + "\n" if lines else ""


def _wrap(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest)


def _item(text: str) -> str:
    return _wrap(text, "  ", "    ")


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _title(summary: Summary) -> str:
    rows = summary.rows
    unread = not rows["read"] and any(source.error for source in summary.sources)
    if summary.run == CHECK:
        ready, verb = rows[State.PENDING.value] + rows[State.GROUPED.value], "is" if rows["read"] == 1 else "are"
        words = f"{ready:,} of {counted(rows['read'], 'row')} {verb} ready"
        return f"Check finished: {'nothing could be read' if unread else words}"
    words = f"Run {summary.run}" + (": nothing could be read, nothing was sent" if unread else f" {summary.state}")
    if summary.seconds is not None:
        words += f" in {duration(summary.seconds)}"
    if summary.events_per_second is not None:
        words += f" ({summary.events_per_second * 60:,.0f} events a minute)"
    return _wrap(words)


def _sources(summary: Summary) -> Iterator[str]:
    yield from map(_item, source_facts(summary, _SOURCES))
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
            label, meaning, tone = label_of(state, checked=summary.run == CHECK)
            text = f"{label:<9}  {count:>{width},}"
            text = f"\x1b[{_COLOURS[tone]}m{text}\x1b[0m" if colour and tone else text
            yield f"  {text}  {meaning}"
    yield f"  {'-' * (11 + width)}"
    verdict = "every row is accounted for" if summary.balanced else "THE TOTALS DO NOT ADD UP"
    yield f"  {'rows read':<9}  {summary.rows['read']:>{width},}  {verdict}"
    if not summary.balanced:
        total = sum(summary.rows[state] for state in State)
        yield _wrap(f"the states above add up to {total:,}; please report this as a bug", "  ", "  ")
    if one := summary.import_total:
        rows, states = counted(one.rows["read"], "row"), states_in_words(one.rows)
        yield _item(f"one import of {len(one.runs):,} runs: of {rows} {states}")


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


def _head(reason: ReasonSummary, warning: str) -> str:
    field = f" ({shown(reason.field)})" if reason.field else ""
    return f"{reason.count:,} x {reason.code}{field}{warning if reason.severity == 'warning' else ''}"


def _reasons(summary: Summary) -> Iterator[str]:
    """The most frequent reasons, a line each; errors first."""
    ranked = sorted(summary.reasons, key=lambda one: one.severity != "error")
    for reason in ranked[:_REASONS]:
        yield _cut(f"  {_head(reason, ' warning')}: {reason.message}")
    if (rest := len(ranked) - _REASONS) > 0:
        yield f"  and {counted(rest, 'more reason')}: importer runs {summary.run}"


def _checked_reasons(summary: Summary) -> Iterator[str]:
    for reason in summary.reasons[:_CHECK_REASONS]:
        yield from _reason(reason)
    if (rest := len(summary.reasons) - _CHECK_REASONS) > 0:
        yield f"  and {counted(rest, 'more reason')}, in summary.json (--out DIR)"


def _reason(reason: ReasonSummary) -> Iterator[str]:
    """A reason, its example and what to do; a line for the mapping is alone and unbroken, to be copied."""
    yield _item(_head(reason, ", a warning"))
    example = reason.example
    place = f"{shown(example.source)}, row {example.row:,}" + (f", line {example.line:,}" if example.line else "")
    yield _wrap(f"{place}: {reason.message}", "    ", "      ")
    if advice := reason.advice:
        yield _wrap(f"fix: {advice.why}; in {shown(advice.place)}, write", "    ", "      ")
        yield f"      {shown(advice.write)}"
    elif reason.fix:
        yield _wrap(f"fix: {reason.fix}", "    ", "      ")


def _filters(filters: tuple[FilterSummary, ...], most: int) -> Iterator[str]:
    """What your own tests leave out: how many rows, what they are worth, and what the test saw."""
    for one in filters[:most]:
        if one.test == "filtered.given_up":
            notes = "; ".join(f"“{value}”" for value in one.values[:3] if value.strip())
            yield _item(f"{counted(one.rows, 'row')} given up{notes and ': '}{notes}")
            continue
        test = "(--transform)" if one.test == "filtered.transform" else f"`{brief(one.test)}`"
        worth = ", ".join(amount(total.total, total.currency) for total in one.totals[:3])
        seen = ", ".join(f"“{value}”" if value.strip() else "an empty cell" for value in one.values[:3])
        yield _item(
            f"{counted(one.rows, 'row')} skipped by your filter {test}{worth and ', worth '}{worth}"
            f"{seen and '; it saw '}{seen}{', …' if len(one.values) > 3 else ''}"
        )
    if (rest := len(filters) - most) > 0:
        yield f"  and by {counted(rest, 'more test')}, in summary.json"


def _columns(summary: Summary) -> Iterator[str]:
    headers = summary.check.columns if summary.check else ()
    for header in headers:
        more = f" and {counted(len(header.sources) - 1, 'file')} like it" if len(header.sources) > 1 else ""
        name = f" of {shown(header.sources[0])}{more}" if len(headers) > 1 else ""
        if header.unmapped:
            yield _item(f"unused columns{name}: {', '.join(map(brief, header.unmapped))}")
        for one in header.missing:
            meant = f"; did you mean {shown(one.nearest)}?" if one.nearest else ""
            yield _item(f"missing column{name}: {shown(one.name)}, for {', '.join(map(shown, one.targets))}{meant}")


def _forecast(summary: Summary) -> Iterator[str]:
    events = summary.check.foreseen if summary.check else None
    if events is None or not events.events:
        return
    subscribers = ("" if events.subscribers_exact else "about ") + counted(events.subscribers, "subscriber")
    yield _item(f"{counted(events.events, 'event')} for {subscribers} (counted by e-mail, then phone, then id)")
    yield from _money(summary)
    if events.oldest is not None and events.newest is not None:
        oldest, newest = (moment[:16].replace("T", " ") for moment in (events.oldest, events.newest))
        yield _item(f"{oldest} to {newest} by the source's own time (UTC)")
    yield _item(
        f"Estimated {duration(events.seconds)} at {events.rate:,} events/min "
        "(assumed; the real limit is read from the API)"
    )


def _files(written: Written) -> Iterator[str]:
    if written.failure is not None:
        yield _item(f"error: {shown(written.failure.message)}")
        yield _item(f"hint: {shown(written.failure.hint or '')}")
    if not written.paths:
        return
    rows = {file.name: file.rows for file in written.summary.files if file.holds in ("rejects", "in_doubt")}
    # The directory is alone and unbroken, to be copied.
    yield f"  written to {shown(str(written.paths[0].parent))}"
    names = (f"{shown(p.name)} ({counted(rows[p.name], 'row')})" if p.name in rows else p.name for p in written.paths)
    yield _wrap(", ".join(names), "    ", "    ")
    if lost := written.summary.without_originals:
        lines = counted(lost, "undelivered row")
        yield _item(f"{lines} in the report only: the ledger no longer keeps the original cells")


def _steps(written: Written) -> Iterator[str]:
    """Commands are alone and unbroken, to be copied."""
    if written.steps:
        yield "next"
    for step in written.steps:
        yield _wrap(step.words, "  ", "  ")
        yield from (f"    {shown(command)}" for command in step.commands)
